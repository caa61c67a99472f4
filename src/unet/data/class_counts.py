"""How many pixels of each class a mask holds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unet.data.pairs import Pair
from unet.data.scan import Scan
from unet.data.stats import MaskStats
from unet.labels import IGNORED, Labels


def class_counts(mask: MaskStats, labels: Labels) -> NDArray[np.int64]:
    """Return the pixels of each class index, (256,); at `IGNORED` those that do not count.

    Raises
    ------
    DataError
        The mask holds a value that is of no class.
    """
    values = np.array([value for value, _ in mask.values])
    indices = labels.encode(values[:, None])[:, 0]
    counts = np.bincount(indices, weights=[count for _, count in mask.values], minlength=256)
    return counts.astype(np.int64)


def classes_shown(scan: Scan, labels: Labels) -> dict[Pair, frozenset[int]]:
    """Return the class indices that each mask holds, without `IGNORED`.

    Raises
    ------
    DataError
        A mask holds a value that is of no class.
    """
    rows = zip(scan.pairs, scan.masks, strict=True)
    return {pair: frozenset(np.flatnonzero(class_counts(mask, labels)[:IGNORED]).tolist()) for pair, mask in rows}
