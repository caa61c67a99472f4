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

OF_SYSTEMS = ("atlas", "carvana", "msrc", "paper", "sidewalk")


def test_one_for_each_system() -> None:
    assert set(OF_SYSTEMS) <= set(names())


@pytest.mark.parametrize("name", names())
def test_each_holds(name: str) -> None:
    settings = config.load_toml(recipe(name))
    check(settings)
    assert config.parse(settings.model_dump()) == settings
    assert recipe(name).read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize("name", OF_SYSTEMS)
def test_each_line_of_a_system_says_where_it_comes_from(name: str) -> None:
    lines = recipe(name).read_text(encoding="utf-8").splitlines()
    settings = [line for line in lines if "=" in line and not line.startswith("#")]
    assert len(settings) > 15
    assert [line for line in settings if not line.partition("  #")[2].strip() and not line.partition(" # ")[2]] == []


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("carvana", {"optimizer": "rmsprop", "learning_rate": 1e-5, "momentum": 0.999, "weight_decay": 1e-8,
                     "epochs": 5, "patience": 5, "batch_size": 1, "clip": 1.0, "validations_per_epoch": 5,
                     "scale": 0.5, "val": "0.1", "width": 64, "bilinear": False}),
        ("msrc", {"width": 64, "optimizer": "adam", "learning_rate": 0.01, "schedule": "step", "step_epochs": 10,
                  "factor": 0.1, "loss": "fbeta(beta=1)", "crop": None}),
        ("sidewalk", {"architecture": "paper", "norm": "none", "width": 64, "crop": (724, 724), "batch_size": 16,
                      "steps": 4000, "optimizer": "adamw", "learning_rate": 5e-4, "schedule": "onecycle",
                      "validate_every": 100, "val": "0.1", "test": "0.2", "best_by": "mean_iou", "flip": True}),
        ("paper", {"architecture": "paper", "norm": "none", "crop": (572, 572), "momentum": 0.99, "border_weight": 10,
                   "border_sigma": 5, "elastic": 10, "elastic_grid": 3, "batch_size": 1}),
        ("atlas", {"crop": (500, 500), "outputs": 1, "bilinear": True, "optimizer": "adam", "learning_rate": 1e-4,
                   "weight_decay": 2e-4, "schedule": "plateau", "factor": 0.5, "least_rate": 1e-5,
                   "loss": "balanced_bce", "batch_size": 2, "epochs": 50}),
    ],
)  # fmt: skip
def test_a_system_has_its_own_settings(name: str, wanted: dict[str, object]) -> None:
    settings = config.load_toml(recipe(name)).model_dump()
    flat = {key: value for section in settings.values() for key, value in section.items()}
    assert {key: flat[key] for key in wanted} == wanted


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_each_trains(name: str, make_data: DataMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = make_data(count=10, size=(40, 48))
    small = "--steps 2 --set width=4 --set depth=2 --set batch_size=2 --set learning_rate=0.001"
    settings = config.load_toml(recipe(name))
    if settings.data.crop is not None:
        small += " --set crop=48"
    if name == "carvana-best":
        small += " --group p.."
    line = f"train {data} --recipe {name} --out run {small}"
    assert cli.main(line.split()) == 0
    written = config.load_toml(Path("run/config.toml"))
    assert written.training.schedule == settings.training.schedule
    assert written.training.optimizer == settings.training.optimizer


def test_a_file_is_a_recipe_too(tmp_path: Path) -> None:
    assert recipe("mine.toml") == Path("mine.toml")
    assert gather({}, recipe("carvana"), {"epochs": "7"}).training.epochs == 7
    with pytest.raises(ConfigError, match="did you mean carvana"):
        recipe("carvanna")
