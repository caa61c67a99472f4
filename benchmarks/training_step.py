"""A training step of ours against the plain way of the Carvana system, each in a process of its own, in turn.

The plain way: float32, channels-last, RMSprop, cross-entropy plus Dice on one-hot tensors, as in its train.py. Ours is
the engine, as `unet train` uses it on this machine: with AdamW, which is its default, with RMSprop, and in float32.

    python benchmarks/training_step.py [--width 64] [--side 256] [--batches 1 4] [--repeats 3] [--device cpu]
        [--json FILE]

A process takes the shortest of its steps; the ratio is the median of the rounds.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from machine import facts, write
from torch import Tensor, nn

from unet import devices
from unet.config import TrainingConfig
from unet.data.dataset import Batch
from unet.models import ModelSpec, build
from unet.training.engine import Engine

RMSPROP = TrainingConfig(optimizer="rmsprop", learning_rate=1e-5, weight_decay=1e-8, momentum=0.999, clip=1.0)
WAYS = {
    "ours, AdamW": (TrainingConfig(clip=1.0), "auto"),
    "ours, RMSprop": (RMSPROP, "auto"),
    "ours, AdamW, float32": (TrainingConfig(clip=1.0), "32-true"),
}
WARM_UP, STEPS = 2, 6


def plain_dice(logits: Tensor, target: Tensor) -> Tensor:
    """Dice over one-hot tensors."""
    truth = F.one_hot(target, logits.shape[1]).permute(0, 3, 1, 2).float()
    probabilities = logits.softmax(1).float()
    return 1 - (2 * (probabilities * truth).sum() + 1e-6) / (probabilities.sum() + truth.sum() + 1e-6)


def plain_step(spec: ModelSpec, images: Tensor, target: Tensor, device: torch.device) -> Callable[[], object]:
    """Return one training step of the plain way."""
    network = build(spec).to(device)
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = True
    network = network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimizer = torch.optim.RMSprop(network.parameters(), lr=1e-5, weight_decay=1e-8, momentum=0.999, foreach=True)

    def step() -> None:
        logits, truth = network(images.to(device, memory_format=torch.channels_last)), target.to(device)
        loss = F.cross_entropy(logits, truth) + plain_dice(logits, truth)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        loss.item()  # as the progress bar of that program does

    return step


def measure(way: str, width: int, side: int, batch: int, device: torch.device) -> None:
    """Print the seconds of a step and the peak memory, of the process or of the GPU, as JSON."""
    torch.manual_seed(0)
    spec = ModelSpec(width=width)
    images, target = torch.rand(batch, 3, side, side), torch.randint(0, 2, (batch, side, side))
    how = "float32, channels-last"
    if way == "plain":
        step = plain_step(spec, images, target, device)
    else:
        settings, precision = WAYS[way]
        compute = devices.choose(device, precision)
        engine, given, how = (
            Engine(build(spec), settings, compute),
            Batch(images, target, ()),
            devices.describe(compute),
        )
        step = partial(engine.step, given)
    seconds = []
    for _ in range(WARM_UP + STEPS):
        start = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated() / 1e9
    print(json.dumps({"way": way, "seconds": min(seconds[WARM_UP:]), "gigabytes": peak, "how": how}))


def measured(way: str, args: argparse.Namespace, batch: int) -> dict[str, Any]:
    """Return what a process of its own measures."""
    sizes = ["--width", str(args.width), "--side", str(args.side), "--batches", str(batch), "--device", args.device]
    command = [sys.executable, __file__, "--measure", way, *sizes]
    result: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure", choices=("plain", *WAYS), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        measure(args.measure, args.width, args.side, args.batches[0], devices.pick(args.device))
        return
    machine = facts("lightning-fabric")
    print(machine)
    rows = []
    for batch in args.batches:
        rounds = [{way: measured(way, args, batch) for way in ("plain", *WAYS)} for _ in range(args.repeats)]
        for way in ("plain", *WAYS):
            row = {
                "width": args.width,
                "pictures": f"{batch} x {args.side} x {args.side}",
                "step": f"{way} ({rounds[0][way]['how']})",
                "seconds": statistics.median(each[way]["seconds"] for each in rounds),
                "times plain": statistics.median(each["plain"]["seconds"] / each[way]["seconds"] for each in rounds),
                "peak GB": max(each[way]["gigabytes"] for each in rounds),
            }
            rows.append(row)
            print(
                ", ".join(
                    f"{name} {value:.3g}" if isinstance(value, float) else f"{value}" for name, value in row.items()
                )
            )
    if args.json is not None:
        write(args.json, machine, rows)


if __name__ == "__main__":
    main()
