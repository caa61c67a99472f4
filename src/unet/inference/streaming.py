"""A picture of any size predicted tile by tile: read ahead, computed, and written behind.

A thread reads what the tiles see, the caller's thread computes, and another thread makes of the logits what is wanted
and writes it. A small picture goes the same way, as a single tile, in one thread.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unet.errors import InputError, RasterError
from unet.inference.averaging import Ensemble
from unet.inference.layouts import axes_of, check_join, default_join
from unet.inference.mosaic import Finished, Mosaic, axes
from unet.inference.threads import AtOnce, Behind, ahead
from unet.labels import IGNORED
from unet.preprocessing import Preprocessing, conversions, match_bands, match_depth, scaled_size
from unet.raster import Source, Window
from unet.raster import open as open_source
from unet.raster.network_input import source_factor
from unet.raster.roi import Region, open_region
from unet.raster.scaled_windows import resized_window
from unet.tiling import Span, places

PADS = ("mirror", "edge", "constant")
"""What the network sees beyond the picture: its mirror image, its border pixels, or its mean colour."""

PAD_SHARE = 4
"""A border that is drawn on takes a tile's side divided by this at most."""


@dataclass(frozen=True)
class Plan:
    """How a picture is predicted.

    Attributes
    ----------
    size, seen : (int, int)
        Height and width of the picture, and of it as the network sees it.
    rows, cols : tuple of Span
        The tiles, in pixels that the network sees.
    whole : bool
        The picture is one tile, which the network may cut as it likes.
    blend : str or None
        The kind of weights, where tiles are blended.
    valid_margin : int
        Pixels that logits lack on each side of a tile.
    pad : str
        What is seen beyond the picture.
    """

    size: tuple[int, int]
    seen: tuple[int, int]
    rows: tuple[Span, ...]
    cols: tuple[Span, ...]
    whole: bool
    blend: str | None
    valid_margin: int
    pad: str

    def mosaic(self) -> Mosaic:
        """Return what puts the tiles together."""
        rows, cols = axes(self.rows, self.cols, self.seen, self.size, self.blend is not None)
        return Mosaic(rows, cols, self.blend, self.valid_margin)


