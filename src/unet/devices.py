"""Which device, which precision, which memory layout: by rule, so that the same machine computes the same numbers."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass

import torch

from unet.errors import InputError

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _DEFAULT_MMAP_MAX = -1, -4, 1 << 16  # of malloc.h
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_GLIBC = _LIBC if hasattr(_LIBC, "mallopt") and hasattr(_LIBC, "malloc_trim") else None
_gives_back = False


@dataclass(frozen=True)
class Compute:
    """How the arithmetic is done.

    Attributes
    ----------
    device : torch.device
    precision : {"32-true", "bf16-mixed", "16-mixed"}
        In the words of Lightning Fabric.
    channels_last : bool
    threads : int
        Of torch on a CPU: sums depend on their number. 0: as many as torch takes.
    why : str
        One sentence for the person who reads the log.
    """

    device: torch.device
    precision: str = "32-true"
    channels_last: bool = True
    threads: int = 0
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


def keep_freed_memory() -> None:
    """Let this process keep the memory that tensors leave, for the next tensors; on Linux with glibc, else do nothing.

    By default glibc gives big blocks back to the system at once, which zeroes every page of them before the next tensor
    has it: on a CPU that takes up to a third of a training step, and of a prediction. What was measured is in
    docs/decisions/028.
    """
    if not _gives_back:
        _set_malloc(most_mapped=0, trim_threshold=-1)


def give_back_freed_memory() -> None:
    """Give back what is free, and what is freed from now on, whatever is asked for later: memory has run out once."""
    global _gives_back
    _gives_back = True
    _set_malloc(most_mapped=_DEFAULT_MMAP_MAX, trim_threshold=0)
    if _GLIBC is not None:
        _GLIBC.malloc_trim(0)


def _set_malloc(most_mapped: int, trim_threshold: int) -> None:
    if _GLIBC is not None:
        _GLIBC.mallopt(_M_MMAP_MAX, most_mapped)
        _GLIBC.mallopt(_M_TRIM_THRESHOLD, trim_threshold)


def cpu_has_bf16() -> bool:
    """Tell whether the CPU multiplies bfloat16 in hardware; without that it is several times slower than float32."""
    tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in tests)


def inference_dtype(device: torch.device, precision: str = "auto") -> torch.dtype:
    """Return the type of number in which a device predicts: by rule, nothing is measured.

    Parameters
    ----------
    device : torch.device
    precision : {"auto", "32-true", "bf16-mixed", "16-mixed"}
        "auto" is bfloat16 where the device has units for it, float16 on GPUs without, and float32 elsewhere.

    Raises
    ------
    InputError
        A precision that is unknown, or float16 on a CPU, where it is slow.
    """
    if precision == "auto":
        if device.type == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
        return torch.bfloat16 if device.type == "cpu" and cpu_has_bf16() else torch.float32
    dtypes = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
    if device.type == "cpu":
        del dtypes["16-mixed"]
    if precision not in dtypes:
        raise InputError(f"precision {precision!r} on {device.type}", f"auto, {', '.join(dtypes)}")
    return dtypes[precision]


def choose(device: torch.device, precision: str = "auto", channels_last: bool | None = None) -> Compute:
    """Return how to compute on a device, by rule; what was measured for the rules is in docs/decisions/003.

    Parameters
    ----------
    device : torch.device
    precision : {"auto", "32-true", "bf16-mixed", "16-mixed"}
    channels_last : bool, optional
        Replaces the rule for the memory layout.

    Raises
    ------
    InputError
        The device cannot compute in that precision.
    """
    if device.type == "cpu" and precision == "16-mixed":
        raise InputError(f"precision {precision} on a CPU", "auto, 32-true or bf16-mixed")
    kind, why = _usual_precision(device)
    if precision != "auto":
        kind, why = precision, "as asked"
    layout = _usual_layout(device, kind) if channels_last is None else channels_last
    return Compute(device, kind, layout, torch.get_num_threads() if device.type == "cpu" else 0, why)


def _usual_precision(device: torch.device) -> tuple[str, str]:
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16-mixed", "the GPU has bfloat16 units"
        return "16-mixed", "the GPU has no bfloat16 units: float16 with a loss scaler"
    if device.type == "cpu" and cpu_has_bf16():
        return "bf16-mixed", "the CPU has bfloat16 units"
    return "32-true", "Apple GPU" if device.type == "mps" else "the CPU has no bfloat16 units"


def _usual_layout(device: torch.device, precision: str) -> bool:
    """Tell whether the layout is channels-last."""
    if device.type == "cpu" and precision == "32-true":
        # Faster on CPUs with AVX-512 only (1.6 times), slower on those with AVX2 only and on those with AMX.
        return torch.backends.cpu.get_cpu_capability() == "AVX512" and not cpu_has_bf16()
    return device.type != "mps"


def describe(compute: Compute) -> str:
    """Return a few words for a log line."""
    return f"{compute.precision} {'channels-last' if compute.channels_last else 'contiguous'}"
