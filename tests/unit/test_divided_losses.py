"""The loss of a batch that is computed in parts, and its gradient, are those of the whole batch."""

from __future__ import annotations

import pytest
import torch
from plain_losses import VARIANTS, sample, weights_for

from unet.losses.division import Ledger

OF_EACH_PART = ("lovasz", "topk", "ohem")
"""They order the pixels: of a batch in parts each takes those of its own."""


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("name", sorted(name for name in VARIANTS if name.split("(")[0] not in OF_EACH_PART))
def test_a_batch_in_uneven_parts_has_the_loss_of_the_whole(name: str, classes: int) -> None:
    logits, target = sample(3, classes, (3, 7, 9), ignored=0.3)
    target[0][target[0] == 1] = 0  # a class that is in some parts only
    by_class, by_pixel = torch.tensor([0.5, 2.0, 3.0], dtype=logits.dtype)[: max(2, classes)], weights_for(3, target)
    logits.requires_grad_()
    whole = VARIANTS[name](logits, target, by_class, by_pixel)
    (expected,) = torch.autograd.grad(whole, logits)

    def loss_of(part: slice) -> torch.Tensor:
        return VARIANTS[name](logits[part], target[part], by_class, by_pixel[part])

    ledger, parts, gradient = Ledger(), (slice(0, 1), slice(1, 3)), torch.zeros_like(logits)
    for part in parts:
        with ledger.collecting(), torch.no_grad():
            loss_of(part)
    for number, part in enumerate(parts):
        with ledger.completing(number):
            loss = loss_of(part)
        assert loss.item() == pytest.approx(whole.item(), rel=1e-9, abs=1e-12)
        gradient += torch.autograd.grad(loss, logits)[0]
    torch.testing.assert_close(gradient, expected, rtol=1e-7, atol=1e-10)
