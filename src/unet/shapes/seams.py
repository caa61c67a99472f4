"""Connected components of a raster that does not fit into memory, read twice in bands of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.shapes.components import Connectivity, connected_components

Bands = Callable[[], Iterable[NDArray[Any]]]
"""Gives the bands of a raster from top to bottom, bool or integer arrays (rows, W), each time it is called."""


@dataclass(frozen=True, eq=False)
class BandedComponents:
    """The components of a raster, whose label map is made a band at a time.

    Attributes
    ----------
    count : int
        Components; the highest label.
    areas : int64 array (count,)
        Pixels of component 1, 2, ...
    values : integer array (count,)
        The raster's value in each.
    """

    count: int
    areas: NDArray[np.int64]
    values: NDArray[Any]
    _bands: Bands
    _background: int | None
    _connectivity: Connectivity
    _starts: tuple[int, ...]  # how many labels, counted in each band alone, the bands before have
    _labels: NDArray[Any]  # the label for each of those

    def label_bands(self) -> Iterator[NDArray[Any]]:
        """Yield the label map in the bands of the raster.

        Yields
        ------
        int32 array (rows, W)
            Numbers as `connected_components` would give to the whole; int64 where there are more than int32 can count.
        """
        for band, start in zip(self._bands(), self._starts, strict=True):
            local = connected_components(band, self._background, self._connectivity)
            numbers = np.zeros(int(local.max(initial=0)) + 1, dtype=self._labels.dtype)
            numbers[1:] = self._labels[start : start + numbers.size - 1]
            yield numbers[local]


def components_in_bands(
    bands: Bands, background: int | None = None, connectivity: Connectivity = 8, *, min_area: int = 0
) -> BandedComponents:
    """Find the connected components of equal values in a raster that is read in bands.

    Parameters
    ----------
    bands : callable
        Gives the raster's bands, of any heights, from top to bottom; called once here and once for the label map.
    background : int, optional
        The value whose pixels are in no component; by default there is none.
    connectivity : {4, 8}
        Without or with diagonal neighbours.
    min_area : int
        Components of fewer pixels are left out, as by `remove_small`.

    Returns
    -------
    BandedComponents
        Equal to `connected_components` of the whole raster, numbers included, wherever the bands end.

    Notes
    -----
    Each band is labelled alone; labels that meet at a seam are joined at the end, as a graph. In memory are one band
    and some numbers for each component, so that a raster of noise needs as much as itself.

    Examples
    --------
    >>> raster = np.array([[5, 5, 0, 5], [5, 0, 0, 5], [5, 5, 5, 5]])
    >>> components = components_in_bands(lambda: iter([raster[:1], raster[1:]]), background=0)
    >>> components.count, components.areas, components.values
    (1, array([9]), array([5]))
    >>> for band in components.label_bands():
    ...     print(band)
    [[1 1 0 1]]
    [[1 0 0 1]
     [1 1 1 1]]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components as graph_components

    starts: list[int] = []
    areas: list[NDArray[np.int64]] = []
    values: list[NDArray[Any]] = []
    pairs: list[NDArray[np.int64]] = []
    total = 0
    above: tuple[NDArray[Any], NDArray[np.int64]] | None = None
    for band in bands():
        local = connected_components(band, background, connectivity)
        count = int(local.max(initial=0))
        areas.append(np.bincount(local.ravel(), minlength=count + 1)[1:])
        value = np.empty(count + 1, dtype=band.dtype)
        value[local] = band
        values.append(value[1:])
        starts.append(total)
        numbered = np.where(local[[0, -1]] > 0, local[[0, -1]].astype(np.int64) - 1 + total, -1)
        if above is not None:
            pairs.append(_pairs_at_seam(*above, band[0], numbered[0], connectivity))
        above = band[-1].copy(), numbered[1]
        total += count

    # Labels grow with the first pixel of what they stand for, from band to band too: the least label of a component
    # is that of its first pixel, and the order of the least labels is that of the components.
    least = np.arange(total, dtype=np.int64)
    if joined := [part for part in pairs if part.size]:
        ids, ends = np.unique(np.concatenate(joined, axis=1), return_inverse=True)
        ends = ends.reshape(2, -1)
        graph = coo_array((np.ones(ends.shape[1], dtype=np.int8), (ends[0], ends[1])), shape=(ids.size, ids.size))
        _, group = graph_components(graph, directed=False)
        _, leaders = np.unique(group, return_index=True)  # the first of a group is its least, as ids rise
        least[ids] = ids[leaders][group]
    area = np.zeros(total, dtype=np.int64)
    np.add.at(area, least, np.concatenate([np.zeros(0, np.int64), *areas]))
    stays = (least == np.arange(total)) & (area >= min_area)
    count = int(np.count_nonzero(stays))
    dtype = np.int32 if count <= np.iinfo(np.int32).max else np.int64
    numbers = np.where(stays, np.cumsum(stays), 0).astype(dtype)
    value_of = np.concatenate(values) if values else np.zeros(0, dtype=np.int64)
    return BandedComponents(
        count, area[stays], value_of[stays], bands, background, connectivity, tuple(starts), numbers[least]
    )


def _pairs_at_seam(
    upper: NDArray[Any],
    upper_labels: NDArray[np.int64],
    lower: NDArray[Any],
    lower_labels: NDArray[np.int64],
    connectivity: Connectivity,
) -> NDArray[np.int64]:
    """Return the pairs of labels, int64 array (2, N), that touch from one row to the next and are of one value."""
    width = upper.size
    found = []
    for shift in (-1, 0, 1) if connectivity == 8 else (0,):
        one, two = slice(max(0, -shift), width - max(0, shift)), slice(max(0, shift), width - max(0, -shift))
        same = (upper[one] == lower[two]) & (upper_labels[one] >= 0) & (lower_labels[two] >= 0)
        found.append(np.stack([upper_labels[one][same], lower_labels[two][same]]))
    return np.unique(np.concatenate(found, axis=1), axis=1)
