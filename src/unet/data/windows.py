"""Sheets that are too large to be held: blocks of them, each a window of its files, read like a picture."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from unet import raster
from unet.data.hashing import Stamp, stamp
from unet.data.pairs import Pair
from unet.errors import RasterError
from unet.raster import Source, Window

MAX_PIXELS = 64_000_000
"""Larger pictures are cut into blocks without being asked to, if they can be read in windows."""

BLOCK = (1024, 1024)
"""Height and width of such blocks: a few tiles of a usual GeoTIFF, read in a moment."""

WINDOWED_SUFFIXES = raster.TIFF_SUFFIXES | {".npy"}
"""Endings of files of which a window can be read without the rest."""

MAX_OPEN = 8
"""So many files a thread keeps open."""

MAX_DECODED = 2
"""So many files that are decoded as a whole stay in memory: a sheet's mask and its region of interest."""


def blocks(height: int, width: int, tile: tuple[int, int]) -> list[Window]:
    """Return windows (row, column, height, width) that cover a picture once, each about as large as a tile."""
    rows, columns = _cuts(height, tile[0]), _cuts(width, tile[1])
    return [
        (top, left, bottom - top, right - left) for top, bottom in pairwise(rows) for left, right in pairwise(columns)
    ]


def _cuts(length: int, size: int) -> list[int]:
    return [0, *range(size, length - (size - 1) // 2, size), length]


def cut_sheets(
    pairs: Sequence[Pair], tile: tuple[int, int] | None = None, say: Callable[[str], None] = lambda text: None
) -> tuple[Pair, ...]:
    """Return pairs, those of more than `MAX_PIXELS` that can be read in windows as blocks NAME@ROW,COLUMN.

    Parameters
    ----------
    pairs : sequence of Pair
    tile : (int, int), optional
        Height and width of the blocks, by default `BLOCK`.
    say : callable
        Called with a sentence where something is cut.

    Raises
    ------
    RasterError
        A sheet's header cannot be read.
    """
    tile = tile or BLOCK
    cut: list[Pair] = []
    sheets: list[Pair] = []
    for pair in pairs:
        size = None if pair.window else _sheet_size(pair.image)
        if size is None:
            cut.append(pair)
            continue
        sheets.append(pair)
        cut += [replace(pair, name=f"{pair.name}@{w[0]},{w[1]}", window=w) for w in blocks(*size, tile)]
    if sheets:
        what = sheets[0].name if len(sheets) == 1 else f"{len(sheets)} pictures"
        count = len(cut) - len(pairs) + len(sheets)
        say(
            f"{what}: of more than {MAX_PIXELS // 10**6} megapixels, read as {count} blocks of about "
            f"{tile[0]} x {tile[1]} pixels (tile = [...] in dataset.toml sets another size)"
        )
    return tuple(cut)


def _sheet_size(path: Path) -> tuple[int, int] | None:
    """Return the size of a large sheet that can be read in windows; None of any other file, faulty ones included."""
    if path.suffix.lower() not in WINDOWED_SUFFIXES:
        return None
    try:
        info = raster.probe(path)
        if info.height * info.width <= MAX_PIXELS or not reads_windows(path):
            return None
    except RasterError:  # said of each file by whoever reads it
        return None
    return info.height, info.width


def reads_windows(path: Path) -> bool:
    """Tell whether windows of a file can be read without the rest.

    Raises
    ------
    RasterError
        The file cannot be read.
    """
    if path.suffix.lower() not in WINDOWED_SUFFIXES:
        return False
    return not source_of(path).in_memory


class _Open(threading.local):
    """The files that this thread keeps open, the one used last at the end."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.sources: dict[_Key, Source] = {}


_Key = tuple[Path, Stamp]
_open = _Open()
_decoded: dict[_Key, Source] = {}
_sharing = threading.Lock()


def source_of(path: Path) -> Source:
    """Return an open raster, which stays open for the next window: to open a large one takes a while.

    Each thread has its own; those that are decoded as a whole, of which a few stay in memory, all threads share.

    Raises
    ------
    RasterError
        There is no such file, or it cannot be read.
    """
    if _open.process != os.getpid():  # a forked process must not read from its parent's files
        _open.__init__()  # type: ignore[misc]
    try:
        key = (path, stamp(path))
    except OSError:
        return raster.open(path)  # which says what is wrong
    with _sharing:
        if key in _decoded:
            return _decoded[key]
        source = _open.sources.pop(key, None) or raster.open(path)
        if source.in_memory:
            _keep(_decoded, key, source, MAX_DECODED)
            return source
    for _, old in _keep(_open.sources, key, source, MAX_OPEN):
        old.close()
    return source


def _keep(held: dict[_Key, Source], key: _Key, source: Source, most: int) -> list[tuple[_Key, Source]]:
    """Add a source to those that are held; return those that are not any more."""
    stale = [other for other in held if other[0] == key[0]]
    stale += [other for other in held if other not in stale][: max(0, len(held) - len(stale) - most + 1)]
    gone = [(other, held.pop(other)) for other in stale]
    held[key] = source
    return gone


def has_void(path: Path) -> bool:
    """Tell whether a picture may have pixels that hold nothing, by the file's own word: no value, alpha or a mask.

    Only TIFF is asked.

    Raises
    ------
    RasterError
        It cannot be read.
    """
    return path.suffix.lower() in raster.TIFF_SUFFIXES and source_of(path).has_invalid
