"""The Lovász losses: a direct, convex stand-in for one minus the IoU."""

from __future__ import annotations

import torch
from torch import Tensor

from unet.losses.common import EPSILON, nothing, pixels


def lovasz(
    logits: Tensor, target: Tensor, class_weights: Tensor | None = None, pixel_weights: Tensor | None = None
) -> Tensor:
    """The Lovász extension of one minus the IoU over the batch: Lovász soft-max, or the Lovász hinge for K = 1.

    Parameters
    ----------
    logits, target, pixel_weights
        As `unet.losses` says.
    class_weights
        Without effect.

    Notes
    -----
    Berman, Rannen Triki and Blaschko 2018, "The Lovász-Softmax loss". The mean is over the classes that occur in the
    target. With K = 1 a target without any 1 still has a loss: of the worst pixel alone.

    The loss is linear in the errors where their order does not change. The slopes are found without a gradient, class
    by class, so that only one number per pixel and class is kept for the way back.
    """
    seen = pixels(logits, target, pixel_weights)
    counted = None if seen.weights is None else seen.weights > 0
    weights = None if seen.weights is None or counted is None else seen.weights[counted]

    def flat(values: Tensor) -> Tensor:
        return values.flatten() if counted is None else values[counted]

    if seen.binary:
        truth = flat(seen.classes)
        errors = (1.0 - flat(seen.logits[:, 0]) * (2 * truth - 1)).relu()
        return (errors * _slopes(errors.detach(), truth == 1, weights)).sum()

    # The error of a pixel is 1 - p where it is of the class, else p.
    shares, slopes = seen.probabilities(), torch.zeros_like(seen.logits)
    constant, occurring = shares.new_zeros(()), 0
    for number in range(shares.shape[1]):
        truth = flat(seen.classes == number)
        if not bool(truth.any()):
            continue
        occurring += 1
        share = flat(shares.detach()[:, number])
        slope = _slopes(torch.where(truth, 1.0 - share, share), truth, weights)
        constant += slope[truth].sum()
        signed = torch.where(truth, -slope, slope)
        if counted is None:
            slopes[:, number] = signed.view_as(seen.classes)
        else:
            slopes[:, number][counted] = signed
    if occurring == 0:
        return nothing(seen.logits)
    return (constant + (shares * slopes).sum()) / occurring


def _slopes(errors: Tensor, truth: Tensor, weights: Tensor | None) -> Tensor:
    """How much one minus the IoU grows with each pixel that turns wrong, in the order of falling errors.

    Parameters
    ----------
    errors : float Tensor (M,)
    truth : bool Tensor (M,)
        The pixels of the class.
    weights : float Tensor (M,) or None
        All above 0.

    Returns
    -------
    float Tensor (M,)
        In the order of the pixels.
    """
    order = errors.argsort(descending=True)
    truth = truth[order]
    weights = torch.ones_like(errors) if weights is None else weights[order]
    total = (weights * truth).sum()
    left = total - (weights * truth).cumsum(0)  # the intersection
    union = total + (weights * ~truth).cumsum(0)
    # What is missed leaves the intersection, what is found by mistake enters the union. Written without a difference
    # of two ratios near one, which float32 would not tell apart in a large picture.
    growth = torch.where(truth, weights / union, left * weights / (union * (union - weights).clamp(min=EPSILON)))
    growth[:1] += (total == 0).to(growth.dtype)  # an empty set is missed altogether by the first pixel
    return torch.empty_like(growth).scatter_(0, order, growth)
