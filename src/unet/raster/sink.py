"""A raster that is written in windows, and is there as a whole or not at all.

What is written goes, as it is, into a part file beside the target, and at the end into the target's own format: so a
killed run can go on where it was, and the file comes out the same to the byte. The part file takes the size of the
raster without compression.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet import files
from unet.affine import Affine
from unet.errors import RasterError
from unet.raster.geotiff_writing import COMPRESSIONS, geotiff_profile, write_geotiff
from unet.raster.part_file import PartFile, is_ours, part_files, remove_parts
from unet.raster.source import KIND_TAG, LABELS_TAG, Source
from unet.raster.suffixes import TIFF_SUFFIXES, WRITABLE_SUFFIXES
from unet.raster.windows import Window, check_window
from unet.raster.writing import write_grey, write_mask, write_picture

KINDS = ("epm", "mask", "probability", "labels")
"""What a raster of ours can hold; it says so itself."""

MEMORY_BYTES = 64 << 20
"""A raster that need not be resumable and is not larger is held in memory until it is written."""


class Sink:
    """An open raster for writing; a context manager. See `create`.

    Attributes
    ----------
    path : Path
    height, width : int
    bands : int
    dtype : numpy.dtype
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        *,
        profile: dict[str, Any],
        tags: dict[str, str],
        palette: Sequence[int] | None,
        overviews: str | None,
        resumable: bool,
        signature: str,
        resume: bool,
    ) -> None:
        self.path, self.dtype = path, dtype
        self.height, self.width = shape[-2:]
        self.bands = shape[0] if len(shape) == 3 else 1
        self._profile, self._tags, self._palette, self._overviews = profile, tags, palette, overviews
        self._resumable, self._is_open = resumable, True
        self._array: NDArray[Any] | None = None
        self._part: PartFile | None = None
        if not resumable and int(np.prod(shape)) * dtype.itemsize <= MEMORY_BYTES:
            self._array = np.zeros(shape, dtype)
            return
        try:
            self._part = PartFile(path, shape, dtype, signature, resume=resume)
        except OSError as error:
            raise self._full(error) from error

    @property
    def rows_done(self) -> int:
        """Rows that an earlier run has finished, from the top."""
        return self._part.rows_done if self._part is not None else 0

    @property
    def note(self) -> dict[str, Any]:
        """What that run has noted of them."""
        return self._part.note if self._part is not None else {}

    def __enter__(self) -> Sink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abandon()

    def write(self, window: Window, pixels: NDArray[Any]) -> None:
        """Write a window.

        Parameters
        ----------
        window : (row, col, height, width)
        pixels : array (height, width) or (height, width, C)

        Raises
        ------
        RasterError
            It does not lie within the raster, the array is of another kind, or the disk is full.
        """
        row, col, height, width = window
        planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        if planes.shape != (self.bands, height, width) or planes.dtype != self.dtype:
            raise RasterError(
                f"an array of {pixels.dtype} {pixels.shape} for {self.path}",
                f"{self.dtype} ({height}, {width}, {self.bands})",
            )
        check_window(window, (self.height, self.width), self.path)
        if self._array is not None:
            whole = self._array.reshape(self.bands, self.height, self.width)
            whole[:, row : row + height, col : col + width] = planes
            return
        try:
            self._unfinished.write(row, col, planes)
        except OSError as error:
            raise self._full(error) from error

    def mark(self, rows: int, note: dict[str, Any] | None = None) -> None:
        """Record, once the disk has them, that so many rows from the top are finished, and a note about them.

        Raises
        ------
        RasterError
            The disk is full.
        """
        if not (self._resumable and self._is_open):
            return
        try:
            self._unfinished.mark(rows, note or {})
        except OSError as error:
            raise self._full(error) from error

    def close(self) -> None:
        """Bring what was written into the file's own format, and put it in place.

        Raises
        ------
        RasterError
            The file cannot be written; a resumable one is still there in its part file.
        """
        if not self._is_open:
            return
        try:
            if self._part is not None:
                self._part.sync()
            if self.path.suffix.lower() == ".npy":
                self._place_array()
            elif self.path.suffix.lower() in TIFF_SUFFIXES:
                with files.replacing(self.path) as draft:
                    write_geotiff(
                        draft, self._profile, self._rows,
                        tags=self._tags, palette=self._palette, overviews=self._overviews,
                    )  # fmt: skip
            else:
                self._write_picture()
        except (OSError, ValueError) as error:
            raise self._full(error) from error
        except RasterError:
            raise
        except Exception as error:  # rasterio's errors share no base with others
            raise self._full(error) from error
        finally:
            self._let_go()
        remove_parts(self.path)

    def abandon(self) -> None:
        """Let go without putting the file in place; what is resumable stays."""
        self._let_go()
        if not self._resumable:
            with suppress(OSError):
                remove_parts(self.path)

    def _let_go(self) -> None:
        self._array, self._is_open = None, False
        if self._part is not None:
            self._part.close()

    @property
    def _unfinished(self) -> PartFile:
        assert self._part is not None  # or it is held in memory
        return self._part

    def _full(self, error: Exception) -> RasterError:
        part, _ = part_files(self.path)
        stays = f"; {part.name} keeps what was done" if self._resumable else ""
        what = getattr(error, "strerror", None) or str(error.__cause__ or error)
        remedy = "make room, then --resume" if self._resumable else "choose another place or format"
        return RasterError(f"{self.path} cannot be written ({what}){stays}", "a place with room for it", remedy)

    def _rows(self, start: int, stop: int) -> NDArray[Any]:
        """Return finished rows, (bands, rows, width)."""
        if self._array is not None:
            return self._array.reshape(self.bands, self.height, self.width)[:, start:stop]
        return self._unfinished.rows(start, stop)

    def _place_array(self) -> None:
        if self._array is not None:
            with files.replacing(self.path) as draft, draft.open("wb") as file:
                np.save(file, self._array)
        else:
            os.replace(self._unfinished.path, self.path)

    def _write_picture(self) -> None:
        planes = self._rows(0, self.height)
        if self._palette is not None:
            write_mask(self.path, planes[0], self._palette, tags=self._tags)
        elif self.bands == 1:
            write_grey(self.path, planes[0], tags=self._tags)
        else:
            write_picture(self.path, planes.transpose(1, 2, 0), tags=self._tags)


