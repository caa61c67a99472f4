"""The engine: a network with its optimiser, its schedule and its precision on a device. `step` trains it by one batch.

The loop and the measurement of speed use this one class, so that what is measured is what runs.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from unet import losses
from unet.config import TrainingConfig
from unet.data.dataset import Batch
from unet.devices import Compute
from unet.errors import ConfigError, TrainingError
from unet.training import random_state
from unet.training.memory import is_out_of_memory
from unet.training.optim import build_optimizer, set_rate
from unet.training.outputs import loss_of_outputs
from unet.training.schedule import plateau, rate_factor

logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # what it says of precision, our own lines say

LARGEST_STATISTICS = 1e15
"""Batch statistics beyond are those of a picture with huge values. The loss looks fine then, as batch norm makes up
for them, but for hundreds of steps the running statistics would fit no other picture."""


class Engine:
    """A network in training.

    Parameters
    ----------
    network : nn.Module
    settings : TrainingConfig
        With nothing left open that concerns optimiser, schedule and loss.
    compute : Compute
    class_weights : sequence of float
        Of each class in the loss; empty: all count the same.
    notify : callable
        Shows a line.

    Attributes
    ----------
    network : nn.Module
        On its device, in training mode between calls of `evaluating`.
    optimizer : torch.optim.Optimizer
    compute : Compute
    rate_scale : float
        Factor on all learning rates, for a run that had to lower them.
    """

    def __init__(
        self,
        network: nn.Module,
        settings: TrainingConfig,
        compute: Compute,
        *,
        class_weights: Sequence[float] = (),
        notify: Callable[[str], None] = print,
    ) -> None:
        self.settings, self.notify = settings, notify
        self.network = network.to(compute.device)
        self.network.to(memory_format=compute.memory_format)  # type: ignore[call-overload]
        encoder = getattr(network, "encoder", None)
        self.encoder: nn.Module | None = encoder if isinstance(encoder, nn.Module) else None
        self.optimizer = build_optimizer(
            network.parameters(), settings, () if self.encoder is None else self.encoder.parameters()
        )
        self.plateau = plateau(self.optimizer, settings)
        self.peak_rate = settings.learning_rate or 1e-3
        self.rate_scale = 1.0
        self.loss = losses.parse(settings.loss or losses.DEFAULT_LOSS)
        self.class_weights = torch.tensor(class_weights).to(compute.device) if class_weights else None
        self.encoder_is_frozen = False
        self._buffers = list(network.buffers())
        self._statistics = [buffer for buffer in self._buffers if buffer.is_floating_point()]
        self._undone = [buffer.clone() for buffer in self._buffers]  # what a step that fails is undone with
        self.use(compute)
        self.train()

    def use(self, compute: Compute) -> None:
        """Compute in this way from now on."""
        self.compute = compute
        device = compute.device
        fabric = Fabric(
            accelerator=device.type,
            devices=[device.index or 0] if device.type == "cuda" else 1,
            precision=compute.precision,  # type: ignore[arg-type]  # a Literal of Fabric's
        )
        network: nn.Module = torch.compile(self.network) if self.settings.compile else self.network  # type: ignore[assignment]
        self.model, self.wrapped_optimizer = fabric.setup(network, self.optimizer)
        self.fabric = fabric

    def use_float32(self) -> None:
        """Compute in full precision from now on."""
        self.use(replace(self.compute, precision="32-true"))

    @property
    def rate(self) -> float:
        """The learning rate of the last step."""
        return float(self.optimizer.param_groups[0]["lr"])

    @property
    def highest_rate(self) -> float:
        """The highest learning rate of the schedule, as the run had to change it."""
        return self.peak_rate * self.rate_scale

    def set_rate(self, rate: float) -> None:
        """Set the learning rate, which all schedules but the plateau replace at the next step."""
        set_rate(self.optimizer, rate)

    def validated(self, score: float, loss: float, val_loss: float) -> None:
        """Let the plateau schedule know how a validation went; `loss` is that of training since the one before."""
        if self.settings.schedule == "plateau":
            self.plateau.step({"score": score, "loss": loss, "val_loss": val_loss}[self.settings.plateau_by])

    @contextmanager
    def evaluating(self) -> Iterator[nn.Module]:
        """Give the network in evaluation mode, and train on afterwards."""
        self.network.eval()
        try:
            yield self.network
        finally:
            self.train()

    def train(self) -> None:
        """Put the network into training mode; what is frozen stays so."""
        self.network.train()
        if self.encoder is not None and self.encoder_is_frozen:
            self.encoder.eval()

    # ---- a step ----

    def step(self, batch: Batch, share: float = 0.0, epochs: float = 0.0, added_from: float = 0.0) -> float | None:
        """Update the weights by a batch.

        Parameters
        ----------
        batch : Batch
        share : float
            How much of the training is done, 0..1: the schedule follows it.
        epochs : float
            Passes over the data so far.
        added_from : float
            As in `unet.training.schedule.rate_factor`.

        Returns
        -------
        float or None
            The loss; None where it was not finite and nothing was changed.

        Raises
        ------
        ConfigError
            Batch norm has nothing to average.
        TrainingError
            Memory does not suffice.
        """
        if self.settings.schedule != "plateau":  # which lowers the rate itself
            set_rate(self.optimizer, self.highest_rate * rate_factor(self.settings, share, epochs, added_from))
        self._freeze(share)
        try:
            return self._update(batch)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Outside of the block above, whose traceback would keep the activations of the failed step in memory.
        self._save_memory(batch)
        try:
            return self._update(batch)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        raise _out_of_memory(batch)

    def _update(self, batch: Batch) -> float | None:
        _copy(self._undone, self._buffers)  # a bad batch would stay in the statistics for good
        self.wrapped_optimizer.zero_grad(set_to_none=True)
        total = 0.0
        try:
            for part, weight in _parts(batch, self.settings.accumulate):
                value = self._backward(part, weight)
                if value is None:
                    self._undo()
                    return None
                total += value
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise ConfigError(
                f"{batch.images.shape[3]} x {batch.images.shape[2]} px, batch of {batch.images.shape[0]}: "
                "one pixel at the lowest level",
                "more, for batch norm to have something to average",
                "set a larger scale or batch_size, or a smaller depth",
            ) from None
        norm = self.fabric.clip_gradients(
            self.model, self.wrapped_optimizer, max_norm=self.settings.clip, error_if_nonfinite=False
        )
        # float16 has its own guard: the loss scaler leaves such steps out and lowers its factor.
        if self.compute.precision != "16-mixed" and norm is not None and not math.isfinite(float(norm)):
            self._undo()
            return None
        self.wrapped_optimizer.step()
        return total

    def _backward(self, batch: Batch, weight: float) -> float | None:
        """Add the gradients of a batch to those that are there; return its loss, None where it is not finite."""
        device = self.compute.device
        images = batch.images.to(device, memory_format=self.compute.memory_format, non_blocking=True)
        targets = batch.targets.to(device, non_blocking=True)
        pixels = None if batch.weights is None else batch.weights.to(device, non_blocking=True)
        loss = loss_of_outputs(self.loss, self.model(images), targets, self.class_weights, pixels) * weight
        largest = torch._foreach_norm(self._statistics, math.inf) if self._statistics else []
        value, *statistics = torch.stack([loss.detach(), *(size.to(loss.dtype) for size in largest)]).tolist()
        if not (math.isfinite(value) and all(size < LARGEST_STATISTICS for size in statistics)):
            return None
        self.fabric.backward(loss)
        return float(value)

    def _undo(self) -> None:
        """Leave no trace of a batch that has no finite loss or gradient."""
        _copy(self._buffers, self._undone)

    def _freeze(self, share: float) -> None:
        """Keep an encoder that was trained before as it is, its statistics too, in the first part of the training."""
        frozen = share < (self.settings.freeze or 0.0)
        if self.encoder is not None and frozen != self.encoder_is_frozen:
            self.encoder_is_frozen = frozen
            self.encoder.train(not frozen).requires_grad_(not frozen)

    def _save_memory(self, batch: Batch) -> None:
        """Turn gradient checkpointing on, once.

        Raises
        ------
        TrainingError
            It is on already, or the network has none.
        """
        self._undo()
        self.wrapped_optimizer.zero_grad(set_to_none=True)
        if self.compute.device.type == "cuda":
            torch.cuda.empty_cache()
        if getattr(self.network, "checkpointing", True):
            raise _out_of_memory(batch)
        self.notify("out of memory: going on with gradient checkpointing (less memory, a third slower)")
        self.network.use_checkpointing()  # type: ignore[operator]

    # ---- state ----

    def state_dict(self) -> dict[str, Any]:
        """Return all that going on needs, random states included; tensors are those in use, not copies."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "plateau": self.plateau.state_dict() if self.settings.schedule == "plateau" else {},
            "scaler": self.fabric.strategy.precision.state_dict(),
            "precision": self.compute.precision,
            "rate_scale": self.rate_scale,
            "random": random_state.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Raises
        ------
        RuntimeError, ValueError
            It is that of another network or of another optimiser.
        """
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if state["plateau"]:
            self.plateau.load_state_dict(state["plateau"])
        if state["precision"] and state["precision"] != self.compute.precision:  # version 0.1 left it empty
            self.use(replace(self.compute, precision=state["precision"]))
        if state["scaler"]:
            self.fabric.strategy.precision.load_state_dict(state["scaler"])
        self.rate_scale = state["rate_scale"]
        random_state.load_state_dict(state["random"])


def _copy(targets: list[Tensor], sources: list[Tensor]) -> None:
    if targets:  # a network without batch norm has no buffers
        torch._foreach_copy_(targets, sources)


def _parts(batch: Batch, count: int) -> Iterator[tuple[Batch, float]]:
    """Give a batch in so many parts, each with its share of the samples; all of it where there is one."""
    samples = batch.images.shape[0]
    if count == 1:
        yield batch, 1.0
        return
    size = math.ceil(samples / count)
    for start in range(0, samples, size):
        part = slice(start, start + size)
        weights = None if batch.weights is None else batch.weights[part]
        images: Tensor = batch.images[part]
        yield (Batch(images, batch.targets[part], batch.names[part], weights), images.shape[0] / samples)


def _out_of_memory(batch: Batch) -> TrainingError:
    count, _, height, width = batch.images.shape
    return TrainingError(
        f"out of memory with a batch of {count} of {width} x {height} px",
        remedy="set a smaller batch_size, crop, scale or width, or accumulate",
    )
