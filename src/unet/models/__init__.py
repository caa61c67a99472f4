"""Networks by name, and the files of the Carvana U-Net."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from unet.models import backbones
from unet.models.blocks import Style
from unet.models.geometry import Geometry, geometry_of
from unet.models.paper import PaperUNet
from unet.models.resenc import ResidualUNet
from unet.models.spec import SETTINGS, ModelSpec, blocks_of, check
from unet.models.unet import UNet


def _unet(spec: ModelSpec) -> nn.Module:
    return UNet(
        spec.bands, spec.classes, spec.bilinear, spec.width, spec.depth, style=_style(spec), dropout=spec.dropout,
        attention=spec.attention, deep_supervision=spec.deep_supervision,
    )  # fmt: skip


def _paper(spec: ModelSpec) -> nn.Module:
    return PaperUNet(
        spec.bands, spec.classes, spec.width, spec.depth, style=_style(spec), dropout=spec.dropout,
        geometry=geometry_of(spec),
    )  # fmt: skip


def _resenc(spec: ModelSpec) -> nn.Module:
    return ResidualUNet(
        spec.bands, spec.classes, spec.width, blocks_of(spec.depth, spec.blocks), style=_style(spec),
        deep_supervision=spec.deep_supervision,
    )  # fmt: skip


def _backbone(spec: ModelSpec) -> nn.Module:
    return backbones.BackboneUNet(spec.bands, spec.classes, spec.width, style=_style(spec), encoder=spec.encoder)


def _segformer(spec: ModelSpec) -> nn.Module:
    return backbones.Segformer(spec.bands, spec.classes, encoder=spec.encoder)


def _style(spec: ModelSpec) -> Style:
    return Style(spec.norm, spec.activation)


ARCHITECTURES: dict[str, Callable[[ModelSpec], nn.Module]] = {
    "unet": _unet,
    "paper": _paper,
    "resenc": _resenc,
    "backbone": _backbone,
    "segformer": _segformer,
}
"""How to build each kind of network.

All take images (N, bands, H, W) and give logits (N, classes, h, w), see `geometry_of`; with deep supervision, in
training, a tuple of logits at full, half, quarter ... resolution. All can save memory (`use_checkpointing`). One with
an encoder that was trained before calls it `encoder`.
"""


def build(spec: ModelSpec) -> nn.Module:
    """Return a network with random weights.

    Raises
    ------
    ConfigError
        There is no such architecture, or a setting makes no sense.
    MissingExtraError
        It needs a package that is not installed.
    """
    check(spec)
    return ARCHITECTURES[spec.architecture](spec)


__all__ = ["ARCHITECTURES", "SETTINGS", "Geometry", "ModelSpec", "UNet", "build", "geometry_of"]
