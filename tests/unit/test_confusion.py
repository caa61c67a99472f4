"""The confusion matrix and its scores: by hand, against scikit-image-free plain counting, and at the edges."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unet.labels import IGNORED
from unet.metrics.confusion import confusion, report, scores


def test_counts_drawn_by_hand() -> None:
    target = np.array([[0, 0, 1], [1, 2, IGNORED]], dtype=np.uint8)
    predicted = np.array([[0, 1, 1], [1, 0, 2]], dtype=np.uint8)
    assert confusion(target, predicted, 3).tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]


def test_scores_drawn_by_hand() -> None:
    result = scores(np.array([[1, 1, 0], [0, 2, 0], [1, 0, 0]]))
    np.testing.assert_allclose(result.iou, [1 / 3, 2 / 3, 0])
    np.testing.assert_allclose(result.dice, [2 / 4, 4 / 5, 0])
    np.testing.assert_allclose(result.precision, [1 / 2, 2 / 3, math.nan])
    np.testing.assert_allclose(result.recall, [1 / 2, 1, 0])
    assert result.pixel_accuracy == 3 / 5
    assert result.mean_iou == pytest.approx(1 / 3)
    assert result.mean_iou_without(0) == pytest.approx(1 / 3)
    assert result.mean_accuracy == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert result.frequency_weighted_iou == pytest.approx((2 * 1 / 3 + 2 * 2 / 3 + 1 * 0) / 5)


def test_absent_classes_do_not_enter_the_mean() -> None:
    """A class that never occurs is undefined, also where it was predicted by mistake."""
    result = scores(np.array([[3, 0, 1], [0, 0, 0], [0, 0, 0]]))
    assert math.isnan(result.iou[1]) and math.isnan(result.iou[2])
    assert result.mean_iou == 0.75
    assert math.isnan(result.mean_iou_without(0)) and math.isnan(result.mean_iou_without(None))
    assert result.mean_accuracy == result.frequency_weighted_iou == 0.75


def test_nothing_counted_is_undefined_everywhere() -> None:
    result = scores(np.zeros((2, 2), dtype=np.int64))
    assert math.isnan(result.mean_iou) and math.isnan(result.pixel_accuracy)
    assert math.isnan(result.mean_accuracy) and math.isnan(result.frequency_weighted_iou)


@given(st.integers(2, 6), st.integers(0, 10_000))
def test_every_counted_pixel_is_counted_once(classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    target = rng.integers(0, classes, (9, 11), dtype=np.uint8)
    predicted = rng.integers(0, classes, (9, 11), dtype=np.uint8)
    target[rng.random((9, 11)) < 0.3] = IGNORED
    counts = confusion(target, predicted, classes)
    expected = [[int(((target == t) & (predicted == p)).sum()) for p in range(classes)] for t in range(classes)]
    assert counts.tolist() == expected


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        confusion(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 2)


def test_report_is_json_with_the_worst_picture_first() -> None:
    good, bad = np.array([[5, 0], [0, 5]]), np.array([[0, 5], [5, 0]])
    empty = np.zeros((2, 2), dtype=np.int64)
    descriptions = [{"name": name} for name in ("good", "empty", "bad")]
    result = json.loads(json.dumps(report([good, empty, bad], ["a", "b"], descriptions), allow_nan=False))
    assert [image["name"] for image in result["images"]] == ["bad", "good", "empty"]
    assert result["images"][2]["mean_iou"] is None
    assert result["mean_iou"] == pytest.approx(1 / 3)
    assert [entry["pixels"] for entry in result["classes"]] == [10, 10]
