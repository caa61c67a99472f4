"""Losses read from text: sums with factors and arguments, and what is said of a text that is none."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from unet import losses
from unet.errors import ConfigError
from unet.losses.text import ARGUMENTS

LOGITS = torch.randn(2, 3, 6, 7, generator=torch.Generator().manual_seed(0))
TARGET = torch.randint(0, 3, (2, 6, 7), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ce", losses.cross_entropy(LOGITS, TARGET)),
        ("0.5*ce + dice", 0.5 * losses.cross_entropy(LOGITS, TARGET) + losses.dice(LOGITS, TARGET)),
        (
            "0.5*focal(gamma=2) + tversky(beta=2)",
            0.5 * losses.focal(LOGITS, TARGET, gamma=2) + losses.fbeta(LOGITS, TARGET, beta=2),
        ),
        ("0.5*focal+tversky( beta = 2 )", 0.5 * losses.focal(LOGITS, TARGET) + losses.fbeta(LOGITS, TARGET, beta=2)),
        ("1e+1 * dice(per=picture)", 10 * losses.dice(LOGITS, TARGET, per="picture")),
        ("tversky(alpha=3e-1,beta=.7)", losses.tversky(LOGITS, TARGET, alpha=0.3, beta=0.7)),
        ("ce() + ce", 2 * losses.cross_entropy(LOGITS, TARGET)),
        ("fbeta(smooth=1e+2)", losses.fbeta(LOGITS, TARGET, smooth=100)),
        ("ohem(share=0.1)", losses.topk(LOGITS, TARGET, share=0.1)),
        ("cldice(iterations=3) + boundary(width=1)",
         losses.cldice(LOGITS, TARGET, iterations=3) + losses.boundary(LOGITS, TARGET, width=1)),
    ],
)  # fmt: skip
def test_a_sum_is_read(text: str, expected: torch.Tensor) -> None:
    torch.testing.assert_close(losses.parse(text)(LOGITS, TARGET), expected)


def test_the_weights_reach_every_term() -> None:
    by_class, by_pixel = torch.tensor([1.0, 2.0, 0.5]), torch.rand(TARGET.shape)
    loss = losses.parse("ce + 2*dice")(LOGITS, TARGET, by_class, pixel_weights=by_pixel)
    expected = losses.cross_entropy(LOGITS, TARGET, by_class, by_pixel) + 2 * losses.dice(
        LOGITS, TARGET, None, by_pixel
    )
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("text", ["", "ce +", "cee", "x*ce", "ce - dice", "-1*ce", "0*ce", "nan*ce", "inf*ce + dice"])
def test_a_loss_that_is_none_is_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(ConfigError, match="micro_dice"):
        losses.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lovas", "unknown term 'lovas' (did you mean lovasz?)"),
        ("generalized_dice", "did you mean generalised_dice"),
        ("focal(gama=2)", "focal has no argument 'gama' (did you mean gamma?); it takes gamma (a number, 0 or more)"),
        ("focal(2)", "'2' in focal(...), where arguments have names; focal takes gamma"),
        ("focal(gamma=high)", "gamma=high in focal(...), expected a number, 0 or more"),
        ("focal(gamma=nan)", "expected a number, 0 or more"),
        ("focal(gamma=)", "expected a number, 0 or more"),
        ("focal(gamma=1, gamma=2)", "gamma is given twice to focal"),
        ("ce(gamma=2)", "ce has no argument 'gamma'; it takes no arguments"),
        ("dice(per=pixel)", "per=pixel in dice(...), expected batch or picture"),
        ("topk(share=0)", "expected a share above 0, 1 at most"),
        ("topk(share=25)", "expected a share above 0, 1 at most"),
        ("boundary(width=1.5)", "expected a whole number, 1 or more"),
        ("-2*ce", "ce times '-2', expected a number above 0"),
        ("dice(per=batch", "'dice(per=batch' is no term"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        losses.parse(text)
    assert message in str(caught.value) and caught.value.exit_code == 2


def test_all_faults_are_said_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        losses.parse("0*focal(gamma=-1, x=2) + cee + ce")
    for message in ("focal times '0'", "gamma=-1", "no argument 'x'", "unknown term 'cee'"):
        assert message in str(caught.value)


@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_the_arguments_are_those_of_the_functions(name: str) -> None:
    words = {"per": "batch", "width": "1", "iterations": "1", "share": "1", "min_area": "9"}
    text = ", ".join(f"{key}={words.get(key, '0.5')}" for key in ARGUMENTS[name])
    assert torch.isfinite(losses.parse(f"{name}({text})")(LOGITS, TARGET))


def test_the_terms_of_a_sum_share_one_soft_max(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what comes out, and its gradient, is that of the terms by themselves."""
    calls: list[object] = []
    soft_max = Tensor.log_softmax

    def counting(logits: Tensor, dim: int) -> Tensor:
        calls.append(logits)
        return soft_max(logits, dim)

    monkeypatch.setattr(Tensor, "log_softmax", counting)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 7, 9, generator=generator, dtype=torch.float64).requires_grad_()
    target = torch.randint(0, 5, (2, 7, 9), generator=generator)
    target[:, :2] = 255
    total = losses.parse("ce + 0.5*dice + focal")(logits, target)
    (gradient,) = torch.autograd.grad(total, logits)
    assert len(calls) == 1
    alone = [factor * losses.parse(name)(logits, target) for name, factor in (("ce", 1), ("dice", 0.5), ("focal", 1))]
    expected = torch.stack(alone).sum()
    assert len(calls) == 4, "another sum is another batch"
    torch.testing.assert_close(total, expected)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, logits)[0])
