"""Thickness, sizes and heights of the regions of a mask, against shapes whose measures are known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.measure import label, perimeter_crofton, regionprops

from unet.data.stats import mask_stats
from unet.labels import Value
from unet.shapes.measure import Shape, measure_shapes, thickness


def shape_of(mask: NDArray[Any], value: Value) -> Shape:
    return next(shape for shape in mask_stats(mask).shapes if shape.value == value)


def thick(shape: Shape) -> float:
    return thickness(shape.area, shape.perimeter)


def line(width: float, degrees: float, side: int = 300) -> NDArray[np.uint8]:
    """A line through the middle of a square, in pixels whose centres it covers."""
    rows, columns = np.indices((side, side)) - (side - 1) / 2
    angle = math.radians(degrees)
    return (np.abs(rows * math.cos(angle) - columns * math.sin(angle)) <= width / 2).astype(np.uint8)


@pytest.mark.parametrize("degrees", [0, 10, 22.5, 30, 45, 67, 90])
@pytest.mark.parametrize("width", [4, 10, 24])
def test_lines_of_any_direction_are_as_thick_as_they_are(width: int, degrees: float) -> None:
    assert thick(shape_of(line(width, degrees), 1)) == pytest.approx(width, abs=0.06 * width + 0.8), (
        "up to the pixels it is drawn in"
    )


def test_the_finest_lines() -> None:
    straight, diagonal = np.zeros((2, 200, 200), np.uint8)
    straight[90] = 1
    np.fill_diagonal(diagonal, 1)
    assert thick(shape_of(straight, 1)) == pytest.approx(1, abs=0.1)
    assert thick(shape_of(diagonal, 1)) == pytest.approx(1, abs=0.1)


def test_discs() -> None:
    rows, columns = np.indices((200, 220))
    disc = ((rows - 100) ** 2 + (columns - 100) ** 2 < 60**2).astype(np.uint8)
    found = shape_of(disc, 1)
    assert thick(found) == pytest.approx(60, rel=0.03)
    assert found.perimeter == pytest.approx(perimeter_crofton(disc, directions=4), rel=0.02)
    assert found.row == pytest.approx(0.5, abs=0.01)


def test_the_edge_of_the_picture_is_no_border() -> None:
    halves = np.zeros((100, 100), np.uint8)
    halves[:30] = 1
    assert shape_of(halves, 1).perimeter == pytest.approx(100, rel=0.06)
    assert thickness(100 * 100, 0) == math.inf
    assert shape_of(halves, 1).row == pytest.approx(0.15, abs=0.01)
    assert shape_of(np.zeros((4, 5), np.uint8), 0) == Shape(0, 20, 0.0, 0.5, ((1, 20),))


def test_regions_are_counted_by_size() -> None:
    mask = np.zeros((100, 100), np.uint8)
    mask[10:14, 10:14] = mask[14:18, 14:18] = 1  # touch at a corner: one region of 32
    mask[40:44, 10:15] = 1  # 20
    mask[40:60, 40:60] = 1  # 400
    mask[60:70, 40:60] = 2  # another class beside it
    regions = regionprops(label(mask == 1, connectivity=2))
    assert sorted(region.area for region in regions) == [20, 32, 400]
    assert shape_of(mask, 1).regions == ((1, 20), (1, 32), (1, 400))
    assert shape_of(mask, 2).regions == ((1, 200),)


def test_big_masks_are_sampled_well_enough() -> None:
    rng = np.random.default_rng(0)
    mask = np.zeros((1500, 2000), np.uint8)
    for _ in range(30):
        row, column = rng.integers(0, 1300), rng.integers(0, 1800)
        mask[row : row + 5, column : column + 180] = 1
        mask[row : row + 180, column : column + 5] = 1
    mask[:, 600:900] = 2
    assert thick(shape_of(mask, 1)) == pytest.approx(5, rel=0.15)
    ((count, area),) = shape_of(mask, 2).regions
    assert count == 1 and area == pytest.approx(300 * 1500, rel=0.05)


def test_colours() -> None:
    mask = np.zeros((60, 80, 3), np.uint8)
    mask[20:24] = (0, 128, 250)
    grey = np.zeros((60, 80), np.uint8)
    grey[20:24] = 7
    coloured, plain = shape_of(mask, (0, 128, 250)), shape_of(grey, 7)
    assert (coloured.area, coloured.perimeter, coloured.regions) == (plain.area, plain.perimeter, plain.regions)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_numbers_of_objects_are_objects_of_their_own(dtype: Any) -> None:
    mask = np.zeros((90, 90), dtype)
    for number in range(9):
        mask[10 * number : 10 * number + 10, 30:40] = number + 1  # one on the other
    found = mask_stats(mask).shapes
    assert [shape.regions for shape in found if shape.value != 0] == [((1, 100),)] * 9
    assert all(thick(shape) < 10 for shape in found if shape.value != 0)


def test_blends_count_as_what_they_were_blended_from() -> None:
    sharp = line(8, 20) * 255
    blended = sharp.astype(np.float32)
    for axis in (0, 1):
        blended = (np.roll(blended, 1, axis) + 2 * blended + np.roll(blended, -1, axis)) / 4
    grey = np.rint(blended + np.random.default_rng(0).integers(-3, 4, sharp.shape)).clip(0, 255).astype(np.uint8)
    assert len(np.unique(grey)) > 50
    found = mask_stats(grey, lossy=True).shapes
    assert len(found) == 2
    thin = min(found, key=lambda shape: shape.area)
    assert thick(thin) == pytest.approx(8, rel=0.15)


def test_class_numbers_are_no_blends() -> None:
    mask = np.repeat(np.arange(35, dtype=np.uint8), 10)[None].repeat(20, axis=0)
    mask[:2] = 255
    assert sorted(int(str(shape.value)) for shape in mask_stats(mask).shapes) == [*range(35), 255]


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1), (2, 2)])
def test_tiny_masks(size: tuple[int, int]) -> None:
    mask = np.arange(size[0] * size[1], dtype=np.uint8).reshape(size)
    values, counts = np.unique(mask, return_counts=True)
    assert sum(shape.area for shape in measure_shapes(mask, values, counts)) == mask.size
