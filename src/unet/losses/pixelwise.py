"""Terms that judge one pixel at a time; each is a mean, weighted by the pixels' and their classes' weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from unet.losses.common import EPSILON, MaskedBatch, count_bound, mask_ignored, weighted_mean
from unet.losses.division import summed


def cross_entropy(
    logits: Tensor, target: Tensor, class_weights: Tensor | None = None, pixel_weights: Tensor | None = None
) -> Tensor:
    """Cross-entropy; binary cross-entropy for K = 1.

    Parameters
    ----------
    logits, target, class_weights, pixel_weights
        As `unet.losses` says.

    Returns
    -------
    float32 Tensor ()

    Examples
    --------
    >>> logits = torch.tensor([[[[3.0, 0.0]], [[0.0, 3.0]]]])  # two classes, two pixels
    >>> round(cross_entropy(logits, torch.tensor([[[0, 1]]])).item(), 4)
    0.0486
    >>> round(cross_entropy(logits, torch.tensor([[[1, 1]]])).item(), 4)
    1.5486
    >>> round(cross_entropy(logits, torch.tensor([[[255, 1]]])).item(), 4)  # the first pixel is ignored
    0.0486
    """
    batch = mask_ignored(logits, target, pixel_weights)
    return weighted_mean(_cross_entropies(batch), batch.weights_with(class_weights))


def bce(
    logits: Tensor, target: Tensor, class_weights: Tensor | None = None, pixel_weights: Tensor | None = None
) -> Tensor:
    """Binary cross-entropy of each class against the rest by a sigmoid, averaged over the classes.

    The same as `cross_entropy` for K = 1. A class weight is that of a pixel's true class.

    Examples
    --------
    >>> round(bce(torch.zeros(1, 3, 1, 2), torch.tensor([[[0, 2]]])).item(), 4)  # ln 2: each class is as likely as not
    0.6931
    """
    batch = mask_ignored(logits, target, pixel_weights)
    if batch.binary:
        losses = _cross_entropies(batch)
    else:  # log(1 + exp z) for a wrong class, that less z for the true one: no one-hot tensor
        true = batch.logits.gather(1, batch.target.unsqueeze(1)).squeeze(1)
        losses = (F.softplus(batch.logits).sum(dim=1) - true) / logits.shape[1]
    return weighted_mean(losses, batch.weights_with(class_weights))


def balanced_bce(
    logits: Tensor,
    target: Tensor,
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
    *,
    background: float = 1.1,
) -> Tensor:
    """Binary cross-entropy in which thin lines and the ground between them count about the same, whatever their share.

    A foreground pixel counts by the share of the background in the batch, a background pixel by that of the foreground
    times `background`. With K > 1 foreground is every class but 0, and its logit the log of the odds.

    Parameters
    ----------
    logits, target, pixel_weights
        As `unet.losses` says.
    class_weights
        Without effect.
    background : float

    Notes
    -----
    As in [1]_, which sums where this takes the weighted mean, and counts each picture by itself; the factor of 1.1 is
    that of [2]_.

    References
    ----------
    .. [1] Xie, Tu: "Holistically-Nested Edge Detection", ICCV 2015, arXiv:1504.06375.
    .. [2] Liu, Cheng, Hu, Wang, Bai: "Richer Convolutional Features for Edge Detection", CVPR 2017, arXiv:1612.02103.

    Examples
    --------
    >>> target = torch.tensor([[[1, 0, 0, 0]]])
    >>> round(balanced_bce(torch.tensor([[[[0.0, 9, 9, 9]]]]), target, background=1.0).item(), 3)  # 0.5 ln 2 + 0.5 * 9
    4.847
    """
    batch = mask_ignored(logits, target, pixel_weights)
    foreground = batch.target > 0
    if batch.binary:
        losses = _cross_entropies(batch)
    else:
        odds = batch.logits[:, 1:].logsumexp(dim=1) - batch.logits[:, 0]
        losses = F.binary_cross_entropy_with_logits(odds, foreground.to(odds.dtype), reduction="none")
    counts = torch.ones_like(losses) if batch.weights is None else batch.weights
    # The weights follow from sums over the batch too, so all of these are asked for at once.
    parts = [counts * foreground, counts * ~foreground]
    sums = [part.sum() for part in parts] + [(part * losses).sum() for part in parts]
    lines, ground, loss_of_lines, loss_of_ground = summed(torch.stack(sums)).unbind()
    share = lines / (lines + ground).clamp(min=EPSILON)
    total = (1 - share) * loss_of_lines + background * share * loss_of_ground
    return total / ((1 - share) * lines + background * share * ground).clamp(min=EPSILON)


def focal(
    logits: Tensor,
    target: Tensor,
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
    *,
    gamma: float = 2.0,
) -> Tensor:
    """Cross-entropy times (1 - p)^gamma, p the probability of the true class: what is easy counts little.

    `gamma` = 0 is cross-entropy.

    Notes
    -----
    The focal loss [1]_, averaged over the pixels; its alpha are the class weights.

    References
    ----------
    .. [1] Lin, Goyal, Girshick, He, Dollár: "Focal Loss for Dense Object Detection", ICCV 2017, arXiv:1708.02002.

    Examples
    --------
    >>> logits, target = torch.zeros(1, 2, 1, 1), torch.tensor([[[1]]])  # p = 1/2
    >>> round(focal(logits, target, gamma=2).item(), 4)  # ln 2 / 4
    0.1733
    """
    batch = mask_ignored(logits, target, pixel_weights)
    losses = _cross_entropies(batch)
    # Kept off 0, where a power below one has no finite slope.
    error = (-torch.expm1(-losses)).clamp(min=torch.finfo(losses.dtype).eps)
    return weighted_mean(error**gamma * losses, batch.weights_with(class_weights))


def topk(
    logits: Tensor,
    target: Tensor,
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
    *,
    share: float = 0.25,
) -> Tensor:
    """Cross-entropy of the hardest pixels of the batch only (online hard example mining).

    `share` of the pixels that count are taken, rounded, one at least: those with the largest cross-entropy before any
    weight. 1 is cross-entropy. Of a batch that is divided, this share of each part.

    Examples
    --------
    >>> logits, target = torch.tensor([[[[0.0, 0.0, 9.0, 9.0]]]]), torch.ones(1, 1, 4, dtype=torch.int64)
    >>> round(topk(logits, target, share=0.5).item(), 4)  # ln 2 of the two pixels in doubt
    0.6931
    """
    batch = mask_ignored(logits, target, pixel_weights)
    losses = _cross_entropies(batch).flatten()
    weights = batch.weights_with(class_weights)
    if batch.weights is None:
        hardest = losses.detach().topk(max(1, round(share * losses.numel())), sorted=False).indices
        return weighted_mean(losses[hardest], None if weights is None else weights.flatten()[hardest])
    valid = batch.weights.flatten() > 0
    bound = count_bound(valid)
    unknown = bound == losses.numel()
    count = max(1, round(share * bound))
    hardest = losses.detach().where(valid, -1).topk(count, sorted=unknown).indices
    chosen = (batch.weights if weights is None else weights).flatten()[hardest]
    if unknown:  # too many then: only the device knows how many are to stay
        wanted = (share * valid.sum().to(losses.dtype)).round().clamp(min=1)
        chosen = chosen * (torch.arange(count, device=losses.device) < wanted)
    return weighted_mean(losses[hardest], chosen)


def boundary(
    logits: Tensor,
    target: Tensor,
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
    *,
    width: int = 2,
) -> Tensor:
    """Cross-entropy of the pixels at the borders between classes only.

    A pixel is at a border if a pixel of another class lies at most `width` rows and columns away. Neither ignored
    pixels nor the picture's edge make a border. 0 where there is none. To be added to a term for all pixels.

    Examples
    --------
    >>> logits, target = torch.tensor([[[[9.0, 9.0, 0.0, 0.0]]]]), torch.tensor([[[0, 0, 0, 1]]])
    >>> round(boundary(logits, target, width=1).item(), 4)  # ln 2: the two pixels on the left are far from the border
    0.6931
    """
    batch = mask_ignored(logits, target, pixel_weights)
    weights = batch.weights_with(class_weights)
    near_boundary = _near_another_class(batch, width).to(batch.logits.dtype)
    return weighted_mean(_cross_entropies(batch), near_boundary if weights is None else near_boundary * weights)


def _cross_entropies(batch: MaskedBatch) -> Tensor:
    """Cross-entropy of each pixel (N, H, W)."""
    if batch.binary:
        logits = batch.logits[:, 0]
        return F.binary_cross_entropy_with_logits(logits, batch.target.to(logits.dtype), reduction="none")
    return F.nll_loss(batch.log_probabilities, batch.target, reduction="none")


def _near_another_class(batch: MaskedBatch, width: int) -> Tensor:
    """Where (N, H, W) the largest or the smallest class index around differs from the pixel's own."""
    classes = batch.target.float()
    highest = lowest = classes
    if batch.weights is not None:  # pixels that do not count have no class
        highest = classes.where(batch.weights > 0, -torch.inf)
        lowest = classes.where(batch.weights > 0, torch.inf)
    return (_max_filter(highest, width) != classes) | (-_max_filter(-lowest, width) != classes)


def _max_filter(maps: Tensor, width: int) -> Tensor:
    rows = F.max_pool2d(maps, (2 * width + 1, 1), stride=1, padding=(width, 0))
    return F.max_pool2d(rows, (1, 2 * width + 1), stride=1, padding=(0, width))
