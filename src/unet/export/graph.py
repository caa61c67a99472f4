"""A model as one ONNX graph: from a picture's own values to probabilities, for any number and size of pictures."""

from __future__ import annotations

import inspect
import json
import logging
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from unet.bundle import Bundle
from unet.errors import InputError
from unet.inference.folding import fold_norms
from unet.models import geometry_of
from unet.onnx_files import FINISH, IMAGE, LOGITS, NORMALISED, PREPARE, PROBABILITIES, onnx_package

OPSET = 17
"""Version of ONNX's operations: of 2022, which runtimes of today's QGIS plugins know."""

_PROBED = 1 << 13
"""A side that can be halved as often as any network does."""


def check_exportable(bundle: Bundle) -> None:
    """Make sure that a network can be written for pictures of any size.

    Raises
    ------
    InputError
        It cannot.
    """
    if bundle.spec.encoder and json.loads(bundle.spec.encoder)["model_type"] == "swin":
        raise InputError(
            "a network with a Swin encoder, whose shifted windows depend on the size of the picture",
            "any other architecture or encoder",
            "predict with the model file itself",
        )


def traced(bundle: Bundle) -> Any:
    """Return the network alone as an ONNX model, `NORMALISED` in and `LOGITS` out, its batch norms folded.

    It is traced where every level has an odd size: only then is the filling up of odd sizes part of the graph. The
    unpadded network of the paper takes sizes that need none.

    Raises
    ------
    InputError
        It cannot be written for pictures of any size.
    MissingExtraError
        The package onnx is not installed.
    """
    onnx = onnx_package()
    check_exportable(bundle)
    network = fold_norms(bundle.network())
    image = torch.zeros(1, bundle.spec.bands, *traced_size(bundle))
    axes = {0: "batch", 2: "height", 3: "width"}
    # The tracing exporter; the other one needs a further package, and its graphs know one size of picture.
    choice: dict[str, Any] = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    with TemporaryDirectory() as folder, quiet(), torch.no_grad():
        written = Path(folder) / "network.onnx"
        torch.onnx.export(
            network, (image,), str(written), opset_version=OPSET, input_names=[NORMALISED], output_names=[LOGITS],
            dynamic_axes={NORMALISED: axes, LOGITS: axes}, **choice,
        )  # fmt: skip
        return with_sizes_of_input(onnx.load(str(written)))


def traced_size(bundle: Bundle) -> tuple[int, int]:
    """Return height and width of the picture that a network is traced with."""
    geometry = geometry_of(bundle.spec)
    if geometry.valid_margin:
        return geometry.at_least(1), geometry.at_least(2 * geometry.valid_margin + 2 * geometry.multiple)
    return 4 * geometry.multiple - 1, 8 * geometry.multiple - 1


