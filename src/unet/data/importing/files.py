"""Bytes that came out of another file, as a file of their own: `raster` opens nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from unet.errors import DataError, RasterError


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
