"""Where numbers go: a table that survives a crash, TensorBoard and Weights & Biases by choice."""

from __future__ import annotations

import csv
import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from unet.errors import InputError, MissingExtraError
from unet.trackers import COLUMNS, CsvTracker, Tracker, open_trackers, read_rows
from unet.trackers.wandb_mode import upload_hint, wandb_mode

PICTURE = np.zeros((4, 6, 3), np.uint8)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def log(tracker: Tracker, *steps: int) -> None:
    for step in steps:
        tracker.log(step, {"train_loss": 1 / step, "lr": 1e-3, "val_mean_iou": 0.123456789})


def test_a_table(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    tracker = CsvTracker(path)
    log(tracker, 1, 2)
    assert [row["step"] for row in rows(path)] == ["1", "2"], "written at once, not at the end"
    tracker.log(3, {"strange": 1.0, "seconds": float("nan")})
    tracker.picture(3, "a", PICTURE)
    tracker.histograms(3, {"a": torch.zeros(3)})
    tracker.close()
    assert tuple(rows(path)[0]) == COLUMNS
    assert rows(path)[0]["val_mean_iou"] == "0.123457"
    assert rows(path)[2]["seconds"] == "nan"


@pytest.mark.parametrize("debris", ["", "6", "6,0.1,", "6,1,2,3,4,5,6,7,8,9,10,11,12\n", "\0\0\0\0", "x,,,,,,,,,\n"])
def test_a_resumed_table_goes_on_after_its_step(tmp_path: Path, debris: str) -> None:
    path = tmp_path / "metrics.csv"
    first = CsvTracker(path)
    log(first, 2, 4, 6, 8)
    first.close()
    with path.open("a", encoding="utf-8") as file:
        file.write(debris)
    second = CsvTracker(path, read_rows(path, last_step=6))
    log(second, 8, 10)
    second.close()
    assert [row["step"] for row in rows(path)] == ["2", "4", "6", "8", "10"]
    assert all(None not in row.values() for row in rows(path))


def test_a_new_table_replaces_an_old_one(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    for steps in ((1, 2, 3), (1,)):
        tracker = CsvTracker(path)
        log(tracker, *steps)
        tracker.close()
    assert [row["step"] for row in rows(path)] == ["1"]
    assert read_rows(tmp_path / "other.csv", last_step=5) == [], "nothing there to go on with"


def test_only_what_is_asked_for_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    (only,) = open_trackers(tmp_path, (), {})
    only.close()
    assert isinstance(only, CsvTracker) and not only.wants_histograms
    for name in ("wandb", "tensorboard"):
        with pytest.raises(MissingExtraError, match=r'pip install "unet\[track\]"'):
            open_trackers(tmp_path, (name,), {})


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="an optional package")
def test_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    table, board = open_trackers(tmp_path, ("tensorboard",), {})
    for step in (1, 2, 3):
        log(table, step)
        log(board, step)
        board.picture(step, "sample", PICTURE)
        board.histograms(step, {"weights/a": torch.randn(20)})
    for tracker in (table, board):
        tracker.close()
    kept = read_rows(tmp_path / "metrics.csv", last_step=2)
    table, board = open_trackers(tmp_path, ("tensorboard",), {}, kept)
    for tracker in (table, board):
        log(tracker, 3, 4)
        tracker.close()
    assert [row["step"] for row in rows(tmp_path / "metrics.csv")] == ["1", "2", "3", "4"]
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert events.Tags()["images"] == ["sample"] and events.Tags()["histograms"] == ["weights/a"]
    steps = [event.step for event in events.Scalars("train_loss")]
    assert steps == [1, 2, 3, 4], "what came after the checkpoint is not there twice"


class FakeRun:
    """Notes what Weights & Biases would be told."""

    def __init__(self) -> None:
        self.logged: list[tuple[int, dict[str, Any]]] = []
        self.finished = False

    def log(self, values: dict[str, Any], step: int) -> None:
        self.logged.append((step, values))

    def finish(self) -> None:
        self.finished = True


def test_weights_and_biases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = FakeRun()
    begun: dict[str, Any] = {}

    def init(**options: Any) -> FakeRun:
        begun.update(options)
        return run

    fake = SimpleNamespace(
        init=init,
        Image=lambda picture: ("picture", picture.shape),
        Histogram=lambda values: len(values),
        Error=OSError,
        __spec__=True,
    )
    monkeypatch.setitem(sys.modules, "wandb", fake)
    (tmp_path / "cars").mkdir()
    table, tracker = open_trackers(tmp_path / "cars", ("wandb",), {"seed": 3})
    assert begun["name"] == "cars" and begun["dir"] == str(tmp_path / "cars") and begun["config"] == {"seed": 3}
    tracker.log(1, {"a": 0.5})
    tracker.picture(1, "sample", PICTURE)
    tracker.histograms(1, {"w": torch.zeros(7)})
    for each in (table, tracker):
        each.close()
    assert run.logged == [(1, {"a": 0.5}), (1, {"sample": ("picture", (4, 6, 3))}), (1, {"w": 7})]
    assert run.finished


def test_no_way_to_weights_and_biases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**options: Any) -> None:
        raise OSError("no way")

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init, Error=OSError, __spec__=True))
    with pytest.raises(InputError, match="no way; run: wandb login, or set WANDB_MODE=offline"):
        open_trackers(tmp_path, ("wandb",), {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("environment", "mode"),
    [
        ({}, "offline"),
        ({"WANDB_API_KEY": "k"}, None),
        ({"WANDB_MODE": "online"}, None),
        ({"WANDB_BASE_URL": "https://own.example:8080"}, "offline"),
        ({"WANDB_BASE_URL": "https://two.example"}, None),
    ],
)
def test_without_an_account_it_is_offline(tmp_path: Path, environment: dict[str, str], mode: str | None) -> None:
    (tmp_path / "netrc").write_text("machine two.example\n  login user\n  password 0123\n")
    assert wandb_mode({"NETRC": str(tmp_path / "netrc"), **environment}) == mode


def test_how_to_upload_what_was_written_offline(tmp_path: Path) -> None:
    assert upload_hint(tmp_path) == ""
    (tmp_path / "wandb" / "run-1").mkdir(parents=True)
    assert upload_hint(tmp_path) == ""
    for name in ("offline-run-2", "offline-run-1"):
        (tmp_path / "wandb" / name).mkdir()
    paths = [tmp_path / "wandb" / f"offline-run-{number}" for number in (1, 2)]
    assert upload_hint(tmp_path).endswith(f'wandb sync "{paths[0]}" "{paths[1]}"')
