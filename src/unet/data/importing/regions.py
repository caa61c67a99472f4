"""The pixels of one annotated object, from outlines, lines and runs, and all objects of a picture as one mask.

Coordinates are x, y in pixels from the upper left corner of the picture, as in COCO and LabelMe: the first pixel
reaches from 0 to 1. A pixel belongs to an object when its centre does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet import raster
from unet.data.importing.items import Drawn
from unet.errors import DataError

OUTSIDE = 0.01
"""Share of the picture's side (and at least a pixel) by which a point may lie outside: hands slip."""


@dataclass(frozen=True)
class Region:
    """An object.

    Attributes
    ----------
    value : int
        Of its class in the mask.
    row, column : int
        Where its window begins.
    pixels : bool array (h, w)
        The window, which lies within the picture.
    coarse : bool
        True for what lies below all other objects.
    """

    value: int
    row: int
    column: int
    pixels: NDArray[np.bool_]
    coarse: bool = False

    @property
    def area(self) -> int:
        """Pixels."""
        return int(np.count_nonzero(self.pixels))


def paint(regions: Sequence[Region], height: int, width: int, faults: Sequence[str] = ()) -> Drawn:
    """Return the mask of a picture: a smaller object covers a larger one, of equals the later the earlier."""
    target = np.zeros((height, width), dtype=np.uint8)
    for region in sorted(regions, key=lambda region: (not region.coarse, -region.area)):
        rows, columns = region.pixels.shape
        window = target[region.row : region.row + rows, region.column : region.column + columns]
        window[region.pixels] = region.value
    return Drawn(target, too_small=sum(region.area == 0 for region in regions), faults=tuple(faults))


def points_of(numbers: Any, height: int, width: int, least: int) -> NDArray[np.float64]:
    """Return the points (N, 2) of an annotation.

    Parameters
    ----------
    numbers : sequence
        x, y, x, y, ... or pairs of them.
    height, width : int
        Of the picture.
    least : int
        So many points there must be.

    Raises
    ------
    DataError
        Anything but numbers, too few of them, or points outside the picture.
    """
    try:
        given = np.array(numbers, dtype=np.float64)
    except (TypeError, ValueError):
        given = np.zeros((1, 1, 1))
    if given.ndim not in (1, 2) or (given.ndim == 2 and given.shape[1] != 2):
        raise DataError("points that are not pairs of numbers", "x, y for each")
    flat = given.ravel()
    if flat.size % 2 or flat.size < 2 * least:
        raise DataError(f"{flat.size} numbers" if flat.size else "no points", f"x, y of {least} points or more")
    if not np.isfinite(flat).all():
        raise DataError("points that are not finite (NaN or infinity)", "numbers")
    points = flat.reshape(-1, 2)
    sides = np.array([width, height])
    slack = np.maximum(1, OUTSIDE * sides)
    if (points < -slack).any() or (points > sides + slack).any():
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        raise DataError(
            f"points from ({left:g}, {top:g}) to ({right:g}, {bottom:g}) leave the picture of {width} x {height} pixels"
        )
    return points


def outline(rings: Sequence[NDArray[np.float64]], value: int, height: int, width: int, coarse: bool = False) -> Region:
    """Return the union of polygons, each (N, 2)."""
    points = np.concatenate(rings)
    top, left, bottom, right = _window(points, 0, height, width)
    moved = [ring - (left, top) for ring in rings]
    return Region(value, top, left, raster.fill_polygons(moved, bottom - top, right - left), coarse)


def stroke(points: NDArray[np.float64], radius: float, value: int, height: int, width: int) -> Region:
    """Return all that lies within a distance of a line through points (N, 2): a disc where there is one."""
    top, left, bottom, right = _window(points, radius, height, width)
    pixels = np.zeros((bottom - top, right - left), dtype=bool)
    for ends in pairwise(points) if len(points) > 1 else [(points[0], points[0])]:
        first, last, lower, upper = _window(np.array(ends), radius, height, width)
        x, y = np.arange(last, upper) + 0.5, np.arange(first, lower)[:, None] + 0.5
        near = _distance_squared(x, y, *ends) <= radius**2
        pixels[first - top : lower - top, last - left : upper - left] |= near
    return Region(value, top, left, pixels)


