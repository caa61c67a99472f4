"""Connected components: drawn by hand, and against scipy's, which look at one value at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from unet.errors import InputError
from unet.labels import IGNORED
from unet.shapes.components import (
    Connectivity,
    connected_components,
    fill_holes,
    foreground_components,
    is_single_component,
    remove_small,
    threshold_components,
)
from unet.shapes.seams import components_in_bands

EIGHT_NEIGHBOURS = np.ones((3, 3))


def random_values(seed: int, height: int, width: int, highest: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, highest + 1, (height, width), dtype=np.uint8)


def same_partition(first: NDArray[np.integer], second: NDArray[np.integer]) -> bool:
    """Tell whether two label maps differ in nothing but the numbers that they give."""
    pairs = np.unique(np.stack([first.ravel(), second.ravel()]), axis=1)
    return all(len(np.unique(row)) == len(row) for row in pairs)


@given(
    seed=st.integers(0, 10_000),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    highest=st.integers(0, 4),
    background=st.none() | st.integers(0, 5),
    dtype=st.sampled_from([np.uint8, np.uint16, np.int32]),
)
def test_components_are_those_of_each_value_alone(
    seed: int, height: int, width: int, highest: int, background: int | None, dtype: type[np.integer]
) -> None:
    values = random_values(seed, height, width, highest).astype(dtype)
    label_map = connected_components(values, background)
    assert label_map.dtype == np.int32 and label_map.shape == values.shape
    expected, count = np.zeros(values.shape, np.int32), 0
    for value in np.unique(values):
        if value != background:
            components, more = ndimage.label(values == value, EIGHT_NEIGHBOURS)
            expected += np.where(components > 0, components + count, 0)
            count += more
    assert label_map.max() == count and ((label_map == 0) == (expected == 0)).all()
    assert same_partition(label_map, expected)
    labels, first_pixels = np.unique(label_map, return_index=True)
    assert (np.diff(first_pixels[labels > 0]) > 0).all(), "numbered by their first pixels"


def test_foreground_components_are_regions_of_one_class() -> None:
    target = np.array(
        [
            [1, 0, 0, 2, 2],
            [0, 1, 0, 2, 3],
            [0, 0, IGNORED, 0, 0],
            [1, 0, 0, 0, 3],
        ],
        np.uint8,
    )
    assert foreground_components(target).tolist() == [
        [1, 0, 0, 2, 2],
        [0, 1, 0, 2, 3],
        [0, 0, 0, 0, 0],
        [4, 0, 0, 0, 5],
    ]


@given(seed=st.integers(0, 10_000), height=st.integers(1, 8), width=st.integers(1, 8), highest=st.integers(0, 3))
def test_a_single_component_is_what_scipy_counts_as_one(seed: int, height: int, width: int, highest: int) -> None:
    mask = random_values(seed, height, width, highest) > 0
    assert is_single_component(mask) == (ndimage.label(mask, EIGHT_NEIGHBOURS)[1] == 1)


@given(
    seed=st.integers(0, 10_000),
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    threshold=st.integers(0, 3),
)
def test_threshold_components_are_scipys(seed: int, size: tuple[int, int], threshold: int) -> None:
    epm = random_values(seed, *size, 4)
    expected, count = ndimage.label(epm <= threshold)  # without diagonal neighbours
    label_map = threshold_components(epm, threshold)
    assert label_map.dtype == np.int32 and label_map.max() == count
    assert same_partition(label_map, expected) and same_partition(
        connected_components(epm <= threshold, background=0, connectivity=4), expected
    )


@given(seed=st.integers(0, 10_000), size=st.tuples(st.integers(1, 12), st.integers(1, 12)), area=st.integers(0, 9))
def test_small_components_are_removed(seed: int, size: tuple[int, int], area: int) -> None:
    label_map = connected_components(random_values(seed, *size, 2), background=0)
    kept = remove_small(label_map, area)
    areas = np.bincount(label_map.ravel())
    np.testing.assert_array_equal(kept > 0, (label_map > 0) & (areas[label_map] >= area))
    assert same_partition(kept[kept > 0], label_map[kept > 0])
    assert set(np.unique(kept)) - {0} == set(range(1, kept.max() + 1))


@given(seed=st.integers(0, 10_000), size=st.tuples(st.integers(1, 12), st.integers(1, 12)))
def test_holes_of_a_single_component_are_scipys(seed: int, size: tuple[int, int]) -> None:
    label_map = connected_components(random_values(seed, *size, 1), background=0)
    for label in range(1, label_map.max() + 1):
        alone = np.where(label_map == label, label_map, 0)
        np.testing.assert_array_equal(fill_holes(alone) > 0, ndimage.binary_fill_holes(alone))


def test_holes_belong_to_the_component_around() -> None:
    label_map = np.zeros((9, 12), np.int32)
    label_map[1:8, 1:7] = 1
    label_map[2:4, 2:4] = 0  # of 4 pixels
    label_map[5, 2:6] = 0
    label_map[5, 5] = 3  # an island in a lake: the lake stays
    label_map[1:8, 8:11] = 2
    label_map[4, 9] = 0  # of 1 pixel
    filled = fill_holes(label_map)
    assert (filled[2:4, 2:4] == 1).all() and filled[4, 9] == 2 and (filled[5, 2:5] == 0).all()
    assert (filled != label_map).sum() == 5
    assert (fill_holes(label_map, area=3) != label_map).sum() == 1


def test_negative_areas() -> None:
    for function in (remove_small, fill_holes):
        with pytest.raises(InputError, match="area -1; expected 0 or more"):
            function(np.zeros((2, 2), np.int32), -1)


@pytest.mark.slow
@given(
    seed=st.integers(0, 10_000),
    size=st.tuples(st.integers(1, 14), st.integers(1, 12)),
    highest=st.integers(0, 3),
    share=st.sampled_from([1.0, 0.6, 0.2]),
    background=st.none() | st.integers(0, 3),
    connectivity=st.sampled_from([4, 8]),
    cuts=st.sets(st.integers(1, 13)),
    area=st.integers(0, 6),
)
def test_bands_give_what_the_whole_gives(
    seed: int,
    size: tuple[int, int],
    highest: int,
    share: float,
    background: int | None,
    connectivity: Connectivity,
    cuts: set[int],
    area: int,
) -> None:
    values = random_values(seed, *size, highest)
    values[np.random.default_rng(seed).random(size) >= share] = 0  # large components that wind about
    places = sorted(cut for cut in cuts if cut < size[0])
    expected = connected_components(values, background, connectivity)

    found = components_in_bands(lambda: np.split(values, places), background, connectivity)
    label_map = np.concatenate(list(found.label_bands()))
    np.testing.assert_array_equal(label_map, expected)
    assert label_map.dtype == np.int32 and found.count == expected.max()
    np.testing.assert_array_equal(found.areas, np.bincount(expected.ravel(), minlength=1)[1:])
    np.testing.assert_array_equal(found.values[label_map[label_map > 0] - 1], values[label_map > 0])

    large = components_in_bands(lambda: iter(np.split(values, places)), background, connectivity, min_area=area)
    np.testing.assert_array_equal(np.concatenate(list(large.label_bands())), remove_small(expected, area))
    assert (large.areas >= area).all() and large.count == large.areas.size == large.values.size


def test_a_spiral_through_all_bands() -> None:
    spiral = np.zeros((41, 41), bool)
    top, left, bottom, right = 0, 0, 40, 40
    while top < bottom:
        spiral[top, left : right + 1] = spiral[top : bottom + 1, right] = spiral[bottom, left : right + 1] = True
        spiral[top + 2 : bottom + 1, left] = True
        spiral[top + 2, left : left + 2] = True
        top, left, bottom, right = top + 2, left + 2, bottom - 2, right - 2
    expected = connected_components(spiral, background=0, connectivity=4)
    found = components_in_bands(lambda: (row[None] for row in spiral), background=0, connectivity=4)
    assert found.count == expected.max()
    np.testing.assert_array_equal(np.concatenate(list(found.label_bands())), expected)
