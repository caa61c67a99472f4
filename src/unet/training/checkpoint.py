"""The state of a training in one file: written whole or not at all, read without running any code.

Tensors lie in a safetensors file, everything else as JSON in its metadata. Three names are kept in a folder: the last
state, the one before, and the last good one, to which a training that is lost goes back. The latter two are links to
files that were the last state once, so that each state is written once.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from unet import files, tensor_files
from unet.errors import ConfigError, ModelFileError
from unet.parsing import read_json
from unet.training.engine import Engine
from unet.training.state import LoopState

LAST, BEFORE, GOOD = "last.safetensors", "before.safetensors", "good.safetensors"

_KEY = "checkpoint"

T = TypeVar("T")


def save_state(folder: Path, engine: Engine, state: LoopState) -> None:
    """Write everything that going on needs; the state that was the last one becomes the one before.

    Raises
    ------
    InputError
        It cannot be written; the last state is still there then.
    """
    tensors: dict[str, Tensor] = {}
    plain = {"engine": _flatten(engine.state_dict(), "", tensors), "loop": state.to_dict()}
    link(folder / LAST, folder / BEFORE)
    tensor_files.write(folder / LAST, tensors, {_KEY: json.dumps(plain)})


def link(source: Path, target: Path) -> None:
    """Let a file be found under a second name, without a second copy of what it holds where the disk can do that."""
    if not source.exists():
        return
    with suppress(OSError), files.replacing(target) as draft:  # where the disk is full the states there are stay
        draft.unlink()
        try:
            os.link(source, draft)
        except OSError:  # a disk that cannot link
            shutil.copyfile(source, draft)


def find_state(folder: Path, notify: Callable[[str], None]) -> Path | None:
    """Return the file of the last state that can be read, None where there never was one.

    The state before the last takes the place of a last one that is damaged.

    Raises
    ------
    ModelFileError
        There are states, but none can be read.
    """
    damaged: ModelFileError | None = None
    for path in (folder / LAST, folder / BEFORE):
        if not path.exists():
            continue
        try:
            _read(path)  # its tensors too: a bit that has flipped is found here, while there is another state
        except ModelFileError as error:
            damaged = damaged or error
            continue
        if damaged is not None:
            notify(f"warning: {damaged.found}; going on from the state before it")
            link(path, folder / LAST)  # else the next state would make the damaged one the one before
        return path
    if damaged is not None:
        raise damaged
    return None


def read_loop_state(path: Path) -> LoopState:
    """Return how far a state's training had come, without reading its tensors.

    Raises
    ------
    ModelFileError
        The file is missing, damaged, or no state.
    """
    return _loop_state(path, _plain(path, _opened(path, tensor_files.read_metadata)))


def load_state(path: Path, engine: Engine) -> LoopState:
    """Give the engine the state that a file holds, and return the loop's.

    Raises
    ------
    ModelFileError
        The file is missing, damaged, no state, or one of another network.
    """
    state, engine_state = _read(path)
    try:
        engine.load_state_dict(engine_state)
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        why = " ".join(str(error).split())[:200]
        raise ModelFileError(f"{path}: of another network ({why})", "the state of this run") from None
    return state


def _read(path: Path) -> tuple[LoopState, dict[str, Any]]:
    """Return what a file holds for the loop and for the engine, once its checksum is right."""
    tensors, metadata = _opened(path, tensor_files.read)
    plain = _plain(path, metadata)
    state = _loop_state(path, plain)
    try:
        if "loop" not in plain:
            return state, _engine_of_version_0_1(plain, tensors)
        return state, _unflatten(plain["engine"], tensors)
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise _no_state(path, type(error).__name__) from None


def _opened(path: Path, read: Callable[[Path], T]) -> T:
    try:
        return read(path)
    except ModelFileError as error:
        raise _no_state(path, error.found.removeprefix(f"{path}: ")) from None


def _plain(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    if _KEY not in metadata:
        raise _no_state(path, "of another kind")
    try:
        return read_json(metadata[_KEY])
    except ConfigError as error:
        raise _no_state(path, str(error)) from None


def _loop_state(path: Path, plain: Mapping[str, Any]) -> LoopState:
    held = plain.get("loop", plain.get("progress"))  # as version 0.1 called it
    if not isinstance(held, dict):
        raise _no_state(path, "of another kind")
    try:
        return LoopState.from_dict(held)
    except ConfigError as error:
        raise _no_state(path, str(error)) from None


def _no_state(path: Path, why: str) -> ModelFileError:
    return ModelFileError(f"{path}: not a state ({why})", "the state of a training")


def _engine_of_version_0_1(plain: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return what the states of version 0.1 hold for the engine."""
    progress = plain["progress"]
    entries: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            entries.setdefault(int(index), {})[key] = tensor
    for number, values in plain["plain"].items():
        entries.setdefault(int(number), {}).update(values)
    return {
        "network": {name[6:]: tensor for name, tensor in tensors.items() if name.startswith("model.")},
        "optimizer": {"state": entries, "param_groups": plain["groups"]},
        "plateau": progress["plateau"],
        "scaler": plain["scaler"],
        "precision": progress["precision"],
        "rate_scale": progress["rate_factor"],
        "random": {"torch": tensors.get("rng.torch")},
    }


def _flatten(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """Return plain data for JSON; tensors go into the dictionary, by the way that leads to them."""
    if isinstance(value, Tensor):
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, Mapping):  # as a list: the keys may be numbers
        return {"items": [[key, _flatten(each, f"{name}.{key}", tensors)] for key, each in value.items()]}
    if isinstance(value, (list, tuple)):
        return [_flatten(each, f"{name}.{place}", tensors) for place, each in enumerate(value)]
    return value


def _unflatten(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, dict):
        if "tensor" in value:
            return tensors[value["tensor"]]
        return {key: _unflatten(each, tensors) for key, each in value["items"]}
    if isinstance(value, list):
        return [_unflatten(each, tensors) for each in value]
    return value
