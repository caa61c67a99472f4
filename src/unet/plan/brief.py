"""What was decided in a few lines; the reasons are in its plan.md."""

from __future__ import annotations

from unet.config import Config
from unet.data.fingerprint import Fingerprint
from unet.plan.sizes import loss_of_detail


def brief(config: Config, fingerprint: Fingerprint) -> list[str]:
    """Return, of settings without gaps, a line on how long, one on how large, and one on what will be lost, if any."""
    data, training = config.data, config.training
    long = f"{training.steps} steps" if training.steps is not None else f"{training.epochs} epochs"
    if training.seconds is not None:
        long = f"{_minutes(training.seconds)}, scores and report included"
    seen = "whole pictures" if data.crop is None or data.whole else f"crops of {data.crop[1]} x {data.crop[0]} px"
    scale = data.scale or 1.0
    lines = [f"length: {long}; {training.batch_size} samples in a step", f"size: scale {scale:g}, {seen}"]
    lost = loss_of_detail(fingerprint, scale)
    return [*lines, f"lost: {lost}"] if lost else lines


def _minutes(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 120 else f"{seconds / 60:.3g} min"
