"""The loss of training on pictures that are not trained on: a training that learns by heart shows in it first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unet import losses
from unet.data.dataset import Borders, ScaledTruth, scaled_truth
from unet.data.pairs import Pair
from unet.labels import IGNORED, Labels
from unet.losses import Loss
from unet.plan.record import RunRecord
from unet.runs.training_set import borders_of

MOST_PIXELS = 1 << 20
"""Of larger pictures the loss is that of bands of rows, as that of all at once would fill the memory. They are cut in
the same way whatever the picture is predicted with."""

CACHE_BYTES = 1 << 28
"""Memory for weights between objects, which take far longer to find than the loss."""


@dataclass(frozen=True)
class ValidationLoss:
    """The loss that a run is trained with, of whole pictures.

    Attributes
    ----------
    loss : callable
        As `unet.losses.parse` returns it.
    class_weights : float Tensor (K,) or None
    borders : Borders or None
        What counts more between objects.
    labels : Labels
        How masks are read, for the numbers of objects.
    """

    loss: Loss
    class_weights: Tensor | None
    borders: Borders | None
    labels: Labels
    _truths: dict[Pair, ScaledTruth] = field(init=False, repr=False, default_factory=dict)

    @classmethod
    def of_run(cls, record: RunRecord) -> ValidationLoss:
        """Return the loss of a run."""
        borders = borders_of(record)
        weighted = record.class_weights and borders is None  # with borders they are in the weights of the pixels
        return cls(
            losses.parse(record.config.training.loss or losses.DEFAULT_LOSS),
            torch.tensor(record.class_weights) if weighted else None,
            borders,
            record.labels,
        )

    @torch.inference_mode()
    def __call__(self, logits: Tensor, target: NDArray[np.uint8], pair: Pair) -> tuple[float, int]:
        """Return the loss of a picture times the pixels that count, and their number.

        Parameters
        ----------
        logits : float Tensor (K, h, w)
            At the network's scale, on any device.
        target : uint8 array (H, W)
            Class indices at the picture's own resolution, `IGNORED` where nothing counts.
        pair : Pair
            Whose target that is.
        """
        height, width = logits.shape[1:]
        truth = self._truth(target, pair, (height, width))
        small, weights = truth.target, truth.weights
        total, pixels = 0.0, 0
        step = max(1, MOST_PIXELS // width)
        for band in (slice(top, top + step) for top in range(0, height, step)):
            counted = int(np.count_nonzero(small[band] != IGNORED))
            if counted:
                value = self._of_band(logits[:, band], small[band], None if weights is None else weights[band])
                total, pixels = total + counted * value, pixels + counted
        return total, pixels

    def _truth(self, target: NDArray[np.uint8], pair: Pair, size: tuple[int, int]) -> ScaledTruth:
        """Return what the training would compare with; with borders it is kept for the next validation."""
        if pair in self._truths:
            return self._truths[pair]
        truth = scaled_truth(pair, self.labels, target, size, self.borders)
        if truth.weights is not None:
            held = sum(kept.target.size for kept in self._truths.values()) + truth.target.size
            if held * (truth.target.itemsize + truth.weights.itemsize) <= CACHE_BYTES:
                self._truths[pair] = truth
        return truth

    def _of_band(self, logits: Tensor, target: NDArray[np.uint8], weights: NDArray[Any] | None) -> float:
        device = logits.device
        return float(
            self.loss(
                logits[None].float(),
                torch.from_numpy(target[None].astype(np.int64)).to(device),
                None if self.class_weights is None else self.class_weights.to(device),
                None if weights is None else torch.from_numpy(weights[None]).to(device).float(),
            )
        )
