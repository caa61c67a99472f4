"""A case in a process of its own, forked from one that has imported everything, with limits on memory and time."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

GIGABYTES = 3
"""Of address space beyond what the warmed process has."""

MOST_RESIDENT = 1500 << 20
"""Bytes of memory in use beyond what the warmed process has: more is a failure, though the case may come to an end."""

CPU_SECONDS, WALL_SECONDS = 30, 240
"""Of processor time, which does not depend on how busy the machine is; and of time, for those that sleep for ever."""


@dataclass(frozen=True)
class Ended:
    """How a command came to its end: exit code or -signal, what it printed, and the memory it took beyond the start."""

    code: int
    out: str
    err: str
    resident: int
    seconds: float


def warm_up() -> None:
    """Import what commands import, so that a case costs no more than a fork; no thread is started."""
    import pyogrio.raw
    import rasterio
    import shapely
    import torch

    import unet.commands.augment_preview
    import unet.commands.convert
    import unet.commands.evaluate
    import unet.commands.evaluate_shapes
    import unet.commands.export
    import unet.commands.import_
    import unet.commands.inspect
    import unet.commands.map_
    import unet.commands.plan
    import unet.commands.predict
    import unet.commands.repair
    import unet.commands.stitch
    import unet.commands.tile
    import unet.commands.train
    import unet.commands.vectorize
    import unet.data.importing.coco
    import unet.data.importing.labelme
    import unet.data.importing.nnunet
    import unet.data.importing.objects
    import unet.data.importing.yolo  # noqa: F401

    assert all((pyogrio, rasterio, shapely))
    torch.set_num_threads(1)


def run_child(argv: Sequence[str], folder: Path, prints: Path) -> Ended:
    """Run a command line in a folder, in a forked process."""
    prints.mkdir(parents=True, exist_ok=True)
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    child = os.fork()
    if child == 0:
        _become(argv, folder, prints)
    status, used = _wait(child)
    code = os.waitstatus_to_exitcode(status)
    out, err = ((prints / name).read_text(encoding="utf-8", errors="replace") for name in ("out", "err"))
    return Ended(code, out, err, (used.ru_maxrss - before) * 1024, time.monotonic() - began)


def run_in_fork(function: Callable[[], object]) -> int:
    """Call a function in a forked process, so that this one starts no threads; return 0 where it came to its end."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            function()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1]


def _become(argv: Sequence[str], folder: Path, prints: Path) -> None:
    """Be the command: never returns."""
    code = 99
    try:
        os.setsid()
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(prints / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(folder)
        limit = _address_space() + (GIGABYTES << 30)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))
        sys.argv = ["unet", *argv]
        from unet.__main__ import main

        code = main()
    except SystemExit as stopped:  # argparse
        code = stopped.code if isinstance(stopped.code, int) else 0 if stopped.code is None else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _wait(child: int) -> tuple[int, resource.struct_rusage]:
    end = time.monotonic() + WALL_SECONDS
    pause = 0.002
    while time.monotonic() < end:
        done, status, used = os.wait4(child, os.WNOHANG)
        if done:
            return status, used
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
    os.killpg(child, signal.SIGKILL)
    _, status, used = os.wait4(child, 0)
    return status, used
