"""What networks do to images of sizes that do not suit them, by itself: for those who compute the rest elsewhere."""

from __future__ import annotations

from torch import Tensor

from unet.errors import InputError
from unet.models.blocks import Style, at_least, mirrored, to_multiple
from unet.models.geometry import Geometry, geometry_of
from unet.models.spec import ModelSpec


def filled(image: Tensor, spec: ModelSpec) -> Tensor:
    """Continue images (N, C, H, W) on the right and below as the network of that kind does first of all.

    The network leaves what comes out as it is, and so its logits, cut to the size that they have for the image itself,
    are those of the image. Levels of odd size, which the U-Net fills up further in, may remain.

    Raises
    ------
    InputError
        A network without padding leaves nothing of the image.

    Examples
    --------
    >>> import torch
    >>> image = torch.zeros(1, 3, 5, 21)
    >>> [tuple(filled(image, ModelSpec(kind, norm="batch", depth=3)).shape[2:]) for kind in ("unet", "resenc")]
    [(8, 21), (8, 24)]
    """
    geometry = geometry_of(spec)
    if spec.architecture == "paper":
        return filled_without_padding(image, geometry)
    if spec.architecture in ("unet", "resenc"):
        least = least_side(spec)
        return (
            at_least(image, least, least) if spec.architecture == "unet" else to_multiple(image, 1 << spec.depth, least)
        )
    return to_multiple(image, geometry.multiple, geometry.multiple)


def least_side(spec: ModelSpec) -> int:
    """Return the smallest side that leaves every level of a U-Net enough pixels."""
    return (2 if Style(spec.norm).needs_pixels else 1) << spec.depth


def filled_without_padding(image: Tensor, geometry: Geometry) -> Tensor:
    """Continue images (N, C, H, W) as in a mirror, until no level of a network without padding has an odd size.

    Raises
    ------
    InputError
        The network leaves nothing of the image.
    """
    height, width = image.shape[2:]
    if not (geometry.is_valid(height) and geometry.is_valid(width)):
        least = 2 * geometry.valid_margin + 1
        raise InputError(
            f"{width} x {height} px, of which the network without padding leaves nothing",
            f"at least {least} x {least} px",
            "set larger crops, a larger scale, or a smaller depth",
        )
    image = mirrored(image, 0, geometry.at_least(height) - height, dim=2)
    return mirrored(image, 0, geometry.at_least(width) - width, dim=3)
