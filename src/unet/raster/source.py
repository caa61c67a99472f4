"""A raster that is read in windows: a map sheet, an orthophoto, or any picture.

What `Source.read` gives is what `unet.raster.read` gives of the whole file, window by window. GeoTIFF (BigTIFF and
cloud-optimised ones too) is read through GDAL as far as it is asked for, .npy is mapped; every other format is
decoded once and held in memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unet.errors import RasterError
from unet.preprocessing import scaled_size
from unet.raster import reading
from unet.raster.arrays import ARRAY_SUFFIXES, as_mask, as_picture, bands_last, load_array, picture_dtype
from unet.raster.faults import naming, start_of
from unet.raster.scaled_windows import Window, resized_window

KIND_TAG, LABELS_TAG = "UNET_KIND", "UNET_LABELS"
"""Names of what our files say of themselves: epm, mask, probability or labels, and the classes as JSON."""

SCAN_ROWS = 512

_PLAIN_MODES = frozenset({"1", "L", "P", "RGB", "RGBA", "I;16", "I;16B", "I", "F"})
"""Kinds of TIFF that Pillow and GDAL take for the same pixels."""

Affine = tuple[float, float, float, float, float, float]
"""a, b, c, d, e, f: a pixel's column and row become the place (a * col + b * row + c, d * col + e * row + f)."""


class _Pixels(Protocol):
    """Where a source's pixels come from: all bands but alpha, as they are stored."""

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]

    def picture(self, window: Window) -> NDArray[Any]:
        """Return the pixels as a picture's, (h, w, C): palettes are colours."""

    def mask(self, window: Window) -> NDArray[Any]:
        """Return the pixels as a mask's, (h, w, C): palettes are indices."""

    def valid(self, window: Window) -> NDArray[np.bool_] | None:
        """Return where there is something, (h, w); None: everywhere."""

    def close(self) -> None:
        """Let go of the file."""


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
        From column and row to map coordinates, as in `affine.Affine`.
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
        pixels: _Pixels,
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
        except ValueError:
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
        if min(row, col) < 0 or min(height, width) < 1 or row + height > size[0] or col + width > size[1]:
            raise RasterError(
                f"{self.path}: a window of {width} x {height} px at column {col}, row {row}",
                f"one within {size[1]} x {size[0]} px",
            )
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
            return Source(path, _Mapped(path))
        if path.suffix.lower() not in ARRAY_SUFFIXES and start_of(path).startswith(reading.TIFF_STARTS):
            source = _open_tiff(path)
            if source is not None:
                return source
        info = reading.probe(path)
        tags = {} if path.suffix.lower() in ARRAY_SUFFIXES else reading.text_tags(path)
        palette = reading.mask_palette(path)
        pixels = _Decoded(path, (info.height, info.width, info.bands), np.dtype(info.dtype))
        return Source(path, pixels, tags=tags, palette=palette, bands=info.bands, dtype=info.dtype, in_memory=True)


