"""Each rule of the plan on its own, with made-up data and machines: no measuring here."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unet import plan
from unet.config import Config, parse
from unet.data.fingerprint import ClassStats, Fingerprint
from unet.errors import ConfigError
from unet.labels import Labels
from unet.plan import Machine, rules, sizes
from unet.plan.brief import brief
from unet.plan.draft import Draft
from unet.plan.timing import COMPARISON_SHARE, MARGIN, REPORT_SECONDS, TRAINING_SHARE, VALIDATION_SHARE, TimeBudget
from unet.preprocessing import scaled_size
from unet.runs.decide import decide_run
from unet.runs.source import Source


def dataset(pictures: int, height: int, width: int, *classes: ClassStats, upright: bool = False) -> Fingerprint:
    """Data of pictures of one size."""
    every = tuple(range(pictures))
    present = tuple(stats if stats.pictures else replace(stats, pictures=every) for stats in classes)
    return Fingerprint(
        pictures, height, width, (height, width), True, 3, 255.0, (0.5,) * 3, (0.2,) * 3, present, upright
    )


CARS = dataset(
    40, 1280, 1918, ClassStats("around", 0.8, (), 1138, 1380, 1461), ClassStats("car", 0.2, (), 303, 625, 819)
)
VESSELS = dataset(
    40, 584, 565, ClassStats("around", 0.92, (), 60, 500, 540), ClassStats("vessel", 0.08, (), 2.5, 20, 150)
)
SKETCHES = dataset(40, 1280, 1918, ClassStats("a", 0.5), ClassStats("b", 0.5))
"""Nothing was measured: no thickness, no sizes."""


def slow(width: int) -> float:
    """A small CPU: 0.33 Mpx/s at width 16, falling with width."""
    return 0.33e6 * (16 / width) ** 1.4


def fast(width: int) -> float:
    """A GPU."""
    return 300 * slow(width)


CPU, GPU = Machine(slow, 8e9), Machine(fast, 60e9)


def planned(figures: Fingerprint, machine: Machine = CPU, minutes: float = 10, **sections: object) -> Config:
    return plan.decide(parse({"training": {"seconds": 60 * minutes}, **sections}), figures, machine).config


def draft(data: Fingerprint, **training: object) -> Draft:
    """A draft in which all is set, but for what `training` opens again by None."""
    usual = {"seconds": 600.0, "batch_size": 2, "loss": "ce", "augment": "none", "learning_rate": 1.0}
    return Draft(
        parse(
            {
                "data": {"scale": 0.25, "crop": (320, 479)},
                "model": {"width": 16, "depth": 4, "bilinear": False},
                "training": {**usual, **training},
            }
        ),
        data,
        CPU,
    )


def test_nothing_is_left_open_and_everything_has_a_reason() -> None:
    decided = plan.decide(Config(), CARS, CPU)
    values = decided.config.model_dump(exclude={"augmentation"})  # single strengths over the one that is planned
    open_still = {key for section in values.values() for key, value in section.items() if value is None}
    assert open_still == {
        "images", "masks", "mask_suffix", "classes", "mask_values", "ignore", "class_field", "outline", "val", "test",
        "group", "root", "outputs",
        "epochs", "steps", "weight_decay", "momentum", "warm_up", "step_epochs", "channels_last", "workers",
        "validations_per_epoch", "validate_every",
        "norm", "activation", "dropout", "attention", "blocks", "encoder", "encoder_rate", "freeze",
    }  # fmt: skip
    assert decided.config.training.seconds == plan.DEFAULT_SECONDS
    assert len(decided.reasons) == len(rules.RULES) - 1  # there is no encoder
    assert all(reason.endswith(".") for reason in decided.reasons)


def test_a_plan_is_final() -> None:
    decided = plan.decide(Config(), CARS, CPU).config
    again = plan.decide(decided, VESSELS, GPU)
    assert again.config == decided and not again.reasons


@pytest.mark.parametrize(("model", "expected"), [({}, True), ({"depth": 1}, False), ({"architecture": "paper"}, None)])
def test_coarser_levels_learn_too_where_there_are_some(model: dict[str, object], expected: bool | None) -> None:
    assert plan.decide(parse({"model": model}), CARS, CPU).config.model.deep_supervision is expected


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("data", "scale", 0.3), ("data", "crop", (64, 96)), ("data", "whole", True), ("model", "width", 20),
        ("model", "depth", 2), ("model", "bilinear", True), ("training", "batch_size", 3), ("training", "loss", "ce"),
        ("training", "class_weights", True), ("training", "balance", 0.5), ("training", "augment", "none"),
        ("training", "upright", True), ("training", "learning_rate", 0.5), ("training", "validations", 2),
        ("training", "steps", 7), ("training", "epochs", 7),
    ],
)  # fmt: skip
def test_what_the_user_set_stays_and_the_rest_follows(section: str, key: str, value: object) -> None:
    decided = plan.decide(parse({section: {key: value}}), VESSELS, CPU).config
    assert decided.model_dump()[section][key] == value
    assert None not in (decided.model.width, decided.data.scale, decided.training.batch_size, decided.training.augment)


# --- width and scale


def test_little_time_means_a_narrow_network_and_small_pictures() -> None:
    chosen = planned(CARS, minutes=0.4)
    assert chosen.model.width == 16
    assert chosen.data.scale == pytest.approx(sizes.LEAST_SIDE / 1918, rel=0.1)


def test_ten_minutes_on_a_small_cpu() -> None:
    chosen = planned(CARS)
    assert chosen.model.width == 16 and chosen.data.scale == pytest.approx(0.14)
    assert chosen.data.crop == (179, 268), "whole pictures, as measured best"


@pytest.mark.parametrize("brightness_spread", [0.0, 1.5])
@pytest.mark.parametrize(
    "small",
    [
        dataset(116, 120, 160, ClassStats("around", 0.7, (), 30, 300, 140), ClassStats("a", 0.3, (), 20, 200, 60)),
        dataset(153, 384, 544, ClassStats("around", 0.99, (), 80, 900, 540), ClassStats("crack", 0.01, (), 4, 50, 300)),
    ],
)
def test_width_beyond_32_comes_after_views(small: Fingerprint, brightness_spread: float) -> None:
    small, roomy = replace(small, brightness_spread=brightness_spread), Machine(slow, 60e9)
    for minutes in (3, 15, 60, 300, 30_000):
        made = Draft(planned(small, roomy, minutes), small, roomy)
        assert made.width <= 32 or made.times_seen >= 200, minutes
    assert made.width == 64, "in the end there is time for it"


def test_a_fast_machine_gets_the_full_resolution_and_a_wide_network() -> None:
    chosen = planned(CARS, GPU, 240)
    assert (chosen.model.width, chosen.data.scale) == (64, 1.0)


@pytest.mark.slow
@given(st.sampled_from([CARS, VESSELS, SKETCHES]), st.floats(20, 1e6), st.floats(1.2, 5))
def test_more_time_never_means_less_detail_or_a_narrower_network(
    data: Fingerprint, seconds: float, more: float
) -> None:
    little, much = (planned(data, minutes=s / 60) for s in (seconds, more * seconds))
    assert (much.model.width or 0) >= (little.model.width or 0)
    assert much.model.width != little.model.width or (much.data.scale or 0) >= (little.data.scale or 0)


@pytest.mark.slow
@given(st.sampled_from([CARS, VESSELS, SKETCHES]), st.floats(20, 1e6), st.floats(1e7, 1e11))
def test_a_plan_can_run(data: Fingerprint, seconds: float, memory: float) -> None:
    chosen = planned(data, Machine(slow, memory), seconds / 60)
    crop, scale, depth = chosen.data.crop, chosen.data.scale, chosen.model.depth
    assert crop is not None and scale is not None and depth is not None and chosen.training.balance is not None
    assert 0 < scale <= 1 and 0 <= chosen.training.balance <= rules.MOST_BALANCED
    assert all(1 <= side <= max(1, scale * most) for side, most in zip(crop, (data.height, data.width), strict=True))
    assert min(crop) >> depth >= 1


def test_many_pictures_are_all_seen_several_times() -> None:
    assert (planned(replace(SKETCHES, pictures=5000)).data.scale or 1) < (planned(SKETCHES).data.scale or 1)


def test_many_classes_want_more_views() -> None:
    """As measured: CamVid in six minutes, MSRC in fifteen."""
    street = dataset(367, 360, 480, *[ClassStats(f"c{n}", 1 / 11, (), 40, 40, 200) for n in range(11)])
    objects = dataset(276, 213, 320, *[ClassStats(f"c{n}", 1 / 21, (), 40, 40, 200) for n in range(21)])
    assert planned(street, minutes=6).data.scale == pytest.approx(0.27, abs=0.02)
    assert planned(objects, minutes=15).data.scale == pytest.approx(0.4, abs=0.03)


def test_no_picture_is_wanted_to_be_seen_more_than_two_hundred_times() -> None:
    assert replace(draft(CARS, seconds=36000.0), machine=GPU).wanted_samples(16) == 200 * CARS.pictures
    assert draft(CARS, seconds=1.0).wanted_samples(16) == 1000, "and never fewer views are of use"


def test_whole_pictures_are_seen_often_before_time_buys_detail() -> None:
    """As measured: things in 110 small photographs, five minutes of one core, scale 0.4 or 0.5 and not 1."""
    around, thing = ClassStats("around", 0.7, (), 60, 300, 200), ClassStats("thing", 0.3, (), 20, 200, 150)
    data = planned(dataset(110, 213, 320, around, thing), minutes=5).data
    assert data.scale == pytest.approx(0.45, abs=0.06) and data.crop == scaled_size(213, 320, data.scale)
    of_many = draft(replace(SKETCHES, pictures=400), seconds=1.0)
    assert of_many.wanted_samples(16, whole=True) == 75 * 200, "of more than 100 each less often"
    assert of_many.wanted_samples(16) == 1000, "crops are there for the detail"
    lines = planned(dataset(110, 384, 544, around, ClassStats("line", 0.02, (), 3, 50, 300)), minutes=5).data
    assert (lines.scale or 0) * 3 >= 2, "lines are not lost for it"


def test_of_very_many_pictures_each_is_wanted_less_often() -> None:
    """Ten minutes of a GPU: not ten thousand thumbnails."""
    many = replace(draft(replace(SKETCHES, pictures=10_000), seconds=600.0), machine=GPU)
    assert 100_000 < many.wanted_samples(16) < 500_000
    assert (planned(many.fingerprint, GPU).data.scale or 0) * 1918 > 200


def test_huge_pictures_are_seen_piece_by_piece_before_the_network_grows() -> None:
    sheets = dataset(5, 6000, 8000, ClassStats("a", 0.5, (), 14, 14, 40), ClassStats("b", 0.5, (), 14, 14, 40))
    chosen = planned(sheets, minutes=240)
    pixels = TRAINING_SHARE * 240 * 60 * slow(chosen.model.width or 0)
    assert pixels > 10 * 5 * 6000 * 8000 * (chosen.data.scale or 0) ** 2, "each part ten times"


@pytest.mark.parametrize("pictures", [1, 3])
def test_more_time_never_makes_few_pictures_coarser(pictures: int) -> None:
    scales = [planned(replace(SKETCHES, pictures=pictures), minutes=m).data.scale or 0 for m in (2, 5, 10, 20, 40)]
    assert scales == sorted(scales)


@pytest.mark.parametrize("memory", [2.2e9, 3e9, 4e9])
def test_without_a_time_limit_width_is_no_matter_of_how_speed_swings(memory: float) -> None:
    square = dataset(40, 1000, 1000, ClassStats("a", 0.5), ClassStats("b", 0.5))
    figures = parse({"training": {"epochs": 50}})
    assert plan.decide(figures, square, Machine(slow, memory)).config.model.width == 32


def test_a_width_is_no_matter_of_how_the_measured_speed_swings() -> None:
    """Ten minutes of a CPU with AMX on forty cars."""
    amx = [Machine(lambda width, speed=speed: speed * (16 / width) ** 1.05, 8e9) for speed in (0.7e6, 0.85e6, 1e6)]
    assert [planned(CARS, machine).model.width for machine in amx] == [16, 16, 16]


def test_long_runs_get_wider_networks_before_pictures_are_seen_too_often() -> None:
    street = dataset(367, 360, 480, *[ClassStats(f"c{n}", 1 / 11, (), 40, 40, 200) for n in range(11)])
    assert [planned(street, minutes=m).model.width for m in (6, 60, 480)] == [16, 16, 32]


def test_small_pictures_are_not_scaled_when_there_is_time() -> None:
    assert planned(replace(SKETCHES, height=100, width=120)).data.scale == 1.0


def test_thin_lines_are_cropped_and_not_shrunk() -> None:
    chosen = planned(VESSELS, minutes=2)
    assert chosen.data.scale == 1.0
    assert chosen.data.crop == (176, 176)
    thicker = replace(VESSELS, classes=tuple(replace(f, thickness=40 * f.thickness) for f in VESSELS.classes))
    assert (planned(thicker, minutes=2).data.scale or 1) < 0.5


def test_one_thin_class_of_many_does_not_cost_the_others_their_views() -> None:
    thick = [ClassStats(f"c{n}", 0.1, (), 40, 40, 200) for n in range(9)]
    street = dataset(40, 1280, 1918, *thick, ClassStats("pole", 0.1, (), 2.5, 4, 50))
    decided = plan.decide(parse({"training": {"seconds": 600}}), street, CPU)
    assert (decided.config.data.scale or 1) < 0.3
    assert "pole (0." in " ".join(decided.reasons), "what is lost is named"


MAP = dataset(
    200,
    1280,
    1918,
    ClassStats("paper", 0.7, (), 300, 600, 900),
    ClassStats("block", 0.1, (), 60, 90, 400),
    ClassStats("line", 0.05, (), 2.5, 20, 600),
    ClassStats("street", 0.15, (), 25, 200, 1500),
)
"""A third of the classes may be lost: the line alone."""


def width_of_line(decided: plan.Plan) -> float:
    return 2.5 * (decided.config.data.scale or 1.0)


def test_a_thin_class_is_lost_where_time_is_short_and_the_reason_names_it() -> None:
    short = plan.decide(parse({"training": {"seconds": 300}}), MAP, CPU)
    assert width_of_line(short) < 0.8 * sizes.LEAST_DETAIL
    (reason,) = [reason for reason in short.reasons if "--keep" in reason]
    lost = f"to be learned well: line ({width_of_line(short):.1f} px); to keep them: --keep line"
    assert f"{lost}." in reason
    length, size, last = brief(short.config, MAP)
    assert length.startswith("length: 5 min, scores and report included; ")
    assert size.startswith(f"size: scale {short.config.data.scale:g}, ")
    assert last.startswith("lost: too fine at this scale ") and last.endswith(lost)


def test_a_thin_class_is_not_lost_where_time_is_plenty() -> None:
    long = plan.decide(parse({"training": {"seconds": 7200}}), MAP, GPU)
    assert width_of_line(long) >= 0.99 * sizes.LEAST_DETAIL
    assert not any("--keep" in reason for reason in long.reasons)
    assert len(brief(long.config, MAP)) == 2


@pytest.mark.slow
@given(st.floats(20, 1e5))
def test_a_class_to_keep_keeps_its_finest_detail(seconds: float) -> None:
    keep = parse({"training": {"seconds": seconds}, "data": {"keep": ["line"]}})
    for machine in (CPU, GPU):
        kept = plan.decide(keep, MAP, machine)
        assert width_of_line(kept) >= 0.99 * sizes.LEAST_DETAIL, "scales are rounded"
        assert not any("--keep" in reason for reason in kept.reasons)


def test_a_class_to_keep_is_kept_without_a_time_limit() -> None:
    for length in ({"epochs": 1}, {"steps": 10}):
        few = replace(MAP, pictures=2000)
        without = plan.decide(parse({"training": length}), few, CPU)
        kept = plan.decide(parse({"training": length, "data": {"keep": ["line"]}}), few, CPU)
        assert width_of_line(without) < sizes.LEAST_DETAIL * 0.8
        assert width_of_line(kept) >= 0.99 * sizes.LEAST_DETAIL


def test_names_with_spaces_can_be_copied_to_the_command_line() -> None:
    classes = tuple(replace(stats, name="thin line") if stats.name == "line" else stats for stats in MAP.classes)
    decided = plan.decide(parse({"training": {"seconds": 300}}), replace(MAP, classes=classes), CPU)
    assert "--keep 'thin line'" in " ".join(decided.reasons)


@pytest.mark.parametrize(
    ("name", "remedy"), [("lines", "; did you mean line?"), ("stret", "; did you mean street?"), ("zebra", "")]
)
def test_a_class_to_keep_that_there_is_not(name: str, remedy: str) -> None:
    names = tuple(stats.name for stats in MAP.classes)
    labels = replace(Labels.numbered(len(names)), names=names)
    source = Source((), (), (), labels, labels, MAP, {}, {})
    with pytest.raises(ConfigError) as refused:
        decide_run(parse({"data": {"keep": ["line", name]}}), source)
    assert str(refused.value) == f"--keep {name}; expected one of paper, block, line, street{remedy}"


def test_small_objects_in_huge_pictures_are_cropped() -> None:
    trees = dataset(
        5, 6000, 8000, ClassStats("around", 0.97, (), 900, 4e3, 5e3), ClassStats("tree", 0.03, (), 12, 14, 40)
    )
    chosen = planned(trees)
    assert chosen.data.scale == pytest.approx(sizes.GOOD_DETAIL / 12, rel=0.02)


def test_large_objects_in_huge_pictures_keep_their_surroundings() -> None:
    fields = dataset(
        5, 6000, 8000, ClassStats("around", 0.7, (), 900, 4e3, 5e3), ClassStats("field", 0.3, (), 800, 900, 2500)
    )
    for machine, minutes in ((CPU, 2), (CPU, 60), (GPU, 60)):
        chosen = planned(fields, machine, minutes)
        assert chosen.data.crop is not None and chosen.data.scale is not None
        assert min(chosen.data.crop) >= min(0.98 * sizes.CONTEXT * 2500, 6000) * chosen.data.scale - 16


def test_without_a_time_limit() -> None:
    chosen = plan.decide(parse({"training": {"epochs": 3}}), CARS, CPU).config
    assert (chosen.model.width, chosen.data.scale) == (rules.GOOD_WIDTH, 0.25)
    whole = plan.decide(parse({"training": {"epochs": 3}, "data": {"scale": 1.0}}), CARS, CPU).config
    assert whole.model.width == rules.GOOD_WIDTH


# --- crop, depth, batch


def test_crops_are_even_or_whole() -> None:
    crop = planned(CARS, data={"scale": 1.0}).data.crop
    assert crop is not None and all(side % 16 == 0 for side in crop), "as much as the time allows"
    assert planned(replace(SKETCHES, height=7, width=9)).data.crop == (7, 9)


def test_large_objects_get_large_crops() -> None:
    small = replace(CARS, classes=(CARS.classes[0], replace(CARS.classes[1], largest=100.0)))
    unlimited = {"data": {"scale": 1.0}, "model": {"width": 16}}
    assert planned(small, GPU, **unlimited).data.crop == (sizes.CROP, sizes.CROP)
    assert min(planned(CARS, GPU, **unlimited).data.crop or (0,)) >= 819


@pytest.mark.parametrize("seconds", [5, 12, 20, 40, 600])
def test_a_plan_never_promises_more_than_the_time_holds(seconds: float) -> None:
    ready = 8.0
    left = max(0.0, seconds - REPORT_SECONDS - ready)
    decided = plan.decide(parse({"training": {"seconds": seconds}}), CARS, replace(CPU, ready=ready))
    data, training = decided.config.data, decided.config.training
    pixels = decided.steps * (training.batch_size or 0) * math.prod(data.crop or (0,))
    assert pixels <= left * CPU.speed(decided.config.model.width or 0) + 1e-6
    assert 1 <= (training.validations or 0) <= max(1, decided.steps)
    assert f"{min(left, TRAINING_SHARE * seconds):.0f} s of training" in " ".join(decided.reasons)


@pytest.mark.parametrize(("across", "depth"), [(3, 1), (8, 1), (16, 2), (32, 3), (63, 3), (64, 4), (2000, 4)])
def test_depth_follows_the_crop(across: int, depth: int) -> None:
    settings = parse({"data": {"crop": (across, 2 * across), "scale": 1.0}, "model": {"width": 16}})
    changes, _ = rules.depth(Draft(settings, CARS, CPU)) or ({}, "")
    assert changes == {"model": {"depth": depth}}


def test_few_pictures_get_fewer_parameters() -> None:
    assert planned(replace(CARS, pictures=5)).model.bilinear is True
    assert planned(CARS).model.bilinear is False


def test_short_trainings_learn_no_upsampling() -> None:
    assert planned(CARS, minutes=0.5).model.bilinear is True


@pytest.mark.parametrize(
    ("steps_of_two", "batch"), [(100, 2), (1599, 2), (1601, 4), (6500, 8), (33_000, 16), (65_000, 32), (1e6, 64)]
)
def test_batches_grow_only_when_there_are_steps_enough(steps_of_two: float, batch: int) -> None:
    speed = steps_of_two * 2 * 320 * 479 / (TRAINING_SHARE * 600) + 1
    batch_draft = replace(draft(CARS, batch_size=None), machine=Machine(lambda width: speed, 1e12))
    changes, _ = rules.batch_size(batch_draft) or ({}, "")
    assert changes == {"training": {"batch_size": batch}}


def test_memory_limits_batch_and_crop_and_width() -> None:
    tight = planned(CARS, replace(GPU, memory=1e9), 60)
    crop, batch, width = tight.data.crop or (0, 0), tight.training.batch_size or 0, tight.model.width or 0
    needed = sizes.pixel_bytes(width, 2) * batch * math.prod(crop) + sizes.parameter_bytes(width, 4)
    assert needed <= 1e9
    assert (tight.data.scale or 1) < 1


# --- the rest


def test_class_weights_only_for_rare_classes() -> None:
    def weighted(*shares: float) -> bool | None:
        return planned(dataset(40, 100, 100, *(ClassStats(str(s), s) for s in shares))).training.class_weights

    assert not weighted(0.8, 0.2)
    assert weighted(0.98, 0.019, 0.001)
    assert not weighted(0.5, 0.5, 0.0)


def test_class_weights_leave_the_size_of_the_loss_alone() -> None:
    shares = (0.9, 0.09, 0.01, 0.0)
    weights = plan.class_weights(shares)
    assert sum(w * s for w, s in zip(weights, shares, strict=True)) == pytest.approx(1)
    assert weights[0] < weights[1] < weights[2]
    assert weights[3] == 0


def test_classes_that_crops_seldom_meet_are_looked_for() -> None:
    even = [ClassStats(f"c{n}", 0.999 / 20, (), 30, 40, 200) for n in range(20)]
    rare = ClassStats("rare", 0.001, tuple(range(4)), 8, 10, 40)
    data = dataset(100, 512, 683, *even, rare)
    assert planned(data).training.balance == pytest.approx(1 / 21, abs=1e-3), "its even share"
    assert plan.rare_pictures(data) == {20: (0, 1, 2, 3)}
    everywhere = dataset(100, 512, 683, *even, replace(rare, pictures=tuple(range(100))))
    assert planned(everywhere).training.balance == 0
    assert planned(dataset(100, 512, 683, *even)).training.balance == 0


def test_two_rare_classes_take_no_more_than_their_part() -> None:
    cracks = dataset(
        100, 4000, 4000, ClassStats("wall", 0.99, (), 500, 500, 900), ClassStats("crack", 0.01, (), 3, 20, 90)
    )
    assert planned(cracks).training.balance == pytest.approx(rules.MOST_BALANCED, abs=1e-3)


def test_what_lies_everywhere_in_a_picture_is_met_by_crops() -> None:
    around = ClassStats("around", 0.98, (), 100, 3000, 3000)
    vessel = ClassStats("vessel", 0.02, (), 8, 19, 200)
    alone = planned(dataset(20, 2336, 3504, around, replace(vessel, regions=1.0)))
    spread = planned(dataset(20, 2336, 3504, around, replace(vessel, regions=60.0)))
    assert alone.training.balance and not spread.training.balance


@pytest.mark.parametrize(
    ("pictures", "times_seen", "augment"),
    [(40, 1, "light"), (40, 59, "light"), (40, 61, "medium"), (40, 201, "strong"), (5, 1, "medium"),
     (5000, 1.5, "none"), (5000, 2.5, "light")],
)  # fmt: skip
def test_what_is_seen_often_is_changed_more(pictures: int, times_seen: float, augment: str) -> None:
    data = replace(CARS, pictures=pictures)
    steps = math.ceil(times_seen * pictures / 2)
    changes, _ = rules.augmentation(draft(data, seconds=None, steps=steps, augment=None)) or ({}, "")
    assert changes == {"training": {"augment": augment}}


@pytest.mark.parametrize("upright", [True, False])
def test_pictures_without_up_and_down_are_mirrored(upright: bool) -> None:
    assert planned(replace(CARS, upright=upright)).training.upright is upright


def test_wider_networks_learn_at_a_lower_rate() -> None:
    narrow, wide = (planned(CARS, model={"width": width}).training.learning_rate for width in (16, 64))
    assert (narrow, wide) == (2e-3, 1e-3)
    assert planned(CARS, training={"seconds": 600, "optimizer": "sgd"}).training.learning_rate == 1e-2


@pytest.mark.parametrize(("steps", "count"), [(30, 4), (600, 10), (100_000, 20)])
def test_validations_are_spread_over_the_steps(steps: int, count: int) -> None:
    changes, _ = rules.validations(draft(CARS, seconds=None, steps=steps)) or ({}, "")
    assert changes == {"training": {"validations": count}}


# --- time


def test_the_time_of_a_run_is_what_is_left_for_training() -> None:
    budget = TimeBudget.of_run(100.0, 14.0, 0.5, 2.0)
    assert budget == TimeBudget(100.0 - REPORT_SECONDS - 14.0, 0.5, 2.0)
    assert TimeBudget.of_run(None, 14.0, 0.5, 2.0) == TimeBudget(None, 0.5, 2.0)


def test_the_share_that_is_done_leaves_time_for_the_last_scores() -> None:
    alone = TimeBudget(100.0)
    assert alone.share_done(0.0, 5.0) == 0
    assert alone.share_done(45.0, 0.0) == pytest.approx(0.45)
    assert alone.share_done(45.0, 5.0) == pytest.approx(45 / (100 - 5 * MARGIN)), "one more validation"
    assert alone.share_done(100 - 5 * MARGIN, 5.0) == pytest.approx(1)
    assert alone.share_done(99.0, 5.0) == 1
    tested = TimeBudget(100.0, test_share=2.0)
    assert tested.share_done(45.0, 5.0) == pytest.approx(45 / (100 - 3 * 5 * MARGIN)), "and twice as long for the test"
    assert alone.share_done(1.0, 200.0) == 1, "no time is left"
    assert TimeBudget(-3.0).share_done(0.5, 0.0) == 1


def test_training_pictures_are_compared_where_that_is_cheap() -> None:
    budget = TimeBudget(100.0, comparison_share=0.5)
    most = 2 * COMPARISON_SHARE * 100
    assert budget.compares(0.99 * most) and not budget.compares(1.01 * most)
    assert budget.share_done(45.0, 5.0) == pytest.approx(45 / (100 - 1.5 * 5 * MARGIN))
    assert budget.share_done(45.0, 10.0) == pytest.approx(45 / (100 - 10 * MARGIN)), "left out, it takes no time"
    assert TimeBudget(None, comparison_share=0.5).compares(1e6), "nothing is short"
    assert not TimeBudget(None).compares(1.0) and not TimeBudget(100.0).compares(0.0)


def test_slow_validations_become_fewer() -> None:
    budget = TimeBudget(100.0)
    assert budget.validation_gap(0.05, 0.1) == 0.05
    assert budget.validation_gap(0.05, 2.0) == pytest.approx(2.0 / (VALIDATION_SHARE * 100))
    assert TimeBudget(None).validation_gap(0.05, 1e6) == 0.05


# --- memory


MEASURE = """
import sys, threading, time, psutil, torch
from unet import models
from unet.config import TrainingConfig
from unet.data.dataset import Batch
from unet.devices import Compute
from unet.models import ModelSpec
from unet.training.engine import Engine
width, batch, side, classes = map(int, sys.argv[1:])
network = models.build(ModelSpec(width=width, classes=classes))
engine = Engine(network, TrainingConfig(loss="ce + dice"), Compute(torch.device("cpu")))
def step(side, batch):
    targets = torch.randint(0, classes, (batch, side, side))
    engine.step(Batch(torch.randn(batch, 3, side, side), targets, ()))
