"""Losses against slow and obvious formulae in double precision, numerical gradients, invariants, and at the edges."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from unet import losses
from unet.labels import IGNORED

Floats = NDArray[np.float64]

VARIANTS: dict[str, losses.Loss] = {
    **losses.TERMS,
    "dice(per=picture)": partial(losses.dice, per="picture"),
    "fbeta(beta=2, smooth=3)": partial(losses.fbeta, beta=2.0, smooth=3.0),
    "tversky(beta=2)": partial(losses.tversky, beta=2.0),
    "tversky(alpha=0.3)": partial(losses.tversky, alpha=0.3),
    "tversky(alpha=0.3, beta=2, smooth=1)": partial(losses.tversky, alpha=0.3, beta=2.0, smooth=1.0),
    "focal(gamma=0.5)": partial(losses.focal, gamma=0.5),
    "topk(share=0.6)": partial(losses.topk, share=0.6),
    "boundary(width=1)": partial(losses.boundary, width=1),
    "cldice(iterations=2)": partial(losses.cldice, iterations=2, smooth=0.5),
}
every_term = pytest.mark.parametrize("name", sorted(VARIANTS))
one_or_three = pytest.mark.parametrize("classes", [1, 3])


def sample(
    seed: int, classes: int, shape: tuple[int, int, int] = (2, 6, 7), ignored: float = 0.3
) -> tuple[Tensor, Tensor]:
    """Logits in double precision, and a target with ignored pixels."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(shape[0], classes, *shape[1:], generator=generator, dtype=torch.float64)
    target = torch.randint(0, max(2, classes), shape, generator=generator)
    target[torch.rand(shape, generator=generator) < ignored] = IGNORED
    return logits, target


def weights_for(seed: int, target: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 4, target.shape, generator=generator).double()


# Slow and obvious formulae: numpy, one-hot arrays, loops over classes.


class Plain:
    """The pixels that count as lists: probabilities and truth (M, C), their classes and pictures, and weights (M,)."""

    def __init__(self, logits: Tensor, target: Tensor, by_class: Tensor | None, by_pixel: Tensor | None) -> None:
        z, true = logits.numpy(), target.numpy()
        counts = (true != IGNORED) & ((by_pixel is None) or (by_pixel.numpy() > 0))
        self.z = np.moveaxis(z, 1, -1)[counts]
        self.classes = true[counts]
        self.picture = np.nonzero(counts)[0]
        self.weight = np.ones(len(self.classes)) if by_pixel is None else by_pixel.numpy()[counts]
        self.scale = np.ones(len(self.classes)) if by_class is None else by_class.numpy()[self.classes]
        if z.shape[1] == 1:
            self.p = 1 / (1 + np.exp(-self.z))
            self.t = (self.classes == 1).astype(float)[:, None]
        else:
            e = np.exp(self.z)
            self.p = e / e.sum(1, keepdims=True)
            self.t = np.eye(z.shape[1])[self.classes]
        right = np.where(self.t == 1, self.p, 1 - self.p)  # probability of what is so
        self.errors = 1 - right
        self.entropy = -np.log((self.p * self.t).sum(1) if z.shape[1] > 1 else right[:, 0])

    def mean(self, values: Floats) -> float:
        weights = self.weight * self.scale
        return float((values * weights).sum() / weights.sum()) if weights.sum() else 0.0

    def sums(self, k: int, chosen: NDArray[np.bool_] | slice = slice(None)) -> tuple[float, float, float]:
        p, t, w = self.p[chosen, k], self.t[chosen, k], self.weight[chosen]
        return (p * t * w).sum(), (p * (1 - t) * w).sum(), ((1 - p) * t * w).sum()  # TP, FP, FN


def plain_ce(data: Plain) -> float:
    return data.mean(data.entropy)


def plain_bce(data: Plain) -> float:
    alone = 1 / (1 + np.exp(-data.z))
    return data.mean(-np.log(np.where(data.t == 1, alone, 1 - alone)).mean(1))


