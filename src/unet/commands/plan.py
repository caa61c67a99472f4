"""`unet plan`: what `unet train` would decide, and why, as files to read, to edit and to train from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from unet.commands.display import open_display
from unet.commands.run_folder import data_name
from unet.commands.settings import check, from_flags, gather
from unet.commands.settle import settle, write_plan
from unet.commands.source import read_source
from unet.config import Config, DataConfig
from unet.errors import InputError


@dataclass(frozen=True)
class PlanResult:
    """What was decided, and the folder with plan.md and config.toml."""

    folder: Path
    config: Config
    reasons: tuple[str, ...]


def plan(
    data: Path | None = None,
    *,
    images: Path | None = None,
    masks: Path | None = None,
    mask_suffix: str | None = None,
    out: Path | None = None,
    time: str | float | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    val: str | None = None,
    group: str | None = None,
    classes: Path | None = None,
    mask_values: Sequence[Any] | None = None,
    ignore: Sequence[int] | None = None,
    instances: bool = False,
    config_file: Path | None = None,
    device: str | None = None,
    precision: str | None = None,
    settings: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> PlanResult:
    """Decide how to train on a folder of pictures and masks, and write it down.

    The parameters are those of `unet.commands.train.train`, but for:

    Parameters
    ----------
    out : Path, optional
        The folder for plan.md and config.toml; by default plan-NAME here.

    Returns
    -------
    PlanResult

    Raises
    ------
    InputError
        Data, settings or files that cannot be used.
    """
    given = from_flags(
        data=data, images=images, masks=masks, mask_suffix=mask_suffix, val=val, group=group, classes=classes,
        mask_values=mask_values, ignore=ignore, instances=instances, time=time, epochs=epochs, steps=steps,
        device=device, precision=precision,
    )  # fmt: skip
    wanted = gather(given, config_file, settings or {})
    folder = plan_folder(out, wanted.data, overwrite)
    check(wanted)
    display = open_display()
    with TemporaryDirectory() as prepared:  # only what the pictures are like is needed
        source = read_source(wanted.data, wanted.model.outputs, wanted.training.seed, display, Path(prepared))
    settled, _, reasons = settle(wanted, source, display)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_plan(folder, settled, reasons)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}", "a place to write", "choose another --out") from None
    display.say(f"plan {folder / 'plan.md'}; train by it: unet train --config {folder / 'config.toml'}")
    return PlanResult(folder, settled, reasons)


def plan_folder(out: Path | None, data: DataConfig, overwrite: bool) -> Path:
    """Return the folder for a plan: not among the data, and without a plan that may not be replaced.

    Raises
    ------
    InputError
        It is one of these.
    """
    folder = out or Path(f"plan-{data_name(data)}")
    for given in (data.root, data.images, data.masks):
        if given is not None and Path(given).resolve() in (folder.resolve(), *folder.resolve().parents):
            raise InputError(f"{folder} lies in {given}", "a folder outside of the data", "choose another --out")
    if any((folder / name).exists() for name in ("plan.md", "config.toml")) and not overwrite:
        raise InputError(f"{folder} holds a plan", "a new folder", "choose another --out, or allow --overwrite")
    return folder
