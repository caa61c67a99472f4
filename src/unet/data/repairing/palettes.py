"""Masks of one data set that say the same in different values: other palettes, none, or classes spread to 255."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.data.inspection.values import is_wide, spread
from unet.data.mask_values import order_of
from unet.data.stats import MaskStats
from unet.labels import IGNORED, Color, Value


def common_palette(masks: Sequence[MaskStats]) -> dict[int, Color]:
    """Return the colour of each value as the palettes of most masks have it; empty where no mask has a palette."""
    palettes = Counter(frozenset(_own_colors(mask).items()) for mask in masks if mask.palette is not None)
    common: dict[int, Color] = {}
    for palette, _ in palettes.most_common():
        if all(common.get(value, color) == color for value, color in palette):
            common.update({value: color for value, color in sorted(palette) if color not in common.values()})
    return common


def translation(mask: MaskStats, common: Mapping[int, Color], top: int) -> dict[Value, int] | None:
    """Return the common value for each value of a mask, or None where it cannot be known.

    Colours decide where the mask has some: its palette, if that is not just grey, or its pixels. Plain values are
    those of the common palette, or classes 0 to `top` that were spread evenly from 0 to 255.
    """
    values = [value for value, _ in mask.values]
    if mask.n_values > len(values):
        return None
    same: dict[Value, int] = {value: value for value in values if isinstance(value, int)}
    own: Mapping[Any, Color] = _own_colors(mask)
    if own and all(common.get(value) == color for value, color in own.items()):
        return same
    if mask.mode.startswith("RGB"):
        own = {value: value if isinstance(value, tuple) else (value, value, value) for value in values}
    known = {color: value for value, color in common.items()}
    if own and known.keys() >= set(own.values()):
        return {value: known[color] for value, color in own.items()} if len(set(own.values())) == len(own) else None
    if any(color != (value, value, value) for value, color in own.items()):
        return None
    if is_wide(values) and not common.keys() >= set(values):
        return spread(values, top) if top else None
    return same if not common or common.keys() >= set(values) else None


def translated(mask: NDArray[Any], table: Mapping[Value, int]) -> NDArray[Any]:
    """Return a mask with other values (H, W), uint8 where they fit; the table names all that it holds.

    Parameters
    ----------
    mask : integer array (H, W), or (H, W, 3) where the table is of colours
    table : mapping of int or (int, int, int) to int
    """
    result = np.zeros(mask.shape[:2], np.uint8 if max(table.values()) <= IGNORED else np.int32)
    bands = mask[..., None] if mask.ndim == 2 else mask
    for value, number in table.items():
        result[(bands == order_of(value)).all(axis=2)] = number
    return result


def _own_colors(mask: MaskStats) -> dict[int, Color]:
    """Return the colours of the palette values that a mask holds."""
    colors = mask.palette or ()
    return {value: colors[value] for value, _ in mask.values if isinstance(value, int) and 0 <= value < len(colors)}
