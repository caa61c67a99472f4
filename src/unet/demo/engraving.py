"""From the plan of a town to ink: outlines, hatching, waterlines, plants."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unet.demo.grid import FINE, Ids, Ink, cover, pixels, turned
from unet.demo.noise import clouds, spline
from unet.demo.town import (
    BUILDING,
    CROSSED,
    HATCHED,
    PARK,
    SOLID,
    WATER,
    Floats,
    Street,
    Town,
)

QUAY = 6.0
"""Width in pixels of the street on either bank of a river."""

BRIDGED = 11.0
"""Streets at least this wide are led over the river."""

RAILED = 14.0
"""Streets at least this wide have a tram."""


@dataclass(frozen=True)
class Hatching:
    """Parallel lines: their distance in pixels, the share of it that is ink, their angle to the streets."""

    spacing: float
    share: float
    angle: float


def rasterise(town: Town, size: tuple[int, int]) -> Ids:
    """Return the id of the shape that every fine pixel shows, int16 (FINE * H, FINE * W)."""
    ids = np.zeros((size[0] * FINE, size[1] * FINE), dtype=np.int16)
    for number, polygon in enumerate(town.shapes, start=1):
        window, covered = cover(polygon, ids.shape)
        ids[window][covered] = number
    if town.river is not None:
        water = len(town.shapes) + 1
        distance = town.river.distance(*turned(ids.shape, town.river.angle))
        ids[distance < town.river.half_width + QUAY] = 0
        ids[distance < town.river.half_width] = water
        for street in town.streets:
            if street.width >= BRIDGED and _crosses(street, town.river.angle, ids, water):
                window, covered = cover(_deck(street), ids.shape)
                ids[window][covered & (ids[window] == water)] = water + 1
    return ids


def _crosses(street: Street, river_angle: float, ids: Ids, water: int) -> bool:
    """Tell whether a street neither runs along the river nor ends in it."""
    along = (street.end - street.start) / np.hypot(*(street.end - street.start))
    if abs(along @ [math.sin(river_angle), math.cos(river_angle)]) > 0.6:
        return False
    rows, columns = pixels(np.array([[street.start, street.start], [street.end, street.end]]), ids.shape)
    return not (ids[rows, columns] == water).any()


def _deck(street: Street) -> Floats:
    """Return a bridge, somewhat narrower than its street, over the street's whole length."""
    along = (street.end - street.start) / np.hypot(*(street.end - street.start))
    side = 0.36 * street.width * np.array([along[1], -along[0]])
    return np.array([street.start + side, street.end + side, street.end - side, street.start - side])


def linework(
    ids: Ids,
    classes: NDArray[np.uint8],
    town: Town,
    hatching: Hatching,
    rng: np.random.Generator,
    outline: NDArray[np.bool_] | None = None,
) -> Ink:
    """Return the ink (0..1) of everything but lettering, for the ids and the classes on the fine grid.

    `outline` is what is drawn of the outlines, by default `outlines(ids)`.
    """
    ink = np.zeros(ids.shape, dtype=np.float32)

    fills = np.where(classes == BUILDING, town.fills[ids], 255)
    along, across = turned(ids.shape, town.angle + hatching.angle)
    hatched = _phase(across / hatching.spacing) < hatching.share
    crossed = hatched | (_phase(along / (1.25 * hatching.spacing)) < hatching.share)
    ink[(fills == HATCHED) & hatched] = 0.85
    ink[(fills == CROSSED) & crossed] = 0.8
    ink[fills == SOLID] = 0.62

    water = classes == WATER
    depth = _depth(water)[water]
    # Waterlines: close together along the bank, wider apart and fainter towards the middle.
    wave = (_phase(np.sqrt(depth) * 2.1 + 0.05) < 0.2) & (depth > 0.8)
    ink[water] = wave * 0.75 * np.clip(1.15 - depth / 32, 0.45, 1)

    parks = classes == PARK
    for window in ndimage.find_objects(parks.astype(np.uint8)):
        _plants(ink[window], parks[window], rng)

    ink[outlines(ids) if outline is None else outline] = 0.95

    rails = [[street.start, street.end] for street in town.streets if street.width >= RAILED]
    if rails:
        dashed = (ids == 0) & (_phase(turned(ids.shape, town.angle)[0] / 6) < 0.57)
        rows, columns = pixels(np.array(rails), ids.shape)
        drawn = dashed[rows, columns]
        for step in (0, 1):
            ink[np.minimum(rows[drawn] + step, ids.shape[0] - 1), columns[drawn]] = 0.7
    return ink


