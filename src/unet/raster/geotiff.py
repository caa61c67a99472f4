"""TIFF that is read window by window through GDAL: plain, GeoTIFF, BigTIFF and cloud-optimised."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.affine import Affine
from unet.errors import RasterError
from unet.raster import gdal, reading
from unet.raster.windows import Window

_PLAIN_MODES = frozenset({"1", "L", "P", "RGB", "RGBA", "I;16", "I;16B", "I", "F"})
"""Kinds of TIFF that Pillow and GDAL take for the same pixels."""

_BITS, _COLOURS, _ORIENTATION = 258, 262, 274  # tags: bits of a sample, what its values stand for, which way is up


def open_geotiff(path: Path) -> GeoTiff | None:
    """Open a TIFF to be read through GDAL; None where Pillow would take its pixels for something else.

    Raises
    ------
    RasterError
        It is cut off, holds complex numbers, or a CRS that is none.
    """
    palette, is_bits = None, False
    with path.open("rb") as file:
        picture = reading.open_image(file)
        if picture is not None:
            tags = picture.tag_v2  # type: ignore[attr-defined]
            depths = tags.get(_BITS, (1,))
            is_bits = picture.mode == "1"
            if (
                picture.mode not in _PLAIN_MODES
                or tags.get(_COLOURS, 1) not in (1, 2, 3)
                or tags.get(_ORIENTATION, 1) != 1
                or (max(depths) < 8 and picture.mode == "L")
            ):
                return None
            palette = reading.palette_of(picture)
    dataset = gdal.open_dataset(path)
    try:
        gdal.check_numbers(path, dataset)
        check_length(path, dataset)
        return GeoTiff(path, dataset, palette, is_bits)
    except BaseException:
        dataset.close()
        raise


class GeoTiff:
    """The pixels of a TIFF (see `unet.raster.pixels.Pixels`), and what the file says of itself as in `Source`."""

    def __init__(
        self, path: Path, dataset: Any, palette: tuple[tuple[int, int, int], ...] | None, is_bits: bool
    ) -> None:
        self._dataset, self.is_bits, self.palette = dataset, is_bits, palette
        self._colours = np.array(palette, dtype=np.uint8) if palette else None
        self._bands = gdal.colour_bands(dataset)
        self.shape, self.dtype = (*dataset.shape, len(self._bands)), np.dtype(dataset.dtypes[0])
        own = dataset.transform
        self.crs = _crs_of(path, dataset)
        self.transform: Affine | None = None if own.is_identity else (own.a, own.b, own.c, own.d, own.e, own.f)
        self.nodata: float | None = dataset.nodata
        self.tags: dict[str, str] = dataset.tags()
        self.in_strips = bool(dataset.block_shapes[0][1] == dataset.width)
        self.has_invalid = gdal.may_be_void(dataset)

    def picture(self, window: Window) -> NDArray[Any]:
        """Return the pixels of a picture; see `Pixels`."""
        stored = self.mask(window)
        if self._colours is not None:
            coloured: NDArray[Any] = self._colours[stored[..., 0]]
            return coloured
        return stored != 0 if self.is_bits else stored

    def mask(self, window: Window) -> NDArray[Any]:
        """Return the pixels of a mask; see `Pixels`."""
        stored: NDArray[Any] = self._read(lambda part: self._dataset.read(self._bands, window=part), window)
        return np.ascontiguousarray(stored.transpose(1, 2, 0))

    def valid(self, window: Window) -> NDArray[np.bool_]:
        """Return where there is something."""
        inside: NDArray[np.bool_] = self._read(lambda part: self._dataset.dataset_mask(window=part), window) != 0
        return inside

    def close(self) -> None:
        """Let go of the file."""
        self._dataset.close()

    def _read(self, read: Callable[[Any], NDArray[Any]], window: Window) -> NDArray[Any]:
        from rasterio.errors import RasterioIOError
        from rasterio.windows import Window as GdalWindow

        row, col, height, width = window
        try:
            return read(GdalWindow(col, row, width, height))
        except RasterioIOError as error:  # GDAL's own words are in the cause
            raise RasterioIOError(str(error.__cause__ or error)) from error


def _crs_of(path: Path, dataset: Any) -> str | None:
    from rasterio.errors import CRSError

    try:
        crs = dataset.crs
        return crs_text(crs) if crs else None
    except CRSError as error:
        raise RasterError(f"{path}: its CRS is none ({error})", "one that PROJ knows", "mend it: gdal_edit") from error


def crs_text(crs: Any) -> str:
    """Return "EPSG:n" where a CRS of rasterio is just that, else its well-known text."""
    authority = crs.to_authority(confidence_threshold=100)
    if authority is not None and authority[0] == "EPSG":
        return f"EPSG:{authority[1]}"
    return str(crs.to_wkt())


def check_length(path: Path, dataset: Any) -> None:
    """Make sure that no block lies beyond the end of the file, before hours are spent on what is before.

    Raises
    ------
    RasterError
        One does.
    """
    size, end = path.stat().st_size, 0
    bands = range(1, dataset.count + 1) if dataset.interleaving is None or dataset.interleaving.name == "band" else (1,)
    height, width = dataset.block_shapes[0]
    for band in bands:
        for row in range(-(-dataset.height // height)):
            for col in range(-(-dataset.width // width)):
                start = dataset.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", bidx=band)
                if start is not None:  # else the block was never written
                    length = dataset.get_tag_item(f"BLOCK_SIZE_{col}_{row}", "TIFF", bidx=band)
                    end = max(end, int(start) + int(length or 0))
    if end > size:
        raise RasterError(
            f"{path} is cut off ({size:,} of {end:,} bytes at least)",
            "a whole file",
            "copy or download it again",
            kind="truncated",
        )
