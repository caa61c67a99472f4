"""The Lovász losses: a direct, convex stand-in for one minus the IoU."""

from __future__ import annotations

import torch
from torch import Tensor

from unet.losses.common import EPSILON, mask_ignored, zero_loss


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

    The loss is linear in the errors where their order does not change. Its gradient in them is computed outside of
    autograd, class by class, so that only one number per pixel and class is kept for the backward pass.
    """
    batch = mask_ignored(logits, target, pixel_weights)
    valid = None if batch.weights is None else batch.weights > 0
    weights = None if batch.weights is None or valid is None else batch.weights[valid]

    def flat(values: Tensor) -> Tensor:
        return values.flatten() if valid is None else values[valid]

    if batch.binary:
        truth = flat(batch.target)
        errors = (1.0 - flat(batch.logits[:, 0]) * (2 * truth - 1)).relu()
        return (errors * _lovasz_grad(errors.detach(), truth == 1, weights)).sum()

    # The error of a pixel is 1 - p where it is of the class, else p.
    probabilities, gradients = batch.probabilities(), torch.zeros_like(batch.logits)
    constant, present = probabilities.new_zeros(()), 0
    for index in range(probabilities.shape[1]):
        truth = flat(batch.target == index)
        if not bool(truth.any()):
            continue
        present += 1
        probability = flat(probabilities.detach()[:, index])
        gradient = _lovasz_grad(torch.where(truth, 1.0 - probability, probability), truth, weights)
        constant += gradient[truth].sum()
        signed = torch.where(truth, -gradient, gradient)
        if valid is None:
            gradients[:, index] = signed.view_as(batch.target)
        else:
            gradients[:, index][valid] = signed
    if present == 0:
        return zero_loss(batch.logits)
    return (constant + (probabilities * gradients).sum()) / present


def _lovasz_grad(errors: Tensor, truth: Tensor, weights: Tensor | None) -> Tensor:
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
    intersection = total - (weights * truth).cumsum(0)
    union = total + (weights * ~truth).cumsum(0)
    # What is missed leaves the intersection, what is found by mistake enters the union. Written without a difference
    # of two ratios near one, which float32 would not tell apart in a large picture.
    by_mistake = intersection * weights / (union * (union - weights).clamp(min=EPSILON))
    gradient = torch.where(truth, weights / union, by_mistake)
    gradient[:1] += (total == 0).to(gradient.dtype)  # an empty set is missed altogether by the first pixel
    return torch.empty_like(gradient).scatter_(0, order, gradient)
