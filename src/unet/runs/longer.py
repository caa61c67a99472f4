"""A run that is gone on with: whether there is anything left to do, and what is added to it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from unet.errors import ModelFileError
from unet.plan.record import RunRecord
from unet.plan.timing import seconds_to_train
from unet.report.outcome import read_outcome
from unet.runs.settings import LENGTHS
from unet.training.checkpoint import BEFORE, LAST, read_loop_state
from unet.training.state import LoopState


def reached(folder: Path) -> LoopState:
    """Return how far a run has come; nowhere, where it has no state that can be read."""
    for name in (LAST, BEFORE):
        try:
            return read_loop_state(folder / "checkpoints" / name)
        except ModelFileError:
            continue
    return LoopState()


def has_nothing_left(folder: Path, record: RunRecord, state: LoopState) -> bool:
    """Tell whether a run came to its end, report included."""
    outcome = read_outcome(folder)
    if outcome is None or not outcome.finished or not (folder / "report.html").exists():
        return False
    return state.is_finished(total_steps(record), record.config.training.seconds)


def lengthened(record: RunRecord, more: Mapping[str, Any], state: LoopState) -> RunRecord:
    """Return a run with more steps, epochs or time than it had: in addition to what is still to be done.

    Parameters
    ----------
    record : RunRecord
    more : mapping
        One of "steps", "epochs" and "seconds".
    state : LoopState
        How far it has come.
    """
    training = record.config.training
    key, value = next(iter(more.items()))
    is_over = state.is_finished(total_steps(record), training.seconds)
    if key == "seconds":
        planned = training.seconds if training.seconds is not None and not is_over else state.seconds
        change: dict[str, Any] = {"seconds": planned + value}
        rate = state.step / state.seconds if state.seconds else 0.0
        expected = state.step + rate * seconds_to_train(change["seconds"] - state.seconds)
    else:
        steps = int(value) * (steps_per_epoch(record) if key == "epochs" else 1)
        total = total_steps(record)
        change = {"steps": (state.step if total is None or is_over else total) + steps}
        expected = change["steps"]
    config = record.config.updated({"training": {**dict.fromkeys(LENGTHS), **change}})
    return replace(record, config=config, expected_steps=float(expected))


def total_steps(record: RunRecord) -> int | None:
    """Return the number of steps of a run, None where time decides."""
    training = record.config.training
    if training.steps is None and training.epochs is not None:
        return training.epochs * steps_per_epoch(record)
    return training.steps


def steps_per_epoch(record: RunRecord) -> int:
    """Return how many steps see every picture once."""
    return max(1, math.ceil(len(record.part("train")) / (record.config.training.batch_size or 1)))
