"""Masks brought to the size and the way up of their pictures, where there is one way to do it."""

from __future__ import annotations

from functools import partial

from unet import raster
from unet.data.repairing.file_repair import FileRepair, LeftOut, Step, scan_of
from unet.data.repairing.gathering import Gathered
from unet.data.repairing.geometry import clear_choice, scaled, turned, turned_back
from unet.data.scan import size_faults

_ON_SIDE = 5  # from this EXIF orientation on height and width change places


def fitted(jobs: list[FileRepair]) -> Gathered:
    """Return the pairs whose masks fit or can be made to, and the others."""
    faults = {fault.pair: fault for fault in size_faults(scan_of(jobs))}
    done, left_out = [], []
    for job in jobs:
        fault = faults.get(job.pair)
        if fault is None:
            done.append(_upright(job))
            continue
        step = _step(job, fault.kind)
        if step is None:
            left_out.append(LeftOut.of(job.pair, fault.text))
        else:
            done.append(job.resized(step))
    return done, left_out


def _step(job: FileRepair, kind: str) -> Step | None:
    """Return what makes a mask fit, or None where that cannot be known."""
    picture, mask = job.picture.orientation, job.mask.orientation
    if kind == "size-scaled":
        return Step(
            "mask resized to its picture (nearest)",
            partial(scaled, height=job.picture.height, width=job.picture.width),
        )
    if kind == "size-exif" and picture >= _ON_SIDE and mask == 1:
        return Step("mask turned as EXIF turns its picture", partial(turned, orientation=picture))
    if kind == "size-exif" and mask >= _ON_SIDE and picture == 1:
        return Step("mask not turned by its own EXIF, as its picture is not", partial(turned_back, orientation=mask))
    if kind == "size-rotated":
        orientation = clear_choice(raster.read(job.pair.image), job.read(), (6, 8))
        if orientation is not None:
            return Step("mask turned by 90 degrees, as its edges say", partial(turned, orientation=orientation))
    return None


def _upright(job: FileRepair) -> FileRepair:
    """Turn a mask that was drawn before EXIF was applied, where its edges say so and its size does not."""
    orientation = job.picture.orientation
    doubtful = orientation != 1 and job.mask.orientation == 1
    if not doubtful or (orientation >= _ON_SIDE and job.picture.height != job.picture.width):
        return job
    if clear_choice(raster.read(job.pair.image), job.read(), (1, orientation)) != orientation:
        return job
    return job.resized(Step("mask turned as EXIF turns its picture", partial(turned, orientation=orientation)))
