"""Recipes: each is found by name, holds, and trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from unet import cli, config
from unet.errors import ConfigError
from unet.runs.recipes import names, recipe
from unet.runs.settings import check, gather

DataMaker = Callable[..., Path]


def test_one_for_each_system() -> None:
    assert {"carvana", "msrc", "paper", "sidewalk", "atlas"} <= set(names())


@pytest.mark.parametrize("name", names())
def test_each_holds(name: str) -> None:
    settings = config.load_toml(recipe(name))
    check(settings)
    assert config.parse(settings.model_dump()) == settings
    assert recipe(name).read_text(encoding="utf-8").startswith("# ")


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_each_trains(name: str, make_data: DataMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = make_data(count=5, size=(40, 48))
    small = "--steps 2 --set width=4 --set batch_size=2 --set learning_rate=0.001"
    if name == "carvana-best":
        small += " --group p.."
    line = f"train {data} --recipe {name} --out run {small}"
    assert cli.main(line.split()) == 0
    written = config.load_toml(Path("run/config.toml"))
    settings = config.load_toml(recipe(name)).training
    assert written.training.schedule == settings.schedule and written.training.optimizer == settings.optimizer


def test_a_file_is_a_recipe_too(tmp_path: Path) -> None:
    assert recipe("mine.toml") == Path("mine.toml")
    assert gather({}, recipe("carvana"), {"epochs": "7"}).training.epochs == 7
    with pytest.raises(ConfigError, match="did you mean carvana"):
        recipe("carvanna")
