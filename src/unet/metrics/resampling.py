"""How far a score may be off because other pictures of the same kind might have been drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unet.metrics.confusion import Counts, or_none, scores_of

REPEATS = 1000
"""Sets of pictures that are drawn."""

LEVEL = 0.95
"""Share of the drawn sets whose score lies in the interval."""

SCORES = ("mean_iou", "mean_dice", "pixel_accuracy")


def confidence(counts: Sequence[Counts], seed: int = 0) -> dict[str, Any]:
    """Return intervals for the scores of a data set, by the bootstrap over its pictures.

    Parameters
    ----------
    counts : sequence of int64 arrays (K, K)
        One confusion matrix per picture.
    seed : int

    Returns
    -------
    dict
        level, repeats, seed, and for each of mean_iou, mean_dice and pixel_accuracy a list [low, high], or None where
        fewer than two pictures have a pixel that counts.

    Notes
    -----
    As many pictures as there are, are drawn with replacement; their matrices are summed and scored; the interval lies
    between the 2.5th and the 97.5th percentile of such scores: the percentile method of the bootstrap [1]_. It speaks
    of pictures that are drawn independently: frames of one film are more alike than that, and their interval too
    narrow.

    References
    ----------
    .. [1] Efron: "Bootstrap Methods: Another Look at the Jackknife", The Annals of Statistics 7(1), 1979, pages 1-26.

    Examples
    --------
    >>> right, wrong = np.array([[1, 0], [0, 0]]), np.array([[0, 1], [0, 0]])
    >>> result = confidence([right] * 80 + [wrong] * 20)
    >>> result["level"], result["repeats"]
    (0.95, 1000)
    >>> low, high = result["pixel_accuracy"]
    >>> 0.70 < low < 0.75 and 0.85 < high < 0.90
    True
    """
    settings = {"level": LEVEL, "repeats": REPEATS, "seed": seed}
    # What scores need of a matrix; as floats, which are exact up to 2^53, and multiplied fast.
    sums = [
        np.concatenate([np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)]) for matrix in counts if matrix.any()
    ]
    if len(sums) < 2:
        return {**settings, **dict.fromkeys(SCORES)}
    table, probabilities = np.array(sums, dtype=np.float64), np.full(len(sums), 1 / len(sums))
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(REPEATS):
        true_positives, true, predicted = (
            (rng.multinomial(len(sums), probabilities) @ table).astype(np.int64).reshape(3, -1)
        )
        result = scores_of(true_positives, true, predicted)
        drawn.append([getattr(result, name) for name in SCORES])
    ends = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0).T
    return {**settings, **{name: [or_none(end) for end in pair] for name, pair in zip(SCORES, ends, strict=True)}}
