"""The engine: a network with its optimiser, its schedule and its precision on a device. `step` trains it by one batch.

The loop and the measurement of speed use this one class, so that what is measured is what runs.
"""

from __future__ import annotations

import gc
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from unet import devices, losses, processes
from unet.config import TrainingConfig
from unet.data.dataset import Batch
from unet.devices import Compute
from unet.errors import ConfigError, ProcessLost, TrainingError
from unet.losses.division import Ledger
from unet.training import random_state
from unet.training.compiling import compiled
from unet.training.memory import is_out_of_memory
from unet.training.optim import build_optimizer, set_rate
from unet.training.outputs import loss_of_outputs
from unet.training.parallel import fabric_for, mean_of_all
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
        if compute.device.type == "cpu":
            devices.keep_freed_memory()
        self.settings, self.notify = settings, notify
        self.network = network.to(compute.device)
        self.network.to(memory_format=compute.memory_format)  # type: ignore[call-overload]
        encoder = getattr(network, "encoder", None)
        self.encoder: nn.Module | None = encoder if isinstance(encoder, nn.Module) else None
        # A fused optimiser cannot clip what the loss scaler of float16 has scaled.
        self.fused = compute.device.type in ("cpu", "cuda") and compute.precision != "16-mixed"
        self.optimizer = build_optimizer(
            network.parameters(), settings, () if self.encoder is None else self.encoder.parameters(), fused=self.fused
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
        if processes.count() > 1 and vars(self).pop("model", None) is not None:
            gc.collect()  # else what averages gradients would be there twice
        fabric = fabric_for(compute, uses_all_parameters=self.encoder is None)
        network = compiled(self.network, compute.device, self.notify) if self.settings.compile else self.network
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
        """Give the network in evaluation mode, the same in all processes, and train on afterwards."""
        self.synchronise()
        self.network.eval()
        try:
            yield self.network
        finally:
            self.train()

    def synchronise(self) -> None:
        """Let the statistics of batch norm be the same in all processes: the mean of theirs."""
        mean_of_all(self._statistics)

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
            Of several processes: the part of this one.
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
        ProcessLost
            Another process has ended; nothing was changed.
        """
        if self.settings.schedule != "plateau":  # which lowers the rate itself
            set_rate(self.optimizer, self.highest_rate * rate_factor(self.settings, share, epochs, added_from))
        self._freeze(share)
        try:
            return self._update(batch)
        except ProcessLost:
            self._undo()
            raise
        except (RuntimeError, MemoryError) as error:
            if processes.count() > 1:
                self._undo()
                if gone := processes.lost(error):
                    raise gone from None
                if is_out_of_memory(error):  # the others are in the midst of their step
                    raise _out_of_memory(batch) from None
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
        loss: float | None = None
        try:
            parts, ledger = list(_parts(batch, self._part_count(batch))), Ledger()
            if len(parts) > 1:
                self._collect_sums(parts, ledger)
            for number, part in enumerate(parts):
                with ledger.completing(number) if len(parts) > 1 else nullcontext():
                    loss = self._backward(part, is_last=number == len(parts) - 1)
                if loss is None:
                    self._undo()
                    return None
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise ConfigError(
                f"{batch.images.shape[3]} x {batch.images.shape[2]} px, batch of {batch.images.shape[0]}: "
                "one pixel at the lowest level",
                "more, for batch norm to have something to average",
                "set a larger scale or batch_size, or a smaller depth",
            ) from None
        if self.encoder is not None and self.encoder_is_frozen:
            for parameter in self.encoder.parameters():
                parameter.grad = None
        norm = self.fabric.clip_gradients(
            self.model, self.wrapped_optimizer, max_norm=self.settings.clip, error_if_nonfinite=False
        )
        # float16 has its own guard: the loss scaler leaves such steps out and lowers its factor.
        if self.compute.precision != "16-mixed" and norm is not None and not math.isfinite(float(norm)):
            self._undo()
            return None
        self.wrapped_optimizer.step()
        return loss

    def _part_count(self, batch: Batch) -> int:
        """Return into how many parts to cut a batch: as many in every process, none of them empty."""
        samples = batch.images.shape[0]
        if self.settings.accumulate > 1 and processes.count() > 1:
            samples = int(-processes.most(-samples)[0])
        return min(self.settings.accumulate, samples)

    def _collect_sums(self, parts: Sequence[Batch], ledger: Ledger) -> None:
        """Compute the sums of which the loss is a function, part by part, and leave no other trace."""
        devices = [self.compute.device] if self.compute.device.type == "cuda" else []
        with torch.random.fork_rng(devices), torch.no_grad():
            for part in parts:
                with ledger.collecting():
                    self._loss(part)
        self._undo()

    def _loss(self, batch: Batch) -> Tensor:
        device = self.compute.device
        images = batch.images.to(device, memory_format=self.compute.memory_format, non_blocking=True)
        targets = batch.targets.to(device, non_blocking=True)
        pixels = None if batch.weights is None else batch.weights.to(device, non_blocking=True)
        return loss_of_outputs(self.loss, self.model(images), targets, self.class_weights, pixels)

    def _backward(self, batch: Batch, is_last: bool = True) -> float | None:
        """Add the gradients of a part to those that are there; return the loss of all, None where it is not finite.

        Those of several processes are averaged with the last part.
        """
        several = processes.count() > 1
        with self.fabric.no_backward_sync(self.model, enabled=not is_last) if several else nullcontext():
            loss = self._loss(batch)
            value = self._checked(loss)
            if value is not None:
                self.fabric.backward(loss)
        return value

    def _checked(self, loss: Tensor) -> float | None:
        """Return the value of a loss, None where it or the statistics of batch norm make no sense in any process."""
        largest = torch._foreach_norm(self._statistics, math.inf) if self._statistics else []
        value, *statistics = torch.stack([loss.detach(), *(size.to(loss.dtype) for size in largest)]).tolist()
        is_bad = not (math.isfinite(value) and all(size < LARGEST_STATISTICS for size in statistics))
        return None if processes.most(is_bad)[0] else float(value)

    def _undo(self) -> None:
        """Leave no trace of a batch that has no finite loss or gradient."""
        _copy(self._buffers, self._undone)

    def _freeze(self, share: float) -> None:
        """Keep an encoder that was trained before as it is, its statistics too, in the first part of the training."""
        frozen = share < (self.settings.freeze or 0.0)
        if self.encoder is not None and frozen != self.encoder_is_frozen:
            self.encoder_is_frozen = frozen
            self.encoder.train(not frozen)
            if processes.count() == 1:  # several wait for the gradients of all parameters
                self.encoder.requires_grad_(not frozen)

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
        elif self.compute.device.type == "cpu":
            devices.give_back_freed_memory()
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
        for group in self.optimizer.param_groups:
            if "fused" in group:
                group["fused"] = self.fused  # not as where the state was written
        _match_layouts(self.optimizer)
        if state["plateau"]:
            self.plateau.load_state_dict(state["plateau"])
        if state["precision"] and state["precision"] != self.compute.precision:  # version 0.1 left it empty
            self.use(replace(self.compute, precision=state["precision"]))
        if state["scaler"]:
            self.fabric.strategy.precision.load_state_dict(state["scaler"])
        self.rate_scale = state["rate_scale"]
        random_state.load_state_dict(state["random"])
        random_state.part_ways(processes.place().rank)


def _match_layouts(optimizer: torch.optim.Optimizer) -> None:
    """Lay the moments out in memory as their weights are: fused optimisers take that for granted."""
    for parameter, moments in optimizer.state.items():
        for name, value in moments.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                moments[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _copy(targets: list[Tensor], sources: list[Tensor]) -> None:
    if targets:  # a network without batch norm has no buffers
        torch._foreach_copy_(targets, sources)


def _parts(batch: Batch, count: int) -> Iterator[Batch]:
    """Give a batch in so many parts; all of it where there is one."""
    if count == 1:
        yield batch
        return
    samples = batch.images.shape[0]
    for number in range(count):
        part = slice(samples * number // count, samples * (number + 1) // count)
        weights = None if batch.weights is None else batch.weights[part]
        yield Batch(batch.images[part], batch.targets[part], batch.names[part], weights)


def _out_of_memory(batch: Batch) -> TrainingError:
    count, _, height, width = batch.images.shape
    return TrainingError(
        f"out of memory with a batch of {count} of {width} x {height} px",
        remedy="set a smaller batch_size, crop, scale or width, or accumulate",
    )
