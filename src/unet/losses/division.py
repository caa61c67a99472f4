"""A batch that is divided, among processes or into parts computed one after the other: its sums are of all of it.

A loss is a function of a few sums over the pixels of a batch. Every term asks for them by `summed`, which gives those
of the whole batch where that is divided, so that the loss is the one of the undivided batch, and its gradient too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from unet import processes


class Ledger:
    """The sums of a batch that is computed part by part.

    In a first pass, without gradients, each part leaves its own sums. In the second the sums of the others are added to
    those of the part at hand, whose gradient is then its share of that of the whole batch.
    """

    def __init__(self) -> None:
        self.parts: list[list[Tensor]] = []
        self.is_collecting = False
        self._part = self._asked = 0

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Take note of the sums that the losses of the block ask for: those of the next part."""
        self.parts.append([])
        with self._current(True):
            yield

    @contextmanager
    def completing(self, part: int) -> Iterator[None]:
        """Add the sums of all other parts to those that the losses of the block ask for."""
        self._part, self._asked = part, 0
        with self._current(False):
            yield

    @contextmanager
    def _current(self, collects: bool) -> Iterator[None]:
        global _ledger
        self.is_collecting, _ledger = collects, self
        try:
            yield
        finally:
            _ledger = None

    def take(self, sums: Tensor) -> Tensor:
        """Return the sums of all parts in this process, as far as they are known."""
        if self.is_collecting:
            self.parts[-1].append(sums.detach())
            return sums
        others = [each[self._asked] for number, each in enumerate(self.parts) if number != self._part]
        self._asked += 1
        return torch.stack([sums, *others]).sum(0)


_ledger: Ledger | None = None


def is_divided() -> bool:
    """Tell whether the batch at hand is a part of one.

    Examples
    --------
    >>> with Ledger().collecting():
    ...     is_divided()
    True
    >>> is_divided()
    False
    """
    return processes.count() > 1 or _ledger is not None


def summed(sums: Tensor) -> Tensor:
    """Return the sums over the whole batch, given those over the part at hand; with a gradient.

    Examples
    --------
    >>> ledger, parts = Ledger(), [torch.tensor([1.0]), torch.tensor([2.0])]
    >>> for part in parts:
    ...     with ledger.collecting():
    ...         _ = summed(part)
    >>> with ledger.completing(0):
    ...     summed(parts[0]).tolist()
    [3.0]
    """
    if _ledger is not None:
        sums = _ledger.take(sums)
        if _ledger.is_collecting:
            return sums
    if processes.count() == 1:
        return sums
    total: Tensor = _OfAllProcesses.apply(sums)  # type: ignore[no-untyped-call]
    return total


def mean_over_parts(loss: Tensor) -> Tensor:
    """Return the mean of a loss that is no function of sums over the parts of the batch.

    Examples
    --------
    >>> mean_over_parts(torch.tensor(2.0)).item()  # an undivided batch is one part
    2.0
    """
    if not is_divided():
        return loss
    total, parts = summed(torch.stack([loss, torch.ones_like(loss)])).unbind()
    return total / parts


class _OfAllProcesses(torch.autograd.Function):
    """The sum over all processes, each of which computes the same loss from it."""

    @staticmethod
    def forward(ctx: Any, sums: Tensor) -> Tensor:
        total = sums.clone()
        processes.add_up(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        # DistributedDataParallel takes the mean of the processes' gradients, where the sum is meant.
        return gradient * processes.count()
