"""The states of all generators of random numbers that a training may draw from, as plain data and tensors."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch


def state_dict() -> dict[str, Any]:
    """Return the states of torch (CPU, and every GPU in use), numpy and Python."""
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [kind, np.asarray(keys).tolist(), int(position), int(has_gauss), float(gauss)],
        "python": random.getstate(),
    }


def part_ways(rank: int) -> None:
    """Let torch draw other numbers in each of several processes, whose states were the same; the first's stays."""
    if rank:
        torch.manual_seed(int(torch.randint(2**62, ())) + rank)


def load_state_dict(state: dict[str, Any]) -> None:
    """Take the states over; those of GPUs that are not there are left out."""
    if state.get("torch") is not None:
        torch.set_rng_state(state["torch"].cpu())
    if state.get("cuda") and torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([tensor.cpu() for tensor in state["cuda"]])
    if "numpy" in state:
        kind, keys, *rest = state["numpy"]
        np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    if "python" in state:
        version, internal, gauss = state["python"]
        random.setstate((version, tuple(internal), gauss))
