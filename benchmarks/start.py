"""From the command to the first sample of a training on very many files: the first time, and when they are known.

What is timed: finding, pairing and reading the files, deciding the run, writing its record, and one sample. Imports and
the measurement of speed are left out (with --steps nothing is measured).

    python benchmarks/start.py [--pictures 5000] [--side 64]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from unet import raster
from unet.config import Config, DataConfig, ModelConfig, TrainingConfig
from unet.labels import Labels
from unet.runs.opening import begin_run
from unet.runs.training_set import training_set
from unet.terminal.display import open_display


def draw_pairs(folder: Path, count: int, side: int) -> None:
    """Write pictures (side, side, 3) of noise, each with a square."""
    rng, palette = np.random.default_rng(0), Labels.numbered(2).palette()
    for number in range(count):
        mask = np.zeros((side, side), np.uint8)
        row, column = rng.integers(0, side // 2, 2)
        mask[row : row + side // 3, column : column + side // 3] = 1
        picture = rng.integers(0, 60, (side, side, 3), dtype=np.uint8) + 150 * mask[..., None]
        raster.write_picture(folder / "imgs" / f"{number:06}.png", picture)
        raster.write_mask(folder / "masks" / f"{number:06}.png", mask, palette)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=5000, help="and as many masks")
    parser.add_argument("--side", type=int, default=64)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        data = Path(name) / "data"
        draw_pairs(data, args.pictures, args.side)
        wanted = Config(data=DataConfig(root=str(data)), model=ModelConfig(), training=TrainingConfig(steps=10))
        for number in range(3):
            folder = Path(name) / f"run{number}"
            folder.mkdir()
            begin = time.perf_counter()
            run = begin_run(wanted, folder, open_display())
            training_set(run.record, run.parts["train"])[0]
            print(f"start {number + 1}: {time.perf_counter() - begin:.2f} s", flush=True)


if __name__ == "__main__":
    main()
