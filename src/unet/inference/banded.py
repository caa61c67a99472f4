"""A U-Net on a big picture with little memory: the same logits, computed a band of rows at a time.

The full-resolution maps of a U-Net are what fills the memory. Here a feature map is lazy (`LazyMap`): its rows are
computed when the next layer asks for them, with the few rows above and below that a convolution looks at. Only
the maps at half resolution and below are kept. Full resolution is computed twice, for the way down and for the skip,
which is a twentieth of the work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unet.inference.backends import Backend, TorchBackend
from unet.models.blocks import DoubleConv, Up, at_least
from unet.models.unet import UNet


@dataclass(frozen=True)
class LazyMap:
    """A feature map of which rows can be had: `rows(start, stop)` gives (1, C, stop - start, width)."""

    height: int
    width: int
    rows: Callable[[int, int], Tensor]


def logits_in_bands(network: UNet, image: Tensor, band: int) -> Tensor:
    """Return what `network(image)` returns, up to rounding.

    Parameters
    ----------
    network : UNet
        In evaluation mode, one whose output rests on what is near (`local`).
    image : float Tensor (1, C, H, W)
    band : int
        Rows to compute at a time, at every level (a row of any level takes the same memory).

    Returns
    -------
    float Tensor (1, K, H, W)
    """
    level = convolved(network.inc, lazy(at_least(image, network.least, network.least)))
    skips = []
    for down in network.downs:
        skips.append(level)
        level = lazy(materialised(convolved(down.conv, pooled(down.pool, level)), band))
    for up in network.ups:
        level = convolved(up.conv, concatenated(up, level, skips.pop()))
        if len(skips) > 1:  # the two finest levels stay lazy
            level = lazy(materialised(level, band))
    logits = LazyMap(level.height, level.width, lambda start, stop: network.outc(level.rows(start, stop)))
    return materialised(logits, band)[..., : image.shape[2], : image.shape[3]]


def network_in_bands(backend: Backend) -> UNet | None:
    """Return the network of a backend, if it is one that can be computed in bands."""
    if isinstance(backend, TorchBackend) and isinstance(backend.network, UNet) and backend.network.local:
        return backend.network
    return None


def bytes_per_row(network: UNet, width: int, dtype: torch.dtype) -> int:
    """Return the memory that a row of a band takes in `logits_in_bands`, for a picture `width` pixels wide.

    At its peak a level of the decoder holds the concatenated maps, and as much again while they are made or convolved.
    """
    return 4 * network.width * max(width, 1 << network.depth) * dtype.itemsize


def lazy(x: Tensor) -> LazyMap:
    """Return a tensor (1, C, H, W) as a map."""
    return LazyMap(x.shape[2], x.shape[3], lambda start, stop: x[:, :, start:stop])


def materialised(source: LazyMap, band: int) -> Tensor:
    """Return a map as a tensor, computed a band at a time."""
    if band >= source.height:
        return source.rows(0, source.height)
    whole: Tensor | None = None
    for start in range(0, source.height, band):
        stop = min(start + band, source.height)
        rows = source.rows(start, stop)
        if whole is None:
            shape = (1, rows.shape[1], source.height, source.width)
            whole = torch.empty(shape, dtype=rows.dtype, device=rows.device, memory_format=torch.channels_last)
        whole[:, :, start:stop] = rows
    assert whole is not None  # a map has at least one row
    return whole


def convolved(block: DoubleConv, source: LazyMap) -> LazyMap:
    """Return the map after two 3 x 3 convolutions."""
    for half in block.halves:
        source = _convolved_once(half, source)
    return source


def _convolved_once(layer: nn.Module, source: LazyMap) -> LazyMap:
    def rows(start: int, stop: int) -> Tensor:
        top, bottom = max(0, start - 1), min(source.height, stop + 1)
        # The layer pads with zeros at the edges of the band: right at the picture's edge, elsewhere cut off.
        x: Tensor = layer(source.rows(top, bottom))
        return x[:, :, start - top : stop - top]

    return LazyMap(source.height, source.width, rows)


def pooled(pool: nn.Module, source: LazyMap) -> LazyMap:
    """Return the map at half the height and width."""
    return LazyMap(source.height // 2, source.width // 2, lambda start, stop: pool(source.rows(2 * start, 2 * stop)))


def concatenated(up: Up, below: LazyMap, skip: LazyMap) -> LazyMap:
    """Return the skip and, as further channels, the map from below brought to its size."""
    grown = interpolated(below, 2 * below.height, 2 * below.width) if up.bilinear else doubled(up.up, below)

    def rows(start: int, stop: int) -> Tensor:
        x = grown.rows(start, min(stop, grown.height))
        x = F.pad(x, (0, skip.width - grown.width, 0, stop - start - x.shape[2]))  # odd sizes lack one at the end
        return torch.cat([skip.rows(start, stop), x], dim=1)

    return LazyMap(skip.height, skip.width, rows)


def doubled(up: nn.Module, source: LazyMap) -> LazyMap:
    """Return the map after a transposed convolution that makes 2 x 2 pixels of each one."""

    def rows(start: int, stop: int) -> Tensor:
        first = start // 2
        x: Tensor = up(source.rows(first, (stop + 1) // 2))
        return x[:, :, start - 2 * first : stop - 2 * first]

    return LazyMap(2 * source.height, 2 * source.width, rows)


def interpolated(source: LazyMap, height: int, width: int, align_corners: bool = True) -> LazyMap:
    """Return what `torch.nn.functional.interpolate` makes of a map in mode "bilinear"."""

    def rows(start: int, stop: int) -> Tensor:
        index = torch.arange(start, stop, dtype=torch.float32)  # in float32, as torch does: the weights are the same
        if align_corners:
            place = index * ((source.height - 1) / max(height - 1, 1))
        else:
            place = ((index + 0.5) * (source.height / height) - 0.5).clamp(min=0)
        upper = place.long().clamp(max=source.height - 1)
        lower = (upper + 1).clamp(max=source.height - 1)
        first = int(upper[0])
        x = source.rows(first, int(lower[-1]) + 1)
        weight = (place - upper)[:, None].to(x.device)
        above, beneath = (x.index_select(2, (at - first).to(x.device)) for at in (upper, lower))
        mixed = (above * (1 - weight) + beneath * weight).to(x.dtype)
        return F.interpolate(mixed, (stop - start, width), mode="bilinear", align_corners=align_corners)

    return LazyMap(height, width, rows)
