"""Stacks of bands, one for each class."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def indices_of(bands: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the number (H, W) of the band, from 0, that is not zero, of a stack (H, W, C) in which one is."""
    return np.asarray((bands != 0).argmax(axis=2), dtype=np.uint8)
