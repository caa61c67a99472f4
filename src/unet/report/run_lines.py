"""Runs beside one another: a line for each, and which settings tell them apart."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from unet.config import Config

State = Literal["finished", "interrupted", "running", "not begun", "broken"]

METRICS = {
    "mean_iou": "mean IoU",
    "mean_dice": "mean Dice",
    "mean_iou_foreground": "mean IoU without background",
    "mean_dice_foreground": "mean Dice without background",
}
"""The scores that weights are kept by, and what they are called."""

NOT_COMPARED = frozenset({"root", "images", "masks", "trackers", "log_every"})
"""Settings that say where the data are, which has a column, or where numbers go."""


@dataclass(frozen=True)
class RunLine:
    """What a run is and has reached.

    Attributes
    ----------
    folder : Path
    began : datetime or None
        When it was decided.
    data : str
        As it was named: a folder, a list, the folder of the pictures.
    state : str
        finished, interrupted, running, not begun, or broken where a file of it cannot be read.
    steps : int or None
    seconds : float or None
        Training time of all sessions.
    metric : str
        The score that decided which weights are kept.
    score : float or None
        It, of the best weights on the validation pictures.
    test_score : float or None
        It, on the test pictures.
    settings : dict
        Every setting by its name; empty where they cannot be read.
    rows : tuple of dict
        The validations in metrics.csv, oldest first.
    pictures : str
        Stands for the validation pictures and their masks: the same where these are, whatever they are called.
    folds : int
        How many, where this is a cross-validation.
    fault : str
        Why it is broken.
    """

    folder: Path
    began: datetime | None = None
    data: str = ""
    state: State = "broken"
    steps: int | None = None
    seconds: float | None = None
    metric: str = ""
    score: float | None = None
    test_score: float | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    rows: tuple[dict[str, float], ...] = ()
    pictures: str = ""
    folds: int = 0
    fault: str = ""

    def differences(self, keys: Sequence[str]) -> str:
        """Return the settings of these names that are set, as `--set` takes them."""
        return ", ".join(f"{key}={text}" for key in keys if (text := shown_setting(self.settings.get(key))))


def flat_settings(settings: Config) -> dict[str, Any]:
    """Return every setting by its name, which belongs to one section only."""
    return {key: value for section in settings.model_dump(mode="json").values() for key, value in section.items()}


def by_score(lines: Iterable[RunLine]) -> list[RunLine]:
    """Return runs in the order of their scores, the best first; those without one follow."""
    return sorted(lines, key=lambda line: (-1.0 if line.score is None else line.score, line.began or datetime.min))[
        ::-1
    ]


def differing(lines: Sequence[RunLine]) -> tuple[str, ...]:
    """Return the names of the settings that are not the same in all runs."""
    known = [line.settings for line in lines if line.settings]
    keys = known[0] if known else {}
    return tuple(
        key for key, value in keys.items()
        if key not in NOT_COMPARED and any(settings.get(key) != value for settings in known)
    )  # fmt: skip


def shown_setting(value: Any) -> str:
    """Return a setting in few characters; nothing where it is not set.

    Examples
    --------
    >>> [shown_setting(value) for value in (None, True, 0.0020, "ce + dice", [128, 128])]
    ['', 'true', '0.002', 'ce + dice', '[128, 128]']
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return f"[{', '.join(map(shown_setting, value))}]" if isinstance(value, list) else str(value)


def metrics_of(lines: Sequence[RunLine]) -> list[str]:
    """Return the scores that the runs were judged by, without repetition."""
    return sorted({line.metric for line in lines if line.metric})


def cautions(lines: Sequence[RunLine]) -> list[str]:
    """Return what to know before the scores of these runs are compared."""
    scored = [line for line in lines if line.score is not None]
    notes = []
    if len({line.pictures for line in scored if line.pictures}) > 1:
        notes.append("not all runs were validated on the same pictures: compare those that were")
    if len(metrics_of(lines)) > 1:
        notes.append("the runs were judged by different scores: compare those of one kind")
    return notes


def as_csv(lines: Sequence[RunLine]) -> str:
    """Return a table of the runs; each setting that differs has a column."""
    keys = differing(lines)
    head = ("run", "began", "data", "state", "steps", "seconds", "metric", "score", "test_score", "folds", "fault")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*head, *keys))
    for line in lines:
        began = line.began.isoformat(timespec="seconds") if line.began else ""
        seconds = "" if line.seconds is None else f"{line.seconds:.1f}"
        scores = ["" if value is None else f"{value:.6g}" for value in (line.score, line.test_score)]
        writer.writerow(
            (line.folder.as_posix(), began, line.data, line.state, line.steps, seconds, line.metric, *scores,
             line.folds or "", line.fault, *(shown_setting(line.settings.get(key)) for key in keys))
        )  # fmt: skip
    return text.getvalue()
