"""Grey values: changed by as much as is asked for, decided by the generator alone, and where they can be."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unet import raster
from unet.data.augment import Augmentation
from unet.data.greys import DEGRADED_SHARE, blur, change_greys, degrade


def drawn(augmentation: Augmentation, count: int = 200, bands: int = 3) -> list[torch.Tensor]:
    """What becomes of a standardised image of noise."""
    image = torch.randn(bands, 16, 16, generator=torch.Generator().manual_seed(0))
    return [change_greys(image, augmentation, np.random.default_rng(seed)) - image for seed in range(count)]


def test_greys_change_only_when_asked() -> None:
    image = torch.randn(3, 5, 5)
    assert change_greys(image, Augmentation(), np.random.default_rng(0)) is image
    assert degrade(image, Augmentation(), np.random.default_rng(0), as_jpeg=True) is image
    changed = change_greys(image, Augmentation(brightness=0.5, contrast=0.5), np.random.default_rng(0))
    assert not torch.allclose(changed, image)


def test_brightness_shifts_by_as_much_as_is_asked_for() -> None:
    shifts = [change.mean().item() for change in drawn(Augmentation(brightness=0.5))]
    assert -0.5 <= min(shifts) < -0.45 and 0.45 < max(shifts) <= 0.5
    assert all(change.std() < 1e-5 for change in drawn(Augmentation(brightness=0.5), 5))


def test_gamma_keeps_order_and_ends() -> None:
    image = torch.linspace(-2, 3, 48).reshape(3, 4, 4)
    middles = []
    for seed in range(100):
        changed = change_greys(image, Augmentation(gamma=2.0), np.random.default_rng(seed)).flatten()
        assert changed[0] == pytest.approx(-2) and changed[-1] == pytest.approx(3, abs=1e-5)
        assert (changed.diff() > 0).all()
        middles.append(changed[24].item())
    lowest, highest = (-2 + 5 * (24 / 47) ** power for power in (2, 0.5))
    assert lowest <= min(middles) < lowest + 0.1 and highest - 0.1 < max(middles) <= highest + 1e-5


def test_gamma_of_a_flat_picture() -> None:
    flat = torch.full((1, 4, 4), 0.7)
    assert torch.equal(change_greys(flat, Augmentation(gamma=2.0), np.random.default_rng(0)), flat)


def test_noise_comes_to_some_samples() -> None:
    deviations = np.array([change.std().item() for change in drawn(Augmentation(noise=0.2))])
    assert DEGRADED_SHARE - 0.1 < (deviations > 0).mean() < DEGRADED_SHARE + 0.1
    assert 0.15 < deviations.max() < 0.22


def test_blur_has_the_deviation_that_is_asked_for() -> None:
    dot = torch.zeros(2, 41, 41)
    dot[:, 20, 20] = 1.0
    rows = torch.arange(41.0) - 20
    for deviation in (1.0, 2.5):
        spread = blur(dot, deviation)[1]
        assert spread.sum() == pytest.approx(1, abs=1e-5)
        assert torch.equal(spread, spread.T) or torch.allclose(spread, spread.T, atol=1e-7)
        assert (spread.sum(1) * rows**2).sum().sqrt() == pytest.approx(deviation, rel=0.03)
    assert blur(dot, 0.0) is dot
    flat = torch.full((1, 3, 2), 9.0)
    torch.testing.assert_close(blur(flat, 4.0), flat)  # larger than the picture


def test_some_samples_go_through_jpeg() -> None:
    rows = np.mgrid[:32, :32].sum(axis=0)
    picture = torch.from_numpy(np.stack([rows * 3, rows * 2, 255 - rows * 4])).float()
    for bands in (1, 3):
        some = Augmentation(jpeg=60)
        changed = [degrade(picture[:bands], some, np.random.default_rng(seed), as_jpeg=True) for seed in range(100)]
        touched = [not torch.equal(result, picture[:bands]) for result in changed]
        assert DEGRADED_SHARE - 0.12 < np.mean(touched) < DEGRADED_SHARE + 0.12
        assert max((result - picture[:bands]).abs().mean() for result in changed) < 12, "the same picture still"
    for seed in range(20):
        rng = np.random.default_rng(seed)
        assert degrade(picture, Augmentation(jpeg=60), rng, as_jpeg=False) is picture
        assert degrade(picture[:2], Augmentation(jpeg=60), rng, as_jpeg=True).shape == (2, 32, 32)


def test_a_good_jpeg_keeps_more() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (24, 40, 1), dtype=np.uint8)
    poor, good = (np.abs(raster.through_jpeg(picture, q).astype(int) - picture).mean() for q in (20, 95))
    assert good < 4 < poor
