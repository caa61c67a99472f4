"""Whether a file is still the same: by its bytes, or at no cost by its size and time."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from unet.errors import InputError
from unet.files import digest

Stamp = tuple[int, int]
"""Size in bytes and time of the last change in nanoseconds: whoever changes a file changes these, as a rule."""


@dataclass(frozen=True)
class RecordedFile:
    """A file as it was: the hash of its bytes, and its stamp."""

    path: Path
    content_hash: str
    stamp: Stamp


def content_hash(path: Path) -> str:
    """Return the hash of a file's bytes: the same for equal files, wherever they lie and whenever they were made.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return digest(file)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})", "a file") from None


def stamp(path: str | Path) -> Stamp:
    """Return size and time of a file.

    Raises
    ------
    OSError
        There is no such file.
    """
    stat = os.stat(path)
    return stat.st_size, stat.st_mtime_ns
