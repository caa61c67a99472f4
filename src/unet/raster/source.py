"""A raster that is read in windows: a map sheet, an orthophoto, or any picture.

What `Source.read` gives is what `unet.raster.read` gives of the whole file, window by window. GeoTIFF (BigTIFF and
cloud-optimised ones too) is read through GDAL as far as it is asked for, .npy is mapped; every other format is
decoded once and held in memory.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.affine import Affine
from unet.preprocessing import scaled_size
from unet.raster import reading
from unet.raster.arrays import as_mask, as_picture, picture_dtype
from unet.raster.faults import naming, start_of
from unet.raster.gdal import TIFF_STARTS
from unet.raster.geotiff import GeoTiff, open_geotiff
from unet.raster.limits import check_room
from unet.raster.pixels import Decoded, Mapped, Pixels
from unet.raster.scaled_windows import resized_window
from unet.raster.suffixes import ARRAY_SUFFIXES
from unet.raster.windows import Window, check_window

KIND_TAG, LABELS_TAG = "UNET_KIND", "UNET_LABELS"
"""Names of what our files say of themselves: epm, mask, probability or labels, and the classes as JSON."""

SCAN_ROWS = 512


class Source:
    """An open raster; a context manager. One thread uses it at a time: open one for each.

    Attributes
    ----------
    path : Path
    height, width, bands : int
        Of the picture that `read` gives.
    dtype : str
        "uint8", "uint16" or "float32": of that picture.
    crs : str or None
        "EPSG:n", or well-known text.
    transform : tuple of 6 float or None
        From column and row to map coordinates; see `unet.affine.Affine`.
    nodata : float or None
        The value that says that a pixel holds nothing.
    tags : dict of str to str
        What the file says of itself.
    palette : tuple of (int, int, int) or None
        The colours of a palette file by index.
    in_memory : bool
        The whole picture was, or is going to be, decoded into memory.
    in_strips : bool
        The file holds whole rows, and a window costs as much as all that is beside it.
    has_invalid : bool
        There may be pixels without anything: the file has a nodata value, an alpha band or a mask of its own.

    Examples
    --------
    >>> from unet import raster
    >>> with raster.open("data/imgs/p00.png") as source:
    ...     source.height, source.width, source.read((0, 8, 2, 4)).shape
    (24, 32, (2, 4, 3))
    """

    def __init__(
        self,
        path: Path,
        pixels: Pixels,
        *,
        crs: str | None = None,
        transform: Affine | None = None,
        nodata: float | None = None,
        tags: dict[str, str] | None = None,
        palette: tuple[tuple[int, int, int], ...] | None = None,
        bands: int | None = None,
        dtype: str | None = None,
        in_memory: bool = False,
        in_strips: bool = False,
        has_invalid: bool = False,
    ) -> None:
        self.path, self._pixels = path, pixels
        self.height, self.width = pixels.shape[:2]
        self.bands = bands or (3 if palette else pixels.shape[2])
        self.dtype = dtype or ("uint8" if palette else picture_dtype(pixels.dtype))
        self.crs, self.transform, self.nodata = crs, transform, nodata
        self.tags, self.palette = tags or {}, palette
        self.in_memory, self.in_strips, self.has_invalid = in_memory, in_strips, has_invalid

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._pixels.close()

    @property
    def kind(self) -> str | None:
        """What the file says it holds: "epm", "mask", "probability" or "labels"; None where it does not say."""
        return self.tags.get(KIND_TAG)

    @property
    def labels(self) -> dict[str, Any] | None:
        """The classes that the file says it holds, as `unet.labels.Labels.from_dict` reads them."""
        try:
            held = json.loads(self.tags.get(LABELS_TAG, "null"))
        except (ValueError, RecursionError):
            return None
        return held if isinstance(held, dict) else None

    def read(
        self,
        window: Window | None = None,
        *,
        scale: float | None = None,
        size: tuple[int, int] | None = None,
        resample: str = "area",
        fill: Sequence[float] | None = None,
    ) -> NDArray[Any]:
        """Return the pixels of a window as `unet.raster.read` gives them.

        Parameters
        ----------
        window : (row, col, height, width), optional
            By default all. With `scale` or `size`: of the picture at that size.
        scale : float, optional
            Factor on height and width, as in `unet.preprocessing.scaled_size`.
        size : (int, int), optional
            Height and width that the picture is brought to.
        resample : {"area", "bicubic", "bilinear", "nearest"}
            See `unet.raster.resize`, of which this gives the window to the bit.
        fill : sequence of float, optional
            For each band what pixels become that hold nothing. Without it they stay, and NaN is an error.

        Returns
        -------
        array (height, width, C)
            uint8, uint16 or float32.

        Raises
        ------
        RasterError
            The window is not within the picture, or the file cannot be read there.
        """
        if scale is not None:
            size = scaled_size(self.height, self.width, scale)
        size = size or (self.height, self.width)
        window = self._checked(window, size)

        def plain(part: Window) -> NDArray[Any]:
            pixels = self._pixels.picture(part)
            if fill is not None and self.has_invalid:
                valid = self._pixels.valid(part)
                if valid is not None and not valid.all():
                    pixels = np.where(valid[..., None], pixels, np.array(fill).astype(pixels.dtype))
            return as_picture(pixels, self.path)

        with naming(self.path):
            return resized_window(plain, (self.height, self.width), size, window, resample)

    def read_mask(self, window: Window | None = None) -> NDArray[Any]:
        """Return the values of a window as `unet.raster.read_mask` gives them.

        Raises
        ------
        RasterError
            The window is not within the picture, the file cannot be read there, or it does not hold whole numbers.
        """
        window = self._checked(window, (self.height, self.width))
        with naming(self.path):
            if self._pixels.shape[2] > 2 and self._has_colours:
                values = self._pixels.mask(window)[..., :3]
                mask = as_mask(values, self.path)
                return mask if mask.ndim == 3 else np.repeat(mask[..., None].astype(np.uint8), 3, axis=2)
            return as_mask(self._pixels.mask(window), self.path)

    def read_valid(self, window: Window | None = None) -> NDArray[np.bool_]:
        """Return where a window holds something, bool (h, w): by nodata, alpha or a mask in the file.

        The alpha of formats other than TIFF is left out, as `unet.raster.read` does.

        Raises
        ------
        RasterError
            The window is not within the picture, or the file cannot be read there.
        """
        window = self._checked(window, (self.height, self.width))
        with naming(self.path):
            valid = self._pixels.valid(window)
        return np.ones(window[2:], dtype=bool) if valid is None else valid

    @cached_property
    def _has_colours(self) -> bool:
        """Tell whether the first three bands differ anywhere; all of the file is read for it, once."""
        for row in range(0, self.height, SCAN_ROWS):
            part = self._pixels.mask((row, 0, min(SCAN_ROWS, self.height - row), self.width))[..., :3]
            if (part != part[..., :1]).any():
                return True
        return False

    def _checked(self, window: Window | None, size: tuple[int, int]) -> Window:
        row, col, height, width = window if window is not None else (0, 0, *size)
        check_window((row, col, height, width), size, self.path)
        return int(row), int(col), int(height), int(width)


def open(path: str | Path) -> Source:
    """Open a raster to read windows of it.

    Parameters
    ----------
    path : path
        GeoTIFF, .npy, or any picture that `unet.raster.read` reads.

    Raises
    ------
    RasterError
        There is no such file; it is cut off, holds complex numbers, no pixels, or a CRS that is none.
    """
    path = Path(path)
    with naming(path):
        if path.suffix.lower() == ".npy":
            return Source(path, Mapped(path))
        if path.suffix.lower() not in ARRAY_SUFFIXES and start_of(path).startswith(TIFF_STARTS):
            tiff = open_geotiff(path)
            if tiff is not None:
                return _source_of(path, tiff)
        header = reading.read_header(path)
        info = header.info
        check_room(path, (info.height, info.width), info.bands, info.dtype)
        pixels = Decoded(path, (info.height, info.width, info.bands), np.dtype(info.dtype))
        return Source(
            path, pixels, tags=header.texts, palette=header.palette, bands=info.bands, dtype=info.dtype, in_memory=True
        )


def _source_of(path: Path, tiff: GeoTiff) -> Source:
    return Source(
        path,
        tiff,
        crs=tiff.crs,
        transform=tiff.transform,
        nodata=tiff.nodata,
        tags=tiff.tags,
        palette=tiff.palette,
        dtype="uint8" if tiff.is_bits else None,
        in_strips=tiff.in_strips,
        has_invalid=tiff.has_invalid,
    )
