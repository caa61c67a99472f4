"""The settings of a run: frozen, checked before any data is touched, read from and written to TOML."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from unet.errors import ConfigError, did_you_mean

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover
    import tomli as tomllib


class Section(BaseModel):
    """A part of a settings file: unknown keys are faults."""

    # Numbers are taken for text too: val = 0.2 means "0.2".
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, coerce_numbers_to_str=True)


def _square(size: object) -> object:
    """Return both sides of what may be given as one number."""
    return (size, size) if type(size) is int else size  # true and false are no sizes


class DataConfig(Section):
    """Where pictures and masks are, how they are split, and how large the network sees them."""

    root: str | None = None
    images: str | None = None
    masks: str | None = None
    mask_suffix: str | None = None
    classes: str | None = None
    mask_values: tuple[int | tuple[int, int, int], ...] | None = None
    ignore: tuple[int | tuple[int, int, int], ...] | None = None
    instances: bool = False
    class_field: str | None = None
    outline: int | None = Field(None, ge=0, le=100)
    val: str | None = None
    test: str | None = None
    group: str | None = None
    keep: tuple[str, ...] = ()
    scale: float | None = Field(None, gt=0, le=1)
    crop: Annotated[tuple[PositiveInt, PositiveInt], BeforeValidator(_square)] | None = None
    whole: bool = False
    resample: Literal["area", "bicubic", "bilinear"] = "area"
    standardise: bool = True


class ModelConfig(Section):
    """The network."""

    architecture: str = "unet"
    outputs: int | None = Field(None, ge=1, le=255)
    width: int | None = Field(None, ge=1, le=1024)
    depth: int | None = Field(None, ge=1, le=8)
    bilinear: bool | None = None
    norm: Literal["batch", "group", "instance", "none"] | None = None
    activation: Literal["relu", "leaky_relu", "gelu", "silu"] | None = None
    dropout: float | None = Field(None, ge=0, lt=1)
    attention: bool | None = None
    deep_supervision: bool | None = None
    blocks: tuple[PositiveInt, ...] | None = None
    encoder: str | None = None


class TrainingConfig(Section):
    """How long, how fast, with what."""

    seconds: float | None = Field(None, gt=0)
    epochs: int | None = Field(None, ge=1)
    steps: int | None = Field(None, ge=1)
    batch_size: int | None = Field(None, ge=1)
    accumulate: int = Field(1, ge=1)
    optimizer: Literal["adamw", "adam", "sgd", "rmsprop"] = "adamw"
    learning_rate: float | None = Field(None, gt=0)
    weight_decay: float | None = Field(None, ge=0)
    momentum: float | None = Field(None, ge=0, lt=1)
    encoder_rate: float | None = Field(None, gt=0, le=1)
    freeze: float | None = Field(None, ge=0, lt=1)
    schedule: Literal["onecycle", "cosine", "poly", "step", "plateau", "constant"] = "onecycle"
    warm_up: float | None = Field(None, ge=0, lt=1)
    power: float = Field(0.9, gt=0)
    step_epochs: float | None = Field(None, gt=0)
    factor: float = Field(0.1, gt=0, lt=1)
    patience: int = Field(5, ge=0)
    plateau_by: Literal["score", "loss", "val_loss"] = "score"
    least_rate: float = Field(0.0, ge=0)
    best_by: Literal["mean_iou", "mean_dice", "mean_iou_foreground", "mean_dice_foreground"] = "mean_iou"
    keep_last: bool = False
    loss: str | None = None
    class_weights: bool | None = None
    border_weight: float = Field(0.0, ge=0, le=1000)
    border_sigma: float = Field(5.0, gt=0, le=100)
    clip: float = Field(1.0, gt=0)
    balance: float | None = Field(None, ge=0, le=1)
    augment: Literal["none", "light", "medium", "strong"] | None = None
    upright: bool | None = None
    validations: int | None = Field(None, ge=1)
    validations_per_epoch: int | None = Field(None, ge=1)
    validate_every: int | None = Field(None, ge=1)
    device: str = "auto"
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"
    channels_last: bool | None = None
    compile: bool = False
    workers: int | None = Field(None, ge=0)
    seed: int = Field(0, ge=0, lt=2**63)  # as torch takes it
    trackers: tuple[Literal["tensorboard", "wandb"], ...] = ()
    log_every: int = Field(10, ge=1)

    @model_validator(mode="after")
    def _one_length(self) -> TrainingConfig:
        given = [name for name in ("seconds", "epochs", "steps") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are given together; expected one of --time, --epochs, --steps")
        return self

    @model_validator(mode="after")
    def _one_rhythm(self) -> TrainingConfig:
        names = ("validations", "validations_per_epoch", "validate_every")
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are given together; expected one of them")
        return self

    @model_validator(mode="after")
    def _warm_up_that_lasts(self) -> TrainingConfig:
        if self.schedule == "plateau" and self.warm_up:
            raise ValueError("warm_up with schedule plateau; expected another schedule, or no warm_up")
        return self


class AugmentationConfig(Section):
    """Single strengths that take the place of those of `TrainingConfig.augment`; see `unet.data.augment`."""

    flip: bool | None = None
    zoom: float | None = Field(None, ge=1, le=10)
    rotate: float | None = Field(None, ge=0, le=180)
    shear: float | None = Field(None, ge=0, le=60)
    elastic: float | None = Field(None, ge=0, le=1000)
    elastic_grid: int | None = Field(None, ge=2, le=64)
    brightness: float | None = Field(None, ge=0, le=10)
    contrast: float | None = Field(None, ge=0, le=1)
    color: float | None = Field(None, ge=0, le=1)
    gamma: float | None = Field(None, ge=1, le=10)
    blur: float | None = Field(None, ge=0, le=50)
    noise: float | None = Field(None, ge=0, le=10)
    jpeg: float | None = Field(None, ge=0, le=99)
    outside: Literal["ignore", "mirror", "constant"] | None = None


class Config(Section):
    """All settings of a run. `None` stands for: the plan decides."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    augmentation: AugmentationConfig = AugmentationConfig()

    def updated(self, changes: Mapping[str, Mapping[str, Any]]) -> Config:
        """Return a checked copy with `{section: {key: value}}` changed.

        Raises
        ------
        ConfigError
            All faults at once.
        """
        merged = self.model_dump()
        for section, values in changes.items():
            merged[section] = {**merged[section], **values}
        return parse(merged)


