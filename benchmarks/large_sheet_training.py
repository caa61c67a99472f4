"""A sheet that is trained uncut: processor time and peak memory of `unet inspect` and `unet train`.

    python benchmarks/large_sheet_training.py [--side 60000] [--steps 4] [--folder DIR]

A tiled, compressed RGB GeoTIFF and its mask are drawn, of which a grid of 7 x 7 tiles is written and the rest is
ground; all of it is read. Each command runs in a process of its own; the peak is what the operating system says.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.windows import Window

TILE = 512


def draw(folder: Path, side: int) -> None:
    rng = np.random.default_rng(0)
    kind: dict[str, Any] = {
        **{"driver": "GTiff", "width": side, "height": side, "dtype": "uint8", "BIGTIFF": "IF_SAFER"},
        **{"tiled": True, "blockxsize": TILE, "blockysize": TILE, "compress": "deflate", "sparse_ok": True},
        **{"crs": "EPSG:2154", "transform": rasterio.Affine(0.5, 0, 650_000, 0, -0.5, 6_860_000)},
    }
    step = max(1, side // TILE // 6) * TILE
    with (
        rasterio.open(folder / "sheet.tif", "w", count=3, **kind) as sheet,
        rasterio.open(folder / "truth.tif", "w", count=1, **kind) as truth,
    ):
        for row in range(0, side - TILE + 1, step):
            for column in range(0, side - TILE + 1, step):
                mask = (rng.random((8, 8)) < 0.3).astype(np.uint8).repeat(64, axis=0).repeat(64, axis=1)
                place = Window(column, row, TILE, TILE)
                sheet.write(rng.integers(1, 60, (3, TILE, TILE), dtype=np.uint8) + 150 * mask, window=place)
                truth.write(mask, 1, window=place)


def measure(line: list[str], folder: Path) -> str:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "unet", *line],
        cwd=folder,
        env={**os.environ, "UNET_CACHE": str(folder / "cache")},
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # The peak is that of the largest process so far: inspection comes first and is smaller.
    return f"{cpu:.0f} s of CPU, {time.perf_counter() - start:.0f} s, {after.ru_maxrss / 1024:,.0f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=60_000)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as own:
        folder = args.folder or Path(own)
        draw(folder, args.side)
        data = ["--images", "sheet.tif", "--masks", "truth.tif"]
        print(f"inspect: {measure(['inspect', *data, '--overwrite'], folder)}", flush=True)
        small = ["--set", "width=8", "--set", "batch_size=2", "--set", "crop=[256,256]", "--set", "validations=1"]
        print(f"train:   {measure(['train', *data, '--steps', str(args.steps), *small], folder)}")


if __name__ == "__main__":
    main()
