"""Outlines of the shapes of a label map, as rings of pixel corners: whole arrays at a time, band by band.

A corner is where four pixels meet: (row, col) is the upper left corner of that pixel. Outlines run along the edges
between pixels with the shape on their right hand (rows count downwards). A *turn* is a passage of an outline through a
corner where it changes direction, or where three or four shapes meet: every such corner is in the outline of each
shape there, and so neighbours share their edges to the last corner. A straight piece leads from a turn to the next one
on its line, so that turns sorted along the lines say which follows which; no pixel is walked along.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

EAST, SOUTH, WEST, NORTH = range(4)  # a turn to the right adds 1


class Turns(NamedTuple):
    """Passages of outlines through corners, sorted by row, then column.

    Attributes
    ----------
    row, col : int32 array (N,)
    came, goes : int8 array (N,)
        Directions in which the outline comes to the corner and leaves it: 0 east, 1 south, 2 west, 3 north.
    label : int32 or int64 array (N,)
        The shape, which is on the right.
    """

    row: NDArray[np.int32]
    col: NDArray[np.int32]
    came: NDArray[np.int8]
    goes: NDArray[np.int8]
    label: NDArray[Any]

    def where(self, wanted: NDArray[np.bool_]) -> Turns:
        """Return some of the turns."""
        columns: list[NDArray[Any]] = [column[wanted] for column in self]
        return Turns(*columns)


class Rings(NamedTuple):
    """Closed outlines, each through no corner twice, the shape on the right.

    Attributes
    ----------
    row, col : int32 array (N,)
        The corners of all rings, one ring after the other, the first corner not repeated.
    start : int64 array (R + 1,)
        Where each ring begins; the last entry is N.
    label : array (R,)
    area : int64 array (R,)
        In pixels; negative for the outline of a hole.
    """

    row: NDArray[np.int32]
    col: NDArray[np.int32]
    start: NDArray[np.int64]
    label: NDArray[Any]
    area: NDArray[np.int64]


def find_turns(
    block: NDArray[Any], first_row: int = 0, *, above: NDArray[Any] | None = None, last: bool = True
) -> Turns:
    """Return the turns in a band of a label map.

    Parameters
    ----------
    block : integer array (h, W)
        Rows of a label map; 0 belongs to no shape.
    first_row : int
        The number of its first row in the whole map.
    above : array (W,), optional
        The row before it; none for the first band.
    last : bool
        Nothing follows: the corners below the last row are found too. Those of other bands are the next one's.

    Returns
    -------
    Turns

    Examples
    --------
    >>> turns = find_turns(np.array([[0, 0, 0], [0, 7, 0]], dtype=np.int32))
    >>> [(int(row), int(col)) for row, col in zip(turns.row, turns.col)]
    [(1, 1), (1, 2), (2, 1), (2, 2)]
    """
    height, width = block.shape
    padded = np.zeros((height + 1 + last, width + 2), block.dtype)
    padded[1 : height + 1, 1:-1] = block
    if above is not None:
        padded[0, 1:-1] = above
    beside = padded[:, 1:] != padded[:, :-1]  # an edge between left and right
    between = padded[1:] != padded[:-1]  # an edge between upper and lower
    north, south = beside[:-1], beside[1:]
    west, east = between[:, :-1], between[:, 1:]
    # Not where there is no edge, nor where one goes straight on.
    row, col = np.nonzero((north != south) | (west != east) | (north & west))
    quads = (padded[row, col], padded[row, col + 1], padded[row + 1, col + 1], padded[row + 1, col])
    passes = np.zeros((row.size, 4), bool)
    goes = np.empty((row.size, 4), np.int8)
    label = np.empty((row.size, 4), block.dtype)
    for came in range(4):
        # Seen in the direction of travel; going east the shape, on the right, is the lower left pixel.
        ahead_left, ahead_right, back_right, back_left = (quads[(place + came) % 4] for place in (1, 2, 3, 0))
        passes[:, came] = (back_right != back_left) & (back_right != 0)
        # As far to the right as there is an edge: diagonal neighbours are not taken as joined.
        step = np.where(ahead_right != back_right, 1, np.where(ahead_left != back_right, 0, 3))
        goes[:, came] = (came + step) % 4
        label[:, came] = back_right
    vertex, came_from = np.nonzero(passes)
    return Turns(
        (row[vertex] + first_row).astype(np.int32),
        col[vertex].astype(np.int32),
        came_from.astype(np.int8),
        goes[passes],
        label[passes],
    )


def join_turns(turns: Turns) -> Rings:
    """Put the turns of whole shapes together to rings.

    Parameters
    ----------
    turns : Turns
        All turns of some shapes.

    Returns
    -------
    Rings
        By their first corner, row by row. A ring goes through no corner twice: where an outline touches itself, it is
        parted into an outline and a hole, or into two holes, as the rules of polygons in files ask; pieces of a shape
        that touch at corners only have outlines of their own.

    Examples
    --------
    >>> rings = join_turns(find_turns(np.array([[1, 1, 1], [1, 2, 1], [1, 1, 1]])))
    >>> rings.label.tolist(), rings.area.tolist()
    ([1, 1, 2], [9, -1, 1])
    """
    count = turns.row.size
    if not count:
        none = np.zeros(0, np.int32)
        return Rings(none, none, np.zeros(1, np.int64), turns.label, np.zeros(0, np.int64))
    following = _following(turns)
    ring = _cycles(following)
    one, other = _touching(turns)
    itself = ring[one] == ring[other]
    if itself.any():
        one, other = one[itself], other[itself]
        following[one], following[other] = following[other], following[one]
        ring = _cycles(following)
    heads = np.empty(int(ring.max()) + 1, np.int64)
    heads[ring[::-1]] = np.arange(count - 1, -1, -1)  # the last one written is the first corner
    order = _in_order(following, heads)
    start = np.concatenate([[0], np.cumsum(np.bincount(ring))])
    row, col = turns.row[order], turns.col[order]
    return Rings(row, col, start, turns.label[heads], _areas(row, col, start))


def _following(turns: Turns) -> NDArray[np.int32]:
    """Return which turn follows each: the next one that is come to on the line on which it is left."""
    following = np.empty(turns.row.size, np.int32)
    for direction in range(4):
        left, reached = np.flatnonzero(turns.goes == direction), np.flatnonzero(turns.came == direction)
        if direction in (NORTH, SOUTH):
            left = left[np.argsort(_short(turns.col[left]), kind="stable")]
            reached = reached[np.argsort(_short(turns.col[reached]), kind="stable")]
        following[left] = reached
    return following


def _short(values: NDArray[np.int32]) -> NDArray[Any]:
    """Return the same as 16 bits where they fit: numpy sorts these several times faster."""
    return values.astype(np.uint16) if values.max(initial=0) < 2**16 else values


def _touching(turns: Turns) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs of turns of one shape at one corner, where its pixels are diagonal neighbours."""
    pairs = []
    for apart in (1, 2):  # they come from opposite sides, and in between there is room for one turn
        same = (
            (turns.label[apart:] == turns.label[:-apart])
            & (turns.col[apart:] == turns.col[:-apart])
            & (turns.row[apart:] == turns.row[:-apart])
        )
        pairs.append(np.flatnonzero(same))
    return np.concatenate(pairs), np.concatenate([pairs[0] + 1, pairs[1] + 2])


