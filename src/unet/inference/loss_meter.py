"""The loss of pictures that are scored, from the logits that their scores are computed from."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from unet.data.dataset import Borders, ScaledTruth
from unet.labels import IGNORED
from unet.losses import Loss

MOST_LOGITS = 1 << 25
"""A picture with more logits is taken in bands of rows, to bound the memory: a loss holds several maps of that size.
How the network came by the logits, in tiles or as a whole, does not matter to it."""


class LossMeter:
    """The mean of the losses of pictures, each weighted by the number of its pixels that count.

    Parameters
    ----------
    loss : Loss
        That of the training.
    class_weights : sequence of float
        Of each class, as in the training; empty: all count the same.
    borders : Borders, optional
        As in the training: what pixels between objects count more.
    """

    def __init__(self, loss: Loss, class_weights: Sequence[float] = (), borders: Borders | None = None) -> None:
        self.loss, self.borders = loss, borders
        self.class_weights = torch.tensor(class_weights) if class_weights else None
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self._sum, self._pixels = 0.0, 0

    @property
    def mean(self) -> float:
        """The mean loss, NaN where no pixel counted."""
        return self._sum / self._pixels if self._pixels else math.nan

    @torch.inference_mode()
    def add(self, logits: Tensor, truth: ScaledTruth) -> None:
        """Take note of a picture.

        Parameters
        ----------
        logits : float32 Tensor (K, h, w)
        truth : ScaledTruth
            Of that size.
        """
        outputs, height, width = logits.shape
        bands = math.ceil(outputs * height * width / MOST_LOGITS)
        rows = math.ceil(height / bands)
        weights = None if self.class_weights is None else self.class_weights.to(logits.device)
        for top in range(0, height, rows):
            part = slice(top, top + rows)
            target = torch.from_numpy(truth.target[part]).to(logits.device).long()
            pixels = int((target != IGNORED).sum())
            if pixels == 0:
                continue
            by_pixel = None
            if truth.weights is not None:
                by_pixel = torch.from_numpy(truth.weights[part]).to(logits.device).float()[None]
            value = self.loss(logits[None, :, part], target[None], weights, by_pixel)
            self._sum += pixels * float(value)
            self._pixels += pixels
