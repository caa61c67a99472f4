"""What is wrong with a file that cannot be read, in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import UnidentifiedImageError

from unet.errors import RasterError


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises into a RasterError that names the file."""
    try:
        yield
    except RasterError:
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, ValueError and more
        raise _fault(path, error) from error


def _fault(path: Path, error: Exception) -> RasterError:
    if not path.exists():
        return RasterError(f"{path} does not exist", kind="missing")
    if path.is_dir():
        return RasterError(f"{path} is a folder", "a picture file")
    if isinstance(error, PermissionError):
        return RasterError(f"{path} may not be read", remedy="change its permissions")
    if path.stat().st_size == 0:
        return RasterError(f"{path} is empty (0 bytes)", "a picture", "copy it again or remove it", kind="empty-file")
    if isinstance(error, MemoryError):
        return RasterError(f"{path} does not fit into the memory")
    if isinstance(error, UnidentifiedImageError):
        start = start_of(path)
        kind = "it is a text file" if _is_text(start) else f"it begins with the bytes {start[:8].hex(' ')}"
        return RasterError(f"{path} is not a picture: {kind}", "a picture", "replace or remove it")
    what = (str(error).strip() or type(error).__name__).splitlines()[0]
    if any(word in what.lower() for word in ("truncated", "mmap length")) or isinstance(error, EOFError):
        return RasterError(f"{path} is cut off ({what})", "a whole file", "copy or download it again", kind="truncated")
    return RasterError(f"{path} is damaged ({what})", "a whole file", "copy it again, or save it anew")


def start_of(path: Path) -> bytes:
    """Return the first bytes of a file."""
    with path.open("rb") as file:
        return file.read(64)


def _is_text(start: bytes) -> bool:
    try:
        text = start.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(start) - 3:  # else only the last character is cut in two
            return False
        text = start[: error.start].decode("utf-8")
    return all(character.isprintable() or character in "\r\n\t\ufeff" for character in text)
