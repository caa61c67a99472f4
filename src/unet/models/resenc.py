"""The residual-encoder U-Net."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from unet.models.blocks import OutConv, Style, to_multiple
from unet.models.checkpointing import Checkpointed
from unet.models.deep_supervision import heads, supervised

MOST_CHANNELS = 16
"""Times the width: as in nnU-Net the channels stop doubling there (512 at width 32)."""


class Residual(nn.Module):
    """Two convolutions beside a shortcut, which is averaged and projected where resolution and channels change."""

    def __init__(self, inputs: int, outputs: int, stride: int, style: Style) -> None:
        super().__init__()
        second = (style.convolution(outputs, outputs), style.normalised(outputs))
        self.convolutions = nn.Sequential(*style.layer(inputs, outputs, stride), *second)
        shortcut: list[nn.Module] = [nn.AvgPool2d(stride)] if stride > 1 else []
        if inputs != outputs:
            shortcut += [style.convolution(inputs, outputs, size=1, padding=0), style.normalised(outputs)]
        self.shortcut = nn.Sequential(*shortcut)
        self.activation = style.activated()

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outputs, H // stride, W // stride) for (N, inputs, H, W) of even sizes."""
        return cast(Tensor, self.activation(self.convolutions(x) + self.shortcut(x)))


class ResidualUp(nn.Module):
    """One level up: transposed convolution, join with the skip, one convolution."""

    def __init__(self, below: int, skip: int, style: Style) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(below, skip, 2, stride=2)
        self.conv = nn.Sequential(*style.layer(2 * skip, skip))

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        """Return (N, C, H, W) for a skip (N, C, H, W) and (N, C', H // 2, W // 2) from below."""
        return cast(Tensor, self.conv(torch.cat([skip, self.up(below)], dim=1)))


class ResidualUNet(Checkpointed):
    """A U-Net with a deep residual encoder and a slim decoder, as in the ResEnc presets of nnU-Net.

    After Isensee et al., "nnU-Net Revisited: A Call for Rigorous Validation in 3D Medical Image Segmentation" (2024):
    strided convolutions, many residual blocks per stage, one convolution per stage of the decoder.

    Parameters
    ----------
    bands, classes, width : int
        As of `UNet`; channels stop doubling at `MOST_CHANNELS` times the width.
    blocks : sequence of int
        Residual blocks of each stage, from full resolution on; each stage but the first halves the resolution.
    style : Style
    deep_supervision : bool
        Logits from every level of the decoder in training.
    """

    def __init__(
        self, bands: int, classes: int, width: int, blocks: Sequence[int], *, style: Style, deep_supervision: bool
    ) -> None:
        super().__init__()
        depth = len(blocks) - 1
        channels = [min(width << level, width * MOST_CHANNELS) for level in range(depth + 1)]
        self.step = 1 << depth
        self.least = (2 if style.needs_pixels else 1) << depth
        self.stem = nn.Sequential(*style.layer(bands, width))
        self.stages = nn.ModuleList()
        for level, count in enumerate(blocks):
            first = Residual(channels[max(0, level - 1)], channels[level], stride=2 if level else 1, style=style)
            others = [Residual(channels[level], channels[level], 1, style) for _ in range(count - 1)]
            self.stages.append(nn.Sequential(first, *others))
        self.ups = nn.ModuleList(
            [ResidualUp(channels[level + 1], channels[level], style) for level in reversed(range(depth))]
        )
        self.outc = OutConv(width, classes)
        self.deep = heads(channels[1:depth], classes, deep_supervision)

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return logits (N, classes, H, W) for images (N, bands, H, W) of any size; in training as `UNet` does."""
        x = self._run(self.stem, to_multiple(image, self.step, self.least))
        skips = []
        for stage in self.stages:
            x = self._run(stage, x)
            skips.append(x)
        x = skips.pop()
        levels: list[Tensor] = []
        for up in self.ups:
            x = self._run(up, x, skips.pop())
            levels.insert(0, x)
        return supervised(self, self.outc, self.deep, levels, image)
