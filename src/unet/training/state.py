"""How far a training has come: all that the loop knows, as plain data that is saved whole."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from unet.errors import ConfigError
from unet.parsing import as_dataclass
from unet.training.health import Health


@dataclass
class LoopState:
    """The state of the loop.

    Attributes
    ----------
    step : int
        Optimiser steps done.
    samples : int
        Samples drawn; together with the seed it decides all samples that follow.
    seconds : float
        Training time spent, of all sessions together.
    validated_at : float
        Share of the training done at the last validation.
    validation_seconds : float
        How long that took.
    best, best_step : float, int
        Best validation score so far (-1: none) and its step.
    loss_sum, loss_count : float, int
        Losses since the last validation, and how many.
    returns : int
        How often the run went back to its last good state.
    finished_seconds : float
        The time that a training had, or took, that has come to its end; 0: it has not.
    added_from : float
        Share of the training that was done when more was added to a finished one.
    rows : list of dict
        What was logged at each validation, its step included.
    health : Health
    """

    step: int = 0
    samples: int = 0
    seconds: float = 0.0
    validated_at: float = 0.0
    validation_seconds: float = 0.0
    best: float = -1.0
    best_step: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    returns: int = 0
    finished_seconds: float = 0.0
    added_from: float = 0.0
    rows: list[dict[str, float]] = field(default_factory=list)
    health: Health = field(default_factory=Health)

    @property
    def mean_loss(self) -> float:
        """Mean loss of the steps since the last validation, NaN where no step had a finite one."""
        return self.loss_sum / self.loss_count if self.loss_count else math.nan

    def is_finished(self, steps: int | None, seconds: float | None) -> bool:
        """Tell whether a training of so many steps, or of such a time, has come to its end."""
        if self.validated_at < 1:
            return False
        if steps is not None:
            return self.step >= steps
        return seconds is None or not self.finished_seconds or seconds <= self.finished_seconds

    def count(self, samples: int, loss: float | None) -> None:
        """Take note of a step."""
        self.step += 1
        self.samples += samples
        if loss is not None:
            self.loss_sum += loss
            self.loss_count += 1

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LoopState:
        """Read what `to_dict` wrote, or what version 0.1 knew, whose other entries are left out.

        Raises
        ------
        ConfigError
            It is something else.
        """
        known = {each.name for each in fields(cls)}
        if not {"step", "health"} <= data.keys():
            raise ConfigError(f"the entries {', '.join(list(data)[:3]) or 'of nothing'}", "step, health and others")
        state = as_dataclass(cls, {key: value for key, value in data.items() if key in known})
        if min(state.step, state.samples, state.seconds, state.best_step, state.loss_count, state.returns) < 0:
            raise ConfigError("a number below 0", "steps, samples and seconds that were done")
        if not all("step" in row for row in state.rows):
            raise ConfigError("a validation without its step", "the step of each")
        return state
