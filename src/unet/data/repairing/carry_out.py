"""Does what a plan says, pair by pair, and notes it down."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet import raster
from unet.data.pairs import Pair
from unet.data.repairing.file_repair import FileRepair
from unet.data.repairing.repair_plan import RepairPlan
from unet.data.stats import PictureStats
from unet.errors import DataError
from unet.labels import IGNORED, Labels


@dataclass(frozen=True)
class Change:
    """A change of a file; `pixels` is how many of it, None where all or none is meant."""

    file: str
    what: str
    pixels: int | None = None


@dataclass(frozen=True)
class Done:
    """What was done to a pair.

    Attributes
    ----------
    job : FileRepair
    changes : tuple of Change
    pixels, bent : int array (256,)
        How many pixels of the clean mask have each value, and how many of these were bent before.
    """

    job: FileRepair
    changes: tuple[Change, ...]
    pixels: NDArray[np.int64]
    bent: NDArray[np.int64]


def carry_out(plan: RepairPlan, folder: Path, progress: Callable[[int, int], None]) -> list[Done]:
    """Write images/NAME and masks/NAME.png for each pair, in parallel.

    Parameters
    ----------
    plan : RepairPlan
    folder : Path
    progress : callable
        Called in this thread with the number of pairs that are done and the number of all.

    Returns
    -------
    list of Done
        In the order of the plan.

    Raises
    ------
    RasterError, DataError
        A file has changed since it was looked at, or cannot be written.
    """
    pool = ThreadPoolExecutor(min(os.cpu_count() or 1, 16))
    done: dict[Pair, Done] = {}
    try:
        futures = [pool.submit(_repair, job, plan.labels, folder) for job in plan.jobs]
        for future in as_completed(futures):
            result = future.result()
            done[result.job.pair] = result
            progress(len(done), len(futures))
    finally:
        pool.shutdown(cancel_futures=True)
    return [done[job.pair] for job in plan.jobs]


def _repair(job: FileRepair, labels: Labels, folder: Path) -> Done:
    file = str(job.pair.mask)
    mask = job.read()
    changes = [Change(file, remark) for remark in remarks(job)]
    bent: NDArray[Any] = np.zeros((job.picture.height, job.picture.width), dtype=np.bool_)
    for step in job.steps:
        before, mask = mask, step.how(mask)
        if step.bends and before.ndim < mask.ndim:  # a grey one among masks of colours
            before = before[..., None]
        elif before.shape != mask.shape:
            changes.append(Change(file, step.what))
            continue
        differs = np.any(np.atleast_3d(before != mask), axis=2)
        if differs.any():
            changes.append(Change(file, step.what, int(differs.sum())))
        if step.bends:
            bent = differs
    pixels, moved = (np.bincount(some, minlength=256) for some in (mask.ravel(), mask[bent]))
    if pixels[len(labels) : IGNORED].any() or (pixels[IGNORED] and not labels.ignored):
        raise DataError(f"{file} has changed since it was looked at", remedy="start again")
    raster.write_mask(folder / "masks" / f"{job.target}.png", mask, labels.palette())
    changes += _bring_picture(job, folder)
    return Done(job, tuple(changes), pixels, moved)


def remarks(job: FileRepair) -> list[str]:
    """Return what happens to a mask as soon as it is read."""
    remarks = list(job.remarks)
    if job.stacked:
        remarks.append("bands to class numbers")
    if job.mask.orientation != 1:
        remarks.append("turned upright by EXIF")
    if job.mask.frames > 1:
        remarks.append(f"first of {job.mask.frames} frames or pages")
    return remarks


def _bring_picture(job: FileRepair, folder: Path) -> list[Change]:
    """Copy a picture byte by byte, or write it anew, without loss, where its file says more than one thing."""
    why = rewritten(job.picture)
    target = f"{job.target}{'.png' if why else job.pair.image.suffix}"
    path = folder / "images" / target
    path.parent.mkdir(parents=True, exist_ok=True)
    if not why:
        shutil.copyfile(job.pair.image, path)
        return []
    picture = raster.read(job.pair.image)
    if picture.shape[2] == 3:
        raster.write_picture(path, picture)
    else:
        raster.write_grey(path, picture[..., 0])
    return [Change(str(job.pair.image), f"{why}, written as PNG")]


def rewritten(picture: PictureStats) -> str:
    """Return why a picture has to be written anew, or nothing."""
    if (picture.dtype, picture.bands) not in (("uint8", 1), ("uint8", 3), ("uint16", 1)):
        return ""  # what PNG does not hold stays as it is
    if picture.orientation != 1:
        return "turned upright by EXIF"
    if picture.frames > 1 and picture.format != "MPO":  # phones add small copies to a JPEG
        return f"first of {picture.frames} frames or pages"
    return ""
