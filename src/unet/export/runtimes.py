"""The packages that run exported files; what they would tell their makers they are kept from telling."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unet.errors import MissingExtraError
from unet.inference.backends.graphs import runtime

WHAT = {"onnxruntime": "running a model in ONNX format", "openvino": "a model in OpenVINO's format"}


def package(name: str) -> Any:
    """Return a runtime, or a module of one.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        return runtime() if name == "openvino" else import_module(name)
    except ImportError:
        raise MissingExtraError(WHAT[name.partition(".")[0]], "export") from None


class Session:
    """A model in ONNX Runtime, on the CPU: a callable from its input to its output.

    Parameters
    ----------
    model : onnx.ModelProto or Path
    """

    def __init__(self, model: Any) -> None:
        onnxruntime = package("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
        source = os.fspath(model) if isinstance(model, (str, Path)) else model.SerializeToString()
        self._session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        self._name = self._session.get_inputs()[0].name

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the output (N, K, h, w) for an input (N, C, H, W)."""
        output: NDArray[np.float32] = self._session.run(None, {self._name: images})[0]
        return output
