"""Losses: pure functions of (logits, target), the ignored pixels out of all of them, computed in float32."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from unet.errors import ConfigError
from unet.labels import IGNORED

Loss = Callable[..., Tensor]

USUAL = "ce + dice"
"""Cross-entropy judges every pixel, Dice lets small classes count like large ones."""


def cross_entropy(
    logits: Tensor, target: Tensor, class_weights: Tensor | None = None, pixel_weights: Tensor | None = None
) -> Tensor:
    """Cross-entropy, averaged over the pixels that count.

    Parameters
    ----------
    logits : float Tensor (N, K, H, W)
        With K = 1 the loss is binary cross-entropy and the target holds 0 and 1.
    target : int64 Tensor (N, H, W)
        Class indices, `IGNORED` where a pixel does not count.
    class_weights : float Tensor (K,), optional
        The average is weighted by them.
    pixel_weights : float Tensor (N, H, W), optional
        The average is weighted by them too.

    Returns
    -------
    float32 Tensor ()
        0 (with a gradient of 0) where every pixel is ignored.
    """
    logits = logits.float()
    valid = target != IGNORED
    if logits.shape[1] == 1:
        losses = F.binary_cross_entropy_with_logits(logits[:, 0], (target == 1).float(), reduction="none")
        if pixel_weights is not None:
            counted = pixel_weights * valid
            return (losses * counted).sum() / counted.sum().clamp(min=1e-6)
        return (losses * valid).sum() / valid.sum().clamp(min=1)
    if not bool(valid.any()):
        return logits.sum() * 0.0
    if pixel_weights is not None:
        losses = F.cross_entropy(logits, target, ignore_index=IGNORED, reduction="none")
        counted = pixel_weights * valid
        if class_weights is not None:
            counted = counted * class_weights[target.where(valid, 0)]
        return (losses * counted).sum() / counted.sum().clamp(min=1e-6)
    return F.cross_entropy(logits, target, weight=class_weights, ignore_index=IGNORED)


def dice(
    logits: Tensor, target: Tensor, class_weights: Tensor | None = None, pixel_weights: Tensor | None = None
) -> Tensor:
    """One minus the soft Dice of the batch, averaged over the classes that occur in its target.

    Parameters
    ----------
    logits, target : Tensor
        As in `cross_entropy`.
    class_weights, pixel_weights : ignored

    Notes
    -----
    Dice_k = 2 sum(p_k t_k) / (sum p_k + sum t_k), sums over all counted pixels of the batch (Milletari et al. 2016,
    without squares). A class that the target lacks has nothing to gain and is left out of the mean.
    """
    inter, total, present = _overlaps(logits, target)
    per_class = 1.0 - 2.0 * inter / total.clamp(min=1e-6)
    return (per_class * present).sum() / present.sum().clamp(min=1)


def micro_dice(
    logits: Tensor, target: Tensor, class_weights: Tensor | None = None, pixel_weights: Tensor | None = None
) -> Tensor:
    """One minus the soft Dice of all classes taken together as one set of (pixel, class) pairs.

    This is what the Carvana system trains with: large classes dominate it.
    """
    inter, total, _ = _overlaps(logits, target)
    return 1.0 - (2.0 * inter.sum() + 1e-6) / (total.sum() + 1e-6)


def _overlaps(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Per class: sum of p*t, sum of p + t, and whether the class occurs; ignored pixels out."""
    logits = logits.float()
    classes = logits.shape[1]
    valid = (target != IGNORED).unsqueeze(1)
    if classes == 1:
        probabilities = logits.sigmoid() * valid
        truth = (target == 1).unsqueeze(1).float()
        axes = (0, 2, 3)
        inter, sizes = (probabilities * truth).sum(axes), truth.sum(axes)
        return inter, probabilities.sum(axes) + sizes, torch.ones_like(sizes)
    probabilities = logits.softmax(dim=1) * valid
    # No one-hot tensor: gather the probability of the true class and add it up per class.
    index = target.where(target != IGNORED, 0)
    hit = probabilities.gather(1, index.unsqueeze(1)).flatten()
    flat = index.flatten()
    inter = torch.zeros(classes, device=logits.device).index_add(0, flat, hit)
    sizes = torch.zeros(classes, device=logits.device).index_add(0, flat, valid.flatten().float())
    return inter, probabilities.sum((0, 2, 3)) + sizes, (sizes > 0).float()


TERMS: dict[str, Loss] = {"ce": cross_entropy, "dice": dice, "micro_dice": micro_dice}


def parse(text: str) -> Loss:
    """Return the loss that a text like "ce + dice" or "0.5*ce + dice" describes.

    Raises
    ------
    ConfigError
        An unknown term or a weight that is not a number above zero.
    """
    terms: list[tuple[float, Loss]] = []
    for part in text.split("+"):
        factor, _, name = part.strip().rpartition("*")
        try:
            weight = float(factor or 1)
        except ValueError:
            weight = math.nan
        if name.strip() not in TERMS or not 0 < weight < math.inf:
            raise ConfigError(f"loss {text!r}", f"a sum of {', '.join(TERMS)}, such as 'ce + 0.5*dice'")
        terms.append((weight, TERMS[name.strip()]))

    def total(
        logits: Tensor, target: Tensor, class_weights: Tensor | None = None, pixel_weights: Tensor | None = None
    ) -> Tensor:
        return torch.stack([f * term(logits, target, class_weights, pixel_weights) for f, term in terms]).sum()

    return total