def _window(points: NDArray[np.float64], margin: float, height: int, width: int) -> tuple[int, int, int, int]:
    """Return top, left, bottom, right of the least window within the picture around points, at least one pixel."""
    left, top = np.floor(points.min(axis=0) - margin).astype(int)
    right, bottom = np.ceil(points.max(axis=0) + margin).astype(int)
    top, left = min(max(top, 0), height - 1), min(max(left, 0), width - 1)
    return top, left, min(max(bottom, top + 1), height), min(max(right, left + 1), width)


def _distance_squared(x: Any, y: Any, start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the squared distance of points from the straight line between two."""
    along = end - start
    share = ((x - start[0]) * along[0] + (y - start[1]) * along[1]) / max(float(along @ along), 1e-12)
    share = np.clip(share, 0, 1)
    distance: NDArray[np.float64] = (x - start[0] - share * along[0]) ** 2 + (y - start[1] - share * along[1]) ** 2
    return distance


def runs(counts: Any, size: Any, value: int, height: int, width: int, coarse: bool = False) -> Region:
    """Return an object given as COCO's run lengths.

    Parameters
    ----------
    counts : list of int, or str
        Lengths of runs of background and object in turns, down the columns; or the same as a compressed string.
    size : (int, int)
        Height and width that the runs were made for.

    Raises
    ------
    DataError
        The size is not the picture's, or the runs do not add up to it. (pycocotools writes beyond its memory then,
        see docs/decisions/009-importing.md.)
    """
    if not isinstance(size, list) or size != [height, width]:
        raise DataError(f"runs for a size of {size}", f"[{height}, {width}], height and width of the picture")
    lengths = uncompress(counts) if isinstance(counts, str) else counts
    whole = isinstance(lengths, list) and all(isinstance(length, int) and length >= 0 for length in lengths)
    if not whole or sum(lengths) != height * width:
        what = f"runs of {sum(lengths)} pixels" if whole else "runs that are not whole numbers, 0 or more"
        raise DataError(what, f"{height * width} pixels ({height} x {width}) in runs")
    inside = np.arange(len(lengths)) % 2 == 1
    return crop(np.repeat(inside, lengths).reshape(width, height).T, value, coarse)


def crop(pixels: NDArray[np.bool_], value: int, coarse: bool = False, row: int = 0, column: int = 0) -> Region:
    """Return an object given as pixels, the first of them at (row, column) of the picture, without empty margins."""
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    if rows.size == 0:
        return Region(value, row, column, pixels[:0, :0], coarse)
    top, left = int(rows[0]), int(columns[0])
    window = pixels[top : rows[-1] + 1, left : columns[-1] + 1].copy()
    return Region(value, row + top, column + left, window, coarse)


def uncompress(text: str) -> list[int]:
    """Return the run lengths in a compressed string of COCO.

    Each number is written in groups of five bits, the lowest first, as characters from "0" on; 32 says that more
    follow, and the highest bit of the last is its sign. From the fourth on, numbers are differences to the one two
    before (`rleFrString` in maskApi.c of pycocotools).

    Raises
    ------
    DataError
        Other characters, or an end in the middle of a number.
    """
    lengths: list[int] = []
    number = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or shift > 60:
            raise DataError(f"compressed runs with {character!r}", "characters from 0 to o")
        number |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            number -= 1 << shift
        lengths.append(number + lengths[-2] if len(lengths) > 2 else number)
        number = shift = 0
    if shift:
        raise DataError("compressed runs that end within a number", "whole ones")
    return lengths
