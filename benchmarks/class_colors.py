"""Choose the default colours of classes: as far apart as can be, for colour-blind eyes too; or measure those we have.

`python benchmarks/class_colors.py` prints the smallest distance between any two of the first colours; with `--search`
it looks for new ones and prints them (a few minutes on one core).
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000, xyz2lab

from unet.labels import default_colors
from unet.report.overlay import OPACITY

# Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency", 2009,
# severity 1: on linear RGB.
VISIONS = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
FIRST, MORE, ALL = 12, 21, 40
TAKEN = [(255, 255, 255), (230, 0, 90)]  # what does not count, and mistakes
NORMAL = 1.6  # times so far apart are they to be for eyes that see all colours
TINTED = 1.1  # times so far apart are they to be laid over a picture, which makes all more alike
DARK, MIDDLE, PALE, GREY = 24, 60, 93, 28  # lightness and least chroma: a tint has to be seen on grey pictures


def seen(colors: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """Return CIE Lab (N, 3) of sRGB colours (N, 3), 0 to 255, as each kind of eyes sees them."""
    share = np.asarray(colors, np.float64) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return {name: np.asarray(xyz2lab(np.clip(linear @ matrix.T, 0, 1) @ TO_XYZ.T)) for name, matrix in VISIONS.items()}


def distances(colors: NDArray[Any], others: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """Return CIEDE2000 (N, M) between two lists of colours for each kind of eyes."""
    one, two = seen(colors), seen(others)
    return {name: np.asarray(deltaE_ciede2000(one[name][:, None], two[name][None])) for name in VISIONS}


def tinted(colors: NDArray[Any], picture: float = 100.0) -> NDArray[np.float64]:
    """Return what colours (N, 3) make of a grey picture that they are laid over."""
    return np.asarray(picture * (1 - OPACITY) + np.asarray(colors, np.float64) * OPACITY)


def smallest(colors: NDArray[Any]) -> dict[str, float]:
    """Return the smallest distance between any two colours for each kind of eyes."""
    upper = np.triu_indices(len(colors), 1)
    return {name: float(between[upper].min()) for name, between in distances(colors, colors).items()}


def search(seed: int = 0) -> list[tuple[int, int, int]]:
    """Return `ALL` colours, black first, each far from the others and from those that are taken."""
    levels = np.linspace(0, 255, 14).round().astype(int)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = seen(grid)["normal"]
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    usable = (lab[:, 0] > DARK) & (lab[:, 0] < PALE) & (chroma > GREY)
    candidates = np.concatenate([[(0, 0, 0)], TAKEN, grid[usable]])
    strength = np.concatenate([np.zeros(1 + len(TAKEN)), (chroma * (np.abs(lab[:, 0] - MIDDLE) < 20))[usable]])
    between = np.empty((len(candidates), len(candidates)), np.float32)
    for start in range(0, len(candidates), 200):
        rows = distances(candidates[start : start + 200], candidates)
        rows["normal"] = rows["normal"] / NORMAL
        rows["tinted"] = distances(tinted(candidates[start : start + 200]), tinted(candidates))["normal"] / TINTED
        between[start : start + 200] = np.min(list(rows.values()), axis=0)
    rng = np.random.default_rng(seed)
    start = list(range(1 + len(TAKEN)))
    chosen = improved(between, start, FIRST - 1, rng, rounds=60)
    vivid = max(chosen[len(start) :], key=lambda place: strength[place])  # for the foreground, where there is no other
    chosen = in_order(between, [*start, vivid], chosen)
    chosen = improved(between, chosen, MORE - FIRST, rng, rounds=30)
    while len(chosen) < ALL + len(TAKEN):
        chosen.append(int(between[:, chosen].min(axis=1).argmax()))
    return [tuple(int(c) for c in candidates[place]) for place in chosen if place not in start[1:]]  # type: ignore[misc]


def improved(
    between: NDArray[np.float32], fixed: list[int], count: int, rng: np.random.Generator, rounds: int
) -> list[int]:
    """Return `fixed` and `count` more places: drawn, then replaced one by one by what lies farthest from the others."""
    best: tuple[float, list[int]] = (-1.0, [])
    for _ in range(rounds):
        more = rng.integers(len(fixed), len(between), count).tolist()
        score = -1.0
        while True:
            for number in range(count):
                others = fixed + more[:number] + more[number + 1 :]
                more[number] = int(between[:, others].min(axis=1).argmax())
            places = np.array(fixed + more)
            part = between[np.ix_(places, places)] + np.diag(np.full(len(places), np.inf))
            if part[len(fixed) :].min() <= score:
                break
            score = float(part[len(fixed) :].min())
        if score > best[0]:
            best = score, fixed + more
    return best[1]


def in_order(between: NDArray[np.float32], first: list[int], places: list[int]) -> list[int]:
    """Return the places, each the one that lies farthest from those before it."""
    ordered = list(first)
    while left := [place for place in places if place not in ordered]:
        ordered.append(max(left, key=lambda place: between[place, ordered].min()))
    return ordered


def main() -> None:
    """Measure, or search."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--search", action="store_true")
    colors = search() if parser.parse_args().search else default_colors(ALL)
    print(colors)
    for count in (8, FIRST, MORE, ALL):
        found = smallest(np.array(colors[:count]))
        found["laid over grey"] = smallest(tinted(colors[:count]))["normal"]
        print(f"{count:3} colours:", ", ".join(f"{name} {distance:.1f}" for name, distance in found.items()))


if __name__ == "__main__":
    main()
