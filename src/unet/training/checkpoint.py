"""The state of a training in one file: written whole or not at all, read without running any code.

Tensors of network and optimiser lie in a safetensors file, everything else as JSON in its metadata.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from unet.bundle import write_safetensors
from unet.errors import ModelFileError


@dataclass
class Progress:
    """How far a training has come.

    Attributes
    ----------
    step : int
        Optimiser steps done.
    samples : int
        Samples drawn; together with the seed it decides all samples that follow.
    seconds : float
        Training time spent, of all sessions together.
    validated_at : float
        Share of the training done at the last validation.
    best, best_step : float, int
        Best validation score so far (-1: none) and its step.
    plateau : dict
        State of the plateau schedule.
    returns : int
        How often the run went back to its last good state ...
    precision, rate_factor : str, float
        ... and what it changed for that: the precision (empty: as the settings say), the factor on learning rates.
    health : dict
        What was seen of the training, see `Health`.
    """

    step: int = 0
    samples: int = 0
    seconds: float = 0.0
    validated_at: float = 0.0
    best: float = -1.0
    best_step: int = 0
    plateau: dict[str, Any] = field(default_factory=dict)
    returns: int = 0
    precision: str = ""
    rate_factor: float = 1.0
    health: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(
    path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress, scaler: dict[str, Any]
) -> None:
    """Write everything that going on needs; an existing file is replaced in one instant."""
    tensors = {f"model.{name}": tensor for name, tensor in network.state_dict().items()}
    state = optimizer.state_dict()
    plain: dict[str, dict[str, Any]] = {}
    for index, entries in state["state"].items():
        for key, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{key}"] = value
            else:
                plain.setdefault(str(index), {})[key] = value
    tensors["rng.torch"] = torch.get_rng_state()
    about = {
        "progress": asdict(progress),
        "groups": state["param_groups"],
        "plain": plain,
        "scaler": scaler,
    }
    write_safetensors(path, tensors, {"checkpoint": json.dumps(about)})


def read_progress(path: Path) -> Progress:
    """Return how far a checkpoint's training has come, without reading its tensors.

    Raises
    ------
    ModelFileError
        The file is missing or is no checkpoint.
    """
    return _open(path)[0]


def load_checkpoint(
    path: Path, network: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[Progress, dict[str, Any]]:
    """Fill network and optimiser from a checkpoint; return the progress and the state of the loss scaler.

    Raises
    ------
    ModelFileError
        The file is missing, is no checkpoint, or is one of another network.
    """
    progress, about, tensors = _open(path, with_tensors=True)
    states: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            states.setdefault(int(index), {})[key] = tensor
    for index_text, entries in about["plain"].items():
        states.setdefault(int(index_text), {}).update(entries)
    weights = {name[6:]: tensor for name, tensor in tensors.items() if name.startswith("model.")}
    try:
        network.load_state_dict(weights)
        optimizer.load_state_dict({"state": states, "param_groups": about["groups"]})
    except (RuntimeError, ValueError) as error:
        raise ModelFileError(f"{path}: of another network ({error})", "the checkpoint of this run") from None
    torch.set_rng_state(tensors["rng.torch"])
    return progress, about["scaler"]


def _open(path: Path, with_tensors: bool = False) -> tuple[Progress, dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(str(path), framework="pt") as file:
            about = json.loads((file.metadata() or {})["checkpoint"])
            names = file.keys() if with_tensors else ()
            return Progress(**about["progress"]), about, {name: file.get_tensor(name) for name in names}
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise ModelFileError(
            f"{path}: not a checkpoint ({type(error).__name__})", "checkpoints/last.safetensors of a run"
        ) from None
