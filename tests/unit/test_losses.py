"""Losses against arrays computed by hand, an independent formula, and their edge cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from unet import losses
from unet.errors import ConfigError
from unet.labels import IGNORED


def plain_dice(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Dice with a one-hot tensor and a loop: slow and obvious."""
    probabilities = logits.softmax(1)
    values = []
    for k in range(logits.shape[1]):
        valid = target != IGNORED
        truth = (target == k)[valid].double()
        p = probabilities[:, k][valid]
        if truth.sum() > 0:
            values.append(1 - 2 * (p * truth).sum() / (p.sum() + truth.sum()))
    return torch.stack(values).mean()


@settings(deadline=None, max_examples=30)
@given(classes=st.integers(2, 5), seed=st.integers(0, 1000), ignored=st.floats(0, 0.9))
def test_dice_equals_the_obvious_formula(classes: int, seed: int, ignored: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, 5, 7, generator=generator)
    target = torch.randint(0, classes, (2, 5, 7), generator=generator)
    target[torch.rand(2, 5, 7, generator=generator) < ignored] = IGNORED
    if bool((target == IGNORED).all()):
        return
    assert losses.dice(logits, target).item() == pytest.approx(plain_dice(logits, target).item(), abs=1e-5)


def test_cross_entropy_leaves_ignored_pixels_out() -> None:
    logits = torch.randn(1, 3, 4, 4)
    target = torch.randint(0, 3, (1, 4, 4))
    target[0, 0] = IGNORED
    expected = F.cross_entropy(logits[:, :, 1:], target[:, 1:])
    torch.testing.assert_close(losses.cross_entropy(logits, target), expected)


def test_binary_cross_entropy_for_one_class() -> None:
    logits = torch.randn(2, 1, 4, 4)
    target = torch.randint(0, 2, (2, 4, 4))
    target[0, 0] = IGNORED
    valid = target != IGNORED
    expected = F.binary_cross_entropy_with_logits(logits[:, 0][valid], target[valid].float())
    torch.testing.assert_close(losses.cross_entropy(logits, target), expected)


@pytest.mark.parametrize("classes", [1, 3])
def test_cross_entropy_weighs_pixels(classes: int) -> None:
    logits, weights = torch.randn(2, classes, 4, 5), torch.rand(2, 4, 5)
    target = torch.randint(0, max(classes, 2), (2, 4, 5))
    target[0, 0] = IGNORED
    of_class = torch.tensor([1.0, 2.0, 5.0]) if classes == 3 else None
    total = counted = 0.0
    for place in np.ndindex(2, 4, 5):
        picture, row, column = place
        if target[place] != IGNORED:
            pixel = logits[picture : picture + 1, :, row : row + 1, column : column + 1]
            weight = weights[place].item() * (1 if of_class is None else of_class[target[place]].item())
            loss = losses.cross_entropy(pixel, target[picture : picture + 1, row : row + 1, column : column + 1])
            total, counted = total + weight * loss.item(), counted + weight
    weighted = losses.cross_entropy(logits, target, of_class, weights).item()
    assert weighted == pytest.approx(total / counted, rel=1e-5)
    nothing = torch.full_like(target, IGNORED)
    assert losses.cross_entropy(logits, nothing, of_class, weights).item() == 0


def test_micro_dice_of_one_hot_sets() -> None:
    """With probabilities (p, 1-p) and all pixels of class 0, inter = sum p and both sets count every pixel once."""
    logits = torch.zeros(1, 2, 2, 2)
    target = torch.zeros(1, 2, 2, dtype=torch.int64)
    assert losses.micro_dice(logits, target).item() == pytest.approx(1 - 2 * (4 * 0.5) / (4 + 4), abs=1e-6)


@pytest.mark.parametrize("name", sorted(losses.TERMS))
@pytest.mark.parametrize("classes", [1, 3])
def test_all_ignored_gives_a_finite_loss_and_no_gradient(name: str, classes: int) -> None:
    logits = torch.randn(1, classes, 3, 3, requires_grad=True)
    loss = losses.TERMS[name](logits, torch.full((1, 3, 3), IGNORED), None)
    loss.backward()
    assert torch.isfinite(loss)
    assert logits.grad is not None and not bool(logits.grad.any())


@pytest.mark.parametrize("name", sorted(losses.TERMS))
def test_a_perfect_prediction_has_next_to_no_loss_and_a_wrong_one_much(name: str) -> None:
    target = torch.randint(0, 3, (1, 8, 8))
    logits = 50.0 * F.one_hot(target, 3).permute(0, 3, 1, 2).float()
    assert losses.TERMS[name](logits, target, None).item() < 1e-4
    assert losses.TERMS[name](-logits, target, None).item() > 0.4


def test_losses_are_float32_inside_autocast() -> None:
    logits = torch.randn(1, 3, 4, 4, dtype=torch.bfloat16)
    target = torch.randint(0, 3, (1, 4, 4))
    assert losses.parse("ce + dice")(logits, target, None).dtype == torch.float32


def test_a_sum_is_read_from_text() -> None:
    logits, target = torch.randn(1, 3, 4, 4), torch.randint(0, 3, (1, 4, 4))
    expected = 0.5 * losses.cross_entropy(logits, target) + losses.dice(logits, target)
    torch.testing.assert_close(losses.parse("0.5*ce + dice")(logits, target, None), expected)


@pytest.mark.parametrize("text", ["", "ce +", "cee", "x*ce", "ce - dice", "-1*ce", "0*ce", "nan*ce", "inf*ce + dice"])
def test_a_loss_that_is_none_is_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(ConfigError, match="micro_dice"):
        losses.parse(text)
