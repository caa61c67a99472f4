"""Terms that compare the predicted set of pixels of a class with the true one, by soft counts.

For class k with probabilities p and truth t (0 or 1), sums over pixels, each with its weight: TP = sum(p t),
FP = sum(p) - TP, FN = sum(t) - TP.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unet.losses.common import EPSILON, MaskedBatch, mask_ignored
from unet.losses.division import summed

SMOOTH = 1e-5
"""Keeps a ratio of sums defined for a class that is neither there nor predicted: it is perfect then."""


def dice(
    logits: Tensor,
    target: Tensor,
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
    *,
    per: str = "batch",
) -> Tensor:
    """One minus the soft Dice 2 TP / (2 TP + FP + FN), averaged over the classes that occur in the target.

    Parameters
    ----------
    logits, target, pixel_weights
        As `unet.losses` says.
    class_weights
        Without effect.
    per : {"batch", "picture"}
        What the sums are over. Per picture, the mean is over all pairs of a picture and a class that occurs in it.

    Notes
    -----
    The Dice loss of [1]_, without squares. A class that the target lacks has nothing to gain and is left out of the
    mean; 0 where none occurs (K = 1: where the target has no 1).

    References
    ----------
    .. [1] Milletari, Navab, Ahmadi: "V-Net: Fully Convolutional Neural Networks for Volumetric Medical Image
       Segmentation", 3DV 2016, arXiv:1606.04797.

    Examples
    --------
    >>> logits, target = torch.zeros(1, 1, 1, 4), torch.tensor([[[1, 1, 0, 0]]])  # p = 1/2
    >>> round(dice(logits, target).item(), 4)  # 1 - 2 * 1 / (2 + 2)
    0.5
    """
    counts = _soft_counts(mask_ignored(logits, target, pixel_weights))
    intersection, predicted, true = _over_batch(counts) if per == "batch" else counts
    present = true > 0
    losses = 1.0 - 2.0 * intersection / (predicted + true).clamp(min=EPSILON)
    if per == "batch":
        return (losses * present).sum() / present.sum().clamp(min=1)
    total, number = summed(torch.stack([(losses * present).sum(), present.sum().to(losses.dtype)])).unbind()
    return total / number.clamp(min=1)


def micro_dice(
    logits: Tensor, target: Tensor, class_weights: Tensor | None = None, pixel_weights: Tensor | None = None
) -> Tensor:
    """One minus the soft Dice of all classes taken together as one set of (pixel, class) pairs.

    This is what the Carvana system trains with: large classes dominate it. Class weights are without effect.

    Examples
    --------
    >>> logits, target = torch.zeros(1, 2, 1, 4), torch.tensor([[[1, 0, 0, 0]]])  # p = 1/2
    >>> round(micro_dice(logits, target).item(), 4)  # 1 - 2 * (1/2 + 3/2) / (4 + 4)
    0.5
    """
    counts = _soft_counts(mask_ignored(logits, target, pixel_weights))
    intersection, predicted, true = summed(torch.stack([each.sum() for each in counts])).unbind()
    return 1.0 - (2.0 * intersection + 1e-6) / (predicted + true + 1e-6)


def generalised_dice(
    logits: Tensor, target: Tensor, class_weights: Tensor | None = None, pixel_weights: Tensor | None = None
) -> Tensor:
    """One minus the soft Dice of all classes together, each weighted by 1 / (its true pixels)^2, over the batch.

    Notes
    -----
    1 - 2 sum_k w_k TP_k / sum_k w_k (2 TP_k + FP_k + FN_k), as in [1]_. A class that the target lacks has no such
    weight and is left out. The same as `dice` for K = 1. Class weights are without effect.

    References
    ----------
    .. [1] Sudre, Li, Vercauteren, Ourselin, Cardoso: "Generalised Dice overlap as a deep learning loss function for
       highly unbalanced segmentations", DLMIA 2017, arXiv:1707.03237.

    Examples
    --------
    >>> logits, target = torch.zeros(1, 2, 1, 4), torch.tensor([[[1, 0, 0, 0]]])  # p = 1/2
    >>> round(generalised_dice(logits, target).item(), 4)  # 1 - 2 * (1 / 2 + 3 / 2 / 9) / (3 + 5 / 9)
    0.625
    """
    intersection, predicted, true = _over_batch(_soft_counts(mask_ignored(logits, target, pixel_weights)))
    present = true > 0
    smallest = true.where(present, torch.inf).amin()
    weights = (smallest / true).square().where(present, 0)  # 1 for the rarest: no squares of large counts
    total = (weights * (predicted + true)).sum()
    return (total - 2.0 * (weights * intersection).sum()) / total.clamp(min=EPSILON)


def fbeta(
    logits: Tensor,
    target: Tensor,
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
    *,
    beta: float = 1.0,
    smooth: float = SMOOTH,
) -> Tensor:
    """One minus the soft F-beta, ((1 + b^2) TP + s) / ((1 + b^2) TP + b^2 FN + FP + s), averaged over all classes.

    `beta` > 1 cares more for pixels that were missed, < 1 more for pixels that were found by mistake. Sums over the
    batch. A class that the target lacks is in the mean: its score is s / (FP + s), so a large `smooth` (pixels) says
    that a few pixels found by mistake are no harm. Class weights are without effect.

    Examples
    --------
    >>> logits, target = torch.zeros(1, 1, 1, 4), torch.tensor([[[1, 0, 0, 0]]])  # TP = FN = 1/2, FP = 3/2
    >>> round(fbeta(logits, target).item(), 4)  # 1 - 1 / (1 + 2)
    0.6667
    >>> round(fbeta(logits, target, beta=2).item(), 4)  # 1 - 2.5 / (2.5 + 4 / 2 + 3 / 2)
    0.5833
    """
    intersection, predicted, true = _over_batch(_soft_counts(mask_ignored(logits, target, pixel_weights)))
    square = beta**2  # (1 + b^2) TP + b^2 FN + FP = b^2 sum(t) + sum(p)
    return 1.0 - (((1 + square) * intersection + smooth) / (square * true + predicted + smooth)).mean()


def tversky(
    logits: Tensor,
    target: Tensor,
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
    *,
    alpha: float | None = None,
    beta: float | None = None,
    smooth: float = SMOOTH,
) -> Tensor:
    """One minus the Tversky index (TP + s) / (TP + alpha FP + beta FN + s), averaged over all classes as in `fbeta`.

    With `alpha` given, `beta` is 1 - alpha if left out. Without `alpha`, `beta` is that of `fbeta`, and this is the
    same: alpha = 1 / (1 + b^2) and beta = b^2 / (1 + b^2) but for the smoothing.

    Notes
    -----
    The loss of [1]_: alpha weighs FP, beta FN.

    References
    ----------
    .. [1] Salehi, Erdogmus, Gholipour: "Tversky loss function for image segmentation using 3D fully convolutional deep
       networks", MLMI 2017, arXiv:1706.05721.

    Examples
    --------
    >>> logits, target = torch.zeros(1, 1, 1, 4), torch.tensor([[[1, 0, 0, 0]]])  # TP = FN = 1/2, FP = 3/2
    >>> round(tversky(logits, target, alpha=0.2).item(), 4)  # 1 - 0.5 / (0.5 + 0.2 * 1.5 + 0.8 * 0.5)
    0.5833
    """
    if alpha is None:
        return fbeta(logits, target, None, pixel_weights, beta=1.0 if beta is None else beta, smooth=smooth)
    intersection, predicted, true = _over_batch(_soft_counts(mask_ignored(logits, target, pixel_weights)))
    errors = alpha * (predicted - intersection) + (1.0 - alpha if beta is None else beta) * (true - intersection)
    return 1.0 - ((intersection + smooth) / (intersection + errors + smooth)).mean()


def _over_batch(counts: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    intersection, predicted, true = summed(torch.stack([each.sum(0) for each in counts])).unbind()
    return intersection, predicted, true


def _soft_counts(batch: MaskedBatch) -> tuple[Tensor, Tensor, Tensor]:
    """Per picture and class (N, K): sum(p t), sum(p) and sum(t)."""
    probabilities, weights = batch.probabilities, batch.weights
    pictures, classes = probabilities.shape[:2]
    weighted = probabilities if weights is None else probabilities * weights.unsqueeze(1)
    predicted = weighted.sum((2, 3))
    counted = torch.ones_like(probabilities[:, 0]) if weights is None else weights
    if batch.binary:
        truth = batch.target.unsqueeze(1)
        return (weighted * truth).sum((2, 3)), predicted, (counted.unsqueeze(1) * truth).sum((2, 3))
    # No one-hot tensor: the probability of the true class is gathered, and added up per class. Each row of a picture by
    # itself at first: float32 numbers added one by one to a sum of a million lose a thousandth of it.
    intersection = weighted.gather(1, batch.target.unsqueeze(1))
    rows = classes * torch.arange(pictures * probabilities.shape[2], device=probabilities.device)
    bins = (batch.target + rows.view(pictures, -1, 1)).flatten()
    zeros = probabilities.new_zeros(pictures * probabilities.shape[2] * classes)

    def by_class(values: Tensor) -> Tensor:
        return zeros.index_add(0, bins, values.flatten()).view(pictures, -1, classes).sum(1)

    return by_class(intersection), predicted, by_class(counted)
