"""Connected components of rasters, and what is too small among them: the one room that looks for them.

Rasters that do not fit into memory are looked through band by band: seams.py beside it.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from unet.errors import InputError
from unet.labels import IGNORED

Connectivity = Literal[4, 8]


def connected_components(
    values: NDArray[Any], background: int | None = None, connectivity: Connectivity = 8
) -> NDArray[np.int32]:
    """Return the label map of the connected components of equal values.

    Parameters
    ----------
    values : bool or integer array (H, W)
        0 or more.
    background : int, optional
        The value whose pixels are in no component; by default there is none.
    connectivity : {4, 8}
        Without or with diagonal neighbours.

    Returns
    -------
    int32 array (H, W)
        1, 2, ... by the first pixel of each component, row by row; 0 for the background.

    See Also
    --------
    unet.shapes.seams.components_in_bands : the same for a raster that does not fit into memory.

    Examples
    --------
    >>> values = np.array([[2, 0, 7], [0, 2, 7]])
    >>> connected_components(values, background=0)
    array([[1, 0, 2],
           [0, 1, 2]], dtype=int32)
    >>> connected_components(values)
    array([[1, 2, 3],
           [2, 1, 3]], dtype=int32)
    >>> connected_components(values, background=0, connectivity=4)
    array([[1, 0, 2],
           [0, 3, 2]], dtype=int32)
    """
    from skimage.measure import label  # slow to import, and most trainings and remembered scans do without it

    no_value = -1  # `label` always has a background
    label_map: NDArray[Any] = label(  # type: ignore[no-untyped-call]
        values if values.dtype == bool and background == 0 else values.astype(np.int32),
        background=no_value if background is None else background,
        connectivity=connectivity // 4,
    )
    return label_map.astype(np.int32, copy=False)


def threshold_components(epm: NDArray[Any], threshold: float = 0) -> NDArray[np.int32]:
    """Return the label map of the 4-connected components between the edges of an edge map.

    Parameters
    ----------
    epm : array (H, W)
        High on edges. For a line image, 0 between the lines, these are the shapes that the lines enclose.
    threshold : float
        Up to which value a pixel is no edge.

    Returns
    -------
    int32 array (H, W)
        1, 2, ... by the first pixel of each component, row by row; 0 on edges.

    Examples
    --------
    >>> threshold_components(np.array([[0, 9, 1], [9, 1, 0]], dtype=np.uint8), threshold=1)
    array([[1, 0, 2],
           [0, 2, 2]], dtype=int32)
    """
    return connected_components(epm <= threshold, background=0, connectivity=4)


def remove_small(label_map: NDArray[np.int32], area: int) -> NDArray[np.int32]:
    """Return the label map without the components of fewer pixels than that.

    Parameters
    ----------
    label_map : int32 array (H, W)
        0 or more.
    area : int
        Pixels of the smallest component that stays.

    Returns
    -------
    int32 array (H, W)
        Their pixels are 0; the others are renumbered without gaps, in the order of their numbers.

    Raises
    ------
    InputError
        If the area is negative.

    Examples
    --------
    >>> remove_small(np.array([[1, 0, 2, 2, 5, 5]], dtype=np.int32), area=2)
    array([[0, 0, 1, 1, 2, 2]], dtype=int32)
    """
    if area < 0:
        raise InputError(f"area {area}", "0 or more", "choose another area")
    areas = np.bincount(label_map.ravel(), minlength=1)
    stays = areas >= max(area, 1)
    stays[0] = False
    numbers = np.where(stays, np.cumsum(stays), 0).astype(np.int32)
    smaller: NDArray[np.int32] = numbers[label_map]
    return smaller


def fill_holes(label_map: NDArray[np.int32], area: int | None = None) -> NDArray[np.int32]:
    """Return the label map with the holes inside of single components given to them.

    Parameters
    ----------
    label_map : int32 array (H, W)
        0 or more.
    area : int, optional
        Larger holes stay; by default none do.

    Returns
    -------
    int32 array (H, W)

    Raises
    ------
    InputError
        If the area is negative.

    Notes
    -----
    A hole is a 4-connected component of 0 that is not at the picture's edge and has neighbours of one label only: if
    another component lies inside, it stays, for it may be a lake on an island.

    Examples
    --------
    >>> fill_holes(np.array([[1, 1, 1, 0], [1, 0, 1, 2], [1, 1, 1, 2]], dtype=np.int32))
    array([[1, 1, 1, 0],
           [1, 1, 1, 2],
           [1, 1, 1, 2]], dtype=int32)
    """
    if area is not None and area < 0:
        raise InputError(f"area {area}", "0 or more", "choose another area")
    gaps = connected_components(label_map == 0, background=0, connectivity=4)
    count = int(gaps.max(initial=0)) + 1
    highest, lowest = np.zeros(count, dtype=np.int32), np.full(count, np.iinfo(np.int32).max, dtype=np.int32)
    for one, two in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        for gap, beside in ((gaps[one], label_map[two]), (gaps[two], label_map[one])):
            meet = (gap > 0) & (beside > 0)
            np.maximum.at(highest, gap[meet], beside[meet])
            np.minimum.at(lowest, gap[meet], beside[meet])
    hole = highest == lowest
    for edge in (gaps[0], gaps[-1], gaps[:, 0], gaps[:, -1]):
        hole[edge] = False
    if area is not None:
        hole &= np.bincount(gaps.ravel(), minlength=count) <= area
    owner = np.where(hole, highest, 0)
    owner[0] = 0
    return np.where(gaps > 0, owner[gaps], label_map)


def foreground_components(target: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return the label map of the connected components of all classes but the first.

    Parameters
    ----------
    target : uint8 array (H, W)
        Class indices; the first class is the background, and ignored pixels count as such.

    Returns
    -------
    int32 array (H, W)

    Examples
    --------
    >>> foreground_components(np.array([[1, 0, 2], [255, 1, 2]], dtype=np.uint8))
    array([[1, 0, 2],
           [0, 1, 2]], dtype=int32)
    """
    return connected_components(np.where(target == IGNORED, 0, target), background=0)


def is_single_component(mask: NDArray[np.bool_]) -> bool:
    """Tell whether the pixels of a mask are one connected component.

    Parameters
    ----------
    mask : bool array (H, W)

    Returns
    -------
    bool
        False for an empty mask.

    Examples
    --------
    >>> is_single_component(np.eye(3, dtype=bool))
    True
    >>> is_single_component(np.array([[True, False, True]]))
    False
    """
    return int(connected_components(mask, background=0).max(initial=0)) == 1
