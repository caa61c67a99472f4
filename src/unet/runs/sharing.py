"""A run that several processes train: what each computes, and what the plan says of it."""

from __future__ import annotations

import os
from dataclasses import replace

import torch

from unet import devices
from unet.config import Config
from unet.errors import ConfigError, InputError
from unet.plan.record import RunRecord
from unet.plan.sizes import norm_of
from unet.processes import Place, place
from unet.training.parallel import own_device


def check_devices(name: str, where: Place) -> None:
    """Make sure that each process has a device.

    Raises
    ------
    InputError
        A GPU is named that all would share, there are fewer than processes, or they are of a kind that cannot.
    """
    if where.count == 1:
        return
    device = devices.pick(name)
    if device.index is not None or device.type == "mps":
        raise ConfigError(f"device {name} for {where.count} processes", "auto, cpu or cuda")
    if device.type == "cuda":
        there = torch.cuda.device_count()
        shown_its_own = there == 1 and "SLURM_STEP_NUM_TASKS" in os.environ
        if there < where.local_count and not shown_its_own:
            raise InputError(f"{where.local_count} processes on a machine with {there} GPUs", f"{there} at most")


def shared(record: RunRecord) -> RunRecord:
    """Return the record of a run as this process computes it.

    Raises
    ------
    ConfigError
        A batch has not a sample for each process.
    """
    where = place()
    if where.count == 1:
        return record
    batch = record.config.training.batch_size or 1
    if batch < where.count:
        raise ConfigError(f"batch_size = {batch} for {where.count} processes", f"{where.count} or more")
    return replace(record, compute=replace(record.compute, device=own_device(record.compute.device)))


def process_words(config: Config, where: Place) -> str:
    """Return a sentence on how several processes share the work."""
    batch = config.training.batch_size or 1
    least, most = batch // where.count, -(-batch // where.count)
    samples = f"{least}" if least == most else f"{least} or {most}"
    words = f"{where.count} processes share each batch of {batch}: {samples} samples each"
    return f"{words}, over which batch norm averages" if norm_of(config.model) == "batch" else words
