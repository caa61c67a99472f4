"""Converted networks kept in the user's cache folder, by content: the next start reads what this one has converted.

A network's graph is a folder, which is made beside its place and renamed in one instant: of two processes that convert
the same one is kept. What is damaged does not match its checksum and is made anew. The folder stays below a size;
what was not used for longest goes. docs/decisions/025-backends.md says why it is not beside the model file.
"""

from __future__ import annotations

import gc
import hashlib
import json
import mmap
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unet.files import cache_folder
from unet.inference.backends.graphs import core, runtime
from unet.models import ModelSpec

FOLDER = "networks"

CACHE_BYTES = 1 << 29
"""What all graphs may take together: four of the largest usual network, or seventy of the smallest."""

FORMAT = 1
"""Raised when graphs are made in another way; part of every key."""

_GRAPH, _WEIGHTS, _CHECKSUM = "graph.xml", "graph.bin", "checksum"
_DRAFT = ".draft-"
_STALE = 24 * 3600.0  # seconds after which a draft is of a process that was killed


@dataclass(frozen=True)
class Graph:
    """A network's graph.

    Attributes
    ----------
    model : openvino.Model
    memory : mmap or None
        The file that the weights lie in; None: they are in memory.
    """

    model: Any
    memory: mmap.mmap | None = None

    def rest(self) -> None:
        """Let go of the memory that reading the weights has taken: they are read again from the file if need be."""
        if self.memory is not None and hasattr(mmap, "MADV_DONTNEED"):
            self.memory.madvise(mmap.MADV_DONTNEED)


def key_of(spec: ModelSpec, state: Mapping[str, Tensor]) -> str:
    """Return what a network's graph depends on, as one word; weights of 124 MB take some 0.1 s."""
    versions = [FORMAT, runtime().__version__, torch.__version__]
    digest = hashlib.blake2b(json.dumps([versions, spec.to_dict()]).encode(), digest_size=16)
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        if tensor.numel():
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def recalled(key: str, make: Callable[[], Any]) -> Graph:
    """Return the graph of that key, made and kept if there is none; where nothing can be kept it stays in memory.

    Parameters
    ----------
    key : str
    make : callable
        Returns an `openvino.Model`.
    """
    place = cache_folder() / FOLDER / key
    graph = _read(place)
    if graph is not None:
        return graph
    model = make()
    _keep(place, model)
    if (graph := _read(place)) is None:
        return Graph(model)
    del model
    gc.collect()  # a trace leaves twice the weights in cycles
    return graph


def _read(place: Path) -> Graph | None:
    """Return a graph as it was kept; None where there is none, or a damaged one, which is removed."""
    try:
        said = (place / _CHECKSUM).read_text(encoding="ascii")
    except (OSError, ValueError):
        shutil.rmtree(place, ignore_errors=True)
        return None
    try:
        described = (place / _GRAPH).read_bytes()
        with (place / _WEIGHTS).open("rb") as file:
            memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        if said != _checksum(described, memory):
            raise ValueError("not what was written")
        ov = runtime()
        weights = ov.Tensor(np.frombuffer(memory, dtype=np.uint8), shared_memory=True)
        graph = Graph(core().read_model(described, weights), memory)
    except (OSError, ValueError, RuntimeError):
        shutil.rmtree(place, ignore_errors=True)
        return None
    graph.rest()
    with suppress(OSError):
        os.utime(place)
    return graph


def _keep(place: Path, model: Any) -> None:
    """Write a graph, whole or not at all; what cannot be written only costs time."""
    draft: Path | None = None
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=place.parent))
        runtime().serialize(model, str(draft / _GRAPH), str(draft / _WEIGHTS))
        checksum = _checksum((draft / _GRAPH).read_bytes(), (draft / _WEIGHTS).read_bytes())
        (draft / _CHECKSUM).write_text(checksum, encoding="ascii")
        draft.rename(place)  # fails where another process was first
    except (OSError, RuntimeError):
        pass
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)
    _bound(place)


def _bound(newest: Path) -> None:
    """Remove what was not used for longest, until the rest is small enough; and drafts that nobody works on."""
    held: list[tuple[float, int, Path]] = []
    with suppress(OSError):
        for folder in newest.parent.iterdir():
            with suppress(OSError):
                used = folder.stat().st_mtime
                if folder.name.startswith(_DRAFT):
                    if time.time() - used > _STALE:
                        shutil.rmtree(folder, ignore_errors=True)
                else:
                    held.append((used, sum(file.stat().st_size for file in folder.iterdir()), folder))
    total = 0
    for _, size, folder in sorted(held, key=lambda each: (each[2] != newest, -each[0])):
        total += size
        if total > CACHE_BYTES and folder != newest:
            shutil.rmtree(folder, ignore_errors=True)


def _checksum(described: bytes, weights: Any) -> str:
    return f"{zlib.crc32(weights, zlib.crc32(described)):08x} {len(described)} {len(weights)}"
