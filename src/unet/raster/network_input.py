"""From a picture as read to the array that the network sees. Training and prediction share this one function."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.errors import InputError, RasterError
from unet.preprocessing import Preprocessing, match_bands, match_depth, normalise, scaled_size, value_factor
from unet.raster.resizing import resize
from unet.raster.source import Source

SAMPLED = 32768
"""Pixels of a picture that its range of values is taken from."""

_GRID, _SIDE = 8, 64  # of a raster that is too large to be read twice: windows down and across, their side


def picture_factor(picture: NDArray[Any], preprocessing: Preprocessing) -> float:
    """Return what `value_factor` does, of a picture (H, W, C) that may be of another kind than those trained on.

    Raises
    ------
    InputError
        The network was trained on pictures of another range.
    """
    step = max(1, math.isqrt(picture.shape[0] * picture.shape[1] // SAMPLED))
    return _factor(picture.dtype.name, picture[::step, ::step], preprocessing)


def source_factor(source: Source, preprocessing: Preprocessing) -> float:
    """Return the same of an open raster; the answer for all its windows, so that they go together.

    Raises
    ------
    RasterError
        The network was trained on pictures of another range, or the file cannot be read.
    """
    if source.dtype == "uint8":
        return value_factor("uint8", 0, 255, preprocessing)
    side, parts = (min(_SIDE, source.height), min(_SIDE, source.width)), []
    places = [
        np.unique(np.linspace(0, n - m, _GRID).astype(int))
        for n, m in zip((source.height, source.width), side, strict=True)
    ]
    for row, col in product(*places):
        window = int(row), int(col), *side
        pixels = source.read(window, fill=[0] * source.bands)
        parts.append(pixels[source.read_valid(window)] if source.has_invalid else pixels.reshape(-1, source.bands))
    try:
        return _factor(source.dtype, np.concatenate(parts), preprocessing)
    except InputError as error:
        raise RasterError(f"{source.path}: {error.found}", error.expected, error.remedy) from None


def _factor(dtype: str, sample: NDArray[Any], preprocessing: Preprocessing) -> float:
    low, high = np.percentile(sample, (1, 99.9)) if dtype != "uint8" and sample.size else (0, 255)
    return value_factor(dtype, float(low), float(high), preprocessing)


def rescale(picture: NDArray[Any], preprocessing: Preprocessing, factor: float | None = None) -> NDArray[Any]:
    """Return the picture with the network's bands, brightness and scale, (h, w, C), as a rule in the file's dtype.

    `factor` is what `picture_factor` or `source_factor` says of a picture that was not trained on.

    Raises
    ------
    InputError
        The network was trained on pictures of another kind.
    """
    picture = match_depth(match_bands(picture, preprocessing.bands), preprocessing, factor)
    height, width = scaled_size(picture.shape[0], picture.shape[1], preprocessing.scale)
    if (height, width) == picture.shape[:2]:
        return picture
    return resize(picture, height, width, preprocessing.resample)


def network_input(
    picture: NDArray[Any], preprocessing: Preprocessing, factor: float | None = None
) -> NDArray[np.float32]:
    """Return the network's input for a picture as read from its file.

    Parameters
    ----------
    picture : array (H, W, C)
        uint8, uint16 or float32.
    preprocessing : Preprocessing
    factor : float, optional
        As in `rescale`.

    Returns
    -------
    float32 array (C, h, w)
        h = int(H * scale), w = int(W * scale).
    """
    return normalise(rescale(picture, preprocessing, factor).transpose(2, 0, 1), preprocessing)
