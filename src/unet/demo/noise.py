"""Smooth random fields."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def clouds(shape: tuple[int, ...], scale: float, rng: np.random.Generator) -> Floats:
    """Return smooth noise (H, W) of about unit spread whose blobs measure about `scale` pixels."""
    counts = [max(1, math.ceil(side / scale)) for side in shape]
    coarse = 2 * rng.normal(0, 1, [count + 3 for count in counts])  # the spline below halves the spread
    rows, columns = [1 + np.arange(side) * count / side for side, count in zip(shape, counts, strict=True)]
    return spline(spline(coarse, rows, 0), columns, 1)


def spline(values: Floats, places: Floats, axis: int) -> Floats:
    """Sample an array (H, W) along one axis with the weights of the cubic B-spline, which smooths it."""
    base = np.floor(places).astype(int)
    t = places - base
    weights = (
        (1 - t) ** 3 / 6,
        (3 * t**3 - 6 * t**2 + 4) / 6,
        (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
        t**3 / 6,
    )
    last = values.shape[axis] - 1
    shape = [1, 1]
    shape[axis] = -1
    parts = [
        np.take(values, np.clip(base + offset, 0, last), axis=axis) * weight.reshape(shape)
        for offset, weight in zip((-1, 0, 1, 2), weights, strict=True)
    ]
    return np.asarray(parts[0] + parts[1] + parts[2] + parts[3])
