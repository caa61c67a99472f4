"""Terms that judge one pixel at a time; each is a mean, weighted by the pixels' and their classes' weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from unet.losses.common import Pixels, average, nothing, pixels


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
    """
    seen = pixels(logits, target, pixel_weights)
    return average(_entropies(seen), seen.weights_with(class_weights))


def bce(
    logits: Tensor, target: Tensor, class_weights: Tensor | None = None, pixel_weights: Tensor | None = None
) -> Tensor:
    """Binary cross-entropy of each class against the rest by a sigmoid, averaged over the classes.

    The same as `cross_entropy` for K = 1. A class weight is that of a pixel's true class.
    """
    seen = pixels(logits, target, pixel_weights)
    if seen.binary:
        losses = _entropies(seen)
    else:  # log(1 + exp z) for a wrong class, that less z for the true one: no one-hot tensor
        true = seen.logits.gather(1, seen.classes.unsqueeze(1)).squeeze(1)
        losses = (F.softplus(seen.logits).sum(dim=1) - true) / logits.shape[1]
    return average(losses, seen.weights_with(class_weights))


def focal(
    logits: Tensor,
    target: Tensor,
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
    *,
    gamma: float = 2.0,
) -> Tensor:
    """Cross-entropy times (1 - p)^gamma, p the probability of the true class: what is easy counts little.

    The focal loss of Lin et al. 2017, "Focal Loss for Dense Object Detection", averaged over the pixels; its alpha are
    the class weights. `gamma` = 0 is cross-entropy.
    """
    seen = pixels(logits, target, pixel_weights)
    losses = _entropies(seen)
    # Kept off 0, where a power below one has no finite slope.
    missed = (-torch.expm1(-losses)).clamp(min=torch.finfo(losses.dtype).eps)
    return average(missed**gamma * losses, seen.weights_with(class_weights))


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
    weight. 1 is cross-entropy.
    """
    seen = pixels(logits, target, pixel_weights)
    losses = _entropies(seen).flatten()
    hardness = losses.detach()
    count = losses.numel()
    if seen.weights is not None:
        counted = seen.weights.flatten() > 0
        count = int(counted.sum())
        hardness = hardness.where(counted, -1)
    if count == 0:
        return nothing(seen.logits)
    hardest = hardness.topk(max(1, round(share * count)), sorted=False).indices
    weights = seen.weights_with(class_weights)
    return average(losses[hardest], None if weights is None else weights.flatten()[hardest])


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
    """
    seen = pixels(logits, target, pixel_weights)
    weights = seen.weights_with(class_weights)
    near = _near_another_class(seen, width).to(seen.logits.dtype)
    return average(_entropies(seen), near if weights is None else near * weights)


def _entropies(seen: Pixels) -> Tensor:
    """Cross-entropy of each pixel (N, H, W)."""
    if seen.binary:
        logits = seen.logits[:, 0]
        return F.binary_cross_entropy_with_logits(logits, seen.classes.to(logits.dtype), reduction="none")
    return F.cross_entropy(seen.logits, seen.classes, reduction="none")


def _near_another_class(seen: Pixels, width: int) -> Tensor:
    """Where (N, H, W) the largest or the smallest class index around differs from the pixel's own."""
    own = seen.classes.float()
    highest = lowest = own
    if seen.weights is not None:  # pixels that do not count have no class
        highest = own.where(seen.weights > 0, -torch.inf)
        lowest = own.where(seen.weights > 0, torch.inf)
    return (_largest_around(highest, width) != own) | (-_largest_around(-lowest, width) != own)


def _largest_around(maps: Tensor, width: int) -> Tensor:
    rows = F.max_pool2d(maps, (2 * width + 1, 1), stride=1, padding=(width, 0))
    return F.max_pool2d(rows, (1, 2 * width + 1), stride=1, padding=(0, width))
