"""Windows: rectangles of pixels of a raster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from unet.errors import RasterError

Window = tuple[int, int, int, int]
"""Row, column, height and width of a part of a picture, in its pixels."""


def check_window(window: Window, size: tuple[int, int], path: Path) -> None:
    """Make sure that a window has pixels and lies within a raster of a height and width.

    Raises
    ------
    RasterError
        It does not.

    Examples
    --------
    >>> check_window((2, 0, 4, 3), (6, 3), Path("a.tif"))
    """
    row, col, height, width = window
    if min(row, col) < 0 or min(height, width) < 1 or row + height > size[0] or col + width > size[1]:
        raise RasterError(
            f"{path}: a window of {width} x {height} px at column {col}, row {row}",
            f"one within {size[1]} x {size[0]} px",
        )


def cut_out(array: NDArray[Any], window: Window) -> NDArray[Any]:
    """Return a window of an array (H, W, ...), not copied.

    Examples
    --------
    >>> import numpy as np
    >>> cut_out(np.array([[1, 2, 3], [4, 5, 6]]), (0, 1, 2, 2)).tolist()
    [[2, 3], [5, 6]]
    """
    row, col, height, width = window
    return array[row : row + height, col : col + width]
