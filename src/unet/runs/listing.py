"""Which runs there are in folders, and a line for each; needs no torch, and writes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from unet import config
from unet.errors import InputError, UnetError
from unet.metrics.stored import checked_folds, checked_scores, deciding_score
from unet.parsing import read_json
from unet.report.outcome import FILE as OUTCOME
from unet.report.outcome import read_outcome
from unet.report.run_lines import RunLine, State, flat_settings
from unet.report.run_tables import rows_of, table_of
from unet.runs.folder import CONFIG, FOLDS, PAIRS, RECORD, STATE, is_cross_validation, is_in_use, is_run

NO_ROWS: tuple[dict[str, float], ...] = ()

T = TypeVar("T")


def find_runs(folders: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Return the runs among some folders and the folders in them, and the folders that are none.

    A folder that is a cross-validation stands for itself and its folds; one that is found in another, for itself.

    Raises
    ------
    InputError
        One is no folder, or cannot be read.
    """
    runs: dict[Path, Path] = {}
    others: dict[Path, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder", "a folder of runs, or a run")
        itself = [folder] if is_run(folder) else []
        looks_in = not itself or is_cross_validation(folder)
        try:
            inside = sorted(path for path in folder.iterdir() if path.is_dir()) if looks_in else []
        except OSError as error:
            raise InputError(f"{folder}: {error.strerror}", "a folder that can be read") from None
        for path in (*itself, *inside):
            (runs if _is_run(path) else others).setdefault(path.resolve(), path)
    return list(runs.values()), list(others.values())


def _is_run(folder: Path) -> bool:
    try:
        return is_run(folder)
    except OSError:  # that may not be looked into
        return False


def read_line(folder: Path) -> RunLine:
    """Return what a run is and has reached, as far as its files can be read."""
    faults: list[str] = []

    def tried(read: Callable[[], T], default: T) -> T:
        try:
            return read()
        except (UnetError, OSError, ValueError, TypeError, RecursionError) as error:
            faults.append(" ".join(str(error).split())[:200])
            return default

    settings = tried(lambda: config.load_toml(folder / CONFIG), None)
    best_by = settings.training.best_by if settings else "mean_iou"
    line = RunLine(
        folder=folder,
        began=tried(lambda: _began(folder), None),
        data=(settings.data.root or settings.data.images or "") if settings else "",
        metric=best_by,
        score=tried(lambda: _score(folder / "evaluation.json", best_by), None),
        test_score=tried(lambda: _score(folder / "test.json", best_by), None),
        settings=flat_settings(settings) if settings else {},
        rows=tried(lambda: rows_of(folder / "metrics.csv"), NO_ROWS),
        pictures=tried(lambda: _validated_on(folder / PAIRS), ""),
    )
    line = tried(lambda: _of_folds(line) if is_cross_validation(folder) else _of_run(line), line)
    return replace(line, state="broken", fault=" | ".join(faults)) if faults else line


def _began(folder: Path) -> datetime:
    name = next((name for name in (RECORD, FOLDS) if (folder / name).exists()), CONFIG)
    return datetime.fromtimestamp((folder / name).stat().st_mtime)


def _score(path: Path, best_by: str) -> float | None:
    if not path.exists():
        return None
    try:
        return deciding_score(checked_scores(read_json(path.read_text(encoding="utf-8"))), best_by)
    except (UnetError, ValueError) as error:
        raise InputError(f"{path.name} holds no scores ({error})") from None


def _validated_on(path: Path) -> str:
    """Return what stands for the validation pictures in a pairs.csv, nothing where there are none."""
    rows = [row for row in table_of(path) if row.get("part") == "val"]
    held = sorted(f"{row.get('image_hash')} {row.get('mask_hash')} {row.get('window') or ''}" for row in rows)
    return hashlib.sha256("\n".join(held).encode()).hexdigest() if held else ""


def _of_run(line: RunLine) -> RunLine:
    """Add how far a run has come."""
    folder, rows = line.folder, line.rows
    outcome = read_outcome(folder)
    if outcome is None and (folder / OUTCOME).exists():
        raise InputError(f"{OUTCOME} cannot be read", "as unet train wrote it")
    state: State
    if is_in_use(folder):
        state = "running"
    elif outcome is not None:
        state = "finished" if outcome.finished else "interrupted"
    elif not (folder / RECORD).exists():  # version 0.1 wrote a report at the end, also where it was stopped
        steps = line.settings.get("steps") or 0
        reached = not rows or rows[-1]["step"] >= steps
        state = "finished" if reached and (folder / "report.html").exists() else "interrupted"
    else:
        state = "interrupted" if rows or (folder / STATE).exists() else "not begun"
    if outcome is not None:
        return replace(line, state=state, steps=outcome.steps, seconds=outcome.seconds)
    last = rows[-1] if rows else {"step": 0.0, "seconds": 0.0}
    return replace(line, state=state, steps=int(last["step"]), seconds=last.get("seconds"))


def _of_folds(line: RunLine) -> RunLine:
    """Add how far a cross-validation has come."""
    held = read_json((line.folder / FOLDS).read_text(encoding="utf-8"))
    done, count = checked_folds(held["done"]), int(held["folds"])
    state: State
    if is_in_use(line.folder):
        state = "running"
    elif len(done) >= count:
        state = "finished"
    else:
        state = "interrupted" if done or (line.folder / "fold-1" / STATE).exists() else "not begun"
    return replace(line, state=state, folds=count)
