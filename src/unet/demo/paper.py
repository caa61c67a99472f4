"""From ink to an old print: colour washes, paper, and what time did to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unet.demo.engraving import Hatching
from unet.demo.grid import shrink
from unet.demo.noise import clouds
from unet.demo.town import BUILDING, PARK, TINTED, WATER, Floats

RED = np.array([188.0, 62.0, 48.0])

# Every maker had his own convention, so that a colour means one thing here and another there.
PINK, OCHRE, SLATE, OLIVE = (0.95, 0.8, 0.74), (0.97, 0.88, 0.7), (0.8, 0.87, 0.92), (0.86, 0.9, 0.74)
BLUE, TEAL, GREEN = (0.78, 0.9, 0.96), (0.8, 0.91, 0.85), (0.88, 0.94, 0.76)
WASHES = {
    BUILDING: (PINK, PINK, OCHRE, SLATE, OLIVE),
    WATER: (BLUE, BLUE, BLUE, TEAL, SLATE),
    PARK: (GREEN, GREEN, GREEN, TEAL, OCHRE),
}


@dataclass(frozen=True)
class PrintStyle:
    """How a sheet was engraved, coloured and kept.

    Colours are RGB, 0..255; washes are factors on the paper's colour by class, None for sheets without any;
    `age` runs from 0 (fresh) to 1.
    """

    paper: Floats
    ink: Floats
    washes: dict[int, Floats] | None
    hatching: Hatching
    age: float


def random_style(rng: np.random.Generator) -> PrintStyle:
    """Return a style; about a quarter of them have no washes."""
    strength = rng.uniform(0.5, 1.1)
    washes = {kind: 1 - (1 - np.array(tones[rng.integers(len(tones))])) * strength for kind, tones in WASHES.items()}
    angle = rng.uniform(0.5, 1.1) * rng.choice([-1, 1])
    return PrintStyle(
        paper=np.array([228.0, 218.0, 190.0]) + rng.normal(0, 4) + rng.normal(0, 2.5, 3),
        ink=np.array([46.0, 42.0, 40.0]) + rng.uniform(0, 22) + rng.normal(0, 3, 3),
        washes=washes if rng.random() < 0.75 else None,
        hatching=Hatching(rng.uniform(2.7, 3.6), rng.uniform(0.3, 0.42), angle),
        age=rng.uniform(0.4, 1.0),
    )


def washes(classes: NDArray[np.uint8], fills: NDArray[np.uint8], style: PrintStyle) -> Floats:
    """Return the factors (H, W, 3) on the paper's colour, for classes and fills on the fine grid."""
    tinted = (classes == BUILDING) & (fills == TINTED)
    # Houses without hatching always have a tone, or nothing would tell them from courtyards.
    layers = [(tinted, np.array([0.94, 0.87, 0.83]) if style.washes else np.array([0.8, 0.8, 0.8]))]
    layers += [(classes == kind, tone) for kind, tone in (style.washes or {}).items()]
    factors: Floats = np.ones(1)
    for where, tone in layers:
        factors = factors * (1 - shrink(where)[..., None] * (1 - tone))
    return factors


def print_sheet(
    wash: Floats, ink: Floats, red: Floats, style: PrintStyle, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Put washes (H, W, 3), ink and red (H, W) on paper: uneven ink, clouds, fibres, stains, a fold, specks.

    Returns
    -------
    uint8 array (H, W, 3)
    """
    shape = ink.shape
    sheet = style.paper * (1 + 0.012 * style.age * clouds(shape, 70, rng))[..., None]
    sheet = sheet * (1 + (wash - 1) * (1 + 0.14 * clouds(shape, 45, rng))[..., None])
    sheet *= 1 - _stains(shape, style.age, rng)[..., None] * [0.55, 0.8, 1.25]
    density = np.clip(ink * (0.93 + 0.06 * clouds(shape, 30, rng)), 0, 1)[..., None]
    sheet = sheet * (1 - density) + style.ink * density
    # Red is printed over black, and lets it show through.
    sheet = sheet * (1 - red[..., None]) + RED * red[..., None] * (0.55 + 0.45 * sheet / style.paper)
    fibres = ndimage.gaussian_filter(rng.normal(0, 1, shape), (0.4, 1.1)) + rng.normal(0, 0.5, shape)
    sheet += 4.0 * fibres[..., None] + rng.normal(0, 1.2, sheet.shape)
    sheet = ndimage.gaussian_filter(sheet, (0.35, 0.35, 0))  # the lens of the scanner
    return np.asarray(np.clip(np.rint(sheet), 0, 255).astype(np.uint8))


def _stains(shape: tuple[int, ...], age: float, rng: np.random.Generator) -> Floats:
    """Return the darkening (0..1) by water stains, foxing and a fold."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    dark = np.zeros(shape)
    for _ in range(rng.poisson(1.4 * age)):
        centre, radius = rng.uniform(0, 1, 2) * shape, rng.uniform(0.08, 0.24) * min(shape)
        distance = np.hypot(rows - centre[0], columns - centre[1]) * (1 + 0.09 * clouds(shape, 40, rng))
        inside = 1 / (1 + np.exp(np.clip(distance - radius, -50, 50)))
        edge = np.exp(-(((distance - radius + 2.5) / 3.0) ** 2))
        dark += (0.05 * inside + 0.07 * edge) * rng.uniform(0.5, 1.2)
    for _ in range(rng.poisson(10 * age)):
        centre, radius = rng.uniform(0, 1, 2) * shape, rng.uniform(0.6, 2.2)
        dark += 0.2 * np.exp(-(((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / radius**2))
    if rng.random() < 0.6:
        from_fold = columns - rng.uniform(0.3, 0.7) * shape[1]
        dark += age * (0.12 * np.exp(-((from_fold / 1.3) ** 2)) - 0.05 * np.exp(-(((from_fold - 3) / 2.5) ** 2)))
    return np.asarray(np.clip(dark, -0.1, 0.5))
