"""Decoded pairs in files that are mapped into memory: each is decoded once in a run, and all processes share it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from unet import files
from unet.data.augment import PairTensors

FREE_BYTES = 2 << 30
"""So much of the disk stays free, for checkpoints above all."""

MAX_MAPPED = 16384
"""So many files stay mapped in a process. Linux allows 65530 mappings, libraries included."""

_BLOCK = 4096  # bytes; disks give files whole blocks
_LEDGER = "blocks"
_SUFFIX = ".safetensors"


class SampleStore:
    """The pairs of one dataset, scaled, by their index: a file for each, in a folder that all processes know.

    A file is complete when it gets its name. The operating system keeps of the mapped files what memory there is for,
    once for all processes. Two processes that need the same pair at the same moment may both decode it.

    Parameters
    ----------
    folder : Path
        Made where it does not exist; `sample_store` also deletes it.
    max_bytes : int
        What does not fit any more is decoded each time.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.max_bytes = folder, max_bytes
        self._mapped: dict[int, PairTensors] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_mapped": {}}  # each process maps the files itself

    def get(self, index: int, decode: Callable[[int], PairTensors]) -> PairTensors:
        """Return a pair from its file; where there is none, decode it and write one if there is room."""
        if index in self._mapped:
            return self._mapped[index]
        path = self.folder / f"{index}{_SUFFIX}"
        try:
            pair = PairTensors(**load_file(path))
        except FileNotFoundError:
            pair = decode(index)
            self._save(path, pair)
            return pair  # the file is mapped the next time
        if len(self._mapped) < MAX_MAPPED:
            self._mapped[index] = pair
        return pair

    def _save(self, path: Path, pair: PairTensors) -> None:
        tensors: dict[str, Tensor] = {name: tensor for name, tensor in vars(pair).items() if tensor is not None}
        with suppress(OSError, SafetensorError):  # a full disk, for one: the store only saves time
            if not path.exists() and self._reserve(pair.nbytes):
                with files.replacing(path) as draft:
                    save_file(tensors, draft)

    def _reserve(self, size: int) -> bool:
        """Tell whether so many bytes are still free, and count them as taken then, for all processes."""
        if shutil.disk_usage(self.folder).free < size + FREE_BYTES:
            return False
        # The ledger has a byte for each block taken. To append to a file is atomic, so that no lock is needed, which
        # a process that is killed could keep.
        blocks, limit = -(-size // _BLOCK), self.max_bytes // _BLOCK
        ledger = os.open(self.folder / _LEDGER, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            if os.fstat(ledger).st_size + blocks > limit:
                return False
            os.write(ledger, bytes(blocks))
            return os.lseek(ledger, 0, os.SEEK_CUR) <= limit
        finally:
            os.close(ledger)


@contextmanager
def sample_store(folder: Path, max_bytes: int | None = None) -> Iterator[SampleStore]:
    """Give an empty store in a folder of its own, which is made now and deleted in the end.

    Parameters
    ----------
    folder : Path
        What a run that was killed left in it is deleted too.
    max_bytes : int, optional
        By default half of what is free on the disk.

    Raises
    ------
    OSError
        The folder cannot be made.
    """
    _delete(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield SampleStore(folder, shutil.disk_usage(folder).free // 2 if max_bytes is None else max_bytes)
    finally:
        _delete(folder)


def _delete(folder: Path) -> None:
    """Delete the files of a store, and the folder if nothing else is in it."""
    with suppress(OSError):  # on Windows a worker may still have a file open
        for path in (*folder.glob(f"*{_SUFFIX}"), *folder.glob(f".*{_SUFFIX}.*.part"), folder / _LEDGER):
            path.unlink(missing_ok=True)
        folder.rmdir()
