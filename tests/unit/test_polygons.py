"""Polygons of label maps: drawn by hand, rasterised back, and as a coverage; lines and neighbours."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.features import rasterize
from scipy import ndimage

from unet import raster
from unet.errors import InputError
from unet.shapes import polygons
from unet.shapes.attributes import both_ways, join_pairs, neighbour_pairs, neighbours_of, sums_of
from unet.shapes.components import connected_components, fill_holes
from unet.shapes.holes import bands_without_holes
from unet.shapes.lines import fill_lines
from unet.shapes.polygons import LabelPolygons, label_polygons, polygon_batches

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def label_map_of(text: str) -> NDArray[np.int32]:
    """Read a label map from rows of digits; a point is 0."""
    rows = text.replace(".", "0").split()
    return np.array([[int(digit) for digit in row] for row in rows], np.int32)


def random_map(seed: int, height: int, width: int, highest: int, zoom: int = 1) -> NDArray[np.int32]:
    small = np.random.default_rng(seed).integers(0, highest + 1, (height, width), dtype=np.int32)
    return small.repeat(zoom, axis=0).repeat(zoom, axis=1)


def by_label(found: LabelPolygons) -> dict[int, shapely.Geometry]:
    return dict(zip(found.labels.tolist(), found.geometries, strict=True))


def back(found: LabelPolygons, shape: tuple[int, ...]) -> NDArray[np.int32]:
    pairs = list(zip(found.geometries, found.labels.tolist(), strict=True))
    return rasterize(pairs, shape, dtype="int32") if pairs else np.zeros(shape, np.int32)


def check_coverage(label_map: NDArray[np.int32], found: LabelPolygons) -> None:
    assert sorted(found.labels.tolist()) == sorted(set(np.unique(label_map).tolist()) - {0})
    assert shapely.is_valid(found.geometries).all()
    assert shapely.coverage_is_valid(found.geometries)
    assert np.array_equal(shapely.area(found.geometries), np.bincount(label_map.ravel())[found.labels])
    assert np.array_equal(back(found, label_map.shape), label_map)


DRAWN = {
    "one pixel": "1",
    "nothing": "... ...",
    "T-junction in the middle of a straight edge": "1111 2233",
    "four shapes in one corner": "12 34",
    "a hole that is filled": "111 121 111",
    "a hole of nothing": "111 1.1 111",
    "an outline that touches itself": "111 1.1 11.",
    "a hole that touches itself": "1111 1.11 11.1 1111",
    "pieces that touch at a corner": "1. .1",
    "two such shapes": "12 21",
    "nested pieces of one label": "11111 1...1 1.1.1 1...1 11111",
    "a hole in a nested piece": "1111111 1.....1 1.111.1 1.121.1 1.111.1 1.....1 1111111",
    "a hole touching another shape's corner": "1112 1.12 1121 2211",
    "holes in a diagonal": "11111 1.111 11.11 111.1 11111",
}


@pytest.mark.parametrize("drawn", DRAWN.values(), ids=DRAWN)
def test_drawn_maps_are_covered(drawn: str) -> None:
    label_map = label_map_of(drawn)
    check_coverage(label_map, label_polygons(label_map))


def test_corners_and_holes_by_hand() -> None:
    shapes = by_label(label_polygons(label_map_of("1111 2233")))
    corners = [(0, 0), (4, 0), (4, 1), (2, 1), (0, 1), (0, 0)]
    assert list(shapes[1].exterior.coords) == corners, "where 2 and 3 meet, 1 has a corner too"
    ring = by_label(label_polygons(label_map_of("111 1.1 11.")))[1]
    assert len(ring.exterior.coords) == 7 and len(ring.interiors) == 1, "valid: a hole that touches the outline"
    assert ring.interiors[0].length == 4 and ring.area == 7
    diagonal = by_label(label_polygons(label_map_of("12 21")))[1]
    assert diagonal.geom_type == "MultiPolygon" and len(diagonal.geoms) == 2
    nested = by_label(label_polygons(label_map_of(DRAWN["a hole in a nested piece"])))[1]
    assert [(part.area, len(part.interiors)) for part in nested.geoms] == [(24, 1), (8, 1)]


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000), height=st.integers(1, 12), width=st.integers(1, 12), highest=st.integers(1, 5),
    zoom=st.integers(1, 3), tolerance=st.sampled_from([0.5, 1.0, 2.5]),
)  # fmt: skip
def test_random_maps_are_covered(seed: int, height: int, width: int, highest: int, zoom: int, tolerance: float) -> None:
    label_map = random_map(seed, height, width, highest, zoom)
    found = label_polygons(label_map)
    check_coverage(label_map, found)
    simple = shapely.coverage_simplify(found.geometries, tolerance)
    assert shapely.coverage_is_valid(simple) and shapely.is_valid(simple).all() and not shapely.is_empty(simple).any()


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), height=st.integers(1, 14), width=st.integers(1, 9), pixels=st.integers(1, 60))
def test_batches_hold_the_same_polygons(seed: int, height: int, width: int, pixels: int) -> None:
    label_map = random_map(seed, height, width, 30)
    label_map[label_map > 25] = 1  # one shape all over the map
    whole = by_label(label_polygons(label_map))
    batches = list(polygon_batches(label_map, pixels))
    assert sum(len(batch.labels) for batch in batches) == len(whole)
    for batch in batches:
        for label, geometry in by_label(batch).items():
            assert geometry.normalize().equals_exact(whole[label].normalize(), 0)


def test_batches_come_early() -> None:
    label_map = np.repeat(np.arange(1, 101, dtype=np.int32), 3)[:, None].repeat(5, axis=1)
    assert [len(batch.labels) for batch in polygon_batches(label_map, 150)] == [10] * 8 + [20], "one band later"


@pytest.mark.parametrize("kind", ["uint8", "uint16", "int32", "int64"])
def test_any_integers_are_labels(kind: str) -> None:
    label_map = np.array([[1, 200]], kind)
    assert label_polygons(label_map).labels.tolist() == [1, 200]


def test_what_is_no_label_map_is_refused() -> None:
    with pytest.raises(InputError, match="label -1"):
        label_polygons(np.array([[1, -1]]))
    with pytest.raises(InputError, match="float64"):
        label_polygons(np.array([[1.0]]))
    with pytest.raises(InputError, match="label map"):
        label_polygons(np.zeros((0, 3), np.int32))


def test_lines_go_to_the_nearest_shape() -> None:
    assert fill_lines(label_map_of("1.2 1.2 ... 3.4")).tolist() == label_map_of("112 112 112 334").tolist()
    assert fill_lines(label_map_of("1....2")).tolist() == label_map_of("111222").tolist()
    assert fill_lines(label_map_of(".. ..")).tolist() == [[0, 0], [0, 0]]
    mask = label_map_of("1.1 1.1") > 0
    assert fill_lines(label_map_of("1.. 1.2"), mask).tolist() == label_map_of("1.2 1.2").tolist()
    with pytest.raises(InputError, match="that of the label map"):
        fill_lines(label_map_of("1."), np.ones((2, 2), bool))


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), height=st.integers(1, 9), width=st.integers(1, 9))
def test_filled_pixels_are_as_near_as_any(seed: int, height: int, width: int) -> None:
    """Against a breadth-first search from every shape, pixel by pixel."""
    rng = np.random.default_rng(seed)
    label_map = np.where(rng.random((height, width)) < 0.25, rng.integers(1, 6, (height, width)), 0).astype(np.int32)
    mask = rng.random((height, width)) < 0.8
    before = label_map.copy()
    filled = fill_lines(label_map, mask)
    assert np.array_equal(label_map, before) and np.array_equal(filled[label_map > 0], label_map[label_map > 0])
    steps = {label: _steps(label_map, mask, label) for label in range(1, 6)}
    nearest = np.min(list(steps.values()), axis=0)
    for row, col in np.argwhere(label_map == 0):
        if not mask[row, col] or np.isinf(nearest[row, col]):
            assert filled[row, col] == 0
        else:
            assert steps[int(filled[row, col])][row, col] == nearest[row, col]


def _steps(label_map: NDArray[np.int32], mask: NDArray[np.bool_], label: int) -> NDArray[np.float64]:
    distance = np.where(label_map == label, 0.0, np.inf)
    queue = deque(map(tuple, np.argwhere(label_map == label)))
    while queue:
        row, col = queue.popleft()
        for r, c in ((row - 1, col), (row, col - 1), (row, col + 1), (row + 1, col)):
            inside = 0 <= r < label_map.shape[0] and 0 <= c < label_map.shape[1]
            if inside and np.isinf(distance[r, c]) and label_map[r, c] == 0 and mask[r, c]:
                distance[r, c] = distance[row, col] + 1
                queue.append((r, c))
    return distance


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), height=st.integers(1, 9), width=st.integers(1, 9))
def test_neighbours_are_those_whose_polygons_share_a_length(seed: int, height: int, width: int) -> None:
    label_map = random_map(seed, height, width, 6)
    shapes = by_label(label_polygons(label_map))
    expected = [
        [a, b] for a in sorted(shapes) for b in sorted(shapes)
        if a < b and shapely.intersection(shapes[a], shapes[b]).length > 0
    ]  # fmt: skip
    pairs = neighbour_pairs(label_map)
    assert pairs.tolist() == expected
    parts = [neighbour_pairs(label_map[max(0, row - 1) : row + 1]) for row in range(height)]
    assert join_pairs(parts).tolist() == expected
    labels = np.array(sorted(shapes), np.int32)
    counts, texts = neighbours_of(labels, both_ways(pairs))
    for label, count, text in zip(labels, counts, texts, strict=True):
        others = sorted({b for a, b in expected if a == label} | {a for a, b in expected if b == label})
        assert count == len(others) and text == " ".join(map(str, others))


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), height=st.integers(1, 14), width=st.integers(1, 9), band=st.integers(1, 5))
def test_holes_are_filled_in_bands_as_at_once(seed: int, height: int, width: int, band: int) -> None:
    label_map = connected_components(random_map(seed, height, width, 2), background=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(polygons.row_bands, "__defaults__", (band * width,))
        filled = np.concatenate(list(bands_without_holes(label_map)))
    assert np.array_equal(filled, fill_holes(label_map))


def test_sums_are_those_of_scipy() -> None:
    label_map = random_map(1, 20, 30, 7)
    values = np.random.default_rng(2).random((20, 30))
    assert np.allclose(sums_of(label_map, values, 8), ndimage.sum_labels(values, label_map, range(8)))


@pytest.mark.slow
@settings(max_examples=6)
@given(seed=st.integers(0, 10_000), highest=st.integers(1, 9))
def test_larger_random_maps(seed: int, highest: int) -> None:
    label_map = random_map(seed, 90, 110, highest)
    check_coverage(label_map, label_polygons(label_map))


@pytest.mark.slow
def test_columns_beyond_16_bits() -> None:
    label_map = np.zeros((3, 70_000), np.int32)
    label_map[:, ::2] = np.arange(1, 35_001)
    check_coverage(label_map, label_polygons(label_map))


@pytest.mark.parametrize("setting", ["dynamic0_area50", "dynamic7_area400"])
def test_shapes_of_a_real_sheet(shared_data: Path, setting: str) -> None:
    stored = raster.read_mask(shared_data / "paris_atlas_1898_epm" / f"labels_{setting}.tif")
    stored = stored[:3000, :4000].astype(np.int32)
    for label_map in (stored, fill_lines(stored)):
        found = label_polygons(label_map)
        check_coverage(label_map, found)
    assert (label_map > 0).all()
    simple = shapely.coverage_simplify(found.geometries, 2.0)
    assert shapely.coverage_is_valid(simple) and shapely.is_valid(simple).all()
    assert shapely.get_num_coordinates(simple).sum() < shapely.get_num_coordinates(found.geometries).sum() / 2
    assert shapely.area(simple).sum() == pytest.approx(label_map.size, rel=1e-9)
    assert label_map.size > polygons.BAND_PIXELS
