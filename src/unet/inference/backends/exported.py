"""Networks in the ONNX files of `unet export`, also in int8, computed by OpenVINO."""

from __future__ import annotations

from functools import partial

import torch

from unet import onnx_files
from unet.bundle import Bundle
from unet.errors import InputError, MissingExtraError, ModelFileError
from unet.inference.backends.compiled import OpenVINOBackend
from unet.inference.backends.graph_cache import Graph
from unet.inference.backends.graphs import core, is_installed
from unet.models import geometry_of
from unet.models.filling import filled


def check_wanted(wanted: str | None, device: str) -> None:
    """Make sure that what is asked for can compute an exported model.

    Raises
    ------
    InputError
        It cannot.
    MissingExtraError
        OpenVINO is not installed.
    """
    if wanted == "torch":
        raise InputError("backend torch for an exported model", "openvino", "or give the model file itself")
    if device not in ("auto", "cpu"):
        raise InputError(f"device {device} for an exported model", "cpu", "or give the model file itself")
    if not is_installed():
        raise MissingExtraError("predicting with an exported model", "export")


def exported_backend(bundle: Bundle, dtype: torch.dtype, at_once: int = 1) -> OpenVINOBackend:
    """Return the network of an exported model; `bundle.graph` is its file.

    Raises
    ------
    ModelFileError
        It is damaged, or of another network than it says.
    """
    path, spec = bundle.graph, bundle.spec
    assert path is not None  # whoever calls this has looked
    try:
        model = core().read_model(onnx_files.network_of(onnx_files.read(path)).SerializeToString())
        taken, given = (port.get_partial_shape()[1] for port in (model.input(0), model.output(0)))
        channels = (taken.get_length(), given.get_length())
    except ModelFileError as error:
        raise error.of(path) from None
    except RuntimeError as error:
        line = " ".join(str(error).split())[:200]
        raise ModelFileError(f"{path}: cannot be computed ({line})", remedy="export the model anew") from None
    if channels != (spec.bands, spec.classes):
        found = f"{channels[0]} bands and {channels[1]} classes"
        raise ModelFileError(f"{path}: a graph of {found}", f"{spec.bands} and {spec.classes}, as it says")
    fill, margin = partial(filled, spec=spec), geometry_of(spec).valid_margin
    return OpenVINOBackend(Graph(model), dtype, fill, margin, at_once)
