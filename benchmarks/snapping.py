"""How many pixels of bent masks are wrong after each takes its nearest true value, and after `snap`.

    python benchmarks/snapping.py [FOLDER ...]

Made-up masks of grey classes, and the exact masks (colours, or class numbers, which get colours) in each FOLDER, are
saved as JPEG of quality 75 and 90 with Pillow's defaults, and reduced to 0.7 of their size with blending.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from unet import raster
from unet.data.folders import pictures_in
from unet.data.repairing.snapping import nearest, snap
from unet.labels import default_colors

MOST = 40
"""Masks of a folder that are looked at, evenly spaced."""

Mask = np.ndarray


def patches(count: int, seed: int, size: int = 400) -> Mask:
    """Discs, ellipses and lines of 1 to 3 pixels in `count` greys from 0 to 255."""
    rng = np.random.default_rng(seed)
    greys = np.linspace(0, 255, count).round().astype(np.uint8)
    mask = np.zeros((size, size), np.uint8)
    rows, columns = np.mgrid[:size, :size]
    for _ in range(60):
        row, column, radius = *rng.integers(0, size, 2), rng.integers(6, 50)
        inside = (rows - row) ** 2 + (columns - column) ** 2 * rng.uniform(0.3, 2) < radius**2
        mask[inside] = rng.choice(greys)
    for _ in range(6):
        angle, shift = rng.uniform(0, np.pi), rng.integers(-size // 2, size // 2)
        away = (rows - size / 2) * np.cos(angle) + (columns - size / 2) * np.sin(angle) + shift
        mask[abs(away) < rng.integers(1, 4) / 2] = rng.choice(greys)
    return mask


def from_folder(folder: Path) -> list[Mask]:
    files = pictures_in(folder, deep=True)
    masks = [raster.read_mask(path) for path in files[:: max(1, len(files) // MOST)]]
    colors = np.array(default_colors(256), np.uint8)
    return [mask if mask.ndim == 3 else colors[mask] for mask in masks]


def as_jpeg(mask: Mask, quality: int) -> Mask:
    file = BytesIO()
    Image.fromarray(mask).save(file, format="JPEG", quality=quality)
    return np.asarray(Image.open(file))


def reduced(mask: Mask, how: Image.Resampling) -> Mask:
    size = round(0.7 * mask.shape[1]), round(0.7 * mask.shape[0])
    return np.asarray(Image.fromarray(mask).resize(size, how))


WAYS: dict[str, tuple[Callable[[Mask], Mask], Callable[[Mask], Mask]]] = {
    "JPEG 75": (lambda mask: as_jpeg(mask, 75), lambda mask: mask),
    "JPEG 90": (lambda mask: as_jpeg(mask, 90), lambda mask: mask),
    "blended": (
        lambda mask: reduced(mask, Image.Resampling.BILINEAR),
        lambda mask: reduced(mask, Image.Resampling.NEAREST),
    ),
}
"""How a mask is bent, and the truth that belongs to it."""


def sets(folders: list[Path]) -> Iterator[tuple[str, list[Mask]]]:
    for count in (2, 3, 5, 11):
        yield f"{count} greys", [patches(count, seed) for seed in range(6)]
    for folder in folders:
        yield str(folder), from_folder(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    print("| masks | bent by | nearest value | snap |\n|---|---|---|---|")
    for name, masks in sets(parser.parse_args().folders):
        bands = masks[0].ndim
        values = np.unique(
            np.concatenate([mask.reshape(-1, 3) if bands == 3 else mask.ravel() for mask in masks]), axis=0
        )
        true = [tuple(value) for value in values.tolist()] if bands == 3 else values.tolist()
        for way, (bend, truth) in WAYS.items():
            errors = []
            for mask in masks:
                bent, exact = bend(mask), np.atleast_3d(truth(mask))
                errors.append([(np.atleast_3d(how(bent, true)) != exact).any(axis=2).mean() for how in (nearest, snap)])
            by_value, snapped = np.mean(errors, axis=0)
            print(f"| {name} | {way} | {by_value:.3%} | {snapped:.3%} |", flush=True)


if __name__ == "__main__":
    main()