def outlines(ids: Ids) -> NDArray[np.bool_]:
    """Return the fine pixels, two or three abreast, on which one shape ends and another begins."""
    outline = np.zeros(ids.shape, dtype=bool)
    outline[:, :-1] |= ids[:, :-1] != ids[:, 1:]
    outline[:-1] |= ids[:-1] != ids[1:]
    outline[1:] |= outline[:-1].copy()
    outline[:, 1:] |= outline[:, :-1].copy()
    return outline


def _phase(values: NDArray[Any]) -> NDArray[Any]:
    """Return values modulo 1 (`np.mod` takes several times as long)."""
    return np.asarray(values - np.floor(values))


def _depth(inside: NDArray[np.bool_]) -> Floats:
    """Return about how far in pixels each fine pixel is from the outside: measured coarsely, smoothed."""
    coarse = ndimage.distance_transform_edt(inside[FINE // 2 :: FINE, FINE // 2 :: FINE])
    rows, columns = [(np.arange(side) - FINE // 2) / FINE for side in inside.shape]
    return np.maximum(spline(spline(coarse, rows, 0), columns, 1) - 0.5, 0)


def _plants(ink: Ink, park: NDArray[np.bool_], rng: np.random.Generator) -> None:
    """Draw lawns as stipple, trees as rings with a shadow, and between them winding walks."""
    field = clouds(ink.shape, 26 * FINE, rng)
    # Walks follow a level line of a smooth field; the field over its slope is the distance from that line.
    slope = np.hypot(*np.gradient(field)) * FINE + 1e-3
    from_walk = np.abs(field) / slope
    grounds = ndimage.binary_erosion(park, iterations=2 * FINE) & (from_walk > 1.9)
    ink[park & ~grounds & (from_walk > 1.5) & (from_walk < 1.9)] = 0.6
    for stamp, pitch, chance in ((_dot(0.55 * FINE), 2.6, 0.9), (_tree(2.0 * FINE), 9.0, 0.6)):
        step = pitch * FINE
        rows, columns = np.mgrid[0 : ink.shape[0] : step, 0 : ink.shape[1] : step].reshape(2, -1)
        rows = np.clip(rows + rng.uniform(0, 0.7 * step, rows.size), 0, ink.shape[0] - 1).astype(int)
        columns = np.clip(columns + rng.uniform(0, 0.7 * step, columns.size), 0, ink.shape[1] - 1).astype(int)
        planted = grounds[rows, columns] & (rng.random(rows.size) < chance)
        for row, column in zip(rows[planted], columns[planted], strict=True):
            _stamp(ink, stamp, int(row), int(column))


def _dot(radius: float) -> Ink:
    half = math.ceil(radius)
    rows, columns = np.mgrid[-half : half + 1, -half : half + 1]
    return np.where(np.hypot(rows, columns) <= radius, np.float32(0.8), np.float32(np.nan))


def _tree(radius: float) -> Ink:
    """Return a ring, clear inside, with a shadow to the lower right; NaN leaves what is there."""
    half = math.ceil(1.6 * radius)
    rows, columns = np.mgrid[-half : half + 1, -half : half + 1]
    distance = np.hypot(rows, columns)
    stamp = np.full(distance.shape, np.nan, dtype=np.float32)
    stamp[np.hypot(rows - 0.45 * radius, columns - 0.45 * radius) <= radius] = 0.7
    stamp[distance <= radius] = 0.1
    stamp[(distance <= radius) & (distance > radius - 0.6 * FINE)] = 0.85
    return stamp


def _stamp(ink: Ink, stamp: Ink, row: int, column: int) -> None:
    top, left = row - stamp.shape[0] // 2, column - stamp.shape[1] // 2
    part = stamp[max(0, -top) : ink.shape[0] - top, max(0, -left) : ink.shape[1] - left]
    window = ink[max(0, top) : max(0, top) + part.shape[0], max(0, left) : max(0, left) + part.shape[1]]
    drawn = ~np.isnan(part)
    window[drawn] = part[drawn]
