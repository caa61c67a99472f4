"""Ctrl-C and SIGTERM: the step under way ends, and what was reached is saved."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from unet import processes
from unet.errors import Terminated

ONCE_SECONDS = 1.0
"""Of several processes each gets a ctrl-C of the terminal twice: from there, and from what has started it."""


@dataclass
class Stop:
    """Whether someone asked to stop, and by which signal."""

    signal: int = 0
    asked_at: float = 0.0

    @property
    def requested(self) -> bool:
        """Someone did."""
        return self.signal > 0

    def agree(self, due: bool) -> tuple[bool, bool]:
        """Return whether to stop, as any process was asked to, and whether something is due, as the first says."""
        signum, is_due = processes.most(self.signal, due and processes.is_first())
        if signum and not self.signal:
            note(int(signum))
            self.signal = int(signum)
        return self.requested, bool(is_due)


_last = signal.SIGINT


def last_signal() -> int:
    """Return the signal that asked for a stop the last time."""
    return _last


def note(signum: int) -> None:
    """Take note of a signal that asked for a stop."""
    global _last
    _last = signal.Signals(signum)


def interruption() -> BaseException:
    """Return what to raise when a training has ended early: by the signal that asked for it."""
    return Terminated() if _last == signal.SIGTERM else KeyboardInterrupt()


@contextmanager
def graceful_stop(notify: Callable[[str], None]) -> Iterator[Stop]:
    """Turn the first Ctrl-C (or SIGTERM) into a request, so that the step under way ends and state is saved."""
    stop = Stop()

    def request(signum: int, frame: FrameType | None) -> None:
        note(signum)
        if stop.requested:
            if processes.count() > 1 and time.monotonic() - stop.asked_at < ONCE_SECONDS:
                return
            handler = before[signal.Signals(signum)]
            if callable(handler):
                handler(signum, frame)  # the command line's: it raises, and remembers that it did
            raise interruption()
        stop.signal, stop.asked_at = signum, time.monotonic()
        notify("stopping after this step and saving what was reached (once more: stop at once)")

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
