"""How well a label map agrees with the true one, shape by shape: counted once, scored many ways.

All scores follow from how many pixels each pair of labels shares, which is kept sparse: memory grows with the pairs
that touch, not with the product of both numbers of shapes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.errors import ConfigError
from unet.shapes.joint_counts import JointCounts, joint_counts

TABLE_IOUS = (0.5, 0.7, 0.8, 0.9)
"""The IoU thresholds of the table."""

AREA_FROM = 0.5
"""The area under F is taken from this IoU."""

NO_MATCH = -1
"""Stands for the label of the best match of a shape that shares no pixel with any other."""


@dataclass(frozen=True, eq=False)
class Matches:
    """The shapes of one label map, each with its best match in the other.

    Attributes
    ----------
    labels : int64 array (N,)
        In rising order.
    areas : int64 array (N,)
        Pixels inside the content mask.
    match : int64 array (N,)
        The label in the other map of which it shares most pixels; of several, the one with the largest IoU; of
        these, the smallest. `NO_MATCH` where it shares none.
    iou : float64 array (N,)
        Intersection over union of the two; 0 without a match.
    """

    labels: NDArray[np.int64]
    areas: NDArray[np.int64]
    match: NDArray[np.int64]
    iou: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curve:
    """Precision, recall and F at each observed IoU, as float64 arrays (K,); NaN where there is no such score."""

    iou: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ShapeScores:
    """The scores of a label map against the true one; what is not defined is None.

    Attributes
    ----------
    truth, prediction : Matches
        The shapes of both maps.
    iou : float
        A match counts as true where its IoU is greater.
    count_background : bool
        Whether label 0 is one of the shapes.
    """

    truth: Matches
    prediction: Matches
    iou: float = 0.5
    count_background: bool = False

    @property
    def labels_gt(self) -> int:
        """The number of true shapes."""
        return self.truth.labels.size

    @property
    def labels_pred(self) -> int:
        """The number of predicted shapes."""
        return self.prediction.labels.size

    @cached_property
    def tp(self) -> int:
        """The number of true shapes whose match is true, which is that of predicted ones too."""
        return int(np.count_nonzero(self.truth.iou > self.iou))

    @property
    def fp(self) -> int:
        """The number of predicted shapes without a true match."""
        return self.labels_pred - self.tp

    @property
    def fn(self) -> int:
        """The number of true shapes without a true match."""
        return self.labels_gt - self.tp

    @property
    def precision(self) -> float | None:
        """TP / (TP + FP); None without a predicted shape."""
        return self.tp / self.labels_pred if self.labels_pred else None

    @property
    def recall(self) -> float | None:
        """TP / (TP + FN); None without a true shape."""
        return self.tp / self.labels_gt if self.labels_gt else None

    @property
    def rq(self) -> float | None:
        """Recognition quality, TP / (TP + FP / 2 + FN / 2), which is F1; None without any shape."""
        shapes = self.labels_gt + self.labels_pred
        return 2 * self.tp / shapes if shapes else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of precision and recall; the same number as `rq`."""
        return self.rq

    @cached_property
    def sq(self) -> float | None:
        """Segmentation quality: the mean IoU of true matches; 0 where there are shapes but no true match."""
        if self.tp == 0:
            return 0.0 if self.labels_gt + self.labels_pred else None
        return float(self.truth.iou[self.truth.iou > self.iou].mean())

    @property
    def pq(self) -> float | None:
        """Panoptic quality, `sq` times `rq`; None without any shape."""
        return None if self.sq is None or self.rq is None else self.sq * self.rq

    @cached_property
    def curve(self) -> Curve:
        """Precision, recall and F at every IoU that a shape of either map has with its match."""
        return self.at(np.unique(np.concatenate([self.truth.iou, self.prediction.iou])))

    @cached_property
    def f_auc(self) -> float | None:
        """The area under F over the observed IoUs from 0.5, by the trapezoid rule; None without any shape.

        No point is added at 0.5 or 1; with fewer than two observed IoUs the area is 0.
        """
        if not self.labels_gt + self.labels_pred:
            return None
        high = self.curve.iou >= AREA_FROM
        iou, f = self.curve.iou[high], self.curve.f[high]
        return float((np.diff(iou) * (f[1:] + f[:-1])).sum() / 2)

    def at(self, ious: NDArray[np.float64]) -> Curve:
        """Return precision, recall and F where matches of a greater IoU than each given one are true.

        Below 0.5 a shape may be the best match of several, so that the two count different matches.
        """
        recall, precision = (_share_above(matches.iou, ious) for matches in (self.truth, self.prediction))
        # Without shapes on one side there is nothing to be found: F is 0 then, as 2 TP / (2 TP + FP + FN) is.
        both = np.nan_to_num(recall) + np.nan_to_num(precision)
        product = np.nan_to_num(2 * recall * precision)
        f = np.divide(product, both, out=np.zeros_like(both), where=both > 0)
        return Curve(ious, precision, recall, f if self.labels_gt + self.labels_pred else np.full_like(f, np.nan))

    def to_dict(self) -> dict[str, Any]:
        """Return all scores as plain values for JSON, None for what is not defined."""
        table = self.at(np.array(TABLE_IOUS))
        rows = zip(table.iou, table.precision, table.recall, table.f, strict=True)
        names = ("iou", "precision", "recall", "f")
        single = ("labels_gt", "labels_pred", "tp", "fp", "fn", "precision", "recall", "f1", "pq", "sq", "rq", "f_auc")
        return {
            "iou": self.iou,
            "count_background": self.count_background,
            **{name: getattr(self, name) for name in single},
            "table": [dict(zip(names, map(_plain, row), strict=True)) for row in rows],
        }


