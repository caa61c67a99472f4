"""`--devices N`: N processes of this machine that train together, watched by the one that the user has started."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from unet.errors import ConfigError, ProcessLost, Terminated, TrainingError
from unet.processes import Place, joined, started_as

if TYPE_CHECKING:
    from unet.runs.train_run import TrainResult

GRACE_SECONDS = 10.0
"""So long the others may take to save and end when a process has failed."""

_STORE, _OUTCOME, _SAID = "store", "outcome-{}", "said-{}"


@dataclass(frozen=True)
class Order:
    """What a process is told by the one that has started it."""

    place: Place
    folder: Path
    arguments: Mapping[str, Any]
    shown: bool


@dataclass(frozen=True)
class Outcome:
    """How a process ended: its result (of the first) with what it said and the signal that stopped it, or an error."""

    result: Any = None
    said: list[str] = field(default_factory=list)
    signum: int = 0
    error: BaseException | None = None
    trace: str = ""


def train_on_devices(count: int, arguments: Mapping[str, Any]) -> TrainResult:
    """Train in this process, or in several; otherwise as `launch`."""
    if count > 1:
        return launch(count, arguments)
    from unet.commands.train import train

    return train(**arguments)


def launch(count: int, arguments: Mapping[str, Any]) -> TrainResult:
    """Train in several processes of this machine.

    Parameters
    ----------
    count : int
    arguments : mapping
        Those of `unet.commands.train.train`.

    Returns
    -------
    TrainResult
        That of the first process.

    Raises
    ------
    UnetError
        What one of the processes raised, or that it was killed; the others have ended.
    """
    from unet.terminal.speech import current_speech
    from unet.training.stopping import interruption, note

    if started_as().count > 1:
        raise ConfigError(f"--devices {count} in one of several processes", "one of both: torchrun, srun, or --devices")
    with TemporaryDirectory(prefix="unet-devices-") as name:
        folder = Path(name)
        orders = [
            Order(Place(rank, count, rank, count), folder, arguments, current_speech().shown) for rank in range(count)
        ]
        children: list[subprocess.Popen[bytes]] = []
        with _signals_handed_on(children) as asked:
            try:
                children += [_start(order) for order in orders]
                ranks = _ended(children, asked)
            finally:
                _kill(children)
        if len(asked) > 1 and len(ranks) < count:  # some wait where no signal reaches them
            note(asked[0])
            raise interruption()
        outcomes = [_outcome(orders[rank], child) for rank, child in enumerate(children)]
    _raise_first(ranks, outcomes)
    outcome = outcomes[0]
    current_speech().lines.extend(outcome.said)
    if outcome.signum:
        note(outcome.signum)
    return outcome.result  # type: ignore[no-any-return]


def _start(order: Order) -> subprocess.Popen[bytes]:
    environment = dict(os.environ)
    # So many threads in each that all together are as many as there are processors.
    environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // order.place.count)))
    said = None if order.place.rank == 0 else (order.folder / _SAID.format(order.place.rank)).open("wb")
    try:
        child = subprocess.Popen(
            [sys.executable, "-c", "from unet.commands.launch import child; child()"],
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=said,
            env=environment,
            start_new_session=True,  # ctrl-C comes to this process, which hands it on
        )
    finally:
        if said is not None:
            said.close()
    assert child.stdin is not None
    with suppress(BrokenPipeError):  # it has died already, and will be asked why
        child.stdin.write(pickle.dumps(order))
        child.stdin.flush()  # and stays open: its end tells the child that this process is gone
    return child


@contextmanager
def _signals_handed_on(children: Sequence[subprocess.Popen[bytes]]) -> Iterator[list[int]]:
    """Give ctrl-C and SIGTERM to the processes, which end by themselves; yield those that have come."""
    asked: list[int] = []

    def hand_on(signum: int, frame: object) -> None:
        asked.append(signum)
        for child in children:
            child.send_signal(signum)

    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.signal(number, hand_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ended(children: Sequence[subprocess.Popen[bytes]], asked: Sequence[int]) -> list[int]:
    """Wait until all processes have ended, or one has failed and the others had time; return them in their order.

    They have as much time when they were asked to stop twice.
    """
    order: list[int] = []
    deadline = float("inf")
    while len(order) < len(children) and time.monotonic() < deadline:
        for rank, child in enumerate(children):
            if rank not in order and child.poll() is not None:
                order.append(rank)
                if child.returncode:
                    deadline = min(deadline, time.monotonic() + GRACE_SECONDS)
        if len(asked) > 1:
            deadline = min(deadline, time.monotonic() + GRACE_SECONDS)
        time.sleep(0.02)
    return order


def _kill(children: Sequence[subprocess.Popen[bytes]]) -> None:
    for child in children:
        if child.poll() is None:
            child.kill()
        child.wait()
        if child.stdin is not None:
            with suppress(BrokenPipeError):
                child.stdin.close()


def _outcome(order: Order, child: subprocess.Popen[bytes]) -> Outcome:
    """Return how a process ended, also one that could not tell any more."""
    rank, folder = order.place.rank, order.folder
    path = folder / _OUTCOME.format(rank)
    if path.exists():
        return pickle.loads(path.read_bytes())  # type: ignore[no-any-return]  # written by our own child
    if not child.returncode:
        return Outcome()
    code = child.returncode
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    said = folder / _SAID.format(rank)
    last = said.read_text("utf-8", "replace").strip().splitlines()[-1:] if said.exists() else []
    return Outcome(
        error=TrainingError(
            f"process {rank + 1} of {order.place.count} {how}{''.join(f' ({line})' for line in last)}",
            remedy="as a rule memory ran out; go on, in as many processes as you like: unet train --resume RUN",
        )
    )


def _raise_first(ranks: Sequence[int], outcomes: Sequence[Outcome]) -> None:
    """Raise what the first process to fail has raised; that others lost it is no news."""
    failed = [(outcomes[rank].error, outcomes[rank].trace) for rank in ranks]
    own = [(error, trace) for error, trace in failed if not isinstance(error, ProcessLost)]
    for error, trace in (*own, *failed):
        if error is not None:
            raise error from (_Trace(trace) if trace else None)


class _Trace(Exception):
    """Where an error was raised in one of the processes: shown with --debug."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


# ---- in the processes ----


def child() -> None:
    """Do what the process that has started this one wants."""
    order: Order = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    outcome = _carried_out(order)
    if outcome.error is not None or order.place.rank == 0:
        path = order.folder / _OUTCOME.format(order.place.rank)
        path.with_suffix(".part").write_bytes(pickle.dumps(outcome))
        path.with_suffix(".part").rename(path)
    if outcome.error is not None:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(1)  # without waiting for an answer of those that are gone


def _carried_out(order: Order) -> Outcome:
    def terminate(*_: object) -> None:
        raise Terminated

    try:
        signal.signal(signal.SIGTERM, terminate)
        from unet.commands.train import train
        from unet.terminal.speech import listening
        from unet.training.stopping import last_signal

        with joined(order.place, order.folder / _STORE), listening(order.shown and order.place.rank == 0) as said:
            result = train(**order.arguments)
        return Outcome(result, said, 0 if result.finished else last_signal())
    except SystemExit:
        return Outcome()
    except BaseException as error:
        trace = traceback.format_exc()
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # one that cannot be sent
            return Outcome(error=RuntimeError(f"{type(error).__name__}: {error}"), trace=trace)
        return Outcome(error=error, trace=trace)


def _end_with_parent() -> None:
    """End at once where the process that has started this one is gone, as nobody would end it any more."""
    while os.read(0, 1):
        pass
    os._exit(1)
