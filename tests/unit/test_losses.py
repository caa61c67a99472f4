"""Losses against slow and obvious formulae in double precision, numerical gradients, invariants, and at the edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from plain_losses import PLAIN, VARIANTS, Plain, plain_skeleton, sample, weights_for
from scipy import ndimage

from unet import losses
from unet.labels import IGNORED

every_term = pytest.mark.parametrize("name", sorted(VARIANTS))
one_or_three = pytest.mark.parametrize("classes", [1, 3])


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


@one_or_three
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("area", [1, 2])
def test_malis_is_its_obvious_formula(classes: int, seed: int, area: int) -> None:
    logits, target = sample(seed, classes, (2, 11, 12), ignored=0.1)
    weights = weights_for(seed, target) + (torch.rand(target.shape, generator=torch.manual_seed(seed)) < 0.8)
    line = (logits[:, 0].sigmoid() if classes == 1 else 1 - logits.softmax(1)[:, 0]).numpy()
    counts, true = ((target != IGNORED) & (weights > 0)).numpy(), (target > 0).numpy()
    gaps = [p for n in range(2) for p in lowest_passes(line[n], true[n], counts[n], area)]
    bars = [p for n in range(2) for p in lowest_passes(line[n], line[n] > 0.5, counts[n] & ~true[n], area)]
    loss = losses.malis(logits, target, None, weights, min_area=area)
    assert len(gaps) > 1 and (len(bars) > 1 or area > 1)
    assert loss.item() == pytest.approx(-np.log(gaps + [1 - p for p in bars]).mean(), rel=1e-9)


def lowest_passes(
    heights: NDArray[np.float64], lines: NDArray[np.bool_], counts: NDArray[np.bool_], area: int
) -> list[float]:
    """The heights at which groups of shapes are joined, found by flooding to every height that occurs."""
    shapes, count = ndimage.label(~lines & counts)
    large = [number for number in range(1, count + 1) if (shapes == number).sum() >= area]
    joined, left = [], len(large)
    for height in np.sort(heights[lines & counts]):
        group = list(range(count + 1))
        wet, waters = ndimage.label(lines & counts & (heights <= height), np.ones((3, 3)))
        for water in range(1, waters + 1):
            beside = {group[n] for n in np.unique(shapes[ndimage.binary_dilation(wet == water, np.ones((3, 3)))]) if n}
            group = [min(beside) if g in beside else g for g in group]
        now = len({group[number] for number in large})
        joined, left = joined + [float(height)] * (left - now), now
    return joined


def test_malis_asks_for_the_gap_that_joins_two_shapes_and_for_nothing_else() -> None:
    target = torch.zeros(1, 9, 9, dtype=torch.int64)
    target[:, 4] = 1
    logits = 8.0 * (2 * target.unsqueeze(1) - 1).float()
    logits[0, 0, 4, 2], logits[0, 0, 4, 6], logits[0, 0, 1, 1] = 1.0, -3.0, 9.0  # worn, gone, and a line too many
    logits.requires_grad_()
    losses.malis(logits, target).backward()
    assert logits.grad is not None
    assert logits.grad.nonzero().tolist() == [[0, 0, 4, 6]] and logits.grad[0, 0, 4, 6] < 0


def test_malis_opens_a_line_that_parts_a_shape_where_it_is_weakest() -> None:
    target = torch.zeros(1, 9, 9, dtype=torch.int64)
    logits = torch.full((1, 1, 9, 9), -8.0)
    logits[0, 0, 4], logits[0, 0, 4, 2], logits[0, 0, 7, :4] = 8.0, 1.0, 8.0  # across, and one that ends
    logits.requires_grad_()
    losses.malis(logits, target).backward()
    assert logits.grad is not None
    assert logits.grad.nonzero().tolist() == [[0, 0, 4, 2]] and logits.grad[0, 0, 4, 2] > 0


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
    """But for terms whose class 0 is background."""
    logits, target = sample(seed, 4)
    order = torch.tensor([0, 3, 1, 2] if name.startswith(("cldice", "balanced_bce", "malis")) else [2, 3, 1, 0])
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


@pytest.mark.parametrize(
    ("name", "expected"), [("dice", 0), ("generalised_dice", 0), ("cldice", 0), ("malis", 0), ("lovasz", 4)]
)
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
