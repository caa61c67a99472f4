"""Schedules against torch's, which count steps where ours take a share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from unet.config import TrainingConfig, parse
from unet.errors import ConfigError
from unet.training.schedule import one_cycle, plateau, rate_factor

STEPS = 200


def optimizer(rate: float = 1.0) -> torch.optim.Optimizer:
    return torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=rate)


def test_one_cycle_follows_torch() -> None:
    """The same curve as torch's scheduler, which counts steps where ours takes a share."""
    steps = 1000
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=steps + 1, pct_start=0.1, div_factor=25, final_div_factor=400
    )
    for step in range(steps):
        assert one_cycle(step / steps) == pytest.approx(optimizer.param_groups[0]["lr"], abs=2e-2)
        optimizer.step()
        scheduler.step()


def test_one_cycle_beyond_its_ends() -> None:
    assert one_cycle(-1) == one_cycle(0) == pytest.approx(0.04)
    assert one_cycle(2) == one_cycle(1) == pytest.approx(1e-4)


@pytest.mark.parametrize(
    ("settings", "reference"),
    [
        ({"schedule": "cosine"}, lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS)),
        ({"schedule": "poly"}, lambda o: lr_scheduler.PolynomialLR(o, STEPS, power=0.9)),
        ({"schedule": "poly", "power": 2.0}, lambda o: lr_scheduler.PolynomialLR(o, STEPS, power=2.0)),
        ({"schedule": "step", "step_epochs": 3, "factor": 0.5}, lambda o: lr_scheduler.StepLR(o, 30, gamma=0.5)),
        ({"schedule": "constant"}, lambda o: lr_scheduler.ConstantLR(o, factor=1.0)),
        ({"schedule": "constant", "warm_up": 0.25}, lambda o: lr_scheduler.LambdaLR(o, lambda s: min(1.0, s / 50))),
    ],
)
def test_schedules_follow_torch(settings: dict[str, Any], reference: Callable[[Any], Any]) -> None:
    one = optimizer()
    scheduler = reference(one)
    for step in range(STEPS):
        epochs = step / 10
        found = rate_factor(TrainingConfig(**settings), step / STEPS, epochs)
        assert found == pytest.approx(one.param_groups[0]["lr"], abs=1e-6), step
        one.step()
        scheduler.step()


def test_step_without_a_size_has_three_levels() -> None:
    settings = TrainingConfig(schedule="step")
    assert [rate_factor(settings, share, 0) for share in (0, 0.3, 0.4, 0.7)] == pytest.approx([1, 1, 0.1, 0.01])


def test_warm_up_of_one_cycle_is_settable() -> None:
    settings = TrainingConfig(warm_up=0.5)
    factors = [rate_factor(settings, share, 0) for share in (0.1, 0.3, 0.5, 0.7)]
    assert max(factors) == factors[2] == 1


@pytest.mark.parametrize("schedule", ["onecycle", "cosine", "poly"])
def test_what_is_added_to_a_finished_run_rises_to_the_longer_course_and_falls(schedule: Any) -> None:
    settings, half = TrainingConfig(schedule=schedule), 0.5
    longer = [rate_factor(settings, share, 0) for share in np.linspace(half, 1, 101)]
    added = [rate_factor(settings, share, 0, half) for share in np.linspace(half, 1, 101)]
    assert added[0] < 0.05 * longer[0], "no jump from the end of the first part"
    peak = int(np.argmax(added))
    assert np.all(np.diff(added[: peak + 1]) > 0) and np.all(np.diff(added[peak:]) < 0)
    assert added[10:] == longer[10:] and 5 < peak <= 10
    little = max(rate_factor(settings, share, 0, 0.95) for share in np.linspace(0.95, 1, 101))
    assert little < 0.2 * max(added), "a little more is a small correction"


def test_a_constant_rate_stays_so_when_more_is_added() -> None:
    assert rate_factor(TrainingConfig(schedule="constant"), 0.5, 0, 0.5) == 1


@pytest.mark.parametrize(("by", "values"), [("score", [0.5, 0.4, 0.4]), ("loss", [0.5, 0.6, 0.6])])
def test_plateau_lowers_the_rate_when_nothing_gets_better(by: str, values: list[float]) -> None:
    one = optimizer()
    settings = TrainingConfig(schedule="plateau", plateau_by=by, patience=1, factor=0.5, least_rate=0.3)  # type: ignore[arg-type]
    scheduler = plateau(one, settings)
    rates = []
    for value in (*values, *values):
        scheduler.step(value)
        rates.append(one.param_groups[0]["lr"])
    assert rates == pytest.approx([1, 1, 0.5, 0.5, 0.3, 0.3])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"schedule": "plateau", "warm_up": 0.1}, "no warm_up"),
        ({"validations": 3, "validate_every": 10}, "one of them"),
        ({"factor": 1.0}, "less than 1"),
    ],
)
def test_settings_that_do_not_go_together(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse({"training": settings})
