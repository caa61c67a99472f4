"""Outlines, lines and runs as pixels: by hand, against pycocotools, and what must hold for all of them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pycocotools.mask as coco_mask
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unet.data.importing.regions import Region, crop, outline, paint, points_of, runs, stroke, uncompress
from unet.errors import DataError
from unet.raster import fill_polygons


def full(region: Region, height: int, width: int) -> np.ndarray[Any, Any]:
    """Return a region on the whole picture."""
    return paint([Region(1, region.row, region.column, region.pixels)], height, width).target == 1


def star(rng: np.random.Generator, size: float, middle: tuple[float, float]) -> np.ndarray[Any, Any]:
    """Return the corners of a polygon of random shape."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 12)))
    radius = rng.uniform(0.3, 1, angles.size) * size / 2
    return np.stack([middle[0] + radius * np.cos(angles), middle[1] + radius * np.sin(angles)], axis=1)


@pytest.mark.parametrize(
    ("ring", "rows", "columns"),
    [
        ([(0, 0), (4, 0), (4, 3), (0, 3)], (0, 3), (0, 4)),  # whole pixels
        ([(0.4, 0.4), (2.6, 0.4), (2.6, 1.6), (0.4, 1.6)], (0, 2), (0, 3)),  # all whose centres are inside
        ([(0.6, 0.6), (2.4, 0.6), (2.4, 2.4), (0.6, 2.4)], (1, 2), (1, 2)),
        ([(-3, -3), (2, -3), (2, 2), (-3, 2)], (0, 2), (0, 2)),  # cut off
        ([(1, 1.5), (5, 1.5), (3, 1.5)], (0, 0), (0, 0)),  # a line has no area, even through centres
        ([(1.1, 1.1), (1.3, 1.1), (1.2, 1.3)], (0, 0), (0, 0)),  # between centres
    ],
)
def test_a_pixel_belongs_to_a_polygon_when_its_centre_does(ring: Any, rows: Any, columns: Any) -> None:
    expected = np.zeros((5, 6), bool)
    expected[slice(*rows), slice(*columns)] = True
    assert np.array_equal(fill_polygons([np.array(ring, float)], 5, 6), expected)


def test_polygons_are_united_and_one_that_touches_itself_may_have_a_hole() -> None:
    def square(low: float, high: float) -> list[tuple[float, float]]:
        return [(low, low), (high, low), (high, high), (low, high)]

    two = fill_polygons([np.array(square(0, 3), float), np.array(square(2, 5), float)], 6, 6)
    assert two.sum() == 9 + 9 - 1
    keyhole = np.array([*square(0, 6), (0, 0), (2, 2), (2, 4), (4, 4), (4, 2), (2, 2)], float)
    holed = fill_polygons([keyhole], 6, 6)
    assert holed.sum() == 32 and not holed[2:4, 2:4].any()


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.floats(2, 60))
def test_polygons_are_those_of_a_count_of_crossings(seed: int, size: float) -> None:
    ring = star(np.random.default_rng(seed), size, (20, 15))
    x, y = np.meshgrid(np.arange(40) + 0.5, np.arange(30) + 0.5)
    inside = np.zeros((30, 40), bool)
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        if y0 != y1:
            inside ^= ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    assert np.array_equal(fill_polygons([ring], 30, 40), inside)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("size", [6, 20, 80, 300])
def test_polygons_differ_from_those_of_pycocotools_along_the_outline_only(size: int) -> None:
    rng, side = np.random.default_rng(size), size + 10
    shared = []
    for _ in range(40):
        ring = star(rng, size, (side / 2, side / 2))
        ours = fill_polygons([ring], side, side)
        theirs = coco_mask.decode(coco_mask.frPyObjects([ring.ravel().tolist()], side, side)[0]) == 1
        near = full(stroke(np.concatenate([ring, ring[:1]]), 1, 1, side, side), side, side)
        assert not ((ours != theirs) & ~near).any()
        shared.append((ours & theirs).sum() / max(1, (ours | theirs).sum()))
    assert size < 300 or np.mean(shared) > 0.99


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.floats(2, 60), st.floats(-10, 50), st.floats(-10, 40))
def test_a_window_gives_what_the_whole_picture_gives(seed: int, size: float, x: float, y: float) -> None:
    ring = star(np.random.default_rng(seed), size, (x, y))
    assert np.array_equal(full(outline([ring], 1, 30, 40), 30, 40), fill_polygons([ring], 30, 40))


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.floats(-3, 43), st.floats(-3, 33)), min_size=1, max_size=4),
    st.floats(0.5, 12),
)
@pytest.mark.slow
def test_a_stroke_is_all_within_its_radius(points: list[tuple[float, float]], radius: float) -> None:
    ours = full(stroke(np.array(points), radius, 1, 30, 40), 30, 40)
    centres = np.stack(np.meshgrid(np.arange(40) + 0.5, np.arange(30) + 0.5), axis=-1)
    along = np.linspace(0, 1, 400)[:, None]
    ends = list(pairwise(points)) or [(points[0], points[0])]
    dense = np.concatenate([np.array(a) * (1 - along) + np.array(b) * along for a, b in ends])
    distance = np.min(np.linalg.norm(centres[:, :, None] - dense[None, None], axis=-1), axis=2)
    assert not (ours & (distance > radius + 0.08)).any()
    assert not (~ours & (distance < radius - 1e-6)).any()


