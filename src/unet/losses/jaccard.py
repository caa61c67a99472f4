"""The Lovász losses: a direct, convex stand-in for one minus the IoU."""

from __future__ import annotations

import torch
from torch import Tensor

from unet.losses.common import EPSILON, count_bound, mask_ignored
from unet.losses.division import mean_over_parts


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
    As in [1]_. The mean is over the classes that occur in the target. With K = 1 a target without any 1 still has a
    loss: of the worst pixel alone. It orders all pixels: of a divided batch it is the mean of the parts' losses.

    The loss is linear in the errors where their order does not change. Its gradient in them is computed outside of
    autograd, class by class, so that only one number per pixel and class is kept for the backward pass.

    References
    ----------
    .. [1] Berman, Rannen Triki, Blaschko: "The Lovász-Softmax loss: A tractable surrogate for the optimization of the
       intersection-over-union measure in neural networks", CVPR 2018, arXiv:1705.08790.

    Examples
    --------
    >>> target = torch.tensor([[[1, 1, 0, 0]]])
    >>> round(lovasz(torch.zeros(1, 2, 1, 4), target).item(), 4)  # every pixel has an error of 1/2
    0.5
    >>> round(lovasz(torch.tensor([[[[2.0, 2.0, -2.0, 0.0]]]]), target).item(), 4)  # the last pixel makes the IoU 2/3
    0.3333
    """
    batch = mask_ignored(logits, target, pixel_weights)
    weights = None if batch.weights is None else batch.weights.flatten()
    if batch.binary:
        is_true = batch.target.flatten() == 1
        errors = (1.0 - batch.logits.flatten() * (2 * batch.target.flatten() - 1)).relu()
        return mean_over_parts((errors * _lovasz_grad(errors.detach(), is_true, weights)).sum())

    # The error of a pixel is 1 - p where it is of the class, else p.
    probabilities, gradients = batch.probabilities, torch.zeros_like(batch.logits)
    constant, present = probabilities.new_zeros(()), probabilities.new_zeros(())
    for index in range(probabilities.shape[1]):
        is_true = batch.target == index if batch.weights is None else (batch.target == index) & (batch.weights > 0)
        if count_bound(is_true) == 0:
            continue
        occurs, is_true = is_true.any(), is_true.flatten()
        probability = probabilities.detach()[:, index].flatten()
        gradient = _lovasz_grad(torch.where(is_true, 1.0 - probability, probability), is_true, weights) * occurs
        present += occurs
        constant += (gradient * is_true).sum()
        gradients[:, index] = torch.where(is_true, -gradient, gradient).view_as(batch.target)
    return mean_over_parts((constant + (probabilities * gradients).sum()) / present.clamp(min=1))


def _lovasz_grad(errors: Tensor, is_true: Tensor, weights: Tensor | None) -> Tensor:
    """How much one minus the IoU grows with each pixel that turns wrong, in the order of falling errors.

    Parameters
    ----------
    errors : float Tensor (M,)
        0 or more.
    is_true : bool Tensor (M,)
        The pixels of the class.
    weights : float Tensor (M,) or None
        0 where a pixel does not count: neither then does its error.

    Returns
    -------
    float Tensor (M,)
        In the order of the pixels.
    """
    if weights is not None:
        errors = errors.where(weights > 0, -1)  # what does not count comes last
    order = errors.argsort(descending=True)
    is_true = is_true[order]
    weights = torch.ones_like(errors) if weights is None else weights[order]
    total = (weights * is_true).sum()
    intersection = total - (weights * is_true).cumsum(0)
    union = (total + (weights * ~is_true).cumsum(0)).clamp(min=EPSILON)
    # What is missed leaves the intersection, what is found by mistake enters the union. Written without a difference
    # of two ratios near one, which float32 would not tell apart in a large picture.
    by_mistake = intersection * weights / (union * (union - weights).clamp(min=EPSILON))
    gradient = torch.where(is_true, weights / union, by_mistake)
    # An empty set is missed altogether by the first pixel that counts.
    gradient[:1] += ((total == 0) & (weights[:1] > 0)).to(gradient.dtype)
    return torch.empty_like(gradient).scatter_(0, order, gradient)
