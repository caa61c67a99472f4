"""Pictures for people: the classes drawn over what was seen."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.labels import Labels
from unet.preprocessing import match_bands

OPACITY = 0.45


def viewable(picture: NDArray[Any], data_range: float) -> NDArray[np.uint8]:
    """Return uint8 RGB (H, W, 3) of a picture (H, W, C) of any dtype and number of bands.

    Parameters
    ----------
    data_range : float
        The value to show as white in pictures that are not uint8.
    """
    rgb = match_bands(picture if picture.shape[2] in (1, 2, 3, 4) else picture[..., :1], 3)
    if rgb.dtype == np.uint8:
        return np.asarray(rgb, dtype=np.uint8)
    bright: NDArray[np.uint8] = np.clip(rgb.astype(np.float32) * (255 / data_range), 0, 255).astype(np.uint8)
    return bright


def overlay(picture: NDArray[np.uint8], indices: NDArray[np.uint8], labels: Labels) -> NDArray[np.uint8]:
    """Return a picture (H, W, 3) tinted with the colours of the classes, and in full colour at their borders.

    The background is left clear, where a class is one (`Labels.background`).
    """
    colors = labels.colorize(indices)
    shown = (indices != labels.background)[..., None] if labels.background is not None else np.True_
    border = np.zeros(indices.shape, dtype=bool)
    across, down = indices[:, 1:] != indices[:, :-1], indices[1:] != indices[:-1]
    border[:, 1:] |= across
    border[:, :-1] |= across
    border[1:] |= down
    border[:-1] |= down
    tinted = (picture * np.float32(1 - OPACITY) + colors * np.float32(OPACITY)).astype(np.uint8)
    return np.where(shown, np.where(border[..., None], colors, tinted), picture)
