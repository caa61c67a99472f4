"""`unet repair`: a clean copy of a data set, and a log of what was changed; the original stays as it is."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.data.manifest import describe
from unet.data.pairs import is_vector, pair_up
from unet.data.repairing.carry_out import carry_out
from unet.data.repairing.log import write_record
from unet.data.repairing.names import sure_pairs
from unet.data.repairing.repair_plan import RepairPlan, make_plan
from unet.data.scan import scan
from unet.errors import InputError
from unet.files import StrPath
from unet.runs.source import data_config, place
from unet.runs.targets import check_outside
from unet.terminal.display import Display, open_display
from unet.terminal.repair import print_clean_classes, print_repair_plan

_MARK = "unfinished.txt"
"""In a folder that `repair` has not finished writing: it may be replaced."""


def repair(
    data: StrPath | None = None,
    *,
    out: StrPath,
    images: StrPath | None = None,
    masks: StrPath | None = None,
    mask_suffix: str | None = None,
    classes: StrPath | None = None,
    mask_values: Sequence[Any] | None = None,
    ignore: Sequence[int] | None = None,
    instances: str | None = None,
    drop_duplicates: bool = False,
    dry_run: bool = False,
) -> RepairPlan:
    """Write a copy of a data set that can be trained on; what cannot be repaired safely is left out and listed.

    Parameters
    ----------
    data, images, masks, mask_suffix, classes, mask_values, ignore
        As in `unet.train`.
    out : str or path
        The new folder: images, masks (class numbers in PNG files with a palette), classes.csv, dataset.toml,
        repair.csv and repair.md. Parts (train, val, test) are kept as folders in images and in masks.
    instances : {"objects", "borders"}, optional
        The masks number objects: make two classes of them, or three, with borders between objects that touch.
    drop_duplicates : bool
        Leave out pictures that are in another part too, pixel for pixel (or twice, where there are no parts).
    dry_run : bool
        Only say what would be done.

    Returns
    -------
    RepairPlan

    Raises
    ------
    InputError
        There are no such folders, there is no telling what the masks mean, or `out` exists.
    """
    out = Path(out)
    settings = data_config(
        root=data, images=images, masks=masks, mask_suffix=mask_suffix, classes=classes, mask_values=mask_values,
        ignore=ignore,
    )  # fmt: skip
    check_outside(out, settings)
    _check_new(out)
    display = open_display()
    description = describe(settings)
    if description.file is not None:
        display.notify(f"of {description.file} the folders, the suffix and the ignored values count here")
    settings = settings.model_copy(update={"ignore": description.ignore})
    if description.masks is not None and is_vector(description.masks):
        raise InputError(
            f"masks that are polygons ({description.masks})",
            "pictures of masks to repair",
            "train from them as they are",
        )
    pairing = pair_up(
        description.root, images=description.images, masks=description.masks, mask_suffix=description.mask_suffix
    )
    sure = sure_pairs(pairing)
    everything = [pair for parts in (pairing.parts, sure) for pairs in parts.values() for pair in pairs]
    with display.counting("reading masks and pictures") as progress:
        scanned = scan(everything, progress=progress)
    plan = make_plan(pairing, sure, scanned, settings, instances, drop_copies=drop_duplicates)
    print_repair_plan(plan)
    if not dry_run:
        print_clean_classes(plan.labels, write_copy(plan, out, place(settings), display))
        display.notify(f"clean copy: {out}, what was changed: {out / 'repair.md'}")
    return plan


def _check_new(out: Path) -> None:
    """Make sure, before anything is read, that nothing is there that the copy would replace.

    Raises
    ------
    InputError
        Something is.
    """
    if out.exists():
        raise InputError(f"{out} exists", "a new folder", "choose another --out, or remove it")
    draft = _draft(out)
    if draft.exists() and not (draft / _MARK).is_file():
        raise InputError(f"{draft} exists", "no such folder", "choose another --out, or rename it")


def _draft(out: Path) -> Path:
    return out.with_name(f"{out.name}.part")


def write_copy(plan: RepairPlan, out: Path, source: str, display: Display) -> NDArray[np.int64]:
    """Write the clean copy beside its place, and put it there when it is whole.

    Returns
    -------
    int array (256,)
        How many pixels of the clean masks have each value.

    Raises
    ------
    InputError
        A file cannot be written, or has changed since it was looked at.
    """
    draft = _draft(out)
    shutil.rmtree(draft, ignore_errors=True)  # ours, of a call that was stopped
    try:
        draft.mkdir(parents=True)
        (draft / _MARK).write_text("unet repair has not finished this folder; it can be removed.\n", encoding="utf-8")
        with display.counting("writing the clean copy") as progress:
            done = carry_out(plan, draft, progress)
        write_record(draft, plan, done, source)
        (draft / _MARK).unlink()
        draft.rename(out)
        return np.asarray(np.sum([pair.pixels for pair in done], axis=0))
    except BaseException as error:
        shutil.rmtree(draft, ignore_errors=True)
        if isinstance(error, OSError):
            raise InputError(f"{draft}: {error.strerror}", "a place with room for it", "choose another --out") from None
        raise
