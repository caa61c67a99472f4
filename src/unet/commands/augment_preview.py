"""`unet augment-preview`: a sheet of samples as a training would see them, for a person to judge."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from unet import raster
from unet.data.sample_store import sample_store
from unet.files import as_path
from unet.report.sample_sheet import SheetRow, describe_samples, draw_sample_sheet
from unet.runs.decide import decide_run
from unet.runs.folder import data_name
from unet.runs.settings import TrainFlags, check, from_flags, gather
from unet.runs.source import Source, read_source
from unet.runs.targets import check_outside, check_target, inputs_of
from unet.runs.training_set import training_set
from unet.terminal.display import open_display

if TYPE_CHECKING:
    from typing_extensions import Unpack

MOST_ROWS = 8
"""Pictures on the sheet."""


def augment_preview(
    data: Path | None = None,
    *,
    out: Path | None = None,
    config_file: Path | None = None,
    settings: Mapping[str, str] | None = None,
    overwrite: bool = False,
    **flags: Unpack[TrainFlags],
) -> Path:
    """Draw pictures with their masks, and beside each some samples that a training would make of it.

    The parameters are those of `unet.commands.train.train`, but for:

    Parameters
    ----------
    out : Path, optional
        The sheet; by default augment-NAME.png where the command is run.

    Returns
    -------
    Path
        The sheet.

    Raises
    ------
    InputError
        Data, settings or files that cannot be used.
    """
    wanted = gather(from_flags(data, **flags), config_file, settings or {})
    sheet = out or Path(f"augment-{data_name(wanted.data)}.png")
    check_outside(sheet, wanted.data)
    check_target(sheet, overwrite, "--out", [*inputs_of(wanted.data), as_path(config_file)])
    check(wanted)
    display = open_display()
    with TemporaryDirectory() as folder, sample_store(Path(folder, "cache")) as store:
        source = read_source(wanted.data, wanted.model.outputs, wanted.training.seed, display, Path(folder, "prepared"))
        record = decide_run(wanted, source)
        samples = training_set(record, source.train, store)
        heading = describe_samples(samples, record.config.training.augment)
        raster.write_picture(sheet, draw_sample_sheet(samples, choose_rows(source), heading))
    display.notify(f"sheet: {sheet}")
    return sheet


def choose_rows(source: Source) -> list[SheetRow]:
    """Return which training pairs to show.

    First one for each class but the commonest, the rarest first, then some of the others.
    """
    chosen: dict[int, tuple[int | None, str]] = {}
    classes = sorted(enumerate(source.fingerprint.classes), key=lambda item: item[1].share)
    for rank, (index, stats) in enumerate(classes[:-1]):
        holders = [place for place in stats.pictures if place not in chosen]
        if holders and len(chosen) < MOST_ROWS * 3 // 4:
            place = holders[len(holders) * rank // len(classes)]  # neighbours are often much alike
            chosen[place] = (index, f"{stats.name}, {stats.share:.2%} of all pixels")
    for place in np.linspace(0, len(source.train) - 1, MOST_ROWS).astype(int).tolist():
        if len(chosen) < MOST_ROWS:
            chosen.setdefault(place, (None, "one of the others"))
    return [SheetRow(place, wanted, why) for place, (wanted, why) in chosen.items()]
