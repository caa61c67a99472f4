"""Drawn pictures with true masks, of kinds whose real data sets cannot be had everywhere: nuclei, cracks, vessels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import distance_transform_edt, gaussian_filter

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]

KINDS, SHARES = ("dark", "stained", "grey"), (0.7, 0.2, 0.1)
SIZES = ((256, 256), (256, 320), (360, 360), (520, 696))

FINE = 4
"""Lines are drawn so many times as large and averaged."""

STEP = 6
"""Length of the straight pieces of a line, in pixels."""


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], sigma: float | tuple[float, float]) -> Floats:
    """Return noise of deviation 1 whose spots are so large."""
    noise: Floats = gaussian_filter(rng.normal(size=shape), sigma)
    noise /= noise.std()
    return noise


def draw_cells(rng: np.random.Generator, height: int, width: int) -> tuple[Bytes, Floats]:
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


def draw_nuclei(rng: np.random.Generator) -> tuple[Bytes, Bytes]:
    """Return nuclei (H, W, 3), faint on black, stained and bright, or grey on bright, and their mask (H, W)."""
    kind = str(rng.choice(KINDS, p=SHARES))
    height, width = shape = SIZES[rng.integers(len(SIZES))]
    mask, cells = draw_cells(rng, height, width)
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


@dataclass(frozen=True)
class Line:
    """At each step of a line: how likely it forks, how much it turns (radians), which share of its width stays."""

    forks: float
    turns: float
    keeps: float


def draw_line(
    rng: np.random.Generator, paper: Image.Image, kind: Line, start: tuple[float, float], angle: float, length: float,
    width: float, forked: int = 0,
) -> None:  # fmt: skip
    """Draw a line that wanders and forks into a picture that is `FINE` times as large."""
    draw = ImageDraw.Draw(paper)
    x, y = start
    while length > 0 and width > 0.6:
        angle += rng.normal(0, kind.turns)
        end_x, end_y = x + STEP * np.cos(angle), y + STEP * np.sin(angle)
        wide = max(1, width * rng.uniform(0.85, 1.15)) * FINE
        draw.line([(x * FINE, y * FINE), (end_x * FINE, end_y * FINE)], fill=255, width=round(wide))
        tip = np.array([end_x, end_y]) * FINE
        draw.ellipse([*(tip - wide / 2), *(tip + wide / 2)], fill=255)
        if rng.random() < kind.forks and forked < 5:
            side = rng.choice([-1, 1])
            turn, long, narrow = rng.uniform(0.4, 0.9), rng.uniform(0.4, 0.8), rng.uniform(0.55, 0.8)
            draw_line(rng, paper, kind, (end_x, end_y), angle + side * turn, length * long, width * narrow, forked + 1)
            angle -= side * rng.uniform(0, 0.3)
            width *= 0.88
        x, y, length, width = end_x, end_y, length - STEP, width * kind.keeps


def blank(shape: tuple[int, int]) -> Image.Image:
    return Image.new("L", (FINE * shape[1], FINE * shape[0]))


def averaged(paper: Image.Image) -> Floats:
    """Return how much of each pixel is drawn, 0..1."""
    small = paper.resize((paper.width // FINE, paper.height // FINE), Image.Resampling.BOX)
    return np.asarray(small, np.float64) / 255


def draw_cracks(rng: np.random.Generator) -> tuple[Bytes, Bytes]:
    """Return cracks in concrete (H, W, 3), with stains, a joint and bright scratches, and their mask (H, W)."""
    height, width = shape = (384, 544) if rng.random() < 0.5 else (544, 384)
    paper = blank(shape)
    for _ in range(rng.integers(1, 4)):
        start, angle = (rng.uniform(0, width), rng.uniform(0, height)), rng.uniform(0, 6.3)
        draw_line(rng, paper, Line(0.02, 0.35, 0.997), start, angle, rng.uniform(150, 600), rng.uniform(1.2, 6))
    cracks = averaged(paper)
    level = rng.uniform(90, 190) + smooth_noise(rng, shape, 60) * 15
    level += smooth_noise(rng, shape, 6) * rng.uniform(2, 8) + smooth_noise(rng, shape, 1) * rng.uniform(3, 12)
    stains = smooth_noise(rng, shape, rng.uniform(3, 12))
    level -= rng.uniform(10, 50) * np.clip(stains - 2.2, 0, 1)
    if rng.random() < 0.4:
        joint = int(rng.integers(10, width - 10))
        level[:, joint : joint + int(rng.integers(2, 6))] -= rng.uniform(10, 40)
    paper = blank(shape)
    for _ in range(rng.integers(0, 4)):
        start, angle = (rng.uniform(0, width), rng.uniform(0, height)), rng.uniform(0, 6.3)
        draw_line(rng, paper, Line(0, 0.03, 0.999), start, angle, rng.uniform(50, 300), rng.uniform(1, 3))
    level += rng.uniform(10, 30) * averaged(paper)
    depth = np.clip(0.75 + 0.35 * smooth_noise(rng, shape, 25), 0.15, 1)
    level -= cracks * depth * rng.uniform(25, 70)
    picture = np.clip(level[..., None] * (1 + rng.normal(0, 0.04, 3)), 0, 255)
    return picture.astype(np.uint8), (cracks > 0.4).astype(np.uint8)


def draw_vessels(rng: np.random.Generator) -> tuple[Bytes, Bytes]:
    """Return the back of an eye (H, W, 3) as a fundus camera shows it, and the mask (H, W) of its vessels."""
    height, width = shape = (584, 565)
    y, x = np.mgrid[:height, :width]
    radius = np.hypot(y - height / 2, x - width / 2) / 270
    paper = blank(shape)
    nerve = (width / 2 + rng.choice([-1, 1]) * rng.uniform(130, 170), height / 2 + rng.normal(0, 15))
    towards = 0 if nerve[0] < width / 2 else np.pi
    for angle in (-1.2, 1.2, -0.7, 0.7, 2.3, -2.3, 0.2):
        turned = towards + angle + rng.normal(0, 0.2)
        draw_line(rng, paper, Line(0.07, 0.12, 0.988), nerve, turned, rng.uniform(250, 480), rng.uniform(4, 8))
    vessels = averaged(paper)
    disc = np.exp(-((x - nerve[0]) ** 2 + (y - nerve[1]) ** 2) / 2 / 30**2)
    level = 130 - 50 * radius**2 + 80 * disc
    for sigma, strength in ((40, 15), (5, 5), (1.2, 4)):
        level += strength * smooth_noise(rng, shape, sigma)
    wide = np.clip(distance_transform_edt(vessels > 0.4) / 3, 0.25, 1) * (vessels > 0.4)
    level -= gaussian_filter(vessels, 0.8) * (25 + 30 * gaussian_filter(wide, 2)) * rng.uniform(0.6, 1.1)
    for _ in range(rng.integers(0, 8)):  # spots that are no vessels
        spot = rng.uniform(0, height), rng.uniform(0, width)
        level -= 30 * np.exp(-((x - spot[1]) ** 2 + (y - spot[0]) ** 2) / 2 / rng.uniform(3, 8) ** 2)
    level[radius > 1] = 4
    green = np.clip(level, 0, 255)
    picture = np.stack([np.clip(green * 1.4 + 30 * (radius <= 1), 0, 255), green, green * 0.5], axis=-1)
    return picture.astype(np.uint8), ((vessels > 0.4) & (radius <= 1)).astype(np.uint8)


@dataclass(frozen=True)
class DrawnSet:
    """What draws a picture and its mask, how many each part has, and where its random numbers start."""

    draw: Callable[[np.random.Generator], tuple[Bytes, Bytes]]
    parts: dict[str, int]
    seed: int


SETS = {
    "nuclei": DrawnSet(draw_nuclei, {"train": 125, "val": 25, "test": 40}, 7),
    "cracks": DrawnSet(draw_cracks, {"train": 180, "test": 60}, 5),
    "vessels": DrawnSet(draw_vessels, {"train": 20, "test": 20}, 5),
}
