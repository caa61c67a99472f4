"""Commands in processes of their own, which can be killed, and runs to compare.

The processes are forked from one that has imported torch: importing takes longer than most of what is tested.
"""

from __future__ import annotations

import csv
import errno
import json
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from unet import bundle

Prepare = Callable[..., None]

VARIANTS = {
    "plain": "--set deep_supervision=false",
    "dropout": "--set dropout=0.2",
    "plateau": "--set schedule=plateau --set plateau_by=loss --set patience=1 --set factor=0.5",
    "workers": "--set workers=2",
    "deep supervision": "--set deep_supervision=true",
    "border weight": "--set border_weight=5",
}
"""Settings, beside those of `TINY`, of which each needs something else of a state."""

TINY = (
    "--val 0.2 --set width=4 --set depth=2 --set crop=[24,32] --set batch_size=2 --set precision=32-true "
    "--set channels_last=false --set validations=3 --set learning_rate=0.02"
)
"""Settings of a training that takes a second."""

KILLED = -signal.SIGKILL
"""The exit code of a process that was killed."""

TIMES = ("seconds", "pictures_per_second")
"""Columns of metrics.csv that two equal runs do not share."""


class Command:
    """A command line in a process and a process group of its own, in the present folder.

    Parameters
    ----------
    line : str
        What follows `unet`.
    prepare : callable, optional
        Called in the process before the command, with `arguments`; a function that can be imported.
    """

    def __init__(self, line: str, prepare: Prepare | None = None, *arguments: Any) -> None:
        self._log = Path(f"{os.urandom(4).hex()}.log").absolute()
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(
            ["unet.cli", "unet.commands.evaluate", "unet.commands.train", "lightning_fabric", "torch._dynamo"]
        )
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # all processes are to add up in the same order
        self._process: ForkServerProcess = context.Process(
            target=_main, args=(line.split(), os.getcwd(), environment, self._log, prepare, arguments)
        )
        self._process.start()

    @property
    def printed(self) -> str:
        """What came to stdout and stderr."""
        return self._log.read_text(encoding="utf-8") if self._log.exists() else ""

    @property
    def is_running(self) -> bool:
        return self._process.is_alive()

    def send(self, number: int) -> None:
        """Send a signal to the process and those that it has started, as a terminal does."""
        assert self._process.pid is not None
        os.killpg(self._process.pid, number)

    def kill(self) -> str:
        """End the process at once, but not those that it has started; return what it had printed."""
        self._process.kill()
        self._process.join()
        return self.printed

    def wait(self, code: int = 0) -> str:
        """Wait for the end, which must be with this exit code; return what was printed."""
        self._process.join(300)
        assert self._process.exitcode == code, f"exit code {self._process.exitcode}\n{self.printed}"
        assert "Traceback" not in self.printed, self.printed
        return self.printed

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds while the process is running."""
        end = time.monotonic() + 120
        while not holds():
            assert self.is_running, f"ended too early\n{self.printed}"
            assert time.monotonic() < end, self.printed
            time.sleep(0.01)


def run(line: str, prepare: Prepare | None = None, *arguments: Any, code: int = 0) -> str:
    """Run a command to its end; return what it printed."""
    return Command(line, prepare, *arguments).wait(code)


def _main(
    argv: list[str],
    folder: str,
    environment: dict[str, str],
    log: Path,
    prepare: Prepare | None,
    arguments: tuple[Any, ...],
) -> None:
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(handle, stream.fileno())
    multiprocessing.set_start_method(multiprocessing.get_all_start_methods()[0], force=True)  # as in any process
    from unet import cli

    torch.set_num_threads(1)
    if prepare is not None:
        prepare(*arguments)
    sys.exit(cli.main(argv))


# ---- what is called in the process before the command ----


def save_often() -> None:
    """Write a state after each step."""
    from unet.training import loop

    loop.SAVE_SECONDS = (0.0, 0.0)


def die_after_step(step: int) -> None:
    """Let the process kill itself once the state of a step is written; before the first step where that is 0."""
    from unet.training import loop
    from unet.training.engine import Engine

    save_often()
    write = loop.save_state

    def save_state(folder: Path, engine: Any, state: Any) -> None:
        write(folder, engine, state)
        if state.step == step:
            os.kill(os.getpid(), signal.SIGKILL)

    loop.save_state = save_state
    if step == 0:
        Engine.step = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]


def stop_after_step(step: int) -> None:
    """Let the process get a ctrl-C once the state of a step is written."""
    from unet.training import loop

    save_often()
    write, stopped = loop.save_state, [False]

    def save_state(folder: Path, engine: Any, state: Any) -> None:
        write(folder, engine, state)
        if state.step == step and not stopped[0]:
            stopped[0] = True
            os.kill(os.getpid(), signal.SIGINT)

    loop.save_state = save_state


def fill_disk(name: str, times: int = 1) -> None:
    """Let the disk be full from when a file of that name is given its content for the n-th time."""
    save_often()
    replace, left = os.replace, [times]

    def counted(source: Any, target: Any) -> None:
        left[0] -= Path(target).name == name
        if left[0] <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    os.replace = counted


def limit_file_size(size: int) -> None:
    """Let every file end at so many bytes, as on a disk that is full."""
    save_often()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def die_with_what_is_trained(path: Path) -> None:
    """Let the process write its network and optimiser to a file and kill itself before the first step."""
    from unet.training.engine import Engine

    def step(engine: Engine, *arguments: Any) -> None:
        torch.save({"network": engine.network.state_dict(), "optimizer": engine.optimizer.state_dict()}, path)
        os.kill(os.getpid(), signal.SIGKILL)

    Engine.step = step  # type: ignore[assignment]


def die_before_writing(name: str, times: int = 1) -> None:
    """Let the process kill itself before it gives a file of that name its content for the n-th time."""
    save_often()
    replace, left = os.replace, [times]

    def counted(source: Any, target: Any) -> None:
        left[0] -= Path(target).name == name
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)

    os.replace = counted


# ---- runs ----


def state_of(run: Path) -> dict[str, Any]:
    """Return what the last state of a run says of the loop."""
    from unet.training.checkpoint import LAST, read_loop_state

    return read_loop_state(run / "checkpoints" / LAST).to_dict()


def rows_of(run: Path) -> list[dict[str, str]]:
    """Return the rows of metrics.csv but for what tells the time."""
    if not (run / "metrics.csv").exists():
        return []
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return [{key: value for key, value in row.items() if key not in TIMES} for row in csv.DictReader(file)]


def differences(whole: Path, broken: Path) -> list[str]:
    """Return in which respects two finished runs differ: weights, state, history, scores; all bit for bit."""
    differ = []
    for name in ("model.safetensors", "checkpoints/last.safetensors"):
        first, second = load_file(whole / name), load_file(broken / name)
        names = first.keys() ^ second.keys()
        differ += sorted(names | {key for key in first.keys() - names if not torch.equal(first[key], second[key])})
    first_state, second_state = state_of(whole), state_of(broken)
    for key in ("step", "samples", "best", "best_step", "loss_sum", "loss_count"):
        if first_state[key] != second_state[key]:
            differ.append(f"{key}: {first_state[key]} and {second_state[key]}")
    if rows_of(whole) != rows_of(broken):
        differ.append("metrics.csv")
    scores = [json.loads((run / "evaluation.json").read_text(encoding="utf-8")) for run in (whole, broken)]
    for picture in (picture for score in scores for picture in score["images"]):
        del picture["image"], picture["mask"]  # the two may have been trained in different folders
    if scores[0] != scores[1]:
        differ.append("evaluation.json")
    if any(scores[1][key] != value for key, value in bundle.load(broken / "model.safetensors").scores.items()):
        differ.append("the scores in evaluation.json and in model.safetensors")
    return differ
