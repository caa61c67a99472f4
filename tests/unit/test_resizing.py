"""Pictures and masks at another size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from unet import raster
from unet.errors import RasterError

RNG = np.random.default_rng(7)
GREY = RNG.integers(0, 256, (13, 17), dtype=np.uint8)

sizes = st.integers(1, 40)


@settings(max_examples=60)
@given(sizes, sizes, sizes, sizes, st.sampled_from([1, 3]), st.sampled_from(["nearest", "bilinear", "bicubic"]))
def test_bytes_are_resized_as_pillow_does(h: int, w: int, height: int, width: int, bands: int, how: str) -> None:
    picture = np.random.default_rng(h * w).integers(0, 256, (h, w, bands), dtype=np.uint8)
    plain = Image.fromarray(picture[..., 0] if bands == 1 else picture)
    wanted = np.asarray(plain.resize((width, height), Image.Resampling[how.upper()]))
    assert (raster.resize(picture, height, width, how) == wanted.reshape(height, width, bands)).all()


@settings(max_examples=60)
@given(
    sizes,
    sizes,
    st.integers(1, 6),
    st.sampled_from(["uint8", "uint16", "int32", "float32"]),
    st.sampled_from(["nearest", "bilinear", "bicubic", "area"]),
)
def test_any_dtype_and_number_of_bands(height: int, width: int, bands: int, dtype: str, how: str) -> None:
    picture = (np.random.default_rng(bands).random((20, 30, bands)) * 250).astype(dtype)
    resized = raster.resize(picture, height, width, how)
    assert resized.shape == (height, width, bands) and resized.dtype == picture.dtype
    each = [raster.resize(picture[..., band], height, width, how) for band in range(bands)]
    assert np.allclose(resized, np.stack(each, axis=2), atol=1.01 if how == "area" else 0)
    if how != "bicubic":  # which overshoots
        assert resized.min() >= picture.min() and resized.max() <= picture.max()


def test_bicubic_overshoot_stays_in_range() -> None:
    edge = np.zeros((8, 8, 2), np.uint16)
    edge[:, 4:] = 65535
    assert set(np.unique(raster.resize(edge, 16, 16, "bicubic")[:, :2])) == {0}


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_area_is_the_mean_of_what_is_covered(dtype: str) -> None:
    picture = RNG.integers(0, 200, (12, 20, 3)).astype(dtype)
    means = picture.reshape(4, 3, 5, 4, 3).mean(axis=(1, 3))
    assert np.abs(raster.resize(picture, 4, 5, "area").astype(float) - means).max() <= 0.5
    box = Image.fromarray(GREY).resize((7, 5), Image.Resampling.BOX)
    assert np.abs(raster.resize(GREY, 5, 7, "area").astype(int) - np.asarray(box)).max() <= 1


def test_area_grows_smoothly() -> None:
    assert (raster.resize(GREY, 26, 34, "area") == raster.resize(GREY, 26, 34, "bilinear")).all()


def test_nearest_takes_the_same_pixels_for_all_dtypes() -> None:
    for height, width in [(5, 9), (26, 40), (13, 6), (1, 1)]:
        small = raster.resize(GREY, height, width, "nearest")
        assert (raster.resize(GREY.astype(np.int32), height, width, "nearest") == small).all()


def test_alpha_does_not_darken_colours() -> None:
    picture = np.dstack([np.full((8, 8, 3), 200, np.uint8), RNG.integers(0, 256, (8, 8), dtype=np.uint8)])
    assert (raster.resize(picture, 3, 3, "bicubic")[..., :3] == 200).all()


def test_resize_refuses_what_cannot_be() -> None:
    for height, width, how in [(0, 5, "area"), (5, 0, "area"), (5, 5, "cubic")]:
        with pytest.raises(RasterError):
            raster.resize(GREY, height, width, how)
