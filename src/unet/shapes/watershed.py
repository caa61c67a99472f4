"""The watershed of an edge map: each minimum floods its basin, and a line stays dry where two floods would meet.

An edge map in, a label map out. The order of flooding is stated exactly, so that the lines are always the same.
"""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.shapes.closing import MinTree, min_tree

_LINE, _QUEUED, _DRY = 0, -1, -2  # what a pixel is while it has no label; the frame is line from the beginning
_RIVALS = -3  # and below: numbers of pixels that contest each other


def filtered_watershed(epm: NDArray[Any] | MinTree, dynamic: int, area: int) -> NDArray[np.int32]:
    """Return the shapes of an edge map: the joint closing, then the watershed.

    Parameters
    ----------
    epm : uint8 or uint16 array (H, W), or MinTree
        High on edges; or the tree of it, which is worth building where several settings are tried.
    dynamic, area : int
        See `joint_closing`.

    Returns
    -------
    int32 array (H, W)
        1, 2, ... by the first pixel of each shape's minimum, row by row; 0 on the lines between shapes.

    Raises
    ------
    InputError
        If the dynamic or the area is negative, or the edge map is not an unsigned integer array (H, W).

    Examples
    --------
    >>> epm = np.array([[0, 0, 0, 9, 0, 4, 0, 0]], dtype=np.uint8)
    >>> filtered_watershed(epm, dynamic=0, area=1)
    array([[1, 1, 1, 0, 2, 0, 3, 3]], dtype=int32)
    >>> filtered_watershed(epm, dynamic=0, area=2)  # the basin of one pixel is filled, and flooded from the right
    array([[1, 1, 1, 0, 2, 2, 2, 2]], dtype=int32)
    """
    if isinstance(epm, MinTree):
        return flood(*epm.closing_and_minima(dynamic, area))
    return flood(*min_tree(epm).closing_and_minima(dynamic, area))  # without the tree in memory meanwhile


def watershed_lines(filtered: NDArray[Any]) -> NDArray[np.int32]:
    """Return the basins of a map, flooded from its regional minima, 8-connected, with lines between them.

    Parameters
    ----------
    filtered : uint8 or uint16 array (H, W)

    Returns
    -------
    int32 array (H, W)
        1, 2, ... by the first pixel of each minimum, row by row; 0 on the lines.

    Raises
    ------
    InputError
        If it is not an unsigned integer array (H, W).

    Examples
    --------
    >>> watershed_lines(np.array([[3, 3, 5, 5, 4, 4, 7]], dtype=np.uint8))
    array([[1, 1, 1, 0, 2, 2, 2]], dtype=int32)
    """
    return filtered_watershed(filtered, dynamic=0, area=0)


