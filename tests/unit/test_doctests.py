"""The examples in docstrings say what the functions do, and no public function of these rooms lacks one."""

from __future__ import annotations

import doctest
import inspect
import pkgutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

import unet
from unet.models import ModelSpec
from unet.preprocessing import Preprocessing

ROOMS = (
    "unet.affine",
    "unet.losses",
    "unet.metrics",
    "unet.models.deep_supervision",
    "unet.models.unet",
    "unet.shapes",
    "unet.tiling",
)
"""Modules, and packages with all their modules."""


def modules_of(room: str) -> list[str]:
    module = import_module(room)
    inside = pkgutil.walk_packages(module.__path__, f"{room}.") if hasattr(module, "__path__") else ()
    return [room, *(entry.name for entry in inside)]


every_module = pytest.mark.parametrize("name", [name for room in ROOMS for name in modules_of(room)])


@every_module
def test_examples_come_out_as_they_stand(name: str) -> None:
    failed, _ = doctest.testmod(import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0, "see the captured output"


@every_module
def test_every_public_function_has_an_example(name: str) -> None:
    """Also the classes that `import unet` offers."""
    module = import_module(name)
    own = {key: value for key, value in vars(module).items() if getattr(value, "__module__", None) == name}
    public = [key for key, value in own.items() if inspect.isfunction(value) and not key.startswith("_")]
    public += [key for key in own if inspect.isclass(own[key]) and key in unet.__all__]
    assert [key for key in public if ">>>" not in (inspect.getdoc(own[key]) or "")] == []


PUBLIC = [
    name
    for name in unet.__all__
    if inspect.isroutine(getattr(unet, name))
    or (inspect.isclass(getattr(unet, name)) and not issubclass(getattr(unet, name), Exception))
]


@pytest.mark.parametrize("name", PUBLIC)
def test_examples_of_public_names_run_on_a_folder_of_data_and_a_model(
    name: str, make_data: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_data()
    network = unet.UNet(3, 2, width=4, depth=2)
    spec = ModelSpec(bands=3, classes=2, width=4, depth=2)
    model = unet.Bundle(spec, unet.Labels.numbered(2), Preprocessing(), None, {}, {}, network.state_dict())
    unet.save(model, tmp_path / "model.safetensors")
    monkeypatch.chdir(tmp_path)
    public = getattr(unet, name)
    (example,) = doctest.DocTestFinder(recurse=False).find(public, name, import_module(public.__module__))
    assert example.examples
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    runner.run(example)
    assert runner.summarize().failed == 0, "see the captured output"
