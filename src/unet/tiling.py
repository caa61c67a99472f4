"""Cutting pictures into tiles and putting these together: geometry on whole numbers and numpy, one axis at a time.

A tile *sees* a window of the picture, which may reach beyond it, and *keeps* a part of what comes out for it. The
functions that lay tiles out differ in what they promise:

- `valid_spans`: for networks without padding, whose output lacks a margin; the result is that of the whole picture.
- `abutting_spans`: for the same networks, tiles side by side with no regard to pooling: fewer, but not quite the same.
- `halo_spans`: for networks with padding; with a halo of the receptive field's radius the result is that of the whole.
- `even_spans`: the same, by tiles that are all as long.
- `overlapping_spans`: for any network with padding; what tiles say twice is averaged by `blend_weights`.
- `window_spans`: for pictures that are cut into files, and put together from other files of the same names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BORDERS = ("mirror", "edge")
"""What lies beyond a picture: its mirror image (the border pixels once), or its border pixels again and again."""

GAUSS_SHARE = 8
"""The standard deviation of Gaussian blend weights is the tile's side divided by this (Isensee et al. 2021)."""


@dataclass(frozen=True, order=True)
class Span:
    """A tile along one axis of a picture, in its pixels: sees [start, stop), keeps [first, last) of it."""

    start: int
    stop: int
    first: int
    last: int

    @property
    def length(self) -> int:
        """How many pixels it sees."""
        return self.stop - self.start