def create(
    path: str | Path,
    *,
    like: Source | None = None,
    height: int | None = None,
    width: int | None = None,
    bands: int | None = None,
    dtype: str = "uint8",
    kind: str | None = None,
    labels: dict[str, Any] | None = None,
    palette: Sequence[int] | None = None,
    crs: str | None = None,
    transform: Affine | None = None,
    nodata: float | None = None,
    compress: str = "deflate",
    overviews: bool = True,
    overwrite: bool = False,
    resumable: bool = False,
    resume: bool = False,
    signature: str = "",
) -> Sink:
    """Begin a raster.

    Parameters
    ----------
    path : path
        .tif: a GeoTIFF in compressed blocks, a BigTIFF where it is needed, with overviews. .npy: (H, W), or (C, H, W)
        where `bands` are given. Else a picture: PNG as a rule, which is held in memory while it is put together.
    like : Source, optional
        What height, width, CRS and transform are taken from.
    height, width, bands : int, optional
    dtype : str
        float16 is written to a GeoTIFF as floats of 16 bits, which are read as float32.
    kind : {"epm", "mask", "probability", "labels"}, optional
        Written into the file.
    labels : dict, optional
        The classes, `Labels.to_dict`; written into the file.
    palette : sequence of int, optional
        Red, green, blue of value 0, of value 1, ...; for one band of uint8.
    crs, transform : optional
        As in `Source`.
    nodata : float, optional
        The value of pixels without anything; written to a GeoTIFF.
    compress : {"deflate", "zstd", "lzw"}
        Of a GeoTIFF.
    overviews : bool
        A GeoTIFF gets smaller versions of itself: of classes by the nearest pixel, of others by the mean.
    overwrite : bool
        The file may be there already.
    resumable : bool
        Keep what was written if this run does not come to an end.
    resume : bool
        Go on with what an earlier run has left, if it has left something.
    signature : str
        What the result depends on; a run with another one is not gone on with.

    Raises
    ------
    RasterError
        The file is there already, its kind cannot hold such a raster, the CRS is none, something is left of an earlier
        run, or there is no room.

    Examples
    --------
    >>> from unet import raster
    >>> with raster.create("half.tif", height=4, width=6, kind="mask") as sink:
    ...     sink.write((0, 0, 4, 6), np.ones((4, 6), np.uint8))
    >>> with raster.open("half.tif") as source:
    ...     source.kind, int(source.read_mask((2, 2, 1, 1))[0, 0])
    ('mask', 1)
    """
    path = Path(path)
    if like is not None:
        height, width = height or like.height, width or like.width
        crs, transform = crs or like.crs, transform or like.transform
    if not height or not width or (bands is not None and bands < 1):
        raise RasterError(f"{path}: a raster of {width} x {height} px", "at least 1 x 1")
    if kind is not None and kind not in KINDS:
        raise RasterError(f"kind {kind!r}", " or ".join(KINDS))
    if compress not in COMPRESSIONS:
        raise RasterError(f"compression {compress!r}", " or ".join(COMPRESSIONS))
    if path.exists() and not overwrite:
        raise RasterError(f"{path} exists already", remedy="choose another --output, or allow --overwrite")
    _check_format(path, bands or 1, dtype, palette)
    tags = {KIND_TAG: kind} if kind else {}
    if labels is not None:
        tags[LABELS_TAG] = json.dumps(labels)
    profile = {}
    if path.suffix.lower() in TIFF_SUFFIXES:
        profile = geotiff_profile(path, height, width, bands or 1, dtype, kind, crs, transform, nodata, compress)
    left = part_files(path)[0]
    if resumable and is_ours(left) and not resume and not overwrite:
        raise RasterError(
            f"{left} is what an earlier run has left", remedy="go on with --resume, or start again with --overwrite"
        )
    return Sink(
        path,
        (height, width) if bands is None else (bands, height, width),
        np.dtype(dtype),
        profile=profile,
        tags=tags,
        palette=palette,
        overviews=("nearest" if kind in ("mask", "labels") else "average") if overviews else None,
        resumable=resumable,
        signature=signature,
        resume=resume,
    )


def _check_format(path: Path, bands: int, dtype: str, palette: Sequence[int] | None) -> None:
    suffix = path.suffix.lower()
    if palette is not None and (bands, dtype) != (1, "uint8"):
        raise RasterError(f"{path}: a palette for {bands} bands of {dtype}", "one band of uint8")
    if suffix in (*TIFF_SUFFIXES, ".npy"):
        return
    if suffix not in WRITABLE_SUFFIXES:
        raise RasterError(f"{path} has no ending of a picture format", ".tif, .png, .npy or the like")
    if not ((bands == 1 and dtype in ("bool", "uint8", "uint16")) or (bands == 3 and dtype == "uint8")):
        raise RasterError(
            f"{path} for {bands} band{'s' * (bands != 1)} of {dtype}", "a format that holds it: .tif or .npy"
        )
