"""The parts of a padded U-Net. Attributes are named as in the parameter names of Carvana U-Net files."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DoubleConv(nn.Module):
    """Twice: 3 x 3 convolution, batch norm, ReLU. Height and width stay."""

    def __init__(self, inputs: int, outputs: int, middle: int | None = None) -> None:
        super().__init__()
        middle = middle or outputs
        self.double_conv = nn.Sequential(*_conv_norm_relu(inputs, middle), *_conv_norm_relu(middle, outputs))

    @property
    def halves(self) -> tuple[nn.Module, nn.Module]:
        """The first and the second convolution, each with what follows it."""
        return self.double_conv[:3], self.double_conv[3:]

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outputs, H, W) for (N, inputs, H, W)."""
        return cast(Tensor, self.double_conv(x))


def _conv_norm_relu(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)  # the batch norm has a bias
    return conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)


class Down(nn.Module):
    """One level down: half the resolution, then convolutions."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(inputs, outputs))

    @property
    def pool(self) -> nn.Module:
        """The step to half the resolution."""
        return self.maxpool_conv[0]

    @property
    def conv(self) -> DoubleConv:
        """The convolutions after it."""
        return cast(DoubleConv, self.maxpool_conv[1])

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outputs, H // 2, W // 2) for (N, inputs, H, W)."""
        return cast(Tensor, self.maxpool_conv(x))


class Up(nn.Module):
    """One level up: twice the resolution, join with what the encoder saw at that level, then convolutions.

    Parameters
    ----------
    inputs : int
        Channels after joining: those of the level below (halved by a transposed convolution) and of the skip.
    outputs : int
    bilinear : bool
        Interpolate, with the corner pixels aligned, instead of a transposed convolution.
    """

    def __init__(self, inputs: int, outputs: int, bilinear: bool) -> None:
        super().__init__()
        self.bilinear = bilinear
        self.up: nn.Module
        if bilinear:
            self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            self.conv = DoubleConv(inputs, outputs, middle=inputs // 2)
        else:
            self.up = nn.ConvTranspose2d(inputs, inputs // 2, 2, stride=2)
            self.conv = DoubleConv(inputs, outputs)

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        """Return (N, outputs, H, W) for a skip (N, C, H, W) and (N, C', H // 2, W // 2) from below."""
        return cast(Tensor, self.conv(torch.cat([skip, fit(self.up(below), skip)], dim=1)))


def fit(x: Tensor, like: Tensor) -> Tensor:
    """Pad (N, C, h, w) with zeros to the height and width of `like`: half on each side, the odd one last."""
    rows, columns = like.shape[2] - x.shape[2], like.shape[3] - x.shape[3]
    if rows == columns == 0:
        return x
    return F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))


class OutConv(nn.Module):
    """From features to logits, pixel by pixel."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, classes, H, W) for (N, inputs, H, W)."""
        return cast(Tensor, self.conv(x))
