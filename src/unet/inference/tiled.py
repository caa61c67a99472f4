"""A network on a big picture, tile by tile: what is computed at a time stays small, whatever the network.

How the tiles lie, and what that promises, is in `unet.tiling`. Networks are callables from images (N, C, h, w) to
logits (N, K, h - 2 * valid_margin, w - 2 * valid_margin); the margin is 0 for networks with padding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import torch
from torch import Tensor

from unet.tiling import Tile, blend_weights, places

Network = Callable[[Tensor], Tensor]


def joined(
    network: Network,
    image: Tensor,
    tiles: Sequence[Tile],
    *,
    valid_margin: int = 0,
    border: str = "mirror",
    batch: int = 1,
) -> Tensor:
    """Return the logits of an image put together from the parts that the tiles keep.

    Parameters
    ----------
    network : callable
    image : float Tensor (1, C, H, W)
    tiles : sequence of Tile
        They keep every pixel once.
    valid_margin : int
        Pixels that the network's output lacks on either side of what a tile sees.
    border : {"mirror", "edge"}
        What tiles see beyond the image.
    batch : int
        Tiles of one shape that are given to the network at once.

    Returns
    -------
    float32 Tensor (1, K, H, W)
        On the image's device.
    """
    result: Tensor | None = None
    for tile, logits in _run(network, image, tiles, border, batch):
        if result is None:
            result = logits.new_empty((1, logits.shape[0], *image.shape[2:]))
        rows, cols = tile.rows, tile.cols
        kept_rows = slice(rows.first - rows.start - valid_margin, rows.last - rows.start - valid_margin)
        kept_cols = slice(cols.first - cols.start - valid_margin, cols.last - cols.start - valid_margin)
        result[0, :, rows.first : rows.last, cols.first : cols.last] = logits[:, kept_rows, kept_cols]
    assert result is not None  # every image has a tile
    return result


def blended(
    network: Network, image: Tensor, tiles: Sequence[Tile], *, kind: str = "gaussian", batch: int = 1
) -> Tensor:
    """Return the logits of an image averaged over the tiles that see a pixel, those that see it well counting more.

    Parameters
    ----------
    network : callable
        Of a kind that gives as many pixels as it gets.
    image : float Tensor (1, C, H, W)
    tiles : sequence of Tile
        Within the image; together they see every pixel.
    kind : {"gaussian", "linear"}
        See `unet.tiling.blend_weights`.
    batch : int
        Tiles of one shape that are given to the network at once.

    Returns
    -------
    float32 Tensor (1, K, H, W)
        On the image's device.
    """
    total: Tensor | None = None
    weights = image.new_zeros(image.shape[2:], dtype=torch.float32)
    for tile, logits in _run(network, image, tiles, "mirror", batch):
        if total is None:
            total = logits.new_zeros((1, logits.shape[0], *image.shape[2:]))
        down, across = (torch.from_numpy(blend_weights(length, kind)).to(image.device) for length in tile.shape)
        weight = down[:, None] * across
        rows, cols = slice(tile.rows.start, tile.rows.stop), slice(tile.cols.start, tile.cols.stop)
        total[0, :, rows, cols] += logits * weight
        weights[rows, cols] += weight
    assert total is not None  # every image has a tile
    return total.div_(weights)


def _run(
    network: Network, image: Tensor, tiles: Sequence[Tile], border: str, batch: int
) -> Iterator[tuple[Tile, Tensor]]:
    """Give each tile with its logits (K, h, w) in float32."""
    height, width = image.shape[2:]
    for _, group in groupby(sorted(tiles, key=lambda tile: tile.shape), key=lambda tile: tile.shape):
        same_shape = list(group)
        for start in range(0, len(same_shape), batch):
            chunk = same_shape[start : start + batch]
            inputs = [
                image[0]
                .index_select(1, torch.from_numpy(places(tile.rows, height, border)).to(image.device))
                .index_select(2, torch.from_numpy(places(tile.cols, width, border)).to(image.device))
                for tile in chunk
            ]
            logits = network(torch.stack(inputs)).float()
            yield from zip(chunk, logits, strict=True)
