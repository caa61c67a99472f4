"""The network's input: the same numbers, to the last bit, as when it was computed with the bands last."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from unet.preprocessing import Preprocessing, normalise
from unet.raster.network_input import network_input

STANDARDISED = {"mean": (0.31, 0.47, 0.52), "std": (0.21, 0.29, 0.68)}


def normalised_bands_last(picture: NDArray[Any], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """How it was computed before, on (h, w, C)."""
    image = picture.astype(np.float32)
    image /= preprocessing.data_range
    if preprocessing.mean:
        image -= np.array(preprocessing.mean, dtype=np.float32)
        image /= np.array(preprocessing.std, dtype=np.float32)
    return image.transpose(2, 0, 1)


@pytest.mark.parametrize("standardised", [False, True])
@pytest.mark.parametrize(("dtype", "data_range"), [("uint8", 255.0), ("uint16", 4095.3), ("float32", 0.7)])
def test_normalised_to_the_last_bit(dtype: str, data_range: float, standardised: bool) -> None:
    preprocessing = Preprocessing(data_range=data_range, **(STANDARDISED if standardised else {}))
    picture = (np.random.default_rng(0).random((37, 50, 3)) * 255).astype(dtype)
    before = picture.copy()
    view = picture.transpose(2, 0, 1)
    for image in (view, np.ascontiguousarray(view)):
        result = normalise(image, preprocessing)
        assert result.dtype == np.float32 and result.flags.c_contiguous
        assert np.array_equal(result, normalised_bands_last(picture, preprocessing))
    assert np.array_equal(picture, before), "the picture itself stays as it is"


def test_prediction_sees_the_same_numbers() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (37, 50, 3), dtype=np.uint8)
    preprocessing = Preprocessing(**STANDARDISED)
    assert np.array_equal(network_input(picture, preprocessing), normalised_bands_last(picture, preprocessing))
