"""A finished run: nothing is left to do, more can be added, and what was reached of what was planned is said."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import unet
from unet import cli, config
from unet.devices import Compute
from unet.labels import Labels
from unet.models import ModelSpec
from unet.plan.record import RunRecord
from unet.preprocessing import Preprocessing
from unet.runs.finish import outcome_of
from unet.runs.longer import lengthened
from unet.training.state import LoopState

DataMaker = Callable[..., Path]
TINY = (
    "--set width=4 --set depth=2 --set crop=[24,32] --set batch_size=2 --set precision=32-true "
    "--set channels_last=false --set learning_rate=0.01"
)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_data: DataMaker) -> None:
    monkeypatch.chdir(tmp_path)
    make_data(count=6)


def said(line: str, capsys: pytest.CaptureFixture[str], code: int = 0) -> str:
    capsys.readouterr()
    assert cli.main(line.split()) == code
    return capsys.readouterr().err


def rates() -> list[float]:
    with Path("run/metrics.csv").open(encoding="utf-8", newline="") as file:
        return [float(row["lr"]) for row in csv.DictReader(file)]


@pytest.mark.slow
def test_a_finished_run_is_added_to_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    printed = said(f"train data --val 0.3 --steps 4 --out run {TINY}", capsys)
    assert "health: 4 steps in " in printed and "as planned: too few to learn from; train longer: unet train" in printed
    (remark,) = json.loads(Path("run/health.json").read_text(encoding="utf-8"))
    assert remark["kind"] == "short" and remark["step"] == 4
    assert "A short training: 4 steps in" in Path("run/report.html").read_text(encoding="utf-8")

    held = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    printed = said("train --resume run", capsys)
    assert printed.count("\n") == 1 and "run is finished, at step 4; nothing to do" in printed
    assert "--steps N or --time T" in printed
    assert held == {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    assert unet.train(resume="run").finished

    said("train --resume run --steps 12", capsys)
    assert config.load_toml(Path("run/config.toml")).training.steps == 16
    first, added = rates()[:4], rates()[4:]
    assert max(added) < max(first) and added[-1] < 0.1 * max(added) and added.index(max(added)) < len(added) / 2
    assert json.loads(Path("run/outcome.json").read_text(encoding="utf-8"))["steps"] == 16
    said("train --resume run --epochs 1", capsys)
    assert config.load_toml(Path("run/config.toml")).training.steps == 18, "four pictures, two at a time"
    assert "is finished, at step 18" in said("train --resume run", capsys)


@pytest.mark.parametrize(
    ("line", "typed"), [("--keep land --steps 3", "--keep"), ("--set width=8", "--set width"), ("--out x", "--out")]
)
def test_what_was_typed_is_named(line: str, typed: str, capsys: pytest.CaptureFixture[str]) -> None:
    printed = said(f"train --resume run {line}", capsys, code=2)
    assert printed.startswith(f"unet: error: --resume together with {typed}; expected --resume RUN alone, or with more")


def test_a_cross_validation_is_not_added_to(capsys: pytest.CaptureFixture[str]) -> None:
    Path("run").mkdir()
    Path("run/folds.json").write_text('{"folds": 2, "done": []}', encoding="utf-8")
    printed = said("train --resume run --time 5m", capsys, code=2)
    assert "--resume together with --time; expected --resume RUN alone; change" in printed


def record(expected: float, **training: Any) -> RunRecord:
    return RunRecord(
        config.parse({"training": {"batch_size": 2, **training}}), (), (), None, Labels.numbered(2), Labels.numbered(2),
        None, "", Preprocessing(), ModelSpec(), Compute(torch.device("cpu"), "32-true", False), expected_steps=expected,
    )  # fmt: skip


FINISHED = {"step": 10, "seconds": 40.0, "validated_at": 1.0}


@pytest.mark.parametrize(
    ("training", "state", "more", "expected"),
    [
        ({"steps": 10}, FINISHED, {"steps": 5}, (15, None)),
        ({"steps": 30}, {**FINISHED, "validated_at": 0.3}, {"steps": 5}, (35, None)),
        ({"steps": 10}, FINISHED, {"seconds": 60.0}, (None, 100.0)),
        ({"seconds": 50.0}, {**FINISHED, "finished_seconds": 50.0}, {"seconds": 60.0}, (None, 100.0)),
        ({"seconds": 50.0}, {**FINISHED, "validated_at": 0.3}, {"seconds": 60.0}, (None, 110.0)),
        ({"seconds": 50.0}, {**FINISHED, "finished_seconds": 50.0}, {"steps": 5}, (15, None)),
    ],
)
def test_more_is_added_to_what_was_reached_or_is_still_planned(
    training: dict[str, Any], state: dict[str, Any], more: dict[str, Any], expected: tuple[Any, Any]
) -> None:
    longer = lengthened(record(0, **training), more, LoopState(**state)).config.training
    assert (longer.steps, longer.seconds) == expected


def test_a_run_by_the_clock_is_finished_until_it_is_given_more_time() -> None:
    state = LoopState(**FINISHED, finished_seconds=50.0)
    assert state.is_finished(None, 50.0) and not state.is_finished(None, 51.0)
    assert LoopState(**FINISHED).is_finished(None, 50.0), "of an earlier version, which did not note its time"
    assert not LoopState(step=10, validated_at=0.9).is_finished(10, None), "its last validation is still to come"


@pytest.mark.parametrize(
    ("ready", "validation", "why"),
    [
        (30.0, 0.1, "getting ready took 30 s of 60 s"),
        (2.0, 10.0, "validations took 20 s of 60 s"),
        (2.0, 0.0, "a step took 5 s, not 0.96 s as was measured before"),
    ],
)
def test_why_little_was_reached(ready: float, validation: float, why: str) -> None:
    state = LoopState(step=8, seconds=40.0, validation_seconds=validation, rows=[{}, {}])
    outcome = outcome_of(record(50, seconds=60.0), state, ready, finished=True)
    assert outcome.is_short and outcome.sentence() == f"8 steps in 40 seconds, of about 50 planned: {why}"
    assert (
        outcome_of(record(9, steps=60), state, 0, finished=False)
        .sentence()
        .endswith("60 planned: stopped before its end")
    )
