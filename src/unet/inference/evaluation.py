"""A predictor against pairs with known masks: counts per picture, at the pictures' own resolution."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from unet import processes
from unet.data.pair_arrays import read_pair
from unet.data.pairs import Pair
from unet.data.windows import source_of
from unet.errors import InputError
from unet.inference.predictor import Predictor
from unet.labels import Labels
from unet.metrics.boundary import BoundaryCounts, Tolerance, count_boundaries
from unet.metrics.confusion import Counts, confusion, report
from unet.preprocessing import Preprocessing, normalise
from unet.raster.network_input import picture_factor, rescale, source_factor

PictureLoss = Callable[[Tensor, NDArray[np.uint8], Pair], tuple[float, int]]
"""Gives the loss of logits (K, h, w) and target (H, W) of a pair times the pixels that count, and their number."""

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
    pair : Pair
    """

    image: NDArray[Any]
    target: NDArray[np.uint8]
    pair: Pair

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.image.nbytes + self.target.nbytes


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
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        labels: Labels,
        preprocessing: Preprocessing,
        cache_bytes: int = CACHE_BYTES,
        as_trained: bool = True,
    ) -> None:
        self.pairs, self.labels, self.preprocessing, self.as_trained = pairs, labels, preprocessing, as_trained
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
            example = Example(np.ascontiguousarray(scaled.transpose(2, 0, 1)), target, pair)
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

    Several processes that train together share the pairs out, and each gets the matrices of all.

    Raises
    ------
    InputError
        A pair that cannot be read, or is not of the kind that the model knows; the file is named.
    ValueError
        The examples were prepared for another network.
    """
    classes = len(examples.labels)
    compared = _compared(predictor, examples, progress)
    return processes.gathered([confusion(each.target, predicted, classes) for each, predicted, _ in compared])


def count_with_loss(
    predictor: Predictor,
    examples: EvaluationSet,
    loss: PictureLoss,
    progress: Callable[[int, int], None] | None = None,
    show: Callable[[Pair, NDArray[np.uint8]], None] | None = None,
) -> tuple[list[Counts], float]:
    """Return what `count` does, and the mean loss of all pixels that count, NaN where there are none.

    `show` is given each pair of this process with its predicted classes (H, W).
    """
    classes = len(examples.labels)
    own: list[tuple[Counts, tuple[float, int]]] = []
    for example, predicted, logits in _compared(predictor, examples, progress):
        with processes.alone():  # a loss is of one picture, and others may have more of them or none
            own.append((confusion(example.target, predicted, classes), loss(logits, example.target, example.pair)))
        if show is not None:
            show(example.pair, predicted)
    rows = processes.gathered(own)
    pixels = sum(number for _, (_, number) in rows)
    return [counts for counts, _ in rows], sum(total for _, (total, _) in rows) / pixels if pixels else math.nan


def count_with_boundaries(
    predictor: Predictor,
    examples: EvaluationSet,
    tolerance: Tolerance,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[Counts], list[BoundaryCounts]]:
    """Return what `count` does, and for each pair how near the predicted boundaries come to the true ones."""
    classes = len(examples.labels)
    counts, boundaries = [], []
    for example, predicted, _ in _compared(predictor, examples, progress):
        counts.append(confusion(example.target, predicted, classes))
        boundaries.append(count_boundaries(example.target, predicted, classes, tolerance))
    return counts, boundaries


def _compared(
    predictor: Predictor, examples: EvaluationSet, progress: Callable[[int, int], None] | None
) -> Iterator[tuple[Example, NDArray[np.uint8], Tensor]]:
    """Give each pair, in order, with its predicted classes (H, W) and the logits (K, h, w)."""
    if predictor.bundle.preprocessing != examples.preprocessing:
        raise ValueError("the examples were prepared for a network with other preprocessing")
    done, numbers = 0, processes.share_of(len(examples))
    for batch in _batches(predictor, examples, numbers):
        if progress is not None:
            progress(done, len(numbers))
        images = np.stack([normalise(example.image, examples.preprocessing) for example in batch])
        for example, logits in zip(batch, predictor.whole_logits(images), strict=True):
            yield example, predictor.classes(logits, *example.target.shape), logits
        done += len(batch)
    if progress is not None:
        progress(len(numbers), len(numbers))


def _batches(predictor: Predictor, examples: EvaluationSet, numbers: range) -> Iterator[list[Example]]:
    """Give neighbours of one size together, as many as are best computed at once."""
    batch: list[Example] = []
    for number in numbers:
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
