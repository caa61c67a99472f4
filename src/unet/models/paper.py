"""The U-Net of the paper: convolutions without padding, so that every output pixel has seen real pixels only."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from unet.models.blocks import DoubleConv, Down, OutConv, Style, Up
from unet.models.checkpointing import Checkpointed
from unet.models.filling import filled_without_padding
from unet.models.geometry import Geometry


class PaperUNet(Checkpointed):
    """Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation" (2015).

    Skips are cut to what the level below covers. Dropout stands at the end of the contracting path, after the two
    coarsest levels, as in the network that the authors published. Weights begin as in section 3: normally distributed
    with a deviation of sqrt(2 / N), N the values that a neuron adds up.

    Parameters
    ----------
    bands, classes, width, depth : int
        As of `UNet`.
    style : Style
        The paper has no norm.
    dropout : float
        Share of the values that are left out in training.
    geometry : Geometry
        Of this network.
    """

    def __init__(
        self, bands: int, classes: int, width: int, depth: int, *, style: Style, dropout: float, geometry: Geometry
    ) -> None:
        super().__init__()
        self.depth, self.geometry = depth, geometry
        self.inc = DoubleConv(bands, width, style=style, padding=0)
        for level in range(1, depth + 1):
            self.add_module(f"down{level}", Down(width << (level - 1), width << level, style=style, padding=0))
        self.dropout = nn.Dropout(dropout)
        for level in reversed(range(depth)):
            up = Up(width << (level + 1), width << level, width << level, style=style, padding=0)
            self.add_module(f"up{depth - level}", up)
        self.outc = OutConv(width, classes)
        self.apply(_as_in_the_paper)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits (N, classes, h, w) of the middle of images (N, bands, H, W).

        Where a level would have an odd size, the image is first continued on the right and below, as in a mirror; the
        result is always `geometry.valid_margin` pixels smaller on each side.

        Raises
        ------
        InputError
            The image is too small for anything to be left.
        """
        height, width = image.shape[2:]
        x = filled_without_padding(image, self.geometry)
        x = self._run(self.inc, x)
        skips = []
        for level in range(1, self.depth + 1):
            skips.append(x)
            x = self._run(self.get_submodule(f"down{level}"), x)
            if level >= self.depth - 1:
                x = self.dropout(x)
        for number in range(1, self.depth + 1):
            x = self._run(self.get_submodule(f"up{number}"), x, skips.pop())
        return cast(Tensor, self.outc(x))[..., : self.geometry.output(height), : self.geometry.output(width)]


def _as_in_the_paper(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        values = module.in_channels  # of a transposed convolution whose windows do not overlap
        if isinstance(module, nn.Conv2d):
            values *= module.kernel_size[0] * module.kernel_size[1]
        nn.init.normal_(module.weight, std=(2 / values) ** 0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
