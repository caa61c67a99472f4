"""The .pth files of the Carvana U-Net: read without running what may be in them, known by their shapes."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unet.errors import ModelFileError
from unet.models.spec import ModelSpec

WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
"""Entries under which training programs keep the weights when a file holds more than those."""

PREFIXES = ("module.", "_orig_mod.", "model.", "net.")
"""What DataParallel, torch.compile and Lightning put before parameter names."""


def read_pth(path: Path) -> tuple[dict[str, Tensor], list[Any] | None]:
    """Read weights from a .pth file; nothing in the file is executed.

    Returns
    -------
    dict of str to Tensor
        The parameters under their names in the U-Net, on the CPU.
    list or None
        The entry `mask_values`: a grey value or [r, g, b] per class.

    Raises
    ------
    ModelFileError
        The file is not one of tensors.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch says of odd pickles is for programmers
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a damaged or hostile pickle raises has no common type
        raise ModelFileError(
            f"{path}: not a file of weights ({_cause(error)})", "a .pth of the Carvana U-Net"
        ) from None
    if not isinstance(content, Mapping):
        raise ModelFileError(f"{path}: holds a {type(content).__name__}", "the weights of a U-Net by name")
    mask_values = content.get("mask_values")
    for name in WRAPPERS:
        if isinstance(content.get(name), Mapping):
            content = content[name]
            mask_values = content.get("mask_values", mask_values)
            break
    state = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    return _without_prefix(state), mask_values if isinstance(mask_values, list) and mask_values else None


def spec_of_state(state: Mapping[str, Tensor], source: str = "the file") -> ModelSpec:
    """Return which U-Net the weights belong to, from their shapes.

    Raises
    ------
    ModelFileError
        They belong to no such network.
    """
    first, last = state.get("inc.double_conv.0.weight"), state.get("outc.conv.weight")
    if first is None or last is None or first.ndim != 4 or last.ndim != 4:
        some = ", ".join(list(state)[:3]) or "no tensors"
        raise ModelFileError(
            f"{source}: not the weights of a U-Net (it holds {some})", "inc.double_conv.0.weight and so on"
        )
    levels = [match for name in state if (match := re.match(r"down(\d+)\.", name))]
    return ModelSpec(
        bands=first.shape[1],
        classes=last.shape[0],
        width=first.shape[0],
        depth=max((int(match[1]) for match in levels), default=0),
        bilinear="up1.up.weight" not in state,
    )


def _without_prefix(state: dict[str, Tensor]) -> dict[str, Tensor]:
    while state:
        prefix = next((p for p in PREFIXES if any(name.startswith(p) for name in state)), None)
        if prefix is None or any(name.startswith("inc.") for name in state):
            break
        state = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    return state


def _cause(error: Exception) -> str:
    text = str(error)
    if "Weights only load failed" in text:
        match = re.search(r"GLOBAL ([\w.]+)", text)
        what = f"{match[1].rstrip('.')}, which was not run" if match else "something else than tensors"
        return f"it holds {what}"
    return text.strip().splitlines()[0] if re.search(r"[a-z]{3}", text) else "damaged, or of another kind"
