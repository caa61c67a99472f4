"""From a picture as read to the array that the network sees. Training and prediction share this one function."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.preprocessing import Preprocessing, match_bands, match_depth, normalise, scaled_size
from unet.raster.resizing import resize


def rescale(picture: NDArray[Any], preprocessing: Preprocessing) -> NDArray[Any]:
    """Return the picture with the network's bands, brightness and scale, (h, w, C), as a rule in the file's dtype.

    Raises
    ------
    InputError
        The network was trained on pictures of another kind.
    """
    picture = match_depth(match_bands(picture, preprocessing.bands), preprocessing)
    height, width = scaled_size(picture.shape[0], picture.shape[1], preprocessing.scale)
    if (height, width) == picture.shape[:2]:
        return picture
    return resize(picture, height, width, preprocessing.resample)


def network_input(picture: NDArray[Any], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Return the network's input for a picture as read from its file.

    Parameters
    ----------
    picture : array (H, W, C)
        uint8, uint16 or float32.
    preprocessing : Preprocessing

    Returns
    -------
    float32 array (C, h, w)
        h = int(H * scale), w = int(W * scale).
    """
    return normalise(rescale(picture, preprocessing).transpose(2, 0, 1), preprocessing)
