"""Bytes that came out of another file, as a file of their own: `raster` opens nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from unet.errors import DataError, RasterError

OUTSIDE_REMEDY = "allow it by --outside"


def is_within(path: Path, folder: Path) -> bool:
    """Tell whether a path leads below a folder by its words; links that lie there may point elsewhere.

    Examples
    --------
    >>> is_within(Path("set/imgs/../a.png"), Path("set")), is_within(Path("set/../../etc"), Path("set"))
    (True, False)
    """
    above = os.path.abspath(folder)
    return os.path.commonpath((os.path.abspath(path), above)) == above


@contextmanager
def as_file(data: bytes, called: str) -> Iterator[Path]:
    """Give a file that holds the bytes, for as long as the context lasts.

    Raises
    ------
    DataError
        In place of a RasterError within the context, with the place that the user knows.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "picture"
        path.write_bytes(data)
        try:
            yield path
        except RasterError as error:
            raise DataError(str(error).replace(str(path), called)) from None
