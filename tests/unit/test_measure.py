"""Thickness, sizes and heights of the regions of a mask, against shapes whose measures are known."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.measure import label, perimeter_crofton, regionprops

from unet.data.stats import mask_stats
from unet.labels import Value
from unet.shapes.measure import RegionProps, region_props, thickness


def props_of(mask: NDArray[Any], value: Value) -> RegionProps:
    return next(props for props in mask_stats(mask).shapes if props.value == value)


def thickness_of(props: RegionProps) -> float:
    return thickness(props.area, props.perimeter_crofton)


def line(width: float, degrees: float, side: int = 300) -> NDArray[np.uint8]:
    """A line through the middle of a square, in pixels whose centres it covers."""
    rows, columns = np.indices((side, side)) - (side - 1) / 2
    angle = math.radians(degrees)
    return (np.abs(rows * math.cos(angle) - columns * math.sin(angle)) <= width / 2).astype(np.uint8)


@pytest.mark.parametrize("degrees", [0, 10, 22.5, 30, 45, 67, 90])
@pytest.mark.parametrize("width", [4, 10, 24])
def test_lines_of_any_direction_are_as_thick_as_they_are(width: int, degrees: float) -> None:
    assert thickness_of(props_of(line(width, degrees), 1)) == pytest.approx(width, abs=0.06 * width + 0.8), (
        "up to the pixels it is drawn in"
    )


def test_the_finest_lines() -> None:
    straight, diagonal = np.zeros((2, 200, 200), np.uint8)
    straight[90] = 1
    np.fill_diagonal(diagonal, 1)
    assert thickness_of(props_of(straight, 1)) == pytest.approx(1, abs=0.1)
    assert thickness_of(props_of(diagonal, 1)) == pytest.approx(1, abs=0.1)


def test_discs() -> None:
    rows, columns = np.indices((200, 220))
    disc = ((rows - 100) ** 2 + (columns - 100) ** 2 < 60**2).astype(np.uint8)
    props = props_of(disc, 1)
    assert thickness_of(props) == pytest.approx(60, rel=0.03)
    assert props.perimeter_crofton == pytest.approx(perimeter_crofton(disc, directions=4), rel=0.02)
    assert props.centroid_row == pytest.approx(0.5, abs=0.01)


def test_the_edge_of_the_picture_is_no_border() -> None:
    halves = np.zeros((100, 100), np.uint8)
    halves[:30] = 1
    assert props_of(halves, 1).perimeter_crofton == pytest.approx(100, rel=0.06)
    assert thickness(100 * 100, 0) == math.inf
    assert props_of(halves, 1).centroid_row == pytest.approx(0.15, abs=0.01)
    assert props_of(np.zeros((4, 5), np.uint8), 0) == RegionProps(0, 20, 0.0, 0.5, ((1, 20),))


def test_regions_are_counted_by_size() -> None:
    mask = np.zeros((100, 100), np.uint8)
    mask[10:14, 10:14] = mask[14:18, 14:18] = 1  # touch at a corner: one region of 32
    mask[40:44, 10:15] = 1  # 20
    mask[40:60, 40:60] = 1  # 400
    mask[60:70, 40:60] = 2  # another class beside it
    regions = regionprops(label(mask == 1, connectivity=2))
    assert sorted(region.area for region in regions) == [20, 32, 400]
    assert props_of(mask, 1).components == ((1, 20), (1, 32), (1, 400))
    assert props_of(mask, 2).components == ((1, 200),)


def test_big_masks_are_sampled_well_enough() -> None:
    rng = np.random.default_rng(0)
    mask = np.zeros((1500, 2000), np.uint8)
    for _ in range(30):
        row, column = rng.integers(0, 1300), rng.integers(0, 1800)
        mask[row : row + 5, column : column + 180] = 1
        mask[row : row + 180, column : column + 5] = 1
    mask[:, 600:900] = 2
    assert thickness_of(props_of(mask, 1)) == pytest.approx(5, rel=0.15)
    ((count, area),) = props_of(mask, 2).components
    assert count == 1 and area == pytest.approx(300 * 1500, rel=0.05)


def test_colours() -> None:
    mask = np.zeros((60, 80, 3), np.uint8)
    mask[20:24] = (0, 128, 250)
    grey = np.zeros((60, 80), np.uint8)
    grey[20:24] = 7
    coloured, plain = props_of(mask, (0, 128, 250)), props_of(grey, 7)
    assert replace(coloured, value=7) == plain


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_numbers_of_objects_are_objects_of_their_own(dtype: Any) -> None:
    mask = np.zeros((90, 90), dtype)
    for number in range(9):
        mask[10 * number : 10 * number + 10, 30:40] = number + 1  # one on the other
    regions = mask_stats(mask).shapes
    assert [props.components for props in regions if props.value != 0] == [((1, 100),)] * 9
    assert all(thickness_of(props) < 10 for props in regions if props.value != 0)


def test_blends_count_as_what_they_were_blended_from() -> None:
    sharp = line(8, 20) * 255
    blended = sharp.astype(np.float32)
    for axis in (0, 1):
        blended = (np.roll(blended, 1, axis) + 2 * blended + np.roll(blended, -1, axis)) / 4
    grey = np.rint(blended + np.random.default_rng(0).integers(-3, 4, sharp.shape)).clip(0, 255).astype(np.uint8)
    assert len(np.unique(grey)) > 50
    regions = mask_stats(grey, lossy=True).shapes
    assert len(regions) == 2
    thin = min(regions, key=lambda props: props.area)
    assert thickness_of(thin) == pytest.approx(8, rel=0.15)


def test_class_numbers_are_no_blends() -> None:
    mask = np.repeat(np.arange(35, dtype=np.uint8), 10)[None].repeat(20, axis=0)
    mask[:2] = 255
    assert sorted(int(str(props.value)) for props in mask_stats(mask).shapes) == [*range(35), 255]


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1), (2, 2)])
def test_tiny_masks(size: tuple[int, int]) -> None:
    mask = np.arange(size[0] * size[1], dtype=np.uint8).reshape(size)
    values, counts = np.unique(mask, return_counts=True)
    assert sum(props.area for props in region_props(mask, values, counts)) == mask.size
