"""A run, trained: read `train_run` from top to bottom."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import nn

from unet import bundle, models, plan, processes
from unet.bundle import Bundle
from unet.config import Config
from unet.data.sample_store import SampleStore, sample_store
from unet.errors import InputError, ProcessLost, TrainingError
from unet.files import write_json
from unet.inference.predictor import Predictor
from unet.models.backbones import load_weights
from unet.plan.record import RunRecord
from unet.plan.timing import TimeBudget
from unet.report.outcome import FILE as OUTCOME
from unet.report.outcome import Outcome, write_outcome
from unet.report.page import write_report
from unet.runs.evaluator import EVALUATION, Evaluator, kept_model, read_evaluation
from unet.runs.finish import HEALTH, clear_test_part, draw_samples, outcome_of, score_test_part, short_remark
from unet.runs.folder import MODEL, clear_results, is_resumable, locked
from unet.runs.longer import has_nothing_left, lengthened, reached
from unet.runs.opening import Run, begin_run, open_run
from unet.runs.record_files import update_record
from unet.runs.settings import check, of_model
from unet.runs.sharing import process_words, shared
from unet.runs.training_set import training_set
from unet.terminal.display import Display, open_display
from unet.terminal.tables import print_scores
from unet.trackers import Tracker, open_trackers, read_rows
from unet.trackers.wandb_mode import upload_hint
from unet.training import random_state
from unet.training.checkpoint import GOOD, LAST, find_state, link, load_state, save_state
from unet.training.diagnosis import TrainingContext
from unet.training.engine import Engine
from unet.training.health import write_remarks
from unet.training.job import TrainingJob
from unet.training.loop import train_loop
from unet.training.state import LoopState

EpochEnded = Callable[[Bundle, int], None]


@dataclass(frozen=True)
class TrainResult:
    """Where the results of a training are, and what it reached.

    Attributes
    ----------
    run : Path
        The run folder.
    model : Path
        The model file of the best weights.
    report : Path
        The HTML page.
    scores : dict
        As in evaluation.json.
    finished : bool
        False where the training was stopped before its end.
    """

    run: Path
    model: Path
    report: Path
    scores: dict[str, Any]
    finished: bool


def train_new(
    wanted: Config,
    folder: Path,
    *,
    load: Path | None = None,
    started: float | None = None,
    epoch_ended: EpochEnded | None = None,
) -> TrainResult:
    """Decide a run and train it.

    Parameters
    ----------
    wanted : Config
        What the plan is to leave as it is.
    folder : Path
        For the run, as `unet.runs.folder.choose_folder` returns it.
    load : Path, optional
        A model file to start from; it says what the network is like.
    started : float, optional
        The `time.monotonic()` from which the time counts; now as a rule.
    epoch_ended : callable, optional
        Called with the weights at the end of each epoch and its number, counted from 1.

    Raises
    ------
    InputError
        Data, settings or files that cannot be used.
    TrainingError
        The training cannot go on.
    """
    started = monotonic() if started is None else started
    display = open_display()
    loaded = None
    if load is not None:
        loaded = bundle.load(load)
        loaded.require_weights()
        wanted = of_model(wanted, loaded.spec, load)
    processes.from_first(lambda: check(wanted))
    with processes.by_first(locked(folder)):

        def begin() -> Run:
            clear_results(folder)
            return begin_run(wanted, folder, display, loaded, started)

        return train_run(processes.from_first(begin), display, started, loaded, epoch_ended)


def train_on(
    folder: Path,
    *,
    moved_data: Path | None = None,
    more: Mapping[str, Any] | None = None,
    started: float | None = None,
    epoch_ended: EpochEnded | None = None,
) -> TrainResult:
    """Go on with a run, if there is anything left to do. Otherwise as `train_new`.

    Parameters
    ----------
    folder : Path
    moved_data : Path, optional
        Where the folder of its data is now.
    more : mapping, optional
        "steps", "epochs" or "seconds" in addition to those that the run had.
    """
    started = monotonic() if started is None else started
    display = open_display()

    def check_folder() -> None:
        if not is_resumable(folder):
            what = "holds no run to go on with" if folder.is_dir() else "is no folder"
            raise InputError(f"{folder} {what}", "the folder of a run, as unet train named it")

    processes.from_first(check_folder)
    with processes.by_first(locked(folder)):

        def open_again() -> Run | TrainResult:
            run = open_run(folder, display, moved_data)
            check(run.record.config)
            state = reached(folder)
            if more:
                run = replace(run, record=lengthened(run.record, more, state))
            elif has_nothing_left(folder, run.record, state):
                display.notify(
                    f"{folder} is finished, at step {state.step}; nothing to do. To add to it: "
                    f"unet train --resume {folder} with --steps N or --time T"
                )
                scores = read_evaluation(folder, bundle.load(folder / MODEL)) or {}
                return TrainResult(folder, folder / MODEL, folder / "report.html", scores, True)
            update_record(folder, run.record)
            return run

        run = processes.from_first(open_again)
        return run if isinstance(run, TrainResult) else train_run(run, display, started, None, epoch_ended)


def train_run(
    run: Run, display: Display, started: float, loaded: Bundle | None = None, epoch_ended: EpochEnded | None = None
) -> TrainResult:
    """Train a run from where it is to its end, or until the user stops it; then score, draw and report."""
    run = replace(run, record=shared(run.record))
    folder, record = run.folder, run.record
    settings = record.config.training
    evaluator = Evaluator(folder, record, run.parts["train"], run.parts["val"], display)

    def initial_weights() -> nn.Module:
        torch.manual_seed(settings.seed)
        network = models.build(record.spec)
        if loaded is not None:
            network.load_state_dict(loaded.state)
        elif record.config.model.encoder:
            load_weights(network, record.config.model.encoder)
        return network

    def restart() -> None:
        engine.network.load_state_dict(initial_weights().state_dict())
        random_state.part_ways(processes.place().rank)

    network = initial_weights()
    size = sum(parameter.numel() for parameter in network.parameters())
    kind, compute = record.spec.architecture, record.compute
    display.notify(
        f"network: {kind}, {size:,} parameters, on {compute.device} in {compute.precision}; "
        f"run folder {folder}, reasons in its plan.md"
    )
    if processes.count() > 1:
        display.notify(process_words(record.config, processes.place()))
    engine = Engine(network, settings, record.compute, class_weights=_loss_weights(record), notify=display.notify)
    checkpoints = folder / "checkpoints"

    def prepare() -> Path | None:
        checkpoints.mkdir(exist_ok=True)
        clear_test_part(folder)  # of another model from now on
        (folder / OUTCOME).unlink(missing_ok=True)
        return find_state(checkpoints, display.notify)

    saved = processes.from_first(prepare)
    random_state.part_ways(processes.place().rank)
    state = LoopState() if saved is None else load_state(saved, engine)
    if saved is not None and not state.rows:  # version 0.1 kept them in the table alone
        state.rows = read_rows(folder / "metrics.csv", state.step)
    score, step = processes.from_first(lambda: kept_model(folder, record))
    if score > state.best:  # a model file that is later than the state
        state.best, state.best_step = score, step
    if saved is None and loaded is not None and processes.is_first():  # whose file may be gone when it is resumed
        save_state(checkpoints, engine, state)
        link(checkpoints / LAST, checkpoints / GOOD)
    ready = processes.first(monotonic() - started)
    budget = _budget(run, evaluator, ready)
    if budget.seconds is not None and budget.seconds <= state.seconds:
        rest = (
            "only the report follows"
            if state.step
            else "one more step, a validation and the report follow all the same"
        )
        display.notify(f"{settings.seconds:.0f} s do not suffice: {rest}")
    trackers: list[Tracker] = []
    if processes.is_first():
        told = record.config.model_dump(mode="json")
        trackers = open_trackers(folder, settings.trackers, told, state.rows, state.step)
    try:
        with display, _store(folder / "cache") as store:
            job = TrainingJob(
                engine=engine,
                dataset=training_set(record, run.parts["train"], store),
                scorer=evaluator,
                trackers=trackers,
                display=display,
                checkpoints=checkpoints,
                remarks=folder / HEALTH,
                restart=restart,
                budget=budget,
                context=_context(record, run),
                state=state,
                epoch_ended=_with_bundle(epoch_ended, evaluator),
            )
            finished = train_loop(job)
    except ProcessLost:
        display.notify(
            f"another process has ended; what was reached at step {state.step} is saved; go on by: "
            f"unet train --resume {folder}"
        )
        raise
    except TrainingError as error:
        if processes.is_first() and (folder / MODEL).exists():
            with processes.alone():
                finish_run(run, display, state, outcome_of(record, state, ready, finished=False, why=error.found))
        raise
    finally:
        _close(trackers)
    if not processes.from_first((folder / MODEL).exists):  # stopped before the first validation
        with engine.evaluating() as trained:
            evaluator.validate(trained)
            if processes.is_first():
                evaluator.keep(trained, state)
    page, scores = processes.from_first(
        lambda: finish_run(run, display, state, outcome_of(record, state, ready, finished))
    )
    for what, path in {"model": folder / MODEL, "report": page}.items():
        display.notify(f"{what}: {path}")
    if hint := upload_hint(folder):
        display.notify(hint)
    if not finished:
        display.notify(f"stopped at step {state.step}; go on by: unet train --resume {folder}")
    return TrainResult(folder, folder / MODEL, page, scores, finished)


def finish_run(run: Run, display: Display, state: LoopState, outcome: Outcome) -> tuple[Path, dict[str, Any]]:
    """Score the test part where the run is at its end, draw pictures, write the report, say what was reached.

    Returns
    -------
    Path, dict
        The report, and the scores of evaluation.json.
    """
    folder, record = run.folder, run.record
    labels = record.labels
    best = bundle.load(folder / MODEL)
    exact = record.compute.precision == "32-true"
    predictor = Predictor(best, device=str(record.compute.device), exact=exact, backend="torch")
    scores = read_evaluation(folder, best)
    if scores is None:  # of a run of version 0.1 that was killed while it wrote them
        evaluator = Evaluator(folder, record, run.parts["train"], run.parts["val"], display)
        evaluator.validate(best.network())
        scores = evaluator.scores
    write_json(folder / EVALUATION, scores)
    draw_samples(folder / "samples", predictor, run.parts["val"], labels, scores)
    if outcome.finished and record.config.data.test is not None and run.parts["test"]:
        with display:
            tested = score_test_part(folder, predictor, run.parts["test"], labels, display.validating)
        print_scores(tested, "Scores on the test pictures, which neither trained nor chose the weights")
    remark = short_remark(folder, outcome)
    write_remarks(folder / HEALTH, [*state.health.remarks, *([remark] if remark else [])])
    write_outcome(folder, outcome)
    page = write_report(folder)
    print_scores(scores, "Scores of the kept weights on the validation pictures")
    display.notify(str(remark) if remark and outcome.finished else f"trained: {outcome.sentence()}")
    return page, scores


@contextmanager
def _store(folder: Path) -> Iterator[SampleStore]:
    """Give the store of samples, which the first process makes and deletes."""
    if processes.count() == 1:
        with sample_store(folder) as store:
            yield store
        return
    with processes.by_first(sample_store(folder)):
        most = processes.first(shutil.disk_usage(folder).free // 2 if processes.is_first() else 0)
        yield SampleStore(folder, int(most))


def _loss_weights(record: RunRecord) -> tuple[float, ...]:
    """Return the weights of the classes in the loss; with borders they are in the weights of the pixels."""
    return () if record.config.training.border_weight else record.class_weights


def _budget(run: Run, evaluator: Evaluator, ready: float) -> TimeBudget:
    training, parts = run.record.config.training, run.parts
    tested = len(parts["test"]) if run.record.config.data.test is not None else 0
    return TimeBudget.of_run(
        training.seconds,
        ready,
        comparison_share=len(evaluator.compared) / len(parts["val"]),
        test_share=tested / len(parts["val"]),
    )


def _context(record: RunRecord, run: Run) -> TrainingContext:
    training = record.config.training
    return TrainingContext(
        names=record.labels.names,
        pictures=len(run.parts["train"]),
        shares=record.class_shares,
        weighted=bool(record.class_weights),
        usual_rate=plan.RATES[training.optimizer],
        workers=training.workers or 0,
        device=record.compute.device.type,
    )


def _with_bundle(epoch_ended: EpochEnded | None, evaluator: Evaluator) -> Callable[[nn.Module, int], None] | None:
    if epoch_ended is None:
        return None
    return lambda network, epoch: epoch_ended(evaluator.as_bundle(network, provenance={"seen": evaluator.seen}), epoch)


def _close(trackers: list[Tracker]) -> None:
    for tracker in trackers:
        tracker.close()
