"""A network made ready for prediction: batch norm folded into the convolutions before it."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights


@torch.no_grad()
def fold_norms(network: nn.Module) -> nn.Module:
    """Make every batch norm part of the convolution before it.

    Parameters
    ----------
    network : nn.Module
        Its blocks are `nn.Sequential`s in which a batch norm follows a convolution. They are
        replaced in place; the tensors that they held are left as they are.

    Returns
    -------
    nn.Module
        The network in evaluation mode, which gives the same logits up to rounding and cannot be trained any more.
    """
    network.eval()
    for block in network.modules():
        if isinstance(block, nn.Sequential):
            for place in range(len(block) - 1):
                conv, norm = block[place], block[place + 1]
                if not (isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)):
                    continue
                if norm.running_mean is None or norm.running_var is None:
                    continue
                # `fuse_conv_bn_eval` copies the convolution first, which takes half of the time.
                conv.weight, conv.bias = fuse_conv_bn_weights(
                    conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
                )
                block[place + 1] = nn.Identity()
    return network.requires_grad_(False)
