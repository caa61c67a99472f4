"""How fast this machine trains: a few real steps on random numbers, a second or two in all."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

import torch

from unet import devices, losses, models
from unet.devices import Compute
from unet.models import ModelSpec

SIDE = 128
NARROW, WIDE = 16, 32


def _step(spec: ModelSpec, side: int = SIDE) -> Callable[[Compute], None]:
    network = models.build(spec).train()
    images = torch.randn(2, spec.bands, side, side)
    targets = torch.zeros(2, side, side, dtype=torch.int64)

    def run(compute: Compute) -> None:
        network.to(compute.device)
        network.to(memory_format=compute.memory_format)  # type: ignore[call-overload]
        with compute.autocast():
            logits = network(images.to(compute.device, memory_format=compute.memory_format))
        torch.autograd.backward(losses.cross_entropy(logits, targets.to(compute.device)))
        if compute.device.type == "cuda":
            torch.cuda.synchronize(compute.device)

    return run


def best_compute(spec: ModelSpec, device: torch.device, precision: str, channels_last: bool | None) -> Compute:
    """Return the fastest precision and memory layout for training this network on this device.

    With both given there is nothing to measure.
    """
    options = devices.candidates(device, precision)
    if channels_last is not None:
        options = list(
            dict.fromkeys(
                replace(option, channels_last=channels_last, why=option.why or "as set") for option in options
            )
        )
    return devices.fastest(options, _step(spec))


def speed_model(spec: ModelSpec, compute: Compute) -> Callable[[int], float]:
    """Return training speed (pixels per second) by width: measured at two widths, a power law between and beyond."""

    @cache
    def measured() -> tuple[float, float]:
        tasks = [partial(_step(replace(spec, width=width)), compute) for width in (NARROW, WIDE)]
        narrow, wide = (2 * SIDE * SIDE / seconds for seconds in devices.shortest(tasks))
        return narrow, wide

    def speed(width: int) -> float:
        narrow, wide = measured()
        slope = math.log(wide / narrow) / math.log(WIDE / NARROW)
        return narrow * math.exp(slope * math.log(width / NARROW))

    return speed
