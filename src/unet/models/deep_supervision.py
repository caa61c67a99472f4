"""Logits from every level of the decoder in training."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from unet.models.blocks import OutConv, cut


def heads(channels: Sequence[int], classes: int, wanted: bool) -> nn.ModuleList:
    """Return what makes logits of the decoder below full resolution, from fine to coarse; nothing if not wanted.

    Examples
    --------
    >>> len(heads([8, 16], classes=2, wanted=True)), len(heads([8, 16], classes=2, wanted=False))
    (2, 0)
    """
    return nn.ModuleList([OutConv(inputs, classes) for inputs in channels] if wanted else [])


def supervised(
    network: nn.Module, last: nn.Module, deep: nn.ModuleList, levels: Sequence[Tensor], image: Tensor
) -> Tensor | tuple[Tensor, ...]:
    """Return the logits of decoder levels, from fine to coarse: of all in training where there are heads.

    Examples
    --------
    >>> import torch
    >>> levels, image = [torch.zeros(1, 4, 8, 8), torch.zeros(1, 8, 4, 4)], torch.zeros(1, 3, 7, 7)
    >>> network, last, deep = nn.Module(), OutConv(4, classes=2), heads([8], classes=2, wanted=True)
    >>> [tuple(logits.shape) for logits in supervised(network, last, deep, levels, image)]
    [(1, 2, 7, 7), (1, 2, 3, 3)]
    >>> tuple(supervised(network.eval(), last, deep, levels, image).shape)
    (1, 2, 7, 7)
    """
    height, width = image.shape[2:]
    logits = cut(last(levels[0]), height, width)
    if not (network.training and len(deep)):
        return logits
    outputs = [logits]
    for level, (head, x) in enumerate(zip(deep, levels[1:], strict=False), start=1):
        outputs.append(head(x)[..., : max(1, height >> level), : max(1, width >> level)])
    return tuple(outputs)