@dataclass(frozen=True, order=True)
class Tile:
    """A tile: its rows and its columns."""

    rows: Span
    cols: Span

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of what it sees."""
        return self.rows.length, self.cols.length


def grid(rows: Sequence[Span], cols: Sequence[Span]) -> list[Tile]:
    """Return all tiles, row by row.

    Examples
    --------
    >>> whole, left, right = Span(0, 4, 0, 4), Span(0, 3, 0, 2), Span(1, 4, 2, 4)
    >>> [tile.shape for tile in grid([whole], [left, right])]
    [(4, 3), (4, 3)]
    """
    return [Tile(row, col) for row in rows for col in cols]


def valid_spans(length: int, side: int, valid_margin: int, multiple: int) -> list[Span]:
    """Lay out tiles for a network without padding so that the whole picture's result comes out.

    Every tile starts at the phase of the pooling at which the network would see that place of the whole picture, so
    the step is what a tile yields, rounded down to a multiple of 2 ** depth.

    Parameters
    ----------
    length : int
        Pixels of the picture.
    side : int
        Pixels that a tile sees: a valid input size of the network.
    valid_margin : int
        Pixels that the output lacks on either side.
    multiple : int
        2 ** depth of the network.

    Returns
    -------
    list of Span
        They keep every pixel once; those at the ends see up to `valid_margin` pixels beyond the picture, the last one
        more.

    Raises
    ------
    ValueError
        A tile yields less than one step.

    Examples
    --------
    >>> for span in valid_spans(length=14, side=10, valid_margin=2, multiple=2):
    ...     print(span)
    Span(start=-2, stop=8, first=0, last=6)
    Span(start=4, stop=14, first=6, last=12)
    Span(start=10, stop=20, first=12, last=14)
    """
    output = side - 2 * valid_margin
    step = output // multiple * multiple
    if step < 1:
        raise ValueError(f"tiles of {side} yield {output} pixels; a step takes {multiple} at least")
    return _side_by_side(length, side, valid_margin, step, output)


def abutting_spans(length: int, side: int, valid_margin: int) -> list[Span]:
    """Lay out tiles for a network without padding that only touch; see `valid_spans`.

    Where the step is no multiple of 2 ** depth the pooling falls on other pixels than in the whole picture, and the
    result differs, by what it does when the whole picture is shifted by a pixel.

    Examples
    --------
    >>> abutting_spans(length=10, side=9, valid_margin=2)
    [Span(start=-2, stop=7, first=0, last=5), Span(start=3, stop=12, first=5, last=10)]
    """
    output = side - 2 * valid_margin
    if output < 1:
        raise ValueError(f"tiles of {side} yield {output} pixels")
    return _side_by_side(length, side, valid_margin, output, output)


def _side_by_side(length: int, side: int, valid_margin: int, step: int, output: int) -> list[Span]:
    count = 1 + max(0, -(-(length - output) // step))
    starts = [number * step for number in range(count)]
    ends = [*starts[1:], length]
    return [
        Span(start - valid_margin, start - valid_margin + side, start, end)
        for start, end in zip(starts, ends, strict=True)
    ]


def halo_spans(length: int, side: int, halo: int, multiple: int) -> list[Span]:
    """Lay out tiles for a padded network so that the whole picture's result comes out.

    Tiles end where the picture ends, so that the network's own padding is there, and only there, where it would be
    for the whole picture; inside they see a halo around what they keep.

    Parameters
    ----------
    length : int
        Pixels of the picture.
    side : int
        Pixels that a tile sees, at most; one that keeps nothing beside its halo is made larger.
    halo : int
        How far the network looks (`unet.models.geometry`).
    multiple : int
        2 ** depth of the network: all tiles start at multiples of it.

    Returns
    -------
    list of Span
        They keep every pixel once and see nothing beyond the picture.

    Examples
    --------
    >>> for span in halo_spans(length=20, side=12, halo=3, multiple=4):
    ...     print(span)
    Span(start=0, stop=12, first=0, last=8)
    Span(start=4, stop=16, first=8, last=12)
    Span(start=8, stop=20, first=12, last=20)
    """
    halo = _round_up(halo, multiple)
    if length <= side:
        return [Span(0, length, 0, length)]
    keep = max(multiple, (side - 2 * halo) // multiple * multiple)
    firsts = [0, *range(keep + halo, length - halo, keep)]  # at its ends the picture needs no halo
    lasts = [*firsts[1:], length]
    return [
        Span(max(0, first - halo), min(length, last + halo), first, last)
        for first, last in zip(firsts, lasts, strict=True)
    ]


def even_spans(length: int, side: int, halo: int, multiple: int) -> list[Span]:
    """Lay out tiles as `halo_spans` does, all of which see as many pixels.

    As all start at multiples, they are as long as the picture beyond a multiple; and no longer than as many need.

    Parameters
    ----------
    length, side, halo, multiple : int
        As for `halo_spans`.

    Examples
    --------
    >>> for span in even_spans(length=29, side=20, halo=4, multiple=4):
    ...     print(span)
    Span(start=0, stop=17, first=0, last=12)
    Span(start=8, stop=25, first=12, last=16)
    Span(start=12, stop=29, first=16, last=29)
    """
    halo = _round_up(halo, multiple)
    if length <= side:
        return [Span(0, length, 0, length)]
    over = length % multiple
    most = max(2 * halo + multiple, (side - over) // multiple * multiple)
    count = 1 + -(-max(0, length - over - most) // (most - 2 * halo))
    seen = _round_up(-(-(length - over + 2 * halo * (count - 1)) // count), multiple) + over
    if seen >= length:
        return [Span(0, length, 0, length)]
    step = seen - over - 2 * halo
    starts = [*range(0, length - seen, step), length - seen]
    firsts = [0, *(start + halo for start in starts[1:])]
    lasts = [*firsts[1:], length]
    return [Span(start, start + seen, first, last) for start, first, last in zip(starts, firsts, lasts, strict=True)]


def overlapping_spans(length: int, side: int, overlap: int, multiple: int) -> list[Span]:
    """Lay out tiles of one size that overlap.

    Parameters
    ----------
    length : int
        Pixels of the picture.
    side : int
        Pixels that a tile sees; a smaller picture is one tile.
    overlap : int
        Pixels that neighbours share, at least.
    multiple : int
        Tiles start at multiples of it, but for the last one, which ends where the picture ends.

    Returns
    -------
    list of Span
        They keep all they see: it is for `blend_weights` to say what counts how much.

    Raises
    ------
    ValueError
        The overlap is as large as the tile.

    Examples
    --------
    >>> overlapping_spans(length=10, side=6, overlap=2, multiple=2)
    [Span(start=0, stop=6, first=0, last=6), Span(start=4, stop=10, first=4, last=10)]
    """
    if not 0 <= overlap < side:
        raise ValueError(f"an overlap of {overlap} of tiles of {side}; expected 0 to {side - 1}")
    step = (side - overlap) // multiple * multiple or side - overlap
    starts = [*range(0, length - side, step), max(0, length - side)]
    return [Span(start, min(start + side, length), start, min(start + side, length)) for start in starts]


def window_spans(length: int, window: int, step: int, pad: int | None = None) -> list[Span]:
    """Lay out windows a step apart, of which the middle is kept.

    Parameters
    ----------
    length : int
        Pixels of the picture.
    window, step : int
        Pixels that a window sees, and keeps.
    pad : int, optional
        Pixels that the first window sees beyond the picture; by default just what it does not keep. Half a window is
        what programs for map sheets take.

    Returns
    -------
    list of Span
        They keep every pixel once.

    Raises
    ------
    ValueError
        The windows leave something out.

    Examples
    --------
    >>> for span in window_spans(length=10, window=6, step=4):
    ...     print(span)
    Span(start=-1, stop=5, first=0, last=4)
    Span(start=3, stop=9, first=4, last=8)
    Span(start=7, stop=13, first=8, last=10)
    """
    margin = (window - step) // 2
    pad = margin if pad is None else pad
    if not 0 < step <= window or not margin <= pad < window:
        raise ValueError(f"windows of {window}, {step} apart, padded by {pad}: they leave something out")
    spans = []
    for start in range(-pad, length + step, step):
        first, last = max(0, start + margin), min(length, start + margin + step)
        if first < last:
            spans.append(Span(start, start + window, first, last))
    return spans


def blend_weights(side: int, kind: str) -> NDArray[np.float32]:
    """Return how much each pixel of a tile counts along one axis, float32 (side,), all above 0.

    Parameters
    ----------
    side : int
    kind : {"gaussian", "linear"}
        A bell over the middle, or a tent: ends count least, since a tile does not know what lies beside it.

    Notes
    -----
    The bell is that of [1]_, with a standard deviation of an eighth of the side.

    References
    ----------
    .. [1] Isensee, Jaeger, Kohl, Petersen, Maier-Hein: "nnU-Net: a self-configuring method for deep learning-based
       biomedical image segmentation", Nature Methods 18, 2021, pages 203-211.

    Examples
    --------
    >>> blend_weights(4, "linear").tolist()
    [0.25, 0.75, 0.75, 0.25]
    >>> blend_weights(3, "gaussian").round(3)
    array([0.029, 1.   , 0.029], dtype=float32)
    """
    position = (np.arange(side) + 0.5) / side - 0.5
    if kind == "linear":
        return (1 - 2 * np.abs(position)).astype(np.float32)
    if kind == "gaussian":
        return np.exp(-0.5 * (position * GAUSS_SHARE) ** 2).astype(np.float32)
    raise ValueError(f"blend weights {kind!r}; expected gaussian or linear")


def cut(picture: NDArray[np.generic], tile: Tile, border: str) -> NDArray[np.generic]:
    """Return what a tile sees of a picture (H, W, ...), filled up where it reaches beyond.

    Parameters
    ----------
    picture : array (H, W, ...)
    tile : Tile
    border : {"mirror", "edge"}

    Examples
    --------
    >>> picture = np.array([[1, 2, 3], [4, 5, 6]])
    >>> cut(picture, Tile(Span(0, 2, 0, 2), Span(1, 5, 1, 3)), "mirror")
    array([[2, 3, 2, 1],
           [5, 6, 5, 4]])
    """
    height, width = picture.shape[:2]
    if tile.rows.start >= 0 and tile.cols.start >= 0 and tile.rows.stop <= height and tile.cols.stop <= width:
        return picture[tile.rows.start : tile.rows.stop, tile.cols.start : tile.cols.stop]
    rows, cols = places(tile.rows, height, border), places(tile.cols, width, border)
    return picture[rows[:, None], cols]


def places(span: Span, length: int, border: str) -> NDArray[np.intp]:
    """Return for each pixel that a span sees the pixel of the picture that stands there, (span.length,).

    Raises
    ------
    ValueError
        No such border.

    Examples
    --------
    >>> places(Span(-2, 6, 0, 4), 4, "mirror").tolist()
    [2, 1, 0, 1, 2, 3, 2, 1]
    >>> places(Span(-2, 6, 0, 4), 4, "edge").tolist()
    [0, 0, 0, 1, 2, 3, 3, 3]
    """
    indices = np.arange(span.start, span.stop)
    if border == "edge":
        return indices.clip(0, length - 1)
    if border == "mirror":
        period = max(1, 2 * (length - 1))
        indices = np.abs(indices) % period
        return np.minimum(indices, period - indices)
    raise ValueError(f"border {border!r}; expected {' or '.join(BORDERS)}")


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
