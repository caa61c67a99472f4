"""A window of a picture at another size, out of no more of the picture than it takes.

`resize` asks Pillow, which has to be given the whole picture: for a window of it Pillow rounds where the window lies,
and where a filter's weight jumps other pixels would be taken. So the filters are worked out here as Pillow works them
out for the whole length, in double precision and the same order, and only the rows and columns that the window needs
are multiplied.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unet.errors import RasterError
from unet.raster.resizing import FILTERS, nearest_places, resize
from unet.raster.windows import Window

_SUPPORT = {"area": 0.5, "bilinear": 1.0, "bicubic": 2.0}
"""How far the filters reach, in pixels of the coarser picture."""

_GAP = 2.0
"""`resize` averages whole blocks of pixels first where "area" still has so much to reduce after it."""

_FIXED = 22
"""Bits behind the point of the weights for bytes."""


def resized_window(
    read: Callable[[Window], NDArray[Any]], shape: tuple[int, int], size: tuple[int, int], window: Window, resample: str
) -> NDArray[Any]:
    """Return a window of what `resize` makes of a picture.

    Parameters
    ----------
    read : callable
        Given a window of the picture, returns its pixels (h, w, C).
    shape : (int, int)
        Height and width of the picture.
    size : (int, int)
        Height and width that it is brought to.
    window : (row, col, height, width)
        Of the picture at that size.
    resample : {"nearest", "bilinear", "bicubic", "area"}
        See `resize`.

    Returns
    -------
    array (height, width, C)
        The same to the bit as the window of the resized whole. (On processors on which Pillow was built to multiply and
        add in one step, as on ARM, a value may differ in its last digit.)

    Raises
    ------
    RasterError
        An unknown filter.

    Examples
    --------
    >>> picture = np.arange(60, dtype=np.uint8).reshape(6, 10, 1)
    >>> def read(window):
    ...     row, col, height, width = window
    ...     return picture[row : row + height, col : col + width]
    >>> part = resized_window(read, (6, 10), (4, 7), (1, 2, 2, 3), "bicubic")
    >>> bool((part == resize(picture, 4, 7, "bicubic")[1:3, 2:5]).all())
    True
    """
    if resample not in FILTERS:
        raise RasterError(f"resize filter {resample!r}", ", ".join(FILTERS))
    if shape == size:
        return read(window)
    if window == (0, 0, *size):
        return resize(read((0, 0, *shape)), *size, resample)
    if resample == "area" and (size[0] > shape[0] or size[1] > shape[1]):
        resample = "bilinear"
    row, col, height, width = window
    if resample == "nearest":
        return _nearest(read, shape, size, window)
    if resample == "area" and shape[0] % size[0] == 0 and shape[1] % size[1] == 0:
        down, across = shape[0] // size[0], shape[1] // size[1]
        blocks = read((row * down, col * across, height * down, width * across))
        return resize(blocks, height, width, resample)
    rows, cols = _Axis(shape[0], size[0], resample), _Axis(shape[1], size[1], resample)
    first_row, last_row = rows.needed(row, row + height)
    first_col, last_col = cols.needed(col, col + width)
    top, left = first_row * rows.block, first_col * cols.block
    bottom, right = min(last_row * rows.block, shape[0]), min(last_col * cols.block, shape[1])
    part = read((top, left, bottom - top, right - left))
    bands = []
    for band in range(part.shape[2]):
        plane = _exact_plane(part[..., band])
        if (rows.block, cols.block) != (1, 1):
            plane = np.asarray(Image.fromarray(plane).reduce((cols.block, rows.block)))
        for axis in _order(rows, cols):
            if axis is rows:
                plane = rows.filtered(plane, row, row + height, first_row)
            else:
                plane = cols.filtered(plane.T, col, col + width, first_col).T
        bands.append(_stored(plane, part.dtype))
    return np.stack(bands, axis=2)


def _nearest(
    read: Callable[[Window], NDArray[Any]], shape: tuple[int, int], size: tuple[int, int], window: Window
) -> NDArray[Any]:
    row, col, height, width = window
    rows = nearest_places(shape[0], size[0])[row : row + height]
    cols = nearest_places(shape[1], size[1])[col : col + width]
    top, left = int(rows[0]), int(cols[0])
    part = read((top, left, int(rows[-1]) + 1 - top, int(cols[-1]) + 1 - left))
    resized: NDArray[Any] = part[(rows - top)[:, None], (cols - left)[None]]
    return resized


def _order(rows: _Axis, cols: _Axis) -> tuple[_Axis, _Axis]:
    """Return the axes in the order in which they are filtered: bytes are rounded in between, so that it matters."""
    fewer_rows, fewer_cols = rows.blocks - rows.new_length, cols.blocks - cols.new_length
    if fewer_rows > 0 and fewer_rows > 2 * fewer_cols and _tall_ones_rows_first():
        return rows, cols
    return cols, rows


@cache
def _tall_ones_rows_first() -> bool:
    """Tell whether this Pillow filters the rows first where many more of them than of the columns go, as 13 does."""
    picture = Image.fromarray((np.arange(24 * 5, dtype=np.uint32) ** 3 % 251).astype(np.uint8).reshape(24, 5))
    bilinear = FILTERS["bilinear"]
    rows_first = picture.resize((5, 7), bilinear).resize((3, 7), bilinear)
    return picture.resize((3, 7), bilinear).tobytes() == rows_first.tobytes()


def _exact_plane(band: NDArray[Any]) -> NDArray[Any]:
    """Return a band as it is filtered: bytes, or float32."""
    return np.ascontiguousarray(band if band.dtype == np.uint8 else band.astype(np.float32))


def _stored(plane: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    if plane.dtype == np.float32 and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        plane = np.rint(plane).clip(limits.min, limits.max)
    return plane.astype(dtype, copy=False)


@dataclass(frozen=True)
class _Axis:
    """How rows (or columns) become fewer or more.

    Attributes
    ----------
    length, new_length : int
    resample : str
    """

    length: int
    new_length: int
    resample: str

    @property
    def block(self) -> int:
        """How many pixels are averaged before the filter."""
        return (int(self.length / self.new_length / _GAP) or 1) if self.resample == "area" else 1

    @property
    def blocks(self) -> int:
        """How many of them there are."""
        return -(-self.length // self.block)

    @property
    def _end(self) -> float:
        """Where the picture ends, in blocks, in Pillow's single precision."""
        return float(np.float32(self.length / self.block))

    def needed(self, start: int, stop: int) -> tuple[int, int]:
        """Return the first block that the new pixels start..stop - 1 need, and the one after the last."""
        if self._is_left_alone():
            return start, stop
        first, last, _ = self._bounds(np.array([start, stop - 1]))
        return int(first[0]), int(last[1])

    def filtered(self, plane: NDArray[Any], start: int, stop: int, offset: int) -> NDArray[Any]:
        """Return the new rows start..stop - 1 from rows of which the first is block `offset`."""
        from scipy.sparse import csr_array  # slow to import

        if self._is_left_alone():
            return plane
        indices, weights, pointers = self._weights(start, stop)
        shape = (stop - start, plane.shape[0])
        if plane.dtype == np.uint8:
            # Away from zero by a half, then cut off.
            fixed = np.trunc(weights * (1 << _FIXED) + np.copysign(0.5, weights)).astype(np.int32)
            sums = csr_array((fixed, indices - offset, pointers), shape) @ plane.astype(np.int32)
            return np.asarray(((sums + (1 << (_FIXED - 1))) >> _FIXED).clip(0, 255), dtype=np.uint8)
        exact = csr_array((weights, indices - offset, pointers), shape) @ plane.astype(np.float64)
        return np.asarray(exact, dtype=np.float32)

    def _is_left_alone(self) -> bool:
        return self.blocks == self.new_length and self._end == self.new_length

    def _bounds(self, places: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Return for new pixels the blocks that they are made of, first and after the last, and their centres."""
        scale = self._end / self.new_length
        support = _SUPPORT[self.resample] * max(scale, 1.0)
        centre = np.asarray((places + 0.5) * scale, dtype=np.float64)
        first = np.trunc(centre - support + 0.5).astype(np.int64).clip(min=0)
        last = np.trunc(centre + support + 0.5).astype(np.int64).clip(max=self.blocks)
        return first, last, centre

    def _weights(self, start: int, stop: int) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.int32]]:
        """Return blocks, weights and row pointers of a sparse matrix."""
        first, last, centre = self._bounds(np.arange(start, stop))
        taps = int((last - first).max())
        narrow = 1.0 / max(self._end / self.new_length, 1.0)
        blocks = first[:, None] + np.arange(taps)
        inside = blocks < last[:, None]
        weights = np.where(inside, _kernel(self.resample, (blocks - centre[:, None] + 0.5) * narrow), 0.0)
        total = np.zeros(stop - start)
        for tap in range(taps):  # one after the other: `sum` adds pairs first, and rounds otherwise
            total += weights[:, tap]
        weights /= np.where(total == 0, 1.0, total)[:, None]
        pointers = np.concatenate([[0], np.cumsum(last - first)])
        return blocks[inside].astype(np.int32), weights[inside], pointers.astype(np.int32)


def _kernel(resample: str, x: NDArray[np.float64]) -> NDArray[np.float64]:
    if resample == "area":
        return ((x > -0.5) & (x <= 0.5)).astype(np.float64)
    x = np.abs(x)
    if resample == "bilinear":
        return np.where(x < 1.0, 1.0 - x, 0.0)
    near, far = (1.5 * x - 2.5) * x * x + 1, (((x - 5) * x + 8) * x - 4) * -0.5  # Keys 1981 with a = -1/2
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))
