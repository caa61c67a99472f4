"""`unet plan`: what `unet train` would decide, and why, as files to read, to edit and to train from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import TYPE_CHECKING

from unet.config import Config, DataConfig, to_toml
from unet.errors import InputError
from unet.files import as_path, write_text
from unet.runs.decide import decide_run
from unet.runs.folder import CONFIG, PLAN, data_name
from unet.runs.record_files import plan_page
from unet.runs.settings import TrainFlags, check, from_flags, gather
from unet.runs.source import read_source
from unet.runs.targets import check_not_read, check_outside
from unet.terminal.display import open_display

if TYPE_CHECKING:
    from typing_extensions import Unpack


@dataclass(frozen=True)
class PlanResult:
    """What was decided, and the folder with plan.md and config.toml."""

    folder: Path
    config: Config
    reasons: tuple[str, ...]


def plan(
    data: Path | None = None,
    *,
    out: Path | None = None,
    config_file: Path | None = None,
    settings: Mapping[str, str] | None = None,
    overwrite: bool = False,
    **flags: Unpack[TrainFlags],
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
    started = monotonic()
    wanted = gather(from_flags(data, **flags), config_file, settings or {})
    folder = plan_folder(out, wanted.data, overwrite)
    check_not_read([folder / CONFIG, folder / PLAN], [as_path(config_file)], "--out")
    check(wanted)
    display = open_display()
    with TemporaryDirectory() as prepared:  # only what the pictures are like is needed
        source = read_source(wanted.data, wanted.model.outputs, wanted.training.seed, display, Path(prepared))
    record = decide_run(wanted, source, started=started)
    for reason in record.reasons:
        display.notify(reason)
    write_text(folder / CONFIG, to_toml(record.config))
    write_text(folder / PLAN, plan_page(record))
    display.notify(f"plan: {folder / 'plan.md'}; train by it: unet train --config {folder / 'config.toml'}")
    return PlanResult(folder, record.config, record.reasons)


def plan_folder(out: Path | None, data: DataConfig, overwrite: bool) -> Path:
    """Return the folder for a plan: not among the data, and without a plan that may not be replaced.

    Raises
    ------
    InputError
        It is one of these.
    """
    folder = out or Path(f"plan-{data_name(data)}")
    check_outside(folder, data)
    if any((folder / name).exists() for name in ("plan.md", "config.toml")) and not overwrite:
        raise InputError(f"{folder} holds a plan", "a new folder", "choose another --out, or allow --overwrite")
    return folder
