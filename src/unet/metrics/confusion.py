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

from unet.labels import IGNORED, background_of

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

    Examples
    --------
    >>> target = np.array([0, 0, 1, 1, IGNORED], dtype=np.uint8)
    >>> predicted = np.array([0, 1, 1, 1, 1], dtype=np.uint8)
    >>> confusion(target, predicted, classes=2)
    array([[1, 1],
           [0, 2]])
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
        return mean_present(self.iou)

    @property
    def mean_dice(self) -> float:
        """Mean over the classes that occur."""
        return mean_present(self.dice)

    def mean_iou_without(self, index: int | None) -> float:
        """Mean over the classes that occur, one left out; NaN where that is None."""
        return math.nan if index is None else mean_present(np.delete(self.iou, index))

    def mean_dice_without(self, index: int | None) -> float:
        """Mean over the classes that occur, one left out; NaN where that is None."""
        return math.nan if index is None else mean_present(np.delete(self.dice, index))

    @property
    def mean_accuracy(self) -> float:
        """Mean class accuracy: the mean of the recalls of the classes that occur."""
        return mean_present(self.recall)

    @property
    def frequency_weighted_iou(self) -> float:
        """Mean IoU in which each class weighs as much as it has true pixels."""
        present = self.pixels > 0
        return float(np.average(self.iou[present], weights=self.pixels[present])) if present.any() else math.nan


def scores(counts: Counts) -> Scores:
    """Return the scores of a confusion matrix (K, K), rows true and columns predicted.

    Notes
    -----
    With TP the diagonal, FN the rest of the row and FP the rest of the column:
    IoU = TP / (TP + FP + FN), Dice = 2 TP / (2 TP + FP + FN), precision = TP / (TP + FP),
    recall = TP / (TP + FN). Pixel accuracy, mean class accuracy, mean and frequency-weighted IoU are those of [1]_.

    References
    ----------
    .. [1] Long, Shelhamer, Darrell: "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015,
       arXiv:1411.4038, section 5.

    Examples
    --------
    >>> result = scores(np.array([[1, 1], [0, 2]]))
    >>> result.iou.round(4).tolist(), result.dice.round(4).tolist()
    ([0.5, 0.6667], [0.6667, 0.8])
    >>> round(result.mean_iou, 4), result.pixel_accuracy
    (0.5833, 0.75)
    """
    return scores_of(np.diag(counts), counts.sum(axis=1), counts.sum(axis=0))


def scores_of(true_positives: Counts, true: Counts, predicted: Counts) -> Scores:
    """Return the scores that follow from pixels (K,) that are right, that are true, and that are predicted.

    Examples
    --------
    >>> scores_of(np.array([1, 2]), np.array([2, 2]), np.array([1, 3])).recall.tolist()
    [0.5, 1.0]
    """
    absent = true == 0
    total = true.sum()
    return Scores(
        iou=ratio(true_positives, true + predicted - true_positives, absent),
        dice=ratio(2 * true_positives, true + predicted, absent),
        precision=ratio(true_positives, predicted, absent),
        recall=ratio(true_positives, true, absent),
        pixels=true,
        pixel_accuracy=float(true_positives.sum() / total) if total else math.nan,
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
        mean_iou, mean_dice, mean_iou_foreground, mean_dice_foreground (without the class that is called background or
        the like, None where none is), pixel_accuracy, mean_accuracy, frequency_weighted_iou, classes, confusion, and
        images with the worst picture first.

    Examples
    --------
    >>> right, half = np.array([[4, 0], [0, 4]]), np.array([[2, 2], [2, 2]])
    >>> result = report([right, half], ["ground", "house"], [{"name": "a"}, {"name": "b"}])
    >>> result["mean_iou"], result["confusion"]
    (0.6, [[6, 2], [2, 6]])
    >>> [(image["name"], round(image["mean_iou"], 4)) for image in result["images"]]
    [('b', 0.3333), ('a', 1.0)]
    """
    total = np.sum(counts, axis=0)
    overall, background = scores(total), background_of(names)
    images = []
    for matrix, description in zip(counts, pictures, strict=True):
        images.append({**description, **_summary(scores(matrix))})
    images.sort(key=lambda image: 2.0 if image["mean_iou"] is None else image["mean_iou"])
    per_class = [
        {
            "name": name,
            "iou": or_none(overall.iou[i]),
            "dice": or_none(overall.dice[i]),
            "precision": or_none(overall.precision[i]),
            "recall": or_none(overall.recall[i]),
            "pixels": int(overall.pixels[i]),
        }
        for i, name in enumerate(names)
    ]
    return {
        **_summary(overall),
        "mean_iou_foreground": or_none(overall.mean_iou_without(background)),
        "mean_dice_foreground": or_none(overall.mean_dice_without(background)),
        "mean_accuracy": or_none(overall.mean_accuracy),
        "frequency_weighted_iou": or_none(overall.frequency_weighted_iou),
        "classes": per_class,
        "confusion": total.tolist(),
        "images": images,
    }


def _summary(result: Scores) -> dict[str, float | None]:
    return {
        "mean_iou": or_none(result.mean_iou),
        "mean_dice": or_none(result.mean_dice),
        "pixel_accuracy": or_none(result.pixel_accuracy),
    }


def ratio(numerator: NDArray[Any], denominator: NDArray[Any], absent: NDArray[np.bool_] | None = None) -> Floats:
    """Return the ratio, NaN where it is that of nothing to nothing, and where `absent`.

    Examples
    --------
    >>> ratio(np.array([1, 0, 3]), np.array([2, 0, 4]), absent=np.array([False, False, True])).tolist()
    [0.5, nan, nan]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.asarray(numerator / denominator, dtype=np.float64)
    if absent is not None:
        values[absent] = np.nan
    return values


def mean_present(values: Floats) -> float:
    """Return the mean of the values that are defined, NaN where none is.

    Examples
    --------
    >>> mean_present(np.array([0.5, np.nan, 1.0]))
    0.75
    """
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else math.nan


def or_none(value: float) -> float | None:
    """Return a value for JSON, which has no NaN.

    Examples
    --------
    >>> or_none(0.5), or_none(math.nan)
    (0.5, None)
    """
    return None if math.isnan(value) else float(value)
