"""The plan of a town: streets, and convex polygons (N, 2) of (row, column) in pixels between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STREET, BUILDING, WATER, PARK = range(4)
"""The classes."""

HATCHED, CROSSED, TINTED, SOLID = range(4)
"""How a building is filled; other shapes have fill 0."""

SMALLEST = 64
"""Shortest side of a sheet in pixels that still has room for a block of each kind."""

STREET_WIDTHS = (19.0, 15.0, 12.0, 10.0, 8.0, 7.0)
"""Widths in pixels of the first, second, ... cut through the town; all later cuts are as wide as the last."""

LEAST_AREA = 20.0
"""Pieces with fewer square pixels are not drawn."""


@dataclass(frozen=True)
class Street:
    """The middle line of a street and its width."""

    start: Floats
    end: Floats
    width: float


@dataclass(frozen=True)
class River:
    """A band of water along a sine curve across the sheet; angles in radians, lengths in pixels."""

    angle: float
    shift: float
    half_width: float
    swing: float
    wavelength: float
    phase: float

    def distance(self, along: NDArray[np.floating], across: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the distance from the middle line, for coordinates along and across `angle`."""
        curve = self.shift + self.swing * np.sin(along / self.wavelength + self.phase)
        return np.asarray(np.abs(across - curve))


@dataclass
class Town:
    """Shapes in the order in which they are painted: shape i has the id i + 1, the ground has 0.

    The two ids after the shapes belong to the river and to the bridges over it.
    """

    streets: list[Street]
    angle: float
    river: River | None
    shapes: list[Floats] = field(default_factory=list)
    _kinds: list[int] = field(default_factory=list)
    _fills: list[int] = field(default_factory=list)

    def add(self, polygon: Floats, kind: int, fill: int = 0) -> None:
        """Paint one more polygon over what is there, unless clipping has left next to nothing of it."""
        if len(polygon) >= 3 and area(polygon) > LEAST_AREA:
            self.shapes.append(polygon)
            self._kinds.append(kind)
            self._fills.append(fill)

    @property
    def kinds(self) -> NDArray[np.uint8]:
        """Class by id."""
        return np.array([STREET, *self._kinds, WATER, STREET], dtype=np.uint8)

    @property
    def fills(self) -> NDArray[np.uint8]:
        """Fill by id."""
        return np.array([0, *self._fills, 0, 0], dtype=np.uint8)


def plan_town(size: tuple[int, int], rng: np.random.Generator) -> Town:
    """Cut the ground into blocks by streets and fill the blocks: one is a park, and water there is always.

    Parameters
    ----------
    size : (int, int)
        Height and width of the sheet in pixels.
    rng : numpy.random.Generator

    Returns
    -------
    Town
    """
    sides = np.array(size, dtype=np.float64)
    angle = rng.uniform(-0.3, 0.3)
    # The ground is a turned rectangle that covers the sheet.
    extent = np.abs(rotation(angle)) @ sides / 2 + 2
    ground = extent * [[-1, -1], [-1, 1], [1, 1], [1, -1]] @ rotation(angle).T + sides / 2
    blocks, streets = _subdivide(ground, angle, min(7000.0, sides.prod() / 9), STREET_WIDTHS, rng)
    blocks = [b for b in blocks if (b.max(axis=0) > 0).all() and (b.min(axis=0) < sides).all()]
    town = Town(streets, angle, _river(angle, float(sides.min()), rng) if rng.random() < 0.6 else None)

    # Parks and basins are chosen among the blocks whose middle is on the sheet, so that they are seen.
    middles = np.array([block.mean(axis=0) for block in blocks])
    inside = np.flatnonzero(((middles > 0.1 * sides) & (middles < 0.9 * sides)).all(axis=1))
    special = rng.permutation(inside if inside.size else len(blocks)).tolist()
    parks = special[: max(1, round(0.2 * len(special)))]
    basins = [] if town.river else special[len(parks) : len(parks) + 1]
    for index, block in enumerate(blocks):
        if index in parks:
            _plant(town, block, rng)
        elif index in basins:
            town.add(inset(block, 3), WATER)
        else:
            _build(town, block, rng)
    return town


def _river(angle: float, side: float, rng: np.random.Generator) -> River:
    return River(
        angle=angle + rng.choice([0, math.pi / 2]) + rng.uniform(-0.3, 0.3),
        shift=rng.uniform(-0.22, 0.22) * side,
        half_width=rng.uniform(0.04, 0.08) * side,
        swing=rng.uniform(0.03, 0.08) * side,
        wavelength=0.25 * side,
        phase=rng.uniform(0, 2 * math.pi),
    )


