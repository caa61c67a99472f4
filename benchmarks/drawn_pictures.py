"""The default command on drawn pictures of several fields, beside a plain recipe and other settings, in the same time.

Draws nuclei of which some are dark and some bright, cracks in concrete, and the vessels of an eye (drawing.py). Each
row is one training, scored by its kept weights on the test pictures, which neither trained nor chose them.

    python benchmarks/drawn_pictures.py [--sets nuclei cracks vessels] [--variants default plain] [--time 5m]
                                        [--seeds 0 1 2] [--threads 1]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from drawing import SETS, DrawnSet

import unet
from unet import raster
from unet.labels import Labels

VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "plain": {
        "width": 32, "depth": 4, "scale": 1.0, "crop": 256, "batch_size": 4, "augment": "light", "loss": "ce + dice",
        "learning_rate": 0.001, "deep_supervision": False, "class_weights": False, "balance": 0,
    },
    "two": {"batch_size": 2},
    "instance": {"batch_size": 2, "norm": "instance"},
}  # fmt: skip


def draw_set(kind: DrawnSet, folder: Path) -> None:
    """Draw all parts into a folder."""
    rng = np.random.default_rng(kind.seed)
    palette = Labels.numbered(2).palette()
    for part, count in kind.parts.items():
        for number in range(count):
            picture, mask = kind.draw(rng)
            raster.write_picture(folder / part / "imgs" / f"{number:03}.png", picture)
            raster.write_mask(folder / part / "masks" / f"{number:03}.png", mask, palette)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=["default", "plain"])
    parser.add_argument("--time", default="5m")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    rows = []
    with tempfile.TemporaryDirectory() as place:
        for name in args.sets:
            data = Path(place) / name
            draw_set(SETS[name], data)
            for seed in args.seeds:
                for variant in args.variants:
                    out = Path(place) / f"{name}-{variant}-{seed}"
                    run = unet.train(data, out=out, time=args.time, seed=seed, **VARIANTS[variant])
                    scores = unet.evaluate(run.model_path, data, split="test")
                    objects = scores.classes[1]
                    rows.append((name, variant, seed, run.scores.mean_iou, scores.mean_iou, objects.dice))
                    print(*rows[-1], flush=True)
    print("set      variant    seed  mean IoU on val  on test  Dice of what is drawn on test")
    for name, variant, seed, chosen, tested, dice in rows:
        print(f"{name:8} {variant:9} {seed:5}  {chosen:15.3f}  {tested:7.3f}  {dice:.3f}")


if __name__ == "__main__":
    main()