def parse(data: Mapping[str, Any], source: str = "settings") -> Config:
    """Return the checked settings in nested plain data.

    Raises
    ------
    ConfigError
        Every unknown key and every bad value, in one message.
    """
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError(
            f"{source}: " + " | ".join(faults_in(error, [*Config.model_fields, *_owners()])),
            remedy="see docs/configuration.md",
        ) from None


def faults_in(error: ValidationError, keys: Iterable[str], skip: Collection[str] = ()) -> list[str]:
    """Return a sentence for each fault that pydantic found.

    Parameters
    ----------
    error : ValidationError
    keys : iterable of str
        The known keys, of which the nearest are named for an unknown one.
    skip : collection of str
        Parts of places that are pydantic's names for the kinds of a union, not keys.
    """
    known, faults = list(keys), []
    for fault in error.errors():
        first, *rest = map(str, fault["loc"])
        place = [first, *(part for part in rest if part not in skip)]
        if fault["type"] == "extra_forbidden":
            text = "unknown key" + did_you_mean(place[-1], known, " ({})")
        elif fault["type"] == "value_error":
            text = fault["msg"].removeprefix("Value error, ")
        else:
            words = {"missing": "too few values", "tuple_type": "expected a list, in brackets"}
            text = f"{fault['input']!r}: {words.get(fault['type'], fault['msg'])}"
        faults.append(f"{'.'.join(place)}: {text}")
    return faults


def read_toml(path: Path, expected: str) -> dict[str, Any]:
    """Return what a TOML file says.

    Raises
    ------
    ConfigError
        No such file, or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}", expected) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}", expected) from None


def load_toml(path: Path) -> Config:
    """Read settings from a TOML file.

    Raises
    ------
    ConfigError
        No such file, not TOML, or settings that do not hold.
    """
    return parse(read_toml(path, "a TOML file with settings"), str(path))


def to_toml(config: Config) -> str:
    """Return the settings as TOML; keys that are not set are left out."""
    return tomli_w.dumps(config.model_dump(exclude_none=True))


def from_assignments(assignments: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Turn `--set key=value` pairs into nested plain data.

    Parameters
    ----------
    assignments : mapping of str to str
        Keys are `section.key`, or `key` alone (every key belongs to one section). Values are read as TOML,
        and taken as plain text where they are not TOML.

    Raises
    ------
    ConfigError
        An unknown key; the message names the nearest ones.
    """
    owner = _owners()
    nested: dict[str, dict[str, Any]] = {}
    faults = []
    for name, text in assignments.items():
        section, _, key = name.rpartition(".")
        if key not in owner or (section and section != owner[key]):
            faults.append(f"unknown setting {name!r}" + did_you_mean(key, owner, " ({})"))
            continue
        nested.setdefault(owner[key], {})[key] = _toml_value(text)
    if faults:
        raise ConfigError(" | ".join(faults), remedy="all settings are in docs/configuration.md")
    return nested


def _owners() -> dict[str, str]:
    """Return the section of each key."""
    return {
        key: section
        for section, field in Config.model_fields.items()
        for key in field.annotation.model_fields  # type: ignore[union-attr]
    }


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: str) -> float:
    """Return the seconds in "90", "90s", "10m", "1h30m" or "1.5h".

    Raises
    ------
    ConfigError
        The text is none of these or not above zero.
    """
    text = text.strip().lower()
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    seconds = sum(float(number) * _UNITS[unit or "s"] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text or seconds <= 0:
        raise ConfigError(f"duration {text!r}", "a time like 90s, 10m or 1h30m")
    return seconds
