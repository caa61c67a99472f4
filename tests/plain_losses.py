"""What the tests of losses share: each term with some arguments, samples, and slow and obvious formulae."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
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
    "balanced_bce(background=2)": partial(losses.balanced_bce, background=2.0),
    "focal(gamma=0.5)": partial(losses.focal, gamma=0.5),
    "topk(share=0.6)": partial(losses.topk, share=0.6),
    "boundary(width=1)": partial(losses.boundary, width=1),
    "cldice(iterations=2)": partial(losses.cldice, iterations=2, smooth=0.5),
}


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


def plain_balanced_bce(data: Plain, background: float = 1.1) -> float:
    lines = data.classes > 0
    ground = data.p[:, 0] if data.p.shape[1] > 1 else 1 - data.p[:, 0]
    share = (data.weight * lines).sum() / data.weight.sum()
    weights = data.weight * np.where(lines, 1 - share, background * share)
    losses = -np.log(np.where(lines, 1 - ground, ground))
    return float((weights * losses).sum() / weights.sum()) if weights.sum() else 0.0


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
    "balanced_bce": plain_balanced_bce,
    "balanced_bce(background=2)": partial(plain_balanced_bce, background=2),
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
