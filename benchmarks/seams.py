"""Tiled prediction against the whole picture: how much differs, and where.

    python benchmarks/seams.py MODEL PICTURE [PICTURE ...] [--tile 256]

For each way of joining tiles: the largest difference of a class's probability, the share of pixels that get another
class than from the whole picture, the same within 8 px of a seam, and the time as a multiple of the whole picture's.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import perf_counter

import numpy as np

from unet import bundle, raster
from unet.errors import InputError
from unet.inference.layouts import JOINS, lay_out
from unet.inference.predictor import Predictor
from unet.models import geometry_of

NEAR = 8


def near_seams(height: int, width: int, seams: tuple[set[int], set[int]]) -> np.ndarray:
    """Return where a seam is at most so many pixels away, bool (H, W)."""
    lines = []
    for length, places in zip((height, width), seams, strict=True):
        distance = np.full(length, length)
        for place in places:
            distance = np.minimum(distance, np.abs(np.arange(length) + 0.5 - place))
        lines.append(distance <= NEAR)
    return lines[0][:, None] | lines[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--tile", type=int, default=256)
    args = parser.parse_args()
    model = bundle.load(args.model)
    pictures = [raster.read(path) for path in args.pictures]
    whole = Predictor(model, exact=True, tile=1 << 16)
    whole.predict(pictures[0])  # what the first call alone has to do is not of interest
    start = perf_counter()
    expected = [whole.predict(picture, probabilities=True) for picture in pictures]
    usual = perf_counter() - start
    print("| join | tiles | largest difference | pixels that differ | of those near a seam | time |")
    print("|---|---|---|---|---|---|")
    for join in JOINS:
        geometry, scale = geometry_of(model.spec), model.preprocessing.scale
        try:
            predictor = Predictor(model, exact=True, tile=args.tile, join=join)
            start = perf_counter()
            found = [predictor.predict(picture, probabilities=True) for picture in pictures]
            seconds = perf_counter() - start
            most, other, close, count = 0.0, [], [], 0
            for picture, one, two in zip(pictures, expected, found, strict=True):
                height, width = picture.shape[:2]
                tiles = lay_out(int(height * scale), int(width * scale), geometry, args.tile, join)
                count += len(tiles)
                seams = {tile.rows.first / scale for tile in tiles}, {tile.cols.first / scale for tile in tiles}
                near = near_seams(height, width, (seams[0] - {0}, seams[1] - {0}))
                differs = one.indices != two.indices
                most = max(most, float(np.abs(one.probabilities - two.probabilities).max()))
                other.append(differs.mean())
                close.append(differs[near].mean() if near.any() else 0.0)
        except InputError as error:
            print(f"| {join} | {error} | | | | |")
            continue
        print(
            f"| {join} | {count} of {args.tile} px | {most:.2g} | {np.mean(other):.4%} | {np.mean(close):.4%} | "
            f"{seconds / usual:.2f} |"
        )


if __name__ == "__main__":
    main()
