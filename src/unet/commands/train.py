"""`unet train`: from a folder of pictures and masks to a checked model. Read `train` from top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import torch

from unet import bundle, models
from unet.bundle import Bundle
from unet.config import Config
from unet.errors import ConfigError, InputError, TrainingError
from unet.models.backbones import load_weights
from unet.preprocessing import Preprocessing
from unet.runs.evaluator import Evaluator, kept_score
from unet.runs.finish import finish_run
from unet.runs.folder import open_run, run_folder
from unet.runs.resolve import resolve, spec_of, write_plan
from unet.runs.settings import TrainFlags, check, from_flags, gather, of_model, settings_of_run
from unet.runs.source import Source, read_source
from unet.runs.training_set import training_set, weights_of
from unet.terminal.display import open_display
from unet.terminal.tables import print_scores
from unet.trackers import open_trackers
from unet.training.checkpoint import Progress, read_progress
from unet.training.job import Training
from unet.training.loop import train_loop

if TYPE_CHECKING:
    from typing_extensions import Unpack

REPORT_SECONDS = 6.0
"""Kept back from a run that was given a time: for the last pictures and the report."""


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


def train(
    data: Path | None = None,
    *,
    out: Path | None = None,
    config_file: Path | None = None,
    resume: Path | None = None,
    load: Path | None = None,
    settings: Mapping[str, str] | None = None,
    overwrite: bool = False,
    started: float | None = None,
    **flags: Unpack[TrainFlags],
) -> TrainResult:
    """Train a model and check it on pictures it has not seen.

    Parameters
    ----------
    data : Path, optional
        Folder with pictures and masks in any of the usual layouts; or give `images` and `masks`.
    out : Path, optional
        The run folder; by default runs/NAME-DATE-TIME.
    config_file : Path, optional
        Settings that hold unless something else is said here.
    settings : mapping of str to str, optional
        Any setting of `unet.config`, by "key" or "section.key".
    resume : Path, optional
        A run folder to go on with; all other arguments must be left out then.
    load : Path, optional
        A model file to start from; it says what the network is like.
    started : float, optional
        The `time.monotonic()` from which `time` counts; now as a rule. The command line counts its own start in.
    **flags
        What is said of the data, of the length and of the device: see `unet.runs.settings.TrainFlags`.

    Returns
    -------
    TrainResult

    Raises
    ------
    InputError
        Data, settings or files that cannot be used.
    TrainingError
        The training cannot go on.
    """
    given = from_flags(data, **flags)
    if resume is not None:
        said = {key: value for section in given.values() for key, value in section.items()}
        said |= {"out": out, "load": load, "config": config_file, **(settings or {})}
        return train_settings(settings_of_run(resume, said), resume, resume=True, started=started)
    wanted = gather(given, config_file, settings or {})
    return train_settings(wanted, run_folder(out, wanted, overwrite), load=load, started=started)


def train_settings(
    wanted: Config,
    run: Path,
    *,
    resume: bool = False,
    load: Path | None = None,
    started: float | None = None,
    epoch_ended: Callable[[Bundle, int], None] | None = None,
) -> TrainResult:
    """Train as the settings say, into a run folder. The parameters and the result are those of `train`.

    `epoch_ended` is called with the weights at the end of each epoch and its number, counted from 1.
    """
    started = monotonic() if started is None else started
    display = open_display()
    checkpoint = run / "checkpoints" / "last.safetensors"
    if resume and not checkpoint.exists():
        raise InputError(f"{run}: no checkpoints/last.safetensors", "a run folder to go on with", "train it anew")
    loaded = None
    if load is not None:
        loaded = bundle.load(load)
        wanted = of_model(wanted, loaded.spec, load)
    check(wanted)

    source = read_source(wanted.data, wanted.model.outputs, wanted.training.seed, display, run / "prepared")
    if not resume:
        open_run(run)
    resolved, compute, reasons = resolve(wanted, source, display)
    if not resume or resolved != wanted:  # else the first session's reasons would be lost
        write_plan(run, resolved, reasons)
    template = starting_point(loaded, resolved, source)
    torch.manual_seed(resolved.training.seed)
    network = models.build(template.spec)
    if template.state:
        network.load_state_dict(template.state)
    elif resolved.model.encoder and not resume:
        load_weights(network, resolved.model.encoder)
    size = sum(parameter.numel() for parameter in network.parameters())
    display.say(f"network {template.spec.architecture}, {size:,} parameters; run folder {run}")

    judge = Evaluator(run, template, source, resolved, compute, display)
    done = read_progress(checkpoint) if resume else Progress()
    budget = resolved.training.seconds
    left = None if budget is None else budget - REPORT_SECONDS - (monotonic() - started)
    if left is not None and left <= 0:
        display.say(f"{budget:.0f} s do not suffice: one more step, a validation and the report follow all the same")
    training = Training(
        network=network,
        dataset=training_set(resolved, source, template.preprocessing, models.geometry_of(template.spec).valid_margin),
        settings=resolved.training,
        compute=compute,
        validate=judge.validate,
        keep=judge.keep,
        trackers=open_trackers(run, resolved.training.trackers, resolved.model_dump(mode="json"), done.step),
        display=display,
        checkpoint=checkpoint,
        class_weights=None if resolved.training.border_weight else weights_of(resolved, source),
        seconds=left,
        resume=resume,
        kept=kept_score(run, resolved) if resume else -1.0,
        epoch_ended=None if epoch_ended is None else lambda net, epoch: epoch_ended(judge.as_bundle(net), epoch),
        class_shares=source.fingerprint.class_shares,
        score_trained=judge.score_trained,
        score_share=len(judge.compared) / len(source.val),
        remarks=run / "health.json",
    )
    try:
        with display:
            finished = train_loop(training)
    except TrainingError:
        if (run / "model.safetensors").exists():
            finish_run(run, source, str(compute.device))
        raise
    finally:
        for tracker in training.trackers:
            tracker.close()
    if not (run / "model.safetensors").exists():  # stopped before the first validation
        judge.validate(network)
        judge.keep(network, training.progress)
    page, scores = finish_run(run, source, str(compute.device))
    print_scores(scores, "Scores of the best weights on the validation pictures")
    for what, path in {"model": run / "model.safetensors", "report": page}.items():
        display.say(f"{what:6} {path}")
    if not finished:
        display.say(f"stopped at step {training.progress.step}; go on by: unet train --resume {run}")
    return TrainResult(run, run / "model.safetensors", page, scores, finished)


def starting_point(loaded: Bundle | None, resolved: Config, source: Source) -> Bundle:
    """Return the bundle that training fills: of the settings, or of a model to go on from.

    Raises
    ------
    ConfigError
        The model is for other pictures or for another number of classes.
    """
    about = source.fingerprint
    preprocessing = Preprocessing(
        bands=about.bands,
        scale=resolved.data.scale or 1.0,
        data_range=about.data_range,
        mean=about.mean if resolved.data.standardise else (),
        std=about.std if resolved.data.standardise else (),
        resample=resolved.data.resample,
    )
    spec = spec_of(resolved, source)
    fresh = Bundle(spec, source.own_labels, preprocessing, threshold=None, scores={}, provenance={}, state={})
    if loaded is None:
        return fresh
    if loaded.spec != spec:
        have, want = (f"{one.bands} bands and {one.classes} outputs" for one in (loaded.spec, spec))
        raise ConfigError(f"the model to start from has {have}", f"{want} for these data", "leave out --load")
    return replace(fresh, state=loaded.state)
