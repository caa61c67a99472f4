"""Each rule of the plan on its own, with made-up machines: no measuring here."""

from __future__ import annotations

from dataclasses import replace

import pytest

from unet import plan
from unet.config import Config, parse
from unet.data.fingerprint import Fingerprint

CARS = Fingerprint(
    pictures=40, height=1280, width=1918, largest=(1280, 1918), same_size=True, bands=3, white=255.0,
    mean=(0.5,) * 3, std=(0.2,) * 3, class_shares=(0.8, 0.2),
)  # fmt: skip


def slow(width: int) -> float:
    """A small CPU: 0.33 Mpx/s at width 16, falling with width."""
    return 0.33e6 * (16 / width) ** 1.4


def fast(width: int) -> float:
    """A GPU."""
    return 300 * slow(width)


def test_nothing_is_left_open_and_everything_has_a_reason() -> None:
    decided = plan.decide(Config(), CARS, slow)
    settings = decided.config
    assert None not in (settings.model.width, settings.data.scale, settings.data.crop, settings.training.batch_size)
    assert settings.training.seconds == plan.DEFAULT_SECONDS
    assert all(reason.endswith(".") for reason in decided.reasons)


def test_what_the_user_set_stays() -> None:
    wanted = parse(
        {
            "data": {"scale": 0.3, "crop": (64, 96)},
            "model": {"width": 20},
            "training": {"steps": 7, "batch_size": 2, "learning_rate": 0.5, "class_weights": False},
        }
    )
    assert plan.decide(wanted, CARS, slow).config == wanted


def test_little_time_means_a_narrow_network_and_small_pictures() -> None:
    width, scale, _ = plan.size_for_time(None, None, CARS, 60, slow)
    assert width == 16
    assert 1918 * (scale + 0.01) >= plan.LEAST_SIDE and scale < 0.2


def test_ten_minutes_on_a_small_cpu() -> None:
    width, scale, why = plan.size_for_time(None, None, CARS, 600, slow)
    assert width in (16, 24) and 0.2 <= scale <= 0.35
    assert "views" in why


def test_a_fast_machine_gets_the_full_resolution_and_a_wide_network() -> None:
    assert plan.size_for_time(None, None, CARS, 3600, fast)[:2] == (64, 1.0)


@pytest.mark.parametrize("seconds", [30, 100, 300, 1000, 3000, 10_000, 100_000])
def test_more_time_never_means_less_detail_or_a_narrower_network(seconds: float) -> None:
    width, scale, _ = plan.size_for_time(None, None, CARS, seconds, slow)
    more_width, more_scale, _ = plan.size_for_time(None, None, CARS, 1.5 * seconds, slow)
    assert more_width > width or more_scale >= scale


def test_many_pictures_are_all_seen_several_times() -> None:
    many = replace(CARS, pictures=5000)
    _, few_scale, _ = plan.size_for_time(None, None, CARS, 600, slow)
    _, many_scale, _ = plan.size_for_time(None, None, many, 600, slow)
    assert many_scale < few_scale


def test_small_pictures_are_not_scaled_when_there_is_time() -> None:
    small = replace(CARS, height=100, width=120)
    assert plan.size_for_time(None, None, small, 600, slow)[1] == 1.0


def test_crops_fit_the_network_and_the_pictures() -> None:
    assert plan.crop_for(CARS, 0.25) == (320, 479), "no crop reaches beyond the picture"
    assert plan.crop_for(CARS, 1.0) == (plan.CROP, plan.CROP)
    assert plan.crop_for(replace(CARS, height=7, width=9), 1.0) == (7, 9)


def test_class_weights_only_for_rare_classes() -> None:
    assert not plan.wants_weights((0.8, 0.2))
    assert plan.wants_weights((0.98, 0.019, 0.001))
    assert not plan.wants_weights((0.5, 0.5, 0.0))


def test_class_weights_leave_the_size_of_the_loss_alone() -> None:
    shares = (0.9, 0.09, 0.01, 0.0)
    weights = plan.class_weights(shares)
    assert sum(w * s for w, s in zip(weights, shares, strict=True)) == pytest.approx(1)
    assert weights[0] < weights[1] < weights[2]
    assert weights[3] == 0


def test_batches_grow_only_when_there_are_steps_enough() -> None:
    assert plan.batch_for(100) == plan.batch_for(plan.STEPS) == 2
    assert plan.batch_for(4 * plan.STEPS) == 4
    assert plan.batch_for(1e9) == 16
