"""The checkpoints of the Carvana system: the folder that train.py writes and predict.py and evaluate.py read."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from unet.errors import ModelFileError

CHECKPOINTS = Path("checkpoints")
INTERRUPTED = "INTERRUPTED.pth"


def newest_checkpoint(folder: Path = CHECKPOINTS) -> Path | None:
    """Return the checkpoint that was written last, None where there is none."""
    written = [*folder.glob("checkpoint_epoch*.pth"), *folder.glob(INTERRUPTED)]
    return max(written, key=lambda path: (path.stat().st_mtime_ns, path.name), default=None)


def existing_model(given: Path) -> Path:
    """Return the model file that predict.py and evaluate.py are to use.

    Raises
    ------
    ModelFileError
        There is none; the newest checkpoint is named.
    """
    if given.exists():
        return given
    newest = newest_checkpoint()
    remedy = "train one: python train.py" if newest is None else f"give the newest checkpoint: -m {newest.as_posix()}"
    raise ModelFileError(f"{given} does not exist", "a model file", remedy)


def set_aside(folder: Path) -> None:
    """Move the checkpoints of an earlier run into a folder of their own, so that none is overwritten."""
    old = sorted([*folder.glob("checkpoint_epoch*.pth"), *folder.glob(INTERRUPTED)])
    folder.mkdir(parents=True, exist_ok=True)
    if old:
        shelf = folder / f"before-{datetime.now():%Y%m%d-%H%M%S}"
        shelf.mkdir()
        for path in old:
            path.rename(shelf / path.name)
