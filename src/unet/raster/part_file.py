"""A raster that is not finished yet, as a file beside its target: it outlives a killed run, which can go on with it."""

from __future__ import annotations

import json
import os
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet import files
from unet.errors import RasterError

_FORMAT = 1

_MAGIC = b"\x93NUMPY"


def part_files(path: Path) -> tuple[Path, Path]:
    """Return where an unfinished raster lies, and what says how far it is."""
    return path.with_name(f".{path.name}.part"), path.with_name(f".{path.name}.part.json")


def is_ours(path: Path) -> bool:
    """Tell whether there is an unfinished raster of ours at a place, and not a file that somebody calls like one."""
    part, state = path, path.with_name(f"{path.name}.json")
    try:
        with part.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except FileNotFoundError:
        return state.exists() and _is_state(state)
    except OSError:
        return False


def _is_state(path: Path) -> bool:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(held, dict) and {"format", "signature", "rows"} <= held.keys()


def remove_parts(target: Path) -> None:
    """Delete what is left of an unfinished raster of ours, if there is something; files of others stay."""
    part, state = part_files(target)
    if is_ours(part):
        part.unlink(missing_ok=True)
        if _is_state(state):
            state.unlink(missing_ok=True)


class PartFile:
    """A .npy file that is written in windows, and locked as long as it is open.

    Parameters
    ----------
    target : Path
        What it is going to be.
    shape : (int, int) or (int, int, int)
        Of the array: (H, W) or (C, H, W).
    dtype : numpy.dtype
    signature : str
        What the result depends on.
    resume : bool
        Go on with what an earlier run has left.

    Attributes
    ----------
    path : Path
    rows_done : int
        Rows that an earlier run has finished, from the top.
    note : dict
        What that run has noted of them.

    Raises
    ------
    RasterError
        Another process writes it, or what is left came of another signature.
    OSError
        It cannot be written.
    """

    def __init__(
        self, target: Path, shape: tuple[int, ...], dtype: np.dtype[Any], signature: str, *, resume: bool
    ) -> None:
        self.target, self.dtype, self._signature = target, dtype, signature
        self.path, self._state = part_files(target)
        self.height, self.width = shape[-2:]
        self.bands = shape[0] if len(shape) == 3 else 1
        self.rows_done, self.note = 0, dict[str, Any]()
        header = _header(shape, dtype)
        self._start = len(header)
        self._bytes = self._start + int(np.prod(shape)) * dtype.itemsize
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists() and not is_ours(self.path):
            raise RasterError(
                f"{self.path} is in the way, and is not what an earlier run has left",
                remedy="move it elsewhere, or choose another --output",
            )
        resume = resume and self.path.exists()
        self._file: int | None = self._locked(os.O_RDWR if resume else os.O_RDWR | os.O_CREAT)
        try:
            if resume:
                self.rows_done, self.note = self._read_state()
                return
            if _is_state(self._state):
                self._state.unlink()
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, header, 0)
            os.ftruncate(self._file, self._bytes)
        except BaseException:
            self.close()
            raise

    def _locked(self, flags: int) -> int:
        """Open the file, which the system unlocks when this process ends, however it ends."""
        import fcntl

        file = os.open(self.path, flags, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise RasterError(
                f"{self.target} is being written by another process", remedy="wait for it, or choose another --output"
            ) from None
        return file

    def _read_state(self) -> tuple[int, dict[str, Any]]:
        try:
            held: dict[str, Any] = json.loads(self._state.read_text(encoding="utf-8"))
            same = held["format"] == _FORMAT and held["signature"] == self._signature
            rows, note = int(held["rows"]), dict(held["note"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0, {}  # killed before its first row was finished
        if not same or self.path.stat().st_size != self._bytes:
            raise RasterError(
                f"{self.path} is what is left of a run with another input, model or options",
                "the same run to resume",
                "start again with --overwrite instead of --resume",
            )
        return rows, note

    def write(self, row: int, col: int, planes: NDArray[Any]) -> None:
        """Write a window (bands, height, width) whose first pixel is at a row and column."""
        for band, plane in enumerate(planes):
            place = self._place(band, row) + col * self.dtype.itemsize
            if plane.shape[1] == self.width:
                self._write_at(place, np.ascontiguousarray(plane))
                continue
            for line in np.ascontiguousarray(plane):
                self._write_at(place, line)
                place += self.width * self.dtype.itemsize

    def mark(self, rows: int, note: dict[str, Any]) -> None:
        """Record, once the disk has them, that so many rows from the top are finished, and a note about them."""
        self.sync()
        text = json.dumps({"format": _FORMAT, "signature": self._signature, "rows": rows, "note": note})
        with files.replacing(self._state, durable=True) as draft:
            draft.write_text(text, encoding="utf-8")
        self.rows_done = rows

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Return what was written of some rows, (bands, rows, width)."""
        rows = np.empty((self.bands, stop - start, self.width), self.dtype)
        for band in range(self.bands):
            place, view = self._place(band, start), memoryview(rows[band]).cast("B")
            while len(view):
                count = os.preadv(self._open_file, [view], place)
                if not count:
                    raise OSError(f"{self.path} is cut off")
                view, place = view[count:], place + count
        return rows

    def sync(self) -> None:
        """Wait until the disk has what was written."""
        os.fsync(self._open_file)

    def close(self) -> None:
        """Let go of the file, which stays."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    @property
    def _open_file(self) -> int:
        assert self._file is not None
        return self._file

    def _place(self, band: int, row: int) -> int:
        return self._start + (band * self.height + row) * self.width * self.dtype.itemsize

    def _write_at(self, place: int, values: NDArray[Any]) -> None:
        view = memoryview(values.data).cast("B")
        while len(view):
            count = os.pwrite(self._open_file, view, place)
            view, place = view[count:], place + count


def _header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """Return the header of a .npy file."""
    file = BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    )
    return file.getvalue()
