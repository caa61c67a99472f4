"""What int8 costs: mean IoU on pictures that were not calibrated on, or, without masks, pixels that change class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unet.bundle import Bundle
from unet.errors import InputError
from unet.export.quantising import Quantiser
from unet.export.runtimes import Session
from unet.inference import evaluation
from unet.inference.evaluation import EvaluationSet
from unet.inference.prediction import classes_of
from unet.inference.predictor import DEFAULT_THRESHOLD, Predictor
from unet.models import geometry_of
from unet.models.filling import filled

Score = Callable[[Any], float]
"""A network (onnx.ModelProto, as `unet.export.graph.traced` returns it) to what it reaches, 1 at best."""


@dataclass(frozen=True)
class Int8:
    """How a network became int8, and what that costs.

    Attributes
    ----------
    calibrated_on : str
        The pictures that the ranges of activations come from.
    measured_on : str
        Other pictures, that the scores are of.
    score : str
        What was measured: "mean IoU", or "same pixels".
    before, after : float
        That score in float32 and in int8.
    wide : tuple of str
        Layers that stay in float32.
    layers : int
        Of all that could be in int8.
    """

    calibrated_on: str
    measured_on: str
    score: str
    before: float
    after: float
    wide: tuple[str, ...]
    layers: int

    @property
    def drop(self) -> float:
        """What int8 costs."""
        return self.before - self.after

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self) | {"drop": self.drop}


class _Backend:
    """A network in ONNX Runtime, see `unet.inference.backends.Backend`."""

    name, dtype = "onnxruntime", torch.float32

    def __init__(self, network: Any, bundle: Bundle) -> None:
        self.session, self.spec = Session(network), bundle.spec
        self.margin = geometry_of(bundle.spec).valid_margin

    def __call__(self, images: Tensor, /) -> Tensor:
        height, width = (side - 2 * self.margin for side in images.shape[2:])
        return torch.from_numpy(self.session(filled(images, self.spec).numpy()))[..., :height, :width]


def mean_iou(bundle: Bundle, examples: EvaluationSet, progress: Callable[[int, int], None] | None = None) -> Score:
    """Return what measures the mean IoU of a network on pictures with masks."""

    def score(network: Any) -> float:
        predictor = Predictor(bundle, device="cpu", exact=True)
        predictor.backend = _Backend(network, bundle)
        counts = evaluation.count(predictor, examples, progress)
        reached = evaluation.summarise(counts, examples.pairs, examples.labels)["mean_iou"]
        if reached is None:
            raise InputError("no pixel of the pictures that int8 is measured on counts", "masks with classes in them")
        return float(reached)

    return score


def same_pixels(bundle: Bundle, network: Any, inputs: Sequence[NDArray[np.float32]]) -> Score:
    """Return what measures the share of pixels to which a network gives the same class as this one does.

    Parameters
    ----------
    bundle : Bundle
    network : onnx.ModelProto
    inputs : sequence of float32 array (C, h, w)
        What the network is given.
    """
    threshold = DEFAULT_THRESHOLD if bundle.threshold is None else bundle.threshold

    def classes(of: Any) -> list[Tensor]:
        session = Session(of)
        return [classes_of(torch.from_numpy(session(image[None])[0]), threshold) for image in inputs]

    truth = classes(network)

    def score(other: Any) -> float:
        same = sum(int((one == two).sum()) for one, two in zip(truth, classes(other), strict=True))
        return same / sum(each.numel() for each in truth)

    return score


def to_int8(
    quantiser: Quantiser, score: Score, before: float, max_drop: float, say: Callable[[str], None]
) -> tuple[Any, tuple[str, ...], float]:
    """Return a network in int8 that is good enough, the layers that stay in float32, and its score.

    The first and the last layer stay from the start; then those that int8 harms most, twice as many each time, up to
    half of all.

    Raises
    ------
    InputError
        It is not to be had.
    """
    ends, kept, reached = (quantiser.layers[0], quantiser.layers[-1]), 0, 0.0
    while kept <= max(2, len(quantiser.layers) // 2):
        worst = quantiser.by_loss()[:kept] if kept else []
        wide = tuple(name for name in quantiser.layers if name in ends or name in worst)
        network = quantiser.quantised(wide)
        reached = score(network)
        say(f"int8: {reached:.4f} instead of {before:.4f}, {len(wide)} of {len(quantiser.layers)} layers in float32")
        if before - reached <= max_drop:
            return network, wide, reached
        kept = max(2, 2 * kept)
    costs = f"{before - reached:.4f} ({reached:.4f} instead of {before:.4f})"
    raise InputError(
        f"int8 costs {costs}, with half of the layers in float32",
        f"at most {max_drop:g}",
        "calibrate on more or other pictures, allow more by --max-drop, or export without --int8",
    )
