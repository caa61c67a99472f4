"""The network's input: the same numbers, to the last bit, as when it was computed with the bands last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from unet import raster
from unet.errors import InputError, RasterError
from unet.preprocessing import Preprocessing, conversions, normalise, value_factor
from unet.raster.network_input import network_input, picture_factor, source_factor

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


# --- pictures of another kind than those trained on

EIGHT_BITS = Preprocessing(**STANDARDISED)
SIXTEEN_BITS = Preprocessing(data_range=50_000.0, **STANDARDISED)
FRACTIONS = Preprocessing(data_range=1.0, **STANDARDISED)


@pytest.mark.parametrize(
    ("trained", "dtype", "low", "high", "factor"),
    [
        (EIGHT_BITS, "uint8", 0, 3, 1.0),
        (EIGHT_BITS, "float32", 0.0, 1.0, 255.0),
        (EIGHT_BITS, "float64", -0.02, 1.04, 255.0),
        (EIGHT_BITS, "float32", 12.0, 255.0, 1.0),
        (EIGHT_BITS, "float32", -1.0, 1.0, None),
        (EIGHT_BITS, "float32", -2.1, 2.6, None),
        (EIGHT_BITS, "float32", 0.0, 4095.0, None),
        (EIGHT_BITS, "uint16", 500, 60_000, None),
        (Preprocessing(), "uint16", 500, 60_000, 1.0),
        (Preprocessing(), "float32", 0.0, 1.0, 255.0),
        (SIXTEEN_BITS, "uint8", 0, 255, 50_000 / 255),
        (SIXTEEN_BITS, "uint16", 0, 65_535, 1.0),
        (SIXTEEN_BITS, "uint16", 0, 9_000, 1.0),
        (SIXTEEN_BITS, "uint16", 0, 255, None),
        (SIXTEEN_BITS, "float32", 0.0, 1.0, None),
        (SIXTEEN_BITS, "uint16", 0, 0, 1.0),
        (FRACTIONS, "uint8", 0, 255, 1 / 255),
        (FRACTIONS, "float32", 0.0, 0.4, 1.0),
        (FRACTIONS, "float32", 0.0, 255.0, None),
        (FRACTIONS, "uint16", 0, 30_000, None),
        (FRACTIONS, "float32", -3.0, 2.0, None),
    ],
)
def test_other_ranges_are_converted_or_refused(
    trained: Preprocessing, dtype: str, low: float, high: float, factor: float | None
) -> None:
    if factor is None:
        with pytest.raises(InputError, match=f"{dtype} with values of .*, as the model was trained on"):
            value_factor(dtype, low, high, trained)
    else:
        assert value_factor(dtype, low, high, trained) == pytest.approx(factor)
        said = conversions(3, dtype, factor, trained)
        assert len(said) == (factor != 1), "what is converted is said"


def test_fractions_and_8_bits_give_the_same_input() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (37, 50, 3), dtype=np.uint8)
    fractions = (picture / 255).astype(np.float32)
    factor = picture_factor(fractions, EIGHT_BITS)
    np.testing.assert_allclose(
        network_input(fractions, EIGHT_BITS, factor), network_input(picture, EIGHT_BITS), atol=1e-5
    )


def test_a_sheet_is_judged_as_a_whole(tmp_path: Path) -> None:
    """A dark corner of a sheet of 0 to 255 is not taken for fractions."""
    sheet = np.zeros((600, 500, 3), np.float32)
    sheet[300:] = 200.0
    for name, pixels in (("sheet", sheet), ("fractions", sheet / 255), ("deep", sheet * 200)):
        np.save(tmp_path / f"{name}.npy", pixels)
    with raster.open(tmp_path / "sheet.npy") as source:
        assert source_factor(source, EIGHT_BITS) == 1.0
    with raster.open(tmp_path / "fractions.npy") as source:
        assert source_factor(source, EIGHT_BITS) == 255.0
    with raster.open(tmp_path / "deep.npy") as source, pytest.raises(RasterError, match=r"deep\.npy: a picture of"):
        source_factor(source, EIGHT_BITS)
