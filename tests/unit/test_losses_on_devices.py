"""Losses do not make the host wait for the device, and what they compute where it is not asked is the same."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from plain_losses import VARIANTS, sample, weights_for
from torch import Tensor

from unet.losses import common, jaccard, pixelwise, thin

every_term = pytest.mark.parametrize("name", sorted(VARIANTS))
one_or_three = pytest.mark.parametrize("classes", [1, 3])


@pytest.mark.parametrize("name", sorted(VARIANTS.keys() - {"malis"}))  # which says that it asks
@one_or_three
@pytest.mark.parametrize("weighted", [False, True])
def test_no_value_is_asked_of_the_device(name: str, classes: int, weighted: bool) -> None:
    """Tensors of the meta device have shapes and no values: whoever asks for one fails."""
    logits = torch.zeros(2, classes, 8, 9, device="meta", requires_grad=True)
    target = torch.zeros(2, 8, 9, dtype=torch.int64, device="meta")
    by_class = torch.ones(max(2, classes), device="meta") if weighted else None
    by_pixel = torch.ones(2, 8, 9, device="meta") if weighted else None
    loss = VARIANTS[name](logits, target, by_class, by_pixel)
    loss.backward()
    assert loss.shape == () and logits.grad is not None


def test_the_meta_device_refuses_to_give_values() -> None:
    """Else the test above would say nothing."""
    mask = torch.zeros(3, device="meta") > 0
    for asks in (mask.any().item, mask.nonzero, mask.tolist, lambda: bool(mask.any()), lambda: mask[mask]):
        with pytest.raises((RuntimeError, NotImplementedError)):
            asks()


@pytest.mark.slow
@every_term
@one_or_three
def test_where_the_host_does_not_ask_the_result_is_the_same(
    name: str, classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = []
    for first, ignored, weighted in product([1, 2, 3], [0.0, 0.3, 0.97, 1.0], [False, True]):
        logits, target = sample(7, classes, ignored=ignored)
        target = target.where(target >= first, 0)  # the classes before the first do not occur, but for 0
        cases.append((logits, target, None, weights_for(7, target) if weighted else None))
    expected = [loss_and_gradient(name, case) for case in cases]
    for module in (common, jaccard, pixelwise, thin):  # those that ask the CPU
        monkeypatch.setattr(module, "count_bound", torch.Tensor.numel)
    results = [loss_and_gradient(name, case) for case in cases]
    torch.testing.assert_close(results, expected, rtol=1e-12, atol=1e-12)


def loss_and_gradient(name: str, case: tuple[Tensor, Tensor, Tensor | None, Tensor | None]) -> tuple[Tensor, Tensor]:
    logits, target, by_class, by_pixel = case
    leaf = logits.clone().requires_grad_()
    loss = VARIANTS[name](leaf, target, by_class, by_pixel)
    loss.backward()
    assert leaf.grad is not None
    return loss.detach(), leaf.grad
