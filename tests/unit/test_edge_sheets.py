"""Drawn sheets of an atlas: closed outlines in the truth, gaps in the picture, a margin that does not count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label

from unet import raster
from unet.demo import engraving
from unet.demo.atlas import (
    LEAST_SHAPE,
    EdgeSheet,
    _worn_outlines,
    closed_outlines,
    draw_edge_sheet,
    enlarged,
    make_edge_sheet,
)
from unet.demo.town import plan_town
from unet.errors import DataError

SIZE = (260, 340)


@pytest.fixture(scope="module")
def sheet() -> EdgeSheet:
    return draw_edge_sheet(SIZE, seed=0, number=0)


def components(edges: NDArray[np.uint8]) -> NDArray[np.int64]:
    return np.asarray(label(edges <= 0, connectivity=1), np.int64)


def test_each_component_between_the_edges_is_a_shape(sheet: EdgeSheet) -> None:
    found = components(sheet.edges)
    within, around = np.unique(found[sheet.content]), np.unique(found[~sheet.content])
    assert sheet.shapes == np.count_nonzero(within) > 20
    assert around.tolist() == [1], "the margin is one component, and no shape leaks into it"
    assert set(np.unique(sheet.edges)) == {0, 255}
    assert np.bincount(found[sheet.content])[1:][1:].min() >= LEAST_SHAPE // 2


def test_lines_are_a_pixel_wide(sheet: EdgeSheet) -> None:
    lines = sheet.edges > 0
    assert ndimage.binary_erosion(lines, np.ones((3, 3))).sum() < 0.002 * lines.sum()
    assert 0.02 < lines[sheet.content].mean() < 0.15


def test_the_content_is_what_lies_within_the_frame(sheet: EdgeSheet) -> None:
    rows, columns = np.flatnonzero(sheet.content.any(axis=1)), np.flatnonzero(sheet.content.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1], columns[0], columns[-1]
    assert sheet.content[top : bottom + 1, left : right + 1].all() and top > 10 and SIZE[0] - 1 - bottom > 10
    for border in (sheet.edges[top, left:right], sheet.edges[bottom, left:right], sheet.edges[top:bottom, left]):
        assert (border == 255).all()
    dark = sheet.picture.mean(axis=2) < 140
    assert dark[:top].any() and dark[bottom + 6 :].any(), "title and legend"


def test_thin_lines_have_gaps_where_the_truth_is_closed() -> None:
    rng = np.random.default_rng(3)
    town = enlarged(plan_town((150, 170), rng), 2.0)
    ids = engraving.rasterise(town, (300, 340))
    drawn, worn = engraving.outlines(ids), _worn_outlines(ids, rng)
    assert (drawn & ~worn).sum() > 200, "gaps"
    street = ndimage.binary_dilation(ids == 0, iterations=2)
    assert not (drawn & ~worn & street & ~ndimage.binary_dilation(drawn & ~street, iterations=9)).any()
    _, shapes = closed_outlines(ids[1::3, 1::3])
    printed = components((worn[1::3, 1::3] * 255).astype(np.uint8))
    large = np.bincount(printed.ravel())[1:] >= LEAST_SHAPE
    assert large.sum() < shapes, "shapes run together in the picture"


def test_outlines_by_hand() -> None:
    ids = np.ones((40, 40), np.int16)
    ids[10:30, 10:30] = 2
    ids[15:18, 15:18] = 3  # too small to be a shape
    edges, shapes = closed_outlines(ids)
    expected = np.zeros((40, 40), np.uint8)
    expected[[0, -1]] = expected[:, [0, -1]] = 255
    expected[9, 10:30] = expected[29, 10:30] = expected[10:30, 9] = expected[10:30, 29] = 255
    assert shapes == 2 and np.array_equal(edges, expected)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(20, 60), st.integers(20, 60))
def test_no_component_joins_two_shapes(seed: int, kinds: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, kinds, (height // 5, width // 5)).repeat(5, axis=0).repeat(5, axis=1).astype(np.int16)
    edges, shapes = closed_outlines(ids)
    found = components(edges)
    assert found.max() == shapes
    # What belonged to a large shape is with nothing of another large one.
    parts = label(ids, connectivity=1, background=-1)
    large = np.flatnonzero(np.bincount(parts.ravel()) >= LEAST_SHAPE)
    for component in range(1, shapes + 1):
        assert np.intersect1d(np.unique(parts[found == component]), large).size <= 1


def test_files_are_those_of_one_hand(tmp_path: Path) -> None:
    made = make_edge_sheet(tmp_path, "one", size=(240, 240), seed=5, number=0)
    make_edge_sheet(tmp_path, "again", size=(240, 240), seed=5, number=0)
    assert np.array_equal(raster.read(tmp_path / "one.png"), made.picture)
    assert np.array_equal(raster.read_mask(tmp_path / "one_edges.png"), made.edges)
    assert np.array_equal(raster.read_mask(tmp_path / "one_content.png") > 0, made.content)
    for ending in (".png", "_edges.png", "_content.png"):
        assert (tmp_path / f"one{ending}").read_bytes() == (tmp_path / f"again{ending}").read_bytes()
    with pytest.raises(DataError, match="at least 240"):
        make_edge_sheet(tmp_path, "small", size=(100, 300))
