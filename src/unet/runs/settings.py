"""What a training is to be: put together from flags, files and models, and checked before any data is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from unet import config, devices, losses, models, trackers
from unet.config import Config, DataConfig, ModelConfig
from unet.errors import ConfigError
from unet.models import ModelSpec
from unet.models.backbones import description
from unet.models.spec import ENCODERS, require

if TYPE_CHECKING:
    from typing_extensions import Unpack

LENGTHS = ("seconds", "epochs", "steps")

RIVALS = (("training", {*LENGTHS}), ("data", {"root", "images", "masks"}))
"""Settings of which one leaves no room for the others: how long, and where the data are."""


class DataFlags(TypedDict, total=False):
    """What a command may be told of the data beside their folder.

    Attributes
    ----------
    images, masks : Path
        Two folders instead of one.
    mask_suffix : str
        What a mask's name has more than its picture's; found out if left out.
    val : str
        Share of the pictures ("0.15"), a folder or a list file to validate on.
    test : str
        The same for pictures that are scored once, at the end: they neither train nor choose the weights.
    keep : sequence of str
        Classes whose finest detail the scale must not lose.
    group : str
        Regular expression; pictures with the same match stay on one side of the split.
    classes : Path
        Their names and colours or values: classes.csv or classes.txt.
    mask_values : sequence of int or of (red, green, blue)
        The true values; others go to the nearest.
    ignore : sequence of int or of (red, green, blue)
        Values that do not count.
    instances : bool
        Values number objects: learn object or not.
    class_field : str
        Where the masks are polygons: the attribute that names the class of each.
    outline : int
        Where the masks are polygons: the width in pixels of their outlines, which are then learned.
    """

    images: Path | None
    masks: Path | None
    mask_suffix: str | None
    val: str | None
    test: str | None
    keep: Sequence[str]
    group: str | None
    classes: Path | None
    mask_values: Sequence[Any] | None
    ignore: Sequence[int] | None
    instances: bool
    class_field: str | None
    outline: int | None


class TrainFlags(DataFlags, total=False):
    """What `unet train`, `plan` and `augment-preview` may be told.

    Attributes
    ----------
    time : str or float
        Such as "10m", from start to report; one of `time`, `epochs` and `steps` at most.
    epochs, steps : int
    device : str
        auto, cpu, cuda, cuda:1 or mps.
    precision : str
        auto, 32-true, bf16-mixed or 16-mixed.
    trackers : sequence of str
        Of tensorboard and wandb.
    """

    time: str | float | None
    epochs: int | None
    steps: int | None
    device: str | None
    precision: str | None
    trackers: Sequence[str]


def from_flags(data: Path | None = None, **flags: Unpack[TrainFlags]) -> dict[str, dict[str, Any]]:
    """Return what flags say, as {section: {key: value}}; what they leave open is left out.

    Raises
    ------
    ConfigError
        The time is none.
    TypeError
        There is no such flag.
    """
    if unknown := flags.keys() - TrainFlags.__optional_keys__:
        raise TypeError(f"unknown arguments: {', '.join(sorted(unknown))}")
    given: dict[str, dict[str, Any]] = {"data": {}, "training": {}}
    for key, value in {"root": data, **flags}.items():
        if value is None or value is False or value == ():
            continue
        if key == "time":
            given["training"]["seconds"] = config.parse_duration(str(value))
        else:
            section = "data" if key in DataConfig.model_fields else "training"
            given[section][key] = str(value) if isinstance(value, Path) else value
    return given


def gather(given: Mapping[str, Mapping[str, Any]], config_file: Path | None, assignments: Mapping[str, str]) -> Config:
    """Return the settings of a config file, overridden by flags, overridden by `--set`.

    Raises
    ------
    ConfigError
        All faults at once.
    """
    settings = config.load_toml(config_file) if config_file is not None else Config()
    assigned = config.from_assignments(assignments)
    changes = {section: {**given.get(section, {}), **assigned.get(section, {})} for section in {*given, *assigned}}
    for section, rivals in RIVALS:  # what the command line says takes the place of what the file says in other words
        if rivals & changes.get(section, {}).keys():
            changes[section] = {**dict.fromkeys(rivals), **changes[section]}
    return settings.updated(changes)


TYPED = {"seconds": "--time", "root": "DATA", "keep": "--keep", "trackers": "--track"}
"""What is typed for a setting, where that is not its name."""


def refuse_beside_resume(
    given: Mapping[str, Mapping[str, Any]],
    flags: Mapping[str, Any],
    settings: Mapping[str, str],
    allowed: Sequence[str] = (),
) -> None:
    """Make sure that nothing is said beside --resume but what is allowed: the run was decided when it began.

    Parameters
    ----------
    given : mapping
        As `from_flags` returns it.
    flags : mapping
        Other arguments, by the names of their flags.
    settings : mapping
        Single ones.
    allowed : sequence of str
        Names of settings.

    Raises
    ------
    ConfigError
        Something is.
    """
    values = {key: value for section in given.values() for key, value in section.items()} | dict(flags)
    more = [key for key, value in values.items() if value is not None and key not in allowed]
    typed = [TYPED.get(key, f"--{key.replace('_', '-')}") for key in more] + [f"--set {key}" for key in settings]
    if typed:
        beside = ", or with more --time, --epochs or --steps" if allowed else ""
        raise ConfigError(
            f"--resume together with {', '.join(typed)}",
            f"--resume RUN alone{beside}",
            "change config.toml in the run instead",
        )


def of_model(wanted: Config, spec: ModelSpec, path: Path) -> Config:
    """Return the settings with the network of a model file.

    Raises
    ------
    ConfigError
        The user set another network.
    """
    have = {key: getattr(spec, key) for key in ("architecture", *models.SETTINGS[spec.architecture])}
    usual = ModelConfig()
    for key, value in have.items():
        wish = getattr(wanted.model, key)
        if wish not in (value, getattr(usual, key)):
            known = "the one" if key == "encoder" else value
            raise ConfigError(f"{key} = {wish}", f"{known}, as in {path}", f"leave out {key}, or --load")
    return wanted.updated({"model": have})


def check(wanted: Config) -> None:
    """Check, before any data is read, what `unet.config` cannot know: losses, networks, devices, trackers.

    Raises
    ------
    InputError
        There is none of that name, or it does not fit this machine.
    MissingExtraError
        The package of a tracker or of a pre-trained encoder is not installed.
    """
    losses.parse(wanted.training.loss or losses.DEFAULT_LOSS)
    trackers.require(wanted.training.trackers)
    devices.choose(devices.pick(wanted.training.device), wanted.training.precision)
    architecture = wanted.model.architecture
    given = wanted.model.model_dump(exclude_none=True, exclude={"architecture", "outputs"})
    require(architecture, given)
    if architecture in ENCODERS:
        description(wanted.model.encoder or "", architecture)
    else:
        for key in ("encoder_rate", "freeze"):
            if getattr(wanted.training, key) is not None:
                raise ConfigError(f"{key} with architecture {architecture}", f"one of {', '.join(ENCODERS)}")
