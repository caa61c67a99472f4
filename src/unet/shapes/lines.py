"""The lines between shapes: given to the shapes beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.errors import InputError


def fill_lines(label_map: NDArray[Any], mask: NDArray[np.bool_] | None = None) -> NDArray[Any]:
    """Return a label map whose pixels of 0 are given to the nearest shape.

    Near is counted in steps to one of the four neighbours, through pixels of 0. Where several shapes are equally near,
    which is the rule on a line of one pixel, that of the neighbour above is taken, else that on the left, on the right,
    below: so borders are moved by the same half pixel everywhere, whatever the shapes' numbers are.

    Parameters
    ----------
    label_map : integer array (H, W)
        0 on lines.
    mask : bool array (H, W), optional
        Pixels of 0 outside of it stay 0.

    Returns
    -------
    array (H, W) of the same dtype
        Without 0, but outside of the mask and where no shape can be reached.

    Raises
    ------
    InputError
        A mask of another size.

    Examples
    --------
    >>> fill_lines(np.array([[1, 0, 2, 0, 0]]))
    array([[1, 1, 2, 2, 2]])
    """
    if mask is not None and mask.shape != label_map.shape:
        raise InputError(f"a mask of shape {mask.shape}", f"that of the label map, {label_map.shape}")
    height, width = label_map.shape
    # A frame of pixels that are never filled, so that all others have four neighbours.
    padded = np.zeros((height + 2, width + 2), label_map.dtype)
    padded[1:-1, 1:-1] = label_map
    open_ = np.zeros(padded.shape, bool)
    open_[1:-1, 1:-1] = (label_map == 0) if mask is None else (label_map == 0) & mask
    labels, still_open = padded.ravel(), open_.ravel()
    steps = (-(width + 2), -1, 1, width + 2)  # above, left, right, below
    reached = np.flatnonzero(still_open)
    reached = reached[np.logical_or.reduce([labels[reached + step] != 0 for step in steps])]
    while reached.size:
        taken = np.zeros(reached.size, label_map.dtype)
        for step in steps:
            taken = np.where(taken == 0, labels[reached + step], taken)
        labels[reached] = taken  # after all of this round have been looked at
        still_open[reached] = False
        beside = np.concatenate([reached + step for step in steps])
        reached = np.unique(beside[still_open[beside]])
    filled: NDArray[Any] = padded[1:-1, 1:-1].copy()
    return filled