def _build(town: Town, block: Floats, rng: np.random.Generator) -> None:
    """Fill a block with parcels: left open, built up, around a courtyard, or along two sides."""
    town.add(block, STREET)
    parcels, _ = _subdivide(block, town.angle, rng.uniform(500, 1500), (0.0,), rng)
    for parcel in parcels:
        what = rng.choice(["open", "full", "court", "corner"], p=[0.2, 0.3, 0.3, 0.2])
        if what == "open":
            town.add(parcel, STREET)
            continue
        fill = rng.choice([HATCHED, CROSSED, TINTED, SOLID], p=[0.55, 0.15, 0.2, 0.1])
        town.add(parcel, BUILDING, int(fill))
        depth = rng.uniform(5, 9)
        if what == "court":
            town.add(inset(parcel, depth), STREET)
        elif what == "corner":
            built = rng.choice(len(parcel), size=2, replace=False)
            town.add(inset(parcel, depth, built.tolist()), STREET)


def _plant(town: Town, block: Floats, rng: np.random.Generator) -> None:
    """Make a block a park, perhaps with a pond or a pavilion."""
    town.add(block, PARK)
    middle, radius = block.mean(axis=0), math.sqrt(area(block) / math.pi)
    what = rng.random()
    if what < 0.45:
        around = np.linspace(0, 2 * math.pi, 24, endpoint=False)
        shore = radius * rng.uniform(0.25, 0.4) * (1 + 0.12 * np.sin(2 * around + rng.uniform(0, 6)))
        town.add(middle + shore[:, None] * np.column_stack([np.sin(around), 1.3 * np.cos(around)]), WATER)
    elif what < 0.7:
        pavilion = radius * 0.25 * np.array([[-1, -1.4], [-1, 1.4], [1, 1.4], [1, -1.4]])
        town.add(middle + pavilion @ rotation(town.angle).T, BUILDING, SOLID)


def _subdivide(
    polygon: Floats, angle: float, largest: float, gaps: Sequence[float], rng: np.random.Generator
) -> tuple[list[Floats], list[Street]]:
    """Cut a convex polygon across its longer direction until no piece is larger than about `largest` px."""
    done: list[Floats] = []
    streets: list[Street] = []
    waiting = [(polygon, 0)]
    while waiting:
        piece, depth = waiting.pop()
        if len(piece) < 3:
            continue
        if area(piece) < largest * rng.uniform(0.6, 1.4):
            done.append(piece)
            continue
        axes = rotation(angle + rng.normal(0, 0.06))
        normal = axes[:, int(np.argmax(np.ptp(piece @ axes, axis=0)))]
        along = piece @ normal
        place = along.min() + np.ptp(along) * rng.uniform(0.36, 0.64)
        gap = gaps[min(depth, len(gaps) - 1)]
        waiting.append((clip(piece, normal, place - gap / 2), depth + 1))
        waiting.append((clip(piece, -normal, -place - gap / 2), depth + 1))
        half = clip(piece, normal, place)
        ends = half[np.abs(half @ normal - place) < 1e-6]
        if len(ends) >= 2:
            streets.append(Street(ends[0], ends[-1], gap))
    return done, streets


# ---- geometry of convex polygons ----


def clip(polygon: Floats, normal: Floats, limit: float) -> Floats:
    """Return the part of a polygon where `point @ normal <= limit` (Sutherland and Hodgman 1974)."""
    beyond = (polygon @ normal - limit).tolist()
    if max(beyond, default=0.0) <= 0:
        return polygon
    kept: list[Floats] = []
    next_beyond = beyond[1:] + beyond[:1]
    for here, there, out, next_out in zip(polygon, following(polygon), beyond, next_beyond, strict=True):
        if out <= 0:
            kept.append(here)
        if (out <= 0) != (next_out <= 0):
            kept.append(here + (there - here) * (out / (out - next_out)))
    return np.array(kept).reshape(-1, 2)


def inset(polygon: Floats, distance: float, sides: Sequence[int] | None = None) -> Floats:
    """Return a polygon with its sides (all, or those numbered) moved inwards by `distance` px."""
    middle = polygon.mean(axis=0)
    result = polygon
    for number, (here, there) in enumerate(zip(polygon, following(polygon), strict=True)):
        length = float(np.hypot(*(there - here)))
        if (sides is not None and number not in sides) or length < 1e-9:
            continue
        normal = np.array([there[1] - here[1], here[0] - there[0]]) / length
        outwards = normal if (here - middle) @ normal > 0 else -normal
        result = clip(result, outwards, float(here @ outwards) - distance)
    return result


def area(polygon: Floats) -> float:
    """Return the area of a polygon in square pixels (shoelace formula)."""
    rows, columns = polygon.T
    next_rows, next_columns = following(polygon).T
    return 0.5 * abs(float(rows @ next_columns - columns @ next_rows))


def following(polygon: Floats) -> Floats:
    """Return, for each corner, the next one."""
    return np.concatenate((polygon[1:], polygon[:1]))


def rotation(angle: float) -> Floats:
    """Return the matrix (2, 2) that turns by `angle` radians."""
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