step(32, 1)
before = most = psutil.Process().memory_info().rss
done = False
def watch():
    global most
    while not done:
        most = max(most, psutil.Process().memory_info().rss)
        time.sleep(0.001)
watcher = threading.Thread(target=watch)
watcher.start()
step(side, batch)
step(side, batch)
done = True
watcher.join()
print(most - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("width", "batch", "side", "classes"), [(16, 2, 256, 2), (16, 2, 256, 21), (32, 1, 256, 2)])
def test_the_memory_of_a_step_is_as_estimated(width: int, batch: int, side: int, classes: int) -> None:
    given = [str(number) for number in (width, batch, side, classes)]
    done = subprocess.run([sys.executable, "-c", MEASURE, *given], check=True, capture_output=True, text=True)
    estimate = sizes.pixel_bytes(width, classes) * batch * side**2
    assert 0.6 * estimate < float(done.stdout) < 1.25 * estimate


# --- other architectures


def test_a_network_without_padding_gets_crops_that_suit_it() -> None:
    model = {"architecture": "paper"}
    assert planned(CARS, GPU, model=model).data.crop == (572, 572)
    small = planned(dataset(40, 100, 220, ClassStats("a", 0.5), ClassStats("b", 0.5)), GPU, model=model)
    assert small.data.crop == (284, 412) and small.model.depth == 4 and small.model.bilinear is None
    tight = planned(CARS, Machine(fast, 0.7e9), model={**model, "width": 32}).data.crop
    assert tight is not None and all(188 <= side < 572 and side % 16 == 12 for side in tight)


