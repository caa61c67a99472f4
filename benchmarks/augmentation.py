"""What a sample costs, by preset and by kind of change, beside a training step of the networks that a plan chooses.

    python benchmarks/augmentation.py [--side 256] [--rounds 60] [--threads 1]

Samples are cut from one RGB picture of 480 x 360 in memory, as training does it. A step is forward, ce + dice,
backward and AdamW on a batch of 2 in float32; its time is divided by 2. Means (a preset spoils some samples only), of
steps medians; the kinds take turns. Processor time, so that other work on the machine disturbs little; with one thread
it is what a free machine takes.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from statistics import fmean, median
from time import process_time

import numpy as np
import torch

from unet import losses, models, raster
from unet.data import greys
from unet.data.augment import PRESETS, Augmentation
from unet.data.dataset import Borders, SegmentationDataset
from unet.data.pairs import Pair
from unet.data.sample_store import SampleStore
from unet.demo.noise import clouds
from unet.labels import Labels
from unet.models import ModelSpec
from unet.preprocessing import Preprocessing

STRONG = PRESETS["strong"]
KINDS = {
    "crop alone": Augmentation(),
    "flip, zoom, rotate, shear": Augmentation(flip=True, zoom=1.7, rotate=30, shear=6),
    "elastic, 3 x 3": Augmentation(elastic=10),
    "elastic, 9 x 9": Augmentation(elastic=5, elastic_grid=9),
    "brightness, contrast, color": Augmentation(brightness=0.6, contrast=0.5, color=0.2),
    "gamma": Augmentation(gamma=1.25),
    "blur, each sample": Augmentation(blur=1.0),
    "noise, each sample": Augmentation(noise=0.1),
    "jpeg, each sample": Augmentation(jpeg=40),
    "constant outside": Augmentation(outside="constant"),
}
WIDTHS = (16, 24, 32)


def samples(folder: Path, side: int, borders: Borders | None = None) -> SegmentationDataset:
    """Return samples of one made-up picture."""
    rng = np.random.default_rng(0)
    picture = np.stack([128 + 40 * clouds((360, 480), 25, rng) + rng.normal(0, 6, (360, 480)) for _ in range(3)], 2)
    raster.write_picture(folder / "a.png", picture.clip(0, 255).astype(np.uint8))
    raster.write_grey(folder / "m.png", (clouds((360, 480), 40, rng) > 0.5).astype(np.uint8))
    return SegmentationDataset(
        [Pair("a", folder / "a.png", folder / "m.png")],
        Labels.numbered(2),
        Preprocessing(mean=(0.5,) * 3, std=(0.2,) * 3),
        crop=(side, side),
        augmentation=Augmentation(),
        borders=borders,
        store=SampleStore(folder / ("weighted" if borders else "plain"), 1 << 30),
    )


def drawing(data: SegmentationDataset, augmentation: Augmentation, spoiled: float) -> Callable[[], object]:
    numbers = count()

    def run() -> None:
        data.augmentation, greys.DEGRADED_SHARE = augmentation, spoiled
        data[next(numbers)]

    return run


def step(width: int, side: int) -> Callable[[], object]:
    network = models.build(ModelSpec(width=width)).train()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    loss_of = losses.parse(losses.DEFAULT_LOSS)
    images, targets = torch.randn(2, 3, side, side), torch.randint(0, 2, (2, side, side))

    def run() -> None:
        optimizer.zero_grad()
        loss_of(network(images), targets).backward()
        optimizer.step()

    return run


def milliseconds(
    todo: dict[str, Callable[[], object]], rounds: int, typical: Callable[[Sequence[float]], float]
) -> dict[str, float]:
    """Return how long each takes, taken in turns after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in todo}
    for number in range(rounds + 1):
        for name, run in todo.items():
            begin = process_time()
            run()
            if number:
                seconds[name].append(process_time() - begin)
    return {name: 1000 * typical(each) for name, each in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    usual = greys.DEGRADED_SHARE
    with tempfile.TemporaryDirectory() as folder:
        data = samples(Path(folder), args.side)
        weighted = samples(Path(folder), args.side, Borders(10, 5))
        todo = {name: drawing(data, kind, 1.0) for name, kind in KINDS.items()}
        todo |= {f"preset {name}": drawing(data, kind, usual) for name, kind in PRESETS.items()}
        todo["strong, all in one sample"] = drawing(data, replace(STRONG, elastic=10), 1.0)
        todo["strong, with pixel weights"] = drawing(weighted, STRONG, usual)
        figures = milliseconds(todo, args.rounds, fmean)
    stepping = {f"width {width}": step(width, args.side) for width in WIDTHS}
    steps = milliseconds(stepping, max(5, args.rounds // 8), lambda each: median(each) / 2)
    print(f"{args.side} x {args.side}, {torch.get_num_threads()} threads, torch {torch.__version__}\n")
    print(f"| | ms per sample | {' | '.join(f'of a step at {name}' for name in steps)} |")
    print("|---|---|" + "---|" * len(steps))
    for name, value in figures.items():
        print(f"| {name} | {value:.2f} | {' | '.join(f'{value / each:.1%}' for each in steps.values())} |")
    print("\nstep per sample: " + ", ".join(f"{name} {value:.1f} ms" for name, value in steps.items()))


if __name__ == "__main__":
    main()
