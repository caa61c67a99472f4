"""A training that is killed, stopped or cut off goes on as if nothing had happened, bit for bit."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from unet import bundle, cli

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals are another matter there"),
]
DataMaker = Callable[..., Path]
STEPS = 300
LINE = (
    f"train data --steps {STEPS} --val 0.2 --set width=4 --set depth=2 --set crop=[24,32] --set precision=32-true "
    "--set channels_last=false --set validations=6"
)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_data: DataMaker) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # so that all processes add up in the same order
    make_data(count=6)


def start(line: str) -> subprocess.Popen[str]:
    """Start a command in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "unet", *line.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(line: str) -> None:
    """Run a command to its end."""
    process = start(line)
    _, printed = process.communicate(timeout=300)
    assert process.returncode == 0, printed


def wait_for(process: subprocess.Popen[str], holds: Callable[[], bool]) -> None:
    """Wait until something holds while the process is running."""
    end = time.monotonic() + 120
    while not holds():
        assert process.poll() is None, "ended too early"
        assert time.monotonic() < end
        time.sleep(0.02)


def steps(run: str) -> list[int]:
    path = Path(run, "metrics.csv")
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [int(row["step"]) for row in csv.DictReader(file)]


def step_of_checkpoint(run: str) -> int:
    from unet.training.checkpoint import read_loop_state

    return read_loop_state(Path(run, "checkpoints", "last.safetensors")).step


def same_file(name: str, left: str = "whole", right: str = "broken") -> bool:
    """Compare the weights (and in a checkpoint the state of the optimiser) of two runs, bit for bit."""
    one, other = load_file(Path(left, name)), load_file(Path(right, name))
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def leave_debris(run: str) -> None:
    """Put files there as a power cut may leave them."""
    Path(run, "checkpoints", ".last.safetensors.0badc0de.part").write_bytes(b"half")
    Path(run, ".model.safetensors.0badc0de.part").write_bytes(b"")
    Path(run, "evaluation.json.part").write_text('{"mean_iou": 0.', encoding="utf-8")
    with Path(run, "metrics.csv").open("a", encoding="utf-8") as file:
        file.write("29")  # cut off within a line


def test_killed_stopped_and_resumed_equals_uninterrupted() -> None:
    finish(f"{LINE} --out whole")

    process = start(f"{LINE} --out broken")
    wait_for(process, lambda: len(steps("broken")) >= 2 and Path("broken/checkpoints/last.safetensors").exists())
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    reached = step_of_checkpoint("broken")
    assert 0 < reached < STEPS
    leave_debris("broken")

    process = start("train --resume broken")
    wait_for(process, lambda: step_of_checkpoint("broken") > reached)
    process.send_signal(signal.SIGINT)
    _, printed = process.communicate(timeout=120)
    assert process.returncode == 130, printed
    assert "Traceback" not in printed and "unet train --resume broken" in printed
    assert reached + 1 < step_of_checkpoint("broken") < STEPS
    leave_debris("broken")

    finish("train --resume broken")
    assert same_file("model.safetensors") and same_file("checkpoints/last.safetensors")
    assert steps("broken") == steps("whole"), "every validation once"
    with Path("whole/metrics.csv").open() as left, Path("broken/metrics.csv").open() as right:
        for one, other in zip(csv.DictReader(left), csv.DictReader(right), strict=True):
            for key in ("val_mean_iou", "val_mean_dice", "val_pixel_accuracy", "lr", "epoch"):
                assert one[key] == other[key]
    whole, broken = (json.loads(Path(run, "evaluation.json").read_text()) for run in ("whole", "broken"))
    assert whole == broken
    assert Path("broken/plan.md").read_text() == Path("whole/plan.md").read_text()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_leaves_a_usable_model(workers: int, number: signal.Signals) -> None:
    process = start(f"{LINE} --steps 100000 --out run --set workers={workers}")
    wait_for(process, lambda: Path("run/checkpoints/last.safetensors").exists())
    os.killpg(process.pid, number)  # as a terminal does: the processes that prepare samples get it too
    printed, messages = process.communicate(timeout=120)
    code, name = {signal.SIGINT: (130, "ctrl-C"), signal.SIGTERM: (143, "SIGTERM")}[number]
    assert process.returncode == code, messages
    assert "Traceback" not in messages and messages.splitlines()[-1] == f"unet: stopped by {name}"
    assert messages.count("stopping after this step") == 1
    assert "foreground" in printed, "the scores of what was reached"
    model = bundle.load(Path("run/model.safetensors"))
    assert model.provenance["step"] >= 1
    assert Path("run/report.html").stat().st_size > 10_000 and Path("run/evaluation.json").exists()
    assert cli.main("predict -m run/model.safetensors -i data/imgs -o masks".split()) == 0
    assert len(list(Path("masks").iterdir())) == 6
    assert not list(Path("run").rglob("*.part"))
    # ... and a checkpoint to go on from.
    text = Path("run/config.toml").read_text()
    Path("run/config.toml").write_text(text.replace("steps = 100000", f"steps = {step_of_checkpoint('run') + 2}"))
    finish("train --resume run")


def test_an_impatient_second_stop_ends_at_once() -> None:
    process = start(f"{LINE} --steps 100000 --out run")
    wait_for(process, lambda: Path("run/checkpoints/last.safetensors").exists())
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=120)
    assert process.returncode == 130 and "Traceback" not in messages, messages
    assert step_of_checkpoint("run") >= 1
