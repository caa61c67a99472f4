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
from unet.errors import RasterError
from unet.raster import reading
from unet.raster.scaled_windows import Window
from unet.raster.source import KIND_TAG, LABELS_TAG, Affine, Source, check_length
from unet.raster.writing import write_grey, write_mask, write_picture

KINDS = ("epm", "mask", "probability", "labels")
"""What a raster of ours can hold; it says so itself."""

COMPRESSIONS = ("deflate", "zstd", "lzw")

BLOCK = 512
"""Pixels of a side of the blocks of a GeoTIFF."""

MEMORY_BYTES = 64 << 20
"""A raster that need not be resumable and is not larger is held in memory until it is written."""

_FORMAT = 1
_TIFF = (".tif", ".tiff")


class Sink:
    """An open raster for writing; a context manager. See `create`.

    Attributes
    ----------
    path : Path
    height, width : int
    bands : int
    dtype : numpy.dtype
    rows_done : int
        Rows that an earlier run has finished, from the top.
    note : dict
        What that run has noted of them.
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
        self.path, self.dtype, self._shape = path, dtype, shape
        self.height, self.width = shape[-2:]
        self.bands = shape[0] if len(shape) == 3 else 1
        self._profile, self._tags, self._palette, self._overviews = profile, tags, palette, overviews
        self._resumable, self._signature = resumable, signature
        self.part, self._state = part_files(path)
        self.rows_done, self.note = 0, dict[str, Any]()
        self._file: int | None = None
        self._array: NDArray[Any] | None = None
        if not resumable and int(np.prod(shape)) * dtype.itemsize <= MEMORY_BYTES:
            self._array = np.zeros(shape, dtype)
            return
        try:
            self._open_part(resume)
        except OSError as error:
            self._let_go()
            raise self._full(error) from error
        except RasterError:
            self._let_go()
            raise

    def _open_part(self, resume: bool) -> None:
        header = _header(self._shape, self.dtype)
        self._start = len(header)
        self.part.parent.mkdir(parents=True, exist_ok=True)
        if resume and self.part.exists():
            self._file = self._locked(os.O_RDWR)
            self.rows_done = self._rows_in_state()
            return
        self._file = self._locked(os.O_RDWR | os.O_CREAT)
        self._state.unlink(missing_ok=True)
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, header, 0)
        os.ftruncate(self._file, self._start + int(np.prod(self._shape)) * self.dtype.itemsize)

    def _locked(self, flags: int) -> int:
        """Open the part file, which the system unlocks when this process ends, however it ends."""
        import fcntl

        file = os.open(self.part, flags, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise RasterError(
                f"{self.path} is being written by another process", remedy="wait for it, or choose another --output"
            ) from None
        return file

    def _rows_in_state(self) -> int:
        try:
            held: dict[str, Any] = json.loads(self._state.read_text(encoding="utf-8"))
            same = held["format"] == _FORMAT and held["signature"] == self._signature
            rows, note = int(held["rows"]), dict(held["note"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0  # killed before its first row was finished
        whole = self._start + int(np.prod(self._shape)) * self.dtype.itemsize
        if not same or self.part.stat().st_size != whole:
            raise RasterError(
                f"{self.part} is what is left of a run with another input, model or options",
                "the same run to resume",
                "start again with --overwrite instead of --resume",
            )
        self.note = note
        return rows

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
        if min(row, col) < 0 or row + height > self.height or col + width > self.width:
            raise RasterError(
                f"{self.path}: a window of {width} x {height} px at column {col}, row {row}",
                f"one within {self.width} x {self.height} px",
            )
        if self._array is not None:
            whole = self._array.reshape(self.bands, self.height, self.width)
            whole[:, row : row + height, col : col + width] = planes
            return
        try:
            self._write_part(row, col, planes)
        except OSError as error:
            raise self._full(error) from error

    def _write_part(self, row: int, col: int, planes: NDArray[Any]) -> None:
        assert self._file is not None
        for band, plane in enumerate(planes):
            place = self._start + ((band * self.height + row) * self.width + col) * self.dtype.itemsize
            if plane.shape[1] == self.width:
                _write_all(self._file, np.ascontiguousarray(plane), place)
                continue
            for line in np.ascontiguousarray(plane):
                _write_all(self._file, line, place)
                place += self.width * self.dtype.itemsize

    def mark(self, rows: int, note: dict[str, Any] | None = None) -> None:
        """Record, once the disk has them, that so many rows from the top are finished, and a note about them.

        Raises
        ------
        RasterError
            The disk is full.
        """
        if self._file is None or not self._resumable:
            return
        try:
            os.fsync(self._file)
            text = json.dumps({"format": _FORMAT, "signature": self._signature, "rows": rows, "note": note or {}})
            with files.replacing(self._state, durable=True) as draft:
                draft.write_text(text, encoding="utf-8")
        except OSError as error:
            raise self._full(error) from error
        self.rows_done = rows

    def close(self) -> None:
        """Bring what was written into the file's own format, and put it in place.

        Raises
        ------
        RasterError
            The file cannot be written; a resumable one is still there in its part file.
        """
        if self._file is None and self._array is None:
            return
        try:
            if self._file is not None:
                os.fsync(self._file)
            if self.path.suffix.lower() == ".npy":
                self._place_array()
            elif self.path.suffix.lower() in _TIFF:
                with files.replacing(self.path) as draft:
                    self._write_tiff(draft)
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
        self._array = None
        for left in (self.part, self._state):
            left.unlink(missing_ok=True)

    def abandon(self) -> None:
        """Let go without putting the file in place; what is resumable stays."""
        self._let_go()
        self._array = None
        if not self._resumable:
            with suppress(OSError):
                self.part.unlink()

    def _let_go(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _full(self, error: Exception) -> RasterError:
        stays = f"; {self.part.name} keeps what was done" if self._resumable else ""
        what = getattr(error, "strerror", None) or str(error.__cause__ or error)
        remedy = "make room, then --resume" if self._resumable else "choose another place or format"
        return RasterError(f"{self.path} cannot be written ({what}){stays}", "a place with room for it", remedy)

    def _rows(self, start: int, stop: int) -> NDArray[Any]:
        """Return finished rows, (bands, rows, width)."""
        if self._array is not None:
            return self._array.reshape(self.bands, self.height, self.width)[:, start:stop]
        assert self._file is not None
        rows = np.empty((self.bands, stop - start, self.width), self.dtype)
        for band in range(self.bands):
            place = self._start + (band * self.height + start) * self.width * self.dtype.itemsize
            view = memoryview(rows[band]).cast("B")
            while len(view):
                count = os.preadv(self._file, [view], place)
                if not count:
                    raise OSError(f"{self.part} is cut off")
                view, place = view[count:], place + count
        return rows

    def _place_array(self) -> None:
        if self._array is not None:
            with files.replacing(self.path) as draft, draft.open("wb") as file:
                np.save(file, self._array)
        else:
            os.replace(self.part, self.path)

    def _write_picture(self) -> None:
        planes = self._rows(0, self.height)
        if self._palette is not None:
            write_mask(self.path, planes[0], self._palette, tags=self._tags)
        elif self.bands == 1:
            write_grey(self.path, planes[0], tags=self._tags)
        else:
            write_picture(self.path, planes.transpose(1, 2, 0), tags=self._tags)

    def _write_tiff(self, draft: Path) -> None:
        import rasterio
        from rasterio.enums import Resampling

        reading.set_up_gdal()
        with rasterio.open(draft, "w", **self._profile) as dataset:
            dataset.update_tags(**self._tags)
            if self._palette is not None:
                colours = np.array(self._palette).reshape(-1, 3).tolist()
                dataset.write_colormap(1, {index: (*colour, 255) for index, colour in enumerate(colours)})
            for start in range(0, self.height, BLOCK):
                stop = min(start + BLOCK, self.height)
                rows = self._rows(start, stop).astype(self._profile["dtype"], copy=False)
                dataset.write(rows, window=rasterio.windows.Window(0, start, self.width, stop - start))
        factors = [1 << level for level in range(1, 16) if max(self.height, self.width) >> (level - 1) > BLOCK]
        if self._overviews and factors:
            with rasterio.open(draft, "r+") as dataset:
                dataset.build_overviews(factors, Resampling[self._overviews])
        with rasterio.open(draft) as dataset:  # GDAL has been seen to close a file on a full disk without a word
            check_length(draft, dataset)


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
    if path.suffix.lower() in _TIFF:
        profile = _profile(path, height, width, bands or 1, dtype, kind, crs, transform, nodata, compress)
    left = next((part for part in part_files(path) if part.exists()), None)
    if resumable and left is not None and not resume and not overwrite:
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


def part_files(path: Path) -> tuple[Path, Path]:
    """Return where an unfinished raster lies, and what says how far it is."""
    return path.with_name(f".{path.name}.part"), path.with_name(f".{path.name}.part.json")


def _check_format(path: Path, bands: int, dtype: str, palette: Sequence[int] | None) -> None:
    suffix = path.suffix.lower()
    if palette is not None and (bands, dtype) != (1, "uint8"):
        raise RasterError(f"{path}: a palette for {bands} bands of {dtype}", "one band of uint8")
    if suffix in (*_TIFF, ".npy"):
        return
    if suffix not in reading.PICTURE_SUFFIXES - {".pt", ".pth"}:
        raise RasterError(f"{path} has no ending of a picture format", ".tif, .png, .npy or the like")
    if not ((bands == 1 and dtype in ("bool", "uint8", "uint16")) or (bands == 3 and dtype == "uint8")):
        raise RasterError(
            f"{path} for {bands} band{'s' * (bands != 1)} of {dtype}", "a format that holds it: .tif or .npy"
        )


def _profile(
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
    """Return what GDAL is told about a GeoTIFF."""
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


def _header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """Return the header of a .npy file."""
    from io import BytesIO

    file = BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    )
    return file.getvalue()


def _write_all(file: int, values: NDArray[Any], place: int) -> None:
    view = memoryview(values.data).cast("B")
    while len(view):
        count = os.pwrite(file, view, place)
        view, place = view[count:], place + count
