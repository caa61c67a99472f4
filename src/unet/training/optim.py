"""Optimisers by name."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch.nn import Parameter

from unet.config import TrainingConfig


def build_optimizer(parameters: Iterable[Parameter], settings: TrainingConfig) -> torch.optim.Optimizer:
    """Return the optimiser the settings name; biases and batch-norm parameters are not decayed by AdamW.

    Unset weight decay is 0.01 for AdamW and 0 for the others, unset momentum 0.9.
    """
    rate = settings.learning_rate or 1e-3
    decay = settings.weight_decay if settings.weight_decay is not None else 0.0
    momentum = settings.momentum if settings.momentum is not None else 0.9
    parameters = list(parameters)
    if settings.optimizer == "adamw":
        decay = settings.weight_decay if settings.weight_decay is not None else 0.01
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=rate)
    if settings.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=rate, weight_decay=decay)
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=rate, weight_decay=decay, momentum=momentum)
    return torch.optim.RMSprop(parameters, lr=rate, weight_decay=decay, momentum=momentum)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all groups."""
    for group in optimizer.param_groups:
        group["lr"] = rate
