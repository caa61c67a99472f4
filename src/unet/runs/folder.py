"""The folder of a run: where it is, and that nothing of the user's is lost in it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from unet.config import Config, DataConfig
from unet.data.manifest import FILE_NAME
from unet.data.prepared import INDEX
from unet.errors import InputError

FOLDS = "folds.json"
"""In the folder of a cross-validation: how many folds there are, and the scores of those that are done."""

RECORD = "run.json"
"""By this file a folder is known to be that of a run."""

CONFIG, PLAN, PAIRS = "config.toml", "plan.md", "pairs.csv"

LOCK = "run.lock"
"""Locked by the process that works in the folder. The file itself says nothing: the lock is the operating system's."""

MODEL, STATE = "model.safetensors", "checkpoints/last.safetensors"

DRAWN = "[0-9][0-9]_*.png"
"""What the pictures of samples are called."""

RESULTS = (
    MODEL, "evaluation.json", "test.json", "metrics.csv", "health.json", "report.html", FOLDS,
    "checkpoints/*.safetensors", "checkpoints/evaluation-*.json", f"samples/{DRAWN}", f"samples/test/{DRAWN}",
    "tensorboard/events.*",
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
    if not is_run(out):  # not even with --overwrite: what lies there is not ours
        raise InputError(f"{out} is not empty and holds no run", "a new folder", "choose another --out")
    resumable = is_resumable(out) or (out / FOLDS).exists()
    if (resumable or (out / MODEL).exists()) and not overwrite:
        hint = f"go on with it by --resume {out}, or " if resumable else ""
        raise InputError(f"{out} holds a run", "a new folder", f"{hint}choose another --out, or allow --overwrite")
    for given in inputs:
        if given is not None and out.resolve() in given.resolve().parents:
            raise InputError(
                f"{given} lies in {out}, whose files are replaced", "another folder", "choose another --out"
            )
    return out  # perhaps of a run that failed before its first step


def is_run(folder: Path) -> bool:
    """Tell whether a folder is that of a run, if only of one that failed before it was decided."""
    ours = any((folder / name).is_file() for name in (RECORD, LOCK, FOLDS, f"prepared/{INDEX}"))
    return ours or is_run_of_version_0_1(folder)


def is_resumable(folder: Path) -> bool:
    """Tell whether there is a run to go on with: one that was decided, or of version 0.1 one that has a state."""
    return (folder / RECORD).is_file() or (is_run_of_version_0_1(folder) and (folder / STATE).is_file())


def is_run_of_version_0_1(folder: Path) -> bool:
    """Tell whether a folder is that of a run of version 0.1, which kept no record."""
    began = (folder / CONFIG).is_file() and (folder / PLAN).is_file() and not (folder / RECORD).exists()
    return began and any((folder / name).is_file() for name in (MODEL, STATE))


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
            if re.fullmatch(r"\..+\.[0-9a-f]{8}\.part", path.name):  # as `unet.files` calls them
                path.unlink(missing_ok=True)
        yield
    finally:
        lock.release()
        _remove_if_unused(folder, made)


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
