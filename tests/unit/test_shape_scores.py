"""Scores of shapes: maps drawn by hand, a brute-force reference, what must not matter, the published figures."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from unet import raster
from unet.errors import ConfigError, InputError
from unet.shapes.components import threshold_components
from unet.shapes.joint_counts import joint_counts
from unet.shapes.scores import NO_MATCH, ShapeScores, score_counts, shape_scores

Map = NDArray[np.integer]
NUMBERS = ("labels_gt", "labels_pred", "tp", "fp", "fn", "precision", "recall", "f1", "pq", "sq", "rq", "f_auc")


def numbers(scores: ShapeScores) -> dict[str, float | None]:
    found = scores.to_dict()
    return {name: found[name] for name in NUMBERS}


def best_iou(map_: Map, label: int, other: Map, candidates: list[int]) -> float:
    """The IoU of the shape with the largest intersection, of equals the largest, by masks of whole pictures."""
    shape = map_ == label
    best = (0, 0.0)
    for candidate in candidates:
        overlap = int((shape & (other == candidate)).sum())
        if overlap:
            best = max(best, (overlap, overlap / int((shape | (other == candidate)).sum())))
    return best[1]


def brute_force(truth: Map, prediction: Map, mask: Map, background: bool, iou: float) -> dict[str, float | None]:
    truth, prediction = np.where(mask == 0, 0, truth), np.where(mask == 0, 0, prediction)
    wanted, found = ([int(v) for v in np.unique(m) if v or background] for m in (truth, prediction))
    recalled = [best_iou(truth, label, prediction, found) for label in wanted]
    precise = [best_iou(prediction, label, truth, wanted) for label in found]
    if not wanted + found:
        return {**dict.fromkeys(NUMBERS), "labels_gt": 0, "labels_pred": 0, "tp": 0, "fp": 0, "fn": 0}

    def f(threshold: float) -> float:
        p = sum(x > threshold for x in precise) / max(1, len(precise))
        r = sum(x > threshold for x in recalled) / max(1, len(recalled))
        return 2 * p * r / (p + r) if p + r else 0.0

    tp = sum(x > iou for x in recalled)
    fp, fn = len(found) - tp, len(wanted) - tp
    observed = sorted({x for x in recalled + precise if x >= 0.5})
    return {
        "labels_gt": len(wanted), "labels_pred": len(found), "tp": tp, "fp": fp, "fn": fn,
        "precision": tp / len(found) if found else None, "recall": tp / len(wanted) if wanted else None,
        "f1": tp / (tp + fp / 2 + fn / 2),
        "pq": sum(x for x in recalled if x > iou) / (tp + fp / 2 + fn / 2),
        "sq": sum(x for x in recalled if x > iou) / tp if tp else 0.0,
        "rq": tp / (tp + fp / 2 + fn / 2),
        "f_auc": sum((b - a) * (f(a) + f(b)) / 2 for a, b in itertools.pairwise(observed)),
    }  # fmt: skip


maps = st.integers(1, 7).flatmap(
    lambda height: st.integers(1, 9).flatmap(
        lambda width: st.tuples(
            *(arrays(np.int32, (height, width), elements=st.integers(0, most)) for most in (5, 5, 1))
        )
    )
)


@settings(max_examples=40)
@given(maps=maps, background=st.booleans(), iou=st.sampled_from([0.5, 0.6, 0.75]))
def test_equals_brute_force(maps: tuple[Map, Map, Map], background: bool, iou: float) -> None:
    expected = brute_force(*maps, background, iou)
    assert numbers(shape_scores(*maps, background, iou)) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=40)
@given(maps=maps, background=st.booleans(), seed=st.integers(0, 99))
def test_numbers_of_shapes_and_order_of_pixels_make_no_difference(
    maps: tuple[Map, Map, Map], background: bool, seed: int
) -> None:
    truth, prediction, mask = maps
    rng = np.random.default_rng(seed)
    others = [np.concatenate([[0], rng.choice(2**31 - 2, 5, replace=False) + 1]) for _ in range(2)]
    order = rng.permutation(truth.size)
    again = [m.ravel()[order][None] for m in (others[0][truth], others[1][prediction], mask)]
    expected = numbers(shape_scores(truth, prediction, mask, background))
    assert numbers(shape_scores(*again, background)) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=40)
@given(maps=maps, background=st.booleans())
def test_bounds_symmetry_and_identity(maps: tuple[Map, Map, Map], background: bool) -> None:
    truth, prediction, mask = maps
    scores = shape_scores(truth, prediction, mask, background)
    swapped = shape_scores(prediction, truth, mask, background)
    assert (scores.fp, scores.fn, scores.precision) == (swapped.fn, swapped.fp, swapped.recall)
    assert np.count_nonzero(scores.prediction.iou > 0.5) == scores.tp
    if scores.pq is not None:
        assert scores.pq == pytest.approx(scores.sq * scores.rq) and 0 <= scores.pq <= scores.rq <= 1
        assert swapped.pq == pytest.approx(scores.pq) and scores.f1 == scores.rq
        assert 0 <= scores.f_auc <= 0.5
    same = shape_scores(truth, truth, mask, background)
    assert same.fp == same.fn == 0 and (same.pq == 1 or same.labels_gt == 0)


@settings(max_examples=30)
@given(maps=maps, rows=st.integers(0, 7), background=st.booleans())
def test_counts_of_parts_add_up(maps: tuple[Map, Map, Map], rows: int, background: bool) -> None:
    parts = [joint_counts(*(m[part] for m in maps)) for part in (slice(None, rows), slice(rows, None))]
    whole = joint_counts(*maps)
    together = parts[0] + parts[1]
    for name in ("truth", "prediction", "pixels"):
        assert np.array_equal(getattr(together, name), getattr(whole, name))
    assert numbers(score_counts(together, background)) == numbers(shape_scores(*maps, background))


def test_drawn_by_hand() -> None:
    truth = np.array([[1, 1, 1, 1, 0, 2, 2, 0, 3, 3]])
    prediction = np.array([[5, 5, 5, 0, 0, 6, 0, 0, 8, 8]])
    scores = shape_scores(truth, prediction)
    assert scores.truth.iou.tolist() == [0.75, 0.5, 1.0] and scores.truth.match.tolist() == [5, 6, 8]
    assert (scores.tp, scores.fp, scores.fn) == (2, 1, 1)  # 0.5 is not greater than 0.5
    assert (scores.sq, scores.rq) == (0.875, 2 / 3) and scores.pq == pytest.approx(0.875 * 2 / 3)
    # Observed from 0.5: 0.5, 0.75, 1 with F 2/3, 1/3, 0.
    assert scores.curve.iou.tolist() == [0.5, 0.75, 1.0]
    assert scores.curve.f.tolist() == pytest.approx([2 / 3, 1 / 3, 0])
    assert scores.f_auc == pytest.approx(0.25 * (2 / 3 + 1 / 3) / 2 + 0.25 * (1 / 3) / 2)
    assert [row["f"] for row in scores.to_dict()["table"]] == pytest.approx([2 / 3, 2 / 3, 1 / 3, 1 / 3])
    with_zero = shape_scores(truth, prediction, count_background=True)
    assert (with_zero.labels_gt, with_zero.labels_pred, with_zero.tp) == (4, 4, 2)  # 0: 2 of 4 pixels, IoU 0.5
    assert with_zero.truth.labels.tolist() == [0, 1, 2, 3] and with_zero.truth.iou[0] == 0.5


def test_of_equal_intersections_the_largest_iou_counts() -> None:
    truth = np.array([[1, 1, 0, 0], [1, 1, 0, 0]])
    prediction = np.array([[7, 7, 7, 0], [4, 4, 0, 0]])
    scores = shape_scores(truth, prediction)
    assert (scores.truth.match.tolist(), scores.truth.iou.tolist()) == ([4], [0.5])
    tied = shape_scores(truth, np.array([[7, 7, 0, 0], [4, 4, 0, 0]]))
    assert (tied.truth.match.tolist(), tied.truth.iou.tolist()) == ([4], [0.5])


def test_the_largest_intersection_counts_though_another_iou_is_larger() -> None:
    truth = np.array([[1] * 10 + [0] * 20])
    prediction = np.array([[3] * 4 + [2] * 26])
    scores = shape_scores(truth, prediction)
    assert scores.truth.match.tolist() == [2] and scores.truth.iou.tolist() == [6 / 30]  # 3 has 4 / 10


def test_what_the_mask_hides_counts_nowhere() -> None:
    truth, prediction = np.array([[1, 1, 1, 2]]), np.array([[1, 1, 9, 9]])
    mask = np.array([[255, 255, 0, 0]])
    scores = shape_scores(truth, prediction, mask)
    assert (scores.labels_gt, scores.labels_pred, scores.pq) == (1, 1, 1.0)
    assert shape_scores(truth, prediction, mask, True).labels_gt == 2


@pytest.mark.parametrize("background", [False, True])
def test_no_shapes(background: bool) -> None:
    """Nothing is defined where there is nothing; nothing found is 0, not undefined."""
    none, some = np.zeros((2, 3), int), np.array([[1, 1, 0], [0, 2, 2]])
    if background:
        scores = shape_scores(none, none, count_background=True)
        assert (scores.labels_gt, scores.pq, scores.f_auc) == (1, 1.0, 0.0)
        return
    nothing = numbers(shape_scores(none, none))
    assert {name for name, value in nothing.items() if value is None} == set(NUMBERS) - {
        *("labels_gt", "labels_pred", "tp", "fp", "fn")
    }
    missed = numbers(shape_scores(some, none))
    assert missed["precision"] is None and missed["fn"] == 2
    invented = numbers(shape_scores(none, some))
    assert invented["recall"] is None and invented["fp"] == 2
    for found in (missed, invented):
        assert [found[name] for name in ("pq", "sq", "rq", "f1", "f_auc", "tp")] == [0] * 6
    assert json.loads(json.dumps(shape_scores(none, none).to_dict(), allow_nan=False))["pq"] is None
    json.dumps(shape_scores(some, none).to_dict(), allow_nan=False)
    apart = shape_scores(np.array([[1, 0]]), np.array([[0, 1]]))
    assert apart.truth.match.tolist() == [NO_MATCH] and apart.pq == 0


def test_maps_without_pixels() -> None:
    empty = np.zeros((0, 5), int)
    assert shape_scores(empty, empty, count_background=True).labels_gt == 0


def test_any_integers_and_large_labels() -> None:
    truth = np.array([[2**31, 2**31, 0]], dtype=np.uint32)
    for prediction in (truth.astype(np.int64), np.array([[1, 1, 0]], np.uint8), np.array([[True, True, False]])):
        assert shape_scores(truth, prediction).pq == 1


def test_refused() -> None:
    labels = np.ones((2, 3), int)
    with pytest.raises(InputError, match="predicted shapes of 2 x 3 pixels; expected 3 x 2 pixels"):
        shape_scores(labels, labels.T)
    with pytest.raises(InputError, match="content mask of 3 x 4"):
        shape_scores(labels, labels, np.ones((4, 3)))
    with pytest.raises(InputError, match="with label -1"):
        shape_scores(labels, -labels)
    with pytest.raises(InputError, match="true shapes as float64"):
        shape_scores(labels.astype(float), labels)
    for iou in (0.49, 1.0, -1, math.nan):
        with pytest.raises(ConfigError, match=r"from 0\.5 to below 1"):
            shape_scores(labels, labels, iou=iou)


def test_bands_of_rows_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    truth, prediction = (np.kron(rng.integers(0, 9, (12, 9)), np.ones((3, 3), int)) for _ in range(2))
    mask = rng.integers(0, 3, truth.shape)
    expected = numbers(shape_scores(truth, prediction, mask))
    monkeypatch.setattr("unet.shapes.joint_counts._BAND_PIXELS", 100)
    assert numbers(shape_scores(truth, prediction, mask)) == expected


@pytest.mark.slow
def test_a_hundred_thousand_shapes() -> None:
    """Squares of 4 x 4 against the same moved by one pixel: 12 of 20 pixels are shared."""
    side = 320
    truth = np.kron(np.arange(side * side, dtype=np.int32).reshape(side, side) + 1, np.ones((4, 4), np.int32))
    moved = np.zeros_like(truth)
    moved[:, 1:] = truth[:, :-1]
    scores = shape_scores(truth, moved)
    assert scores.labels_gt == scores.labels_pred == side * side
    assert scores.tp == side * side  # those at the right edge: 12 of 16
    assert scores.sq == pytest.approx(((side - 1) * 0.6 + 0.75) / side)


PUBLISHED = {"labels_pred": 493, "tp": 357, "fp": 136, "fn": 2479, "labels_gt": 2836}


def test_the_published_figures(shared_data: Path) -> None:
    """The U-Net of the atlas of Paris on the sheet of 1898, dynamic 0, area 50; label 0 is one of the shapes."""
    sheet = shared_data / "paris_atlas_1898_epm"
    truth = threshold_components(raster.read_mask(sheet / "edges.png"))
    prediction = raster.read_mask(sheet / "labels_dynamic0_area50.tif")
    mask = raster.read_mask(sheet / "content_mask.png")
    found = numbers(shape_scores(truth, prediction, mask, count_background=True))
    assert {name: found[name] for name in PUBLISHED} == PUBLISHED
    assert [f"{found[name]:.3f}" for name in ("pq", "sq", "rq", "f_auc")] == ["0.183", "0.852", "0.214", "0.075"]
    without = numbers(shape_scores(truth, prediction, mask))
    assert (without["labels_gt"], without["labels_pred"], without["tp"]) == (2835, 492, 356)
