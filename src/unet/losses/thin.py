"""A term for thin structures: their centre lines must be found, and lie inside of what was predicted."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from unet.losses.common import count_bound, mask_ignored
from unet.losses.division import is_divided, summed


def cldice(
    logits: Tensor,
    target: Tensor,
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
    *,
    iterations: int = 5,
    smooth: float = 1.0,
) -> Tensor:
    """One minus the centre-line Dice, averaged over the foreground classes that occur in the target.

    Parameters
    ----------
    logits, target, pixel_weights
        As `unet.losses` says. Foreground is every class but 0; with K = 1 the target's 1. An ignored pixel is
        background for all of them.
    class_weights
        Without effect.
    iterations : int
        How often structures are thinned by a pixel from all sides: at least half the thickness of the thickest.
        Memory and time grow with it.
    smooth : float
        Added to both sides of both ratios.

    Notes
    -----
    As in [1]_: with the soft skeletons S, precision is sum(S(p) t) / sum S(p), the share of the predicted centre line
    that is inside of the true set, sensitivity is sum(S(t) p) / sum S(t), and the score their harmonic mean. Sums are
    over the batch. It says nothing of thickness: add it to `dice`. 0 where no foreground occurs.

    References
    ----------
    .. [1] Shit, Paetzold et al.: "clDice - A Novel Topology-Preserving Loss Function for Tubular Structure
       Segmentation", CVPR 2021, arXiv:2003.07311.

    Examples
    --------
    >>> target = torch.zeros(1, 5, 9, dtype=torch.int64)
    >>> target[:, 2] = 1  # a line
    >>> logits = 20.0 * (2 * target.unsqueeze(1) - 1)
    >>> round(cldice(logits, target).item(), 4)
    0.0
    >>> logits[..., 3:6] = -20  # a third of it is missing: sensitivity (6 + 1) / (9 + 1)
    >>> round(cldice(logits, target).item(), 4)
    0.1765
    """
    batch = mask_ignored(logits, target, pixel_weights)
    probabilities = batch.probabilities
    losses = batch.logits[:0].sum()  # 0, with a gradient of 0 where nothing is added
    present = losses.new_zeros(())
    sums: list[Tensor] = []
    for index in range(1, max(2, probabilities.shape[1])):
        truth = batch.target == index
        if count_bound(truth) == 0 and not is_divided():  # other parts may hold the class
            continue
        probability, weights = probabilities[:, 0 if batch.binary else index], batch.weights
        if weights is not None:
            probability = probability.where(weights > 0, 0)
        # A skeleton needs several maps per iteration on the way back: made again there, for one class at a time.
        skeleton = checkpoint(soft_skeleton, probability, iterations, use_reentrant=False, preserve_rng_state=False)
        true_skeleton = soft_skeleton(truth.to(probability.dtype), iterations)
        if weights is not None:
            skeleton, true_skeleton = skeleton * weights, true_skeleton * weights
        found = (skeleton * truth).sum(), skeleton.sum(), (true_skeleton * probability).sum(), true_skeleton.sum()
        sums.append(torch.stack([*found, truth.any().to(losses.dtype)]))
    if not sums:
        return losses
    for inside, predicted, met, true, occurring in summed(torch.stack(sums)):
        precision = (inside + smooth) / (predicted + smooth)
        sensitivity = (met + smooth) / (true + smooth)
        occurs = occurring > 0
        present = present + occurs
        losses = losses + (1.0 - 2.0 * precision * sensitivity / (precision + sensitivity)) * occurs
    return losses / present.clamp(min=1)


def soft_skeleton(maps: Tensor, iterations: int) -> Tensor:
    """Return the centre lines of soft sets.

    Parameters
    ----------
    maps : float Tensor (N, H, W)
        0..1.
    iterations : int

    Returns
    -------
    float Tensor (N, H, W)
        0..1: what an opening takes away from the sets, thinned 0 to `iterations` times. The picture's edge does not
        thin.

    Notes
    -----
    The soft skeleton of the paper on clDice, see `cldice`.

    Examples
    --------
    >>> bar = torch.zeros(1, 5, 7)
    >>> bar[:, 1:4] = 1
    >>> soft_skeleton(bar, 2)[0].int().tolist()
    [[0, 0, 0, 0, 0, 0, 0],
     [0, 0, 0, 0, 0, 0, 0],
     [1, 1, 1, 1, 1, 1, 1],
     [0, 0, 0, 0, 0, 0, 0],
     [0, 0, 0, 0, 0, 0, 0]]
    """
    skeleton = torch.zeros_like(maps)
    for _ in range(iterations + 1):
        eroded = torch.minimum(
            -F.max_pool2d(-maps, (3, 1), stride=1, padding=(1, 0)),
            -F.max_pool2d(-maps, (1, 3), stride=1, padding=(0, 1)),
        )
        delta = F.relu(maps - F.max_pool2d(eroded, 3, stride=1, padding=1))
        skeleton = skeleton + delta * (1.0 - skeleton)
        maps = eroded
    return skeleton
