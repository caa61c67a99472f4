"""The loss of whatever a network gives in training: fewer pixels than the target has, or several levels."""

from __future__ import annotations

import torch
from torch import Tensor

from unet.losses import Loss
from unet.models.blocks import centre


def loss_of_outputs(
    loss: Loss,
    outputs: Tensor | tuple[Tensor, ...],
    target: Tensor,
    class_weights: Tensor | None,
    *pixel_weights: Tensor | None,
) -> Tensor:
    """Return the loss of logits, or the weighted mean of the losses of several levels.

    Parameters
    ----------
    loss : callable
        As `unet.losses.parse` returns it.
    outputs : float Tensor (N, K, h, w) or tuple of such
        Logits of the target's middle (networks without padding); or of all of it at full, half, quarter ...
        resolution (deep supervision), whose losses count 1, 1/2, 1/4 ... as in nnU-Net.
    target : int64 Tensor (N, H, W)
    class_weights : float Tensor (K,) or None
    *pixel_weights : float Tensor (N, H, W) or None
        Handed on to the loss, cut and reduced like the target.

    Returns
    -------
    float32 Tensor ()
    """
    levels = (outputs,) if isinstance(outputs, Tensor) else outputs
    terms, shares = [], []
    for level, logits in enumerate(levels):
        pixels = [None if plane is None else _reduced(plane, level, logits) for plane in pixel_weights]
        shares.append(0.5**level)
        terms.append(shares[-1] * loss(logits, _reduced(target, level, logits), class_weights, *pixels))
    return torch.stack(terms).sum() / sum(shares)


def _reduced(plane: Tensor, level: int, logits: Tensor) -> Tensor:
    """Return what belongs to the logits of a level: the middle, or every second, fourth ... pixel."""
    height, width = logits.shape[2:]
    step = 1 << level
    return centre(plane, height, width) if level == 0 else plane[:, ::step, ::step][:, :height, :width]
