"""What a picture file declares, held against its own length and against the memory, before any of it is decoded."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from unet.errors import RasterError

COPIES = 5
"""So many times its pixels a picture takes at most while it is read: measured, 3 for grey and 4.7 for colour."""

SHARE = 0.5
"""Of the memory that is free, what one picture may take."""

SMALL = 1 << 26
"""Bytes: pictures that take less are not worth asking how much memory is free."""

_MOST_PIXELS_A_BYTE = {
    "PNG": 1032 * 8,  # deflate packs 258 bytes into 2 bits, and a byte holds 8 pixels of 1 bit
    "JPEG": 4096,  # a block of 64 pixels takes 1 bit at least, and at most 4 blocks of colour share theirs
    "GIF": 4096,  # LZW: a code of 12 bits stands for 4096 pixels at most
    "BMP": 256,  # runs of 255 pixels in 2 bytes
}
"""Formats whose way to compress bounds what a file can hold; WebP, JPEG 2000 and TIFF have no such bound."""

_CGROUPS = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))


def available_memory() -> int:
    """Return the bytes that this process may still take, by the machine, the container and `ulimit -v`."""
    import psutil

    free = [int(psutil.virtual_memory().available)]
    for most, used in _CGROUPS:
        with suppress(OSError, ValueError):  # "max", or no such file
            folder = Path("/sys/fs/cgroup")
            free.append(int((folder / most).read_text()) - int((folder / used).read_text()))
    with suppress(ImportError, OSError, ValueError):
        import resource  # not on Windows

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            free.append(limit - int(psutil.Process().memory_info().vms))
    return max(0, min(free))


def check_claim(path: Path, file_format: str | None, height: int, width: int) -> None:
    """Make sure that a file is long enough for the pixels that its header declares.

    Raises
    ------
    RasterError
        However well they are compressed, it is not.
    """
    most = _MOST_PIXELS_A_BYTE.get(file_format or "")
    length = path.stat().st_size
    if most is not None and height * width > most * length + SMALL // 64:
        raise RasterError(
            f"{path} is cut off (its header declares {width} x {height} px, which {length:,} bytes cannot hold)",
            "a whole file",
            "copy or download it again",
            kind="truncated",
        )


def check_room(path: Path, size: tuple[int, ...], bands: int, dtype: np.dtype[Any] | str, copies: int = COPIES) -> None:
    """Make sure that a picture fits into the memory when it is decoded as a whole, so many times over.

    Raises
    ------
    RasterError
        It does not.
    """
    height, width = size
    need = height * width * bands * np.dtype(dtype).itemsize * copies
    if need <= SMALL:
        return
    free = available_memory()
    if need > SHARE * free:
        raise RasterError(
            f"{path} is {width} x {height} px and takes {_gigabytes(need)} of memory to decode",
            f"{_gigabytes(SHARE * free)} at most ({_gigabytes(free)} are free)",
            "cut it into tiles, or save it as a tiled GeoTIFF, which unet predict and train read in parts",
            kind="too-large",
        )


def check_blocks(path: Path, count: int) -> None:
    """Make sure that a file of so many blocks, each of which takes a byte of its table at least, is so long.

    Raises
    ------
    RasterError
        It is not.
    """
    length = path.stat().st_size
    if count > length:
        raise RasterError(
            f"{path} is cut off (its header declares {count:,} blocks, and it has {length:,} bytes)",
            "a whole file",
            "copy or download it again",
            kind="truncated",
        )


def _gigabytes(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"
