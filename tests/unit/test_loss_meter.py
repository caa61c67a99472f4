"""The validation loss: that of the training, from the logits that are scored, by pixels that count."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from unet import losses, models, raster
from unet.bundle import Bundle
from unet.data.augment import Augmentation
from unet.data.dataset import Borders, ScaledTruth, SegmentationDataset
from unet.data.pair_arrays import read_pair
from unet.data.pairs import Pair
from unet.inference import evaluation, loss_meter, predictor
from unet.inference.evaluation import EvaluationSet
from unet.inference.loss_meter import LossMeter
from unet.inference.predictor import Predictor
from unet.labels import IGNORED, Labels
from unet.models import ModelSpec
from unet.preprocessing import Preprocessing
from unet.raster.network_input import network_input

DataMaker = Callable[..., Path]
LABELS = Labels.numbered(2)
HALF = Preprocessing(scale=0.5, mean=(0.4,) * 3, std=(0.2,) * 3)


@pytest.fixture
def bundle() -> Bundle:
    torch.manual_seed(3)
    spec = ModelSpec(width=4, depth=2)
    state = models.build(spec).state_dict()
    state["outc.conv.weight"] *= 30
    return Bundle(spec, LABELS, HALF, None, {}, {}, state)


@pytest.fixture
def pairs(make_data: DataMaker, tmp_path: Path) -> list[Pair]:
    """Pictures of two sizes; of the last only a third lies in the region of interest."""
    made = []
    for name, size, count in (("a", (24, 32), 3), ("b", (70, 38), 2)):
        folder = make_data(name, count=count, size=size)
        images = sorted((folder / "imgs").iterdir())
        made += [Pair(f"{name}{i.stem}", i, folder / "masks" / f"{i.stem}_mask.png") for i in images]
    region = np.zeros((70, 38), np.uint8)
    region[:23] = 1
    raster.write_mask(tmp_path / "roi.png", region, LABELS.palette())
    return [*made[:-1], replace(made[-1], roi=tmp_path / "roi.png")]


def measured(bundle: Bundle, pairs: list[Pair], meter: LossMeter) -> float:
    examples = EvaluationSet(pairs, LABELS, HALF, meter=meter)
    evaluation.count(Predictor(bundle, device="cpu", exact=True), examples)
    return meter.mean


def test_it_is_the_mean_over_pixels_that_count(bundle: Bundle, pairs: list[Pair]) -> None:
    network = bundle.network()
    total, pixels = 0.0, 0
    for pair in pairs:
        picture, target = read_pair(pair, LABELS)
        image = torch.from_numpy(network_input(picture, HALF))[None]
        reduced = torch.from_numpy(raster.resize(target, image.shape[2], image.shape[3], "nearest")).long()[None]
        with torch.no_grad():
            each = F.cross_entropy(network(image), reduced, ignore_index=IGNORED, reduction="none")
        total += float(each.sum())
        pixels += int((reduced != IGNORED).sum())
    assert pixels < sum(math.prod(raster.read_mask(pair.mask).shape) for pair in pairs) / 4, "some do not count"
    meter = LossMeter(losses.parse("ce"))
    assert measured(bundle, pairs, meter) == pytest.approx(total / pixels, rel=1e-5)
    first = meter.mean
    meter.reset()
    assert math.isnan(meter.mean) and measured(bundle, pairs, meter) == first


@pytest.mark.parametrize("text", ["ce + dice", "micro_dice"])
def test_how_the_network_is_run_does_not_matter(
    bundle: Bundle, pairs: list[Pair], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = measured(bundle, pairs, LossMeter(losses.parse(text)))
    monkeypatch.setattr(predictor, "BAND_BYTES", 1)  # 16 rows at a time
    monkeypatch.setattr(predictor, "CPU_BATCH_PIXELS", 0)
    assert measured(bundle, pairs, LossMeter(losses.parse(text))) == pytest.approx(whole, rel=1e-5)


def test_the_network_is_not_run_twice(bundle: Bundle, pairs: list[Pair]) -> None:
    runs: list[int] = []
    scored = Predictor(bundle, device="cpu", exact=True)
    scored.network.register_forward_hook(lambda module, args, output: runs.append(len(output)))
    evaluation.count(scored, EvaluationSet(pairs, LABELS, HALF, meter=LossMeter(losses.parse("ce"))))
    assert sum(runs) == len(pairs)


def test_borders_weigh_as_in_training(bundle: Bundle, pairs: list[Pair]) -> None:
    borders = Borders(weight=10.0, sigma=3.0, class_weights=(0.5, 2.0))
    loss = losses.parse("ce")
    trained_on = SegmentationDataset(pairs, LABELS, HALF, crop=None, augmentation=Augmentation(), borders=borders)
    network, total, pixels = bundle.network(), 0.0, 0
    for place in range(len(pairs)):
        sample = trained_on.draw(place, np.random.default_rng(0))
        assert sample.weights is not None
        with torch.no_grad():
            value = loss(network(sample.image[None]), sample.target[None], None, sample.weights[None])
        counted = int((sample.target != IGNORED).sum())
        total, pixels = total + counted * float(value), pixels + counted
    assert measured(bundle, pairs, LossMeter(loss, borders=borders)) == pytest.approx(total / pixels, rel=1e-5)
    assert measured(bundle, pairs, LossMeter(loss)) != pytest.approx(total / pixels, rel=1e-2)


@pytest.mark.parametrize("term", losses.TERMS)
@pytest.mark.parametrize("classes", [1, 3])
def test_every_loss_can_be_taken_in_bands(term: str, classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    target = rng.integers(0, max(2, classes), (40, 9)).astype(np.uint8)
    target[:8] = IGNORED
    logits = torch.from_numpy(rng.normal(size=(classes, 40, 9)).astype(np.float32))
    seen: list[tuple[int, ...]] = []
    loss = losses.parse(term)

    def noted(logits: Tensor, target: Tensor, *weights: Tensor | None) -> Tensor:
        seen.append(tuple(target.shape))
        return loss(logits, target, *weights)

    monkeypatch.setattr(loss_meter, "MOST_LOGITS", classes * 9 * 8)
    meter = LossMeter(noted)
    meter.add(logits, ScaledTruth(target, None))
    assert seen == [(1, 8, 9)] * 4, "five bands, of which the first has nothing that counts"
    bands = [slice(top, top + 8) for top in range(8, 40, 8)]
    expected = [float(loss(logits[None, :, band], torch.from_numpy(target[band]).long()[None])) for band in bands]
    assert meter.mean == pytest.approx(np.mean(expected), rel=1e-5)
