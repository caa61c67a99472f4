"""The few numbers of a data set, against numpy over all pixels."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from unet import raster
from unet.data.fingerprint import fingerprint
from unet.data.pairs import Pair, find_pairs
from unet.data.scan import Scan, scan
from unet.data.stats import mask_stats, picture_stats
from unet.labels import Labels

DataMaker = Callable[..., Path]


def scan_of(pictures: list[NDArray[Any]], masks: list[NDArray[Any]] | None = None) -> Scan:
    """A scan of arrays."""
    masks = masks or [np.zeros(picture.shape[:2], np.uint8) for picture in pictures]
    pairs = tuple(Pair(str(n), Path(f"{n}.png"), Path(f"{n}_mask.png")) for n in range(len(pictures)))
    return Scan(pairs, tuple(map(picture_stats, pictures)), tuple(map(mask_stats, masks)), ())


def test_of_files(make_data: DataMaker) -> None:
    pairs = find_pairs(make_data(count=5))["all"]
    result = fingerprint(scan(pairs), Labels.numbered(2))
    pixels = np.concatenate([raster.read(pair.image).reshape(-1, 3) for pair in pairs]) / 255
    masks = np.concatenate([raster.read_mask(pair.mask).ravel() for pair in pairs])
    assert result.mean == pytest.approx(pixels.mean(axis=0))
    assert result.std == pytest.approx(pixels.std(axis=0))
    assert result.class_shares == pytest.approx(((masks == 0).mean(), (masks == 1).mean()))
    assert (result.pictures, result.height, result.width, result.largest) == (5, 24, 32, (24, 32))
    assert (result.bands, result.data_range, result.same_size) == (3, 255.0, True)


@pytest.mark.slow
@given(st.integers(1, 5), st.integers(0, 2**32 - 1), st.sampled_from([np.uint8, np.uint16, np.float32]))
def test_mean_and_deviation_of_any_pictures_of_one_size(count: int, seed: int, dtype: Any) -> None:
    rng = np.random.default_rng(seed)
    pictures = [
        (rng.integers(0, 200, (7, 9, 3)) * rng.uniform(0.2, 1, 3) + rng.uniform(0, 50)).astype(dtype)
        for _ in range(count)
    ]
    result = fingerprint(scan_of(pictures), Labels.numbered(2))
    pixels = np.stack(pictures).reshape(-1, 3).astype(np.float64) / result.data_range
    assert result.mean == pytest.approx(pixels.mean(axis=0), abs=1e-4)
    assert result.std == pytest.approx(np.maximum(pixels.std(axis=0), 1e-4), abs=1e-4)


def test_big_pictures_are_sampled_well_enough(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows, columns = np.indices((1200, 900))
    picture = np.stack([rows % 256, columns % 256, rng.integers(0, 256, rows.shape)], axis=2).astype(np.uint8)
    result = fingerprint(scan_of([picture]), Labels.numbered(2))
    pixels = picture.reshape(-1, 3) / 255
    assert result.mean == pytest.approx(pixels.mean(axis=0), abs=0.01)
    assert result.std == pytest.approx(pixels.std(axis=0), abs=0.01)


def test_a_flat_band_does_not_divide_by_zero() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[..., 1] = np.arange(8)
    result = fingerprint(scan_of([picture]), Labels.numbered(2))
    assert all(deviation >= 1e-4 for deviation in result.std)


@pytest.mark.parametrize(
    ("bands", "expected"), [((1, 1), 1), ((1, 3), 3), ((3, 4), 3), ((2, 1), 1), ((5, 5), 5), ((4,), 4), ((4, 1), 3)]
)
def test_bands(bands: tuple[int, ...], expected: int) -> None:
    pictures = [np.full((6, 6, count), 10 * count, np.uint8) for count in bands]
    result = fingerprint(scan_of(pictures), Labels.numbered(2))
    assert (result.bands, len(result.mean), len(result.std)) == (expected,) * 3


def test_white_is_the_brightest_of_deep_pictures() -> None:
    deep = np.linspace(0, 4095, 10_000).reshape(100, 100, 1)
    assert fingerprint(scan_of([deep.astype(np.uint16)]), Labels.numbered(2)).data_range == pytest.approx(
        4095, rel=0.01
    )
    for dim in (1, 0.7):  # fractions are of 1, however bright
        fractions = (dim * deep / 4095).astype(np.float32)
        assert fingerprint(scan_of([fractions]), Labels.numbered(2)).data_range == 1.0
    assert fingerprint(scan_of([(deep * 0).astype(np.uint16)]), Labels.numbered(2)).data_range == 1.0


def test_eight_and_sixteen_bits_have_each_their_white() -> None:
    flat = np.full((4, 4, 1), 51, np.uint8)
    deep = np.full((4, 4, 1), 4000, np.uint16)
    result = fingerprint(scan_of([flat, deep]), Labels.numbered(2))
    assert result.data_range == 4000
    assert result.mean == pytest.approx(((51 / 255 + 1) / 2,))


def test_shares_leave_ignored_pixels_out() -> None:
    mask = np.array([[0, 0, 0, 1], [9, 9, 9, 9]], np.uint8)
    table = Labels(("a", "b", "c"), ((0, 0, 0), (1, 1, 1), (2, 2, 2)), (0, 1, 2), ignored=(9,))
    picture = np.zeros((2, 4, 3), np.uint8)
    assert fingerprint(scan_of([picture], [mask]), table).class_shares == pytest.approx((0.75, 0.25, 0.0))
    nothing = np.full((2, 4), 9, np.uint8)
    assert fingerprint(scan_of([picture], [nothing]), table).class_shares == (0.0, 0.0, 0.0)


def test_shares_of_colours() -> None:
    mask = np.zeros((2, 5, 3), np.uint8)
    mask[0, 0] = (200, 0, 0)
    table = Labels(("a", "b"), ((0, 0, 0), (200, 0, 0)), ((0, 0, 0), (200, 0, 0)))
    assert fingerprint(scan_of([np.zeros((2, 5, 3), np.uint8)], [mask]), table).class_shares == pytest.approx(
        (0.9, 0.1)
    )


def test_objects_of_all_masks_together() -> None:
    first, second = np.zeros((2, 80, 100), np.uint8)
    first[10:14] = 1  # a line, 4 px thick
    second[20:60, 20:60] = 2  # a square
    second[70, 70] = 2  # a speck
    table = Labels(("around", "line", "square", "absent"), ((0, 0, 0),) * 4, (0, 1, 2, 3))
    result = fingerprint(scan_of([np.zeros((80, 100, 1), np.uint8)] * 2, [first, second]), table)
    around, line, square, absent = result.classes
    assert (around.pictures, line.pictures, square.pictures, absent.pictures) == ((0, 1), (0,), (1,), ())
    assert line.thickness == pytest.approx(4, rel=0.08) and line.detail == line.thickness
    assert line.smallest == line.largest == pytest.approx(20)  # sqrt(4 * 100)
    assert square.smallest == square.largest == pytest.approx(40), "specks do not count"
    assert (absent.share, absent.thickness, absent.smallest, absent.largest) == (0, math.inf, 0, 0)
    # The line cuts what lies around in two.
    assert (around.regions, line.regions, square.regions, absent.regions) == (1.5, 1, 2, 1)


def test_what_is_ignored_has_no_objects() -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[10:20], mask[30:] = 1, 9
    table = Labels(("a", "b"), ((0, 0, 0), (1, 1, 1)), (0, 1), ignored=(9,))
    result = fingerprint(scan_of([np.zeros((40, 40, 1), np.uint8)], [mask]), table)
    assert result.classes[1].largest == pytest.approx(20)
    assert result.class_shares == pytest.approx((2 / 3, 1 / 3))


def test_numbers_of_objects_become_one_class_of_many_objects() -> None:
    mask = np.zeros((60, 60), np.uint16)
    mask[0:10, 0:10], mask[10:20, 0:10], mask[40:50, 40:50] = 1, 2, 3  # two of them touch
    table = Labels(("background", "object"), ((0, 0, 0), (1, 1, 1)), (0, 1), kind="instances")
    assert fingerprint(scan_of([np.zeros((60, 60, 1), np.uint8)], [mask]), table).classes[1].largest == pytest.approx(
        10
    )


def pictures_of(lean: float, noise: float, count: int = 12) -> list[NDArray[Any]]:
    """Grey pictures whose lower half is brighter, and that differ."""
    rng = np.random.default_rng(0)
    ramps = [np.linspace(-1, 1, 40)[:, None, None] * (lean + noise * rng.normal()) for _ in range(count)]
    return [(100 + 20 * (ramp + rng.normal(0, 1, (40, 30, 1)))).astype(np.uint8) for ramp in ramps]


@pytest.mark.parametrize(("lean", "noise", "upright"), [(1.0, 0.2, True), (0.0, 0.0, False), (0.2, 1.0, False)])
def test_brightness_tells_up_from_down(lean: float, noise: float, upright: bool) -> None:
    assert fingerprint(scan_of(pictures_of(lean, noise)), Labels.numbered(2)).upright is upright


def test_classes_tell_up_from_down() -> None:
    flat = [np.zeros((40, 40, 1), np.uint8)] * 6
    below, anywhere = np.zeros((2, 6, 40, 40), np.uint8)
    for place in range(6):
        below[place, 25 + place :] = 1
        anywhere[place, 7 * place : 7 * place + 5] = 1
    assert fingerprint(scan_of(flat, list(below)), Labels.numbered(2)).upright
    assert not fingerprint(scan_of(flat, list(anywhere)), Labels.numbered(2)).upright
    assert not fingerprint(scan_of(flat[:1], list(below[:1])), Labels.numbered(2)).upright, "one picture tells nothing"


def test_sizes_are_medians(tmp_path: Path) -> None:
    pictures = [np.zeros((height, width, 1), np.uint8) for height, width in ((10, 90), (20, 20), (70, 30))]
    result = fingerprint(scan_of(pictures), Labels.numbered(2))
    assert (result.height, result.width, result.largest, result.same_size) == (20, 30, (70, 90), False)


def test_real_pictures(shared_data: Path) -> None:
    pairs = find_pairs(shared_data / "ultrasound")
    some = next(iter(pairs.values()))[:8]
    scanned = scan(some)
    result = fingerprint(scanned, Labels.numbered(3))
    greys = [np.asarray(Image.open(pair.image).convert("RGB"), dtype=np.float64) / 255 for pair in some]
    means = np.mean([grey.reshape(-1, 3).mean(axis=0)[: result.bands] for grey in greys], axis=0)
    assert result.mean == pytest.approx(means, abs=0.01)
