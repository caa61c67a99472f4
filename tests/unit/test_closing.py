"""The joint closing and its tree: drawn by hand, and against level sets looked at one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import area_closing

from unet.errors import InputError
from unet.shapes.closing import joint_closing, min_tree

EIGHT_NEIGHBOURS = np.ones((3, 3))


@st.composite
def edge_maps(draw: st.DrawFn, smallest: int = 1) -> NDArray[Any]:
    """Small maps in which few levels occur, or many; 1 x N and N x 1 among them."""
    height, width = draw(st.integers(smallest, 12)), draw(st.integers(smallest, 12))
    seed, highest = draw(st.integers(0, 100_000)), draw(st.sampled_from([0, 1, 2, 4, 9, 255]))
    rng = np.random.default_rng(seed)
    epm = rng.integers(0, highest + 1, (height, width)) + draw(st.sampled_from([0, 0, 1]))
    epm[rng.random(epm.shape) < draw(st.sampled_from([0, 0.5, 0.8]))] = 0
    return np.clip(epm, 0, 255).astype(draw(st.sampled_from([np.uint8, np.uint16])))


def closing_of_level_sets(epm: NDArray[Any], dynamic: int, area: int) -> NDArray[Any]:
    """The definition, literally: at each level, from the lowest, which components stand that did not before?"""
    filtered = np.full(epm.shape, epm.max())
    open_yet = np.ones(epm.shape, dtype=bool)
    for level in np.unique(epm):
        components, count = ndimage.label(epm <= level, EIGHT_NEIGHBOURS)
        for number in range(1, count + 1):
            basin = components == number
            height = epm[basin].max()
            if basin.sum() >= area and int(height) - int(epm[basin].min()) >= dynamic:
                filtered[basin & open_yet] = height
                open_yet[basin] = False
    return filtered


@pytest.mark.slow
@settings(max_examples=40)
@given(epm=edge_maps(), dynamic=st.integers(0, 12), area=st.integers(0, 30))
def test_the_closing_is_that_of_the_definition(epm: NDArray[Any], dynamic: int, area: int) -> None:
    filtered = joint_closing(epm, dynamic, area)
    assert filtered.dtype == epm.dtype
    np.testing.assert_array_equal(filtered, closing_of_level_sets(epm, dynamic, area))


@pytest.mark.slow
@settings(max_examples=40)
@given(epm=edge_maps(smallest=3), area=st.integers(1, 30))  # scikit-image's takes no smaller ones
def test_without_a_dynamic_it_is_the_area_closing(epm: NDArray[Any], area: int) -> None:
    filtered = joint_closing(epm, 0, area)
    np.testing.assert_array_equal(filtered, area_closing(epm, min(area, epm.size), connectivity=2))


@pytest.mark.slow
@settings(max_examples=20)
@given(epm=edge_maps(), dynamic=st.integers(0, 12), area=st.integers(0, 30))
def test_a_closing_raises_and_closes_once(epm: NDArray[Any], dynamic: int, area: int) -> None:
    filtered = joint_closing(epm, dynamic, area)
    assert (filtered >= epm).all()
    assert (joint_closing(epm, dynamic, area + 1) >= filtered).all()
    assert (joint_closing(epm, dynamic + 1, area) >= filtered).all()
    np.testing.assert_array_equal(joint_closing(epm, 0, 0), epm)
    np.testing.assert_array_equal(joint_closing(filtered, 0, area), filtered)


@pytest.mark.slow
@settings(max_examples=40)
@given(epm=edge_maps(), dynamic=st.integers(0, 12), area=st.integers(0, 30))
def test_minima_are_those_of_the_filtered_map(epm: NDArray[Any], dynamic: int, area: int) -> None:
    filtered, minima = min_tree(epm).closing_and_minima(dynamic, area)
    expected, count = np.zeros(epm.shape, dtype=int), 0
    for level in np.unique(filtered):  # a plateau without a lower neighbour
        plateaus, found = ndimage.label(filtered == level, EIGHT_NEIGHBOURS)
        for number in range(1, found + 1):
            beside = ndimage.binary_dilation(plateaus == number, EIGHT_NEIGHBOURS)
            if filtered[beside].min() == level:
                count += 1
                expected[plateaus == number] = count
    assert minima.dtype == np.int32 and minima.max() == count
    np.testing.assert_array_equal(minima > 0, expected > 0)
    pairs = np.unique(np.stack([minima.ravel(), expected.ravel()]), axis=1)
    assert pairs.shape[1] == len(np.unique(pairs[0])) == len(np.unique(pairs[1]))
    _, first = np.unique(minima[minima > 0], return_index=True)
    assert (np.diff(first) > 0).all()  # numbered in raster order


@settings(max_examples=40)
@given(epm=edge_maps())
def test_what_the_tree_says_of_a_basin(epm: NDArray[Any]) -> None:
    tree = min_tree(epm)
    nodes = np.arange(tree.parent.size)
    assert (tree.parent[:-1] > nodes[:-1]).all() and tree.parent[-1] == nodes[-1]
    assert (tree.level[tree.parent][:-1] > tree.level[:-1]).all()
    np.testing.assert_array_equal(tree.level[tree.node_map], epm)
    flat = epm.ravel()
    for node in nodes:
        inside, grown = np.isin(nodes, node), True
        while grown:
            more = inside | inside[tree.parent]
            inside, grown = more, bool((more != inside).any())
        pixels = np.flatnonzero(inside[tree.node_map.ravel()])
        assert (tree.area[node], tree.first[node]) == (pixels.size, pixels.min())
        assert (tree.minimum[node], tree.level[node]) == (flat[pixels].min(), flat[pixels].max())


def test_both_must_hold_at_one_level() -> None:
    epm = np.array([[9, 0, 6, 6, 6, 9, 5, 5, 5, 5, 9, 9]], dtype=np.uint8)
    # Deep enough at 6, and large enough there (4 pixels); the right one is large enough at 5, and deep never.
    np.testing.assert_array_equal(joint_closing(epm, 5, 4)[0], [9, 6, 6, 6, 6, 9, 9, 9, 9, 9, 9, 9])
    # By area alone, then by dynamic alone, nothing at all would be left of the left one.
    np.testing.assert_array_equal(joint_closing(joint_closing(epm, 0, 4), 5, 0)[0], np.full(12, 9))


@pytest.mark.parametrize("value", [0, 7, 255])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (5, 4)])
def test_a_constant_map_is_one_basin(value: int, size: tuple[int, int]) -> None:
    epm = np.full(size, value, np.uint8)
    filtered, minima = min_tree(epm).closing_and_minima(7, 400)
    np.testing.assert_array_equal(filtered, epm)
    np.testing.assert_array_equal(minima, np.ones(size))


def test_a_map_from_a_file_and_slices_of_one(tmp_path: Any) -> None:
    epm = np.random.default_rng(0).integers(0, 5, (30, 40), dtype=np.uint8)
    np.save(tmp_path / "epm.npy", epm)
    mapped = np.load(tmp_path / "epm.npy", mmap_mode="r")
    np.testing.assert_array_equal(joint_closing(mapped, 1, 9), joint_closing(epm, 1, 9))
    for part in (np.s_[::2, 3:], np.s_[:, ::-1]):
        np.testing.assert_array_equal(joint_closing(mapped[part], 1, 9), joint_closing(epm[part].copy(), 1, 9))
    np.testing.assert_array_equal(joint_closing(epm.T, 1, 9), joint_closing(epm, 1, 9).T)


def test_bad_input() -> None:
    epm = np.zeros((3, 4), np.uint8)
    with pytest.raises(InputError, match="dynamic -1; expected 0 or more"):
        joint_closing(epm, -1, 0)
    with pytest.raises(InputError, match="area -5; expected 0 or more"):
        min_tree(epm).closing_and_minima(0, -5)
    for bad in (np.zeros((3, 4, 3), np.uint8), np.zeros((3, 4)), np.zeros((0, 4), np.uint8)):
        with pytest.raises(InputError, match="expected unsigned integers"):
            joint_closing(bad, 0, 0)
