"""Facts in, remarks out: each fault is named with its cause and its remedy, and a healthy training gets none."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unet.training.diagnosis import Check, Remark, TrainingContext
from unet.training.health import FIRST, MOST_BAD_STEPS, MOST_EXPLODED, Health, write_remarks
from unet.training.schedule import one_cycle

CONTEXT = TrainingContext(("ground", "car", "pole"), pictures=100, shares=(0.9, 0.09, 0.01))
FINE = [[880, 10, 10], [10, 75, 5], [4, 1, 5]]
FALLING = [1.5 * 0.8**n for n in range(1, 11)]


def run(
    losses: list[float],
    counts: object = FINE,
    *,
    context: TrainingContext = CONTEXT,
    peak: float = 2e-3,
    scores: list[float] | None = None,
    start: float = 1.5,
) -> tuple[Health, list[Remark]]:
    """Feed the steps and validations of a whole one-cycle training; return what was said."""
    health, remarks = Health(), []
    for _ in range(FIRST):
        health.count_loss(start)
    for number, loss in enumerate(losses, start=1):
        share = number / len(losses)
        now = Check(
            step=100 * number,
            share=share,
            loss=loss,
            score=scores[number - 1] if scores else 0.5,
            rate=peak * one_cycle(share),
            peak=peak,
            counts=np.array(counts),
        )
        remarks += health.check(now, context)
    return health, remarks


def test_a_healthy_training_gets_no_remark() -> None:
    health, remarks = run(FALLING, scores=[0.2, 0.4, 0.3, 0.5, 0.6, 0.55, 0.6, 0.7, 0.7, 0.7])
    assert remarks == health.remarks == []


@pytest.mark.slow
@given(st.lists(st.floats(0.01, 1.4), min_size=60, max_size=60))
def test_no_loss_below_the_untrained_networks_is_an_explosion(losses: list[float]) -> None:
    health = Health()
    for loss in [1.5] * FIRST + losses:
        assert health.count_loss(loss) == ""


def test_one_class_everywhere_is_said_once_with_its_name_and_the_true_share_of_the_others() -> None:
    _, remarks = run(FALLING, [[900, 0, 0], [90, 0, 0], [10, 0, 0]])
    assert [remark.kind for remark in remarks] == ["one class"]
    assert (
        remarks[0].text
        == "nearly every pixel is predicted as ground, and hardly any as car (truly 9 %), pole (truly 1 %)"
    )
    assert remarks[0].remedy == "set class_weights=true; or train longer, or at a larger scale in smaller crops"
    assert remarks[0].step == 400, "a beginner may do so, and two validations have to show it"


def test_one_class_at_a_rate_far_too_high_blames_the_rate() -> None:
    _, remarks = run([1.2] * 10, [[900, 0, 0], [90, 0, 0], [10, 0, 0]], peak=1.0)
    assert (
        "set learning_rate=0.002: 1 is high"
        in {remark.remedy for remark in remarks if remark.kind == "one class"}.pop()
    )


def test_a_tiny_object_that_is_found_is_no_collapse() -> None:
    context = TrainingContext(("ground", "thing"))
    _, remarks = run(FALLING, [[999_960, 5], [15, 20]], context=context)
    assert remarks == []
    _, remarks = run(FALLING, [[999_965, 0], [35, 0]], context=context)
    assert "hardly any as thing (truly 0.0035 %)" in remarks[0].text


def test_pictures_of_one_class_only_are_no_collapse() -> None:
    assert run(FALLING, [[1000, 0, 0], [0, 0, 0], [0, 0, 0]])[1] == []
    assert run(FALLING, np.zeros((3, 3), int))[1] == []


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({}, "set class_weights=true; or train longer, or at a larger scale in smaller crops"),
        ({"weighted": True}, "train longer, or at a larger scale in smaller crops; or add pictures that show it"),
        ({"shares": (0.9, 0.1, 0.0)}, "no training picture shows pole: split in another way"),
    ],
)
def test_a_class_that_is_never_predicted_after_half_of_the_training(changes: dict[str, object], remedy: str) -> None:
    counts = [[900, 5, 0], [10, 75, 0], [8, 2, 0]]
    _, remarks = run(FALLING, counts, context=replace(CONTEXT, **changes))
    assert [(remark.text, remark.remedy, remark.step) for remark in remarks] == [
        ("never or hardly predicted: pole (truly 1 %)", remedy, 600)
    ]


def test_a_remark_that_no_longer_holds_is_over_and_is_not_said_again() -> None:
    health = Health()
    for _ in range(FIRST):
        health.count_loss(1.5)
    without, result = [[900, 5, 0], [10, 75, 0], [8, 2, 0]], FINE
    remarks: list[Remark] = []
    for number, counts in enumerate([without, without, result, without, without], start=6):
        now = Check(100 * number, number / 11, FALLING[number - 6], 0.5, 1e-3, 2e-3, np.array(counts))
        remarks += health.check(now, CONTEXT)
        if counts is result:
            assert [remark.over for remark in health.remarks] == [800]
    assert len(remarks) == 1
    assert [(remark.step, remark.over) for remark in health.remarks] == [(700, None)]


@pytest.mark.parametrize(
    ("losses", "peak", "kind", "text", "remedy"),
    [
        ([1.4] + [2.5] * 9, 0.006, "rate too high", "above the untrained network's 1.5", "set learning_rate=0.002"),
        ([0.5, 1.2, 1.3] + [0.9] * 7, 0.003, "rate too high", "rose from 0.5 to 1.3", "set learning_rate=0.001"),
        ([1.49] * 10, 10.0, "rate too high", "learning rate 10 is too high: the loss", "set learning_rate=0.002"),
        ([1.49] * 10, 1e-7, "rate too low", "learning rate 1e-07 is too low", "set learning_rate=0.002, as is usual"),
        ([1.49] * 10, 2e-3, "nothing learned", "hardly fallen, from 1.5 to 1.49", "whether the masks fit"),
    ],
)
def test_the_rate_is_judged_by_the_loss(losses: list[float], peak: float, kind: str, text: str, remedy: str) -> None:
    _, remarks = run(losses, peak=peak)
    assert [remark.kind for remark in remarks] == [kind]
    assert text in remarks[0].text
    assert remedy in remarks[0].remedy


def test_a_score_that_swings_at_the_peak() -> None:
    scores = [0.4, 0.1, 0.5, 0.1, 0.1, 0.5, 0.6, 0.6, 0.6, 0.6]
    _, remarks = run(FALLING, scores=scores)
    assert [remark.kind for remark in remarks] == ["rate too high"]
    assert "the score swings (0.40, 0.10, 0.50, 0.10, 0.10)" in remarks[0].text
    assert run(FALLING, scores=[0.4, 0.1, *[0.5] * 8])[1] == [], "once may happen"
    assert run(FALLING, scores=[0.04, 0.01, 0.05, 0.01, 0.01, *[0.5] * 5])[1] == [], "a start near zero"


def test_a_loss_that_rises_once_or_in_a_trained_network_is_no_fault() -> None:
    assert run([1.2, 0.4, 1.0, *FALLING[3:]])[1] == []
    assert run([0.3] * 10, start=0.1)[1] == []


def test_too_few_steps_are_not_judged() -> None:
    health = Health()
    health.count_loss(1.5)
    now = Check(4, 1.0, 1.5, 0.0, 2e-3, 2e-3, np.array([[900, 0, 0], [90, 0, 0], [10, 0, 0]]))
    assert health.check(now, CONTEXT) == []


def test_explosions_end_after_several_steps_in_a_row_only() -> None:
    health = Health()
    for loss in [1.5] * FIRST + [0.1] * 30 + [40.0] * (MOST_EXPLODED - 1) + [0.1] + [40.0] * (MOST_EXPLODED - 1):
        assert health.count_loss(loss) == ""
    assert health.count_loss(40.0) == "the loss rose from 0.1 to 40"
    assert not health.is_good


def test_steps_in_which_nothing_counts_do_not_tell_what_a_loss_is_usually() -> None:
    health = Health()
    for loss in [0.0, 0.0, 0.0, 1.4, 0.0, *[0.0, 0.0, 0.0, 1.3] * 20]:
        assert health.count_loss(loss) == ""
    for _ in range(MOST_EXPLODED - 1):
        assert health.count_loss(40.0) == health.count_loss(0.0) == ""
    assert health.count_loss(40.0) == "the loss rose from 1.3 to 40"


def test_bad_steps_end_after_many_in_a_row_only() -> None:
    health = Health()
    for loss in ([None] * (MOST_BAD_STEPS - 1) + [1.0]) * 2 + [None] * (MOST_BAD_STEPS - 1):
        assert health.count_loss(loss) == ""
    assert health.count_loss(None) == f"no finite loss in {MOST_BAD_STEPS} steps in a row"


def test_a_state_that_never_had_a_finite_loss_is_not_good() -> None:
    health = Health()
    health.count_loss(None)
    assert health.check(Check(40, 0.1, math.nan, 0.0, 1e-3, 2e-3), CONTEXT) == []
    assert not health.is_good
    assert Health().is_good, "an untouched network"


def test_the_picture_that_was_in_all_bad_batches_is_named() -> None:
    health, remarks = Health(), []
    for step, names in enumerate([("a", "bad"), ("bad", "b"), ("c", "bad")]):
        remarks += health.leave_out(step, names, CONTEXT)
        health.count_loss(None)
        health.count_loss(1.0)
    assert [remark.kind for remark in remarks] == ["not finite", "bad picture"]
    assert "(a, bad)" in remarks[0].text
    assert remarks[1].text == "3 steps had no finite loss, and only bad was in all of them"


def test_no_picture_is_blamed_by_chance() -> None:
    few = replace(CONTEXT, pictures=5)
    health, remarks = Health(), []
    for step, names in enumerate([("a", "b"), ("b", "c"), ("b", "d")]):
        remarks += health.leave_out(step, names, few)
        health.count_loss(None)
        health.count_loss(1.0)
    assert len(remarks) == 1


@pytest.mark.parametrize(
    ("trained", "held_out", "kinds"),
    [
        ([0.9, 0.92, 0.95, 0.93], [0.5, 0.6, 0.55, 0.52], ["overfitting"]),
        ([0.5, 0.6, 0.55, 0.52], [0.9, 0.92, 0.95, 0.93], ["easy validation"]),
        ([0.9, 0.92, 0.95, 0.93], [0.8, 0.82, 0.85, 0.83], []),
        ([0.9, 0.1, 0.9, 0.9], [0.5, 0.1, 0.6, 0.2], []),  # by chance
        ([0.9, 0.9], [0.1, 0.1], []),  # too few to tell
    ],
)
def test_training_and_validation_pictures_are_compared(
    trained: list[float], held_out: list[float], kinds: list[str]
) -> None:
    assert [remark.kind for remark in Health().compare(9, trained, held_out)] == kinds


@pytest.mark.parametrize(
    ("waited", "worked", "workers", "text"),
    [
        (40.0, 60.0, 4, "the cuda waits 40% of the time for its samples"),
        (40.0, 60.0, 0, "40% of the time goes into preparing samples"),
        (20.0, 80.0, 4, ""),
        (0.9, 0.1, 4, ""),  # nothing to gain
    ],
)
def test_waiting_for_samples(waited: float, worked: float, workers: int, text: str) -> None:
    context = replace(CONTEXT, device="cuda", workers=workers)
    health = Health()
    remarks = []
    for step in (100, 200, 300):
        health.count_seconds(waited, worked)
        remarks += health.check(Check(step, step / 1000, 1.0, 0.5, 1e-3, 2e-3), context)
    assert [remark.text for remark in remarks] == ([text] if text else [])


def test_what_was_seen_survives_a_checkpoint(tmp_path: Path) -> None:
    health, _ = run([2.5] * 10)
    health.leave_out(5, ("a", "b"), CONTEXT)
    health.count_loss(0.1 + 0.2)
    assert Health.from_dict(json.loads(json.dumps(asdict(health)))) == health
    write_remarks(tmp_path / "health.json", health.remarks)
    assert [Remark(**one) for one in json.loads((tmp_path / "health.json").read_text())] == health.remarks
    assert [path.name for path in tmp_path.iterdir()] == ["health.json"]


def test_a_validation_without_a_step_in_between_is_no_fault() -> None:
    health = Health()
    assert health.check(Check(100, 1.0, math.nan, 0.0, 1e-3, 2e-3, np.array(FINE)), CONTEXT) == []
