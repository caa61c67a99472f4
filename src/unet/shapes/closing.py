"""The joint closing of an edge map by dynamic and area: basins too shallow or too small are filled.

An edge map in, a filtered one out, from a tree of its basins that is built once for all settings; docs/closing.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.errors import InputError


@dataclass(frozen=True, eq=False)
class MinTree:
    """The basins of an edge map at all its levels: node, parent, and what a node's basin holds.

    A basin at a level is an 8-connected component of the pixels that are at most so high. Each has a node, made at the
    lowest level at which it is that set of pixels; its parent is the next larger basin around it. Parents come after
    their children, and the last node, the whole picture, is its own.

    Attributes
    ----------
    node_map : int32 array (H, W)
        The smallest basin that each pixel is in.
    parent : int32 array (N,)
    level : unsigned integer array (N,)
        Of the edge map's type.
    minimum : unsigned integer array (N,)
        The lowest level in the basin.
    area : int64 array (N,)
        Pixels.
    first : int64 array (N,)
        The flat index of the first pixel in raster order.

    Notes
    -----
    The tree of the lower level sets, also called min-tree or component tree [1]_.

    References
    ----------
    .. [1] Salembier, Oliveras, Garrido: "Antiextensive Connected Operators for Image and Sequence Processing", IEEE
       Transactions on Image Processing 7(4), 1998.
    """

    node_map: NDArray[np.int32]
    parent: NDArray[np.int32]
    level: NDArray[Any]
    minimum: NDArray[Any]
    area: NDArray[np.int64]
    first: NDArray[np.int64]

    def closing(self, dynamic: int, area: int) -> NDArray[Any]:
        """Return the filtered edge map of one setting; see `joint_closing`.

        Raises
        ------
        InputError
            If the dynamic or the area is negative.
        """
        standing = self._standing(dynamic, area)
        filtered: NDArray[Any] = self.level[self._basin_around(standing)][self.node_map]
        return filtered

    def closing_and_minima(self, dynamic: int, area: int) -> tuple[NDArray[Any], NDArray[np.int32]]:
        """Return the filtered edge map of one setting, and the label map of its regional minima.

        Returns
        -------
        unsigned integer array (H, W)
        int32 array (H, W)
            1, 2, ... by the first pixel of each minimum, row by row; 0 elsewhere.

        Raises
        ------
        InputError
            If the dynamic or the area is negative.
        """
        standing = self._standing(dynamic, area)
        around = self._basin_around(standing)
        lowest = standing.copy()  # a minimum is a basin that stands and has none that stands inside it
        children = np.flatnonzero(standing[:-1])
        lowest[around[self.parent[children]]] = False
        nodes = np.flatnonzero(lowest)
        nodes = nodes[np.argsort(self.first[nodes])]
        numbers = np.zeros(self.parent.size, dtype=np.int32)
        numbers[nodes] = np.arange(1, nodes.size + 1)
        return self.level[around][self.node_map], numbers[around][self.node_map]

    def _standing(self, dynamic: int, area: int) -> NDArray[np.bool_]:
        for name, number in (("dynamic", dynamic), ("area", area)):
            if number < 0:
                raise InputError(f"{name} {number}", "0 or more", f"choose another {name}")
        height = self.level.astype(np.int64) - self.minimum
        standing: NDArray[np.bool_] = (self.area >= area) & (height >= dynamic)
        standing[-1] = True  # where nothing stands, the picture is one basin
        return standing

    def _basin_around(self, standing: NDArray[np.bool_]) -> NDArray[np.int32]:
        """Return for each node the smallest basin that stands and has it inside, or is it."""
        around = np.where(standing, np.arange(standing.size, dtype=np.int32), self.parent)
        while not np.array_equal(further := around[around], around):
            around = further
        return around


def joint_closing(epm: NDArray[Any], dynamic: int, area: int) -> NDArray[Any]:
    """Return the edge map with all basins filled that are not both deep and large enough.

    Parameters
    ----------
    epm : uint8 or uint16 array (H, W)
        High on edges.
    dynamic : int
        How deep a basin must be, from its lowest pixel to the level at which it has the area, in grey levels.
    area : int
        How many pixels it must have.

    Returns
    -------
    array like `epm`
        Each pixel has the lowest level at which the 8-connected basin around it reaches that level, has at least `area`
        pixels and lies at least `dynamic` above its own minimum: both at once, not one filter after the other. Where
        there is no such level, the highest of the picture.

    Raises
    ------
    InputError
        If the dynamic or the area is negative, or the edge map is not an unsigned integer array (H, W).

    See Also
    --------
    min_tree : built once, it gives the closings of many settings.

    Notes
    -----
    The levels are those that occur in the basin: a basin that ends at level 3 and is joined to its neighbour at level
    9 is 3 high, not 8. So does the program of [1]_, whose label maps come out the same.

    References
    ----------
    .. [1] Chen, Carlinet, Chazalon, Mallet, Duménieu, Perret: "Vectorization of Historical Maps Using Deep Edge
       Filtering and Closed Shape Extraction", ICDAR 2021.

    Examples
    --------
    >>> epm = np.array([[0, 0, 9, 7, 7, 9, 0, 3, 0, 9]], dtype=np.uint8)
    >>> joint_closing(epm, dynamic=0, area=3)  # basins of one pixel, and of two, are filled up to the next
    array([[9, 9, 9, 9, 9, 9, 3, 3, 3, 9]], dtype=uint8)
    >>> joint_closing(epm, dynamic=0, area=2)
    array([[0, 0, 9, 7, 7, 9, 3, 3, 3, 9]], dtype=uint8)
    >>> joint_closing(epm, dynamic=3, area=2)
    array([[9, 9, 9, 9, 9, 9, 3, 3, 3, 9]], dtype=uint8)
    """
    return min_tree(epm).closing(dynamic, area)


def min_tree(epm: NDArray[Any]) -> MinTree:
    """Return the tree of an edge map's basins.

    Parameters
    ----------
    epm : uint8 or uint16 array (H, W)
        May be mapped from a file. Fastest where most pixels have the lowest value, as in the edge maps of networks.

    Returns
    -------
    MinTree

    Raises
    ------
    InputError
        If it is not an unsigned integer array (H, W), or has no pixels.

    Examples
    --------
    >>> tree = min_tree(np.array([[0, 5, 1, 9]], dtype=np.uint8))
    >>> tree.level, tree.area, tree.parent
    (array([0, 1, 5, 9], dtype=uint8), array([1, 1, 3, 4]), array([2, 2, 3, 3], dtype=int32))
    """
    if epm.ndim != 2 or epm.dtype.kind != "u" or not epm.size:
        raise InputError(
            f"an edge map of {epm.dtype} and shape {epm.shape}", "unsigned integers (H, W)", "choose one band of it"
        )
    width = epm.shape[1] + 2
    if (epm.shape[0] + 2) * width > np.iinfo(np.int32).max:
        raise InputError(f"an edge map of {epm.size:.2g} px", "less than 2^31", "cut it into parts")
    from scipy.ndimage import label
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    framed = np.zeros((epm.shape[0] + 2, width), dtype=np.int32)  # the frame is in no basin
    nodes = framed.ravel()
    lowest = epm.min()
    # Basins of the lowest level fill most of an edge map: they are found in the raster, others from lists of pixels.
    bottom = epm == lowest
    count = label(bottom, np.ones((3, 3)), output=framed[1:-1, 1:-1])
    pixels = np.flatnonzero(~bottom)
    values = epm[~bottom]
    del bottom
    order = np.argsort(values, kind="stable")
    pixels, values = pixels[order], values[order]
    del order
    pixels += 2 * (pixels // epm.shape[1]) + width + 1  # places in the framed map, from here on
    levels, starts = np.unique(values, return_index=True)

    capacity = count + pixels.size  # nodes at most; pages that are never written cost no memory
    parent, root = (np.empty(capacity, dtype=np.int32) for _ in range(2))  # root: the largest basin yet, or nearer it
    level, minimum = (np.empty(capacity, dtype=epm.dtype) for _ in range(2))
    area, first = (np.empty(capacity, dtype=np.int64) for _ in range(2))
    parent[:count] = root[:count] = np.arange(count)
    level[:count] = minimum[:count] = lowest
    run_starts, run_stops = _runs_of_true(nodes > 0)
    area[:count] = 0
    np.add.at(area, nodes[run_starts] - 1, run_stops - run_starts)
    first[nodes[run_starts[::-1]] - 1] = run_starts[::-1]  # what is written last is first in raster order
    nodes -= 1
    for value, start, stop in zip(levels, starts, np.append(starts, values.size)[1:], strict=True):
        # A graph of the level's rows of pixels, and of the basins below that touch them: its components are basins.
        here = pixels[start:stop]
        run_of, touching = _runs(here, width)
        inner_run, inner = _basins_beside(nodes, here, run_of, width)
        children, child_of = np.unique(_find(root, inner), return_inverse=True)
        runs = int(run_of[-1]) + 1
        pairs = np.concatenate([touching, np.stack([inner_run, runs + child_of])], axis=1)
        graph = coo_array((np.ones(pairs.shape[1], dtype=np.int8), (pairs[0], pairs[1])), (runs + children.size,) * 2)
        found, component = connected_components(graph, directed=False)
        of_pixels, of_children = component[:runs][run_of] + count, component[runs:] + count
        new = slice(count, count + found)
        nodes[here] = of_pixels
        parent[children] = root[children] = of_children
        parent[new] = root[new] = np.arange(count, count + found)
        level[new] = minimum[new] = value
        area[new] = np.bincount(of_pixels - count, minlength=found)
        first[new] = nodes.size
        first[of_pixels[::-1]] = here[::-1]
        np.minimum.at(minimum, of_children, minimum[children])
        np.add.at(area, of_children, area[children])
        np.minimum.at(first, of_children, first[children])
        count += found
    first = first[:count] - width - 1
    first -= 2 * (first // width)  # without the frame again
    kept = slice(count)
    return MinTree(
        framed[1:-1, 1:-1], parent[kept].copy(), level[kept].copy(), minimum[kept].copy(), area[kept].copy(), first
    )


def _runs_of_true(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where runs of True start, and where they have stopped; the first and the last of all are False."""
    return np.flatnonzero(mask[1:] & ~mask[:-1]) + 1, np.flatnonzero(mask[:-1] & ~mask[1:]) + 1


