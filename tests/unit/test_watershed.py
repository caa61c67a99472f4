"""The watershed: against a queue worked off pixel by pixel, and the program whose figures are published."""

from __future__ import annotations

import heapq
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from test_closing import edge_maps

from unet import raster
from unet.errors import InputError
from unet.shapes.closing import min_tree
from unet.shapes.watershed import filtered_watershed, flood, watershed_lines

EIGHT_NEIGHBOURS = np.ones((3, 3))


def flood_pixel_by_pixel(heights: NDArray[Any], minima: NDArray[np.integer]) -> NDArray[np.int32]:
    """Meyer's flooding with an ordinary queue: by level, then by arrival."""
    labels = minima.astype(np.int32)
    queue: list[tuple[int, int, tuple[int, int]]] = []
    queued = minima > 0

    def neighbours(row: int, column: int) -> list[tuple[int, int]]:
        near = [(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right]
        return [(r, c) for r, c in near if 0 <= r < labels.shape[0] and 0 <= c < labels.shape[1]]

    def let_queue(place: tuple[int, int], present: int) -> None:
        queued[place] = True
        heapq.heappush(queue, (max(present, int(heights[place])), int(queued.sum()), place))

    for place in np.ndindex(*labels.shape):
        if not queued[place] and any(minima[near] > 0 for near in neighbours(*place)):
            let_queue(place, 0)
    while queue:
        level, _, place = heapq.heappop(queue)
        beside = {int(labels[near]) for near in neighbours(*place)} - {0}
        if len(beside) == 1:
            labels[place] = beside.pop()
            for near in neighbours(*place):
                if not queued[near]:
                    let_queue(near, level)
    return labels


@pytest.mark.slow
@settings(max_examples=50)
@given(epm=edge_maps(), dynamic=st.integers(0, 9), area=st.integers(0, 9))
def test_the_waves_give_what_the_queue_gives(epm: NDArray[Any], dynamic: int, area: int) -> None:
    filtered, minima = min_tree(epm).closing_and_minima(dynamic, area)
    expected = flood_pixel_by_pixel(filtered, minima)
    label_map = filtered_watershed(epm, dynamic, area)
    assert label_map.dtype == np.int32
    np.testing.assert_array_equal(label_map, expected)
    np.testing.assert_array_equal(watershed_lines(filtered), expected)


@settings(max_examples=50)
@given(seed=st.integers(0, 10_000), size=st.tuples(st.integers(1, 14), st.integers(1, 14)), count=st.integers(1, 5))
def test_wide_plateaus_are_shared_in_the_order_of_the_queue(seed: int, size: tuple[int, int], count: int) -> None:
    rng = np.random.default_rng(seed)
    minima = np.zeros(size, np.int32)
    minima.flat[rng.choice(minima.size, min(count, minima.size), replace=False)] = np.arange(
        1, min(count, minima.size) + 1
    )
    heights = np.where(minima > 0, 0, rng.integers(1, 3, size)).astype(np.uint8)
    np.testing.assert_array_equal(flood(heights, minima), flood_pixel_by_pixel(heights, minima))


@pytest.mark.slow
@settings(max_examples=50)
@given(epm=edge_maps(), dynamic=st.integers(0, 9), area=st.integers(0, 9))
def test_shapes_are_connected_and_lines_part_them(epm: NDArray[Any], dynamic: int, area: int) -> None:
    label_map = filtered_watershed(epm, dynamic, area)
    assert label_map.min() >= 0
    for label in range(1, label_map.max() + 1):
        assert ndimage.label(label_map == label, EIGHT_NEIGHBOURS)[1] == 1
    framed = np.pad(label_map, 1)
    windows = np.lib.stride_tricks.sliding_window_view(framed, (3, 3)).reshape(*label_map.shape, 9)
    highest = windows.max(-1)
    lowest = np.where(windows > 0, windows, highest[..., None]).min(-1)
    assert (highest == lowest)[label_map > 0].all()  # no shape touches another one


def test_a_line_is_one_pixel_wide_whatever_the_edge() -> None:
    for width in range(1, 7):
        epm = np.zeros((9, 20), np.uint8)
        epm[:, 7 : 7 + width] = 200
        label_map = filtered_watershed(epm, 0, 10)
        assert ((label_map == 0).sum(axis=1) == 1).all()
        assert label_map[0, 0] == 1 and label_map[0, -1] == 2 and len(np.unique(label_map)) == 3
        assert (np.argmin(label_map, axis=1) == np.argmin(label_map[0])).all()  # straight
        np.testing.assert_array_equal(label_map.max(axis=1), 2)


def test_long_chains_of_contested_pixels() -> None:
    epm = np.zeros((700, 30), np.uint8)
    epm[:, 9:11] = 200  # even width: each pixel of the one column contests three of the other
    epm[300:302] = 200
    np.testing.assert_array_equal(filtered_watershed(epm, 0, 10), flood_pixel_by_pixel(epm, ndimage.label(epm == 0)[0]))


def test_more_labels_than_16_bits() -> None:
    epm = np.full((401, 401), 9, np.uint8)
    epm[::2, ::2] = 0
    label_map = filtered_watershed(epm, 0, 0)
    assert label_map.max() == 201 * 201 > 32_767
    assert label_map[-1, -1] == 201 * 201


@pytest.mark.parametrize("value", [0, 255])
def test_no_edge_at_all_and_edges_everywhere(value: int) -> None:
    np.testing.assert_array_equal(filtered_watershed(np.full((5, 6), value, np.uint8), 7, 400), np.ones((5, 6)))


def test_bad_input() -> None:
    with pytest.raises(InputError, match="dynamic -1"):
        filtered_watershed(np.zeros((3, 4), np.uint8), -1, 0)
    with pytest.raises(InputError, match="expected unsigned integers"):
        watershed_lines(np.zeros((3, 4)))


@pytest.fixture(scope="module")
def sheet(shared_data: Path) -> dict[str, NDArray[Any]]:
    folder = shared_data / "paris_atlas_1898_epm"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    names = {"epm": "epm_unet.png", "7/400": "labels_dynamic7_area400.tif"}
    return {key: raster.read(folder / name)[..., 0] for key, name in names.items()}


@pytest.mark.slow
def test_every_pixel_is_as_in_the_published_program(sheet: dict[str, NDArray[Any]]) -> None:
    label_map = filtered_watershed(sheet["epm"], 7, 400)
    assert label_map.max() == 240
    np.testing.assert_array_equal(label_map, sheet["7/400"])
