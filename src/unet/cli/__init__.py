"""The command line: parses, dispatches, prints errors. Nothing heavy is imported until a command runs."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from unet.cli.commands import build_parser
from unet.cli.parser import Parser
from unet.errors import DataError, Terminated, UnetError, printable

__all__ = ["Parser", "build_parser", "main", "run_safely"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; `sys.argv[1:]` by default.

    Returns
    -------
    int
        0 done, 1 failed, 2 the user's input cannot be used, 130 stopped by ctrl-C, 143 by SIGTERM.
    """
    argv = sys.argv[1:] if argv is None else argv
    _open_closed_streams()
    parser = build_parser()
    if not argv:
        parser.print_help()
        return 0
    args = parser.parse(argv)
    return run_safely(lambda: args.run(args), "unet", debug=args.debug)


def run_safely(command: Callable[[], object], program: str, *, debug: bool = False) -> int:
    """Call a command and turn what it raises into one line on stderr and an exit code.

    Parameters
    ----------
    command : callable
        Takes nothing; what it returns is not used.
    program : str
        The name that begins the line.
    debug : bool
        Let exceptions through, traceback and all.
    """
    # Read by torch's thread pool when it loads: threads that spin for long while they wait for one another make
    # training many times slower on a machine that has anything else to do (docs/decisions/007-threads.md).
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a character that a terminal lacks is no reason to stop
    asked: list[int] = []
    try:
        with _signals_raise(asked):
            command()
        sys.stdout.flush()
    except KeyboardInterrupt as stop:
        return _stopped(program, signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)
    except BrokenPipeError:
        # The reader (`| head`) has gone.
        _silence(sys.stdout)
        return 1
    except Exception as error:
        if debug:
            raise
        if asked:
            # A compiled library (torch, reading a file) may turn the interruption into an error of its own.
            return _stopped(program, asked[-1])
        return _explain(error, program)
    return 0


@contextmanager
def _signals_raise(asked: list[int]) -> Iterator[None]:
    """Let SIGTERM end a command as ctrl-C does, so that nothing half-written stays; both are added to the list."""

    def raise_it(signum: int, frame: object) -> None:
        asked.append(signum)
        raise Terminated if signum == signal.SIGTERM else KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    main_thread = threading.current_thread() is threading.main_thread()
    untouched = (signal.default_int_handler, signal.SIG_DFL)
    ours = [number for number, handler in before.items() if main_thread and handler in untouched]
    for number in ours:
        signal.signal(number, raise_it)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])


def _stopped(program: str, signum: int) -> int:
    """Say that a signal has ended the command; return the exit code."""
    _complain(program, f"stopped by {'SIGTERM' if signum == signal.SIGTERM else 'ctrl-C'}")
    return 128 + signum


def _explain(error: Exception, program: str) -> int:
    """Print what went wrong, for a user; return the exit code."""
    match error:
        case UnetError():
            faults = error.faults if isinstance(error, DataError) else ()
            if len(faults) == 1:
                _complain(program, f"error: {error}: {faults[0]}")
            else:
                _complain(program, f"error: {error}", *faults)
            return error.exit_code
        case ModuleNotFoundError(name=str(name)) if not name.startswith("unet"):
            _complain(program, f"error: the package {name} is not installed; run: make setup, or pip install -e .")
            return 2
        case OSError(filename=file) if file is not None:
            _complain(program, f"error: {file}: {error.strerror}")
            return 2
        case OSError(errno=int()):  # a full disk, as a rule
            _complain(program, f"error: a file cannot be read or written ({error.strerror})")
            return 2
        case MemoryError():
            _complain(program, "error: the memory does not suffice (--debug shows where)")
            return 2
        case _:
            words = " ".join(str(error).split())
            shown = words if len(words) <= 300 else words[:300] + " ..."
            _complain(program, f"unexpected {type(error).__name__}: {shown} (--debug shows where)")
            return 1


def _complain(program: str, line: str, *more: str) -> None:
    try:
        sys.stdout.flush()
    except OSError:  # what could not be written is the reason for the complaint
        _silence(sys.stdout)
    try:
        print(f"{program}: {printable(line)}", *(f"  {printable(fault)}" for fault in more), sep="\n", file=sys.stderr)
        sys.stderr.flush()
    except OSError:
        _silence(sys.stderr)


def _silence(stream: TextIO) -> None:
    """Let go what a stream still holds: Python would complain again when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _open_closed_streams() -> None:
    """Give a place to print to where the shell has closed them (`>&-`)."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (until the process ends)
