"""Where the numbers of a run go: always a CSV file, TensorBoard or Weights & Biases by choice."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unet import files
from unet.errors import InputError, MissingExtraError
from unet.trackers.histograms import Histogram
from unet.trackers.wandb_mode import wandb_mode
from unet.trackers.wandb_run import WandbNote, told_in_files

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
    """What a run tells: numbers of a validation and between, pictures, the end."""

    wants_histograms: bool

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Note the numbers of a validation."""

    def log_step(self, step: int, values: Mapping[str, float]) -> None:
        """Note numbers between validations."""

    def picture(self, step: int, name: str, picture: NDArray[np.uint8]) -> None:
        """Note a picture (H, W, 3)."""

    def histograms(self, step: int, histograms: Mapping[str, Histogram]) -> None:
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

    def log_step(self, step: int, values: Mapping[str, float]) -> None:
        """Do nothing: the table has a row for each validation."""

    def _write(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        files.write_text(self._path, text.getvalue())

    def picture(self, step: int, name: str, picture: NDArray[np.uint8]) -> None:
        """Do nothing: a table holds no pictures."""

    def histograms(self, step: int, histograms: Mapping[str, Histogram]) -> None:
        """Do nothing: a table holds no distributions."""

    def close(self) -> None:
        """Do nothing: all is written."""


class TensorBoardTracker:
    """Event files in `folder`, for `tensorboard --logdir`."""

    wants_histograms = True

    def __init__(self, folder: Path, step: int = 0) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        # What a killed run wrote after its last checkpoint comes again.
        self._writer = SummaryWriter(str(folder), purge_step=step + 1)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write scalars."""
        for key, value in values.items():
            self._writer.add_scalar(key, value, step)

    log_step = log

    def picture(self, step: int, name: str, picture: NDArray[np.uint8]) -> None:
        """Write a picture."""
        self._writer.add_image(name, picture, step, dataformats="HWC")

    def histograms(self, step: int, histograms: Mapping[str, Histogram]) -> None:
        """Write histograms."""
        for key, each in histograms.items():
            self._writer.add_histogram_raw(
                key,
                min=each.edges[0],
                max=each.edges[-1],
                num=sum(each.counts),
                sum=each.total,
                sum_squares=each.squares,
                bucket_limits=list(each.edges[1:]),
                bucket_counts=list(each.counts),
                global_step=step,
            )

    def close(self) -> None:
        """Flush and close the event file."""
        self._writer.close()


class WandbTracker:
    """A Weights & Biases run; without an account, or with WANDB_MODE=offline, it stays on this machine."""

    wants_histograms = True

    def __init__(self, folder: Path, settings: Mapping[str, Any], rows: Sequence[Mapping[str, float]] = ()) -> None:
        import wandb

        self._wandb, self._folder, note = wandb, folder, WandbNote.read(folder)
        known: dict[str, Any] = {"id": note.id, "resume": "allow"} if note.id else {}
        try:
            # What the user asked to be tracked, and no more: no console, code or state of the repository.
            quiet = wandb.Settings(console="off", disable_code=True, disable_git=True)
            self._run = wandb.init(
                project="unet",
                name=folder.name,
                dir=str(folder),
                config=dict(settings),
                mode=wandb_mode(),
                settings=quiet,
                **known,
            )
        except wandb.Error as error:  # not logged in, or no way to the server
            raise InputError(
                f"Weights & Biases: {error}", remedy="run: wandb login, or set WANDB_MODE=offline"
            ) from None

        step, validated = told_in_files(folder, note.id) if note.id else (0, 0)
        on_server = int(self._run.step) - 1  # the next one is known to a run that is gone on with online
        # By earlier sessions: W&B takes steps in rising order only, and the last ones come again after a kill.
        self._told = WandbNote(str(self._run.id), max(note.step, step, on_server), max(note.validated, validated))
        self._note = self._told
        self._note.write(folder)
        for row in rows:  # which the training will not come to again, and W&B may have lost
            self.log(int(row["step"]), {name: value for name, value in row.items() if name != "step"})

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Log numbers."""
        self._log_validation(step, dict(values))

    def log_step(self, step: int, values: Mapping[str, float]) -> None:
        """Log numbers, of a step that is not known yet."""
        if step > self._told.step:
            self._log(step, dict(values), self._note.validated)

    def picture(self, step: int, name: str, picture: NDArray[np.uint8]) -> None:
        """Log a picture."""
        self._log_validation(step, {name: self._wandb.Image(picture)})

    def histograms(self, step: int, histograms: Mapping[str, Histogram]) -> None:
        """Log histograms."""
        made = {
            key: self._wandb.Histogram(np_histogram=(np.array(each.counts), np.array(each.edges)))
            for key, each in histograms.items()
        }
        self._log_validation(step, made)

    def _log_validation(self, step: int, values: dict[str, Any]) -> None:
        """Log what a validation tells; where only that is new of a step, at the next one that is not known."""
        if step > self._told.validated:
            self._log(max(step, self._told.step + 1), values, step)

    def _log(self, step: int, values: dict[str, Any], validated: int) -> None:
        self._run.log(values, step=step)
        self._note = replace(self._note, step=step, validated=validated)

    def close(self) -> None:
        """Finish the run, which writes what W&B holds back."""
        self._run.finish()
        self._note.write(self._folder)


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
    run: Path,
    names: Sequence[str],
    settings: Mapping[str, Any],
    rows: Sequence[Mapping[str, float]] = (),
    step: int = 0,
) -> list[Tracker]:
    """Return the CSV tracker of a run folder and those asked for by name.

    Parameters
    ----------
    run : Path
    names : sequence of str
    settings : mapping
    rows : sequence of mapping
        What was logged before, in a run that is gone on with.
    step : int
        Where it is gone on: what was logged of later steps comes again.

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
        trackers.append(WandbTracker(run, settings, rows))
    if "tensorboard" in names:
        trackers.append(TensorBoardTracker(run / "tensorboard", step))
    return [CsvTracker(run / "metrics.csv", rows), *trackers]
