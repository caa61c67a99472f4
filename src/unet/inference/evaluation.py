"""A predictor against pairs with known masks: counts per picture, at the pictures' own resolution."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.data.dataset import ScaledTruth, scaled_truth
from unet.data.pair_arrays import read_pair
from unet.data.pairs import Pair
from unet.data.windows import source_of
from unet.errors import InputError
from unet.inference.loss_meter import LossMeter
from unet.inference.predictor import Predictor
from unet.labels import Labels
from unet.metrics.boundary import BoundaryCounts, Tolerance, count_boundaries
from unet.metrics.confusion import Counts, confusion, report
from unet.preprocessing import Preprocessing, normalise
from unet.raster.network_input import picture_factor, rescale, source_factor

CACHE_BYTES = 1 << 30
"""Memory for pictures and masks that are scored again and again: 350 pictures of 1918 x 1280 px at a scale of 0.25."""


@dataclass(frozen=True)
class Example:
    """A pair as it is scored.

    Attributes
    ----------
    image : array (C, h, w)
        The picture with the network's bands and at its scale, not yet normalised.
    target : uint8 array (H, W)
        Of the mask's own size.
    truth : ScaledTruth or None
        What the loss compares with, where it is wanted.
    """

    image: NDArray[Any]
    target: NDArray[np.uint8]
    truth: ScaledTruth | None = None

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        arrays = [self.image, self.target]
        if self.truth is not None:
            arrays += [each for each in (self.truth.target, self.truth.weights) if each is not None]
        return sum(array.nbytes for array in arrays)


class EvaluationSet:
    """Pairs to score a network on, as often as wanted; those that fit into memory are read and scaled only once.

    Parameters
    ----------
    pairs : sequence of Pair
    labels : Labels
    preprocessing : Preprocessing
        Of the networks that are scored.
    cache_bytes : int
        Memory to keep examples in; 0 where all are scored once.
    as_trained : bool
        The pictures are of the training's own data, and their values are not questioned.
    meter : LossMeter, optional
        Takes the loss of each picture that is counted, from the logits that are there anyway.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        labels: Labels,
        preprocessing: Preprocessing,
        cache_bytes: int = CACHE_BYTES,
        as_trained: bool = True,
        meter: LossMeter | None = None,
    ) -> None:
        self.pairs, self.labels, self.preprocessing, self.as_trained = pairs, labels, preprocessing, as_trained
        self.meter = meter
        self._cache: dict[int, Example] = {}
        self._free = cache_bytes
        self._sheet: tuple[Path | None, float] = (None, 1.0)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, number: int) -> Example:
        """Return the example of that number.

        Raises
        ------
        InputError
            A pair that cannot be read, or is not of the kind that the model knows; the file is named.
        """
        if number in self._cache:
            return self._cache[number]
        pair = self.pairs[number]
        picture, target = read_pair(pair, self.labels, self.preprocessing)
        try:
            scaled = rescale(picture, self.preprocessing, None if self.as_trained else self._factor(pair, picture))
            truth = None
            if self.meter is not None:
                size = scaled.shape[0], scaled.shape[1]
                truth = scaled_truth(pair, self.labels, target, size, self.meter.borders)
            example = Example(np.ascontiguousarray(scaled.transpose(2, 0, 1)), target, truth)
        except InputError as error:
            raise error.of(pair.image) from None
        if pair.window is None and example.nbytes <= self._free:  # a large sheet would fill the memory for little
            self._free -= example.nbytes
            self._cache[number] = example
        return example

    def _factor(self, pair: Pair, picture: NDArray[Any]) -> float:
        """Return what the values of a pair's picture are multiplied by: for all blocks of a sheet the same."""
        if pair.window is None:
            return picture_factor(picture, self.preprocessing)
        if self._sheet[0] != pair.image:
            self._sheet = pair.image, source_factor(source_of(pair.image), self.preprocessing)
        return self._sheet[1]


def count(
    predictor: Predictor, examples: EvaluationSet, progress: Callable[[int, int], None] | None = None
) -> list[Counts]:
    """Return one confusion matrix (K, K) per pair, rows true and columns predicted.

    Raises
    ------
    InputError
        A pair that cannot be read, or is not of the kind that the model knows; the file is named.
    ValueError
        The examples were prepared for another network.
    """
    classes = len(examples.labels)
    return [confusion(target, predicted, classes) for target, predicted in _compared(predictor, examples, progress)]


def count_with_boundaries(
    predictor: Predictor,
    examples: EvaluationSet,
    tolerance: Tolerance,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[Counts], list[BoundaryCounts]]:
    """Return what `count` does, and for each pair how near the predicted boundaries come to the true ones."""
    classes = len(examples.labels)
    counts, boundaries = [], []
    for target, predicted in _compared(predictor, examples, progress):
        counts.append(confusion(target, predicted, classes))
        boundaries.append(count_boundaries(target, predicted, classes, tolerance))
    return counts, boundaries


def _compared(
    predictor: Predictor, examples: EvaluationSet, progress: Callable[[int, int], None] | None
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Give the true and the predicted classes (H, W) of each pair, in order."""
    if predictor.bundle.preprocessing != examples.preprocessing:
        raise ValueError("the examples were prepared for a network with other preprocessing")
    done = 0
    for batch in _batches(predictor, examples):
        if progress is not None:
            progress(done, len(examples))
        images = np.stack([normalise(example.image, examples.preprocessing) for example in batch])
        logits = predictor.whole_logits(images)
        if examples.meter is not None:
            for example, each in zip(batch, logits, strict=True):
                if example.truth is not None:
                    examples.meter.add(each, example.truth)
        predictions = predictor.classes(logits, *batch[0].target.shape)
        yield from ((example.target, predicted) for example, predicted in zip(batch, predictions, strict=True))
        done += len(batch)
    if progress is not None:
        progress(len(examples), len(examples))


def _batches(predictor: Predictor, examples: EvaluationSet) -> Iterator[list[Example]]:
    """Give neighbours of one size together, as many as are best computed at once."""
    batch: list[Example] = []
    for number in range(len(examples)):
        example = examples[number]
        shapes = example.image.shape, example.target.shape
        if batch and shapes != (batch[0].image.shape, batch[0].target.shape):
            yield batch
            batch = []
        batch.append(example)
        if len(batch) == predictor.batch_size(*example.image.shape[1:]):
            yield batch
            batch = []
    if batch:
        yield batch


def summarise(counts: Sequence[Counts], pairs: Sequence[Pair], labels: Labels) -> dict[str, Any]:
    """Return the scores of counted pairs as plain data, the worst picture first."""
    pictures = [{"name": pair.name, "image": str(pair.image), "mask": str(pair.mask)} for pair in pairs]
    return report(counts, labels.names, pictures)
