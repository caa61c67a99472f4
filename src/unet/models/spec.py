"""What has to be known to build a network; part of the model file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelSpec:
    """The arguments of a network.

    Attributes
    ----------
    architecture : str
        A name in `unet.models.ARCHITECTURES`.
    bands : int
        Bands of the pictures.
    classes : int
        Logits per pixel. 1 means a single probability through the sigmoid: two classes, one logit.
    width : int
        Channels at full resolution; every level below has twice as many.
    depth : int
        How many times the resolution is halved.
    bilinear : bool
        Up-sample by interpolation instead of transposed convolution: about half the parameters.
    """

    architecture: str = "unet"
    bands: int = 3
    classes: int = 2
    width: int = 64
    depth: int = 4
    bilinear: bool = False
