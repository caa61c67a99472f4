"""Boundary scores: outlines drawn by hand, plain loops over pixels, scikit-image's Hausdorff distance, the edges."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.metrics import hausdorff_distance

from unet.errors import ConfigError
from unet.labels import IGNORED
from unet.metrics.boundary import (
    Tolerance,
    boundary_scores,
    count_boundaries,
    report_boundaries,
    sum_boundaries,
)

PIXEL = Tolerance(1.0, percent=False)


def square(top: int, left: int, side: int = 6, shape: tuple[int, int] = (20, 30)) -> NDArray[np.uint8]:
    classes = np.zeros(shape, np.uint8)
    classes[top : top + side, left : left + side] = 1
    return classes


def blocks(seed: int, classes: int, ignored: float) -> NDArray[np.uint8]:
    """Random rectangles of random classes, some pixels ignored."""
    rng = np.random.default_rng(seed)
    picture = np.kron(rng.integers(0, classes, (4, 4)), np.ones((4, 5), int)).astype(np.uint8)[: 16 - seed % 3]
    picture[rng.random(picture.shape) < ignored] = IGNORED
    return picture


def plain_boundary(classes: NDArray[np.uint8], target: NDArray[np.uint8], number: int) -> list[tuple[int, int]]:
    """Pixels of a class that touch a counted pixel of another, one by one."""
    pixels = []
    for row, column in np.ndindex(*classes.shape):
        if target[row, column] == IGNORED or classes[row, column] != number:
            continue
        for r, c in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            inside = 0 <= r < classes.shape[0] and 0 <= c < classes.shape[1]
            if inside and target[r, c] != IGNORED and classes[r, c] != number:
                pixels.append((row, column))
                break
    return pixels


def plain_distances(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> list[float]:
    return [min(math.dist(a, b) for b in second) for a in first]


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    classes=st.integers(2, 4),
    ignored=st.sampled_from([0.0, 0.1, 0.5]),
    tolerance=st.sampled_from([0.0, 1.0, 1.5, 3.0]),
)
def test_counts_are_those_of_plain_loops(seed: int, classes: int, ignored: float, tolerance: float) -> None:
    target = blocks(seed, classes, ignored)
    predicted = np.random.default_rng(seed).permutation(blocks(seed, classes, 0), axis=1)
    counts = count_boundaries(target, predicted, classes, Tolerance(tolerance, percent=False))
    for index in range(classes):
        true, other = (plain_boundary(array, target, index) for array in (target, predicted))
        assert (counts.true[index], counts.predicted[index]) == (len(true), len(other))
        if true and other:
            to_predicted, to_true = plain_distances(true, other), plain_distances(other, true)
            assert counts.matched_true[index] == sum(distance <= tolerance for distance in to_predicted)
            assert counts.matched_predicted[index] == sum(distance <= tolerance for distance in to_true)
            far = max(np.quantile(to_predicted, 0.95), np.quantile(to_true, 0.95))
            assert counts.hausdorff95[index] == pytest.approx(far)
        else:
            assert counts.matched_true[index] == counts.matched_predicted[index] == 0
            assert math.isnan(counts.hausdorff95[index]) == (not true and not other)


def test_a_square_moved_by_three_pixels() -> None:
    """Of the 20 pixels of an outline 6 lie on the other: three of the top row and three of the bottom row."""
    counts = count_boundaries(square(5, 5), square(5, 8), 2, Tolerance(0, percent=False))
    assert (counts.true[1], counts.predicted[1]) == (20, 20)
    assert counts.matched_true[1] == counts.matched_predicted[1] == 6
    assert counts.hausdorff95[1] == 3, "the 95th percentile of nearest distances"
    within = count_boundaries(square(5, 5), square(5, 8), 2, Tolerance(3, percent=False))
    scores = boundary_scores(within)
    assert scores.f[1] == scores.precision[1] == scores.recall[1] == 1


@pytest.mark.parametrize("seed", range(5))
def test_the_largest_distance_bounds_and_nearly_is_the_95th_percentile(seed: int) -> None:
    """scikit-image's distance is the largest one between the same two sets of pixels."""
    target, predicted = blocks(seed, 2, 0), blocks(seed + 30, 2, 0)
    outlines = []
    for array in (target, predicted):
        outline = np.zeros(array.shape, bool)
        outline[tuple(np.transpose(plain_boundary(array, target, 1)))] = True
        outlines.append(outline)
    hausdorff95 = count_boundaries(target, predicted, 2, PIXEL).hausdorff95[1]
    assert hausdorff95 <= hausdorff_distance(*outlines)
    few = [np.zeros((9, 40), np.uint8), np.zeros((9, 40), np.uint8)]
    few[0][4, 3], few[1][7, 3 + 5 * seed] = 1, 1  # one pixel each: all percentiles are the same
    assert count_boundaries(*few, 2, PIXEL).hausdorff95[1] == hausdorff_distance(*(array == 1 for array in few))


