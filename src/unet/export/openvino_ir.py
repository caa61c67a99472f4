"""OpenVINO's own format: NAME.xml with the graph and what the model file says, NAME.bin with the weights."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet import files
from unet.export.parity import Run
from unet.export.runtimes import package
from unet.inference.backends.graphs import core

SECTION = "unet_export"
"""Where the entries stand in the file, as OpenVINO's `get_rt_info` reads them."""


def weights_file(path: Path) -> Path:
    """Return the file with the weights that belongs to a .xml."""
    return path.with_suffix(".bin")


def read(model: Any) -> Any:
    """Return an ONNX model as one of OpenVINO."""
    package("openvino")
    return core().read_model(model.SerializeToString())


def running(model: Any) -> Run:
    """Return a model of OpenVINO as a function, computed in float32 where it is not in int8."""
    compiled = core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(images: NDArray[np.float32]) -> NDArray[np.float32]:
        output: NDArray[np.float32] = compiled(images)[0]
        return output

    return run


def write(model: Any, entries: Mapping[str, str], path: Path) -> None:
    """Write a model of OpenVINO, its weights as they are: each file whole or not at all, the weights first.

    Weights are not rounded to float16: OpenVINO computes in bfloat16 or float16 where that is faster, whatever the file
    holds, and what is rounded cannot be had back.

    Raises
    ------
    InputError
        It cannot be written there.
    """
    for key, value in entries.items():
        model.set_rt_info(value, [SECTION, key])
    with TemporaryDirectory() as folder:
        made = Path(folder) / "model.xml"
        package("openvino").save_model(model, made, compress_to_fp16=False)
        for source, target in ((weights_file(made), weights_file(path)), (made, path)):
            files.write_with(target, partial(_copy, source), durable=True)


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    with suppress(OSError):
        source.unlink()
