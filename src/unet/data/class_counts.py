"""How many pixels of each class a mask holds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unet.data.stats import MaskStats
from unet.labels import Labels


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
