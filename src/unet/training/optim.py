"""Optimisers by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch.nn import Parameter

from unet.config import TrainingConfig


def build_optimizer(
    parameters: Iterable[Parameter],
    settings: TrainingConfig,
    encoder: Iterable[Parameter] = (),
    *,
    fused: bool | None = None,
) -> torch.optim.Optimizer:
    """Return the optimiser the settings name; biases and batch-norm parameters are not decayed by AdamW.

    Unset weight decay is 0.01 for AdamW and 0 for the others, unset momentum 0.9. Those of the parameters that are
    an encoder's, trained before, form groups of their own, whose rate is that of the others times `encoder_rate`.
    `fused` is torch's: weights and moments are read and written once, on a CPU in a third of the time; RMSprop has
    no such form.
    """
    rate = settings.learning_rate or 1e-3
    decay = settings.weight_decay if settings.weight_decay is not None else 0.0
    momentum = settings.momentum if settings.momentum is not None else 0.9
    slow = set(encoder)
    parameters = list(parameters)
    groups: list[dict[str, Any]] = [{"params": [p for p in parameters if p not in slow]}]
    if slow:
        factor = settings.encoder_rate or 1.0
        groups.append({"params": [p for p in parameters if p in slow], "factor": factor, "lr": rate * factor})
    if settings.optimizer == "adamw":
        decay = settings.weight_decay if settings.weight_decay is not None else 0.01
        groups = [
            {**group, "params": [p for p in group["params"] if (p.ndim > 1) == decays], "weight_decay": decayed}
            for group in groups
            for decays, decayed in ((True, decay), (False, 0.0))
        ]
        return torch.optim.AdamW(groups, lr=rate, fused=fused)
    if settings.optimizer == "adam":
        return torch.optim.Adam(groups, lr=rate, weight_decay=decay, fused=fused)
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=rate, weight_decay=decay, momentum=momentum, fused=fused)
    return torch.optim.RMSprop(groups, lr=rate, weight_decay=decay, momentum=momentum)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all groups, that of an encoder by its factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("factor", 1.0)
