"""The folder of a run: where it is, and that nothing of the user's is lost in it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from unet import config
from unet.config import Config, DataConfig
from unet.data.manifest import FILE_NAME
from unet.data.prepared import INDEX
from unet.errors import InputError

FOLDS = "folds.json"
"""In the folder of a cross-validation: how many folds there are, and the scores of those that are done."""

RECORD = "run.json"
"""By this file a folder is known to be that of a run, if it has the entries of one."""

RECORD_ENTRIES, FOLDS_ENTRIES = ("format", "unet", "config", "spec"), ("folds", "done")

CONFIG, PLAN, PAIRS = "config.toml", "plan.md", "pairs.csv"

LOCK = "run.lock"
"""Locked by the process that works in the folder. The file itself says nothing: the lock is the operating system's."""

MODEL, STATE = "model.safetensors", "checkpoints/last.safetensors"

DRAWN = "[0-9][0-9]_*.png"
"""What the pictures of samples are called."""

RESULTS = (
    MODEL, "evaluation.json", "test.json", "metrics.csv", "health.json", "outcome.json", "report.html", FOLDS,
    "checkpoints/*.safetensors", "checkpoints/evaluation-*.json", f"samples/{DRAWN}", f"samples/test/{DRAWN}",
    "tensorboard/events.*", "wandb.json",
)  # fmt: skip
"""What a run writes beside its record."""


def data_name(data: DataConfig) -> str:
    """Return what a folder made from these data is called after."""
    path = Path(data.root or data.images or "data").resolve()
    return path.parent.name if path.name == FILE_NAME else path.stem if path.suffix == ".toml" else path.name


def choose_folder(out: Path | None, settings: Config, overwrite: bool, inputs: Sequence[Path | None] = ()) -> Path:
    """Return the folder for a new run: absent, empty, without results, or one whose results may be replaced.

    None of the `inputs`, files that are read, may lie in it.

    Raises
    ------
    InputError
        The folder holds something already, or cannot be made.
    """
    if out is None:
        out = Path("runs") / f"{data_name(settings.data)}-{datetime.now():%Y%m%d-%H%M%S}"
    above = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        why = "may not be written to" if above.is_dir() else "is a file"
        raise InputError(f"{out} cannot be made: {above} {why}", "a new folder", "choose another --out")
    if not out.is_dir() or not any(out.iterdir()):
        return out
    if is_run(out):
        if not overwrite:
            resumable = is_resumable(out) or is_cross_validation(out)
            hint = f"go on with it by --resume {out}, or " if resumable else ""
            raise InputError(f"{out} holds a run", "a new folder", f"{hint}choose another --out, or allow --overwrite")
    elif not _is_left_over(out):  # not even with --overwrite: what lies there is not ours
        raise InputError(f"{out} is not empty and holds no run", "a new folder", "choose another --out")
    for given in inputs:
        if given is not None and out.resolve() in given.resolve().parents:
            raise InputError(f"{given} lies in {out}, where files are replaced", "another --out")
    return out


def is_run(folder: Path) -> bool:
    """Tell whether a folder is that of a run: by its own record, whatever else it holds."""
    return _holds(folder / RECORD, RECORD_ENTRIES) or is_cross_validation(folder) or is_run_of_version_0_1(folder)


def is_resumable(folder: Path) -> bool:
    """Tell whether there is a run to go on with: one that was decided, or of version 0.1 one that has a state."""
    return _holds(folder / RECORD, RECORD_ENTRIES) or (is_run_of_version_0_1(folder) and (folder / STATE).is_file())


def is_run_of_version_0_1(folder: Path) -> bool:
    """Tell whether a folder is that of a run of version 0.1, which kept no record: by its settings and its plan."""
    began = not (folder / RECORD).exists() and _is_config(folder / CONFIG) and _is_plan(folder / PLAN)
    return began and any((folder / name).is_file() for name in (MODEL, STATE))


def is_cross_validation(folder: Path) -> bool:
    """Tell whether a folder is that of a cross-validation."""
    return _holds(folder / FOLDS, FOLDS_ENTRIES)


def _is_left_over(folder: Path) -> bool:
    """Tell whether a folder holds only what a run leaves that ended before it was decided."""
    known: dict[str, Callable[[Path], bool]] = {
        LOCK: Path.is_file,
        "prepared": lambda path: (path / INDEX).is_file() or not any(path.iterdir()),
        "checkpoints": lambda path: path.is_dir() and not any(path.iterdir()),
        CONFIG: _is_config,
        PLAN: _is_plan,
        PAIRS: lambda path: path.read_bytes()[:16].startswith(b"part,name,image"),
    }
    return (folder / LOCK).is_file() and all(
        path.name in known and (known[path.name](path) or (path.is_file() and path.stat().st_size == 0))
        for path in folder.iterdir()
        if not _is_draft(path)
    )


def _holds(path: Path, entries: Collection[str]) -> bool:
    """Tell whether a file is JSON with these entries, as ours are; others call theirs the same."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(held, dict) and held.keys() >= set(entries)


def _is_config(path: Path) -> bool:
    try:
        return path.is_file() and config.load_toml(path).model_fields_set >= {"data", "model", "training"}
    except InputError:
        return False


def _is_plan(path: Path) -> bool:
    return path.is_file() and path.read_bytes()[:64].startswith(b"# Plan\n")


def _is_draft(path: Path) -> bool:
    """Tell whether a file is one that `unet.files` was writing when it was killed."""
    return re.fullmatch(r"\..+\.[0-9a-f]{8}\.part", path.name) is not None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes out of a run folder, which is made; half-written files of killed ones go.

    Raises
    ------
    InputError
        Another process works in it, or it cannot be made.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK, timeout=0)
        lock.acquire()
    except Timeout:
        raise InputError(
            f"{folder} is in use by another process", "a run that nobody works on", "wait for it, or end it"
        ) from None
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}", "a place to write", "choose another --out") from None
    try:
        for path in folder.rglob(".*.part"):
            if _is_draft(path):
                path.unlink(missing_ok=True)
        yield
    finally:
        lock.release()
        _remove_if_unused(folder, made)


def is_in_use(folder: Path) -> bool:
    """Tell whether a process works in a run folder."""
    if not (folder / LOCK).is_file():
        return False
    try:
        with FileLock(folder / LOCK, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # a folder of somebody else, or on a medium that cannot be written
        return False


def _remove_if_unused(folder: Path, made: list[Path]) -> None:
    """Delete a folder that nothing was written to, and those above it that were made for it."""
    if [path.name for path in folder.iterdir() if path.name != "checkpoints"] != [LOCK]:
        return
    with suppress(OSError):
        (folder / "checkpoints").rmdir()
    with suppress(OSError):
        (folder / LOCK).unlink()
        for path in made:
            path.rmdir()


def clear_results(folder: Path) -> None:
    """Delete what an earlier run has left, which the user allowed to replace."""
    for pattern in (RECORD, *RESULTS):
        for path in folder.glob(pattern):
            path.unlink()
    (folder / "checkpoints").mkdir(exist_ok=True)
