"""The loss of whole pictures: that of training, whatever their size, of the pixels that count."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from unet import losses, raster
from unet.data.augment import Augmentation
from unet.data.dataset import Borders, SegmentationDataset
from unet.data.pair_arrays import read_target
from unet.data.pairs import Pair
from unet.labels import IGNORED, Labels
from unet.losses import cross_entropy
from unet.preprocessing import Preprocessing
from unet.runs import validation_loss
from unet.runs.validation_loss import ValidationLoss

LABELS = Labels.numbered(3)
CE = ValidationLoss(cross_entropy, None, None, LABELS)
PAIR = Pair("a", Path("a.png"), Path("a_mask.png"))


def logits_and_target(height: int = 6, width: int = 8, classes: int = 3) -> tuple[torch.Tensor, NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    target = rng.integers(0, classes, (height, width), dtype=np.uint8)
    target[0, :3] = IGNORED
    return torch.from_numpy(rng.normal(size=(classes, height, width)).astype(np.float32)), target


@pytest.mark.parametrize("text", ["ce", "ce + dice", "focal(gamma=2)", "lovasz + cldice + topk + boundary"])
def test_it_is_the_loss_of_training_of_the_pixels_that_count(text: str) -> None:
    logits, target = logits_and_target()
    weights = torch.tensor([1.0, 2.0, 3.0])
    loss = ValidationLoss(losses.parse(text), weights, None, LABELS)
    expected = losses.parse(text)(logits[None], torch.from_numpy(target[None].astype(np.int64)), weights)
    total, pixels = loss(logits, target, PAIR)
    assert pixels == 6 * 8 - 3 and total / pixels == pytest.approx(float(expected), rel=1e-6)


def test_a_mask_is_brought_to_the_scale_of_the_network() -> None:
    logits, target = logits_and_target()
    assert CE(logits, target.repeat(3, axis=0).repeat(3, axis=1), PAIR) == CE(logits, target, PAIR)


def test_large_pictures_are_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, target = logits_and_target()
    whole = CE(logits, target, PAIR)
    monkeypatch.setattr(validation_loss, "MOST_PIXELS", 20)  # two rows
    assert CE(logits, target, PAIR) == (pytest.approx(whole[0], rel=1e-6), whole[1])
    target[:4] = IGNORED  # whole bands without a pixel that counts
    assert CE(logits, target, PAIR)[1] == 16


def test_nothing_counts() -> None:
    logits, target = logits_and_target()
    assert CE(logits, np.full_like(target, IGNORED), PAIR) == (0.0, 0)


def test_borders_count_more() -> None:
    target = np.zeros((9, 11), np.uint8)
    target[2:7, 1:5] = target[2:7, 6:10] = 1
    logits = torch.zeros(2, 9, 11)
    logits[1, :, 5] = 3  # wrong in the gap
    plain = CE(logits, target, PAIR)[0]
    assert replace(CE, borders=Borders(10.0, 2.0))(logits, target, PAIR)[0] > 1.3 * plain


def test_numbered_objects_that_touch_weigh_as_in_training(tmp_path: Path) -> None:
    numbers = np.zeros((40, 50), np.uint8)
    numbers[10:30, 8:24], numbers[10:30, 24:40] = 1, 2  # two objects side by side
    raster.write_picture(tmp_path / "a.png", np.stack([60 * numbers] * 3, axis=2))
    raster.write_mask(tmp_path / "a_mask.png", numbers, LABELS.palette())
    labels = Labels(("background", "object"), ((0, 0, 0), (9, 9, 9)), (0, 1), kind="instances")
    pair, borders = Pair("a", tmp_path / "a.png", tmp_path / "a_mask.png"), Borders(10.0, 3.0, (0.5, 2.0))
    half = Preprocessing(scale=0.5, mean=(0.0,) * 3, std=(1.0,) * 3)
    trained_on = SegmentationDataset([pair], labels, half, crop=None, augmentation=Augmentation(), borders=borders)
    sample = trained_on.draw(0, np.random.default_rng(0))
    assert sample.weights is not None and sample.target[10, 12] == 0, "a line between them"
    logits = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 20, 25)).astype(np.float32))
    expected = cross_entropy(logits[None], sample.target[None], None, sample.weights[None])
    loss = ValidationLoss(cross_entropy, None, borders, labels)
    target = read_target(pair, labels)
    for _ in range(2):
        total, pixels = loss(logits, target, pair)
        assert pixels == 500 and total / pixels == pytest.approx(float(expected), rel=1e-6)
        pair.mask.unlink(missing_ok=True)  # found once, kept for the next validation


def test_one_logit() -> None:
    target = np.array([[0, 1], [1, 0]], np.uint8)
    total, pixels = ValidationLoss(losses.parse("bce"), None, None, LABELS)(torch.zeros(1, 2, 2), target, PAIR)
    assert pixels == 4 and total == pytest.approx(4 * math.log(2))