class _Decoded:
    """A file that is decoded as a whole, when it is first asked for."""

    def __init__(self, path: Path, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> None:
        self.path, self.shape, self.dtype = path, shape, dtype
        self._picture: NDArray[Any] | None = None
        self._mask: NDArray[Any] | None = None
        self._decoding = Lock()  # threads may share what is in memory, and it is decoded once

    def picture(self, window: Window) -> NDArray[Any]:
        with self._decoding:
            if self._picture is None:
                self._picture = reading.read(self.path)
            return _cut(self._picture, window)

    def mask(self, window: Window) -> NDArray[Any]:
        with self._decoding:
            if self._mask is None:
                self._mask = np.atleast_3d(reading.read_mask(self.path))
            return _cut(self._mask, window)

    def valid(self, window: Window) -> None:
        return None

    def close(self) -> None:
        self._picture = self._mask = None


class _Mapped:
    """A .npy file."""

    def __init__(self, path: Path) -> None:
        self._array = bands_last(load_array(path), path)
        height, width, bands = self._array.shape
        self.shape, self.dtype = (height, width, bands), self._array.dtype

    def picture(self, window: Window) -> NDArray[Any]:
        return np.array(_cut(self._array, window))

    def mask(self, window: Window) -> NDArray[Any]:
        return np.array(_cut(self._array, window))

    def valid(self, window: Window) -> None:
        return None

    def close(self) -> None:
        del self._array


class _Tiff:
    """A TIFF file, through GDAL."""

    def __init__(self, dataset: Any, palette: tuple[tuple[int, int, int], ...] | None, bits: bool) -> None:
        self._dataset, self._bits = dataset, bits
        self._colours = np.array(palette, dtype=np.uint8) if palette else None
        self._bands = reading.colour_bands(dataset)
        self.shape, self.dtype = (*dataset.shape, len(self._bands)), np.dtype(dataset.dtypes[0])

    def picture(self, window: Window) -> NDArray[Any]:
        stored = self.mask(window)
        if self._colours is not None:
            coloured: NDArray[Any] = self._colours[stored[..., 0]]
            return coloured
        return stored != 0 if self._bits else stored

    def mask(self, window: Window) -> NDArray[Any]:
        stored: NDArray[Any] = self._read(lambda part: self._dataset.read(self._bands, window=part), window)
        return np.ascontiguousarray(stored.transpose(1, 2, 0))

    def valid(self, window: Window) -> NDArray[np.bool_]:
        inside: NDArray[np.bool_] = self._read(lambda part: self._dataset.dataset_mask(window=part), window) != 0
        return inside

    def close(self) -> None:
        self._dataset.close()

    def _read(self, read: Callable[[Any], NDArray[Any]], window: Window) -> NDArray[Any]:
        from rasterio.errors import RasterioIOError
        from rasterio.windows import Window as GdalWindow

        row, col, height, width = window
        try:
            return read(GdalWindow(col, row, width, height))
        except RasterioIOError as error:  # GDAL's own words are in the cause
            raise RasterioIOError(str(error.__cause__ or error)) from error


def _cut(array: NDArray[Any], window: Window) -> NDArray[Any]:
    row, col, height, width = window
    return array[row : row + height, col : col + width]


def _open_tiff(path: Path) -> Source | None:
    """Return a TIFF to be read through GDAL; None where Pillow would take its pixels for something else."""
    palette, bits = None, False
    with path.open("rb") as file:
        picture = reading.open_image(file)
        if picture is not None:
            tags = picture.tag_v2  # type: ignore[attr-defined]
            depths = tags.get(258, (1,))
            bits = picture.mode == "1"
            if (
                picture.mode not in _PLAIN_MODES
                or tags.get(262, 1) not in (1, 2, 3)
                or tags.get(274, 1) != 1
                or (max(depths) < 8 and picture.mode == "L")
            ):
                return None
            palette = reading.palette_of(picture)
    dataset = _dataset(path)
    try:
        if any(name.startswith("complex") for name in dataset.dtypes):
            raise RasterError(f"{path} holds complex numbers", "real ones")
        pixels = _Tiff(dataset, palette, bits)
        check_length(path, dataset)
        own = dataset.transform
        flags = {flag.name for each in dataset.mask_flag_enums for flag in each}
        return Source(
            path,
            pixels,
            crs=_crs_text(path, dataset),
            transform=None if own.is_identity else (own.a, own.b, own.c, own.d, own.e, own.f),
            nodata=dataset.nodata,
            tags=dataset.tags(),
            palette=palette,
            dtype="uint8" if bits else None,
            in_strips=dataset.block_shapes[0][1] == dataset.width,
            has_invalid=bool(flags - {"all_valid"}),
        )
    except BaseException:
        dataset.close()
        raise


def _dataset(path: Path) -> Any:
    import rasterio

    reading.set_up_gdal()
    return rasterio.open(path, driver="GTiff")


def _crs_text(path: Path, dataset: Any) -> str | None:
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
