"""Every setting as a keyword, for editors and type checkers; what each means stands in docs/configuration.md.

`None` stands for: not said. A test keeps these keys the same as those of `unet.config`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from unet.api.calling import several, toml_text
from unet.files import StrPath

Value = int | tuple[int, int, int]


class DataSettings(TypedDict, total=False):
    """Where masks are, what they mean, how pictures are split, and how large the network sees them."""

    images: StrPath | None
    masks: StrPath | None
    mask_suffix: str | None
    classes: StrPath | None
    mask_values: Sequence[Value] | None
    ignore: int | Sequence[Value] | None
    instances: bool | None
    class_field: str | None
    outline: int | None
    val: float | StrPath | None
    test: float | StrPath | None
    group: str | None
    keep: str | Sequence[str] | None


class PictureSettings(TypedDict, total=False):
    """How large the network sees pictures, and how their brightness is treated."""

    scale: float | None
    crop: int | tuple[int, int] | None
    whole: bool | None
    resample: Literal["area", "bicubic", "bilinear"] | None
    standardise: bool | None


class ModelSettings(TypedDict, total=False):
    """The network."""

    architecture: str | None
    outputs: int | None
    width: int | None
    depth: int | None
    bilinear: bool | None
    norm: Literal["batch", "group", "instance", "none"] | None
    activation: Literal["relu", "leaky_relu", "gelu", "silu"] | None
    dropout: float | None
    attention: bool | None
    deep_supervision: bool | None
    blocks: Sequence[int] | None
    encoder: str | None


class TrainingSettings(TypedDict, total=False):
    """How long, how fast, with what."""

    time: str | float | None
    seconds: float | None
    epochs: int | None
    steps: int | None
    batch_size: int | None
    accumulate: int | None
    optimizer: Literal["adamw", "adam", "sgd", "rmsprop"] | None
    learning_rate: float | None
    weight_decay: float | None
    momentum: float | None
    encoder_rate: float | None
    freeze: float | None
    schedule: Literal["onecycle", "cosine", "poly", "step", "plateau", "constant"] | None
    warm_up: float | None
    power: float | None
    step_epochs: float | None
    factor: float | None
    patience: int | None
    plateau_by: Literal["score", "loss", "val_loss"] | None
    least_rate: float | None
    best_by: Literal["mean_iou", "mean_dice", "mean_iou_foreground", "mean_dice_foreground"] | None
    keep_last: bool | None
    loss: str | None
    class_weights: bool | None
    border_weight: float | None
    border_sigma: float | None
    clip: float | None
    balance: float | None
    augment: Literal["none", "light", "medium", "strong"] | None
    upright: bool | None
    validations: int | None
    validations_per_epoch: int | None
    validate_every: int | None
    device: str | None
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] | None
    channels_last: bool | None
    compile: bool | None
    workers: int | None
    seed: int | None
    trackers: str | Sequence[str] | None
    log_every: int | None


class AugmentationSettings(TypedDict, total=False):
    """Single strengths that take the place of those of `augment`."""

    flip: bool | None
    zoom: float | None
    rotate: float | None
    shear: float | None
    elastic: float | None
    elastic_grid: int | None
    brightness: float | None
    contrast: float | None
    color: float | None
    gamma: float | None
    blur: float | None
    noise: float | None
    jpeg: float | None
    outside: Literal["ignore", "mirror", "constant"] | None


class Settings(DataSettings, PictureSettings, ModelSettings, TrainingSettings, AugmentationSettings, total=False):
    """Every setting of a training."""


FLAGS = frozenset((*DataSettings.__optional_keys__, "time", "epochs", "steps", "device", "precision", "trackers"))
"""What commands take by name, as `unet.runs.settings.TrainFlags` says; the rest stands behind --set."""


def all_settings() -> frozenset[str]:
    """Return the names of all settings."""
    return frozenset(Settings.__optional_keys__)


def data_settings() -> frozenset[str]:
    """Return the names of the settings that say what the data are."""
    return frozenset(DataSettings.__optional_keys__)


def as_flags(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return settings as a command takes them: its flags, and the rest as behind `--set`.

    Raises
    ------
    ConfigError
        A value of a kind that settings do not have.
    """
    flags: dict[str, Any] = {}
    texts: dict[str, str] = {}
    for name, value in settings.items():
        if value is None:
            continue
        listed = several(value) if name in ("ignore", "keep", "trackers") else value
        if name not in FLAGS or value is False:  # a flag that is not set says nothing
            texts[name] = toml_text(name, listed)
        elif name in ("images", "masks", "classes", "val", "test"):
            flags[name] = str(value)
        else:
            flags[name] = tuple(listed) if isinstance(listed, list) else listed
    return flags, texts
