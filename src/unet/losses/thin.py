"""A term for thin structures: their centre lines must be found, and lie inside of what was predicted."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from unet.losses.common import nothing, pixels


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
    Shit et al. 2021, "clDice": with the soft skeletons S, precision is sum(S(p) t) / sum S(p), the share of the
    predicted centre line that is inside of the true set, sensitivity is sum(S(t) p) / sum S(t), and the score their
    harmonic mean. Sums are over the batch. It says nothing of thickness: add it to `dice`. 0 where no foreground
    occurs.
    """
    seen = pixels(logits, target, pixel_weights)
    shares = seen.probabilities()
    scores = []
    for number in range(1, max(2, shares.shape[1])):
        truth = seen.classes == number
        if not bool(truth.any()):
            continue
        share, weights = shares[:, 0 if seen.binary else number], seen.weights
        if weights is not None:
            share = share.where(weights > 0, 0)
        # A skeleton needs several maps per iteration on the way back: made again there, for one class at a time.
        line = checkpoint(soft_skeleton, share, iterations, use_reentrant=False, preserve_rng_state=False)
        true_line = soft_skeleton(truth.to(share.dtype), iterations)
        if weights is not None:
            line, true_line = line * weights, true_line * weights
        precision = ((line * truth).sum() + smooth) / (line.sum() + smooth)
        sensitivity = ((true_line * share).sum() + smooth) / (true_line.sum() + smooth)
        scores.append(2.0 * precision * sensitivity / (precision + sensitivity))
    return 1.0 - torch.stack(scores).mean() if scores else nothing(seen.logits)


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
    """
    skeleton = torch.zeros_like(maps)
    for _ in range(iterations + 1):
        thinned = torch.minimum(
            -F.max_pool2d(-maps, (3, 1), stride=1, padding=(1, 0)),
            -F.max_pool2d(-maps, (1, 3), stride=1, padding=(0, 1)),
        )
        rest = F.relu(maps - F.max_pool2d(thinned, 3, stride=1, padding=1))
        skeleton = skeleton + rest * (1.0 - skeleton)
        maps = thinned
    return skeleton
