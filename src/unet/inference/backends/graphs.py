"""Networks as graphs of OpenVINO: converted from torch, or read from ONNX files.

This room alone imports openvino, when a graph is wanted.
"""

from __future__ import annotations

import json
import sys
import warnings
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import nn

from unet.models import ModelSpec, geometry_of
from unet.models.filling import least_side

KINDS = ("resnet", "convnext", "convnextv2", "segformer")
"""Types of encoders whose graphs were compared with torch on sizes other than those that they were traced at."""

_LOCK = Lock()


def obstacle(spec: ModelSpec) -> str | None:
    """Return in words why a network cannot be had as a graph; None where it can.

    Examples
    --------
    >>> obstacle(ModelSpec()), obstacle(ModelSpec("resenc", norm="instance"))
    (None, 'resenc networks with norms over the picture are not converted')
    """
    if spec.architecture == "resenc" and spec.norm not in ("batch", "none"):
        # OpenVINO 2026.4 crashes when it compiles sums of two such norms for a size.
        return "resenc networks with norms over the picture are not converted"
    if spec.encoder:
        kind = json.loads(spec.encoder)["model_type"]
        if kind not in KINDS:  # traces of Swin hold the size that they were made at
            return f"networks with {kind} encoders are not converted"
    return None


def is_installed() -> bool:
    """Tell whether there is an OpenVINO to import."""
    return "openvino" in sys.modules or find_spec("openvino") is not None


def runtime() -> Any:
    """Return the package openvino, which then keeps its use to itself.

    It brings a package that writes an identity into the home folder and reports, and does without that one where it
    cannot be imported.

    Raises
    ------
    ImportError
        It is not installed, or does not suit this system.
    """
    if "openvino_telemetry" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    return import_module("openvino")


def core() -> Any:
    """Return the `openvino.Core` that all share for as long as the process lives; several threads may ask at once.

    On CPUs with AMX each sets up the stack that signal handlers run on, and frees it when it goes: where one of several
    has gone, the next Ctrl-C would end the process by a segmentation fault (OpenVINO 2026.4).
    """
    with _LOCK:
        return _core()


@cache
def _core() -> Any:
    openvino = runtime()
    # Its tables of numpy's types are made at their first use; threads that use them first at once wait for one another
    # for good (one lets go of Python's lock within C++'s, OpenVINO 2026.4).
    openvino.Type.f32.to_dtype()
    _ = openvino.Tensor(np.zeros((1, 1), np.float32), shared_memory=True).data
    return openvino.Core()


def converted(network: nn.Module, spec: ModelSpec) -> Any:
    """Return the graph (`openvino.Model`) of a network, for one image of any size that `unet.models.filling` gives.

    Parameters
    ----------
    network : nn.Module
        Folded, in float32 on the CPU, contiguous.
    spec : ModelSpec

    Raises
    ------
    Exception
        What torch and OpenVINO raise on networks that cannot be traced or converted.

    Notes
    -----
    A trace follows one image. Where its sizes are odd on every level the filling up of the U-Net is part of the graph,
    by as much as each size needs. Other networks fill up before all else, and that is left to `filled`.
    """
    ov = runtime()
    side = traced_side(spec)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # on what a trace does not follow
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            network, torch.zeros(1, spec.bands, side, side), check_trace=False
        )
        graph = ov.convert_model(traced, input=[ov.PartialShape([1, spec.bands, -1, -1])])
    split_last_join(graph)
    return graph


def traced_side(spec: ModelSpec) -> int:
    """Return the side of the image that a network is traced with: small, but of the kind that all others are.

    Examples
    --------
    >>> traced_side(ModelSpec(depth=4)), traced_side(ModelSpec("paper", norm="none", depth=4))
    (31, 188)
    """
    geometry = geometry_of(spec)
    if spec.architecture == "unet":
        return 2 * least_side(spec) - 1
    return geometry.at_least(2 * geometry.multiple + 2 * geometry.valid_margin)


def split_last_join(graph: Any) -> None:
    """Let the convolution after the last joining of maps take both as they are, and add what it makes of each.

    conv(cat(a, b)) = conv_a(a) + conv_b(b): at full resolution the joined maps are what takes most memory, a quarter
    of the peak, and the time to copy them. Graphs that end otherwise are left alone.
    """
    from_opset = import_module("openvino.opset13")
    joins = [node for node in graph.get_ordered_ops() if node.get_type_name() == "Concat"]
    joins = [node for node in joins if node.get_output_partial_shape(0).rank.get_length() == 4]
    if not joins or joins[-1].get_input_size() != 2 or len(joins[-1].output(0).get_target_inputs()) != 1:
        return
    join = joins[-1]
    (reader,) = join.output(0).get_target_inputs()
    convolution = reader.get_node()
    first = join.input_value(0).get_partial_shape()[1]
    weights = convolution.input_value(1).get_node() if convolution.get_type_name() == "Convolution" else None
    if weights is None or weights.get_type_name() != "Constant" or first.is_dynamic or reader.get_index() != 0:
        return
    values, channels = np.array(weights.data), first.get_length()
    keys = ("strides", "pads_begin", "pads_end", "dilations")
    settings = [convolution.get_attributes()[key] for key in keys]
    parts = []
    for source, part in ((join.input_value(0), values[:, :channels]), (join.input_value(1), values[:, channels:])):
        constant = from_opset.constant(np.ascontiguousarray(part))
        parts.append(from_opset.convolution(source, constant, *settings, auto_pad="explicit"))
    both = from_opset.add(*parts)
    both.set_friendly_name(convolution.get_friendly_name())
    for target in convolution.output(0).get_target_inputs():
        target.replace_source_output(both.output(0))
    graph.validate_nodes_and_infer_types()
