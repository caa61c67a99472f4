"""The weight map of the paper: the naive formula, gaps drawn by hand, objects that touch."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from unet.shapes.border_weights import border_weights, separate_touching


def naive(objects: NDArray[np.integer], w0: float, sigma: float) -> NDArray[np.float64]:
    """The formula as it stands: the distances of every pixel to every object."""
    labels = [label for label in np.unique(objects) if label]
    weights = np.ones(objects.shape)
    if len(labels) > 1:
        distances = np.sort([distance_transform_edt(objects != label) for label in labels], axis=0)
        weights += w0 * np.exp(-((distances[0] + distances[1]) ** 2) / (2 * sigma**2)) * (objects == 0)
    return weights


def scattered(seed: int, height: int, width: int, count: int, largest: int) -> NDArray[np.int32]:
    """Rectangles and bars, some over others, some in two pieces, with numbers that have gaps."""
    rng = np.random.default_rng(seed)
    objects = np.zeros((height, width), np.int32)
    for number in rng.permutation(np.arange(1, 200_000, 7))[:count]:
        for _ in range(rng.integers(1, 3)):
            row, column = rng.integers(height), rng.integers(width)
            tall, wide = rng.integers(1, largest + 1, 2)
            objects[row : row + tall, column : column + wide] = number
    return objects


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    count=st.integers(0, 12),
    largest=st.integers(1, 40),
    sigma=st.floats(0.5, 8),
)
def test_equals_the_naive_formula(seed: int, size: tuple[int, int], count: int, largest: int, sigma: float) -> None:
    objects = scattered(seed, *size, count, largest)
    weights = border_weights(objects, w0=10, sigma=sigma)
    assert weights.dtype == np.float32 and weights.shape == size
    np.testing.assert_allclose(weights, naive(objects, 10, sigma), atol=10 * 4e-6 + 1e-5, rtol=0)


def test_a_gap_of_two_pixels() -> None:
    objects = np.array([[5, 5, 0, 0, 9, 9]])
    in_gap = 1 + 10 * math.exp(-(3**2) / (2 * 5**2))
    assert border_weights(objects)[0].tolist() == pytest.approx([1, 1, in_gap, in_gap, 1, 1], abs=1e-5)
    base = np.array([[2, 2, 3, 3, 4, 4]], np.float32)
    assert border_weights(objects, base=base)[0].tolist() == pytest.approx(
        [2, 2, in_gap + 2, in_gap + 2, 4, 4], abs=1e-5
    )


@pytest.mark.parametrize("objects", [np.zeros((4, 5), np.uint8), np.ones((4, 5), np.uint8), np.eye(5, dtype=np.int32)])
def test_without_two_objects_there_is_no_border(objects: NDArray[np.integer]) -> None:
    assert (border_weights(objects) == 1).all()


def test_numbers_may_be_any() -> None:
    objects = np.array([[-3, 0, 2_000_000_000]], np.int32)
    assert border_weights(objects)[0, 1] == pytest.approx(1 + 10 * math.exp(-(2**2) / 50), abs=1e-5)


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), count=st.integers(0, 12), largest=st.integers(1, 20))
def test_separated_objects_do_not_touch(seed: int, count: int, largest: int) -> None:
    objects = scattered(seed, 30, 40, count, largest)
    separated = separate_touching(objects)
    kept = separated != 0
    assert (separated[kept] == objects[kept]).all()
    for row, column in np.ndindex(28, 38):
        around = separated[row : row + 3, column : column + 3]
        if around[1, 1]:
            assert set(np.unique(around)) <= {0, around[1, 1]}
    for row, column in np.argwhere(~kept & (objects != 0)):
        around = objects[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
        assert len(set(np.unique(around)) - {0}) > 1, "nothing is cut but what touches another"
