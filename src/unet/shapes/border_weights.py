"""The weight map of the U-Net paper: pixels between objects that nearly touch count most.

Numbers of objects in, a weight for each pixel out; see docs/weight-map.md.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, find_objects

CUTOFF = 5.0
"""Where the two distances add up to more than so many sigmas, what the border adds is left out: w0 * 4e-6 at most."""


def border_weights(
    objects: NDArray[Any], *, w0: float = 10.0, sigma: float = 5.0, base: float | NDArray[np.float32] = 1.0
) -> NDArray[np.float32]:
    """Return how much each pixel counts in the loss.

    Parameters
    ----------
    objects : integer array (H, W)
        A number for each object, 0 for what lies between them.
    w0 : float
        What is added in the narrowest gap.
    sigma : float
        Over which width of a gap, in pixels, that falls off.
    base : float or float32 array (H, W)
        The weight that balances the classes.

    Returns
    -------
    float32 array (H, W)
        Between objects base + w0 * exp(-(d1 + d2)^2 / (2 sigma^2)), where d1 and d2 are the distances in pixels to
        the nearest and to the second nearest object; inside of objects the base alone.

    Notes
    -----
    Equation 2 of [1]_. The distance to an object is that to the centre of its nearest pixel. It is computed in a window
    around each object that has another one near it, so that the cost follows the size of the objects, not their
    number times the size of the picture.

    References
    ----------
    .. [1] Ronneberger, Fischer, Brox: "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015,
       arXiv:1505.04597.

    Examples
    --------
    >>> objects = np.array([[1, 1, 0, 0, 2, 2]])
    >>> border_weights(objects, w0=10, sigma=5)[0].round(2)  # 1 + 10 * exp(-(1 + 2)^2 / 50) in the gap
    array([1.  , 1.  , 9.35, 9.35, 1.  , 1.  ], dtype=float32)
    """
    weights = np.empty(objects.shape, dtype=np.float32)
    weights[...] = base
    values, inverse = np.unique(objects, return_inverse=True)
    ranks = np.where(values == 0, 0, np.cumsum(values != 0))  # 0 stays 0, the others become 1, 2, ...
    label_map = ranks.astype(np.int32)[inverse].reshape(objects.shape)
    nearest, second = (np.full(objects.shape, np.inf, dtype=np.float32) for _ in range(2))
    margin = math.ceil(CUTOFF * sigma)
    for label, box in enumerate(find_objects(label_map), start=1):
        window = tuple(slice(max(0, side.start - margin), side.stop + margin) for side in box)
        outside = label_map[window] != label
        if not label_map[window][outside].any():  # no gap that would be narrow enough
            continue
        distance = distance_transform_edt(outside).astype(np.float32)
        np.minimum(second[window], np.maximum(nearest[window], distance), out=second[window])
        np.minimum(nearest[window], distance, out=nearest[window])
    gaps = (label_map == 0) & (second < np.inf)
    weights[gaps] += w0 * np.exp(-((nearest[gaps] + second[gaps]) ** 2) / (2 * sigma**2))
    return weights


def separate_touching(objects: NDArray[Any]) -> NDArray[Any]:
    """Return the objects with a line of zeros, one or two pixels wide, between those that touch.

    Without it a network that tells object from background could not keep them apart; the paper separates them too.

    Examples
    --------
    >>> separate_touching(np.array([[1, 1, 2, 2], [1, 1, 0, 2]]))
    array([[1, 0, 0, 2],
           [1, 1, 0, 2]])
    """
    touching = np.zeros(objects.shape, dtype=bool)
    for first, second in (
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1], np.s_[1:]),
        (np.s_[:-1, :-1], np.s_[1:, 1:]),
        (np.s_[:-1, 1:], np.s_[1:, :-1]),
    ):
        a, b = objects[first], objects[second]
        touching[first] |= (a != b) & (a != 0) & (b != 0)
    separated: NDArray[Any] = np.where(touching, 0, objects)
    return separated
