"""What all terms share: which pixels count and how much, and the probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from unet.labels import IGNORED
from unet.losses.division import is_divided, summed

EPSILON = 1e-12
"""Stands for a sum of nothing where one is divided by it."""

_shared: ContextVar[dict[tuple[int, ...], tuple[MaskedBatch, tuple[Tensor | None, ...]]] | None] = ContextVar(
    "_shared", default=None
)


class Loss(Protocol):
    """A function of logits (N, K, H, W) and target (N, H, W), with or without weights, as `unet.losses` says."""

    def __call__(
        self,
        logits: Tensor,
        target: Tensor,
        class_weights: Tensor | None = None,
        pixel_weights: Tensor | None = None,
    ) -> Tensor:
        """Return a scalar."""
        ...


@dataclass(frozen=True)
class MaskedBatch:
    """A batch in which pixels that do not count are told apart, so that no term needs to think of them.

    Attributes
    ----------
    logits : float32 or float64 Tensor (N, K, H, W)
        0 at pixels that do not count.
    target : int64 Tensor (N, H, W)
        The true class, 0 at pixels that do not count. 0 or 1 where K = 1.
    weights : float Tensor (N, H, W) or None
        How much a pixel counts, 0 where it does not; None where all count once.
    """

    logits: Tensor
    target: Tensor
    weights: Tensor | None

    @property
    def binary(self) -> bool:
        """One logit per pixel."""
        return self.logits.shape[1] == 1

    @cached_property
    def log_probabilities(self) -> Tensor:
        """The logarithms of the probabilities (N, K, H, W) for K > 1."""
        return self.logits.log_softmax(dim=1)

    @cached_property
    def probabilities(self) -> Tensor:
        """The probabilities (N, K, H, W): of class 1 by a sigmoid for K = 1, else by soft-max."""
        return self.logits.sigmoid() if self.binary else self.log_probabilities.exp()

    def weights_with(self, class_weights: Tensor | None) -> Tensor | None:
        """Return the weights of the pixels (N, H, W), multiplied by those of their classes."""
        if class_weights is None or len(class_weights) == 1:
            return self.weights
        by_class = class_weights.to(self.logits.dtype)[self.target]
        return by_class if self.weights is None else by_class * self.weights


@contextmanager
def shared_batches() -> Iterator[None]:
    """Let the terms of a sum share what they compute of a batch: its soft-max takes as long as all the rest.

    Examples
    --------
    >>> logits, target = torch.zeros(1, 2, 1, 1), torch.zeros(1, 1, 1, dtype=torch.long)
    >>> with shared_batches():
    ...     mask_ignored(logits, target) is mask_ignored(logits, target)
    True
    """
    token = _shared.set({})
    try:
        yield
    finally:
        _shared.reset(token)


def mask_ignored(logits: Tensor, target: Tensor, pixel_weights: Tensor | None = None) -> MaskedBatch:
    """Return the batch with its ignored pixels, and those of weight 0, told apart.

    Parameters
    ----------
    logits : float Tensor (N, K, H, W)
    target : int64 Tensor (N, H, W)
    pixel_weights : float Tensor (N, H, W), optional

    Returns
    -------
    MaskedBatch

    Raises
    ------
    ValueError
        The shapes differ.

    Examples
    --------
    >>> batch = mask_ignored(torch.tensor([[[[1.0, 2.0, torch.inf]]]]), torch.tensor([[[0, 1, IGNORED]]]))
    >>> batch.logits.tolist(), batch.target.tolist(), batch.weights.tolist()
    ([[[[1.0, 2.0, 0.0]]]], [[[0, 1, 0]]], [[[1.0, 1.0, 0.0]]])
    """
    batches, key = _shared.get(), (id(logits), id(target), id(pixel_weights))
    if batches is None:
        return _masked(logits, target, pixel_weights)
    if key not in batches:  # the tensors are kept as well, so that none that is freed leaves its identity to another
        batches[key] = _masked(logits, target, pixel_weights), (logits, target, pixel_weights)
    return batches[key][0]


def _masked(logits: Tensor, target: Tensor, pixel_weights: Tensor | None) -> MaskedBatch:
    shape = (logits.shape[0], *logits.shape[2:])
    for name, tensor in (("target", target), ("pixel weights", pixel_weights)):
        if tensor is not None and tensor.shape != shape:
            raise ValueError(f"{name} {tuple(tensor.shape)} for logits {tuple(logits.shape)}")
    # Class after class: a soft-max over the channels of channels-last logits takes a CPU longer.
    logits = (logits if logits.dtype == torch.float64 else logits.float()).contiguous()
    ignored = target == IGNORED
    valid = ~ignored
    target = (target == 1).long() if logits.shape[1] == 1 else target
    if pixel_weights is not None:
        valid = valid & (pixel_weights > 0)
        weights = pixel_weights.to(logits.dtype).where(valid, 0)
    elif count_bound(ignored) == 0:
        return MaskedBatch(logits, target, None)
    else:
        weights = valid.to(logits.dtype)
    # Not just out of the sums: what is infinite there would come back as NaN from 0 * infinity.
    return MaskedBatch(logits.where(valid.unsqueeze(1), 0), target.where(valid, 0), weights)


def weighted_mean(values: Tensor, weights: Tensor | None) -> Tensor:
    """Return the weighted mean, 0 where nothing has a weight.

    Examples
    --------
    >>> weighted_mean(torch.tensor([1.0, 5.0]), torch.tensor([3.0, 1.0])).item()
    2.0
    >>> weighted_mean(torch.tensor([1.0, 5.0]), torch.zeros(2)).item()
    0.0
    """
    if is_divided():
        count = values.new_tensor(float(values.numel())) if weights is None else weights.sum().to(values.dtype)
        total, count = summed(torch.stack([(values if weights is None else values * weights).sum(), count])).unbind()
        return total / count.clamp(min=EPSILON)
    if weights is None:
        return values.mean()
    return (values * weights).sum() / weights.sum().clamp(min=EPSILON)


def count_bound(mask: Tensor) -> int:
    """Return how many pixels of a mask are True at most: just how many on the CPU, elsewhere all of them.

    On the CPU asking is free, and saves what would be computed for nothing. Elsewhere the host would have to wait for
    the device, in every step: what is computed for nothing there must come to nothing.

    Examples
    --------
    >>> count_bound(torch.tensor([True, False, False]))
    1
    >>> count_bound(torch.zeros(3, dtype=torch.bool, device="meta"))
    3
    """
    return int(mask.count_nonzero()) if mask.device.type == "cpu" else mask.numel()