def plain_focal(data: Plain, gamma: float = 2) -> float:
    return data.mean((1 - np.exp(-data.entropy)) ** gamma * data.entropy)


def plain_topk(data: Plain, share: float = 0.25) -> float:
    keep = np.argsort(-data.entropy)[: max(1, round(share * len(data.entropy)))]
    weights = (data.weight * data.scale)[keep]
    return float((data.entropy[keep] * weights).sum() / weights.sum()) if weights.sum() else 0.0


def plain_dice(data: Plain, per: str = "batch") -> float:
    values = []
    for picture in np.unique(data.picture) if per == "picture" else [None]:
        chosen = np.full(len(data.picture), True) if picture is None else data.picture == picture
        for k in range(data.p.shape[1]):
            tp, fp, fn = data.sums(k, chosen)
            if data.t[chosen, k].any():
                values.append(1 - 2 * tp / (2 * tp + fp + fn))
    return float(np.mean(values)) if values else 0.0


def plain_micro_dice(data: Plain) -> float:
    tp, fp, fn = np.sum([data.sums(k) for k in range(data.p.shape[1])], axis=0)
    return float(1 - (2 * tp + 1e-6) / (2 * tp + fp + fn + 1e-6))


def plain_generalised_dice(data: Plain) -> float:
    above = below = 0.0
    for k in range(data.p.shape[1]):
        tp, fp, fn = data.sums(k)
        if tp + fn > 0:
            above += 2 * tp / (tp + fn) ** 2
            below += (2 * tp + fp + fn) / (tp + fn) ** 2
    return 1 - above / below if below else 0.0


def plain_fbeta(data: Plain, beta: float = 1, smooth: float = 1e-5) -> float:
    values = []
    for k in range(data.p.shape[1]):
        tp, fp, fn = data.sums(k)
        values.append(((1 + beta**2) * tp + smooth) / ((1 + beta**2) * tp + beta**2 * fn + fp + smooth))
    return 1 - float(np.mean(values))


def plain_tversky(data: Plain, alpha: float, beta: float, smooth: float = 1e-5) -> float:
    values = []
    for k in range(data.p.shape[1]):
        tp, fp, fn = data.sums(k)
        values.append((tp + smooth) / (tp + alpha * fp + beta * fn + smooth))
    return 1 - float(np.mean(values))


def plain_lovasz(data: Plain) -> float:
    """Errors times differences of the Jaccard index as sets grow; weights are whole numbers: so many copies."""
    copies = data.weight.astype(int)
    binary = data.p.shape[1] == 1
    values = []
    for k in range(data.p.shape[1]):
        truth = np.repeat(data.t[:, k], copies)
        errors = np.maximum(0, 1 - data.z[:, 0] * (2 * data.t[:, 0] - 1)) if binary else data.errors[:, k]
        errors = np.repeat(errors, copies)
        if not binary and not truth.any():
            continue
        order = np.argsort(-errors)
        before, loss, missed, wrong = 0.0, 0.0, 0.0, 0.0
        for pixel in order:
            missed, wrong = missed + truth[pixel], wrong + 1 - truth[pixel]
            now = 1 - (truth.sum() - missed) / (truth.sum() + wrong)
            loss, before = loss + errors[pixel] * (now - before), now
        values.append(loss)
    return float(np.mean(values)) if values else 0.0


PLAIN: dict[str, Callable[[Plain], float]] = {
    "ce": plain_ce,
    "bce": plain_bce,
    "focal": plain_focal,
    "focal(gamma=0.5)": partial(plain_focal, gamma=0.5),
    "topk": plain_topk,
    "topk(share=0.6)": partial(plain_topk, share=0.6),
    "dice": plain_dice,
    "dice(per=picture)": partial(plain_dice, per="picture"),
    "micro_dice": plain_micro_dice,
    "generalised_dice": plain_generalised_dice,
    "fbeta": plain_fbeta,
    "fbeta(beta=2, smooth=3)": partial(plain_fbeta, beta=2, smooth=3),
    "tversky": plain_fbeta,
    "tversky(beta=2)": partial(plain_fbeta, beta=2),
    "tversky(alpha=0.3)": partial(plain_tversky, alpha=0.3, beta=0.7),
    "tversky(alpha=0.3, beta=2, smooth=1)": partial(plain_tversky, alpha=0.3, beta=2, smooth=1),
    "lovasz": plain_lovasz,
}


