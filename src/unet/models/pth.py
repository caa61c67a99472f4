"""What `torch.save` wrote, read without torch's own reader: nothing is run, nothing allocated on the file's word.

A .pth file is a pickle, a program that builds objects, beside the bytes of the tensors. `unet.models.pickles` runs it;
a tensor is read once its shape and place are known to lie within the bytes that the file holds for it. Two layouts are
read: archives, whose records carry a checksum (torch 1.6 and later), and the one before.
"""

from __future__ import annotations

import mmap
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unet.models.pickles import Machine, PthError, Storage, StoredTensor

MAGIC = 0x1950A86A20F9469CFC6C
"""The first thing in a file of the layout before archives."""

Read = Callable[[Storage], bytes]


@dataclass(frozen=True)
class PthFile:
    """An open file.

    Attributes
    ----------
    content : object
        What was saved, with `StoredTensor` for tensors.
    size : int
        Of the file, in bytes.
    read : callable
        Gives the bytes of a storage.
    """

    content: Any
    size: int
    read: Read

    def tensors(self, stored: Mapping[str, StoredTensor]) -> dict[str, Tensor]:
        """Return tensors, read.

        Raises
        ------
        PthError
            They are larger than what the file holds, or damaged.
        """
        for name, tensor in stored.items():
            if not tensor.is_held:
                raise PthError(f"{name} {tensor.shape} has more numbers than the file holds for it")
        storages = {tensor.storage.key: tensor.storage for tensor in stored.values()}
        declared = max(
            sum(storage.nbytes for storage in storages.values()), sum(each.nbytes for each in stored.values())
        )
        if declared > self.size:
            raise PthError(f"its tensors are of {declared:,} bytes, the file of {self.size:,}")
        memory = {
            key: torch.frombuffer(bytearray(self.read(storage)), dtype=storage.dtype)
            if storage.numel
            else torch.empty(0, dtype=storage.dtype)
            for key, storage in storages.items()
        }
        return {
            name: memory[tensor.storage.key].as_strided(tensor.shape, tensor.stride, tensor.offset)
            for name, tensor in stored.items()
        }


@contextmanager
def open_pth(path: Path) -> Iterator[PthFile]:
    """Open what `torch.save` wrote.

    Raises
    ------
    PthError
        It is something else, or damaged.
    OSError
        It cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(4)
        if start == b"PK\x03\x04":
            try:
                with zipfile.ZipFile(file) as archive:
                    yield _opened(archive, size)
            # What the module zipfile raises on damaged archives has no common type.
            except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError, UnicodeDecodeError) as error:
                raise PthError(f"damaged: {error}") from None
        elif start[:1] == b"\x80":
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
                yield _opened_before_archives(view, size)
        else:
            raise PthError("damaged, or of another kind")


def _opened(archive: zipfile.ZipFile, size: int) -> PthFile:
    records = {info.filename: info for info in archive.infolist()}
    pickles = [name for name in records if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise PthError("an archive of something else than tensors")
    root = pickles[0].removesuffix("data.pkl")

    def record(name: str) -> bytes:
        info = records.get(root + name)
        if info is None:
            raise PthError(f"it lacks its record {name}")
        if info.compress_type != zipfile.ZIP_STORED or info.file_size > size:
            raise PthError("its records are compressed, which torch never does")
        if not info.CRC:  # torch was told to write no checksums
            info = copy(info)
            del info.CRC
        return archive.read(info)

    def read(storage: Storage) -> bytes:
        data = record(f"data/{storage.key}")
        if len(data) != storage.nbytes:
            raise PthError(f"its record {storage.key} is of {len(data):,} bytes, not of {storage.nbytes:,}")
        return data

    if f"{root}byteorder" in records and record("byteorder").decode("ascii", "replace") != sys.byteorder:
        raise PthError("written on a machine with another order of bytes")
    return PthFile(Machine(record("data.pkl")).run(), size, read)


def _opened_before_archives(view: mmap.mmap, size: int) -> PthFile:
    if Machine(view).run() != MAGIC:
        raise PthError("a pickle of something else than tensors")
    Machine(view).run()  # the version of the layout
    about = Machine(view).run()
    if not isinstance(about, dict) or about.get("little_endian") is not (sys.byteorder == "little"):
        raise PthError("written on a machine with another order of bytes")
    machine = Machine(view)
    content, keys = machine.run(), Machine(view).run()
    places: dict[str, int] = {}
    place = view.tell()
    for key in keys if isinstance(keys, list) else ():
        storage = machine.storages.get(str(key))
        if storage is None or int.from_bytes(view[place : place + 8], "little") != storage.numel:
            raise PthError("its storages are not those that it names")
        places[storage.key] = place + 8
        place += 8 + storage.nbytes
        if place > size:
            raise PthError("cut off")

    def read(storage: Storage) -> bytes:
        if storage.key not in places:
            raise PthError(f"it lacks its storage {storage.key}")
        return view[places[storage.key] : places[storage.key] + storage.nbytes]

    return PthFile(content, size, read)
