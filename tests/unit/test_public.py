"""The public face of the package, and which rooms stay free of torch."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

import unet

FREE_OF_TORCH = (
    "unet",
    "unet.cli",
    "unet.api.looking",
    "unet.commands.inspect",
    "unet.config",
    "unet.data.pairs",
    "unet.data.scan",
    "unet.demo",
    "unet.errors",
    "unet.labels",
    "unet.raster",
)


@pytest.mark.parametrize("name", unet.__all__)
def test_every_public_name_is_there(name: str) -> None:
    value = getattr(unet, name)
    if name != "__version__" and not inspect.ismodule(value):
        assert value.__name__ == name


def test_public_names_are_sorted_and_shown() -> None:
    assert list(unet.__all__) == sorted(unet.__all__)
    assert dir(unet) == unet.__all__


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(unet.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen | {"__version__"} == set(unet.__all__)


def test_no_such_name() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Unet'"):
        _ = unet.Unet


@pytest.mark.parametrize("module", FREE_OF_TORCH)
def test_light_rooms_need_no_torch(module: str) -> None:
    program = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"torch", "lightning_fabric"} & set(json.loads(done.stdout))


def test_importing_the_package_loads_nothing_and_says_nothing() -> None:
    program = "import sys; before = set(sys.modules); import unet; print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == "" and len(done.stdout.splitlines()) == 1
    assert not {"numpy", "pydantic", "rich", "torch", "unet.errors"} & set(ast.literal_eval(done.stdout))
