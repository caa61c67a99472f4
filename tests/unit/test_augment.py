"""One warp for picture and target: exact where it should be, never blending classes, ignored outside."""

from __future__ import annotations

import math

import numpy as np
import torch

from unet.data.augment import PRESETS, Augmentation, Warp, apply_warp, change_greys, draw_warp
from unet.labels import IGNORED


def picture_and_target(height: int = 20, width: int = 30) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    picture = torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)
    return picture, torch.randint(0, 5, (height, width), generator=generator, dtype=torch.uint8)


def test_a_plain_crop_is_exact() -> None:
    picture, target = picture_and_target()
    image, labels = apply_warp(picture, target, Warp(row=9, col=14), (8, 10))
    torch.testing.assert_close(image, picture[:, 5:13, 9:19].float(), atol=1e-2, rtol=0)
    assert torch.equal(labels, target[5:13, 9:19])


def test_a_mirrored_crop_is_the_mirror_image() -> None:
    picture, target = picture_and_target()
    image, labels = apply_warp(picture, target, Warp(row=10, col=15, mirror=True), (20, 30))
    torch.testing.assert_close(image, picture.flip(2).float(), atol=1e-2, rtol=0)
    assert torch.equal(labels, target.flip(1))


def test_a_quarter_turn_is_a_rotation_of_both() -> None:
    picture, target = picture_and_target(20, 20)
    image, labels = apply_warp(picture, target, Warp(row=10, col=10, angle=math.pi / 2), (20, 20))
    turned = torch.rot90(picture, -1, (1, 2)).float()
    other = torch.rot90(picture, 1, (1, 2)).float()
    assert min((image - turned).abs().max(), (image - other).abs().max()) < 1e-1
    assert torch.equal(labels, torch.rot90(target, -1)) or torch.equal(labels, torch.rot90(target, 1))


def test_outside_is_ignored_and_mirrored() -> None:
    picture, target = picture_and_target()
    image, labels = apply_warp(picture, target, Warp(row=10, col=15), (40, 30))
    assert bool((labels[:10] == IGNORED).all()) and bool((labels[30:] == IGNORED).all())
    assert torch.equal(labels[10:30], target)
    torch.testing.assert_close(image[:, 9], picture[:, 0].float(), atol=1e-2, rtol=0)


def test_drawn_warps_never_make_new_classes_and_keep_inside() -> None:
    picture, target = picture_and_target(64, 96)
    for seed in range(50):
        warp = draw_warp(PRESETS["light"], (64, 96), (32, 48), np.random.default_rng(seed))
        _, labels = apply_warp(picture, target, warp, (32, 48))
        assert set(labels.unique().tolist()) <= {0, 1, 2, 3, 4, IGNORED}
        assert (labels == IGNORED).float().mean() < 0.35


def test_an_area_keeps_its_share_under_zoom() -> None:
    """Half of the plane stays half of the sample when the edge goes through its centre."""
    target = torch.zeros(100, 100, dtype=torch.uint8)
    target[:, 50:] = 1
    for zoom in (0.8, 1.0, 1.3):
        _, labels = apply_warp(target[None].float(), target, Warp(50, 50, zoom=zoom), (60, 60))
        assert abs(labels.float().mean().item() - 0.5) < 0.02


def test_greys_change_only_when_asked() -> None:
    image = torch.randn(3, 5, 5)
    assert change_greys(image, Augmentation(), np.random.default_rng(0)) is image
    changed = change_greys(image, Augmentation(brightness=0.5, contrast=0.5), np.random.default_rng(0))
    assert not torch.allclose(changed, image)


def test_a_sample_mirrored_top_to_bottom() -> None:
    picture, target = picture_and_target()
    image, labels = apply_warp(picture, target, Warp(row=10, col=15, mirror_rows=True), (20, 30))
    torch.testing.assert_close(image, picture.flip(1).float(), atol=1e-2, rtol=0)
    assert torch.equal(labels, target.flip(0))
    rng = np.random.default_rng(0)
    drawn = {draw_warp(Augmentation(flip_rows=True), (9, 9), (9, 9), rng).mirror_rows for _ in range(20)}
    assert drawn == {True, False}
    assert not any(draw_warp(PRESETS["strong"], (9, 9), (9, 9), rng).mirror_rows for _ in range(20))


def test_an_elastic_shift_of_all_points_is_a_shift() -> None:
    picture, target = picture_and_target(60, 70)
    shifts = np.stack([np.full((3, 3), 4), np.full((3, 3), -6)]).astype(np.float32)
    image, labels = apply_warp(picture, target, Warp(row=30, col=35, shifts=shifts), (20, 30))
    torch.testing.assert_close(image, picture[:, 14:34, 24:54].float(), atol=2e-2, rtol=0)
    assert torch.equal(labels, target[14:34, 24:54])


def test_picture_and_target_are_deformed_alike() -> None:
    rows = torch.arange(100).repeat_interleave(120).reshape(100, 120).to(torch.uint8)
    for seed in range(5):
        warp = draw_warp(PRESETS["strong"], (100, 120), (64, 64), np.random.default_rng(seed))
        assert warp.shifts is not None and warp.shifts.std() > 0.3
        image, labels = apply_warp(rows[None], rows, warp, (64, 64))
        inside = (labels != IGNORED) & (labels > 1) & (labels < 98)
        assert (image[0] - labels)[inside].abs().max() <= 0.51, "up to the rounding of the nearest pixel"


def test_a_crop_lies_around_a_pixel_that_is_asked_for() -> None:
    for seed in range(50):
        rng = np.random.default_rng(seed)
        near = int(rng.integers(100)), int(rng.integers(200))
        warp = draw_warp(Augmentation(), (100, 200), (32, 48), rng, near)
        assert abs(near[0] + 0.5 - warp.row) <= 16 and abs(near[1] + 0.5 - warp.col) <= 24
        assert 16 <= warp.row <= 84 and 24 <= warp.col <= 176
