"""Ctrl-C and SIGTERM: the step under way ends, and what was reached is saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from unet.errors import Terminated


@dataclass
class Stop:
    """Whether someone asked to stop."""

    requested: bool = False


_last = signal.SIGINT


def interruption() -> KeyboardInterrupt:
    """Return what to raise when a training has ended early: by the signal that asked for it."""
    return Terminated() if _last == signal.SIGTERM else KeyboardInterrupt()


@contextmanager
def graceful_stop(notify: Callable[[str], None]) -> Iterator[Stop]:
    """Turn the first Ctrl-C (or SIGTERM) into a request, so that the step under way ends and state is saved."""
    stop = Stop()

    def request(signum: int, frame: FrameType | None) -> None:
        global _last
        _last = signal.Signals(signum)
        if stop.requested:
            raise interruption()
        stop.requested = True
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
