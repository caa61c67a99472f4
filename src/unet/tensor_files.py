"""Tensors and a text in one safetensors file, with a checksum of both: what model files and states are made of."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from unet import files
from unet.errors import InputError, ModelFileError

CHECKSUM = "checksum"
"""The entry beside the text. It begins with the name of the method; another one than ours is not checked."""

_METHOD = "crc32"
_DAMAGED = ("a whole file", "copy or download it again")


def write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and texts, whole or not at all; the folder is made.

    Raises
    ------
    InputError
        It cannot be written there.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    entries = {**metadata, CHECKSUM: checksum(plain, metadata)}
    write_with(path, lambda draft: save_file(plain, draft, entries))


def write_with(path: Path, write: Callable[[Path], None]) -> None:
    """Let a library write a file of tensors, whole or not at all.

    Raises
    ------
    InputError
        It cannot be written there.
    """
    try:
        files.write_with(path, write, durable=True)
    except (SafetensorError, RuntimeError) as error:  # torch.save raises RuntimeError
        raise InputError(f"{path} cannot be written ({error})", "a place with room for it") from error


def read_metadata(path: Path) -> dict[str, str]:
    """Return the texts of a file, without reading its tensors.

    Raises
    ------
    ModelFileError
        It is damaged, or of another kind.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError, RuntimeError) as error:
        raise _damaged(path, error) from None


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and the texts of a file, once they are known to be those that were written.

    Files without a checksum, as version 0.1 and other programs write them, are read as they are.

    Raises
    ------
    ModelFileError
        It is damaged, or of another kind.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise _damaged(path, error) from None
    method, _, written = metadata.pop(CHECKSUM, "").partition(":")
    if method == _METHOD and checksum(tensors, metadata) != f"{method}:{written}":
        raise ModelFileError(f"{path}: damaged: it is not what its checksum says was written", *_DAMAGED)
    return tensors, metadata


def checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Return the CRC-32 of tensors, their names, types and shapes, and of texts, whatever their order.

    It finds what disks, copies and cables do; who changes a file on purpose can change the checksum too. 124 MB take
    some 50 ms.

    Examples
    --------
    >>> checksum({"a": torch.zeros(2)}, {"b": "text"})
    'crc32:32fac22f'
    """
    state = zlib.crc32(json.dumps(sorted(metadata.items())).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().contiguous()
        state = zlib.crc32(f"{name} {tensor.dtype} {list(tensor.shape)}".encode(errors="surrogatepass"), state)
        state = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, state) if tensor.numel() else state
    return f"{_METHOD}:{state:08x}"


def _damaged(path: Path, error: Exception) -> ModelFileError:
    return ModelFileError(f"{path}: damaged or cut off ({' '.join(str(error).split())[:200]})", *_DAMAGED)
