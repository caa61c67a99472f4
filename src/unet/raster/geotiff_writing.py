"""GeoTIFF written through GDAL: in compressed blocks, with overviews, a BigTIFF where it is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.affine import Affine
from unet.errors import RasterError
from unet.raster.gdal import set_up_gdal
from unet.raster.geotiff import check_length

COMPRESSIONS = ("deflate", "zstd", "lzw")

BLOCK = 512
"""Pixels of a side of the blocks."""


def geotiff_profile(
    path: Path,
    height: int,
    width: int,
    bands: int,
    dtype: str,
    kind: str | None,
    crs: str | None,
    transform: Affine | None,
    nodata: float | None,
    compress: str,
) -> dict[str, Any]:
    """Return what GDAL is told about a GeoTIFF; see `unet.raster.create`.

    Raises
    ------
    RasterError
        The CRS is none.
    """
    import rasterio
    from rasterio.crs import CRS
    from rasterio.errors import CRSError
    from rasterio.transform import Affine as Transform

    profile: dict[str, Any] = {
        "driver": "GTiff", "height": height, "width": width, "count": bands, "dtype": dtype, "nodata": nodata,
        "compress": compress, "bigtiff": "if_safer", "interleave": "band",
    }  # fmt: skip
    if dtype == "float16":
        profile |= {"dtype": "float32", "nbits": 16}
    elif dtype == "bool":
        profile |= {"dtype": "uint8", "nbits": 1}
    if profile["dtype"].startswith("float"):
        profile["predictor"] = 3
    elif dtype != "bool" and kind in ("epm", "probability"):
        profile["predictor"] = 2  # neighbours are alike; of classes they are the same, which needs no help
    if max(height, width) > BLOCK:
        profile |= {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK}
    if transform is not None:
        profile["transform"] = Transform(*tuple(transform)[:6])
    if crs is not None:
        try:
            with rasterio.Env():  # or GDAL speaks to standard error
                profile["crs"] = CRS.from_user_input(crs)
        except CRSError as error:
            raise RasterError(f"{path}: {crs!r} is no CRS ({error})", "EPSG:n or well-known text") from error
    return profile


def write_geotiff(
    path: Path,
    profile: Mapping[str, Any],
    rows: Callable[[int, int], NDArray[Any]],
    *,
    tags: Mapping[str, str],
    palette: Sequence[int] | None = None,
    overviews: str | None = None,
) -> None:
    """Write a GeoTIFF.

    Parameters
    ----------
    path : Path
    profile : mapping
        From `geotiff_profile`.
    rows : callable
        Given the first row and the one after the last, returns them, (bands, rows, width).
    tags : mapping of str to str
        What the file says of itself.
    palette : sequence of int, optional
        See `unet.raster.create`.
    overviews : {"nearest", "average"}, optional
        How its smaller versions are made; by default there are none.

    Raises
    ------
    RasterError
        It turns out cut off.
    Exception
        What rasterio raises where it cannot write.
    """
    import rasterio
    from rasterio.enums import Resampling

    height, width = profile["height"], profile["width"]
    set_up_gdal()
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.update_tags(**tags)
        if palette is not None:
            colours = np.array(palette).reshape(-1, 3).tolist()
            dataset.write_colormap(1, {index: (*colour, 255) for index, colour in enumerate(colours)})
        for start in range(0, height, BLOCK):
            stop = min(start + BLOCK, height)
            pixels = rows(start, stop).astype(profile["dtype"], copy=False)
            dataset.write(pixels, window=rasterio.windows.Window(0, start, width, stop - start))
    factors = [1 << level for level in range(1, 16) if max(height, width) >> (level - 1) > BLOCK]
    if overviews and factors:
        with rasterio.open(path, "r+") as dataset:
            dataset.build_overviews(factors, Resampling[overviews])
    with rasterio.open(path) as dataset:  # GDAL has been seen to close a file on a full disk without a word
        check_length(path, dataset)
