"""The one way to write files: beside their place first, then put there in one instant, so that none is ever half.

And the one way to tell by its bytes whether a file is still the same.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from unet.errors import InputError

StrPath = str | os.PathLike[str]
"""What a path may be given as by those who call us from Python."""

HASHED_WHOLE = 1 << 30
"""Of larger files, in bytes, only pieces are hashed."""

_CHUNK = 1 << 18  # bytes that are hashed at a time
_PIECES, _PIECE = 1024, 1 << 16


def as_path(path: StrPath | None) -> Path | None:
    """Return a path that was given as text or as a path, if one was."""
    return None if path is None else Path(path)


def as_paths(paths: StrPath | Sequence[StrPath]) -> tuple[Path, ...]:
    """Return paths that were given as one or as several."""
    return (Path(paths),) if isinstance(paths, (str, os.PathLike)) else tuple(Path(path) for path in paths)


def cache_folder() -> Path:
    """Return where things are kept that can be made again: UNET_CACHE, or the user's cache folder on this system."""
    import platformdirs

    return Path(os.environ.get("UNET_CACHE") or platformdirs.user_cache_dir("unet"))


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Give a temporary file beside `path`, and put it in the place of `path` when the block ends without an error.

    Parameters
    ----------
    path : Path
        The folder is made.
    durable : bool
        Wait until the disk has it, so that a power cut leaves the old file or the new one. For states and models,
        which cannot be made again at once.

    Raises
    ------
    OSError
        The file cannot be written; the temporary one is gone then.
    """
    if path.exists() and not path.is_file():  # whoever may, as root, would replace /dev/null
        raise OSError(errno.EEXIST, "something else than a file has this name", str(path))
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.touch()
        mode = draft.stat().st_mode
        yield draft
        draft.chmod(mode)  # as any new file's: some libraries keep theirs from everybody else
        if durable:
            with draft.open("rb+") as file:
                os.fsync(file.fileno())
        os.replace(draft, path)
        if durable:
            _sync_folder(path.parent)
    except OSError as error:
        if error.errno is not None and error.filename in (None, draft, str(draft)):
            error.filename = str(path)  # what the user knows; errors of a full disk name no file at all
        raise
    finally:
        with suppress(OSError):
            draft.unlink()


def write_with(path: Path, write: Callable[[Path], None], *, durable: bool = False) -> None:
    """Let `write` write a file, whole or not at all.

    Raises
    ------
    InputError
        It cannot be written there.
    """
    try:
        with replacing(path, durable=durable) as draft:
            write(draft)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror or error})", "a place with room for it") from error


def write_text(path: Path, text: str, *, durable: bool = False) -> None:
    """Write a text in UTF-8, whole or not at all.

    Raises
    ------
    InputError
        It cannot be written there.
    """
    write_with(path, lambda draft: _write_utf8(draft, text), durable=durable)


def write_json(path: Path, data: Any, *, durable: bool = False) -> None:
    """Write JSON, whole or not at all.

    Raises
    ------
    InputError
        It cannot be written there.
    """
    write_text(path, json.dumps(data, indent=1), durable=durable)


def _write_utf8(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="")


def _sync_folder(folder: Path) -> None:
    """Make the disk keep the names in a folder too; systems that cannot open folders do it by themselves."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def digest(file: BufferedIOBase) -> str:
    """Return the BLAKE2b hash, of 16 bytes in hexadecimal, of an open file.

    Of a file of more than `HASHED_WHOLE` bytes it is the hash of its size and of 1024 pieces, spread evenly, its first
    and its last bytes among them: whoever writes such a file anew changes some of these, as a rule.
    """
    state, chunk = hashlib.blake2b(digest_size=16), memoryview(bytearray(_CHUNK))
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    if length > HASHED_WHOLE:
        state.update(str(length).encode())
        for piece in range(_PIECES):
            file.seek(piece * (length - _PIECE) // (_PIECES - 1))
            state.update(file.read(_PIECE))
        return state.hexdigest()
    while size := file.readinto(chunk):
        state.update(chunk[:size])
    return state.hexdigest()
