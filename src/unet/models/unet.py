"""The U-Net with padded convolutions: as many pixels out as in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from unet.models.blocks import DoubleConv, Down, OutConv, Up


class UNet(nn.Module):
    """Encoder, decoder, and a skip between them at every level.

    After Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation"
    (2015), with padding and batch norm as in the Carvana U-Net, whose parameter names these are.

    Parameters
    ----------
    n_channels : int
        Bands of the image.
    n_classes : int
        Logits per pixel.
    bilinear : bool
        Up-sample by interpolation instead of transposed convolution.
    width : int
        Channels at full resolution; every level below has twice as many.
    depth : int
        How many times the resolution is halved.
    """

    def __init__(
        self, n_channels: int = 3, n_classes: int = 2, bilinear: bool = False, width: int = 64, depth: int = 4
    ) -> None:
        super().__init__()
        self.n_channels, self.n_classes, self.bilinear = n_channels, n_classes, bilinear
        self.width, self.depth = width, depth
        self.checkpointing = False
        channels = [width << level for level in range(depth + 1)]
        less = 2 if bilinear else 1  # interpolation keeps the channels, so the level below gives half as many
        self.inc = DoubleConv(n_channels, width)
        for level in range(1, depth + 1):
            outputs = channels[level] // (less if level == depth else 1)
            self.add_module(f"down{level}", Down(channels[level - 1], outputs))
        for level in reversed(range(depth)):
            outputs = channels[level] // (less if level else 1)
            self.add_module(f"up{depth - level}", Up(channels[level + 1], outputs, bilinear))
        self.outc = OutConv(width, n_classes)

    @property
    def downs(self) -> list[Down]:
        """The encoder below full resolution, from fine to coarse."""
        return [cast(Down, self.get_submodule(f"down{number}")) for number in range(1, self.depth + 1)]

    @property
    def ups(self) -> list[Up]:
        """The decoder, from coarse to fine."""
        return [cast(Up, self.get_submodule(f"up{number}")) for number in range(1, self.depth + 1)]

    def forward(self, image: Tensor) -> Tensor:
        """Return logits (N, n_classes, H, W) for images (N, n_channels, H, W), of any size from 1 x 1 on."""
        height, width = image.shape[2:]
        x = self._run(self.inc, at_least(image, 1 << self.depth))  # a pixel at every level
        skips = []
        for down in self.downs:
            skips.append(x)
            x = self._run(down, x)
        for up in self.ups:
            x = self._run(up, x, skips.pop())
        return cast(Tensor, self.outc(x))[..., :height, :width]

    def use_checkpointing(self) -> None:
        """Keep only the borders of blocks for the backward pass: less memory, about a third more time."""
        self.checkpointing = True

    def _run(self, block: nn.Module, *inputs: Tensor) -> Tensor:
        if self.checkpointing and self.training and torch.is_grad_enabled():
            again = partial(_second_run, block)
            return cast(Tensor, checkpoint(block, *inputs, use_reentrant=False, context_fn=again))
        return cast(Tensor, block(*inputs))


def at_least(image: Tensor, side: int) -> Tensor:
    """Repeat the last row and column of (N, C, H, W) until both sides are that long."""
    rows, columns = max(0, side - image.shape[2]), max(0, side - image.shape[3])
    return F.pad(image, (0, columns, 0, rows), mode="replicate") if rows or columns else image


def _second_run(block: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Return the contexts of the forward pass and of its repetition in the backward pass."""
    return nullcontext(), _fixed_statistics(block)


@contextmanager
def _fixed_statistics(block: nn.Module) -> Iterator[None]:
    """Keep the running means of batch norm from counting the same batch twice."""
    norms = [module for module in block.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked = norm.num_batches_tracked.clone()
    try:
        yield
    finally:
        for norm, momentum, batches in before:
            norm.momentum, norm.num_batches_tracked = momentum, batches