def _cycles(following: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the number of each turn's cycle; cycles are numbered by their first turn."""
    from scipy.sparse.csgraph import connected_components  # slow to import

    ring: NDArray[np.int32] = connected_components(_graph(following), directed=True, connection="weak")[1]
    return ring


def _in_order(following: NDArray[np.int32], heads: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return the turns of one cycle after the other, each from its head: a walk along one path through all."""
    from scipy.sparse.csgraph import breadth_first_order

    before = np.empty_like(following)
    before[following] = np.arange(following.size, dtype=np.int32)
    path = following.copy()
    path[before[heads]] = np.roll(heads, -1)
    order: NDArray[np.int32] = breadth_first_order(_graph(path), heads[0], return_predecessors=False)
    return order


def _graph(following: NDArray[np.int32]) -> Any:
    from scipy.sparse import csr_array

    count = following.size
    return csr_array((np.ones(count), following, np.arange(count + 1, dtype=np.int32)), shape=(count, count))


def _areas(row: NDArray[np.int32], col: NDArray[np.int32], start: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the signed area of each ring (shoelace formula; with right angles one term in two is enough)."""
    after = np.arange(1, row.size + 1)
    after[start[1:] - 1] = start[:-1]
    parts = col.astype(np.int64) * (row[after].astype(np.int64) - row)
    return np.add.reduceat(parts, start[:-1])
