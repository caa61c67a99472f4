"""One update of a network's weights, in the precision that a device computes in, that leaves no trace if it fails."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from unet import losses
from unet.config import TrainingConfig
from unet.data.dataset import Batch
from unet.devices import Compute
from unet.errors import ConfigError, TrainingError
from unet.training.outputs import loss_of_outputs

LARGEST = 1e15
"""Batch statistics beyond are those of a picture with huge values. The loss looks fine then, as batch norm makes up
for them, but for hundreds of steps the running statistics would fit no other picture."""


class Updater:
    """A network with its optimiser and its loss, wrapped by Lightning Fabric for a device and a precision.

    Parameters
    ----------
    network : nn.Module
        On its device.
    optimizer : Optimizer
    settings : TrainingConfig
    compute : Compute
    weights : float Tensor (K,) or None
        Of the classes.
    say : callable
        Shows a line.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        settings: TrainingConfig,
        compute: Compute,
        weights: Tensor | None,
        say: Callable[[str], None],
    ) -> None:
        self.network, self.optimizer, self.settings, self.say = network, optimizer, settings, say
        self.loss_of = losses.parse(settings.loss or losses.DEFAULT_LOSS)
        self.weights = None if weights is None else weights.to(compute.device)
        self.use(compute)

    def use(self, compute: Compute) -> None:
        """Compute in this way from now on."""
        self.compute = compute
        device = compute.device
        self.fabric = Fabric(
            accelerator=device.type,
            devices=[device.index or 0] if device.type == "cuda" else 1,
            precision=compute.precision,  # type: ignore[arg-type]  # a Literal of Fabric's
        )
        self.model, self.wrapped = self.fabric.setup(self.network, self.optimizer)

    def use_float32(self) -> None:
        """Compute in full precision from now on."""
        self.use(replace(self.compute, precision="32-true"))

    def state_dict(self) -> dict[str, Any]:
        """Return what going on needs beside weights and optimiser: the scale of float16 losses."""
        state: dict[str, Any] = self.fabric.strategy.precision.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        if state:
            self.fabric.strategy.precision.load_state_dict(state)

    def update(self, batch: Batch) -> float | None:
        """Update the weights; return the loss, or None where it was not finite and nothing was changed.

        Raises
        ------
        ConfigError
            Batch norm has nothing to average.
        TrainingError
            Memory does not suffice.
        """
        device = self.compute.device
        images = batch.images.to(device, memory_format=self.compute.memory_format, non_blocking=True)
        targets = batch.targets.to(device, non_blocking=True)
        pixels = None if batch.weights is None else batch.weights.to(device, non_blocking=True)
        buffers = list(self.network.buffers())
        before = [buffer.clone() for buffer in buffers]  # batch statistics; a bad batch would stay in them for good
        try:
            self.wrapped.zero_grad(set_to_none=True)
            loss = loss_of_outputs(self.loss_of, self.model(images), targets, self.weights, pixels)
            value, statistics = torch.stack([loss.detach(), _total(buffers, loss)]).tolist()
            if not (math.isfinite(value) and statistics < LARGEST):
                _restore(buffers, before)
                return None
            self.fabric.backward(loss)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise ConfigError(
                f"{images.shape[3]} x {images.shape[2]} px, batch of {images.shape[0]}: one pixel at the lowest level",
                "more, for batch norm to have something to average",
                "set a larger scale or batch_size, or a smaller depth",
            ) from None
        except torch.OutOfMemoryError:
            _restore(buffers, before)
            self._save_memory(images)
            return self.update(batch)
        norm = self.fabric.clip_gradients(
            self.model, self.wrapped, max_norm=self.settings.clip, error_if_nonfinite=False
        )
        # float16 has its own guard: the loss scaler leaves such steps out and lowers its factor.
        if self.compute.precision != "16-mixed" and norm is not None and not bool(torch.isfinite(norm)):
            _restore(buffers, before)
            return None
        self.wrapped.step()
        return float(value)

    def _save_memory(self, images: Tensor) -> None:
        """Turn gradient checkpointing on, once.

        Raises
        ------
        TrainingError
            It is on already, or the network has none.
        """
        if getattr(self.network, "checkpointing", True):
            raise TrainingError(
                f"out of memory with a batch of {images.shape[0]} of {images.shape[3]} x {images.shape[2]} px",
                remedy="set a smaller batch_size, crop, scale or width",
            ) from None
        self.say("out of memory: going on with gradient checkpointing (less memory, a third slower)")
        self.network.use_checkpointing()  # type: ignore[operator]
        self.wrapped.zero_grad(set_to_none=True)
        if images.device.type == "cuda":
            torch.cuda.empty_cache()


def _restore(tensors: list[Tensor], values: list[Tensor]) -> None:
    for tensor, value in zip(tensors, values, strict=True):
        tensor.copy_(value)


def _total(statistics: Sequence[Tensor], like: Tensor) -> Tensor:
    """Return the sum of all batch statistics, 0 for a network without."""
    floating = [tensor for tensor in statistics if tensor.is_floating_point()]
    return torch.cat(floating).sum() if floating else torch.zeros_like(like)
