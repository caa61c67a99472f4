"""Boundary scores: how near the predicted outline of a class comes to the true one.

The boundary of a class is made of its pixels that have a pixel of another class above, below, left or right. Neither
the picture's edge nor an ignored pixel makes a boundary, and what is predicted where the target is ignored does not
count. Distances are Euclidean, between pixel centres, in pixels of the picture.

Decided for what is absent, here as in `unet.metrics.confusion`: a class that has no true boundary in any picture has no
boundary score (NaN) and does not enter a mean. In a single picture, a class that has neither a true nor a predicted
boundary counts for nothing; one that has only one of the two has that one all wrong, and the picture's diagonal as its
Hausdorff distance, as none in it is greater.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unet.errors import ConfigError
from unet.labels import IGNORED
from unet.metrics.confusion import Counts, Floats, mean_present, or_none, ratio

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Tolerance:
    """How far apart two boundaries may be to be the same: pixels, or a share of a picture's diagonal.

    Attributes
    ----------
    amount : float
        Pixels, or percent.
    percent : bool
        Of the diagonal of each picture; a pixel at least.
    """

    amount: float = 0.75
    percent: bool = True

    @classmethod
    def read(cls, text: str) -> Tolerance:
        """Read "2" as pixels and "0.75%" as a share.

        Raises
        ------
        ConfigError
            The text is neither.
        """
        number, percent, rest = text.strip().partition("%")
        try:
            amount = float(number)
        except ValueError:
            amount = math.nan
        if rest or not 0 <= amount < math.inf or (percent and amount > 100):
            raise ConfigError(f"tolerance {text!r}", "pixels such as 2, or a share of the diagonal such as 0.75%")
        return cls(amount, bool(percent))

    def __str__(self) -> str:
        return f"{self.amount:g} % of the diagonal" if self.percent else f"{self.amount:g} px"

    def pixels(self, shape: tuple[int, ...]) -> float:
        """Return the largest distance allowed in a picture of height and width `shape`."""
        return max(1.0, self.amount / 100 * math.hypot(*shape)) if self.percent else self.amount


@dataclass(frozen=True)
class BoundaryCounts:
    """What is counted of one picture, or summed up over several; arrays (K,), an entry per class.

    Attributes
    ----------
    true, matched_true : int64 array
        Pixels of the true boundary, and those of them that have a predicted one within the tolerance.
    predicted, matched_predicted : int64 array
        Pixels of the predicted boundary, and those of them that have a true one within the tolerance.
    hausdorff95 : float64 array
        The 95 % Hausdorff distance, in pixels; NaN where there is neither boundary. Of several pictures, the mean over
        those that have one.
    """

    true: Counts
    matched_true: Counts
    predicted: Counts
    matched_predicted: Counts
    hausdorff95: Floats


def count_boundaries(
    target: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: int, tolerance: Tolerance
) -> BoundaryCounts:
    """Compare the boundaries of all classes in a picture.

    Parameters
    ----------
    target, predicted : uint8 arrays (H, W)
        Class indices; where `target` is `IGNORED` the pixel is left out.
    classes : int
    tolerance : Tolerance

    Returns
    -------
    BoundaryCounts

    Raises
    ------
    ValueError
        The shapes differ.

    Notes
    -----
    The 95 % Hausdorff distance is the larger of two 95th percentiles: of the distances from each true boundary pixel
    to the nearest predicted one, and of those the other way round; a partial Hausdorff distance as in [1]_.

    References
    ----------
    .. [1] Huttenlocher, Klanderman, Rucklidge: "Comparing Images Using the Hausdorff Distance", IEEE Transactions on
       Pattern Analysis and Machine Intelligence 15(9), 1993, pages 850-863.

    Examples
    --------
    >>> target = np.array([[0, 0, 0, 1, 1, 1]], dtype=np.uint8)
    >>> predicted = np.array([[0, 1, 1, 1, 1, 1]], dtype=np.uint8)  # the border is two pixels further left
    >>> counts = count_boundaries(target, predicted, 2, Tolerance(1, percent=False))
    >>> counts.true.tolist(), counts.matched_true.tolist(), counts.hausdorff95.tolist()
    ([1, 1], [0, 0], [2.0, 2.0])
    """
    if target.shape != predicted.shape:
        raise ValueError(f"target {target.shape} and prediction {predicted.shape} differ in shape")
    predicted = np.where(target == IGNORED, np.uint8(IGNORED), predicted)
    n_true, matched_true, n_predicted, matched_predicted = np.zeros((4, classes), dtype=np.int64)
    hausdorff95 = np.full(classes, np.nan)
    allowed, true_edges, predicted_edges = tolerance.pixels(target.shape), _edges(target), _edges(predicted)
    for index in np.union1d(target[true_edges], predicted[predicted_edges]):
        true_edge, predicted_edge = true_edges & (target == index), predicted_edges & (predicted == index)
        n_true[index], n_predicted[index] = np.count_nonzero(true_edge), np.count_nonzero(predicted_edge)
        if n_true[index] and n_predicted[index]:
            to_predicted, to_true = _distances(true_edge, predicted_edge)
            matched_true[index] = (to_predicted <= allowed).sum()
            matched_predicted[index] = (to_true <= allowed).sum()
            hausdorff95[index] = max(np.percentile(to_predicted, 95), np.percentile(to_true, 95))
        else:
            hausdorff95[index] = math.hypot(*target.shape)
    return BoundaryCounts(n_true, matched_true, n_predicted, matched_predicted, hausdorff95)


def sum_boundaries(counts: Sequence[BoundaryCounts]) -> BoundaryCounts:
    """Return the counts of several pictures together: boundary pixels summed, distances averaged.

    Examples
    --------
    >>> none, two = np.zeros(1, dtype=np.int64), np.full(1, 2)
    >>> exact = BoundaryCounts(two, two, two, two, np.array([0.0]))
    >>> missed = BoundaryCounts(two, none, none, none, np.array([5.0]))
    >>> total = sum_boundaries([exact, missed])
    >>> total.true.tolist(), total.matched_true.tolist(), total.hausdorff95.tolist()
    ([4], [2], [2.5])
    """
    distances = np.stack([picture.hausdorff95 for picture in counts])
    return BoundaryCounts(
        true=np.sum([picture.true for picture in counts], axis=0),
        matched_true=np.sum([picture.matched_true for picture in counts], axis=0),
        predicted=np.sum([picture.predicted for picture in counts], axis=0),
        matched_predicted=np.sum([picture.matched_predicted for picture in counts], axis=0),
        hausdorff95=ratio(np.nansum(distances, axis=0), (~np.isnan(distances)).sum(axis=0)),
    )


@dataclass(frozen=True)
class BoundaryScores:
    """Scores of boundaries; arrays (K,), NaN for a class without a true boundary.

    Attributes
    ----------
    precision, recall : float64 array
        Share of the predicted boundary that is right, and of the true one that is found.
    f : float64 array
        Their harmonic mean, 0 where nothing is right.
    hausdorff95 : float64 array
        Pixels.
    """

    precision: Floats
    recall: Floats
    f: Floats
    hausdorff95: Floats


def boundary_scores(counts: BoundaryCounts) -> BoundaryScores:
    """Return the scores of what was counted.

    Notes
    -----
    The boundary F-score of [1]_, from counts that are summed over the pictures before, as for all scores here.

    References
    ----------
    .. [1] Csurka, Larlus, Perronnin: "What is a good evaluation measure for semantic segmentation?", BMVC 2013.

    Examples
    --------
    >>> counts = BoundaryCounts(np.array([4]), np.array([2]), np.array([2]), np.array([2]), np.array([1.5]))
    >>> result = boundary_scores(counts)
    >>> result.precision.tolist(), result.recall.tolist(), result.f.round(4).tolist()
    ([1.0], [0.5], [0.6667])
    """
    absent = counts.true == 0
    precision = ratio(counts.matched_predicted, counts.predicted, absent)
    recall = ratio(counts.matched_true, counts.true, absent)
    total = np.where(counts.predicted == 0, 0, precision) + recall
    f = ratio(2 * np.where(total > 0, precision * recall, 0), np.where(total > 0, total, 1), absent)
    return BoundaryScores(precision, recall, f, np.where(absent, np.nan, counts.hausdorff95))


def report_boundaries(counts: Sequence[BoundaryCounts], names: Sequence[str], tolerance: Tolerance) -> dict[str, Any]:
    """Return the boundary scores of a data set as plain data for JSON, undefined ones as None.

    Returns
    -------
    dict
        tolerance, mean_f and mean_hausdorff95 (over the classes with a true boundary), and classes.

    Examples
    --------
    >>> counts = BoundaryCounts(np.array([4]), np.array([4]), np.array([4]), np.array([4]), np.array([0.0]))
    >>> report_boundaries([counts], ["house"], Tolerance(2, percent=False))["classes"]
    [{'name': 'house', 'f': 1.0, 'precision': 1.0, 'recall': 1.0, 'hausdorff95': 0.0}]
    """
    scores = boundary_scores(sum_boundaries(counts))
    keys = ("f", "precision", "recall", "hausdorff95")
    return {
        "tolerance": str(tolerance),
        "mean_f": or_none(mean_present(scores.f)),
        "mean_hausdorff95": or_none(mean_present(scores.hausdorff95)),
        "classes": [
            {"name": name, **{key: or_none(getattr(scores, key)[i]) for key in keys}} for i, name in enumerate(names)
        ],
    }


def _edges(classes: NDArray[np.uint8]) -> Mask:
    """Where a pixel and one of its four neighbours are of two classes, neither of them ignored."""
    edges = np.zeros(classes.shape, dtype=bool)
    for first, second in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differ = (classes[first] != classes[second]) & (classes[first] != IGNORED) & (classes[second] != IGNORED)
        edges[first] |= differ
        edges[second] |= differ
    return edges


def _distances(first: Mask, second: Mask) -> tuple[Floats, Floats]:
    """Distance from each pixel of one set to the nearest of the other, and the other way round; neither is empty."""
    box = ndimage.find_objects((first | second).view(np.uint8))[0]
    first, second = first[box], second[box]  # what is outside is in neither
    return ndimage.distance_transform_edt(~second)[first], ndimage.distance_transform_edt(~first)[second]
