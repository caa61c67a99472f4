"""The folder of a run: where it is, and that nothing of the user's is lost in it."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from unet.config import Config, DataConfig
from unet.data.manifest import FILE_NAME
from unet.data.prepared import INDEX
from unet.errors import InputError

FOLDS = "folds.json"
"""In the folder of a cross-validation: how many folds there are, and the scores of those that are done."""

SIGNS = ("checkpoints", f"prepared/{INDEX}")
"""What shows that a folder is that of a run, if only of one that failed before its first step."""


def data_name(data: DataConfig) -> str:
    """Return what a folder made from these data is called after."""
    path = Path(data.root or data.images or "data").resolve()
    return path.parent.name if path.name == FILE_NAME else path.stem if path.suffix == ".toml" else path.name


def run_folder(out: Path | None, settings: Config, overwrite: bool) -> Path:
    """Return the folder for a new run: absent, empty, without results, or one whose results may be replaced.

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
    if not any((out / sign).exists() for sign in SIGNS):  # not even with --overwrite: what lies there is not ours
        raise InputError(f"{out} is not empty and holds no run", "a new folder", "choose another --out")
    resumable = (out / "checkpoints" / "last.safetensors").exists() or (out / FOLDS).exists()
    if (resumable or (out / "model.safetensors").exists()) and not overwrite:
        hint = f"go on with it by --resume {out}, or " if resumable else ""
        raise InputError(f"{out} holds a run", "a new folder", f"{hint}choose another --out, or allow --overwrite")
    return out  # perhaps of a run that failed before its first step


def open_run(run: Path) -> None:
    """Make the folder of a new run; results of an earlier one that the user allowed to replace go.

    Raises
    ------
    InputError
        The folder cannot be made.
    """
    try:
        (run / "checkpoints").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{run}: {error.strerror}", "a place to write", "choose another --out") from None
    results = ("model.safetensors", "evaluation.json", "metrics.csv", "health.json", "report.html")
    for pattern in (*results, FOLDS, "checkpoints/last.safetensors", "samples/*.png", "tensorboard/events.*"):
        for old in run.glob(pattern):
            old.unlink()
