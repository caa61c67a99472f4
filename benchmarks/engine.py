"""The engine and its loop against a bare PyTorch loop of the same step, whole trainings in turn, files decoded by both.

The bare loop is what a person would write: DataLoader, network, loss, backward, clipping, optimiser. Both read the same
samples of the same files with the same code, on the same device, in the same precision, and end with the same weights
within rounding. Ours is the whole training loop without validations: guards against bad batches, states, clock. Both
save what they have at the end, ours so that a power cut does no harm.

    python benchmarks/engine.py PICTURES [--width 32] [--side 256] [--batch 2] [--steps 20] [--repeats 5]

PICTURES is a folder of pictures and masks, as `unet train` takes it. The 31 M network is that of width 64.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from unet import devices, losses, models
from unet.config import DataConfig, TrainingConfig
from unet.data.augment import PRESETS
from unet.data.dataset import SegmentationDataset, collate
from unet.devices import Compute
from unet.models import ModelSpec
from unet.plan.timing import TimeBudget
from unet.preprocessing import Preprocessing
from unet.runs.source import read_source
from unet.terminal.display import open_display
from unet.training.diagnosis import TrainingContext
from unet.training.engine import Engine
from unet.training.job import Tick, TrainingJob, Validation
from unet.training.loop import train_loop
from unet.training.optim import build_optimizer
from unet.training.schedule import rate_factor
from unet.training.state import LoopState


class Quiet:
    """Shows nothing."""

    def tick(self, tick: Tick) -> None:
        """Take a step."""

    def notify(self, text: str) -> None:
        """Take a line."""


class NoScores:
    """Costs no time, so that steps are compared with steps."""

    def validate(self, network: nn.Module) -> Validation:
        """Return a score."""
        return Validation(0.0, {})

    def keep(self, network: nn.Module, state: LoopState) -> None:
        """Keep nothing."""

    def score_trained(self, network: nn.Module) -> Sequence[float]:
        """Return no scores."""
        return ()


def now() -> NDArray[np.float64]:
    """Return the time and the processor time; the second does not count what else the machine does."""
    return np.array([time.perf_counter(), time.process_time()])


def fresh(spec: ModelSpec) -> nn.Module:
    """Return the network that both begin with."""
    torch.manual_seed(0)
    return models.build(spec)


def train_bare(
    spec: ModelSpec, samples: SegmentationDataset, settings: TrainingConfig, compute: Compute, folder: Path
) -> nn.Module:
    """Train as a person would write it."""
    network = fresh(spec).to(compute.device).to(memory_format=compute.memory_format).train()  # type: ignore[call-overload]
    optimizer = build_optimizer(network.parameters(), settings)
    loss_of = losses.parse(settings.loss or losses.DEFAULT_LOSS)
    steps, batch = settings.steps or 1, settings.batch_size or 1
    loader = DataLoader(samples, batch_size=batch, sampler=range(steps * batch), collate_fn=collate)
    for step, given in enumerate(loader):
        for group in optimizer.param_groups:
            group["lr"] = (settings.learning_rate or 1e-3) * rate_factor(settings, step / steps, 0.0)
        optimizer.zero_grad(set_to_none=True)
        images = given.images.to(compute.device, memory_format=compute.memory_format)
        with compute.autocast():
            logits: Tensor = network(images)
        loss = loss_of(logits, given.targets.to(compute.device), None)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), settings.clip or 1.0)
        optimizer.step()
        loss.item()
    torch.save({"network": network.state_dict(), "optimizer": optimizer.state_dict()}, folder / "bare.pt")
    return network


def train_ours(
    spec: ModelSpec, samples: SegmentationDataset, settings: TrainingConfig, compute: Compute, folder: Path
) -> nn.Module:
    """Train by the engine and its loop."""
    folder.mkdir()
    engine = Engine(fresh(spec), settings, compute)
    job = TrainingJob(
        engine=engine,
        dataset=samples,
        scorer=NoScores(),
        trackers=(),
        display=Quiet(),
        checkpoints=folder,
        remarks=folder / "health.json",
        restart=lambda: None,
        budget=TimeBudget(),
        context=TrainingContext(names=("background", "object"), pictures=len(samples), device=compute.device.type),
    )
    train_loop(job)
    return engine.network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures")
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    source = read_source(DataConfig(root=args.pictures), None, 0, open_display(), Path("unused"))
    settings = TrainingConfig(steps=args.steps, batch_size=args.batch, learning_rate=1e-3, validations=1)
    samples = SegmentationDataset(
        source.train, source.labels, Preprocessing(), crop=(args.side, args.side), augmentation=PRESETS["light"]
    )
    spec = ModelSpec(bands=3, classes=len(source.labels.names), width=args.width)
    compute = devices.choose(devices.pick("auto"))
    pairs = []
    with tempfile.TemporaryDirectory() as name:
        for number in range(args.repeats):
            begin = now()
            bare = train_bare(spec, samples, settings, compute, Path(name))
            middle = now()
            ours = train_ours(spec, samples, settings, compute, Path(name) / str(number))
            pairs.append((middle - begin, now() - middle))
            (wall, processors), (our_wall, our_processors) = pairs[-1]
            print(f"bare {wall:.2f} s ({processors:.2f} of processors), ours {our_wall:.2f} s ({our_processors:.2f})")
            differences = [
                (a - b).abs().max().item() for a, b in zip(bare.parameters(), ours.parameters(), strict=True)
            ]
            print(f"largest difference of a weight {max(differences):.2e}", flush=True)
    wall, processors = np.median([ours / bare for bare, ours in pairs], axis=0)
    size = sum(parameter.numel() for parameter in fresh(spec).parameters()) / 1e6
    print(
        f"{size:.0f} M parameters, {devices.describe(compute)}: ours takes {wall:.3f} of the bare loop's time, "
        f"{processors:.3f} of its processor time"
    )


if __name__ == "__main__":
    main()
