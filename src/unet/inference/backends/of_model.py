"""What computes a model: the backend that was chosen, and those that stand in for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn

from unet import devices
from unet.bundle import Bundle
from unet.inference.backends import Backend, Choice, TorchBackend, choose
from unet.inference.backends.compiled import OpenVINOBackend
from unet.inference.backends.exported import exported_backend
from unet.inference.folding import fold_norms


class ModelBackends:
    """The backends of a model on a device; those that stand in are made when they are needed.

    Parameters
    ----------
    bundle : Bundle
    device : torch.device
    dtype : torch.dtype
    wanted, exact
        See `choose`.
    sees_all : bool
        The network's tiles cannot be joined exactly: every pixel may depend on all others.
    notify : callable
        Given a line where torch has to stand in.
    at_once : int
        Pictures that several threads want computed at a time.

    Attributes
    ----------
    choice : Choice
        What was chosen, and why.
    main : Backend
        What computes as a rule.
    torch_takes_large : bool
        Pictures that OpenVINO has no memory for as a whole are torch's, which computes them in bands of rows: where
        tiles could not be joined exactly, and in float32, where OpenVINO gains less than the halos of tiles cost.
    """

    def __init__(
        self,
        bundle: Bundle,
        device: torch.device,
        dtype: torch.dtype,
        wanted: str | None,
        exact: bool,
        sees_all: bool,
        notify: Callable[[str], None],
        at_once: int = 1,
    ) -> None:
        self.layout = torch.contiguous_format if device.type == "mps" else torch.channels_last
        self._device, self._others = device, dict[torch.dtype, Backend]()
        self._exact: OpenVINOBackend | None = None
        if bundle.graph is None:
            self.choice = choose(wanted, device, dtype, bundle.spec, exact)
        else:
            self.choice = Choice("openvino", "an exported model")
        # What is added up over a whole picture depends in its last digit on how many threads do it.
        self.main: Backend = self._prepared(bundle, dtype, notify, 1 if sees_all else at_once)
        spec, uses_torch = bundle.spec, self.main.name == "torch"
        in_bands = spec.architecture == "unet" and spec.norm in ("batch", "none") and not spec.attention
        in_bands = in_bands and bundle.graph is None  # an exported model has no weights for torch
        self.torch_takes_large = not uses_torch and in_bands and (sees_all or dtype == torch.float32)
        needed = self.torch_takes_large or (uses_torch and dtype != torch.float32)
        self._bundle = bundle if needed else replace(bundle, state={})  # weights take memory

    def in_float32(self) -> Backend:
        """Return what computes the same in float32; kept from its first use on."""
        if isinstance(self.main, OpenVINOBackend):
            self._exact = self._exact or self.main.in_float32()
            return self._exact
        return self.in_torch(torch.float32)

    def in_torch(self, dtype: torch.dtype) -> Backend:
        """Return the same network in torch, where it may have to stand in; kept from its first use on."""
        if dtype not in self._others:
            self._others[dtype] = self._built(self._bundle, dtype)
        return self._others[dtype]

    def _prepared(self, bundle: Bundle, dtype: torch.dtype, notify: Callable[[str], None], at_once: int) -> Backend:
        """Return what was chosen, or torch where it cannot be had."""
        if bundle.graph is not None:
            return exported_backend(bundle, dtype, at_once)
        if self.choice.name == "openvino":
            try:
                return OpenVINOBackend.from_bundle(bundle, dtype, at_once)
            except (ImportError, RuntimeError, ValueError, TypeError) as error:
                line = " ".join(str(error).split())[:200]
                notify(f"OpenVINO cannot compute this network ({line}): torch does")
                self.choice = Choice("torch", "OpenVINO cannot")
        return self._built(bundle, dtype)

    def _built(self, bundle: Bundle, dtype: torch.dtype) -> TorchBackend:
        if self._device.type == "cpu":
            devices.keep_freed_memory()
        network = fold_norms(bundle.network()).to(self._device, dtype)
        placed: nn.Module = network.to(memory_format=self.layout)  # type: ignore[call-overload]
        return TorchBackend(placed, dtype, self.layout)
