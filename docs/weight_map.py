"""Draw a picture, its numbered objects and the weight map of the U-Net paper side by side, as in its figure 3.

    python docs/weight_map.py docs/images/weight-map.png
    python docs/weight_map.py mine.png --picture t000.tif --mask man_seg000.tif --window 100,80,300,300

Without a picture, cells are made up.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from unet import raster
from unet.demo.noise import clouds
from unet.labels import Labels
from unet.report.overlay import overlay, viewable
from unet.shapes.border_weights import border_weights, part

STOPS = np.array([[0, 0, 110], [20, 80, 240], [30, 200, 200], [240, 220, 40], [200, 30, 20]])
"""Colours from the least weight to the greatest."""


def cells(side: int, count: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Return numbered cells (side, side) that crowd and touch."""
    step = side / count
    grid = (np.mgrid[:count, :count].reshape(2, -1).T + 0.5 + rng.uniform(-0.28, 0.28, (count**2, 2))) * step
    bent = np.mgrid[:side, :side] + [[[0.0]], [[0.0]]] + [3 * clouds((side, side), 18, rng) for _ in range(2)]
    away = np.linalg.norm(bent[None] - grid[:, :, None, None], axis=1)
    radii = rng.uniform(0.5, 0.66, count**2) * step
    nearest = away.argmin(axis=0)
    return np.where(away.min(axis=0) < radii[nearest], nearest + 1, 0).astype(np.int32)


def relief(objects: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a picture (H, W, 1) of the cells, lit from one side as in differential interference contrast."""
    height = np.zeros(objects.shape)
    for number in np.unique(objects[objects > 0]):
        height += 6 * np.sqrt(distance_transform_edt(objects == number))
    height = gaussian_filter(height, 1.5) + (objects > 0) * 2.5 * clouds(objects.shape, 6, rng)
    slope = sum(np.gradient(gaussian_filter(height, 0.8)))
    grey = 128 + 18 * slope + 4 * clouds(objects.shape, 40, rng) + rng.normal(0, 2, objects.shape)
    return np.clip(grey, 0, 255).astype(np.uint8)[..., None]


def heat(values: NDArray[np.floating], low: float, high: float) -> NDArray[np.uint8]:
    """Return colours (H, W, 3) for values (H, W)."""
    place = np.clip((values - low) / (high - low), 0, 1) * (len(STOPS) - 1)
    bands = [np.interp(place, np.arange(len(STOPS)), band) for band in STOPS.T]
    return np.stack(bands, axis=-1).astype(np.uint8)


def sheet(
    picture: NDArray[np.uint8], objects: NDArray[np.int32], weights: NDArray[np.float32], high: float
) -> NDArray[np.uint8]:
    """Return the panels with their captions, uint8 (H, W, 3)."""
    height = objects.shape[0]
    ranks = np.unique(objects, return_inverse=True)[1].reshape(objects.shape) % 255
    table = Labels.numbered(int(ranks.max()) + 1)
    bar = heat(np.repeat(np.linspace(high, 1, height)[:, None], 16, axis=1), 1, high)
    panels = {
        "the picture": picture,
        "its objects, parted where they touch": overlay(picture, ranks.astype(np.uint8), table),
        f"the weights, 1 (blue) to {high:g} (red)": np.hstack([heat(weights, 1, high), bar]),
    }
    gap = np.full((height + 18, 10, 3), 255, np.uint8)
    parts = [gap]
    for words, panel in panels.items():
        parts += [np.concatenate([panel, raster.caption([words], panel.shape[1])]), gap]
    return np.concatenate(parts, axis=1)


def main() -> None:
    """Read what to draw, and draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT.png")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--mask", type=Path, help="numbers of objects, 0 for none")
    parser.add_argument("--window", default="0,0,9999,9999", help="row,column,height,width of what is shown")
    parser.add_argument("--w0", type=float, default=10.0)
    parser.add_argument("--sigma", type=float, default=5.0)
    args = parser.parse_args()
    if args.picture is None:
        rng = np.random.default_rng(5)
        objects = part(cells(236, 4, rng))
        read = relief(objects, rng)
    else:
        read, objects = raster.read(args.picture), part(raster.read_mask(args.mask).astype(np.int32))
    weights = border_weights(objects, w0=args.w0, sigma=args.sigma)
    row, column, height, width = map(int, args.window.split(","))
    shown = np.s_[row : row + height, column : column + width]
    picture = viewable(read, float(read.max()))
    raster.write_picture(args.out, sheet(picture[shown], objects[shown], weights[shown], 1 + args.w0))


if __name__ == "__main__":
    main()
