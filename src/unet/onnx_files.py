"""Networks as ONNX files: reading and writing them, and finding the network between what was put before and behind.

An exported file computes probabilities from a picture's own values. Nodes named `PREPARE`... make of these what the
network takes, nodes named `FINISH`... probabilities of its logits; what lies between is the network alone.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from unet import files
from unet.errors import InputError, MissingExtraError, ModelFileError

IMAGE, PROBABILITIES = "image", "probabilities"
"""Input and output of an exported file."""

NORMALISED, LOGITS = "normalised", "logits"
"""Input and output of the network in it."""

PREPARE, FINISH = "prepare/", "finish/"
"""How the names of the nodes before and behind the network begin."""

CHECKSUM = "checksum"
"""The entry beside the description: it finds what disks and copies do to a graph, and that others have changed it."""

MOST_BYTES = (1 << 31) - 1
"""Of a file; ONNX keeps the weights of larger networks in other files."""

_DAMAGED = ("a whole .onnx file of `unet export`", "copy it again, or export the model anew")


def onnx_package() -> Any:
    """Return the package onnx.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    try:
        return import_module("onnx")
    except ImportError:
        raise MissingExtraError("a model in ONNX format", "export") from None


def read(path: Path) -> Any:
    """Return the model in a file.

    Raises
    ------
    ModelFileError
        It is damaged, or of another kind.
    MissingExtraError
        The package onnx is not installed.
    """
    onnx = onnx_package()
    try:
        model = onnx.load(os.fspath(path), load_external_data=False)
    except Exception as error:  # protobuf's errors have changed their home more than once
        raise ModelFileError(f"{path}: damaged or cut off ({' '.join(str(error).split())[:200]})", *_DAMAGED) from None
    if any(each.data_location == onnx.TensorProto.EXTERNAL for each in model.graph.initializer):
        raise ModelFileError(f"{path}: its weights lie in another file", *_DAMAGED)
    written = metadata_of(model).get(CHECKSUM)
    if written is not None and written != checksum(model):
        raise ModelFileError(f"{path}: damaged or changed: it is not what its checksum says was written", *_DAMAGED)
    return model


def checksum(model: Any) -> str:
    """Return the CRC-32 of a model's graph."""
    return f"crc32:{zlib.crc32(model.graph.SerializeToString(deterministic=True)):08x}"


def describe(model: Any, entries: Mapping[str, str]) -> None:
    """Write texts into a model's metadata, in place of those there, and the checksum of its graph."""
    onnx_package().helper.set_model_props(model, {**entries, CHECKSUM: checksum(model)})


def metadata_of(model: Any) -> dict[str, str]:
    """Return the texts that a model holds."""
    return {entry.key: entry.value for entry in model.metadata_props}


def write(model: Any, path: Path) -> None:
    """Write a model, whole or not at all.

    Raises
    ------
    InputError
        It cannot be written there, or is too large for one file.
    """
    if model.ByteSize() > MOST_BYTES:
        raise InputError(f"a network of {model.ByteSize():,} bytes", f"at most {MOST_BYTES:,} for one .onnx file")

    def to(draft: Path) -> None:
        draft.write_bytes(model.SerializeToString())

    files.write_with(path, to, durable=True)


def network_of(model: Any) -> Any:
    """Return a model with the network alone: `NORMALISED` in, `LOGITS` out.

    Raises
    ------
    ModelFileError
        It is not one of ours.
    """
    onnx = onnx_package()
    inner = onnx.ModelProto()
    inner.CopyFrom(model)
    graph = inner.graph
    kept = [node for node in graph.node if not node.name.startswith((PREPARE, FINISH))]
    ends = {name for node in model.graph.node if node.name.startswith(PREPARE) for name in node.output}
    starts = {name for node in model.graph.node if node.name.startswith(FINISH) for name in node.input}
    if NORMALISED not in ends or LOGITS not in starts or len(graph.input) != 1 or len(graph.output) != 1:
        raise ModelFileError("an ONNX file of another program", "one that `unet export` has written")
    del graph.node[:]
    graph.node.extend(kept)
    for end, name in ((graph.input[0], NORMALISED), (graph.output[0], LOGITS)):
        end.name = name
        for axis, side in ((2, "height"), (3, "width")):  # the network itself is held to no size
            end.type.tensor_type.shape.dim[axis].dim_param = side if end is graph.input[0] else f"{side}_of_{name}"
    used = {name for node in kept for name in node.input}
    weights = [each for each in graph.initializer if each.name in used]
    del graph.initializer[:]
    graph.initializer.extend(weights)
    return inner
