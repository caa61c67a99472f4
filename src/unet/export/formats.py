"""The formats that a model is exported to: what each can, how it is compared with the model, how it is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unet import onnx_files
from unet.bundle import Bundle
from unet.export import graph, openvino_ir, program
from unet.export.parity import Run
from unet.export.runtimes import Session

SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "torch": ".pt2"}
"""What each format's files are called."""


@dataclass(frozen=True)
class Exported:
    """A model in another format, not yet written.

    Attributes
    ----------
    run : callable
        Images (N, C, H, W) in their own values to probabilities (N, K, h, w).
    write : callable
        Given the metadata and the file.
    """

    run: Run
    write: Callable[[dict[str, str], Path], None]


def as_onnx(network: Any, bundle: Bundle, tile: int | None) -> Exported:
    """Return a model as ONNX; `network` is what `unet.export.graph.traced` returns, or that in int8."""
    model = graph.whole(network, bundle, tile)

    def write(entries: dict[str, str], path: Path) -> None:
        onnx_files.describe(model, entries)
        onnx_files.write(model, path)

    return Exported(Session(model), write)


def as_openvino(network: Any, bundle: Bundle, tile: int | None) -> Exported:
    """Return a model in OpenVINO's format, made from the same graph as the ONNX file."""
    model = openvino_ir.read(graph.whole(network, bundle, tile))
    return Exported(openvino_ir.running(model), lambda entries, path: openvino_ir.write(model, entries, path))


def as_torch(bundle: Bundle, tile: int | None) -> Exported:
    """Return a model as a program of torch."""
    made = program.program(bundle, tile)
    return Exported(program.running(made), lambda entries, path: program.write(made, entries, path))


def files_of(path: Path) -> list[Path]:
    """Return all files that are written where `path` is named."""
    return [path, openvino_ir.weights_file(path)] if path.suffix.lower() == SUFFIXES["openvino"] else [path]
