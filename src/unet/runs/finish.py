"""The end of a run: the scores of the kept model, of the test part, pictures to look at, and the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from unet.data.pair_arrays import read_pair
from unet.data.pairs import Pair
from unet.files import write_json
from unet.inference import evaluation
from unet.inference.predictor import Predictor
from unet.labels import Labels
from unet.metrics.resampling import confidence
from unet.plan.record import RunRecord
from unet.plan.timing import seconds_to_train
from unet.report.outcome import SHORT, Outcome
from unet.report.samples import sample_panels, write_sample
from unet.runs.folder import DRAWN
from unet.runs.longer import total_steps
from unet.training.diagnosis import Remark
from unet.training.state import LoopState

MAX_SAMPLES = 6
"""Pictures shown in the report, from the worst to the best."""

TEST = "test.json"


HEALTH = "health.json"

MUCH = 0.3
"""A share of the time that explains why so little was trained."""


def outcome_of(record: RunRecord, state: LoopState, ready: float, finished: bool, why: str = "") -> Outcome:
    """Return how a training ended.

    Parameters
    ----------
    record : RunRecord
    state : LoopState
    ready : float
        Seconds that were gone before the first step of this session.
    finished : bool
    why : str
        It ended before its time, if not because it was stopped.
    """
    time = record.config.training.seconds
    planned = record.expected_steps if time is not None else float(total_steps(record) or 0)
    outcome = Outcome(state.step, state.seconds, planned, time is not None, finished, why)
    if why:
        return outcome
    if not finished:
        return replace(outcome, why="stopped before its end")
    if time is not None and outcome.is_short and planned:
        return replace(outcome, why=_what_took_long(state, time, ready, planned))
    return replace(outcome, why="too few to learn from") if outcome.is_short else outcome


def _what_took_long(state: LoopState, time: float, ready: float, planned: float) -> str:
    validated = state.validation_seconds * len(state.rows)
    slow_start = f"getting ready took {ready:.0f} s, and all was to take {time:.0f} s" if ready > MUCH * time else ""
    if state.step >= SHORT * planned:
        return f"too few to learn from{slow_start and ', as '}{slow_start}"
    if slow_start:
        return slow_start
    if validated > MUCH * state.seconds:
        return f"validations took {validated:.0f} s of {time:.0f} s"
    step, wanted = (state.seconds - validated) / max(1, state.step), seconds_to_train(time, ready) / planned
    return f"a step took {step:.2g} s, not {wanted:.2g} s as was measured before"


def short_remark(folder: Path, outcome: Outcome) -> Remark | None:
    """Return what is to be said of a training that did far less than planned, or hardly anything."""
    if not outcome.is_short:
        return None
    more = " --time 10m" if outcome.finished else ""
    return Remark("short", outcome.sentence(), f"train longer: unet train --resume {folder}{more}", outcome.steps)


def score_test_part(
    folder: Path, predictor: Predictor, pairs: Sequence[Pair], labels: Labels, progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Score the pictures that neither trained a model nor chose its weights; write test.json and pictures of them."""
    examples = evaluation.EvaluationSet(pairs, labels, predictor.bundle.preprocessing, cache_bytes=0)
    counts = evaluation.count(predictor, examples, progress)
    scores = {**evaluation.summarise(counts, pairs, labels), "confidence": confidence(counts)}
    write_json(folder / TEST, scores)
    draw_samples(folder / "samples" / "test", predictor, pairs, labels, scores)
    return scores


def clear_test_part(folder: Path) -> None:
    """Delete what `score_test_part` has written of an earlier model."""
    for path in (folder / TEST, *folder.glob(f"samples/test/{DRAWN}")):
        path.unlink(missing_ok=True)


def draw_samples(
    folder: Path, predictor: Predictor, pairs: Sequence[Pair], labels: Labels, scores: dict[str, Any]
) -> None:
    """Draw some pictures that were scored, from the worst to the best; those of earlier sessions go."""
    for old in folder.glob(DRAWN):
        old.unlink()
    by_name = {pair.name: pair for pair in pairs}
    ranked = [image["name"] for image in scores["images"] if image["name"] in by_name]
    places = sorted({round(place) for place in np.linspace(0, len(ranked) - 1, min(MAX_SAMPLES, len(ranked)))})
    for rank, place in enumerate(places):
        name = ranked[place].replace("/", "_")
        picture, target = read_pair(by_name[ranked[place]], labels)
        predicted = predictor.predict(picture, as_trained=True).indices
        panels = sample_panels(picture, target, predicted, labels, predictor.bundle.preprocessing.data_range)
        write_sample(folder / f"{rank:02d}_{name}.png", panels, labels)
