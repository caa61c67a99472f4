"""Holes of a label map that does not fit into memory, given to the shapes around them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.shapes.polygons import row_bands
from unet.shapes.seams import components_in_bands
from unet.shapes.stored_rows import Rows


def bands_without_holes(rows: Rows) -> Iterator[NDArray[Any]]:
    """Yield what `unet.shapes.components.fill_holes` gives, in bands of rows.

    Parameters
    ----------
    rows : label map (H, W), in memory or on disk
        Read four times.

    Yields
    ------
    integer array (h, W)

    Examples
    --------
    >>> ring = np.array([[1, 1, 1, 0], [1, 0, 1, 2], [1, 1, 1, 2]], dtype=np.int32)
    >>> np.concatenate(list(bands_without_holes(ring)))
    array([[1, 1, 1, 0],
           [1, 1, 1, 2],
           [1, 1, 1, 2]], dtype=int32)
    """
    height, width = rows.shape
    shape = (height, width)

    def free() -> Iterator[NDArray[np.bool_]]:
        for first, last in row_bands(shape):
            yield rows[first:last] == 0

    gaps = components_in_bands(free, background=0, connectivity=4)
    highest = np.zeros(gaps.count + 1, np.int64)
    lowest = np.full(gaps.count + 1, np.iinfo(np.int64).max)
    at_edge = np.zeros(gaps.count + 1, bool)
    above: tuple[NDArray[Any], NDArray[Any]] | None = None
    for gap, (first, last) in zip(gaps.label_bands(), row_bands(shape), strict=True):
        labels = rows[first:last]
        at_edge[gap[:, [0, -1]]] = True
        at_edge[gap[0] if first == 0 else 0] = True
        at_edge[gap[-1] if last == height else 0] = True
        sides = [
            (gap[1:], labels[:-1]),
            (gap[:-1], labels[1:]),
            (gap[:, 1:], labels[:, :-1]),
            (gap[:, :-1], labels[:, 1:]),
        ]
        if above is not None:
            sides += [(gap[0], above[1]), (above[0], labels[0])]
        for of_gap, beside in sides:
            meet = (of_gap > 0) & (beside > 0)
            np.maximum.at(highest, of_gap[meet], beside[meet])
            np.minimum.at(lowest, of_gap[meet], beside[meet])
        above = gap[-1], labels[-1]
    owner = np.where((highest == lowest) & ~at_edge, highest, 0)
    owner[0] = 0
    for gap, (first, last) in zip(gaps.label_bands(), row_bands(shape), strict=True):
        labels = rows[first:last]
        yield np.where(gap > 0, owner[gap].astype(labels.dtype), labels)
