"""Whether a class that nobody has named is what no object covers, or something itself."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from unet.data.mask_values import MaskValues
from unet.labels import Value

_SHARE = 0.5  # of the pixels that count, at least
_MASKS = 0.95  # share of the masks that hold it, at least
_OFF_MIDDLE = 0.15  # of the height: how far its mean row lies from the middle, at most


def is_ground(mask_values: MaskValues, value: Value, ignored: Collection[Value] = ()) -> bool:
    """Tell whether a value lies around all others, as a background does: most pixels, in all masks, above and below.

    Sky or road can be the largest class too, but it lies high or low; water or forest is missing in some pictures.
    (Tried in docs/decisions/022-data.md.)

    Parameters
    ----------
    mask_values : MaskValues
    value : int or (int, int, int)
    ignored : collection of int or of (int, int, int)
        Values that do not count.
    """
    masks = mask_values.scan.masks
    counted = sum(count for held, count in mask_values.counts.items() if held not in ignored)
    holding = [any(mask_values.in_common_form(held) == value for held, _ in mask.values) for mask in masks]
    regions = [
        (shape.centroid_row, shape.area)
        for mask in masks
        for shape in mask.shapes
        if mask_values.in_common_form(shape.value) == value
    ]
    if mask_values.counts[value] < _SHARE * counted or np.mean(holding) < _MASKS or not regions:
        return False
    rows, areas = np.array(regions, dtype=np.float64).T
    return bool(abs(np.average(rows, weights=areas) - 0.5) <= _OFF_MIDDLE)