def takes_class_weights(name: str) -> bool:
    return name.split("(")[0] in ("ce", "bce", "focal", "topk", "ohem", "boundary")


@pytest.mark.parametrize("name", sorted(PLAIN))
@one_or_three
@settings(max_examples=12)
@given(seed=st.integers(0, 10_000), ignored=st.sampled_from([0.0, 0.3, 0.97]), weighted=st.booleans())
def test_each_term_is_its_obvious_formula(name: str, classes: int, seed: int, ignored: float, weighted: bool) -> None:
    logits, target = sample(seed, classes, ignored=ignored)
    by_class = torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64)[: max(2, classes)] if weighted else None
    by_pixel = weights_for(seed, target) if weighted else None
    loss = VARIANTS[name](logits, target, by_class, by_pixel)
    data = Plain(logits, target, by_class if takes_class_weights(name) else None, by_pixel)
    expected = PLAIN[name](data) if len(data.classes) else 0.0
    assert loss.dtype == torch.float64
    assert loss.item() == pytest.approx(expected, rel=1e-9, abs=1e-9)
    single = VARIANTS[name](logits.float(), target, by_class, by_pixel)
    assert single.dtype == torch.float32
    assert single.item() == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("width", [1, 2])
@one_or_three
@pytest.mark.parametrize("seed", range(6))
def test_boundary_is_the_cross_entropy_near_pixels_of_another_class(width: int, classes: int, seed: int) -> None:
    logits, _ = sample(seed, classes, (2, 9, 11))
    rng = np.random.default_rng(seed)
    true = np.kron(rng.integers(0, max(2, classes), (2, 3, 3)), np.ones((1, 3, 4), np.int64))[:, :9, :11]
    true[rng.random(true.shape) < 0.2] = IGNORED
    target = torch.from_numpy(true)
    by_class, by_pixel = torch.rand(3, dtype=torch.float64) + 0.1, torch.rand(2, 9, 11, dtype=torch.float64) + 0.1
    near = np.zeros(true.shape)
    for n, row, column in np.ndindex(*true.shape):
        around = true[n, max(0, row - width) : row + width + 1, max(0, column - width) : column + width + 1]
        near[n, row, column] = ((around != true[n, row, column]) & (around != IGNORED)).any()
    assert 0 < near.sum() < near.size
    loss = losses.boundary(logits, target, by_class, by_pixel, width=width)
    expected = losses.cross_entropy(logits, target, by_class, by_pixel * torch.from_numpy(near))
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=1e-12)


