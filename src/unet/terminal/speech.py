"""Whether commands are heard: always where a person types them, from Python only where that is asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from typing import ParamSpec, TypeVar

from rich.console import Console

from unet.terminal.console import SafeConsole

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger("unet")


@dataclass(frozen=True)
class Speech:
    """What is said while a function runs, and whether it is shown."""

    shown: bool = True
    lines: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Keep a line; one that is not shown goes to the log "unet" too, which shows nothing unless it is set up."""
        self.lines.append(text)
        if not self.shown:
            log.info("%s", text)


_SPEECH: ContextVar[Speech | None] = ContextVar("speech", default=None)


def current_speech() -> Speech:
    """Return what is listened to; on the command line, where nobody listens, everything is shown."""
    return _SPEECH.get() or Speech()


def open_console(*, stderr: bool = False) -> Console:
    """Return the console for tables and lines, which prints nothing where nothing is shown."""
    return SafeConsole(stderr=stderr, soft_wrap=True, highlight=False, quiet=not current_speech().shown)


@contextmanager
def listening(verbose: bool) -> Iterator[list[str]]:
    """Collect the lines that are said in the block; without `verbose` nothing is shown.

    Parameters
    ----------
    verbose : bool
        Show what would be shown without this block. Within a block that shows nothing, nothing is shown.
    """
    speech = Speech(verbose and current_speech().shown)
    token = _SPEECH.set(speech)
    try:
        yield speech.lines
    finally:
        _SPEECH.reset(token)


def speaking(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function with a keyword `verbose` show nothing where that is False."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with listening(bool(kwargs.get("verbose", True))):
            return function(*args, **kwargs)

    return call
