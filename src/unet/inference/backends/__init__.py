"""What computes a network: images in, logits out. torch on every device; OpenVINO on the CPUs that it is faster on.

Which of them is a rule of device, processor and network (`choose`), so that the same command on the same machine gives
the same result; docs/decisions/025-backends.md says what it rests on.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from unet import devices
from unet.errors import InputError
from unet.inference.backends.graphs import is_installed, obstacle
from unet.models import ModelSpec

BACKENDS = ("auto", "torch", "openvino")

VARIABLE = "UNET_BACKEND"
"""What is taken where nothing is said: one of `BACKENDS` in this environment variable, or "auto"."""

MEASURED = ("x86_64", "AMD64")
"""Processors that OpenVINO was compared with torch on; on others it computes where it is asked for."""


class Backend(Protocol):
    """A network that computes; it keeps no state, and several threads may call it.

    Attributes
    ----------
    name : str
        One of `BACKENDS`, not "auto".
    dtype : torch.dtype
        What is computed in.
    """

    name: str
    dtype: torch.dtype

    def __call__(self, images: Tensor, /) -> Tensor:
        """Return float32 logits (N, K, h', w') of float32 images (N, C, h, w), on the images' device."""
        ...


class TorchBackend:
    """A torch network.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode, in one type of numbers and one memory layout.
    dtype : torch.dtype
    layout : torch.memory_format
    """

    name = "torch"

    def __init__(self, network: nn.Module, dtype: torch.dtype, layout: torch.memory_format) -> None:
        self.network, self.dtype, self.layout = network, dtype, layout

    def __call__(self, images: Tensor, /) -> Tensor:
        """See `Backend`."""
        logits: Tensor = self.network(images.to(dtype=self.dtype, memory_format=self.layout))
        return logits.float()


@dataclass(frozen=True)
class Choice:
    """Which backend, and why in a few words."""

    name: str
    why: str = ""

    def __str__(self) -> str:
        shown = {"torch": "torch", "openvino": "OpenVINO"}[self.name]
        return f"{shown} ({self.why})" if self.why else shown


def choose(wanted: str | None, device: torch.device, dtype: torch.dtype, spec: ModelSpec, exact: bool) -> Choice:
    """Return the backend for a network on a device.

    Parameters
    ----------
    wanted : {"auto", "torch", "openvino"} or None
        None: what `VARIABLE` says.
    device : torch.device
    dtype : torch.dtype
        What is to be computed in.
    spec : ModelSpec
    exact : bool
        Exactly what torch computes in float32 is asked for.

    Raises
    ------
    InputError
        There is no such backend, or the one that is asked for by name cannot compute this.
    """
    said, source = (
        (wanted, "as asked") if wanted is not None else (os.environ.get(VARIABLE) or "auto", f"by {VARIABLE}")
    )
    if said not in BACKENDS:
        raise InputError(f"{VARIABLE if wanted is None else 'backend'} {said!r}", " or ".join(BACKENDS))
    if said == "torch":
        return Choice("torch", source)
    unfit = _unfit(device, dtype, spec, exact)
    if unfit is not None and wanted == "openvino":
        found, remedy = unfit
        raise InputError(f"backend openvino: {found}", remedy=f"{remedy}, or leave out --backend")
    if unfit is not None:
        return Choice("torch", unfit[0] if device.type == "cpu" else "")
    if said == "auto" and platform.machine() not in MEASURED:
        return Choice("torch", f"OpenVINO was not compared on {platform.machine()}")
    return Choice("openvino", "" if said == "auto" else source)


def _unfit(device: torch.device, dtype: torch.dtype, spec: ModelSpec, exact: bool) -> tuple[str, str] | None:
    """Return why OpenVINO cannot be used, and what would help; None where it can."""
    if device.type != "cpu":
        return f"it computes on the CPU, not on {device.type}", "add --device cpu"
    if exact:
        return "--exact means torch's float32", "leave out --exact"
    if dtype == torch.bfloat16 and not devices.cpu_has_bf16():
        return "this CPU has no bfloat16 units", "leave the precision to the CPU"
    if (words := obstacle(spec)) is not None:
        return words, "take another network"
    if not is_installed():
        return "OpenVINO is not installed", "pip install openvino"
    return None
