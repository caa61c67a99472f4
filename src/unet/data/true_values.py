"""The values that the masks of a data set held before JPEG, blending or resizing changed some.

The one answer that inspection and training suggest by `--mask-values`, and that repair snaps pixels to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from unet.data.mask_values import MaskValues, listed, order_of
from unet.data.pairs import Pair
from unet.data.stats import MaskStats
from unet.data.value_peaks import MOST_CLASSES, at_edges_only, distances, find_peaks
from unet.labels import IGNORED, Value

_NEAR = 24  # grey levels that JPEG may change
_DAMAGED = 0.5  # share of the pixels of a damaged mask that are near true values, at least
_SOLID = 1e-3  # of all pixels: that a foreign value has among its like if it is no accident
_VANISHING = 1e-4  # share of the pixels of the masks that hold a value, below which it may be an accident
_SPECK = 16  # pixels: of small masks that are an accident too, unless they are ...
_OF_SMALL = 0.01  # ... a larger share than this
_FEW_MASKS = 5  # a value that more masks hold is no accident


@dataclass(frozen=True)
class TrueValues:
    """What is true of the values in masks.

    Attributes
    ----------
    values : tuple of int or of (int, int, int)
        Sorted.
    too_near : (value, value) or None
        A true one and one near it that fills areas too.
    foreign : mapping of Pair to str
        Masks that cannot have come from these values by damage, and why.
    """

    values: tuple[Value, ...]
    too_near: tuple[Value, Value] | None = None
    foreign: Mapping[Pair, str] = field(default_factory=dict)

    @property
    def doubt(self) -> str:
        """Why it cannot be told which values are true; empty where it can."""
        if self.too_near:
            first, second = self.too_near
            return f"{first} and {second} both fill areas, too near to one another to be told from damage"
        if not 2 <= len(self.values) <= MOST_CLASSES:
            return f"{len(self.values)} values fill areas" + (f" ({listed(self.values)})" if self.values else "")
        return ""


def find_true_values(mask_values: MaskValues) -> TrueValues:
    """Return the true values of masks, by all masks that can have come from them.

    Masks that hold something else, such as photographs, are set aside, because what is true may show more clearly
    without them.
    """
    scan, foreign = mask_values.scan, dict[Pair, str]()
    while True:
        points, counts, inner = _arrays(mask_values)
        values = list(mask_values.counts)
        peaks = find_peaks(points, counts, inner, mask_values.pixels)
        true = tuple(sorted((values[place] for place in peaks.places), key=order_of))
        near = None if peaks.too_near is None else (values[peaks.too_near[0]], values[peaks.too_near[1]])
        truth = TrueValues(true, near, foreign)
        if truth.doubt:
            return truth
        truth = TrueValues(true, None, {**foreign, **_foreign(mask_values, true)})
        if len(truth.foreign) in (len(foreign), len(scan.pairs)):
            return truth
        foreign = dict(truth.foreign)
        mask_values = MaskValues(scan.part([pair for pair in scan.pairs if pair not in foreign]))


def with_known(mask_values: MaskValues, values: Sequence[Value]) -> TrueValues:
    """Return what is true where the values are known, by a class file."""
    return TrueValues(tuple(values), None, _foreign(mask_values, values))


def edge_only_values(mask_values: MaskValues) -> list[Value]:
    """Return the values that lie between others and occur at edges only, where two others meet."""
    values = list(mask_values.counts)
    return [values[place] for place in np.flatnonzero(at_edges_only(*_arrays(mask_values)))]


def vanishing_values(mask_values: MaskValues, skipped: Sequence[Value] = ()) -> tuple[list[Value], list[Value]]:
    """Return the values that hardly a pixel has: those of a few masks only, which are accidents, and the others.

    A value that a slip of the hand or of a program has left in a few pixels of a mask would become a class of its own,
    and the rarest, which training looks for most (docs/decisions/022-data.md).

    Parameters
    ----------
    mask_values : MaskValues
    skipped : sequence of int or of (int, int, int)
        Values that do not count.

    Returns
    -------
    (accidents, rare)
        Sorted. No accidents where fewer than two other values remain, and where the masks are drawn polygons.
    """
    scan = mask_values.scan
    if any(pair.drawing is not None for pair in scan.pairs):
        return [], []
    around, holders = Counter[Value](), Counter[Value]()
    for mask in scan.masks:
        for value in {mask_values.in_common_form(value) for value, _ in mask.values}:
            around[value] += mask.height * mask.width
            holders[value] += 1
    counted = {value: count for value, count in mask_values.counts.items() if value not in skipped}
    special = {IGNORED, -1} if plain_numbers([value for value in counted if value not in (IGNORED, -1)]) else set()
    rare = sorted(
        (
            value
            for value, count in counted.items()
            if count < max(_VANISHING * around[value], min(_SPECK, _OF_SMALL * around[value]) + 1)
            and value not in special  # these stand for what does not count
        ),
        key=order_of,
    )
    accidents = [value for value in rare if holders[value] <= _FEW_MASKS]
    if len(counted) - len(accidents) < 2:
        accidents = []
    return accidents, [value for value in rare if value not in accidents]


def plain_numbers(values: Sequence[Value]) -> bool:
    """Tell whether values are numbers of classes: how near two of them are then means nothing."""
    return all(isinstance(value, int) and value < MOST_CLASSES for value in values)


def foreign_reason(mask: MaskStats, values: Sequence[Value]) -> str:
    """Return why a mask cannot have come from these values by damage, or nothing."""
    pixels = mask.height * mask.width
    among = _distances(values, values)
    radius = min(_NEAR, among[among > 0].min(initial=2 * _NEAR) / 2)
    near = 0
    held = [value for value, _ in mask.values]
    for away, (value, count), inner in zip(_distances(held, values).min(axis=1), mask.values, mask.inner, strict=True):
        if away <= radius:
            near += count
        elif inner > max(_SOLID * pixels, count / 4):
            return f"fills areas with {value}, which is none of {listed(values)}"
    if near < _DAMAGED * pixels:
        return f"only {near / pixels:.0%} of its pixels are near {listed(values)}"
    return ""


def unexplained(mask_values: MaskValues, true: Sequence[Value]) -> float:
    """Return the share of pixels that are near no true value and between no two: of a class that was not seen."""
    points = np.array([order_of(value) for value in true], dtype=np.float64)
    given, counts, _ = _arrays(mask_values)
    away = np.linalg.norm(given[:, None] - points[None], axis=2)
    ways = np.linalg.norm(points[:, None] - points[None], axis=2)
    strange = away.min(axis=1) > 2 * _NEAR
    for first in range(len(true)):
        for second in range(first):
            strange &= away[:, first] + away[:, second] > 1.2 * ways[first, second]
    return float(counts[strange].sum() / mask_values.pixels)


def _foreign(mask_values: MaskValues, values: Sequence[Value]) -> dict[Pair, str]:
    rows = zip(mask_values.scan.pairs, mask_values.scan.masks, strict=True)
    return {pair: reason for pair, mask in rows if (reason := foreign_reason(mask, values))}


def _arrays(mask_values: MaskValues) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the values (N, 1) or (N, 3), their counts (N,) and how many of these lie among their like (N,)."""
    values = list(mask_values.counts)
    points = np.array([order_of(value) for value in values], dtype=np.int64)
    counts, inner = (
        np.array([counter[value] for value in values], dtype=np.int64)
        for counter in (mask_values.counts, mask_values.inner)
    )
    return points, counts, inner


def _distances(values: Sequence[Value], others: Sequence[Value]) -> NDArray[np.int64]:
    """Return the largest difference of a band, (N, K); a grey value counts as a colour beside colours."""
    return distances(*(np.array([order_of(value) for value in some], dtype=np.int64) for some in (values, others)))
