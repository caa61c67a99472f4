"""How fast this machine trains and with how much memory: a few real steps on random numbers, seconds in all."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

import psutil
import torch

from unet import devices, losses, models
from unet.devices import Compute
from unet.models import ModelSpec
from unet.training.outputs import loss_of_outputs

SIDE = 128
"""Of the two pictures by which precisions and layouts are compared: small, as only the order counts."""

SPEED_SIDE = 256
"""Of the pictures by which speed is measured. Fixed costs of a step weigh far more on smaller ones than in training."""

CPU_BATCH, GPU_BATCH = 1, 8
"""Pictures of a step whose speed is measured: one keeps a CPU busy."""

NARROW, WIDE = 16, 32

MEMORY_SHARE = {"cpu": 0.4, "cuda": 0.8, "mps": 0.5}
"""Of the free memory that a step may take. On a CPU decoded pictures lie in the same memory."""


def _step(spec: ModelSpec, batch: int = 2, side: int = SIDE) -> Callable[[Compute], None]:
    network = models.build(spec).train()
    side = least_side(spec, side)
    images = torch.randn(batch, spec.bands, side, side)
    targets = torch.zeros(batch, side, side, dtype=torch.int64)

    def run(compute: Compute) -> None:
        network.to(compute.device)
        network.to(memory_format=compute.memory_format)  # type: ignore[call-overload]
        with compute.autocast():
            logits = network(images.to(compute.device, memory_format=compute.memory_format))
        loss = loss_of_outputs(losses.cross_entropy, logits, targets.to(compute.device), None)
        torch.autograd.backward(loss)
        if compute.device.type == "cuda":
            torch.cuda.synchronize(compute.device)

    return run


def least_side(spec: ModelSpec, side: int) -> int:
    """Return a side, not smaller, of which a network without padding leaves about as much as it takes away."""
    geometry = models.geometry_of(spec)
    return geometry.at_least(max(side, 4 * geometry.valid_margin))


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
    """Return training speed (pixels per second) by width: measured at two widths, a power law between and beyond.

    Of a network that has no width it is the same for all.
    """

    @cache
    def measured() -> tuple[float, float]:
        batch = CPU_BATCH if compute.device.type == "cpu" else GPU_BATCH
        steps = [_step(spec.of_width(width), batch, SPEED_SIDE) for width in (NARROW, WIDE)]
        seconds = devices.shortest([partial(step, compute) for step in steps])
        narrow, wide = (batch * least_side(spec, SPEED_SIDE) ** 2 / each for each in seconds)
        return narrow, wide

    def speed(width: int) -> float:
        narrow, wide = measured()
        if "width" not in models.SETTINGS[spec.architecture]:
            return narrow
        slope = math.log(wide / narrow) / math.log(WIDE / NARROW)
        return narrow * math.exp(slope * math.log(width / NARROW))

    return speed


def free_memory(device: torch.device) -> float:
    """Return how many bytes a training step may take."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
    else:  # Apple's GPU works in the same memory as the processor
        free = psutil.virtual_memory().available
    return MEMORY_SHARE[device.type] * free
