"""`unet train --folds K`: every picture is scored once, by a network that was trained on the other parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from unet import config, files
from unet.config import Config
from unet.data.manifest import describe
from unet.data.parts import find_parts
from unet.data.splitting import folds as deal
from unet.errors import ConfigError, DataError, InputError
from unet.metrics.confusion import report
from unet.metrics.stored import checked_folds, checked_scores
from unet.parsing import read_json
from unet.plan import DEFAULT_SECONDS
from unet.processes import started_as
from unet.report.page import write_report
from unet.runs.folder import CONFIG, FOLDS, choose_folder, clear_results, is_resumable, locked
from unet.runs.settings import TrainFlags, check, from_flags, gather, refuse_beside_resume
from unet.runs.train_run import train_new, train_on
from unet.terminal.display import open_display
from unet.terminal.speech import open_console
from unet.terminal.tables import print_scores

if TYPE_CHECKING:
    from typing_extensions import Unpack

SCORES = ("mean_iou", "mean_dice", "pixel_accuracy")


@dataclass(frozen=True)
class CrossValidation:
    """What a cross-validation found.

    Attributes
    ----------
    run : Path
        The folder; fold-1, fold-2, ... in it are runs of their own.
    report : Path
        The HTML page.
    scores : dict
        As in evaluation.json, over all pictures: each is scored by the network that has not seen it.
    folds : list of dict
        The mean scores of each fold.
    finished : bool
        False where it was stopped before its end.
    """

    run: Path
    report: Path
    scores: dict[str, Any]
    folds: list[dict[str, Any]]
    finished: bool


def cross_validate(
    folds: int | None = None,
    *,
    out: Path | None = None,
    config_file: Path | None = None,
    resume: Path | None = None,
    moved_data: Path | None = None,
    load: Path | None = None,
    settings: Mapping[str, str] | None = None,
    overwrite: bool = False,
    started: float | None = None,
    data: Path | None = None,
    devices: int = 1,
    **flags: Unpack[TrainFlags],
) -> CrossValidation:
    """Train and score once for each part of the pictures.

    Parameters
    ----------
    folds : int, optional
        How many parts; not with `resume`.
    out, config_file, load, settings, overwrite, **flags
        As in `unet.commands.train.train`. The time, or the number of epochs or steps: the time is that of all folds
        together, epochs and steps are those of each.
    resume : Path, optional
        A folder of a cross-validation to go on with.
    moved_data : Path, optional
        With `resume`: where the folder of its data is now.
    devices : int
        1: folds are trained one after the other, in one process.

    Returns
    -------
    CrossValidation

    Raises
    ------
    InputError
        Data, settings or files that cannot be used.
    TrainingError
        A training cannot go on.
    """
    started = monotonic() if started is None else started
    if (count := max(devices, started_as().count)) > 1:
        raise ConfigError(f"a cross-validation in {count} processes", "one process", "train each fold by itself: --val")
    given = from_flags(data, **flags)
    if resume is not None:
        refuse_beside_resume(given, {"folds": folds, "out": out, "load": load, "config": config_file}, settings or {})
        with locked(resume):
            return _train_folds(resume, config.load_toml(resume / CONFIG), started, moved_data=moved_data)
    wanted, count = gather(given, config_file, settings or {}), folds or 0
    for flag, value in {"--val": wanted.data.val, "--test": wanted.data.test}.items():
        if value is not None:
            raise ConfigError(f"--folds together with {flag}", "one of them: folds hold each picture out once")
    if not {"seconds", "epochs", "steps"} & wanted.training.model_dump(exclude_none=True).keys():
        wanted = wanted.updated({"training": {"seconds": DEFAULT_SECONDS}})
    run = choose_folder(out, wanted, overwrite, (load,))
    check(wanted)
    lists = _lists(wanted, count)
    with locked(run):
        clear_results(run)
        for number, names in enumerate(lists, start=1):
            with locked(run / f"fold-{number}"):
                clear_results(run / f"fold-{number}")  # nothing of an earlier one is to be gone on with
            files.write_text(run / f"fold-{number}.txt", "\n".join(names) + "\n")
        files.write_text(run / CONFIG, config.to_toml(wanted))
        files.write_json(run / FOLDS, {"folds": count, "done": []})
        return _train_folds(run, wanted, started, load=load)


def _train_folds(
    run: Path, wanted: Config, started: float, *, load: Path | None = None, moved_data: Path | None = None
) -> CrossValidation:
    """Train the folds that are not done yet."""
    done, count = _read(run)
    display = open_display()
    for number in range(len(done) + 1, count + 1):
        folder = run / f"fold-{number}"
        display.notify(f"fold {number} of {count}")
        if is_resumable(folder):
            result = train_on(folder, moved_data=moved_data)
        else:
            if moved_data is not None:
                wanted = wanted.updated({"data": {"root": str(moved_data)}})
            names, left = run / f"fold-{number}.txt", count - number + 1
            result = train_new(_of_fold(wanted, names, left, monotonic() - started), folder, load=load)
        if not result.finished:
            return CrossValidation(run, run / "report.html", {}, done, False)
        done.append({key: result.scores[key] for key in SCORES} | {"pictures": len(result.scores["images"])})
        files.write_json(run / FOLDS, {"folds": count, "done": done})
    scores = _pooled(run, count)
    files.write_json(run / "evaluation.json", scores)
    page = write_report(run)
    _print(done)
    print_scores(scores, "Scores over all pictures, each by the network that has not seen it")
    display.notify(f"report: {page}")
    return CrossValidation(run, page, scores, done, True)


def _lists(wanted: Config, count: int) -> list[list[str]]:
    """Return the names of the pictures of each fold."""
    description = describe(wanted.data)
    parts = find_parts(description, open_display().notify)
    pairs = parts.get("all") or parts.get("train")
    if "val" in parts or not pairs:
        raise DataError(
            f"the data have the parts {', '.join(parts)}", "no part to validate on: folds hold each picture out once"
        )
    dealt = deal(pairs, count, group=description.group, seed=wanted.training.seed)
    return [[pair.name for pair in part] for part in dealt]


def _of_fold(wanted: Config, names: Path, left: int, gone: float) -> Config:
    """Return the settings of a fold: what it is validated on, and its part of the time that is left."""
    changes: dict[str, dict[str, Any]] = {"data": {"val": str(names.resolve()), "group": None}}
    if wanted.training.seconds is not None:
        changes["training"] = {"seconds": max(1.0, wanted.training.seconds - gone) / left}
    return wanted.updated(changes)


def _read(run: Path) -> tuple[list[dict[str, Any]], int]:
    try:
        held = read_json((run / FOLDS).read_text(encoding="utf-8"))
        return checked_folds(held["done"]), int(held["folds"])
    except (OSError, ValueError, KeyError, TypeError, ConfigError) as error:
        raise InputError(f"{run / FOLDS} cannot be read ({error})", "the record of a cross-validation") from None


def _pooled(run: Path, count: int) -> dict[str, Any]:
    """Return the scores of all folds together, from their counts."""
    each = [_scores_of(run / f"fold-{number}" / "evaluation.json") for number in range(1, count + 1)]
    if len({len(fold["classes"]) for fold in each}) > 1:
        raise InputError(f"folds of {run} with different classes", "the same in each", "train anew")
    total = np.sum([fold["confusion"] for fold in each], axis=0)
    scores = report([total], [row["name"] for row in each[0]["classes"]], [{}])
    images = [{**image, "fold": number} for number, fold in enumerate(each, start=1) for image in fold["images"]]
    images.sort(key=lambda image: 2.0 if image["mean_iou"] is None else image["mean_iou"])
    return {**scores, "images": images}


def _scores_of(path: Path) -> dict[str, Any]:
    try:
        return checked_scores(read_json(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ConfigError) as error:
        raise InputError(f"{path} cannot be read ({error})", "the scores of a fold", "train the folds anew") from None


def _print(done: list[dict[str, Any]]) -> None:
    table = Table()
    for name in ("fold", "mean IoU", "mean Dice", "pixel accuracy", "pictures"):
        table.add_column(name, justify="right")
    for number, fold in enumerate(done, start=1):
        table.add_row(str(number), *(f"{fold[key]:.4f}" for key in SCORES), str(fold["pictures"]))
    table.add_section()
    spread = [[fold[key] for fold in done] for key in SCORES]
    table.add_row("mean", *(f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}" for values in spread), "")
    open_console().print(table)