def with_sizes_of_input(network: Any) -> Any:
    """Return a network in which the height and width of every level are worked out from those of the input.

    A trace asks the maps themselves, where it fills up odd sizes. In int8 OpenVINO (2026.4) computes wrong values for
    maps whose size is asked for, and whoever computes them has to keep them.
    """
    onnx = onnx_package()
    probe = onnx.ModelProto()
    probe.CopyFrom(network)
    for axis, length in ((0, 1), (2, _PROBED), (3, _PROBED)):
        dimension = probe.graph.input[0].type.tensor_type.shape.dim[axis]
        dimension.Clear()
        dimension.dim_value = length
    values = onnx.shape_inference.infer_shapes(probe).graph.value_info
    shapes = {each.name: [side.dim_value for side in each.type.tensor_type.shape.dim] for each in values}
    constants = {node.output[0]: node.attribute[0].t for node in network.graph.node if node.op_type == "Constant"}
    shape_nodes = {node.output[0]: node for node in network.graph.node if node.op_type == "Shape"}
    readers = Counter(name for node in network.graph.node for name in node.input)
    nodes, grown = [], set[str]()  # grown: maps whose size was doubled, which need not be a level's
    for node in network.graph.node:
        nodes.append(node)
        if node.op_type in ("ConvTranspose", "Resize") or grown.intersection(node.input):
            grown.update(node.output)
        asked = shape_nodes.get(node.input[0]) if node.op_type == "Gather" else None
        if asked is None or asked.input[0] in {NORMALISED, *grown} or readers[asked.output[0]] > 1:
            continue
        shape, axis = shapes.get(asked.input[0], []), int(onnx.numpy_helper.to_array(constants[node.input[1]]).item())
        if axis not in (2, 3) or len(shape) != 4 or not shape[axis] or _PROBED % shape[axis]:
            continue
        asked.input[0], name = NORMALISED, node.output[0]
        factor = np.array(_PROBED // shape[axis], dtype=np.int64)
        network.graph.initializer.append(onnx.numpy_helper.from_array(factor, f"{name}_factor"))
        node.output[0] = f"{name}_of_input"
        nodes.append(onnx.helper.make_node("Div", [node.output[0], f"{name}_factor"], [name], name=f"{name}_of_level"))
    del network.graph.node[:]
    network.graph.node.extend(nodes)
    return network


def whole(network: Any, bundle: Bundle, tile: int | None = None) -> Any:
    """Return a model that takes a picture's own values and gives probabilities.

    Parameters
    ----------
    network : onnx.ModelProto
        As `traced` returns it.
    bundle : Bundle
    tile : int, optional
        Height and width of the pictures, where they are all to be of one size.
    """
    onnx = onnx_package()
    model = onnx.ModelProto()
    model.CopyFrom(network)
    graph, geometry = model.graph, geometry_of(bundle.spec)
    before = _prepare(onnx, graph, bundle)
    operation, settings = ("Sigmoid", {}) if bundle.spec.classes == 1 else ("Softmax", {"axis": 1})
    name = f"{FINISH}probabilities"
    last = onnx.helper.make_node(operation, [LOGITS], [PROBABILITIES], name=name, **settings)
    nodes = [*before, *graph.node, last]
    del graph.node[:]
    graph.node.extend(nodes)
    size: list[Any] = ["height", "width"] if tile is None else [tile, tile]
    left: list[Any] = size
    if geometry.valid_margin:
        left = ["rows", "columns"] if tile is None else [geometry.output(tile)] * 2
    float32 = onnx.TensorProto.FLOAT
    del graph.input[:], graph.output[:]
    graph.input.append(onnx.helper.make_tensor_value_info(IMAGE, float32, ["batch", bundle.spec.bands, *size]))
    graph.output.append(
        onnx.helper.make_tensor_value_info(PROBABILITIES, float32, ["batch", bundle.spec.classes, *left])
    )
    graph.name = "unet"
    onnx.checker.check_model(model)
    return model


def _prepare(onnx: Any, graph: Any, bundle: Bundle) -> list[Any]:
    """Return nodes that do what `unet.preprocessing.normalise` does; their constants are added to the graph."""
    preprocessing = bundle.preprocessing
    steps: list[tuple[str, str, Any]] = [("Div", "range", np.float32(preprocessing.data_range))]
    if preprocessing.mean:
        steps += [("Sub", "mean", preprocessing.mean), ("Div", "std", preprocessing.std)]
    nodes, given = [], IMAGE
    for place, (operation, name, values) in enumerate(steps):
        constant = np.asarray(values, dtype=np.float32).reshape(1, -1, 1, 1)
        graph.initializer.append(onnx.numpy_helper.from_array(constant, PREPARE + name))
        made = NORMALISED if place == len(steps) - 1 else f"{PREPARE}by_{name}"
        node = onnx.helper.make_node(operation, [given, PREPARE + name], [made], name=f"{PREPARE}{operation}_{name}")
        nodes.append(node)
        given = made
    return nodes


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what libraries say of themselves while they trace and quantise from the user."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
