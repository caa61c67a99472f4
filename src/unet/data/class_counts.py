"""How many pixels of each class a mask holds."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from unet.data.pairs import Pair
from unet.data.scan import Scan
from unet.data.stats import MaskStats
from unet.labels import IGNORED, Labels, Value


def class_counts(mask: MaskStats, labels: Labels) -> NDArray[np.int64]:
    """Return the pixels of each class index, (256,); at `IGNORED` those that do not count.

    Raises
    ------
    DataError
        The mask holds a value that is of no class.
    """
    counts = np.zeros(256, np.int64)
    indices = class_indices(tuple([value for value, _ in mask.values]), labels)
    for index, (_, count) in zip(indices, mask.values, strict=True):
        counts[index] += count
    return counts


@lru_cache(maxsize=4096)
def class_indices(values: tuple[Value, ...], labels: Labels) -> tuple[int, ...]:
    """Return the class index of each value; most masks of a data set hold the same few.

    Raises
    ------
    DataError
        A value that is of no class.
    """
    if not values:
        return ()
    by_value = replace(labels, dilated=())  # these are values side by side, not pixels
    return tuple(by_value.encode(np.array(values)[:, None])[:, 0].tolist())


def classes_shown(scan: Scan, labels: Labels) -> dict[Pair, frozenset[int]]:
    """Return the class indices that each mask holds, without `IGNORED`.

    Raises
    ------
    DataError
        A mask holds a value that is of no class.
    """
    rows = zip(scan.pairs, scan.masks, strict=True)
    return {pair: frozenset(np.flatnonzero(class_counts(mask, labels)[:IGNORED]).tolist()) for pair, mask in rows}
