"""The U-Net with padded convolutions: as many pixels out as in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from unet.models.blocks import DEFAULT_STYLE, DoubleConv, Down, OutConv, Style, Up, at_least
from unet.models.checkpointing import Checkpointed


class UNet(Checkpointed):
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
    style : Style
        Norm and activation.
    dropout : float
        Share of the values at the coarsest level that are left out in training.
    attention : bool
        Attention gates on the skips.
    deep_supervision : bool
        Logits from every level of the decoder in training.
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


def heads(channels: Sequence[int], classes: int, wanted: bool) -> nn.ModuleList:
    """Return what makes logits of the decoder below full resolution, from fine to coarse; nothing if not wanted."""
    return nn.ModuleList([OutConv(inputs, classes) for inputs in channels] if wanted else [])


def supervised(
    network: nn.Module, last: nn.Module, deep: nn.ModuleList, levels: Sequence[Tensor], image: Tensor
) -> Tensor | tuple[Tensor, ...]:
    """Return the logits of decoder levels, from fine to coarse: of all in training where there are heads."""
    height, width = image.shape[2:]
    logits: Tensor = last(levels[0])[..., :height, :width]
    if not (network.training and len(deep)):
        return logits
    outputs = [logits]
    for level, (head, x) in enumerate(zip(deep, levels[1:], strict=False), start=1):
        outputs.append(head(x)[..., : max(1, height >> level), : max(1, width >> level)])
    return tuple(outputs)