def flood(filtered: NDArray[Any], minima: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the label map that comes of flooding a map from given minima.

    Parameters
    ----------
    filtered : unsigned integer array (H, W)
    minima : int32 array (H, W)
        Labels of the minima, 1 or more; 0 elsewhere.

    Returns
    -------
    int32 array (H, W)
        The minima's labels; 0 on the lines.

    Notes
    -----
    Meyer's flooding [1]_ with one queue for each level, first come, first served. At the beginning the neighbours of
    minima are queued in raster order. The pixel whose turn it is gets the label of its neighbours if they have but one,
    and lets its own untouched neighbours queue (the row above first, each row from the left) at their level, or at the
    present one where that is higher; otherwise it stays 0, and is as a wall for the flood. What only walls surround
    stays 0 too.

    The queues are worked off a wave at a time: a wave is all that waits at the level, and what it lets in is the next.
    Two pixels of one wave matter to each other only if they touch and take different labels. These, few, are decided
    in the order of the queue (`_come_first`), so that the result is that of the queue, pixel by pixel.

    References
    ----------
    .. [1] Meyer: "Un algorithme optimal pour la ligne de partage des eaux", RFIA 1991; Beucher and Meyer: "The
       Morphological Approach to Segmentation: The Watershed Transformation", 1993.

    Examples
    --------
    >>> flood(np.array([[1, 3, 5, 2]], dtype=np.uint8), np.array([[7, 0, 0, 4]], dtype=np.int32))
    array([[7, 7, 0, 4]], dtype=int32)
    """
    width = filtered.shape[1] + 2
    framed = np.full((filtered.shape[0] + 2, width), _LINE, dtype=np.int32)
    inside = framed[1:-1, 1:-1]
    inside[...] = minima
    np.copyto(inside, _DRY, where=minima <= 0)
    labels, heights = framed.ravel(), np.pad(filtered, 1).ravel()
    offsets = np.array([-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1])

    waiting: dict[int, list[NDArray[np.intp]]] = {}
    levels: list[int] = []  # a heap

    def let_queue(pixels: NDArray[np.intp], present: int) -> None:
        labels[pixels] = _QUEUED
        at = np.maximum(heights[pixels], present)
        order = np.argsort(at, kind="stable")
        pixels, at = pixels[order], at[order]
        starts = [0, *(np.flatnonzero(np.diff(at)) + 1)]
        for level, start, stop in zip(at[starts].tolist(), starts, [*starts[1:], at.size], strict=True):
            if level not in waiting:
                waiting[level] = []
                heapq.heappush(levels, level)
            waiting[level].append(pixels[start:stop])

    dry = np.flatnonzero(labels == _DRY)
    shore = np.zeros(dry.size, dtype=bool)
    for offset in offsets:
        shore |= labels[dry + offset] > 0
    if shore.any():
        let_queue(dry[shore], 0)
    del dry, shore
    while levels:
        level = levels[0]
        groups = waiting.pop(level)
        heapq.heappop(levels)
        wave = groups[0] if len(groups) == 1 else np.concatenate(groups)
        around = wave[:, None] + offsets
        label, single = _one_label(labels[around])
        labels[wave] = np.where(single, label, _LINE)
        wave, around, label = wave[single], around[single], label[single]
        _, uncontested = _one_label(labels[around])
        if not uncontested.all():
            rivals = np.flatnonzero(~uncontested)
            late = rivals[~_come_first(labels, wave[rivals], around[rivals], label[rivals])]
            labels[wave[late]] = _LINE
            around = np.delete(around, late, axis=0)
        reached = around[labels[around] == _DRY]
        if reached.size:
            places, first = np.unique(reached, return_index=True)
            let_queue(places[np.argsort(first)], level)
    return np.maximum(inside, _LINE)


def _one_label(around: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Return the highest label among each pixel's neighbours, and whether it is their only one."""
    highest = around.max(axis=1)
    lowest = np.where(around > 0, around, np.iinfo(np.int32).max).min(axis=1)
    return highest, lowest == highest


def _come_first(
    labels: NDArray[np.int32], pixels: NDArray[np.intp], around: NDArray[np.intp], label: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Tell which pixels keep their label when they are labelled one after the other, and not next to another label.

    All at a time whose earlier rivals are decided: the rounds are as many as the longest chain of pixels that wait for
    each other, not as the pixels.
    """
    count = pixels.size
    index = np.arange(count, dtype=np.int32)
    labels[pixels] = _RIVALS - index
    neighbour = _RIVALS - labels[around]
    labels[pixels] = label
    rival = (neighbour >= 0) & (label[np.maximum(neighbour, 0)] != label[:, None])
    later = np.where(rival & (neighbour > index[:, None]), neighbour, count)  # count: none
    pending = np.count_nonzero(rival & (neighbour < index[:, None]), axis=1)  # earlier rivals that may get their label
    pending = np.append(pending, 0)
    late = np.zeros(count + 1, dtype=bool)
    late[count] = True
    labelled = np.flatnonzero(pending[:count] == 0)
    while labelled.size:
        lines = np.unique(later[labelled])
        lines = lines[~late[lines]]
        late[lines] = True
        freed, times = np.unique(later[lines], return_counts=True)
        pending[freed] -= times
        labelled = freed[(pending[freed] == 0) & ~late[freed]]
    return ~late[:count]
