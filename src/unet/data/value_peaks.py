"""Which of many values in masks are true, and which are damage: the search itself, on arrays.

One search for all that ask: a single mask that is measured (`unet.data.stats`), and all masks of a data set
(`unet.data.true_values`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_CLASSES = 64
"""More values than this are taken as classes only where a class file names them."""

APART = 16
"""Grey levels (of 255) between two true values, at least."""

_EDGE = 0.05  # share of the pixels of a blended value that lie among their like, at most
_INSIDE = 1e-4  # of all pixels: that a true value has among its like, at least
_THIN = 5e-4  # of all pixels: that the value of thin lines has, at least
_RIVAL = {1: (0, 0.01), 3: (8, 0.02)}
"""For grey and for colours: a value so far from a true one with this share of its inside is true itself."""


@dataclass(frozen=True)
class Peaks:
    """The values whose pixels lie among their like.

    Attributes
    ----------
    places : tuple of int
        Which of the values they are, the largest areas first.
    too_near : (int, int) or None
        A true value and one near it that fills areas too: then damage cannot be told from a class.
    """

    places: tuple[int, ...]
    too_near: tuple[int, int] | None


def find_peaks(points: NDArray[np.int64], counts: NDArray[np.int64], inner: NDArray[np.int64], pixels: int) -> Peaks:
    """Return the true values among bent ones.

    JPEG leaves the inside of areas alone but for a level or two, and blending changes edges only. Thin lines have no
    inside: where there is one such value only, the other is the farthest from it that occurs often enough.

    Parameters
    ----------
    points : int64 array (N, 1) or (N, 3)
        The values that occur, greys or colours.
    counts, inner : int64 array (N,)
        How many pixels have each, and how many of these have four neighbours like them.
    pixels : int
        Of all masks together.
    """
    edges = at_edges_only(points, counts, inner)
    places: list[int] = []
    for place in np.argsort(-inner, kind="stable"):
        if inner[place] < _INSIDE * pixels or len(places) > MOST_CLASSES:
            break
        if not edges[place] and (not places or distances(points[place : place + 1], points[places]).min() > APART):
            places.append(int(place))
    if len(places) == 1:
        frequent = np.flatnonzero(counts >= _THIN * pixels)
        away = distances(points[frequent], points[places])[:, 0]
        if away.size and away.max() > 4 * APART:
            places.append(int(frequent[away.argmax()]))
    return Peaks(tuple(places), _rivals(points, inner, places))


def at_edges_only(points: NDArray[np.int64], counts: NDArray[np.int64], inner: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which values (N,) lie between others and occur at edges only, where two others meet."""
    solid = inner > _EDGE * counts
    if solid.sum() < 2:
        return np.zeros(len(points), np.bool_)
    low, high = points[solid].min(axis=0), points[solid].max(axis=0)
    between: NDArray[np.bool_] = ((points >= low) & (points <= high)).all(axis=1) & ~solid
    return between


def distances(points: NDArray[Any], others: NDArray[Any]) -> NDArray[np.int64]:
    """Return the largest difference of a band (N, K) between values (N, bands) and others (K, bands)."""
    away: NDArray[np.int64] = np.abs(points[:, None].astype(np.int64) - others[None].astype(np.int64)).max(axis=2)
    return away


def _rivals(points: NDArray[np.int64], inner: NDArray[np.int64], places: list[int]) -> tuple[int, int] | None:
    """Return a true value and one near it that fills areas too."""
    radius, share = _RIVAL[points.shape[1]]
    others = np.setdiff1d(np.flatnonzero(inner), places)
    for place in places:
        away = distances(points[others], points[place : place + 1])[:, 0]
        rivals = others[(away > radius) & (away <= APART) & (inner[others] > share * inner[place])]
        if rivals.size and inner[place]:
            return place, int(rivals[0])
    return None
