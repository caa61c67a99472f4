"""Distributions of weights and gradients, counted where the tensors are: only the counts go to a tracker."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

BINS = 64

MOST_AT_ONCE = 1 << 24
"""`torch.histc` counts in float32, which knows no odd numbers beyond."""


@dataclass(frozen=True)
class Histogram:
    """How many values lie between one edge and the next.

    Attributes
    ----------
    counts : tuple of int
    edges : tuple of float
        One more, rising.
    total, squares : float
        The sum of the values, and of their squares.
    """

    counts: tuple[int, ...]
    edges: tuple[float, ...]
    total: float
    squares: float


def counted(tensor: Tensor) -> Histogram | None:
    """Return the histogram of a tensor; None where it is empty or holds what is no number.

    Parameters
    ----------
    tensor : Tensor
        Floats of any shape.
    """
    values = tensor.detach().float().flatten()
    if values.device.type not in ("cpu", "cuda"):  # not every device counts
        values = values.cpu()
    if not values.numel():
        return None
    facts = torch.stack([*values.aminmax(), values.sum(), torch.linalg.vector_norm(values)])
    least, largest, total, norm = facts.tolist()
    if not (math.isfinite(least) and math.isfinite(largest)):
        return None
    if least == largest:
        half = max(abs(least), 1.0) / 2
        least, largest = least - half, largest + half
    counts = torch.stack([torch.histc(part, BINS, least, largest).long() for part in torch.split(values, MOST_AT_ONCE)])
    edges = tuple(least + (largest - least) * place / BINS for place in range(BINS + 1))
    return Histogram(tuple(counts.sum(0).tolist()), edges, total, norm**2)


def of_network(network: nn.Module) -> dict[str, Histogram]:
    """Return the histograms of all weights, and of the gradients that are there, by name."""
    tensors: dict[str, Tensor] = {}
    for name, parameter in network.named_parameters():
        tensors[f"weights/{name}"] = parameter
        if parameter.grad is not None:
            tensors[f"gradients/{name}"] = parameter.grad
    found = {name: counted(tensor) for name, tensor in tensors.items()}
    return {name: histogram for name, histogram in found.items() if histogram is not None}
