"""Connected components, diagonal neighbours included: the one room that looks for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.labels import IGNORED


def connected_components(values: NDArray[Any], background: int | None = None) -> NDArray[np.int32]:
    """Return the label map of the connected components of equal values.

    Parameters
    ----------
    values : bool or integer array (H, W)
        0 or more.
    background : int, optional
        The value whose pixels are in no component; by default there is none.

    Returns
    -------
    int32 array (H, W)
        1, 2, ... by the first pixel of each component, row by row; 0 for the background.

    Examples
    --------
    >>> values = np.array([[2, 0, 7], [0, 2, 7]])
    >>> connected_components(values, background=0)
    array([[1, 0, 2],
           [0, 1, 2]], dtype=int32)
    >>> connected_components(values)
    array([[1, 2, 3],
           [2, 1, 3]], dtype=int32)
    """
    from skimage.measure import label  # slow to import, and most trainings and remembered scans do without it

    no_value = -1  # `label` always has a background
    label_map: NDArray[Any] = label(  # type: ignore[no-untyped-call]
        values.astype(np.int32), background=no_value if background is None else background, connectivity=2
    )
    return label_map.astype(np.int32, copy=False)


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