def shape_scores(
    truth: NDArray[Any],
    prediction: NDArray[Any],
    mask: NDArray[Any] | None = None,
    count_background: bool = False,
    iou: float = 0.5,
) -> ShapeScores:
    """Return the scores of a label map against the true one.

    Parameters
    ----------
    truth, prediction : integer array (H, W)
        Labels, 0 or more; 0: none. Which number a shape has makes no difference.
    mask : array (H, W), optional
        Where it is 0, both maps count as label 0. A shape is what of it lies inside.
    count_background : bool
        Label 0 of each map is one of its shapes, as in the published figures of the atlas of Paris.
    iou : float
        A match is true where its IoU is greater: 0.5 or more, below 1. From 0.5 on no shape has two true matches.

    Raises
    ------
    InputError
        Maps or mask of different sizes, or not of whole numbers from 0 on.
    ConfigError
        Another `iou`.

    Notes
    -----
    Panoptic quality is that of [1]_, with every shape of one class and nothing void: what the mask hides has label 0.

    References
    ----------
    .. [1] A. Kirillov, K. He, R. Girshick, C. Rother, P. Dollár, "Panoptic Segmentation", CVPR 2019.

    Examples
    --------
    >>> truth = np.array([[1, 1, 1, 0, 2, 2]])
    >>> prediction = np.array([[7, 7, 7, 7, 0, 9]])
    >>> scores = shape_scores(truth, prediction)
    >>> scores.truth.iou, (scores.tp, scores.fp, scores.fn)  # 3 of 4 pixels; 1 of 2, which is not more than half
    (array([0.75, 0.5 ]), (1, 1, 1))
    >>> scores.sq, scores.rq, scores.pq
    (0.75, 0.5, 0.375)
    """
    return score_counts(joint_counts(truth, prediction, mask), count_background, iou)


def check_iou(iou: float, name: str = "iou") -> None:
    """Make sure that an IoU can say what a true match is.

    Raises
    ------
    ConfigError
        It cannot.

    Examples
    --------
    >>> check_iou(0.4)
    Traceback (most recent call last):
    ...
    unet.errors.ConfigError: iou 0.4; expected from 0.5 to below 1; below 0.5 a shape could have several true matches
    """
    if not 0.5 <= iou < 1:
        raise ConfigError(f"{name} {iou:g}", "from 0.5 to below 1; below 0.5 a shape could have several true matches")


def score_counts(counts: JointCounts, count_background: bool = False, iou: float = 0.5) -> ShapeScores:
    """Return the scores that follow from joint counts; parameters and errors as in `shape_scores`.

    Examples
    --------
    >>> upper, lower = np.array([[1, 1, 0]]), np.array([[1, 0, 2]])
    >>> counts = joint_counts(upper, upper) + joint_counts(lower, lower)
    >>> score_counts(counts).pq, score_counts(counts, count_background=True).labels_gt
    (1.0, 3)
    """
    check_iou(iou)
    true_labels, true_areas = _areas(counts.truth, counts.pixels)
    predicted_labels, predicted_areas = _areas(counts.prediction, counts.pixels)
    row = np.searchsorted(true_labels, counts.truth)
    column = np.searchsorted(predicted_labels, counts.prediction)
    ious = counts.pixels / (true_areas[row] + predicted_areas[column] - counts.pixels)
    counted = np.ones(ious.size, dtype=bool)
    if not count_background:
        counted = (counts.truth != 0) & (counts.prediction != 0)
    row, column, ious, pixels = row[counted], column[counted], ious[counted], counts.pixels[counted]
    return ShapeScores(
        _best(true_labels, true_areas, row, predicted_labels[column], pixels, ious, count_background),
        _best(predicted_labels, predicted_areas, column, true_labels[row], pixels, ious, count_background),
        iou,
        count_background,
    )


def _areas(labels: NDArray[np.int64], pixels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the labels that occur and their pixels."""
    unique, where = np.unique(labels, return_inverse=True)
    return unique, np.bincount(where, weights=pixels, minlength=unique.size).astype(np.int64)


def _best(
    labels: NDArray[np.int64],
    areas: NDArray[np.int64],
    own: NDArray[np.intp],
    others: NDArray[np.int64],
    pixels: NDArray[np.int64],
    ious: NDArray[np.float64],
    count_background: bool,
) -> Matches:
    """Return the best match of each label; `own` says which label each pair is of, `others` what it is paired with."""
    match, best = np.full(labels.size, NO_MATCH, np.int64), np.zeros(labels.size)
    order = np.lexsort((-others, ious, pixels, own))  # the best pair of each label comes last
    last = order[np.flatnonzero(np.diff(own[order], append=-1))]
    match[own[last]], best[own[last]] = others[last], ious[last]
    shapes = slice(None) if count_background else labels != 0
    return Matches(labels[shapes], areas[shapes], match[shapes], best[shapes])


def _share_above(values: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each threshold which share of the values is greater; NaN where there are no values."""
    if values.size == 0:
        return np.full(thresholds.shape, np.nan)
    above = values.size - np.searchsorted(np.sort(values), thresholds, side="right")
    share: NDArray[np.float64] = above / values.size
    return share


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