def test_a_perfect_prediction() -> None:
    target = blocks(3, 3, 0.1)
    scores = boundary_scores(count_boundaries(target, target, 3, Tolerance()))
    assert scores.f.tolist() == [1, 1, 1] and scores.hausdorff95.tolist() == [0, 0, 0]


def test_what_is_missed_or_made_up_has_the_diagonal_as_its_distance() -> None:
    nothing, something = np.zeros((30, 40), np.uint8), square(5, 5, shape=(30, 40))
    for target, predicted in ((something, nothing), (nothing, something)):
        counts = count_boundaries(target, predicted, 3, PIXEL)
        assert counts.hausdorff95[:2].tolist() == [50, 50] and math.isnan(counts.hausdorff95[2])
        assert counts.matched_true.sum() == counts.matched_predicted.sum() == 0
    missed = boundary_scores(count_boundaries(something, nothing, 3, PIXEL))
    assert missed.recall[1] == missed.f[1] == 0 and math.isnan(missed.precision[1])
    made_up = boundary_scores(count_boundaries(nothing, something, 3, PIXEL))
    for values in (made_up.f, made_up.precision, made_up.recall, made_up.hausdorff95):
        assert np.isnan(values).all(), "no true boundary, no score"


def test_pictures_are_summed_and_their_distances_averaged() -> None:
    right = count_boundaries(square(5, 5), square(5, 5), 2, PIXEL)
    moved = count_boundaries(square(5, 5, 10), square(5, 7, 10), 2, PIXEL)
    empty = count_boundaries(np.zeros((20, 30), np.uint8), np.zeros((20, 30), np.uint8), 2, PIXEL)
    total = sum_boundaries([right, moved, empty])
    assert total.true.tolist() == (right.true + moved.true).tolist()
    assert total.hausdorff95[1] == (0 + moved.hausdorff95[1]) / 2, "the empty picture has no distance"
    result = json.loads(json.dumps(report_boundaries([right, moved, empty], ["back", "thing"], PIXEL)))
    recall = (20 + moved.matched_true[1]) / (20 + 36)
    assert result["classes"][1]["recall"] == pytest.approx(recall)
    assert result["mean_f"] == pytest.approx(np.mean([entry["f"] for entry in result["classes"]]))
    assert result["tolerance"] == "1 px"


@pytest.mark.parametrize("fill", [0, IGNORED])
def test_nothing_to_compare(fill: int) -> None:
    target = np.full((8, 9), fill, np.uint8)
    predicted = np.zeros((8, 9), np.uint8) if fill == 0 else blocks(1, 2, 0)[:8, :9]
    result = report_boundaries([count_boundaries(target, predicted, 2, PIXEL)], ["a", "b"], PIXEL)
    assert result["mean_f"] is None and result["mean_hausdorff95"] is None


def test_the_tolerance() -> None:
    assert Tolerance.read("2") == Tolerance(2, percent=False) and Tolerance.read(" 0.75 % ") == Tolerance()
    assert Tolerance.read("0.75%").pixels((300, 400)) == 3.75
    assert Tolerance.read("0.75%").pixels((30, 40)) == 1, "a pixel at least"
    assert Tolerance.read("0").pixels((30, 40)) == 0


@pytest.mark.parametrize("text", ["", "near", "-1", "nan", "inf", "2px", "101%", "1%%", "%"])
def test_a_tolerance_that_is_none(text: str) -> None:
    with pytest.raises(ConfigError, match=r"0\.75%"):
        Tolerance.read(text)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        count_boundaries(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 2, PIXEL)
