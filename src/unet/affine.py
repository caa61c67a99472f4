"""Where the pixels of a raster lie: six numbers turn column and row into coordinates."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Affine = tuple[float, float, float, float, float, float]
"""a, b, c, d, e, f: the place (a * column + b * row + c, d * column + e * row + f). Pixel (0, 0) begins at (c, f)."""

PIXELS_DOWN: Affine = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
"""x = column, y = row."""

PIXELS_UP: Affine = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
"""x = column, y = -row: how GIS programs show a picture that has no place."""


def coordinates(transform: Affine, columns: NDArray[Any], rows: NDArray[Any]) -> NDArray[Any]:
    """Return the coordinates of columns and rows, (N, 2).

    Examples
    --------
    >>> coordinates((0.5, 0.0, 100.0, 0.0, -0.5, 200.0), np.array([0, 4]), np.array([0, 2]))
    array([[100., 200.],
           [102., 199.]])
    """
    a, b, c, d, e, f = transform
    return np.stack([a * columns + b * rows + c, d * columns + e * rows + f], axis=1)


def window_transform(transform: Affine, row: int, column: int) -> Affine:
    """Return the transform of a part of a raster that begins at a row and column.

    Examples
    --------
    >>> window_transform((0.5, 0.0, 100.0, 0.0, -0.5, 200.0), 2, 4)
    (0.5, 0.0, 102.0, 0.0, -0.5, 199.0)
    """
    a, b, c, d, e, f = transform
    return a, b, a * column + b * row + c, d, e, d * column + e * row + f


def inverse(transform: Affine) -> Affine:
    """Return the transform from coordinates to column and row.

    Examples
    --------
    >>> inverse((0.5, 0.0, 100.0, 0.0, -0.5, 200.0))
    (2.0, 0.0, -200.0, 0.0, -2.0, 400.0)
    """
    a, b, c, d, e, f = transform
    size = a * e - b * d
    return e / size, -b / size, (b * f - c * e) / size, -d / size, a / size, (c * d - a * f) / size
