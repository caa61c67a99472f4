"""Where numbers go: a table that survives a crash, TensorBoard and Weights & Biases by choice."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from unet.errors import InputError, MissingExtraError
from unet.trackers import COLUMNS, CsvTracker, Tracker, open_trackers, read_rows
from unet.trackers.histograms import Histogram, counted, of_network
from unet.trackers.wandb_mode import upload_hint, wandb_mode
from unet.trackers.wandb_run import WandbNote, history, told_in_files
from unet.training.step_log import StepLog

PICTURE = np.zeros((4, 6, 3), np.uint8)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def histograms(tensor: torch.Tensor) -> dict[str, Histogram]:
    found = counted(tensor)
    return {} if found is None else {"weights/a": found}


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
    tracker.log_step(4, {"step/loss": 1.0})
    tracker.histograms(3, histograms(torch.zeros(3)))
    tracker.close()
    assert tuple(rows(path)[0]) == COLUMNS
    assert rows(path)[0]["val_mean_iou"] == "0.123457"
    assert rows(path)[2]["seconds"] == "nan" and len(rows(path)) == 3, "a row for each validation"


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
        board.log_step(step, {"step/loss": step})
        board.picture(step, "sample", PICTURE)
        board.histograms(step, histograms(torch.arange(64.0)))
    for tracker in (table, board):
        tracker.close()
    kept = read_rows(tmp_path / "metrics.csv", last_step=1)
    table, board = open_trackers(tmp_path, ("tensorboard",), {}, kept, step=2)
    for tracker in (table, board):
        log(tracker, 3, 4)
        tracker.close()
    assert [row["step"] for row in rows(tmp_path / "metrics.csv")] == ["1", "3", "4"]
    events = EventAccumulator(str(tmp_path / "tensorboard"), size_guidance={"histograms": 0})
    events.Reload()
    assert events.Tags()["images"] == ["sample"] and events.Tags()["histograms"] == ["weights/a"]
    steps = [event.step for event in events.Scalars("train_loss")]
    assert steps == [1, 2, 3, 4], "what came after the checkpoint is not there twice"
    assert [event.step for event in events.Scalars("step/loss")] == [1, 2], "what came before it is"
    drawn = events.Histograms("weights/a")[0].histogram_value
    assert (drawn.min, drawn.max, drawn.num, drawn.sum, drawn.bucket) == (0, 63, 64, 2016, [1.0] * 64)
    assert drawn.sum_squares == pytest.approx(np.square(np.arange(64)).sum())


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="an optional package")
def test_a_run_killed_before_its_first_state_begins_anew_in_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for _ in range(2):
        table, board = open_trackers(tmp_path, ("tensorboard",), {})
        for step in (10, 20):
            board.log_step(step, {"step/loss": 1.0})
        table.close()
        board.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("step/loss")] == [10, 20]


@pytest.mark.parametrize("shape", [(7,), (3, 5, 2), (1,)])
def test_a_histogram_counts_every_value(shape: tuple[int, ...]) -> None:
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = counted(tensor)
    assert found is not None and sum(found.counts) == tensor.numel() and len(found.edges) == len(found.counts) + 1
    expected, _ = np.histogram(tensor.numpy(), bins=np.array(found.edges))
    assert abs(np.cumsum(found.counts) - np.cumsum(expected)).max() <= 1, "but for what lies on an edge"
    assert found.total == pytest.approx(float(tensor.sum()), rel=1e-5)
    assert found.squares == pytest.approx(float(tensor.square().sum()), rel=1e-5)


def test_histograms_of_what_cannot_be_counted() -> None:
    assert counted(torch.zeros(0)) is None
    for bad in (torch.nan, torch.inf):
        assert counted(torch.tensor([1.0, bad])) is None
    same = counted(torch.full((5,), -3.0))
    assert same is not None and sum(same.counts) == 5 and same.edges[0] < -3 < same.edges[-1]


def test_histograms_of_a_network() -> None:
    network = torch.nn.Linear(3, 2)
    assert list(of_network(network)) == ["weights/weight", "weights/bias"]
    network(torch.ones(1, 3)).sum().backward()
    assert sum(of_network(network)["gradients/weight"].counts) == 6


class Heard(CsvTracker):
    """Notes what it is told between validations."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.told: list[tuple[int, dict[str, float]]] = []

    def log_step(self, step: int, values: Any) -> None:
        self.told.append((step, dict(values)))


