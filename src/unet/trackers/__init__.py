"""Where the numbers of a run go: always a CSV file, TensorBoard or Weights & Biases by choice."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from unet import files
from unet.errors import InputError, MissingExtraError

COLUMNS = (
    "step",
    "epoch",
    "seconds",
    "lr",
    "train_loss",
    "val_loss",
    "val_mean_iou",
    "val_mean_dice",
    "val_pixel_accuracy",
    "pictures_per_second",
)


class Tracker(Protocol):
    """What a run tells: numbers at a step, pictures at a step, the end."""

    wants_histograms: bool

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Note numbers."""

    def picture(self, step: int, name: str, picture: NDArray[np.uint8]) -> None:
        """Note a picture (H, W, 3)."""

    def histograms(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Note distributions, of weights and gradients."""

    def close(self) -> None:
        """Write what is left."""


class CsvTracker:
    """Rows of `metrics.csv`, which is replaced as a whole at each, so that there always is a table that is whole."""

    wants_histograms = False

    def __init__(self, path: Path, rows: Sequence[Mapping[str, float]] = ()) -> None:
        self._path = path
        self._rows = [_plain_row(row) for row in rows]
        self._write()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add a row."""
        self._rows.append(_plain_row({"step": step, **values}))
        self._write()

    def _write(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        files.write_text(self._path, text.getvalue())

    def picture(self, step: int, name: str, picture: NDArray[np.uint8]) -> None:
        """Do nothing: a table holds no pictures."""

    def histograms(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Do nothing: a table holds no distributions."""

    def close(self) -> None:
        """Do nothing: all is written."""


class TensorBoardTracker:
    """Event files in `folder`, for `tensorboard --logdir`."""

    wants_histograms = True

    def __init__(self, folder: Path, resume_step: int = 0) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        # What a killed run wrote after its last checkpoint comes again.
        self._writer = SummaryWriter(str(folder), purge_step=resume_step + 1 if resume_step else None)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write scalars."""
        for key, value in values.items():
            self._writer.add_scalar(key, value, step)

    def picture(self, step: int, name: str, picture: NDArray[np.uint8]) -> None:
        """Write a picture."""
        self._writer.add_image(name, picture, step, dataformats="HWC")

    def histograms(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Write histograms."""
        for key, tensor in tensors.items():
            self._writer.add_histogram(key, tensor, step)

    def close(self) -> None:
        """Flush and close the event file."""
        self._writer.close()


class WandbTracker:
    """A Weights & Biases run; WANDB_MODE=offline keeps it on this machine."""

    wants_histograms = True

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        import wandb

        self._wandb = wandb
        try:
            self._run = wandb.init(project="unet", name=folder.name, dir=str(folder), config=dict(settings))
        except wandb.Error as error:  # not logged in, or no way to the server
            raise InputError(
                f"Weights & Biases: {error}", remedy="run: wandb login, or set WANDB_MODE=offline"
            ) from None

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Log numbers."""
        self._run.log(dict(values), step=step)

    def picture(self, step: int, name: str, picture: NDArray[np.uint8]) -> None:
        """Log a picture."""
        self._run.log({name: self._wandb.Image(picture)}, step=step)

    def histograms(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Log histograms."""
        self._run.log({key: self._wandb.Histogram(tensor.tolist()) for key, tensor in tensors.items()}, step=step)

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


def _plain_row(row: Mapping[str, float]) -> dict[str, str]:
    return {key: f"{value:.6g}" if key != "step" else str(int(value)) for key, value in row.items()}


def read_rows(path: Path, last_step: int) -> list[dict[str, float]]:
    """Return the rows of a `metrics.csv` up to a step; half a line, as a power cut may leave it, is left out."""
    if not path.exists():
        return []
    whole, rows = [], []
    with path.open(encoding="utf-8", errors="replace", newline="") as file, suppress(csv.Error):
        for row in csv.DictReader(file):  # one by one: what comes before a line that is none counts
            if None not in row and None not in row.values():
                whole.append(row)
    for row in whole:
        try:
            rows.append({key: int(value) if key == "step" else float(value) for key, value in row.items() if value})
        except ValueError:
            continue
    return [row for row in rows if row.get("step", last_step + 1) <= last_step]


def require(names: Sequence[str]) -> None:
    """Make sure that the trackers of these names can be opened.

    Raises
    ------
    MissingExtraError
        A tracker's package is not installed.
    """
    for name in names:
        if find_spec(name) is None:
            raise MissingExtraError(f"tracking by {name}", "track")


def open_trackers(
    run: Path, names: Sequence[str], settings: Mapping[str, Any], rows: Sequence[Mapping[str, float]] = ()
) -> list[Tracker]:
    """Return the CSV tracker of a run folder and those asked for by name.

    Parameters
    ----------
    run : Path
    names : sequence of str
    settings : mapping
    rows : sequence of mapping
        What was logged before, in a run that is gone on with.

    Raises
    ------
    MissingExtraError
        A tracker's package is not installed.
    InputError
        Weights & Biases is not logged in or out of reach.
    """
    require(names)
    trackers: list[Tracker] = []
    if "wandb" in names:  # first: what may fail leaves nothing open
        trackers.append(WandbTracker(run, settings))
    if "tensorboard" in names:
        trackers.append(TensorBoardTracker(run / "tensorboard", int(rows[-1]["step"]) if rows else 0))
    return [CsvTracker(run / "metrics.csv", rows), *trackers]
