"""A predictor against pairs with known masks: counts per picture, at the pictures' own resolution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from unet.data.pair_arrays import read_pair
from unet.data.pairs import Pair
from unet.errors import InputError
from unet.inference.predictor import Predictor
from unet.labels import Labels
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
    counts = []
    for done, pair in enumerate(pairs):
        if progress is not None:
            progress(done, len(pairs))
        picture, target = read_pair(pair, labels)
        try:
            predicted = predictor.predict(picture).indices
        except InputError as error:
            raise error.of(pair.image) from None
        counts.append(confusion(target, predicted, len(labels)))
    if progress is not None:
        progress(len(pairs), len(pairs))
    return counts


def summarise(counts: Sequence[Counts], pairs: Sequence[Pair], labels: Labels) -> dict[str, Any]:
    """Return the scores of counted pairs as plain data, the worst picture first."""
    about = [{"name": pair.name, "image": str(pair.image), "mask": str(pair.mask)} for pair in pairs]
    return report(counts, labels.names, about)
