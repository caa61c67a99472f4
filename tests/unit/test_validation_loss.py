"""The loss of whole pictures: that of training, whatever their size, of the pixels that count."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from unet import losses
from unet.data.dataset import Borders
from unet.labels import IGNORED
from unet.losses import cross_entropy
from unet.runs import validation_loss
from unet.runs.validation_loss import ValidationLoss

CE = ValidationLoss(cross_entropy, None, None)


def logits_and_target(height: int = 6, width: int = 8, classes: int = 3) -> tuple[torch.Tensor, NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    target = rng.integers(0, classes, (height, width), dtype=np.uint8)
    target[0, :3] = IGNORED
    return torch.from_numpy(rng.normal(size=(classes, height, width)).astype(np.float32)), target


@pytest.mark.parametrize("text", ["ce", "ce + dice", "focal(gamma=2)"])
def test_it_is_the_loss_of_training_of_the_pixels_that_count(text: str) -> None:
    logits, target = logits_and_target()
    weights = torch.tensor([1.0, 2.0, 3.0])
    loss = ValidationLoss(losses.parse(text), weights, None)
    expected = losses.parse(text)(logits[None], torch.from_numpy(target[None].astype(np.int64)), weights)
    total, pixels = loss(logits, target)
    assert pixels == 6 * 8 - 3 and total / pixels == pytest.approx(float(expected), rel=1e-6)


def test_a_mask_is_brought_to_the_scale_of_the_network() -> None:
    logits, target = logits_and_target()
    assert CE(logits, target.repeat(3, axis=0).repeat(3, axis=1)) == CE(logits, target)


def test_large_pictures_are_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, target = logits_and_target()
    whole = CE(logits, target)
    monkeypatch.setattr(validation_loss, "MOST_PIXELS", 20)  # two rows
    assert CE(logits, target) == (pytest.approx(whole[0], rel=1e-6), whole[1])
    target[:4] = IGNORED  # whole bands without a pixel that counts
    assert CE(logits, target)[1] == 16


def test_nothing_counts() -> None:
    logits, target = logits_and_target()
    assert CE(logits, np.full_like(target, IGNORED)) == (0.0, 0)


def test_borders_count_more() -> None:
    target = np.zeros((9, 11), np.uint8)
    target[2:7, 1:5] = target[2:7, 6:10] = 1
    logits = torch.zeros(2, 9, 11)
    logits[1, :, 5] = 3  # wrong in the gap
    plain = CE(logits, target)[0]
    assert replace(CE, borders=Borders(10.0, 2.0))(logits, target)[0] > 1.3 * plain


def test_one_logit() -> None:
    target = np.array([[0, 1], [1, 0]], np.uint8)
    total, pixels = ValidationLoss(losses.parse("bce"), None, None)(torch.zeros(1, 2, 2), target)
    assert pixels == 4 and total == pytest.approx(4 * math.log(2))
