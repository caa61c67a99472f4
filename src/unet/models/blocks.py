"""The parts of U-Nets. Attributes are named as in the parameter names of Carvana U-Net files."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unet.tiling import Span, places

GROUPS = 8
"""Of group norm, where the channels can be shared out among so many."""


@dataclass(frozen=True)
class Style:
    """What follows each convolution.

    Attributes
    ----------
    norm : {"batch", "group", "instance", "none"}
    activation : {"relu", "leaky_relu", "gelu", "silu"}
    """

    norm: str = "batch"
    activation: str = "relu"

    @property
    def needs_pixels(self) -> bool:
        """A map of one pixel has no spread to normalise by."""
        return self.norm in ("group", "instance")

    def convolution(self, inputs: int, outputs: int, size: int = 3, stride: int = 1, padding: int = 1) -> nn.Conv2d:
        """Return a convolution; a norm after it has a bias of its own."""
        return nn.Conv2d(inputs, outputs, size, stride, padding, bias=self.norm == "none")

    def normalised(self, channels: int) -> nn.Module:
        """Return the norm."""
        if self.norm == "batch":
            return nn.BatchNorm2d(channels)
        if self.norm == "none":
            return nn.Identity()
        return nn.GroupNorm(channels if self.norm == "instance" else gcd(GROUPS, channels), channels)

    def activated(self) -> nn.Module:
        """Return the activation."""
        if self.activation == "relu":  # in place it takes a CPU twice as long, and saves nothing that backward keeps
            return nn.ReLU()
        if self.activation == "leaky_relu":
            return nn.LeakyReLU(0.01, inplace=True)
        return nn.GELU() if self.activation == "gelu" else nn.SiLU(inplace=True)

    def layer(self, inputs: int, outputs: int, stride: int = 1, padding: int = 1) -> tuple[nn.Module, ...]:
        """Return 3 x 3 convolution, norm and activation."""
        convolution = self.convolution(inputs, outputs, stride=stride, padding=padding)
        return convolution, self.normalised(outputs), self.activated()


DEFAULT_STYLE = Style()


class DoubleConv(nn.Module):
    """Twice: 3 x 3 convolution, norm, activation. With a padding of 0 height and width lose 4 pixels."""

    def __init__(
        self, inputs: int, outputs: int, middle: int | None = None, *, style: Style = DEFAULT_STYLE, padding: int = 1
    ) -> None:
        super().__init__()
        middle = middle or outputs
        first, second = style.layer(inputs, middle, padding=padding), style.layer(middle, outputs, padding=padding)
        self.double_conv = nn.Sequential(*first, *second)

    @property
    def halves(self) -> tuple[nn.Module, nn.Module]:
        """The first and the second convolution, each with what follows it."""
        return self.double_conv[:3], self.double_conv[3:]

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outputs, H, W) for (N, inputs, H, W)."""
        return cast(Tensor, self.double_conv(x))


