"""The confusion matrix and the scores that follow from it.

Absent classes, here as everywhere in `unet`: a class with no true pixel has no IoU, Dice, precision or recall
(NaN) and does not enter a mean; a class with true pixels that is never predicted has IoU, Dice and recall 0 and
precision NaN. Ignored pixels are not counted at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.labels import IGNORED

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


def confusion(target: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: int) -> Counts:
    """Count pixels by true and predicted class.

    Parameters
    ----------
    target, predicted : uint8 arrays of one shape
        Class indices; where `target` is `IGNORED` the pixel is left out.
    classes : int

    Returns
    -------
    int64 array (classes, classes)
        Rows are the true classes, columns the predicted ones.

    Raises
    ------
    ValueError
        The shapes differ.
    """
    if target.shape != predicted.shape:
        raise ValueError(f"target {target.shape} and prediction {predicted.shape} differ in shape")
    if classes > IGNORED:
        raise ValueError(f"{classes} classes; at most {IGNORED}")
    # One 16-bit code per pixel: faster to count than pairs, and the ignored row is simply cut off.
    codes = target.astype(np.uint16) << 8 | predicted
    counts = np.bincount(codes.ravel(), minlength=65536).reshape(256, 256)
    return counts[:classes, :classes].astype(np.int64)


@dataclass(frozen=True)
class Scores:
    """Scores of a confusion matrix; arrays (K,) hold NaN where a score is not defined."""

    iou: Floats
    dice: Floats
    precision: Floats
    recall: Floats
    pixels: Counts
    pixel_accuracy: float

    @property
    def mean_iou(self) -> float:
        """Mean over the classes that occur."""
        return _mean(self.iou)

    @property
    def mean_dice(self) -> float:
        """Mean over the classes that occur."""
        return _mean(self.dice)

    @property
    def mean_iou_foreground(self) -> float:
        """Mean over the classes that occur, class 0 left out."""
        return _mean(self.iou[1:])

    @property
    def mean_dice_foreground(self) -> float:
        """Mean over the classes that occur, class 0 left out."""
        return _mean(self.dice[1:])


def scores(counts: Counts) -> Scores:
    """Return the scores of a confusion matrix (K, K), rows true and columns predicted.

    Notes
    -----
    With TP the diagonal, FN the rest of the row and FP the rest of the column:
    IoU = TP / (TP + FP + FN), Dice = 2 TP / (2 TP + FP + FN), precision = TP / (TP + FP),
    recall = TP / (TP + FN).
    """
    hits = np.diag(counts).astype(np.float64)
    truth, predicted = counts.sum(axis=1), counts.sum(axis=0)
    absent = truth == 0
    total = counts.sum()
    return Scores(
        iou=_ratio(hits, truth + predicted - hits, absent),
        dice=_ratio(2 * hits, truth + predicted, absent),
        precision=_ratio(hits, predicted, absent),
        recall=_ratio(hits, truth, absent),
        pixels=truth,
        pixel_accuracy=float(hits.sum() / total) if total else math.nan,
    )


def report(counts: Sequence[Counts], names: Sequence[str], pictures: Sequence[dict[str, str]]) -> dict[str, Any]:
    """Return the scores of a data set as plain data for JSON, undefined ones as None.

    Parameters
    ----------
    counts : sequence of int64 arrays (K, K)
        One confusion matrix per picture; the scores are those of their sum.
    names : sequence of str
        Class names, K of them.
    pictures : sequence of dict
        What to say of each picture beside its scores (name, files), in the order of `counts`.

    Returns
    -------
    dict
        mean_iou, mean_dice, mean_iou_foreground, mean_dice_foreground, pixel_accuracy, classes, confusion, and
        images with the worst picture first.
    """
    total = np.sum(counts, axis=0)
    overall = scores(total)
    images = []
    for matrix, about in zip(counts, pictures, strict=True):
        one = scores(matrix)
        images.append({**about, **_summary(one)})
    images.sort(key=lambda image: 2.0 if image["mean_iou"] is None else image["mean_iou"])
    per_class = [
        {
            "name": name,
            "iou": _or_none(overall.iou[i]),
            "dice": _or_none(overall.dice[i]),
            "precision": _or_none(overall.precision[i]),
            "recall": _or_none(overall.recall[i]),
            "pixels": int(overall.pixels[i]),
        }
        for i, name in enumerate(names)
    ]
    return {
        **_summary(overall),
        "mean_iou_foreground": _or_none(overall.mean_iou_foreground),
        "mean_dice_foreground": _or_none(overall.mean_dice_foreground),
        "classes": per_class,
        "confusion": total.tolist(),
        "images": images,
    }


def _summary(one: Scores) -> dict[str, float | None]:
    return {
        "mean_iou": _or_none(one.mean_iou),
        "mean_dice": _or_none(one.mean_dice),
        "pixel_accuracy": _or_none(one.pixel_accuracy),
    }


def _ratio(above: NDArray[Any], below: NDArray[Any], absent: NDArray[np.bool_]) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = above / below
    ratio[absent] = np.nan
    return np.asarray(ratio, dtype=np.float64)


def _mean(values: Floats) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else math.nan


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
