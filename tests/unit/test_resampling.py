"""Bootstrap intervals: against a plain loop, a known distribution, and at the edges."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from unet.metrics.confusion import scores
from unet.metrics.resampling import REPEATS, SCORES, confidence


def matrices(seed: int, pictures: int, classes: int = 3) -> list[NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 50, (classes, classes)) * rng.integers(0, 2, (classes, 1)) for _ in range(pictures)]


@pytest.mark.slow
def test_each_drawn_set_is_summed_and_scored() -> None:
    """The same draws, taken picture by picture; some lack a class, one counts nothing."""
    counts = [*matrices(1, 7), np.zeros((3, 3), np.int64)]
    counted = [matrix for matrix in counts if matrix.sum()]
    rng = np.random.default_rng(4)
    drawn: dict[str, list[float]] = {name: [] for name in SCORES}
    for _ in range(REPEATS):
        total = np.zeros((3, 3), np.int64)
        for matrix, times in zip(
            counted, rng.multinomial(len(counted), [1 / len(counted)] * len(counted)), strict=True
        ):
            for _ in range(times):
                total += matrix
        for name in SCORES:
            drawn[name].append(getattr(scores(total), name))
    result = json.loads(json.dumps(confidence(counts, seed=4)))
    for name in SCORES:
        assert result[name] == pytest.approx([np.percentile(drawn[name], 2.5), np.percentile(drawn[name], 97.5)])


def test_shares_of_pictures_spread_as_the_binomial_does() -> None:
    """Of 100 pictures of one pixel 80 are right: their number among 100 drawn ones is binomial."""
    right, wrong = np.array([[1, 0], [0, 0]]), np.array([[0, 1], [0, 0]])
    low, high = confidence([right] * 80 + [wrong] * 20)["pixel_accuracy"]
    expected = stats.binom.ppf([0.025, 0.975], 100, 0.8) / 100
    np.testing.assert_allclose([low, high], expected, atol=0.0151)


@pytest.mark.slow
@settings(max_examples=5)
@given(seed=st.integers(0, 1000), pictures=st.integers(2, 12))
def test_the_intervals_are_in_order_and_the_same_each_time(seed: int, pictures: int) -> None:
    counts = [matrix + 1 for matrix in matrices(seed, pictures)]
    result = confidence(counts)
    assert result == confidence(counts)
    for name in SCORES:
        low, high = result[name]
        assert 0 <= low <= high <= 1


def test_pictures_that_are_all_alike_leave_no_doubt() -> None:
    counts = [np.array([[5, 1], [2, 4]])] * 6
    result = confidence(counts)
    for name in SCORES:
        assert result[name] == pytest.approx([getattr(scores(counts[0]), name)] * 2)


@pytest.mark.parametrize("counted", [0, 1])
def test_one_picture_tells_nothing(counted: int) -> None:
    result = confidence([np.eye(2, dtype=np.int64)] * counted + [np.zeros((2, 2), np.int64)] * 3)
    assert [result[name] for name in SCORES] == [None] * 3
