"""Masks that lie otherwise than their pictures, or are of another size."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet import raster

CLEAR = 2.0
"""So many times better than the other way the edges of a mask must fit, to say how it lies. (On up to 30
pictures each of six real sets a mask turned upside down fitted at most 1.52 times better than the mask as it is.)"""

_INVERSE = {6: 8, 8: 6}  # of EXIF orientations; the others undo themselves
_BLUR = 1.5  # standard deviation in pixels, of the noise filter


def turned(mask: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return a mask (H, W, ...) as EXIF of this orientation turns pictures."""
    return np.ascontiguousarray(raster.upright(mask, orientation))


def turned_back(mask: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Undo `turned`."""
    return turned(mask, _INVERSE.get(orientation, orientation))


def scaled(mask: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Return a mask at another size, each pixel with the value of the nearest."""
    return raster.resize(mask, height, width, "nearest")


def edge_alignment(picture: NDArray[Any], mask: NDArray[Any]) -> float:
    """Return how much steeper a picture (H, W, C) is along the edges of a mask (H, W, ...) than elsewhere."""
    from scipy import ndimage  # slow to import

    edges = np.zeros(mask.shape[:2], np.bool_)
    bands = np.atleast_3d(mask)
    edges[1:] |= (bands[1:] != bands[:-1]).any(axis=2)
    edges[:, 1:] |= (bands[:, 1:] != bands[:, :-1]).any(axis=2)
    steepness = ndimage.gaussian_gradient_magnitude(picture.astype(np.float32).mean(axis=2), _BLUR)
    return float(steepness[edges].mean() / steepness.mean()) if edges.any() and steepness.any() else 1.0


def clear_choice(picture: NDArray[Any], mask: NDArray[Any], orientations: tuple[int, int]) -> int | None:
    """Return which of two EXIF orientations turns a mask so that its edges are those of the picture.

    None where neither fits `CLEAR` times better than the other.
    """
    first, second = (edge_alignment(picture, turned(mask, orientation)) for orientation in orientations)
    if max(first, second) < CLEAR * min(first, second):
        return None
    return orientations[0] if first > second else orientations[1]
