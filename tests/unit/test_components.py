"""Connected components: drawn by hand, and against scipy's, which look at one value at a time."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from unet.labels import IGNORED
from unet.shapes.components import connected_components, foreground_components, is_single_component

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
