"""A label map on disk, written from top to bottom and read back in bands of rows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from unet.errors import InputError


class StoredRows:
    """An integer array (H, W) in a file, of which slices of rows and single rows can be read.

    A mapped file would do the same, but its pages count as memory of the process.

    Parameters
    ----------
    path : Path
        The file to write.
    width : int
    bands : iterable of integer array (h, W)
        The rows, from top to bottom.

    Raises
    ------
    InputError
        There is no room.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rows = StoredRows(Path(folder) / "rows", 2, [np.array([[1, 2]]), np.array([[3, 4], [5, 6]])])
    ...     rows.shape, rows[1:3].tolist(), rows[0].tolist()
    ((3, 2), [[3, 4], [5, 6]], [1, 2])
    """

    def __init__(self, path: Path, width: int, bands: Iterable[NDArray[Any]]) -> None:
        self.path, self.dtype = path, np.dtype(np.int32)
        height = 0
        with path.open("wb") as file:
            for band in bands:
                self.dtype = band.dtype
                try:
                    np.ascontiguousarray(band).tofile(file)
                except OSError as error:
                    raise InputError(
                        f"{path.parent}: {error}", f"room for {width * band.itemsize:,} bytes a row"
                    ) from error
                height += band.shape[0]
        self.shape = (height, width)

    def __len__(self) -> int:
        return self.shape[0]

    @overload
    def __getitem__(self, rows: slice) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, rows: int) -> NDArray[Any]: ...

    def __getitem__(self, rows: slice | int) -> Any:
        if isinstance(rows, int):
            return self[rows : rows + 1][0]
        first, last, _ = rows.indices(self.shape[0])
        width = self.shape[1]
        start = first * width * self.dtype.itemsize
        count = max(0, last - first) * width
        return np.asarray(np.fromfile(self.path, self.dtype, count=count, offset=start).reshape(-1, width))


Rows = NDArray[Any] | StoredRows
"""A label map, in memory or on disk."""
