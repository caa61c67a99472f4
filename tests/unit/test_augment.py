"""One warp for picture and target: exact where it should be, never blending classes, ignored outside."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from unet.data.augment import PRESETS, Augmentation, Outside, PairTensors, Warp, apply_warp, draw_warp
from unet.labels import IGNORED


def picture_and_target(height: int = 20, width: int = 30) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    picture = torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)
    return picture, torch.randint(0, 5, (height, width), generator=generator, dtype=torch.uint8)


def warped(
    picture: torch.Tensor, target: torch.Tensor, warp: Warp, crop: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    tensors = apply_warp(PairTensors(picture, target), warp, crop)
    assert tensors.picture.dtype == torch.float32 and tensors.target.dtype == torch.uint8 and tensors.weights is None
    return tensors.picture, tensors.target


def test_a_plain_crop_is_exact() -> None:
    picture, target = picture_and_target()
    image, labels = warped(picture, target, Warp(row=9, col=14), (8, 10))
    torch.testing.assert_close(image, picture[:, 5:13, 9:19].float(), atol=1e-2, rtol=0)
    assert torch.equal(labels, target[5:13, 9:19])


def test_a_mirrored_crop_is_the_mirror_image() -> None:
    picture, target = picture_and_target()
    image, labels = warped(picture, target, Warp(row=10, col=15, mirror=True), (20, 30))
    torch.testing.assert_close(image, picture.flip(2).float(), atol=1e-2, rtol=0)
    assert torch.equal(labels, target.flip(1))


def test_a_quarter_turn_is_a_rotation_of_both() -> None:
    picture, target = picture_and_target(20, 20)
    image, labels = warped(picture, target, Warp(row=10, col=10, angle=math.pi / 2), (20, 20))
    turned = torch.rot90(picture, -1, (1, 2)).float()
    other = torch.rot90(picture, 1, (1, 2)).float()
    assert min((image - turned).abs().max(), (image - other).abs().max()) < 1e-1
    assert torch.equal(labels, torch.rot90(target, -1)) or torch.equal(labels, torch.rot90(target, 1))


def test_outside_is_ignored_and_mirrored() -> None:
    picture, target = picture_and_target()
    image, labels = warped(picture, target, Warp(row=10, col=15), (40, 30))
    assert bool((labels[:10] == IGNORED).all()) and bool((labels[30:] == IGNORED).all())
    assert torch.equal(labels[10:30], target)
    torch.testing.assert_close(image[:, 9], picture[:, 0].float(), atol=1e-2, rtol=0)


def test_drawn_warps_never_make_new_classes_and_keep_inside() -> None:
    picture, target = picture_and_target(64, 96)
    for seed in range(50):
        warp = draw_warp(PRESETS["light"], (64, 96), (32, 48), np.random.default_rng(seed))
        _, labels = warped(picture, target, warp, (32, 48))
        assert set(labels.unique().tolist()) <= {0, 1, 2, 3, 4, IGNORED}
        assert (labels == IGNORED).float().mean() < 0.35


def test_an_area_keeps_its_share_under_zoom() -> None:
    """Half of the plane stays half of the sample when the edge goes through its centre."""
    target = torch.zeros(100, 100, dtype=torch.uint8)
    target[:, 50:] = 1
    for zoom in (0.8, 1.0, 1.3):
        _, labels = warped(target[None].float(), target, Warp(50, 50, zoom=zoom), (60, 60))
        assert abs(labels.float().mean().item() - 0.5) < 0.02


def test_a_sample_mirrored_top_to_bottom() -> None:
    picture, target = picture_and_target()
    image, labels = warped(picture, target, Warp(row=10, col=15, mirror_rows=True), (20, 30))
    torch.testing.assert_close(image, picture.flip(1).float(), atol=1e-2, rtol=0)
    assert torch.equal(labels, target.flip(0))
    rng = np.random.default_rng(0)
    drawn = {draw_warp(Augmentation(flip_rows=True), (9, 9), (9, 9), rng).mirror_rows for _ in range(20)}
    assert drawn == {True, False}
    assert not any(draw_warp(PRESETS["strong"], (9, 9), (9, 9), rng).mirror_rows for _ in range(20))


def test_an_elastic_shift_of_all_points_is_a_shift() -> None:
    picture, target = picture_and_target(60, 70)
    shifts = np.stack([np.full((3, 3), 4), np.full((3, 3), -6)]).astype(np.float32)
    image, labels = warped(picture, target, Warp(row=30, col=35, shifts=shifts), (20, 30))
    torch.testing.assert_close(image, picture[:, 14:34, 24:54].float(), atol=2e-2, rtol=0)
    assert torch.equal(labels, target[14:34, 24:54])


def test_picture_and_target_are_deformed_alike() -> None:
    rows = torch.arange(100).repeat_interleave(120).reshape(100, 120).to(torch.uint8)
    for seed in range(5):
        warp = draw_warp(PRESETS["strong"], (100, 120), (64, 64), np.random.default_rng(seed))
        assert warp.shifts is not None and warp.shifts.std() > 0.3
        image, labels = warped(rows[None], rows, warp, (64, 64))
        inside = (labels != IGNORED) & (labels > 1) & (labels < 98)
        assert (image[0] - labels)[inside].abs().max() <= 0.51, "up to the rounding of the nearest pixel"


def test_a_crop_lies_around_a_pixel_that_is_asked_for() -> None:
    for seed in range(50):
        rng = np.random.default_rng(seed)
        near = int(rng.integers(100)), int(rng.integers(200))
        warp = draw_warp(Augmentation(), (100, 200), (32, 48), rng, near)
        assert abs(near[0] + 0.5 - warp.row) <= 16 and abs(near[1] + 0.5 - warp.col) <= 24
        assert 16 <= warp.row <= 84 and 24 <= warp.col <= 176


def test_the_valid_margin_may_lie_beyond_the_picture() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_warp(Augmentation(), (100, 200), (64, 64), rng, valid_margin=20) for _ in range(300)]
    # What is scored, 24 px, reaches every border; the crop never leaves the picture by more than the margin.
    rows, cols = [warp.row for warp in drawn], [warp.col for warp in drawn]
    assert 12 <= min(rows) < 14 and 86 < max(rows) <= 88
    assert 12 <= min(cols) < 14 and 186 < max(cols) <= 188
    assert draw_warp(Augmentation(), (10, 10), (64, 64), rng, valid_margin=20).row == 5


def test_a_sheared_crop() -> None:
    """What lies n rows below the centre comes from n columns to the right, at a slope of one."""
    picture, target = picture_and_target(41, 61)
    image, labels = warped(picture, target, Warp(row=20.5, col=30.5, shear=math.atan(1)), (21, 21))
    for row in range(21):
        left = 20 + row - 10
        torch.testing.assert_close(image[:, row], picture[:, 10 + row, left : left + 21].float(), atol=2e-2, rtol=0)
        assert torch.equal(labels[row], target[10 + row, left : left + 21])


def test_strengths_are_the_largest_that_are_drawn() -> None:
    strong = Augmentation(zoom=2.0, rotate=20.0, shear=10.0, elastic=10.0, elastic_grid=4)
    drawn = [draw_warp(strong, (500, 500), (256, 200), np.random.default_rng(seed)) for seed in range(200)]
    for values, most in (
        ([math.degrees(warp.angle) for warp in drawn], 20),
        ([math.degrees(warp.shear) for warp in drawn], 10),
        ([math.log2(warp.zoom) for warp in drawn], 1),
    ):
        assert -most <= min(values) < -0.9 * most and 0.9 * most < max(values) <= most
    shifts = np.stack([warp.shifts for warp in drawn if warp.shifts is not None])
    assert shifts.shape == (200, 2, 4, 4) and 9.5 < shifts.std() < 10.5, "pixels, whatever the crop"
    share = draw_warp(Augmentation(elastic_share=0.05), (500, 500), (256, 200), np.random.default_rng(0))
    pixels = draw_warp(Augmentation(elastic=10), (500, 500), (256, 200), np.random.default_rng(0))
    assert share.shifts is not None and np.array_equal(share.shifts, pixels.shifts), "of the shorter side"


def test_what_is_not_asked_for_draws_no_numbers() -> None:
    """A preset gives the same samples whether or not there are other kinds of change."""
    ours, plain = np.random.default_rng(3), np.random.default_rng(3)
    warp = draw_warp(PRESETS["light"], (100, 100), (64, 64), ours)
    assert warp.zoom == 1.35 ** plain.uniform(-1, 1)
    assert warp.angle == math.radians(8) * plain.uniform(-1, 1)
    plain.random(), plain.random(2)
    assert ours.random() == plain.random()


def test_weights_are_warped_with_the_picture() -> None:
    rows, columns = np.mgrid[:100, :120].astype(np.float32)
    ramp = torch.from_numpy(rows + 2 * columns)
    for seed in range(5):
        warp = draw_warp(PRESETS["strong"], (100, 120), (64, 80), np.random.default_rng(seed))
        tensors = apply_warp(PairTensors(ramp[None], ramp.to(torch.uint8), ramp.half()), warp, (64, 80))
        assert tensors.weights is not None and tensors.weights.dtype == torch.float32
        torch.testing.assert_close(tensors.weights, tensors.picture[0], atol=0.2, rtol=0)
        alone = apply_warp(PairTensors(ramp[None], ramp.to(torch.uint8)), warp, (64, 80))
        assert torch.equal(alone.picture, tensors.picture) and torch.equal(alone.target, tensors.target)


@pytest.mark.parametrize("outside", ["ignore", "mirror", "constant"])
def test_what_lies_outside(outside: Outside) -> None:
    picture, target = picture_and_target()
    weights = torch.full((20, 30), 3.0)
    fill = torch.tensor([10.0, 20.0, 30.0])
    tensors = apply_warp(PairTensors(picture, target, weights), Warp(row=10, col=15), (40, 30), outside, fill)
    assert torch.equal(tensors.target[10:30], target)
    torch.testing.assert_close(tensors.picture[:, 10:30], picture.float(), atol=2e-2, rtol=0)
    above, marks = tensors.picture[:, :10], tensors.target[:10]
    if outside == "constant":
        torch.testing.assert_close(above, fill[:, None, None].expand(3, 10, 30), atol=2e-2, rtol=0)
        assert bool((marks == IGNORED).all())
    else:
        torch.testing.assert_close(above, picture[:, :10].flip(1).float(), atol=2e-2, rtol=0)
        assert torch.equal(marks, target[:10].flip(0)) if outside == "mirror" else bool((marks == IGNORED).all())
