"""What the user left open is decided here, for `unet plan` and for `unet train` alike."""

from __future__ import annotations

import os
from pathlib import Path

from unet import config, devices, files, plan
from unet.config import Config
from unet.devices import Compute
from unet.models import SETTINGS, ModelSpec
from unet.models.backbones import description
from unet.plan import Machine
from unet.runs.source import Source
from unet.terminal.display import Display
from unet.training import probe

MOST_WORKERS = 8
"""Processes that prepare samples for a GPU."""

PROBE_WIDTH = 32
"""Width of the network by which precision and memory layout are chosen: wide enough to tell, quick to run."""


def resolve(wanted: Config, source: Source, display: Display) -> tuple[Config, Compute, tuple[str, ...]]:
    """Decide what the user left open and say why; return the settings, how to compute, and the reasons."""
    device = devices.pick(wanted.training.device)
    outline = spec_of(wanted, source).of_width(PROBE_WIDTH)
    compute = probe.best_compute(outline, device, wanted.training.precision, wanted.training.channels_last)
    machine = Machine(probe.speed_model(outline, compute), probe.free_memory(device))
    decided = plan.decide(wanted, source.fingerprint, machine)
    workers = wanted.training.workers
    if workers is None:
        # A CPU that trains has no core to spare for reading ahead; a GPU must not wait for it.
        workers = 0 if device.type == "cpu" else min(MOST_WORKERS, os.cpu_count() or 1)
    resolved = decided.config.updated(
        {"training": {"precision": compute.precision, "channels_last": compute.channels_last, "workers": workers}}
    )
    reasons = (f"Computing on {device.type} in {devices.describe(compute)}: {compute.why}.", *decided.reasons)
    for reason in reasons:
        display.say(reason)
    return resolved, compute, reasons


def spec_of(settings: Config, source: Source) -> ModelSpec:
    """Return the network that the settings ask for and the data need."""
    model = settings.model
    said = {key: getattr(model, key) for key in SETTINGS[model.architecture] if getattr(model, key) is not None}
    about = {**SETTINGS[model.architecture], **said}
    if model.blocks and model.depth is None:
        about["depth"] = len(model.blocks) - 1
    if "encoder" in about:
        about["encoder"] = description(about["encoder"], model.architecture)
    classes = model.outputs or len(source.labels)
    return ModelSpec(model.architecture, source.fingerprint.bands, classes, **about)


def write_plan(folder: Path, resolved: Config, reasons: tuple[str, ...]) -> None:
    """Write config.toml for `unet train --config`, and plan.md for people."""
    for name, text in (("plan.md", plan.to_markdown(reasons)), ("config.toml", config.to_toml(resolved))):
        files.write_text(folder / name, text)
