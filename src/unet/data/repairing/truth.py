"""The values that a bent mask had before JPEG or blending."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unet.data.inspection.values import MOST_CLASSES, blended
from unet.data.mask_values import MaskValues, listed, option, order_of
from unet.data.stats import MaskStats
from unet.errors import DataError
from unet.labels import Value

_APART = 16  # grey levels between two true values, at least
_INSIDE = 1e-4  # of all pixels: that a true value has among its like, at least
_THIN = 5e-4  # of all pixels: that the value of thin lines has, at least
_RIVAL = {1: (0, 0.01), 3: (8, 0.02)}
"""For grey and for colours: a value so far from a true one with this share of its inside is true itself."""
_NEAR = 24  # grey levels that JPEG may change
_BENT = 0.5  # share of the pixels of a bent mask that are near true values, at least
_SOLID = 1e-3  # of all pixels: that a foreign value has among its like if it is no accident


def true_values(mask_values: MaskValues) -> list[Value]:
    """Return the true values behind bent ones, sorted: those whose pixels lie among their like.

    JPEG leaves the inside of areas alone but for a level or two, and blending changes edges only. Thin lines have no
    inside: where there is one such value only, the other is the farthest from it that occurs often enough.

    Raises
    ------
    DataError
        Fewer than two or too many, or values too near to one another to be told apart.
    """
    true: list[Value] = []
    edges = set(blended(mask_values))
    for value, inner in mask_values.inner.most_common():
        if inner < _INSIDE * mask_values.pixels or len(true) > MOST_CLASSES:
            break
        if value not in edges and (not true or _apart([value], true).min() > _APART):
            true.append(value)
    if len(true) == 1:
        frequent = [value for value, count in mask_values.counts.items() if count >= _THIN * mask_values.pixels]
        apart = _apart(frequent, true)[:, 0]
        if apart.max() > 4 * _APART:
            true.append(frequent[apart.argmax()])
    rivals = _rivals(mask_values.inner, true)
    if rivals:
        first, second = rivals
        raise _ambiguous(
            f"{first} and {second} both fill areas, too near to one another to be told from damage", mask_values
        )
    if not 2 <= len(true) <= MOST_CLASSES:
        raise _ambiguous(f"{len(true)} values fill areas ({listed(true)})", mask_values)
    return sorted(true, key=order_of)


def _rivals(inner: Counter[Value], true: Sequence[Value]) -> tuple[Value, Value] | None:
    """Return a true value and one near it that fills areas too."""
    others = [value for value, count in inner.items() if count and value not in true]
    counts = np.array([inner[value] for value in others])
    for value, apart in zip(true, _apart(others, true).T, strict=True):
        radius, share = _RIVAL[len(order_of(value))]
        rivals = np.flatnonzero((apart > radius) & (apart <= _APART) & (counts > share * inner[value]))
        if rivals.size and inner[value]:
            return value, others[rivals[0]]
    return None


def _ambiguous(reason: str, mask_values: MaskValues) -> DataError:
    example = option([(0, 0, 0), (255, 255, 255)] if mask_values.is_rgb else [0, 255])
    return DataError(
        f"which of the {mask_values.many()} in the masks are true cannot be told: {reason}",
        "areas of a few values that are far apart",
        f"name the true values, as in {example}, or make the masks anew from their source",
        kind="lossy-mask" if mask_values.lossy else "blended-mask",
    )


def stranger(mask: MaskStats, true: Sequence[Value]) -> str:
    """Return why a mask cannot have come from these values by damage, or nothing."""
    pixels = mask.height * mask.width
    among = _apart(true, true)
    radius = min(_NEAR, among[among > 0].min() / 2)
    near = 0
    for far, (value, count), inner in zip(_apart(_held(mask), true).min(axis=1), mask.values, mask.inner, strict=True):
        if far <= radius:
            near += count
        elif inner > max(_SOLID * pixels, count / 4):
            return f"fills areas with {value}, which is none of {listed(true)}"
    if near < _BENT * pixels:
        return f"only {near / pixels:.0%} of its pixels are near {listed(true)}"
    return ""


def unexplained(mask_values: MaskValues, true: Sequence[Value]) -> float:
    """Return the share of pixels that are near no true value and between no two: of a class that was not seen."""
    points = np.array([order_of(value) for value in true], dtype=np.float64)
    values = list(mask_values.counts)
    given = np.array([order_of(value) for value in values], dtype=np.float64)
    counts = np.array([mask_values.counts[value] for value in values])
    apart = np.linalg.norm(given[:, None] - points[None], axis=2)
    ways = np.linalg.norm(points[:, None] - points[None], axis=2)
    strange = apart.min(axis=1) > 2 * _NEAR
    for first in range(len(true)):
        for second in range(first):
            strange &= apart[:, first] + apart[:, second] > 1.2 * ways[first, second]
    return float(counts[strange].sum() / mask_values.pixels)


def _held(mask: MaskStats) -> list[Value]:
    return [value for value, _ in mask.values]


def _apart(values: Sequence[Value], others: Sequence[Value]) -> NDArray[np.int64]:
    """Return the largest difference of a band, (N, K); a grey value counts as a colour beside colours."""
    rows, columns = (np.array([order_of(value) for value in some], dtype=np.int64) for some in (values, others))
    if not len(values):
        return np.zeros((0, len(others)), np.int64)
    apart: NDArray[np.int64] = np.abs(rows[:, None] - columns[None]).max(axis=2)
    return apart
