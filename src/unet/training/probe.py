"""How fast this machine trains and with how much memory: a few real steps of the engine on random numbers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import psutil
import torch

from unet import models
from unet.config import TrainingConfig
from unet.data.dataset import Batch
from unet.devices import Compute
from unet.models import ModelSpec
from unet.training.engine import Engine

SPEED_SIDE = 256
"""Of the pictures by which speed is measured. Fixed costs of a step weigh far more on smaller ones than in training."""

CPU_BATCH, GPU_BATCH = 1, 8
"""Pictures of a step whose speed is measured: one keeps a CPU busy."""

NARROW, WIDE = 16, 32

ENOUGH_SECONDS = 1.5
"""After so long no further round of a measurement begins."""

MEMORY_SHARE = {"cpu": 0.4, "cuda": 0.8, "mps": 0.5}
"""Of the free memory that a step may take. On a CPU decoded pictures lie in the same memory."""


def speed_model(spec: ModelSpec, compute: Compute, settings: TrainingConfig) -> Callable[[int], float]:
    """Return training speed (pixels per second) by width: measured at two widths, a power law between and beyond.

    Of a network that has no width it is the same for all.
    """

    @cache
    def measured() -> tuple[float, float]:
        batch = CPU_BATCH if compute.device.type == "cpu" else GPU_BATCH
        seconds = shortest([_step(spec.of_width(width), compute, settings, batch) for width in (NARROW, WIDE)])
        narrow, wide = (batch * least_side(spec, SPEED_SIDE) ** 2 / each for each in seconds)
        return narrow, wide

    def speed(width: int) -> float:
        narrow, wide = measured()
        if "width" not in models.SETTINGS[spec.architecture]:
            return narrow
        slope = math.log(wide / narrow) / math.log(WIDE / NARROW)
        return narrow * math.exp(slope * math.log(width / NARROW))

    return speed


def _step(spec: ModelSpec, compute: Compute, settings: TrainingConfig, count: int) -> Callable[[], Any]:
    """Return what does one step of training on random pictures."""
    # Of the settings only what makes a step dearer: it is to run without those that are still open.
    engine = Engine(models.build(spec), TrainingConfig(optimizer=settings.optimizer, loss=settings.loss), compute)
    side = least_side(spec, SPEED_SIDE)
    target = torch.zeros(count, side, side, dtype=torch.int64)
    target[:, ::32] = target[:, :, ::32] = min(
        1, spec.classes
    )  # lines, as some losses take longer where there are some
    batch = Batch(torch.randn(count, spec.bands, side, side), target, ())

    def step() -> None:
        engine.step(batch)
        if compute.device.type == "cuda":
            torch.cuda.synchronize(compute.device)

    return step


def least_side(spec: ModelSpec, side: int) -> int:
    """Return a side, not smaller, of which a network without padding leaves about as much as it takes away."""
    geometry = models.geometry_of(spec)
    return geometry.at_least(max(side, 4 * geometry.valid_margin))


def shortest(tasks: Sequence[Callable[[], Any]], rounds: int = 3) -> list[float]:
    """Return the least seconds of each task, run in turns.

    The first run of each pays for set-up and is not counted. Turns, and the least of several: a moment in which
    the machine is busy with something else must not decide a whole training. A busy or slow machine does fewer
    rounds, at least one: measuring must not use up the time that it is for.
    """
    least = [math.inf] * len(tasks)
    begin = time.perf_counter()
    for number in range(rounds + 1):
        if number > 1 and time.perf_counter() - begin > ENOUGH_SECONDS:
            break
        for place, task in enumerate(tasks):
            start = time.perf_counter()
            task()
            if number:
                least[place] = min(least[place], time.perf_counter() - start)
    return least


def free_memory(device: torch.device) -> float:
    """Return how many bytes a training step may take."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
    else:  # Apple's GPU works in the same memory as the processor
        free = psutil.virtual_memory().available
    return MEMORY_SHARE[device.type] * free