def test_a_disc() -> None:
    disc = full(stroke(np.array([[20.0, 15.0]]), 10, 1, 30, 40), 30, 40)
    assert disc.sum() == pytest.approx(np.pi * 100, rel=0.02)
    assert disc[15, 10] and disc[15, 29] and not disc[15, 9] and not disc[15, 30]


# --- runs


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 40), st.floats(0, 1))
def test_runs_give_the_mask_that_pycocotools_wrote(seed: int, height: int, width: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    text = encoded["counts"].decode()
    for counts in (text, uncompress(text)):
        assert np.array_equal(full(runs(counts, [height, width], 1, height, width), height, width), mask)


def test_runs_by_hand() -> None:
    region = runs([1, 2, 2, 1], [2, 3], 7, 2, 3)  # down the columns
    assert np.array_equal(paint([region], 2, 3).target, [[0, 7, 0], [7, 0, 7]])


@pytest.mark.slow
@settings(max_examples=300)
@given(st.text(max_size=30) | st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=30))
def test_damaged_runs_are_refused(text: str) -> None:
    try:
        region = runs(text, [4, 5], 1, 4, 5)
    except DataError:
        return
    assert region.area <= 20


@pytest.mark.parametrize(
    ("counts", "size", "message"),
    [
        ([5, 5], [4, 5], "runs of 10 pixels; expected 20"),
        ([-5, 25], [4, 5], "not whole numbers"),
        ([10, 10.0], [4, 5], "not whole numbers"),
        (None, [4, 5], "not whole numbers"),
        ([20], [5, 4], r"a size of \[5, 4\]"),
        ([20], None, "a size of None"),
        ("~", [4, 5], "characters from 0 to o"),
        ("P", [4, 5], "end within a number"),
    ],
)
def test_wrong_runs_are_named(counts: Any, size: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        runs(counts, size, 1, 4, 5)


# --- points and the order of objects


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([], "no points"),
        ([1, 2, 3, 4], "4 numbers; expected x, y of 3"),
        ([1, 2, 3, 4, 5, 6, 7], "7 numbers"),
        ([1, 2, 3, 4, 5, float("nan")], "not finite"),
        ([1, 2, 3, 4, 5, None], "not finite"),
        ([1, 2, 3, 4, 5, "x"], "not pairs of numbers"),
        ([[1, 2, 3], [3, 4, 5], [5, 6, 7], [7, 8, 9]], "not pairs of numbers"),
        ({"x": 1}, "not pairs of numbers"),
        ([[1, 2], [3]], "not pairs of numbers"),
        ([0, 0, 43, 0, 9, 9], "leave the picture of 40 x 30"),
        ([0, -2, 9, 0, 9, 9], "leave the picture"),
    ],
)
def test_wrong_points_are_named(numbers: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        points_of(numbers, 30, 40, least=3)


def test_points_may_lie_a_pixel_or_a_hundredth_outside() -> None:
    assert points_of([-1, -1, 41, 0, 41, 31], 30, 40, least=3).shape == (3, 2)
    assert points_of([-9, 0, 900, 0, 909, 900], 900, 900, least=3).shape == (3, 2)


def test_smaller_over_larger_whatever_the_order_and_coarse_below() -> None:
    large = outline([np.array([(0, 0), (8, 0), (8, 8), (0, 8)], float)], 1, 8, 8)
    small = outline([np.array([(2, 2), (4, 2), (4, 4), (2, 4)], float)], 2, 8, 8)
    crowd = crop(np.ones((1, 2), bool), 3, coarse=True, row=2, column=2)
    for order in ([large, small, crowd], [crowd, small, large], [small, crowd, large]):
        target = paint(order, 8, 8).target
        assert (target == 2).sum() == 4 and (target == 1).sum() == 60


def test_of_equal_objects_the_later_is_seen_and_none_is_lost_silently() -> None:
    first, second = (crop(np.ones((2, 2), bool), value) for value in (1, 2))
    drawn = paint([first, second, crop(np.zeros((2, 2), bool), 3)], 4, 4)
    assert (drawn.target == 2).sum() == 4 and drawn.too_small == 1
