"""A predictor against pairs with known masks: counts per picture, at the pictures' own resolution."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.data.pair_arrays import read_pair
from unet.data.pairs import Pair
from unet.errors import InputError
from unet.inference.predictor import Predictor
from unet.labels import Labels
from unet.metrics.boundary import BoundaryCounts, Tolerance, count_boundaries
from unet.metrics.confusion import Counts, confusion, report


def count(
    predictor: Predictor,
    pairs: Sequence[Pair],
    labels: Labels,
    progress: Callable[[int, int], None] | None = None,
) -> list[Counts]:
    """Return one confusion matrix (K, K) per pair, rows true and columns predicted.

    Raises
    ------
    InputError
        A pair that cannot be read, or is not of the kind that the model knows; the file is named.
    """
    compared = _compared(predictor, pairs, labels, progress)
    return [confusion(target, predicted, len(labels)) for target, predicted in compared]


def count_with_boundaries(
    predictor: Predictor,
    pairs: Sequence[Pair],
    labels: Labels,
    tolerance: Tolerance,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[Counts], list[BoundaryCounts]]:
    """Return what `count` does, and for each pair how near the predicted boundaries come to the true ones."""
    counts, boundaries = [], []
    for target, predicted in _compared(predictor, pairs, labels, progress):
        counts.append(confusion(target, predicted, len(labels)))
        boundaries.append(count_boundaries(target, predicted, len(labels), tolerance))
    return counts, boundaries


def _compared(
    predictor: Predictor,
    pairs: Sequence[Pair],
    labels: Labels,
    progress: Callable[[int, int], None] | None,
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Give the true and the predicted classes (H, W) of each pair."""
    for done, pair in enumerate(pairs):
        if progress is not None:
            progress(done, len(pairs))
        picture, target = read_pair(pair, labels)
        try:
            predicted = predictor.predict(picture).indices
        except InputError as error:
            raise error.of(pair.image) from None
        yield target, predicted
    if progress is not None:
        progress(len(pairs), len(pairs))


def summarise(counts: Sequence[Counts], pairs: Sequence[Pair], labels: Labels) -> dict[str, Any]:
    """Return the scores of counted pairs as plain data, the worst picture first."""
    pictures = [{"name": pair.name, "image": str(pair.image), "mask": str(pair.mask)} for pair in pairs]
    return report(counts, labels.names, pictures)