def _runs(pixels: NDArray[np.intp], width: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return for each pixel the number of its run, neighbours in a row, and (2, N) the pairs of runs that touch."""
    new = np.diff(pixels, prepend=-1) != 1
    begin = np.flatnonzero(new)
    starts, lasts = pixels[begin], pixels[np.append(begin[1:], pixels.size) - 1]
    leftmost = np.searchsorted(lasts, starts - width - 1)  # of the runs above that touch
    beyond = np.searchsorted(starts, lasts - width + 1, side="right")
    counts = beyond - leftmost
    above = np.arange(counts.sum()) + np.repeat(leftmost - (np.cumsum(counts) - counts), counts)
    return np.cumsum(new) - 1, np.stack([np.repeat(np.arange(begin.size), counts), above])


def _basins_beside(
    nodes: NDArray[np.int32], pixels: NDArray[np.intp], run_of: NDArray[np.intp], width: int
) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """Return the runs that have a node beside them, and that node; most repetitions are left out."""
    found = []
    for offset in (-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1):
        beside = nodes[pixels + offset]
        there = np.flatnonzero(beside >= 0)
        run, node = run_of[there], beside[there]
        fresh = np.ones(there.size, dtype=bool)
        fresh[1:] = (np.diff(run) != 0) | (np.diff(node) != 0)
        found.append((run[fresh], node[fresh]))
    return np.concatenate([run for run, _ in found]), np.concatenate([node for _, node in found])


def _find(root: NDArray[np.int32], nodes: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the largest basin yet around each node, and note it as their root."""
    found = root[nodes]
    while not np.array_equal(further := root[found], found):
        found = further
    root[nodes] = found
    return found
