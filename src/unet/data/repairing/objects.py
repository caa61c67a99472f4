"""Masks that number objects, as classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.labels import IGNORED, Value

BORDER_RADIUS = 2
"""Pixels from a border within which there are two objects."""


def objects(numbers: NDArray[Any], ignored: Sequence[Value] = ()) -> NDArray[np.uint8]:
    """Return 1 where an integer mask (H, W) has any object, `IGNORED` at the values to ignore, 0 elsewhere."""
    classes = np.asarray(numbers != 0, dtype=np.uint8)
    classes[np.isin(numbers, ignored)] = IGNORED
    return classes


def objects_and_borders(numbers: NDArray[Any], ignored: Sequence[Value] = ()) -> NDArray[np.uint8]:
    """Return what `objects` returns, and 2 for the borders between those that touch, of an integer mask (H, W).

    A border pixel has pixels of two different objects at most `REACH` rows and columns away: the border is
    2 * `REACH` pixels wide where two objects touch, and fills gaps of fewer than 2 * `REACH` pixels between them.
    """
    from scipy import ndimage  # slow to import

    size = 2 * BORDER_RADIUS + 1
    classes = objects(numbers, ignored)
    numbers = np.where(classes == IGNORED, 0, numbers)
    top = ndimage.maximum_filter(numbers, size)
    present = np.where(numbers == 0, np.iinfo(numbers.dtype).max, numbers)
    border = (top != 0) & (ndimage.minimum_filter(present, size) != top)
    return np.where(border & (classes != IGNORED), 2, classes).astype(np.uint8)