class Down(nn.Module):
    """One level down: half the resolution, then convolutions."""

    def __init__(self, inputs: int, outputs: int, *, style: Style = DEFAULT_STYLE, padding: int = 1) -> None:
        super().__init__()
        convolutions = DoubleConv(inputs, outputs, style=style, padding=padding)
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), convolutions)

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
    below, skip : int
        Channels of the level below and of the encoder.
    outputs : int
    bilinear : bool
        Interpolate, with the corner pixels aligned, instead of a transposed convolution.
    style : Style
    padding : int
        0: the skip is cut to what the level below covers.
    attention : bool
        Weigh the skip by what the level below makes of the place.
    """

    def __init__(
        self,
        below: int,
        skip: int,
        outputs: int,
        bilinear: bool = False,
        *,
        style: Style = DEFAULT_STYLE,
        padding: int = 1,
        attention: bool = False,
    ) -> None:
        super().__init__()
        self.bilinear, self.padded = bilinear, padding > 0
        self.up: nn.Module
        if bilinear:
            self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            self.conv = DoubleConv(below + skip, outputs, middle=(below + skip) // 2, style=style)
        else:
            self.up = nn.ConvTranspose2d(below, outputs, 2, stride=2)
            self.conv = DoubleConv(outputs + skip, outputs, style=style, padding=padding)
        self.gate = AttentionGate(skip, below) if attention else None

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        """Return (N, outputs, H, W) for a skip (N, C, H, W) and (N, C', H // 2, W // 2) from below."""
        grown = self.up(below)
        if self.padded:
            grown = pad_like(grown, skip)
        if self.gate is not None:
            skip = self.gate(skip, below)
        if not self.padded:
            skip = centre(skip, grown.shape[2], grown.shape[3])
        return cast(Tensor, self.conv(torch.cat([skip, grown], dim=1)))


class AttentionGate(nn.Module):
    """A weight of 0..1 for every pixel of a skip, from the skip itself and from the level below.

    Additive attention of Oktay et al., "Attention U-Net: Learning Where to Look for the Pancreas" (2018), equation 1:
    sigmoid(psi(ReLU(theta(skip) + phi(below)))), computed at the resolution below and interpolated.
    """

    def __init__(self, skip: int, below: int) -> None:
        super().__init__()
        inner = max(1, skip // 2)
        self.theta = nn.Conv2d(skip, inner, 2, stride=2, bias=False)
        self.phi = nn.Conv2d(below, inner, 1)
        self.psi = nn.Conv2d(inner, 1, 1)

    def forward(self, skip: Tensor, below: Tensor) -> Tensor:
        """Return the weighed skip (N, C, H, W); from below comes (N, C', H // 2, W // 2)."""
        weight = self.psi(F.relu(self.theta(skip) + self.phi(below))).sigmoid()
        weight = F.interpolate(weight, scale_factor=2, mode="bilinear")
        return skip * pad_like(weight, skip, "replicate")


def pad_like(x: Tensor, like: Tensor, mode: str = "constant") -> Tensor:
    """Pad (N, C, h, w), which was halved and doubled and so lacks a row or column of odd sizes, to the size of `like`.

    The size of `like` alone says what is lacking: see `unet.export.graph.with_sizes_of_input`.
    """
    rows, columns = like.shape[2] % 2, like.shape[3] % 2
    if not _exporting() and rows == columns == 0:
        return x
    return F.pad(x, (0, columns, 0, rows), mode=mode)


def _exporting() -> bool:
    """Tell whether `torch.export` is writing the program down: a branch would hold it to the sizes that it takes."""
    return bool(getattr(torch.compiler, "is_exporting", lambda: False)())


def _larger(one: int, other: int) -> int:
    """Return the larger of two sizes, whichever that will be where a program is being written down."""
    if _exporting():
        return cast(int, torch.sym_max(one, other))  # type: ignore[no-untyped-call]
    return max(one, other)


def centre(x: Tensor, height: int, width: int) -> Tensor:
    """Return the middle (..., height, width) of (..., H, W)."""
    top, left = (x.shape[-2] - height) // 2, (x.shape[-1] - width) // 2
    # Without padding as much is cut off whatever the image: a trace need not ask for any map's size.
    if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        below, right = int(x.shape[-2] - height - top), int(x.shape[-1] - width - left)
        return x[..., int(top) : -below or None, int(left) : -right or None]
    return x[..., top : top + height, left : left + width]


def cut(x: Tensor, height: int, width: int) -> Tensor:
    """Return the first (..., height, width) of (..., H, W)."""
    if _exporting():  # of a slice it is asked whether it is all that there is
        rows, columns = (torch.arange(side, device=x.device) for side in (height, width))
        return x.index_select(-2, rows).index_select(-1, columns)
    return x[..., :height, :width]


def at_least(image: Tensor, height: int, width: int) -> Tensor:
    """Repeat the last row and column of (N, C, H, W) until height and width are at least these."""
    rows, columns = _larger(0, height - image.shape[2]), _larger(0, width - image.shape[3])
    return F.pad(image, (0, columns, 0, rows), mode="replicate") if _exporting() or rows or columns else image


def to_multiple(image: Tensor, step: int, least: int) -> Tensor:
    """Repeat the last row and column of (N, C, H, W) until both sides are multiples of `step`, `least` at least."""
    # Written without a minus before the side: an export would take the multiple for a constant.
    height, width = (_larger((side + step - 1) // step * step, least) for side in image.shape[2:])
    return at_least(image, height, width)


def mirrored(image: Tensor, before: int, after: int, dim: int) -> Tensor:
    """Continue an image beyond its borders along one axis as in a mirror; the pixel at the border is not repeated.

    However far: where the image ends it is mirrored again.
    """
    if before == after == 0:
        return image
    side = image.shape[dim]
    indices = places(Span(-before, side + after, 0, side), side, "mirror")
    return image.index_select(dim, torch.from_numpy(indices).to(image.device))


class OutConv(nn.Module):
    """From features to logits, pixel by pixel."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, classes, H, W) for (N, inputs, H, W)."""
        return cast(Tensor, self.conv(x))
