"""A network in int8: ranges of activations from calibration pictures, QDQ nodes that ONNX Runtime and OpenVINO read.

Layers that suffer are kept in float32: the first and the last from the start, and others, the worst first, as long as
the result is not as good as was asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet import onnx_files
from unet.export.graph import quiet
from unet.export.runtimes import Session, package
from unet.onnx_files import NORMALISED

LAYERS = ("Conv", "ConvTranspose")
"""Operations whose weights become int8."""

PASSED = ("MaxPool", "AveragePool", "Concat", "Resize", "Add", "Relu", "LeakyRelu")
"""Operations that int8 passes through. Norms over the picture and attention stay as they are: they cannot bear it.
So does filling up with zeros, which OpenVINO (2026.4) gets wrong in int8."""

PROBED = 4
"""Pictures on which the loss of each layer is measured."""


class _Reader:
    """What ONNX Runtime asks for calibration pictures."""

    def __init__(self, images: Iterable[NDArray[np.float32]]) -> None:
        self._images = iter(images)

    def get_next(self) -> dict[str, Any] | None:
        """Return the next one."""
        image = next(self._images, None)
        return None if image is None else {NORMALISED: image[None]}


class Quantiser:
    """Writes one network in int8, as often as wanted, with one calibration.

    Parameters
    ----------
    network : onnx.ModelProto
        The network alone, as `unet.export.graph.traced` returns it.
    images : sequence of float32 array (C, h, w)
        Network inputs: normalised calibration pictures.

    Raises
    ------
    MissingExtraError
        ONNX Runtime is not installed.

    Attributes
    ----------
    layers : list of str
        Names of the nodes whose weights can be int8, in their order.
    """

    def __init__(self, network: Any, images: Sequence[NDArray[np.float32]]) -> None:
        self.network, self._images = _prepared(network), images
        self.layers = [node.name for node in self.network.graph.node if node.op_type in LAYERS]
        self._ranges = _ranges(self.network, images)

    def quantised(self, wide: Iterable[str] = ()) -> Any:
        """Return the network in int8 but for the layers named, which stay in float32."""
        wide = set(wide)
        return self._quantised([node for node in self._passing() if node not in wide])

    def by_loss(self) -> list[str]:
        """Return the layers, that first whose weights and inputs in int8 change the logits most."""
        return sorted(self.layers, key=lambda name: -self._losses[name])

    @cached_property
    def _losses(self) -> dict[str, float]:
        probes = [image[None] for image in self._images[:PROBED]]
        plain = Session(self.network)
        truth = [plain(probe) for probe in probes]
        losses = {}
        for name in self.layers:
            session = Session(self._quantised([name]))
            errors = [np.mean((session(x) - y) ** 2) for x, y in zip(probes, truth, strict=True)]
            losses[name] = float(np.mean(errors))
        return losses

    def _passing(self) -> list[str]:
        return [node.name for node in self.network.graph.node if node.op_type in LAYERS + PASSED]

    def _quantised(self, nodes: list[str]) -> Any:
        onnx, quantization = onnx_files.onnx_package(), package("onnxruntime.quantization")
        model = onnx.ModelProto()
        model.CopyFrom(self.network)  # the quantiser changes what it is given
        quantiser = package("onnxruntime.quantization.qdq_quantizer").QDQQuantizer(
            model, per_channel=True, reduce_range=False, weight_qType=quantization.QuantType.QInt8,
            activation_qType=quantization.QuantType.QUInt8, tensors_range=self._ranges, nodes_to_quantize=nodes,
            nodes_to_exclude=[], op_types_to_quantize=[*LAYERS, *PASSED], extra_options={},
        )  # fmt: skip
        with quiet():
            quantiser.quantize_model()
            quantiser.model.topological_sort()
        return quantiser.model.model


def _prepared(network: Any) -> Any:
    """Return a network whose nodes have names and whose tensors have known types, as ONNX Runtime's quantiser wants."""
    onnx = onnx_files.onnx_package()
    model = onnx.shape_inference.infer_shapes(network)
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"node_{number}"
    return model


def _ranges(network: Any, images: Iterable[NDArray[np.float32]]) -> Any:
    calibrate = package("onnxruntime.quantization.calibrate")
    with TemporaryDirectory() as folder, quiet():
        source, augmented = Path(folder) / "network.onnx", Path(folder) / "augmented.onnx"
        onnx_files.write(network, source)
        calibrator = calibrate.create_calibrator(
            source, [*LAYERS, *PASSED], str(augmented), calibrate_method=calibrate.CalibrationMethod.MinMax
        )
        calibrator.collect_data(_Reader(images))
        return calibrator.compute_data()