def plan_tiles(
    ensemble: Ensemble,
    height: int,
    width: int,
    *,
    tile: int | None = None,
    join: str | None = None,
    pad: str | None = None,
) -> Plan:
    """Decide how a picture of a size is cut.

    Parameters
    ----------
    ensemble : Ensemble
    height, width : int
        Of the picture.
    tile : int, optional
        Pixels, down and across, that the network is given at a time. By default all of a picture of some millions of
        pixels, else as many as a few hundred megabytes allow.
    join : str, optional
        See `unet.inference.layouts`.
    pad : {"mirror", "edge", "constant"}, optional
        By default networks with padding see zeros beyond the picture, as in training, and others its mirror image.

    Raises
    ------
    InputError
        Tiles that are too small or cannot be joined so, or no such border.
    """
    if pad is not None and pad not in PADS:
        raise InputError(f"border {pad!r}", " or ".join(PADS))
    geometry = ensemble.geometry
    seen = scaled_size(height, width, ensemble.first.bundle.preprocessing.scale)
    border = pad or "mirror"
    if tile is None and join is None and pad is None and seen[0] * seen[1] <= ensemble.whole_pixels():
        rows, cols = (Span(0, length, 0, length) for length in seen)
        return Plan((height, width), seen, (rows,), (cols,), True, None, 0, border)
    side = tile or ensemble.tile_side()
    join = join or default_join(geometry, side)
    check_join(geometry, side, join)
    extra = 0
    if pad is not None and not geometry.valid_margin:
        reach = side // (2 * PAD_SHARE) if geometry.receptive_field_radius is None else geometry.receptive_field_radius
        extra = math.ceil(min(reach, side // PAD_SHARE) / geometry.multiple) * geometry.multiple
    size = seen[0] + 2 * extra, seen[1] + 2 * extra
    spans = [
        tuple(Span(span.start - extra, span.stop - extra, span.first - extra, span.last - extra) for span in axis)
        for axis in axes_of(size, geometry, side, join, ensemble.alike and tile is None)
    ]
    blend = join if join in ("gaussian", "linear") else None
    return Plan((height, width), seen, spans[0], spans[1], False, blend, geometry.valid_margin, border)


class Scored:
    """A finished part of a picture, as those who write it see it; what is not asked for is not computed.

    Attributes
    ----------
    window : (row, col, height, width)
    valid : bool array (height, width) or None
        Where the picture holds something and it is asked for; None: everywhere.
    """

    def __init__(self, ensemble: Ensemble, window: Window, scores: Tensor, valid: NDArray[np.bool_] | None) -> None:
        self.window, self.valid = window, valid
        self._ensemble, self._scores = ensemble, scores

    @cached_property
    def classes(self) -> NDArray[np.uint8]:
        """The class of each pixel, uint8 (height, width); `IGNORED` where nothing is valid."""
        indices: NDArray[np.uint8] = self._ensemble.classes(self._scores).to(torch.uint8).cpu().numpy()
        return indices if self.valid is None else np.where(self.valid, indices, np.uint8(IGNORED))

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """The probability of each class, float32 (K, height, width); of class 1 only for networks with one logit."""
        values: NDArray[np.float32] = self._ensemble.probabilities(self._scores).cpu().numpy()
        return values


Write = Callable[[Scored], None]
"""Given finished parts, in order, in a thread of its own."""

RowsDone = Callable[[int], None]
"""Given, in that thread, how many rows of the picture are finished, from the top."""


def predict_raster(
    ensemble: Ensemble,
    path: Path,
    plan: Plan,
    write: Write,
    *,
    region: Path | None = None,
    rows_there: int = 0,
    rows_done: RowsDone = lambda rows: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Predict a picture file.

    Parameters
    ----------
    ensemble : Ensemble
    path : Path
    plan : Plan
        Of that picture.
    write : callable
        Takes each finished part; together they are the whole.
    region : Path, optional
        See `unet.raster.roi.open_region`; tiles that lie wholly outside are not computed.
    rows_there : int
        Rows that an earlier run has finished; the parts of these are not computed again, but for the last tiles'.
    rows_done, progress : callable
        Told after each row of tiles, and (done, total) after each tile.

    Raises
    ------
    RasterError
        The picture cannot be read, or is not of the kind that the models know; the file is named.
    """
    mosaic = plan.mosaic()
    first = mosaic.first_row(rows_there)
    total, across = len(plan.rows) * len(plan.cols), len(plan.cols)
    batch = ensemble.first.tiles_at_once(*(max(span.length for span in spans) for spans in (plan.rows, plan.cols)))

    def read() -> Iterator[list[_Tile]]:
        return _batches(_tiles(ensemble, path, plan, mosaic, region, first), batch)

    is_one = total == 1  # nothing is there to be done beside it
    with nullcontext(AtOnce()) if is_one else Behind() as behind:
        for tiles in read() if is_one else ahead(read, depth=2):
            images = [tile.image for tile in tiles if tile.image is not None]
            scores = iter(ensemble.scores(np.stack(images), plan.whole, tiles[0].outside)) if images else iter(())
            for tile in tiles:
                part = next(scores) if tile.image is not None else _nothing(ensemble, plan, tile)
                done = mosaic.rows_finished(tile.row)
                for finished in mosaic.add(tile.row, tile.col, part, wanted=done > rows_there):
                    behind.do(_writing(ensemble, finished, tile.valid, mosaic.window(tile.row, tile.col), write))
                if tile.col == across - 1 and done > rows_there:
                    behind.do(lambda done=done: rows_done(done))  # type: ignore[misc]
                progress(tile.row * across + tile.col + 1, total)


@dataclass(frozen=True)
class _Tile:
    row: int
    col: int
    image: NDArray[Any] | None
    """(C, h, w), in the file's values; None: there is nothing to compute."""
    outside: NDArray[np.bool_] | None
    """Pixels (h, w) that lie beyond the picture, where these have no colour."""
    valid: NDArray[np.bool_] | None
    """Of the part of the picture that the tile finishes."""


def _writing(
    ensemble: Ensemble, finished: Finished, valid: NDArray[np.bool_] | None, cell: Window, write: Write
) -> Callable[[], None]:
    height, width = finished.logits.shape[1:]
    window = finished.row, finished.col, height, width
    if valid is not None:
        valid = valid[finished.row - cell[0] :][:height, finished.col - cell[1] :][:, :width]
    return lambda: write(Scored(ensemble, window, finished.logits, valid))


def _nothing(ensemble: Ensemble, plan: Plan, tile: _Tile) -> Tensor:
    sides = (plan.rows[tile.row].length, plan.cols[tile.col].length)
    shape = (ensemble.channels, *(side - 2 * plan.valid_margin for side in sides))
    return torch.zeros(shape, device=ensemble.first.device)


def _batches(tiles: Iterator[_Tile], most: int) -> Iterator[list[_Tile]]:
    """Give tiles of one row and size together."""
    batch: list[_Tile] = []
    for tile in tiles:
        if batch and (len(batch) == most or not _go_together(batch[0], tile)):
            yield batch
            batch = []
        batch.append(tile)
    if batch:
        yield batch


def _go_together(one: _Tile, other: _Tile) -> bool:
    if one.image is None or other.image is None or one.outside is not None or other.outside is not None:
        return False
    return one.row == other.row and one.image.shape == other.image.shape


def _tiles(
    ensemble: Ensemble, path: Path, plan: Plan, mosaic: Mosaic, region: Path | None, first: int
) -> Iterator[_Tile]:
    """Read what the tiles see, from a row on; files are opened here, since they are read in this thread only."""
    with ExitStack() as stack:
        source = stack.enter_context(open_source(path))
        inside = stack.enter_context(open_region(region, source)) if region is not None else None
        pixels = _Pixels(source, ensemble.first.bundle.preprocessing, inside)
        for row, rows in enumerate(plan.rows[first:], start=first):
            for col, cols in enumerate(plan.cols):
                valid, worthwhile = pixels.valid(mosaic.window(row, col), _reach(plan, rows, cols))
                image, outside = pixels.seen(plan, rows, cols) if worthwhile else (None, None)
                yield _Tile(row, col, image, outside, valid)


def _reach(plan: Plan, rows: Span, cols: Span) -> Window:
    """Return the part of the picture that a tile has a say in; parts that lie apart are as good as empty."""
    ends = []
    for span, seen, size in zip((rows, cols), plan.seen, plan.size, strict=True):
        first, last = (span.start, span.stop) if plan.blend else (span.first, span.last)
        factor = size / seen
        start = min(max(math.floor(first * factor - factor) - 1, 0), size - 1)  # a pixel more, for the interpolation
        stop = min(max(math.ceil(last * factor + factor) + 1, start + 1), size)
        ends.append((start, stop - start))
    (top, height), (left, width) = ends
    return top, left, height, width


class _Pixels:
    """What tiles see of a source, and where it counts."""

    def __init__(self, source: Source, preprocessing: Preprocessing, region: Region | None) -> None:
        self.source, self.preprocessing, self.region = source, preprocessing, region
        self._factor = source_factor(source, preprocessing)
        self._fill = _fill(source, self._factor, preprocessing) if source.has_invalid else None
        self._bands: dict[str, tuple[tuple[int, int], NDArray[Any]]] = {}

    def seen(self, plan: Plan, rows: Span, cols: Span) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Return what a tile sees, (C, h, w) in the file's values, and what of it lies beyond the picture."""
        border = "edge" if plan.pad == "constant" else plan.pad
        down, across = (places(span, n, border) for span, n in zip((rows, cols), plan.seen, strict=True))
        top, left = int(down.min()), int(across.min())
        window = top, left, int(down.max()) + 1 - top, int(across.max()) + 1 - left
        image = resized_window(self._matched, plan.size, plan.seen, window, self.preprocessing.resample)
        if image.shape[:2] != (len(down), len(across)) or rows.start < 0 or cols.start < 0:
            image = image[(down - top)[:, None], across - left]
        outside = None
        if plan.pad == "constant":
            beyond = [
                (np.arange(span.start, span.stop) < 0) | (np.arange(span.start, span.stop) >= n)
                for span, n in zip((rows, cols), plan.seen, strict=True)
            ]
            if beyond[0].any() or beyond[1].any():
                outside = beyond[0][:, None] | beyond[1]
        return np.ascontiguousarray(image.transpose(2, 0, 1)), outside

    def valid(self, cell: Window, reach: Window) -> tuple[NDArray[np.bool_] | None, bool]:
        """Return where a tile's part of the picture counts, and whether the tile needs to be computed."""
        if self.region is None and not self.source.has_invalid:
            return None, True
        top, left = min(cell[0], reach[0]), min(cell[1], reach[1])
        bottom, right = (max(cell[n] + cell[n + 2], reach[n] + reach[n + 2]) for n in (0, 1))
        window = top, left, bottom - top, right - left
        valid = np.ones(window[2:], dtype=bool)
        if self.region is not None:
            valid &= self.region.inside(window)
        if self.source.has_invalid and valid.any():
            valid &= self._in_rows("valid", self.source.read_valid, window)
        rows, cols = cell[0] - top, cell[1] - left
        return valid[rows : rows + cell[2], cols : cols + cell[3]], bool(valid.any())

    def _matched(self, window: Window) -> NDArray[Any]:
        pixels = self._in_rows("pixels", lambda part: self.source.read(part, fill=self._fill), window)
        try:
            return match_depth(match_bands(pixels, self.preprocessing.bands), self.preprocessing, self._factor)
        except InputError as error:
            raise RasterError(f"{self.source.path}: {error.found}", error.expected, error.remedy) from None

    def _in_rows(self, what: str, read: Callable[[Window], NDArray[Any]], window: Window) -> NDArray[Any]:
        """Read a window; of a file of whole rows all that is beside it too, once for a row of tiles."""
        if not self.source.in_strips:
            return read(window)
        row, col, height, width = window
        known = self._bands.get(what)
        if known is None or known[0] != (row, height):
            self._bands.pop(what, None)  # before the next is made
            known = (row, height), read((row, 0, height, self.source.width))
            self._bands[what] = known
        return known[1][:, col : col + width]


def _fill(source: Source, factor: float, preprocessing: Preprocessing) -> list[float]:
    """Return the mean colour of the training pictures, in the values of a file."""
    brightest = preprocessing.data_range / factor
    means: Sequence[float] = preprocessing.mean or (0.0,)
    if len(means) != source.bands:
        means = [float(np.mean(means))] * source.bands
    return [mean * brightest for mean in means]


def check_source(source: Source, preprocessing: Preprocessing) -> list[str]:
    """Make sure that models can take a picture, and return in words what it undergoes for it.

    Raises
    ------
    RasterError
        It has other bands, or another range of values.
    """
    try:
        match_bands(np.zeros((1, 1, source.bands), np.uint8), preprocessing.bands)
    except InputError as error:
        raise RasterError(f"{source.path}: {error.found}", error.expected, error.remedy) from None
    return conversions(source.bands, source.dtype, source_factor(source, preprocessing), preprocessing)
