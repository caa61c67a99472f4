"""Two processes that train together on this CPU: the same as one, and one of them may die, fail or be stopped."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from processes import TINY, Command, run, state_of, stop_after_step
from safetensors.torch import load_file

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes by /proc"),
]
DataMaker = Callable[..., Path]

# Three samples, so that the two have not as many; a norm that sees one sample at a time.
LINE = (
    f"train data --steps 60 {TINY} --set batch_size=3 --set norm=instance --set validations=12 --set learning_rate=5e-4"
)

WATCH = """
import os, sys

def watch(event, arguments):
    if event == "open":
        path, _, flags = arguments
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    else:
        path = arguments[0] if arguments else None
        writes = event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate", "shutil.rmtree")
    if writes and isinstance(path, (str, os.PathLike)):
        path = os.path.relpath(os.path.abspath(path), HERE)
        if path.startswith("two") and not path.startswith("two/cache"):  # where whoever decodes a picture keeps it
            os.write(LOG, (path + "\\n").encode())

HERE = os.getcwd()
if "RANK" in os.environ:
    LOG = os.open("written-by-" + os.environ["RANK"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    sys.addaudithook(watch)
"""
"""Run by each process when it starts: it puts down which files of the run folder it writes, makes or removes."""

DAMAGE = """
import errno, os, sys

def fail(event, arguments):
    if event == "open" and "imgs" in str(arguments[0]):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

if os.readlink("/proc/self/fd/1").endswith("said-1"):
    sys.addaudithook(fail)
"""
"""The second process cannot read any picture, as from a disk that fails after the pictures were looked at."""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_data: DataMaker) -> None:
    monkeypatch.chdir(tmp_path)
    make_data(count=6)


@pytest.fixture
def at_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A function that lets every Python process run a text before anything else."""

    def prepare(text: str) -> None:
        (tmp_path / "start").mkdir()
        (tmp_path / "start/sitecustomize.py").write_text(text, encoding="utf-8")
        path = [str(tmp_path / "start"), os.environ.get("PYTHONPATH", "")]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(part for part in path if part))

    return prepare


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {"folder": tmp_path_factory.mktemp("one-process")}


@pytest.fixture
def one_run(one: dict[str, Path]) -> Path:
    """The run of one process."""
    folder = one["folder"] / "run"
    if not folder.exists():
        run(f"{LINE} --out {folder}")
    return folder


def numbers(folder: Path) -> list[dict[str, float]]:
    with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{key: float(row[key]) for key in row if key == "step" or "loss" in key or "val_" in key} for row in rows]


def check_equal(folder: Path, expected: Path) -> None:
    """Compare two runs: losses and weights to what the order of additions leaves open, scores exactly."""
    rows, others = numbers(folder), numbers(expected)
    assert len(rows) == len(others) == 12
    for row, other in zip(rows, others, strict=True):
        assert row == pytest.approx(other, rel=5e-4)
    weights, wanted = (load_file(each / "checkpoints/last.safetensors") for each in (folder, expected))
    assert weights.keys() == wanted.keys()
    for name in wanted:
        if wanted[name].is_floating_point():
            torch.testing.assert_close(weights[name], wanted[name], atol=2e-4, rtol=2e-3)


def check_scores(folder: Path) -> None:
    """Score the model of a run in one process: every pixel is counted as in the run's processes."""
    recorded = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    run(f"evaluate {folder} --exact --split val --json again.json")
    again = json.loads(Path("again.json").read_text(encoding="utf-8"))
    assert again["confusion"] == recorded["confusion"] and again["classes"] == recorded["classes"]


def second_of(command: Command) -> int:
    """Return the id of the second process that a command has started."""
    parent = command._process.pid
    return int(Path(f"/proc/{parent}/task/{parent}/children").read_text().split()[1])


def ended(command: Command, code: int) -> str:
    """Wait for a command to end with a code, one minute at most; return what it printed."""
    command._process.join(60)
    if command.is_running:
        command.kill()
    return command.wait(code)


def test_torchrun_gives_what_one_process_gives_and_the_first_alone_writes(
    one_run: Path, at_start: Callable[[str], None]
) -> None:
    at_start(WATCH)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "unet"]
    done = subprocess.run(
        [*launcher, *LINE.split(), "--out", "two"],
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("2 processes share each batch of 3: 1 or 2 samples each") == 1
    check_equal(Path("two"), one_run)
    check_scores(Path("two"))
    assert "2 processes share each batch of 3" in Path("two/plan.md").read_text(encoding="utf-8")
    assert "two/.metrics.csv." in Path("written-by-0").read_text() and Path("two/report.html").exists()
    assert Path("written-by-1").read_text() == ""


def test_a_process_that_is_killed_ends_all_and_one_goes_on(one_run: Path) -> None:
    command = Command(f"{LINE} --out broken --devices 2")
    command.wait_until(lambda: Path("broken/metrics.csv").exists() and len(numbers(Path("broken"))) > 0)
    os.kill(second_of(command), signal.SIGKILL)
    last = ended(command, 1).strip().splitlines()[-1]
    assert last.startswith("unet: error: process 2 of 2 was killed by SIGKILL") and "--resume" in last
    assert 5 <= state_of(Path("broken"))["step"] < 60
    run("train --resume broken")
    check_equal(Path("broken"), one_run)


def test_an_error_of_the_second_process_is_told_in_one_line(at_start: Callable[[str], None]) -> None:
    at_start(DAMAGE)
    printed = ended(Command(f"{LINE} --out broken --devices 2"), 2)
    errors = [line for line in printed.splitlines() if line.startswith("unet: error: ")]
    assert len(errors) == 1 and "imgs" in errors[0] and "Input/output error" in errors[0]


def test_two_go_on_where_one_was_stopped_and_ctrl_c_stops_both() -> None:
    run(f"{LINE.replace('--steps 60', '--steps 2000')} --out broken", stop_after_step, 3, code=130)
    command = Command("train --resume broken --devices 2")
    command.wait_until(lambda: "2 processes share" in command.printed)
    before = state_of(Path("broken"))["step"]
    command.wait_until(lambda: Path("broken/metrics.csv").exists() and len(numbers(Path("broken"))) > 0)
    command.send(signal.SIGINT)
    printed = ended(command, 130)
    assert printed.count("stopping after this step") == 1
    assert 3 <= before < state_of(Path("broken"))["step"] < 2000
    assert Path("broken/model.safetensors").exists() and Path("broken/report.html").exists()


def test_a_batch_in_parts_gives_what_the_whole_gives(one_run: Path) -> None:
    run(f"{LINE} --set accumulate=2 --out parts")
    check_equal(Path("parts"), one_run)


def test_batch_norm_of_two_processes_is_one_network_when_it_is_scored() -> None:
    run(f"train data --steps 12 {TINY} --set batch_size=4 --set norm=batch --out two --devices 2")
    check_scores(Path("two"))


def test_a_folder_without_a_run_is_told_in_one_line() -> None:
    printed = ended(Command("train --resume data --devices 2"), 2)
    errors = [line for line in printed.splitlines() if "error" in line]
    assert len(errors) == 1 and "data holds no run to go on with" in errors[0]


def test_what_several_processes_cannot_do_is_said() -> None:
    assert "batch_size = 1 for 2 processes" in ended(Command(f"{LINE} --set batch_size=1 --devices 2 --out no"), 2)
