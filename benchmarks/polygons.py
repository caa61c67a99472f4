"""How near two ways to fill polygons come to the true areas, and to each other: `python benchmarks/polygons.py`.

The truth is what covers at least half of a pixel, found on a grid sixteen times as fine.
"""

from __future__ import annotations

import numpy as np
import pycocotools.mask as coco_mask

from unet.raster import fill_polygons

FINE = 16


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))


def main() -> None:
    rng = np.random.default_rng(0)
    print("| size, px | ours to truth | pycocotools to truth | ours to pycocotools |\n|---|---|---|---|")
    for size in (6, 20, 80, 300):
        side, scores = size + 20, []
        for _ in range(60):
            angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 12)))
            radius = rng.uniform(0.3, 1, angles.size) * size / 2
            middle = size / 2 + 8 + rng.uniform()
            ring = np.stack([middle + radius * np.cos(angles), middle + radius * np.sin(angles)], axis=1)
            fine = fill_polygons([ring * FINE], side * FINE, side * FINE)
            true = fine.reshape(side, FINE, side, FINE).mean(axis=(1, 3)) >= 0.5
            ours = fill_polygons([ring], side, side)
            theirs = coco_mask.decode(coco_mask.frPyObjects([ring.ravel().tolist()], side, side)[0]) == 1
            scores.append((iou(ours, true), iou(theirs, true), iou(ours, theirs)))
        print(f"| {size} | " + " | ".join(f"{score:.3f}" for score in np.mean(scores, axis=0)) + " |")


if __name__ == "__main__":
    main()