def test_every_nth_step_is_told_with_the_mean_of_those_since(tmp_path: Path) -> None:
    tracker = Heard(tmp_path / "metrics.csv")
    steps = StepLog([tracker], every=2)
    for step, loss in enumerate((1.0, 2.0, None, 5.0, None, None, 9.0), start=1):
        steps.count(step, loss, 0.125, pictures=3, seconds=0.5)
    assert tracker.told == [
        (2, {"step/loss": 1.5, "step/lr": 0.125, "step/pictures_per_second": 6.0}),
        (4, {"step/loss": 5.0, "step/lr": 0.125, "step/pictures_per_second": 6.0}),
        (6, {"step/lr": 0.125, "step/pictures_per_second": 6.0}),
    ]


def wandb_session(run: Path, rows: list[int], steps: list[int], validated: list[int], kill: bool = False) -> None:
    """Go on after some validations; tell of steps, and of the validations at some of them; close, or be killed."""
    kept = [{"step": step, "train_loss": 1 / step, "val_mean_iou": 0.5} for step in rows]
    table, tracker = open_trackers(run, ("wandb",), {"seed": 3}, kept)
    for step in steps:
        tracker.log_step(step, {"step/loss": 1 / step})
        if step in validated:
            log(tracker, step)
            tracker.picture(step, "validation/a", PICTURE)
            for number in range(60):  # more than a block of a W&B file
                tracker.histograms(step, {f"weights/{number}": histograms(torch.arange(64.0))["weights/a"]})
    if kill:
        os.kill(os.getpid(), signal.SIGKILL)
    for each in (table, tracker):
        each.close()


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="an optional package")
@pytest.mark.parametrize("end", ["closed", "killed"])
def test_weights_and_biases_offline_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    """The first session comes to step 50, where its second validation does not come to its end; its state is of 20."""
    import wandb

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    first_session: tuple[list[int], ...] = ([], [10, 20, 30, 40, 50], [20])
    if end == "closed":
        wandb_session(tmp_path, *first_session)
    else:
        call = f"wandb_session(Path({str(tmp_path)!r}), *{first_session}, kill=True)"
        program = f"from tests.unit.test_trackers import Path, wandb_session; {call}"
        root = Path(__file__).parents[2]
        done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
    wandb_session(tmp_path, [20], [30, 40, 50, 60], [50])
    wandb.teardown()  # which waits for the process that writes
    sessions = sorted({path.resolve() for path in (tmp_path / "wandb").glob("offline-run-*")})
    assert len({path.name.split("-")[3] for path in sessions}) == 1, "one run of W&B"
    first, second = ([row for row in history(next(path.glob("*.wandb")))] for path in sessions)
    steps = [int(row["_step"]) for row in first], [int(row["_step"]) for row in second]
    both = [*first, *second]
    assert len({row["_step"] for row in both}) == len(both), "none is told twice"
    assert {int(row["_step"]) for row in both if "step/loss" in row} >= {10, 30, 40, 50, 60}
    validations = {int(row["_step"]): row for row in both if "val_mean_iou" in row}
    if end == "closed":
        assert steps == ([10, 20, 30, 40, 50], [51, 60]) and list(validations) == [20, 51]
        assert json.loads(first[1]["weights/0/values"]) == [1] * 64 and first[1]["validation/a/_type"] == '"image-file"'
    else:  # what W&B held back comes again as far as anybody knows it
        assert steps == ([10], [20, 30, 40, 50, 60]) and list(validations) == [20, 50]
    assert WandbNote.read(tmp_path) == WandbNote(sessions[0].name.rpartition("-")[2], 60, 50)


def test_a_note_of_weights_and_biases_that_is_none(tmp_path: Path) -> None:
    for text in ("[", '["x"]', '{"id": 3, "step": 1}', '{"id": "a", "step": "b"}'):
        (tmp_path / "wandb.json").write_text(text)
        assert WandbNote.read(tmp_path) == WandbNote()
    folder = tmp_path / "wandb" / "offline-run-1-abc"
    folder.mkdir(parents=True)
    for data in (b"", b"\0" * 40, b":W&B\0\0\0" + b"1234\x05\0\x01\xff\xff\xff\xff\xff"):
        (folder / "run-abc.wandb").write_bytes(data)
        assert told_in_files(tmp_path, "abc") == (0, 0)


def test_no_way_to_weights_and_biases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**options: Any) -> None:
        raise OSError("no way")

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init, Error=OSError, Settings=dict, __spec__=True))
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
