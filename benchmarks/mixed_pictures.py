"""The default command on pictures of several kinds, some dark and some bright, beside the batches of two that it had.

Draws nuclei as microscopes show them: 70 % faint on black, 20 % stained and bright, 10 % grey on bright; 125 pictures
to train on, 25 to validate on, 40 to test. Each row is one training; its scores are those of the kept weights on the
test pictures, which neither trained nor chose them.

    python benchmarks/mixed_pictures.py [--time 5m] [--seeds 0 1 2] [--variants default two] [--threads 1]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from unet import raster
from unet.commands.evaluate import evaluate
from unet.commands.train import train
from unet.labels import Labels

PARTS = {"train": 125, "val": 25, "test": 40}
KINDS, SHARES = ("dark", "stained", "grey"), (0.7, 0.2, 0.1)
SIZES = ((256, 256), (256, 320), (360, 360), (520, 696))

VARIANTS = {
    "default": {},
    "two": {"batch_size": "2"},
    "instance": {"batch_size": "2", "norm": "instance"},
}

Floats = NDArray[np.float64]


def draw_nuclei(rng: np.random.Generator, height: int, width: int) -> tuple[NDArray[np.uint8], Floats]:
    """Return the mask (H, W) of some nuclei, and how bright each pixel of them is, 0..1."""
    mask, brightness = np.zeros((height, width), np.uint8), np.zeros((height, width))
    scale = rng.uniform(0.7, 1.8)
    for _ in range(int(rng.integers(12, 60) * height * width / 65536)):
        row, column = rng.uniform(0, height), rng.uniform(0, width)
        long = rng.uniform(5, 11) * scale
        short, turn = long * rng.uniform(0.6, 1), rng.uniform(0, np.pi)
        box = tuple(slice(max(0, int(at - 2 * long)), int(at + 2 * long)) for at in (row, column))
        y, x = np.ogrid[: mask[box].shape[0], : mask[box].shape[1]]
        y, x = y + box[0].start - row, x + box[1].start - column
        u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        wobble = 1 + 0.08 * np.sin(3 * np.arctan2(v, u) + rng.uniform(0, 6))
        inside = (u / long) ** 2 + (v / short) ** 2 < wobble
        mask[box][inside], brightness[box][inside] = 1, rng.uniform(0.35, 1)
    return mask, gaussian_filter(brightness, 1)


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], sigma: float | tuple[float, float]) -> Floats:
    """Return noise of deviation 1 whose spots are so large."""
    noise: Floats = gaussian_filter(rng.normal(size=shape), sigma)
    return noise / noise.std()


def draw_picture(rng: np.random.Generator, kind: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a picture (H, W, 3) of a kind, and its mask (H, W)."""
    height, width = shape = SIZES[rng.integers(len(SIZES))]
    mask, cells = draw_nuclei(rng, height, width)
    grain, light = smooth_noise(rng, shape, 2), smooth_noise(rng, shape, 25)
    if kind == "stained":
        paper = np.array([rng.uniform(190, 240), rng.uniform(150, 200), rng.uniform(200, 235)])
        ink = np.array([rng.uniform(70, 120), rng.uniform(40, 90), rng.uniform(110, 160)])
        cover = np.clip(cells * (0.8 + 0.15 * grain), 0, 1)[..., None]
        fibres = np.clip(smooth_noise(rng, shape, (1.2, 9)) - 1, 0, 3)[..., None] * 14 * np.array([0.4, 1, 0.5])
        noise = rng.normal(0, 4, (*shape, 3))
        picture = paper * (1 - cover) + ink * cover + (8 * light + 9 * grain)[..., None] - fibres + noise
    else:
        if kind == "dark":
            level = rng.uniform(3, 18) + 1.5 * light + cells * rng.uniform(15, 110) * (1 + 0.15 * grain)
        else:
            level = rng.uniform(180, 230) + 6 * light - cells * rng.uniform(40, 90) * (1 + 0.2 * grain)
        picture = np.repeat((level + rng.normal(0, 2, shape))[..., None], 3, axis=2)
    return np.clip(picture, 0, 255).astype(np.uint8), mask


def draw_set(folder: Path) -> None:
    """Draw all parts into a folder."""
    rng = np.random.default_rng(7)
    palette = Labels.numbered(2).palette()
    for part, count in PARTS.items():
        for number in range(count):
            picture, mask = draw_picture(rng, str(rng.choice(KINDS, p=SHARES)))
            raster.write_picture(folder / part / "imgs" / f"{number:03}.png", picture)
            raster.write_mask(folder / part / "masks" / f"{number:03}.png", mask, palette)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--time", default="5m")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=["default", "two"])
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        data = Path(name) / "nuclei"
        draw_set(data)
        for seed in args.seeds:
            for variant in args.variants:
                settings = {**VARIANTS[variant], "seed": str(seed)}
                run = train(data, out=Path(name) / f"{variant}-{seed}", time=args.time, settings=settings)
                scores = evaluate(run.model, data, split="test")
                objects = scores["classes"][1]
                rows.append((variant, seed, run.scores["mean_iou"], scores["mean_iou"], objects["dice"]))
                print(*rows[-1], flush=True)
    print("variant    seed  mean IoU on val  on test  Dice of nuclei on test")
    for variant, seed, chosen, tested, dice in rows:
        print(f"{variant:9} {seed:5}  {chosen:15.3f}  {tested:7.3f}  {dice:.3f}")


if __name__ == "__main__":
    main()
