"""The U-Net with padded convolutions: as many pixels out as in."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from unet.models.blocks import DEFAULT_STYLE, DoubleConv, Down, OutConv, Style, Up, at_least
from unet.models.checkpointing import Checkpointed
from unet.models.deep_supervision import heads, supervised


class UNet(Checkpointed):
    """Encoder, decoder, and a skip between them at every level.

    After [1]_, with padding and batch norm as in the Carvana U-Net, whose parameter names these are.

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
    style : Style
        Norm and activation.
    dropout : float
        Share of the values at the coarsest level that are left out in training.
    attention : bool
        Attention gates on the skips.
    deep_supervision : bool
        Logits from every level of the decoder in training.

    References
    ----------
    .. [1] Ronneberger, Fischer, Brox: "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015,
       arXiv:1505.04597.

    Examples
    --------
    >>> import torch
    >>> network = UNet(n_channels=3, n_classes=2, width=4, depth=2)
    >>> network(torch.zeros(1, 3, 33, 50)).shape  # any size goes in, and comes out
    torch.Size([1, 2, 33, 50])
    >>> sum(parameter.numel() for parameter in UNet().parameters())
    31037698
    """

    def __init__(
        self,
        n_channels: int = 3,
        n_classes: int = 2,
        bilinear: bool = False,
        width: int = 64,
        depth: int = 4,
        *,
        style: Style = DEFAULT_STYLE,
        dropout: float = 0.0,
        attention: bool = False,
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        self.n_channels, self.n_classes, self.bilinear = n_channels, n_classes, bilinear
        self.width, self.depth = width, depth
        self.least = (2 if style.needs_pixels else 1) << depth
        # What `unet.inference.banded` can compute a band of rows at a time: no norm over the picture, no gates.
        self.local = style.norm in ("batch", "none") and not attention
        channels = [width << level for level in range(depth + 1)]
        less = 2 if bilinear else 1  # interpolation keeps the channels, so the level below gives half as many
        self.inc = DoubleConv(n_channels, width, style=style)
        for level in range(1, depth + 1):
            outputs = channels[level] // (less if level == depth else 1)
            self.add_module(f"down{level}", Down(channels[level - 1], outputs, style=style))
        self.dropout = nn.Dropout(dropout)
        for level in reversed(range(depth)):
            outputs = channels[level] // (less if level else 1)
            below = channels[level + 1] // less
            up = Up(below, channels[level], outputs, bilinear, style=style, attention=attention)
            self.add_module(f"up{depth - level}", up)
        self.outc = OutConv(width, n_classes)
        self.deep = heads([channels[level] // less for level in range(1, depth)], n_classes, deep_supervision)

    @property
    def downs(self) -> list[Down]:
        """The encoder below full resolution, from fine to coarse."""
        return [cast(Down, self.get_submodule(f"down{number}")) for number in range(1, self.depth + 1)]

    @property
    def ups(self) -> list[Up]:
        """The decoder, from coarse to fine."""
        return [cast(Up, self.get_submodule(f"up{number}")) for number in range(1, self.depth + 1)]

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return logits (N, n_classes, H, W) for images (N, n_channels, H, W), of any size from 1 x 1 on.

        With deep supervision, in training: a tuple, those at full resolution first, then at a half, a quarter, ...
        """
        x = self._run(self.inc, at_least(image, self.least, self.least))  # a pixel at every level
        skips: list[Tensor] = []
        levels: list[Tensor] = []
        for down in self.downs:
            skips.append(x)
            x = self._run(down, x)
        x = self.dropout(x)
        for up in self.ups:
            x = self._run(up, x, skips.pop())
            levels.insert(0, x)
        return supervised(self, self.outc, self.deep, levels, image)
