"""Scoring pairs: what is counted, in which order, and what is read how often."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from unet import models, raster
from unet.bundle import Bundle
from unet.data.pair_arrays import read_pair
from unet.data.pairs import Pair
from unet.errors import InputError
from unet.inference import evaluation
from unet.inference.evaluation import EvaluationSet
from unet.inference.predictor import Predictor
from unet.labels import Labels
from unet.metrics.boundary import Tolerance, count_boundaries
from unet.metrics.confusion import confusion
from unet.models import ModelSpec
from unet.preprocessing import Preprocessing
from unet.raster.network_input import network_input

DataMaker = Callable[..., Path]
LABELS = Labels.numbered(2)
HALF = Preprocessing(scale=0.5, mean=(0.4,) * 3, std=(0.2,) * 3)


@pytest.fixture
def predictor() -> Predictor:
    """One with random weights: its mistakes are all over the place."""
    torch.manual_seed(3)
    spec = ModelSpec(width=3, depth=2)
    state = models.build(spec).state_dict()
    state["outc.conv.weight"] *= 30
    return Predictor(Bundle(spec, LABELS, HALF, None, {}, {}, state), device="cpu", exact=True)


@pytest.fixture
def pairs(make_data: DataMaker) -> list[Pair]:
    """Pictures of two sizes in turn, after three of one size."""
    pairs = []
    for name, size, count, seed in (("a", (24, 32), 3, 0), ("b", (31, 17), 1, 1), ("c", (24, 32), 20, 2)):
        folder = make_data(name, count=count, size=size, seed=seed)
        images = sorted((folder / "imgs").iterdir())
        pairs += [Pair(f"{name}{i.stem}", i, folder / "masks" / f"{i.stem}_mask.png") for i in images]
    return pairs


def alone(predictor: Predictor, pair: Pair) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The true and the predicted classes of one pair."""
    picture, target = read_pair(pair, LABELS)
    return target, predictor.predict(picture).indices


@pytest.mark.parametrize("cache_bytes", [0, 2000, 1 << 20])
def test_counts_are_those_of_each_picture_alone(predictor: Predictor, pairs: list[Pair], cache_bytes: int) -> None:
    expected = [confusion(*alone(predictor, pair), 2) for pair in pairs]
    examples = EvaluationSet(pairs, LABELS, HALF, cache_bytes)
    assert len(np.unique(expected)) > 10, "a case worth counting"
    shown: list[tuple[int, int]] = []
    for _ in range(3):
        shown.clear()
        counts = evaluation.count(predictor, examples, lambda done, total: shown.append((done, total)))
        np.testing.assert_array_equal(counts, expected)
        assert shown == sorted(shown) and shown[0] == (0, 24) and shown[-1] == (24, 24) and len(shown) > 3


def test_boundaries_beside_the_counts(predictor: Predictor, pairs: list[Pair]) -> None:
    tolerance = Tolerance(2, percent=False)
    examples = EvaluationSet(pairs, LABELS, HALF)
    counts, boundaries = evaluation.count_with_boundaries(predictor, examples, tolerance)
    np.testing.assert_array_equal(counts, evaluation.count(predictor, examples))
    for pair, measured in zip(pairs, boundaries, strict=True):
        expected = count_boundaries(*alone(predictor, pair), 2, tolerance)
        np.testing.assert_array_equal(measured.predicted, expected.predicted)
        np.testing.assert_array_equal(measured.hausdorff95, expected.hausdorff95)


def test_the_mean_loss_is_over_pixels(predictor: Predictor, pairs: list[Pair]) -> None:
    examples = EvaluationSet(pairs, LABELS, HALF)
    given: list[tuple[float, int]] = []

    def loss(logits: Tensor, target: NDArray[np.uint8], pair: Pair) -> tuple[float, int]:
        assert pair == pairs[len(given)]
        given.append((float(logits.mean()) + len(given), target.size))
        return given[-1]

    computed: list[int] = []
    predictor.network.register_forward_hook(lambda module, args, output: computed.append(len(output)))
    counts, mean = evaluation.count_with_loss(predictor, examples, loss)
    assert sum(computed) == len(pairs), "the network is asked once"
    np.testing.assert_array_equal(counts, evaluation.count(predictor, examples))
    assert len(given) == len(pairs) and mean == sum(total for total, _ in given) / sum(pixels for _, pixels in given)
    assert math.isnan(evaluation.count_with_loss(predictor, examples, lambda logits, target, pair: (0.0, 0))[1])


def test_small_pictures_of_one_size_are_computed_at_once(
    predictor: Predictor, pairs: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    forward = predictor.network.forward
    monkeypatch.setattr(predictor.network, "forward", lambda image: sizes.append(len(image)) or forward(image))
    evaluation.count(predictor, EvaluationSet(pairs, LABELS, HALF))
    assert sizes == [3, 1, 16, 4]


def test_files_are_read_once_as_far_as_memory_allows(pairs: list[Pair], monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def watched(pair: Pair, labels: Labels, of: Preprocessing) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        read.append(pair.name)
        return read_pair(pair, labels, of)

    monkeypatch.setattr(evaluation, "read_pair", watched)
    each = 12 * 16 * 3 + 24 * 32
    examples = EvaluationSet(pairs[:3], LABELS, HALF, cache_bytes=2 * each + 1)
    for _ in range(3):
        for number in range(3):
            expected = network_input(raster.read(pairs[number].image), HALF)
            np.testing.assert_array_equal(evaluation.normalise(examples[number].image, HALF), expected)
    assert read == [pairs[0].name, pairs[1].name, *3 * [pairs[2].name]]


def test_a_pair_that_cannot_be_scored_is_named(predictor: Predictor, pairs: list[Pair]) -> None:
    odd = Pair("odd", pairs[1].image.with_suffix(".npy"), pairs[1].mask)
    np.save(odd.image, np.zeros((24, 32, 7), np.uint8))
    with pytest.raises(InputError, match=r"p01\.npy: a picture with 7 bands"):
        evaluation.count(predictor, EvaluationSet([pairs[0], odd], LABELS, HALF))


def test_examples_for_another_network(predictor: Predictor, pairs: list[Pair]) -> None:
    with pytest.raises(ValueError, match="preprocessing"):
        evaluation.count(predictor, EvaluationSet(pairs, LABELS, Preprocessing()))
