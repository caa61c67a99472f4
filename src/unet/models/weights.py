"""Whether weights that a file holds are those of the network that it describes: asked before anything is allocated."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

import torch
from torch import Tensor

from unet import models
from unet.errors import ConfigError, MissingExtraError, ModelFileError
from unet.models.spec import ENCODERS, ModelSpec, blocks_of, check

EXPECTED = "the folder of a run, a model.safetensors of `unet train`, a .pth of the Carvana U-Net, or an exported .onnx"
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""What weights may be; others are quantised, and mean something only together with numbers that we do not know."""

WHOLE = (torch.int64, torch.int32)
"""What counters may be."""

SPARE = 1 << 26
"""Bytes that a network may take beside its weights: tables that it computes when it is built."""


def fitted(state: Mapping[str, Tensor], spec: ModelSpec) -> dict[str, Tensor]:
    """Return weights in float32 and in the network's order, once they are known to be its own and to be sane.

    Parameters
    ----------
    state : mapping of str to Tensor
        On the CPU; without the counters of batch norm, which some files lack and prediction does not need, or with.
    spec : ModelSpec

    Raises
    ------
    ModelFileError
        There is no such network, the weights are another's, or some are no numbers.
    """
    wanted = described(state, spec)
    state = {name: torch.tensor(0) for name in wanted if name.endswith("num_batches_tracked")} | dict(state)
    _compare(state, wanted, spec)
    for name, tensor in state.items():
        if 0 in tensor.shape or not tensor.is_floating_point():
            continue
        low, high = (float(value) for value in tensor.aminmax())  # a NaN is either
        if not math.isfinite(low) or not math.isfinite(high):
            raise ModelFileError(f"{name} holds values that are no numbers", "weights", _REMEDY)
        if low < 0 and name.endswith("running_var"):
            raise ModelFileError(f"{name} holds {low:g}", "variances, 0 or more", _REMEDY)
    return {name: state[name].to(wanted[name].dtype) for name in wanted}


_REMEDY = "copy or download it again, or train anew"


def described(state: Mapping[str, Tensor], spec: ModelSpec) -> dict[str, Tensor]:
    """Return the weights that a network of this kind has, without memory; it is as small as those that there are.

    Raises
    ------
    ModelFileError
        There is no such network, or it is larger.
    """
    held = sum(tensor.numel() for tensor in state.values())
    largest = max((max(tensor.shape, default=1) for tensor in state.values()), default=0)
    try:
        check(spec)
        _bound(spec, len(state), largest)
        with torch.device("meta"):
            network = models.build(spec)
        models.geometry_of(spec)
    except ConfigError as error:
        raise ModelFileError(_line(error), EXPECTED) from None
    except MissingExtraError:
        raise
    except Exception as error:  # what torch and transformers raise on numbers that contradict each other
        raise ModelFileError(f"a network that cannot be built ({_line(error)})", EXPECTED) from None
    tables = sum(tensor.numel() * tensor.element_size() for tensor in network.buffers())
    if tables > SPARE + 4 * held:
        raise ModelFileError(f"a network with tables of {tables:,} bytes beside its weights", EXPECTED)
    return network.state_dict()


def _bound(spec: ModelSpec, count: int, largest: int) -> None:
    """Make sure that a description names no more than there is: each part has tensors, each width is a side of one.

    Raises
    ------
    ConfigError
        It does.
    """
    named = {name: getattr(spec, name) for name in ("bands", "classes", "width", "depth")}
    if spec.architecture in ENCODERS:
        del named["depth"]
        named["encoder.depths"] = sum(json.loads(spec.encoder)["depths"])
        if spec.architecture == "segformer":
            del named["width"]
    elif spec.architecture == "resenc":
        named["blocks"] = sum(blocks_of(spec.depth, spec.blocks))
    for name, value in named.items():
        most = count if name in ("depth", "blocks", "encoder.depths") else largest
        if value > most:
            raise ConfigError(f"{name} = {value}"[:80], f"what the {count} tensors of the file have room for")


def _compare(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], spec: ModelSpec) -> None:
    """Make sure that there are all tensors, no others, of these shapes and of numbers of this kind.

    Raises
    ------
    ModelFileError
        There are not.
    """
    faults = [f"{name} is missing" for name in wanted if name not in state]
    faults += [f"{name[:80]} is not of this network" for name in state if name not in wanted]
    both = [name for name in wanted if name in state]
    faults += [
        f"{name} is {tuple(state[name].shape)}, not {tuple(wanted[name].shape)}"
        for name in both
        if state[name].shape != wanted[name].shape
    ]
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        encoder = json.loads(spec.encoder or "{}")
        remedy = f"it was written with transformers {encoder.get('transformers_version')}" if encoder else ""
        raise ModelFileError(f"not the weights of a U-Net: {', '.join(faults[:3])}{more}", EXPECTED, remedy)
    for name in both:
        kinds = FLOATS if wanted[name].is_floating_point() else WHOLE
        if state[name].dtype not in kinds:
            found = str(state[name].dtype).removeprefix("torch.")
            raise ModelFileError(f"{name} is of {found}", "floating point", "use the model before it was quantised")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
