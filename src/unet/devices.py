"""Which device, which precision, which memory layout: measured where it is cheap to measure, and said."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from unet.errors import InputError

ENOUGH_SECONDS = 1.5
"""After so long no further round of a measurement begins."""


@dataclass(frozen=True)
class Compute:
    """How the arithmetic is done.

    Attributes
    ----------
    device : torch.device
    precision : {"32-true", "bf16-mixed", "16-mixed"}
        In the words of Lightning Fabric.
    channels_last : bool
    why : str
        One sentence for the person who reads the log.
    """

    device: torch.device
    precision: str = "32-true"
    channels_last: bool = True
    why: str = ""

    @property
    def memory_format(self) -> torch.memory_format:
        """Layout of network and input."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def autocast(self) -> torch.autocast:
        """Return the context in which a forward pass runs."""
        dtype = torch.float16 if self.precision == "16-mixed" else torch.bfloat16
        return torch.autocast(self.device.type, dtype=dtype, enabled=self.precision != "32-true")


def pick(name: str = "auto") -> torch.device:
    """Return the device of that name; "auto" takes the first of CUDA, Apple's MPS and the CPU.

    Raises
    ------
    InputError
        The name is unknown or the device is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device {name!r}", "auto, cpu, cuda, cuda:1 or mps") from error
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(device.type, False):
        raise InputError(f"device {name!r}, which this machine or this build of torch has not", "auto or cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device {name!r}", f"an index below {torch.cuda.device_count()}")
    return device


def cpu_has_bf16() -> bool:
    """Tell whether the CPU multiplies bfloat16 in hardware; without that it is several times slower than float32."""
    tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in tests)


def candidates(device: torch.device, precision: str = "auto") -> list[Compute]:
    """Return what is worth trying on a device, the usual winner first."""
    if device.type == "cuda":
        if precision != "auto":
            return [Compute(device, precision, True, "as asked")]
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return [Compute(device, "bf16-mixed", True, "the GPU has bfloat16 units")]
        return [Compute(device, "16-mixed", True, "the GPU has no bfloat16 units: float16 with a loss scaler")]
    if device.type == "mps":
        return [Compute(device, "32-true" if precision == "auto" else precision, False, "Apple GPU")]
    found = []
    if precision == "bf16-mixed" or (precision == "auto" and cpu_has_bf16()):
        found.append(Compute(device, "bf16-mixed", True))
    if precision in ("auto", "32-true"):
        found += [Compute(device, "32-true", True), Compute(device, "32-true", False)]
    if not found:
        raise InputError(f"precision {precision} on a CPU", "auto, 32-true or bf16-mixed")
    return found


def fastest(options: list[Compute], run: Callable[[Compute], Any]) -> Compute:
    """Return the option whose `run` took least time; with one option nothing is measured.

    Parameters
    ----------
    options : list of Compute
    run : callable
        Does the work once under the option it is given.
    """
    if len(options) == 1:
        return options[0]
    seconds = shortest([partial(run, option) for option in options])
    best = min(range(len(options)), key=seconds.__getitem__)
    measured = ", ".join(f"{describe(o)} {s * 1e3:.0f} ms" for o, s in zip(options, seconds, strict=True))
    chosen = options[best]
    return Compute(chosen.device, chosen.precision, chosen.channels_last, f"measured: {measured}")


def shortest(tasks: Sequence[Callable[[], Any]], rounds: int = 3) -> list[float]:
    """Return the least seconds of each task, run in turns.

    The first run of each pays for set-up and is not counted. Turns, and the least of several: a moment in which
    the machine is busy with something else must not decide a whole training. A busy or slow machine does fewer
    rounds, at least one: measuring must not use up the time that it is for.
    """
    least = [math.inf] * len(tasks)
    begin = time.perf_counter()
    for number in range(rounds + 1):
        if number > 1 and time.perf_counter() - begin > ENOUGH_SECONDS:
            break
        for place, task in enumerate(tasks):
            start = time.perf_counter()
            task()
            if number:
                least[place] = min(least[place], time.perf_counter() - start)
    return least


def describe(compute: Compute) -> str:
    """Return a few words for a log line."""
    return f"{compute.precision} {'channels-last' if compute.channels_last else 'contiguous'}"
