"""Settings: checked before any data is touched, every fault at once, the same after a trip through TOML."""

from __future__ import annotations

from pathlib import Path

import pytest

from unet import config
from unet.config import Config
from unet.errors import ConfigError


def test_settings_survive_toml(tmp_path: Path) -> None:
    settings = config.parse(
        {
            "data": {"root": "some folder", "crop": (256, 320), "mask_values": [0, 255], "group": "^[^_]+"},
            "training": {"seconds": 600.0, "trackers": ["tensorboard"]},
        }
    )
    path = tmp_path / "config.toml"
    path.write_text(config.to_toml(settings), encoding="utf-8")
    assert config.load_toml(path) == settings


def test_all_faults_come_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        config.parse({"data": {"scale": 3}, "training": {"optimizer": "magic", "batch_size": 0, "colour": 1}})
    text = str(caught.value)
    assert all(name in text for name in ("data.scale", "training.optimizer", "training.batch_size", "training.colour"))
    assert "\n" not in text


def test_only_one_length() -> None:
    with pytest.raises(ConfigError, match="epochs and steps"):
        config.parse({"training": {"epochs": 1, "steps": 5}})


def test_assignments_find_their_section() -> None:
    nested = config.from_assignments(
        {"learning_rate": "1e-3", "data.scale": "0.5", "crop": "[64, 96]", "loss": "ce", "augment": "none"}
    )
    assert nested == {
        "training": {"learning_rate": 1e-3, "loss": "ce", "augment": "none"},
        "data": {"scale": 0.5, "crop": [64, 96]},
    }
    assert Config().updated(nested).data.crop == (64, 96)


def test_a_crop_may_be_one_number() -> None:
    assert Config().updated(config.from_assignments({"crop": "128"})).data.crop == (128, 128)
    for wrong in (0, True):
        with pytest.raises(ConfigError, match="crop"):
            config.parse({"data": {"crop": wrong}})


def test_every_key_belongs_to_one_section() -> None:
    """`--set key=value` without a section would be ambiguous otherwise."""
    sections = [set(type(getattr(Config(), name)).model_fields) for name in Config.model_fields]
    assert sum(map(len, sections)) == len(set().union(*sections))


def test_a_misspelt_setting_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="learning_rate"):
        config.from_assignments({"lerning_rate": "1"})


def test_a_missing_or_broken_file_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        config.load_toml(tmp_path / "nowhere.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("a = = 1", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"broken\.toml"):
        config.load_toml(broken)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("1.5h", 5400), (" 2M ", 120), ("600.0", 600)],
)
def test_durations(text: str, seconds: float) -> None:
    assert config.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "ten", "5 minutes", "-3m", "1m30x"])
def test_durations_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match="1h30m"):
        config.parse_duration(text)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("wdith", "unknown setting 'wdith' (did you mean width?); all settings are in docs/configuration.md"),
        ("training.width", "unknown setting 'training.width' (did you mean width"),
        ("qqqq", "unknown setting 'qqqq'; all settings are in docs/configuration.md"),
    ],
)
def test_an_unknown_setting_is_told_with_the_nearest(name: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.from_assignments({name: "8"})
    assert str(caught.value).startswith(expected) and len(str(caught.value)) < 140
