"""Schedules by name: the learning rate as a function of how much of the training is done.

Of a share of the run and not of steps, so that a run can be given minutes, and stopped and gone on with.
"""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from unet.config import TrainingConfig

WARM_UP = 0.1
"""Share of a one-cycle run in which the learning rate rises, where nothing is said."""

STEPS_DOWN = 3
"""Into so many equal parts the schedule `step` divides a run where nothing is said."""


ADDED_RISE = 0.1
"""Share of what is added to a finished run in which the learning rate rises again."""


def rate_factor(settings: TrainingConfig, share: float, epochs: float, added_from: float = 0.0) -> float:
    """Return the factor on the learning rate; 1 for `constant`, and for `plateau`, which lowers the rate itself.

    Parameters
    ----------
    settings : TrainingConfig
    share : float
        How much of the training is done, 0..1.
    epochs : float
        Passes over the data so far.
    added_from : float
        The share at which more was added to a run that was finished, whose rate had fallen to nearly nothing: it rises
        to where the longer run has it, and follows that. So little rises little, and much is a second training.
    """
    share = min(max(share, 0.0), 1.0)
    factor = _factor(settings, share, epochs)
    rise = ADDED_RISE * (1 - added_from)
    if not 0 < added_from <= share < added_from + rise or settings.schedule in ("constant", "plateau"):
        return factor
    return factor * _risen((share - added_from) / rise)


def _factor(settings: TrainingConfig, share: float, epochs: float) -> float:
    if settings.schedule == "onecycle":
        return one_cycle(share, WARM_UP if settings.warm_up is None else settings.warm_up)
    rise = min(1.0, share / settings.warm_up) if settings.warm_up else 1.0
    match settings.schedule:
        case "cosine":
            return rise * (1 + math.cos(math.pi * share)) / 2
        case "poly":
            return rise * float((1 - share) ** settings.power)
        case "step":
            taken = share * STEPS_DOWN if settings.step_epochs is None else epochs / settings.step_epochs
            return rise * float(settings.factor ** math.floor(taken))
    return rise


def one_cycle(share: float, warm_up: float = WARM_UP) -> float:
    """Return the factor on the peak learning rate at a share of the run of 0..1.

    A cosine rise from 1/25, then a cosine fall to nearly nothing (Smith & Topin 2018, in the form of torch's
    OneCycleLR).
    """
    share = min(max(share, 0.0), 1.0)
    if share < warm_up:
        return _risen(share / warm_up)
    return 1e-4 + (1 - 1e-4) * (1 + math.cos(math.pi * (share - warm_up) / (1 - warm_up))) / 2


def _risen(share: float) -> float:
    """Return the factor at a share of 0..1 of a rise: a cosine from 1/25 to 1."""
    return 0.04 + 0.96 * (1 - math.cos(math.pi * share)) / 2


def plateau(optimizer: Optimizer, settings: TrainingConfig) -> ReduceLROnPlateau:
    """Return what lowers the rate when the score (or, downwards, the loss) gets no better."""
    mode = "max" if settings.plateau_by == "score" else "min"
    return ReduceLROnPlateau(
        optimizer,
        mode,  # type: ignore[arg-type]  # a Literal
        factor=settings.factor,
        patience=settings.patience,
        min_lr=settings.least_rate,
    )
