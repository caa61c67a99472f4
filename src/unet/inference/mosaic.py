"""Tiles of logits in, finished parts of the picture out, one after the other.

Tiles come row by row, from left to right. What no later tile touches is finished and handed on at once, so that a
picture of any size takes the memory of one tile, and of the overlap of one row of tiles where they are blended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from unet.tiling import Span, blend_weights

CHUNK_BYTES = 32 << 20
"""Memory of the logits that are brought to the picture's size at a time."""


@dataclass(frozen=True)
class Axis:
    """How a picture's rows (or columns) fall into tiles, and which of them each row of tiles finishes.

    Attributes
    ----------
    spans : tuple of Span
        In pixels that the network sees; from `-extra` on where the border is drawn on.
    length : int
        Pixels of the picture as the network sees it.
    size : int
        Pixels of the picture itself.
    blended : bool
        A tile keeps all that it sees, and neighbours are averaged.
    """

    spans: tuple[Span, ...]
    length: int
    size: int
    blended: bool

    def ends(self) -> list[int]:
        """Return for each span the pixel before which all is finished by it."""
        if not self.blended:
            return [min(max(span.last, 0), self.length) for span in self.spans]
        return [min(max(span.start, 0), self.length) for span in self.spans[1:]] + [self.length]

    def sizes(self) -> list[int]:
        """Return the same in pixels of the picture itself."""
        if self.length == self.size:
            return self.ends()
        _, lower = self.neighbours(0, self.size)
        return [self.size if end == self.length else int(np.searchsorted(lower, end)) for end in self.ends()]

    def neighbours(self, start: int, stop: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return where the picture's pixels lie among the network's, and the second of the two that each is made of.

        As `torch.nn.functional.interpolate` has it, mode "bilinear", `align_corners=False`.
        """
        if self.length == self.size:
            return np.arange(start, stop, dtype=np.float32), np.arange(start, stop)
        index = np.arange(start, stop, dtype=np.float32)
        ratio = np.float32(self.length / self.size)
        place = ((index + np.float32(0.5)) * ratio - np.float32(0.5)).clip(min=0)
        lower = (place.astype(np.int64).clip(max=self.length - 1) + 1).clip(max=self.length - 1)
        return place.astype(np.float32), lower


@dataclass(frozen=True)
class Finished:
    """A part of the picture: its window, at the picture's own size, and its logits (K, height, width)."""

    row: int
    col: int
    logits: Tensor


class Mosaic:
    """Puts the logits of tiles together.

    Parameters
    ----------
    rows, cols : Axis
    blend : str, optional
        The kind of `unet.tiling.blend_weights`, where tiles are blended.
    valid_margin : int
        Pixels that logits lack on each side of what a tile sees.
    """

    def __init__(self, rows: Axis, cols: Axis, blend: str | None = None, valid_margin: int = 0) -> None:
        self.rows, self.cols, self.blend, self.margin = rows, cols, blend, valid_margin
        self._row_ends, self._col_ends = rows.ends(), cols.ends()
        self._row_sizes, self._col_sizes = rows.sizes(), cols.sizes()
        self._scaled = (rows.length, cols.length) != (rows.size, cols.size)
        self._weights = (_totals(rows, blend), _totals(cols, blend)) if blend else None
        self._below: Tensor | None = None  # sums of blended rows that the next row of tiles goes on with
        self._next_below: Tensor | None = None
        self._right: Tensor | None = None  # the same for columns, within a row of tiles
        self._above: Tensor | None = None  # the last finished row, which the first of the next is interpolated from
        self._next_above: Tensor | None = None
        self._left: Tensor | None = None

    def rows_finished(self, row: int) -> int:
        """Return how many of the picture's rows are finished once this row of tiles is in."""
        return self._row_sizes[row]

    def first_row(self, rows: int) -> int:
        """Return the row of tiles to begin with where so many of the picture's rows are there already."""
        done = sum(size <= rows for size in self._row_sizes)
        if done == 0:
            return 0
        first = self._row_ends[done - 1] - 1  # the last finished row: what follows may be interpolated from it
        return next(number for number, span in enumerate(self.rows.spans) if self._reach(span) > first)

    def _reach(self, span: Span) -> int:
        return span.stop if self.blend else span.last

    def window(self, row: int, col: int) -> tuple[int, int, int, int]:
        """Return the part of the picture that a tile finishes: row, column, height, width; none may be 0 high."""
        top = self._row_sizes[row - 1] if row else 0
        left = self._col_sizes[col - 1] if col else 0
        return top, left, self._row_sizes[row] - top, self._col_sizes[col] - left

    def add(self, row: int, col: int, logits: Tensor, wanted: bool = True) -> Iterator[Finished]:
        """Take the logits (K, h, w) of a tile and give what is finished by it, in pieces from the top.

        What is not wanted, since it is there already, is not given: later tiles only need to know of it.
        """
        if col == 0:
            self._right = self._left = None
            self._below, self._next_below = self._next_below, None
            self._above, self._next_above = self._next_above, None
        final = self._blended(row, col, logits) if self.blend else self._kept(row, col, logits)
        top, left, height, width = self.window(row, col)
        if not self._scaled:
            if wanted and final.shape[1] and final.shape[2]:
                yield Finished(top, left, final)
            return
        block, first_row, first_col = self._with_neighbours(row, col, final)
        step = max(1, CHUNK_BYTES // (4 * len(logits) * max(width, 1)))
        for start in range(top, top + height, step) if width and wanted else ():
            stop = min(start + step, top + height)
            yield Finished(start, left, self._at_size(block, first_row, first_col, (start, stop), (left, left + width)))

    def _kept(self, row: int, col: int, logits: Tensor) -> Tensor:
        spans = self.rows.spans[row], self.cols.spans[col]
        keeps = []
        for span, axis in zip(spans, (self.rows, self.cols), strict=True):
            first, last = max(span.first, 0), min(span.last, axis.length)
            offset = span.start + self.margin
            keeps.append(slice(max(first, 0) - offset, max(last, first) - offset))
        return logits[:, keeps[0], keeps[1]]

    def _blended(self, row: int, col: int, logits: Tensor) -> Tensor:
        assert self.blend is not None and self._weights is not None
        rows, cols = self.rows.spans[row], self.cols.spans[col]
        down, across = (torch.from_numpy(blend_weights(n, self.blend)).to(logits.device) for n in logits.shape[1:])
        part = logits * (down[:, None] * across)
        if self._right is not None:
            known = self._right.shape[2]
            if known > part.shape[2]:
                part = F.pad(part, (0, known - part.shape[2]))
            part[:, :, :known] += self._right
        later = self.cols.spans[col + 1].start - cols.start if col + 1 < len(self.cols.spans) else part.shape[2]
        self._right, part = part[:, :, later:].clone(), part[:, :, :later]
        place = slice(cols.start - self.cols.spans[0].start, cols.start - self.cols.spans[0].start + part.shape[2])
        if self._below is not None:
            known = self._below.shape[1]
            if known > part.shape[1]:
                part = F.pad(part, (0, 0, 0, known - part.shape[1]))
            part[:, :known] += self._below[:, :, place]
        if row + 1 < len(self.rows.spans):
            below = self.rows.spans[row + 1].start - rows.start
            rest = part[:, below:]
            if self._next_below is None:
                whole = self.cols.spans[-1].stop - self.cols.spans[0].start
                self._next_below = rest.new_zeros((len(rest), rest.shape[1], whole))
            self._next_below[:, :, place] = rest
            part = part[:, :below]
        for number, (axis, start) in enumerate(((self.rows, rows.start), (self.cols, cols.start)), start=1):
            offset = start - axis.spans[0].start
            total = self._weights[number - 1][offset : offset + part.shape[number]].to(part.device)
            part = part / (total[:, None] if number == 1 else total)
        inside = [
            slice(max(0, -start), max(max(0, -start), min(part.shape[number], axis.length - start)))
            for number, (axis, start) in enumerate(((self.rows, rows.start), (self.cols, cols.start)), start=1)
        ]
        return part[:, inside[0], inside[1]]

    def _with_neighbours(self, row: int, col: int, final: Tensor) -> tuple[Tensor, int, int]:
        """Return finished logits with the row above and the column to the left, and which row and column are first."""
        top = self._row_ends[row - 1] if row else 0
        left = self._col_ends[col - 1] if col else 0
        block = final
        if self._above is not None:
            block = torch.cat([self._above[:, :, left : left + final.shape[2]], block], dim=1)
        if self._left is not None:
            block = torch.cat([self._left, block], dim=2)
        first_row, first_col = top + final.shape[1] - block.shape[1], left + final.shape[2] - block.shape[2]
        if block.shape[1] and block.shape[2]:
            if self._next_above is None:
                self._next_above = block.new_zeros((len(block), 1, self.cols.length))
            self._next_above[:, :, left : left + final.shape[2]] = block[:, -1:, block.shape[2] - final.shape[2] :]
            self._left = block[:, :, -1:].clone()
        return block, first_row, first_col

    def _at_size(
        self, block: Tensor, first_row: int, first_col: int, rows: tuple[int, int], cols: tuple[int, int]
    ) -> Tensor:
        mixed = _mixed(block, 1, self.rows, first_row, rows)
        if cols == (0, self.cols.size) and block.shape[2] == self.cols.length:
            size = (rows[1] - rows[0], self.cols.size)
            return F.interpolate(mixed[None], size, mode="bilinear", align_corners=False)[0]
        return _mixed(mixed, 2, self.cols, first_col, cols)


def _mixed(block: Tensor, dim: int, axis: Axis, first: int, part: tuple[int, int]) -> Tensor:
    """Return the picture's pixels part[0]..part[1] - 1 along an axis; the block begins at the network's `first`."""
    places, lower = axis.neighbours(*part)
    place = torch.from_numpy(places)
    upper = place.long().clamp(max=axis.length - 1)
    shape = [1, 1, 1]
    shape[dim] = -1
    weight = (place - upper).to(block.device).reshape(shape)
    before = block.index_select(dim, (upper - first).to(block.device))
    after = block.index_select(dim, (torch.from_numpy(lower) - first).to(block.device))
    return before * (1 - weight) + after * weight


def _totals(axis: Axis, kind: str) -> Tensor:
    """Return the sum of the weights of all tiles along an axis."""
    start = axis.spans[0].start
    total = torch.zeros(axis.spans[-1].stop - start)
    for span in axis.spans:
        total[span.start - start : span.stop - start] += torch.from_numpy(blend_weights(span.length, kind))
    return total


def axes(
    rows: Sequence[Span], cols: Sequence[Span], seen: tuple[int, int], size: tuple[int, int], blended: bool
) -> tuple[Axis, Axis]:
    """Return the axes of a picture of a size, which the network sees at another one."""
    return Axis(tuple(rows), seen[0], size[0], blended), Axis(tuple(cols), seen[1], size[1], blended)
