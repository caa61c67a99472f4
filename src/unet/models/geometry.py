"""What size of output an input gives, how far a network looks, and which sizes suit it: pure arithmetic."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from unet.models.spec import ModelSpec, blocks_of


@dataclass(frozen=True)
class Geometry:
    """How input and output of a network lie upon each other.

    Attributes
    ----------
    valid_margin : int
        Pixels that the output lacks on each side of the input; 0 for networks with padding.
    receptive_field_radius : int or None
        How many pixels around an output pixel can change it, at most. None: all of the input can, as norms over the
        picture (group, instance), attention between all places and the window borders of Swin make it.
    multiple : int
        What the network's coarsest level makes one pixel of: windows that are to give the same as the whole lie at
        multiples of it.
    """

    valid_margin: int
    receptive_field_radius: int | None
    multiple: int

    def is_valid(self, side: int) -> bool:
        """Tell whether the network takes an input of this length; without padding something must be left of it."""
        return side > 2 * self.valid_margin

    def at_least(self, side: int) -> int:
        """Return the smallest input side, not smaller, that needs no filling up.

        With padding any side will do. Without it no level may have an odd size: what comes out is then, pixel for
        pixel, a part of what a larger input gives (572 and 668 in the paper; 724 is filled up to 732).
        """
        side = max(side, 2 * self.valid_margin + 1)
        # The convolutions of a level take 4 pixels; what is left is halved, and so on: 4 more would be a multiple.
        return side + (-4 - side) % self.multiple if self.valid_margin else side

    def output(self, side: int) -> int:
        """Return the output's side for a valid input side."""
        return side - 2 * self.valid_margin


def geometry_of(spec: ModelSpec) -> Geometry:
    """Return the geometry of a network."""
    if spec.architecture == "segformer":
        return Geometry(0, None, _stride(json.loads(spec.encoder)))
    local = spec.norm in ("batch", "none")
    if spec.architecture == "backbone":
        config = json.loads(spec.encoder)
        steps = _backbone(config)
        return Geometry(0, _receptive_field_radius(steps) if local and steps else None, _stride(config))
    multiple = 1 << spec.depth
    if spec.architecture == "resenc":
        return Geometry(
            0, _receptive_field_radius(_resenc(blocks_of(spec.depth, spec.blocks))) if local else None, multiple
        )
    receptive_field_radius = (
        _receptive_field_radius(_unet(spec.depth, mixes=spec.bilinear or spec.attention)) if local else None
    )
    return Geometry(6 * (multiple - 1) + 2 if spec.architecture == "paper" else 0, receptive_field_radius, multiple)


Step = tuple[int, int, int]
"""Back from a level to the one before: (factor, before, after). See `_receptive_field_radius`."""

DECODED, POOLED, STRIDED = (0, 0, 0), (2, 0, 1), (2, 1, 1)
"""Transposed convolution, pooling of 2 x 2 pixels, 3 x 3 convolution of stride 2."""


def _convolutions(count: int) -> Step:
    """Return the step of so many 3 x 3 convolutions."""
    return (1, count, count)


def _receptive_field_radius(steps: Sequence[Step]) -> int:
    """Return how far the steps, followed back from the output, lead away from a pixel at most.

    From the pixels first..last a step with a factor leads to factor * first - before .. factor * last + after, and
    one without to first // 2 - before .. last // 2 + after.
    """
    levels = sum(1 for factor, _, _ in steps if factor == 0)
    most = 0
    for pixel in range(1 << levels):
        first = last = pixel
        for factor, before, after in steps:
            first = (factor * first if factor else first // 2) - before
            last = (factor * last if factor else last // 2) + after
        most = max(most, pixel - first, last - pixel)
    return most


def _unet(depth: int, mixes: bool) -> list[Step]:
    # Interpolation, of features or of attention, looks at one more pixel on either side.
    up = (0, 1, 1) if mixes else DECODED
    return [_convolutions(2), *[up, _convolutions(2)] * depth, *[POOLED, _convolutions(2)] * depth]


def _resenc(blocks: Sequence[int]) -> list[Step]:
    steps = [_convolutions(1), DECODED] * (len(blocks) - 1)
    for count in reversed(blocks[1:]):
        steps += [_convolutions(2 * count - 1), STRIDED]
    return [*steps, _convolutions(2 * blocks[0] + 1)]


def _backbone(config: dict[str, Any]) -> list[Step]:
    """Return the steps of a decoder on a ResNet; none for encoders that look everywhere."""
    if config["model_type"] != "resnet":
        return []
    depths, each = config["depths"], 2 if config["layer_type"] == "basic" else 1  # 3 x 3 convolutions per block
    steps = [_convolutions(2), DECODED] * (len(depths) + 1)
    for count in reversed(depths[1:]):
        if config["downsample_in_bottleneck"] and each == 1:
            steps += [_convolutions(count), (2, 0, 0)]
        else:
            steps += [_convolutions(each * count - 1), STRIDED]
    return [*steps, _convolutions(each * depths[0]), STRIDED, (2, 3, 3)]


def _stride(config: dict[str, Any]) -> int:
    """Return how many pixels of the picture a pixel of an encoder's last stage stands for."""
    return 2 << len(config["depths"])
