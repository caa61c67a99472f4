"""The .pth files of the Carvana U-Net: read without running what may be in them, known by their shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from unet.errors import ModelFileError
from unet.models.pickles import PthError, StoredTensor, Unknown
from unet.models.pth import open_pth
from unet.models.spec import ModelSpec

WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
"""Entries under which training programs keep the weights when a file holds more than those."""

PREFIXES = ("module.", "_orig_mod.", "model.", "net.")
"""What DataParallel, torch.compile and Lightning put before parameter names."""


Held = StoredTensor | Unknown


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
        with open_pth(path) as file:
            content = file.content
            if not isinstance(content, dict):
                made = content.maker if isinstance(content, Unknown) else f"a {type(content).__name__}"
                raise ModelFileError(f"{path}: holds {made}", "the weights of a U-Net by name")
            mask_values = content.get("mask_values")
            for name in WRAPPERS:
                if isinstance(content.get(name), dict):
                    content = content[name]
                    mask_values = content.get("mask_values", mask_values)
                    break
            stored = {
                name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Held)
            }
            state = _folded(file.tensors(_weights(_without_prefix(stored))))
    except (PthError, OSError) as error:
        raise ModelFileError(f"{path}: not a file of weights ({error})", "a .pth of the Carvana U-Net") from None
    return state, mask_values if isinstance(mask_values, list) and mask_values else None


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
    levels = {match[1] for name in state if (match := re.match(r"down([1-9]\d{0,2})\.", name))}
    return ModelSpec(
        bands=first.shape[1],
        classes=last.shape[0],
        width=first.shape[0],
        depth=len(levels),  # those that a network so deep has not are found when it is compared
        bilinear="up1.up.weight" not in state,
    )


def _folded(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return weights whose convolutions before a norm have no bias, as since the end of 2021; the network is the same.

    A norm takes the running mean from what the convolution gives: of it and the bias only the difference counts, and
    in training none, as the mean of the batch holds the bias.
    """
    folded = dict(state)
    for name, tensor in state.items():
        match = re.fullmatch(r"(.+\.double_conv\.)([03])\.bias", name)
        mean = match and f"{match[1]}{int(match[2]) + 1}.running_mean"
        if mean and mean in state and state[mean].shape == tensor.shape:
            folded[mean] = state[mean] - tensor
            del folded[name]
    return folded


def _without_prefix(state: dict[str, Held]) -> dict[str, Held]:
    while state:
        prefix = next((p for p in PREFIXES if any(name.startswith(p) for name in state)), None)
        if prefix is None or any(name.startswith("inc.") for name in state):
            break
        state = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    return state


def _weights(stored: dict[str, Held]) -> dict[str, StoredTensor]:
    """Return what can be read, unless a weight of the U-Net is of another kind.

    Raises
    ------
    PthError
        It is: quantised, for one.
    """
    for name, value in stored.items():
        if isinstance(value, Unknown) and re.match(r"(inc|down\d+|up\d+|outc)\.", name):
            raise PthError(f"{name} is none of plain numbers, but of {value.maker}")
    return {name: value for name, value in stored.items() if isinstance(value, StoredTensor)}
