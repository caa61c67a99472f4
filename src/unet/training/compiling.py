"""`torch.compile` where it works: it needs a C++ compiler on a CPU, Triton on a GPU."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn


def compiled(network: nn.Module, device: torch.device, notify: Callable[[str], None]) -> nn.Module:
    """Return a network that is compiled when it is first called, or the network itself where nothing can be compiled.

    Parameters
    ----------
    network : nn.Module
        Shares its weights, and the names that they are saved under, with the compiled one.
    device : torch.device
        Where it computes.
    notify : callable
        Is told why nothing is compiled.
    """
    if why := why_not(device):
        notify(f"warning: going on without torch.compile: {why}")
        return network
    return torch.compile(network)  # type: ignore[return-value]


@cache
def why_not(device: torch.device) -> str:
    """Return why nothing can be compiled for a device, in one line; empty if it can.

    A missing compiler is noticed only where something is compiled, and a network is so in the midst of its first step.
    """
    number = time.time()  # in no cache of what was compiled before

    def little(values: Tensor) -> Tensor:
        return values.cos() * number

    try:
        torch.compile(little)(torch.ones(8, device=device))
    except Exception as error:  # a class of its own for each missing part, and others in each version of torch
        # The first error says what is missing; those around it who asked for it.
        while error.__cause__ is not None:
            error = error.__cause__  # type: ignore[assignment]
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return lines[0]
    return ""