def test_there_is_no_boundary_in_a_target_of_one_class() -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = losses.boundary(logits, torch.ones(1, 4, 4, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0 and logits.grad is not None and not bool(logits.grad.any())


def plain_skeleton(picture: Floats, iterations: int) -> Floats:
    """The soft skeleton with rank filters, as in the paper's listing."""
    cross = ndimage.generate_binary_structure(2, 1)

    def opened(values: Floats) -> Floats:
        thinned = ndimage.minimum_filter(values, footprint=cross, mode="constant", cval=np.inf)
        return np.asarray(ndimage.maximum_filter(thinned, size=3, mode="constant", cval=-np.inf))

    skeleton = np.maximum(0, picture - opened(picture))
    for _ in range(iterations):
        picture = ndimage.minimum_filter(picture, footprint=cross, mode="constant", cval=np.inf)
        more = np.maximum(0, picture - opened(picture))
        skeleton = skeleton + np.maximum(0, more - skeleton * more)
    return skeleton


@one_or_three
@pytest.mark.parametrize("seed", range(4))
def test_cldice_is_its_obvious_formula(classes: int, seed: int) -> None:
    logits, target = sample(seed, classes, (2, 12, 13), ignored=0.1)
    weights = weights_for(seed, target)
    counts = ((target != IGNORED) & (weights > 0)).numpy()
    w = weights.numpy() * counts
    p = (logits.softmax(1) if classes > 1 else torch.cat([1 - logits.sigmoid(), logits.sigmoid()], 1)).numpy()
    scores = []
    for k in range(1, max(2, classes)):
        share, truth = p[:, k] * counts, (target.numpy() == k) * counts * 1.0
        line, true_line = (np.stack([plain_skeleton(picture, 3) for picture in maps]) for maps in (share, truth))
        precision = ((line * truth * w).sum() + 0.5) / ((line * w).sum() + 0.5)
        sensitivity = ((true_line * share * w).sum() + 0.5) / ((true_line * w).sum() + 0.5)
        scores.append(2 * precision * sensitivity / (precision + sensitivity))
    loss = losses.cldice(logits, target, None, weights, iterations=3, smooth=0.5)
    assert loss.item() == pytest.approx(1 - np.mean(scores), rel=1e-9)


def test_cldice_cares_for_a_gap_in_a_line_more_than_for_its_thickness() -> None:
    target = torch.zeros(1, 21, 40, dtype=torch.int64)
    target[:, 8:13] = 1
    thin, broken = torch.full((1, 1, 21, 40), -20.0), torch.full((1, 1, 21, 40), -20.0)
    thin[:, :, 9:12] = 20  # two fifths of the pixels are missing
    broken[:, :, 8:13] = 20
    broken[:, :, :, 18:22] = -20  # a tenth
    assert losses.cldice(thin, target).item() < 0.02 < 0.04 < losses.cldice(broken, target).item()
    assert losses.dice(thin, target).item() > losses.dice(broken, target).item()


@pytest.mark.slow
@every_term
@one_or_three
def test_gradients_are_the_numerical_ones(name: str, classes: int) -> None:
    logits, target = sample(5, classes, (1, 4, 5), ignored=0.2)
    by_class = torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64)[: max(2, classes)]
    by_pixel = torch.rand(target.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.1
    term = VARIANTS[name]
    assert torch.autograd.gradcheck(lambda z: term(z, target, by_class, by_pixel), logits.requires_grad_())


@every_term
@one_or_three
@settings(max_examples=8)
@given(seed=st.integers(0, 10_000), ignored=st.sampled_from([0.1, 0.6, 1.0]), weighted=st.booleans())
def test_what_the_logits_are_where_pixels_do_not_count_never_matters(
    name: str, classes: int, seed: int, ignored: float, weighted: bool
) -> None:
    logits, target = sample(seed, classes, ignored=ignored)
    by_pixel = weights_for(seed, target) if weighted else None
    counts = (target != IGNORED) & (by_pixel > 0 if by_pixel is not None else True)
    other = torch.tensor([torch.nan, torch.inf, -torch.inf, 1e30, -3.0], dtype=torch.float64)
    changed = logits.where(counts.unsqueeze(1), other[torch.arange(logits.numel()).view(logits.shape) % 5])
    results = []
    for given_logits in (logits, changed):
        leaf = given_logits.clone().requires_grad_()
        loss = VARIANTS[name](leaf, target, None, by_pixel)
        loss.backward()
        assert leaf.grad is not None and not bool(leaf.grad.where(counts.logical_not().unsqueeze(1), 0).any())
        results.append((loss.detach(), leaf.grad))
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)
    if not bool(counts.any()):
        assert results[0][0].item() == 0


@every_term
@one_or_three
@settings(max_examples=5)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_pictures_and_the_side_that_is_up_do_not_matter(name: str, classes: int, seed: int) -> None:
    logits, target = sample(seed, classes, (3, 5, 6))
    by_pixel = weights_for(seed, target)
    loss = VARIANTS[name](logits, target, None, by_pixel)
    order = torch.tensor([2, 0, 1])
    shuffled = VARIANTS[name](logits[order], target[order], None, by_pixel[order])
    mirrored = VARIANTS[name](logits.flip(2).mT, target.flip(1).mT, None, by_pixel.flip(1).mT)
    torch.testing.assert_close((shuffled, mirrored), (loss, loss), rtol=1e-9, atol=1e-9)


@every_term
@settings(max_examples=5)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_classes_does_not_matter(name: str, seed: int) -> None:
    """But for cldice, whose class 0 is background."""
    logits, target = sample(seed, 4)
    order = torch.tensor([0, 3, 1, 2] if "cldice" in name else [2, 3, 1, 0])
    by_class = torch.tensor([1.0, 0.2, 3.0, 0.7], dtype=torch.float64)
    new = torch.cat([order.argsort(), torch.full((256,), IGNORED)])
    new[IGNORED] = IGNORED
    loss = VARIANTS[name](logits, target, by_class)
    renamed = VARIANTS[name](logits[:, order], new[target], by_class[order])
    torch.testing.assert_close(renamed, loss, rtol=1e-9, atol=1e-9)


@every_term
@one_or_three
@pytest.mark.parametrize("how", ["ignored", "weight 0"])
def test_where_no_pixel_counts_there_is_neither_loss_nor_gradient(name: str, classes: int, how: str) -> None:
    logits = torch.randn(1, classes, 3, 3, requires_grad=True)
    if how == "ignored":
        loss = VARIANTS[name](logits, torch.full((1, 3, 3), IGNORED))
    else:
        loss = VARIANTS[name](logits, torch.ones(1, 3, 3, dtype=torch.int64), None, torch.zeros(1, 3, 3))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None and not bool(logits.grad.any())


@every_term
@one_or_three
@pytest.mark.parametrize("true", [0, 1])
def test_a_single_pixel_has_a_finite_loss_and_gradient(name: str, classes: int, true: int) -> None:
    logits = torch.randn(1, classes, 1, 1, requires_grad=True)
    loss = VARIANTS[name](logits, torch.full((1, 1, 1), true))
    loss.backward()
    assert loss.shape == () and loss.dtype == torch.float32 and bool(torch.isfinite(loss)) and loss.item() >= 0
    assert logits.grad is not None and bool(torch.isfinite(logits.grad).all())


def test_classes_that_the_target_lacks() -> None:
    """Class 2 does not occur; half a pixel of probability is on it in each of 4 x 4 pixels."""
    target = torch.zeros(1, 4, 4, dtype=torch.int64)
    target[:, 2:] = 1
    logits = torch.log(torch.tensor([0.25, 0.25, 0.5])).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    each = 2 * (8 * 0.25) / (8 + 16 * 0.25)  # of class 0 and of class 1
    assert losses.dice(logits, target).item() == pytest.approx(1 - each)
    assert losses.generalised_dice(logits, target).item() == pytest.approx(1 - each)
    assert losses.fbeta(logits, target, smooth=1e-5).item() == pytest.approx(1 - 2 * each / 3, abs=1e-4)
    assert losses.fbeta(logits, target, smooth=8.0).item() == pytest.approx(
        1 - (2 * (2 * 2 + 8) / (4 + 8 + 8) + 8 / (8 + 8)) / 3
    )
    two = losses.lovasz(torch.log(torch.tensor([[0.25], [0.25]])).view(1, 2, 1, 1).expand(1, 2, 4, 4), target)
    assert two.item() == pytest.approx(0.5), "errors of one half everywhere"


@pytest.mark.parametrize(("name", "expected"), [("dice", 0), ("generalised_dice", 0), ("cldice", 0), ("lovasz", 4)])
def test_a_mask_without_foreground(name: str, expected: float) -> None:
    logits = torch.full((2, 1, 4, 4), -1.0)
    logits[1, 0, 2, 3] = 3.0
    assert losses.TERMS[name](logits, torch.zeros(2, 4, 4, dtype=torch.int64)).item() == expected


@every_term
def test_a_perfect_prediction_has_next_to_no_loss_and_a_wrong_one_much(name: str) -> None:
    target = torch.randint(0, 3, (1, 8, 8))
    logits = 100.0 * F.one_hot(target, 3).permute(0, 3, 1, 2).float() - 50.0
    assert VARIANTS[name](logits, target, None).item() < 1e-4
    assert VARIANTS[name](-logits, target, None).item() > 0.4


@every_term
@one_or_three
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_losses_are_float32_inside_autocast(name: str, classes: int, dtype: torch.dtype) -> None:
    logits, target = sample(2, classes)
    leaves = [logits.to(dtype).requires_grad_() for _ in range(2)]
    outside = VARIANTS[name](leaves[0], target)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = VARIANTS[name](leaves[1], target)
    assert inside.dtype == torch.float32
    assert inside.item() == outside.item()
    outside.backward()
    inside.backward()
    assert leaves[1].grad is not None and leaves[1].grad.dtype == dtype
    torch.testing.assert_close(leaves[1].grad, leaves[0].grad, rtol=0, atol=0)


def test_known_functions_of_torch() -> None:
    logits, target = sample(3, 3)
    weights = torch.tensor([0.2, 1.0, 3.0], dtype=torch.float64)
    expected = F.cross_entropy(logits, target, weights, ignore_index=IGNORED)
    torch.testing.assert_close(losses.cross_entropy(logits, target, weights), expected)
    torch.testing.assert_close(losses.topk(logits, target, weights, share=1.0), expected)
    torch.testing.assert_close(losses.focal(logits, target, weights, gamma=0.0), expected)
    binary, target = sample(3, 1)
    valid = target != IGNORED
    expected = F.binary_cross_entropy_with_logits(binary[:, 0][valid], target[valid].double())
    for term in (losses.cross_entropy, losses.bce):
        torch.testing.assert_close(term(binary, target), expected)
        torch.testing.assert_close(term(binary, target, torch.tensor([7.0])), expected)


def test_a_rare_class_counts_in_generalised_dice_and_hardly_in_micro_dice() -> None:
    """One pixel of class 1 among 399 of class 0, missed."""
    target = torch.zeros(1, 20, 20, dtype=torch.int64)
    target[0, 3, 3] = 1
    logits = torch.tensor([20.0, -20.0]).view(1, 2, 1, 1).expand(1, 2, 20, 20)
    assert losses.generalised_dice(logits, target).item() > 0.9
    assert losses.dice(logits, target).item() == pytest.approx(0.5, abs=2e-3)
    assert losses.micro_dice(logits, target).item() == pytest.approx(1 / 400, abs=1e-5)


@pytest.mark.slow
def test_large_pictures_keep_their_precision() -> None:
    """Two million pixels: more than plain sums of float32, or differences of ratios near one, would bear."""
    target = torch.zeros(1, 1024, 2048, dtype=torch.int64)
    target[:, :, 1024:] = 1
    target[:, :2, :2] = 2
    odds = torch.tensor([[0.1, 0.7, 0.2], [0.8, 0.1, 0.1]])
    logits = odds[(target == 1).long()].log().permute(0, 3, 1, 2)
    double = {name: VARIANTS[name](logits.double(), target).item() for name in ("dice", "lovasz", "generalised_dice")}
    for name, expected in double.items():
        assert VARIANTS[name](logits, target).item() == pytest.approx(expected, rel=1e-5), name


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="target"):
        losses.dice(torch.zeros(2, 3, 4, 5), torch.zeros(2, 4, 4, dtype=torch.int64))
    with pytest.raises(ValueError, match="pixel weights"):
        losses.dice(torch.zeros(2, 3, 4, 5), torch.zeros(2, 4, 5, dtype=torch.int64), None, torch.ones(2, 1, 4, 5))


def test_channels_last_logits_and_views_give_the_same() -> None:
    logits, target = sample(4, 3)
    for name, term in VARIANTS.items():
        loss = term(logits.to(memory_format=torch.channels_last), target)
        assert math.isclose(loss.item(), term(logits, target).item(), rel_tol=1e-9), name
