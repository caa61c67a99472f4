"""Networks by name, and the files of the Carvana U-Net."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from unet.errors import ConfigError
from unet.models.spec import ModelSpec
from unet.models.unet import UNet


def _unet(spec: ModelSpec) -> nn.Module:
    return UNet(spec.bands, spec.classes, spec.bilinear, spec.width, spec.depth)


ARCHITECTURES: dict[str, Callable[[ModelSpec], nn.Module]] = {"unet": _unet}
"""How to build each kind of network. All take images (N, bands, H, W) and give logits (N, classes, H, W)."""


def build(spec: ModelSpec) -> nn.Module:
    """Return a network with random weights.

    Raises
    ------
    ConfigError
        There is no such architecture, or a size makes no sense.
    """
    if spec.architecture not in ARCHITECTURES:
        raise ConfigError(f"architecture {spec.architecture!r}", " or ".join(ARCHITECTURES))
    for name in ("bands", "classes", "width", "depth"):
        if getattr(spec, name) < 1:
            raise ConfigError(f"{name} = {getattr(spec, name)}", "at least 1")
    return ARCHITECTURES[spec.architecture](spec)


__all__ = ["ARCHITECTURES", "ModelSpec", "UNet", "build"]