def test_a_network_without_a_norm_learns_slower() -> None:
    usual = planned(CARS, model={"architecture": "paper", "norm": "batch", "width": 16}).training.learning_rate
    slow = planned(CARS, model={"architecture": "paper", "width": 16}).training.learning_rate
    assert (usual, slow) == (2e-3, 5e-4)


def test_what_a_network_has_not_stays_open() -> None:
    backbone = planned(CARS, model={"architecture": "backbone", "encoder": "x"})
    assert (backbone.model.width, backbone.model.depth, backbone.model.bilinear) == (16, None, None)
    assert (backbone.training.learning_rate, backbone.training.encoder_rate) == (1e-3, 0.1)
    segformer = planned(CARS, model={"architecture": "segformer", "encoder": "x"})
    assert segformer.model.width is None and segformer.training.learning_rate == 6e-4
    large = dataset(40, 3000, 4000, ClassStats("a", 0.5, (), 9, 9, 9), ClassStats("b", 0.5, (), 9, 9, 9))
    crop = planned(large, model={"architecture": "segformer", "encoder": "x"}).data.crop
    assert crop is not None and max(crop) < 3000 and all(side % 32 == 0 for side in crop)
    assert planned(CARS).training.encoder_rate is None


def test_stages_decide_the_depth() -> None:
    assert planned(CARS, model={"architecture": "resenc", "blocks": (1, 2, 3)}).model.depth == 2
