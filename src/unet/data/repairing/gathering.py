"""The pairs that can be worked on, and the files that cannot."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from unet import raster
from unet.data.inspection.pictures import common_bands, dark_pictures
from unet.data.inspection.values import seems_swapped, swapped
from unet.data.mask_values import MaskValues
from unet.data.pairs import Pair, Pairing
from unet.data.repairing.file_repair import FileRepair, LeftOut, scan_of
from unet.data.repairing.stacks import indices_of
from unet.data.scan import Scan
from unet.data.stats import mask_stats, picture_stats
from unet.errors import RasterError

Gathered = tuple[list[FileRepair], list[LeftOut]]


def gather(pairing: Pairing, sure: Mapping[str, tuple[Pair, ...]], scan: Scan) -> Gathered:
    """Return the pairs of which both files can be read, and all other files.

    Parameters
    ----------
    pairing : Pairing
    sure : mapping of str to tuple of Pair
        By part, the pairs that `sure_pairs` adds.
    scan : Scan
        Of all of these.
    """
    parts = {pair: part for some in (pairing.parts, sure) for part, pairs in some.items() for pair in pairs}
    rows = zip(scan.pairs, scan.pictures, scan.masks, strict=True)
    jobs = [FileRepair(parts[pair], pair, picture, mask) for pair, picture, mask in rows]
    stacked, left_out = _faulty(scan, parts)
    jobs += stacked
    nearly = {pair for pairs in sure.values() for pair in pairs}
    jobs = [replace(job, remarks=(f"paired with {job.pair.mask.name}",)) if job.pair in nearly else job for job in jobs]
    jobs, doubled = _without_rivals(jobs, pairing.rivals)
    return sorted(jobs, key=lambda job: (job.part, job.pair)), [*_unpaired(pairing, nearly), *doubled, *left_out]


def _unpaired(pairing: Pairing, nearly: Iterable[Pair]) -> list[LeftOut]:
    paired = {path for pair in nearly for path in (pair.image, pair.mask)}
    lonely = [
        LeftOut(str(path), f"has no {lack}")
        for paths, lack in ((pairing.without_mask, "mask"), (pairing.without_picture, "picture"))
        for path in paths
        if path not in paired
    ]
    sharing = tuple(f"{path}: " for path in pairing.rivals)
    misnamed = [line.partition(": ") for line in pairing.doubled if not line.startswith(sharing)]
    return [*lonely, *(LeftOut(file, why) for file, _, why in misnamed)]


def _faulty(scan: Scan, parts: Mapping[Pair, str]) -> Gathered:
    """Return the pairs whose only fault is that the mask is a stack, and the others that cannot be read."""
    faults: dict[Pair, list[str]] = {}
    for fault in scan.faults:
        faults.setdefault(fault.pair, []).append("" if fault.kind == "one-hot" else fault.text)
    stacks = [pair for pair, texts in faults.items() if texts == [""]]
    left_out = [LeftOut.of(pair, text) for pair, texts in faults.items() for text in texts if text]
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 16)) as pool:
        return list(pool.map(lambda pair: _stacked(pair, parts[pair]), stacks)), left_out


def _stacked(pair: Pair, part: str) -> FileRepair:
    """Read what a scan of a mask with a band for each class does not give; both files can be read."""
    picture = picture_stats(raster.read(pair.image), raster.probe(pair.image))
    mask = mask_stats(indices_of(raster.read_bands(pair.mask)))
    return FileRepair(part, pair, picture, mask, stacked=True)


def _without_rivals(jobs: list[FileRepair], rivals: Mapping[Path, Path]) -> Gathered:
    """Leave out pairs of which a file shares its name with one that differs."""
    by_file = {path: job for job in jobs for path in (job.pair.image, job.pair.mask)}
    left_out, wrong = [], set()
    for extra, kept in rivals.items():
        job = by_file.get(kept)
        if job is None:
            continue
        if _same(extra, kept, is_mask=kept == job.pair.mask):
            left_out.append(LeftOut(str(extra), f"the same as {kept}"))
        else:
            left_out.append(LeftOut(str(job.pair.image), f"{kept.name} and {extra.name} share a name and differ"))
            wrong.add(job.pair)
    return [job for job in jobs if job.pair not in wrong], left_out


def _same(first: Path, second: Path, *, is_mask: bool) -> bool:
    read = raster.read_mask if is_mask else raster.read
    try:
        return np.array_equal(read(first), read(second))
    except RasterError:
        return False


def usable(jobs: list[FileRepair]) -> Gathered:
    """Leave out pictures that cannot be given the others' number of bands, and fractions among larger numbers."""
    most_common, good = common_bands(scan_of(jobs))
    strange = [job for job in jobs if job.picture.bands not in good]
    left_out = [
        LeftOut(str(job.pair.image), f"has {job.picture.bands} bands, most have {most_common}") for job in strange
    ]
    fractions = {pair for pair, is_fraction in dark_pictures(scan_of(jobs)).items() if is_fraction}
    odd = [job for job in jobs if job.picture.bands in good and job.pair in fractions]
    left_out += [LeftOut(str(job.pair.image), "holds fractions of 1, others larger numbers") for job in odd]
    return [job for job in jobs if job.picture.bands in good and job.pair not in fractions], left_out


def unswapped(jobs: list[FileRepair]) -> Gathered:
    """Leave out pairs that hold a mask for a picture and the reverse.

    Raises
    ------
    DataError
        More than half of the pairs do.
    """
    right = [job for job in jobs if not seems_swapped(job.picture, job.mask)]
    finding = swapped(MaskValues(scan_of(jobs))) if 2 * len(right) < len(jobs) else None
    if finding is not None:
        raise finding.error()
    wrong = {job.pair for job in jobs} - {job.pair for job in right}
    return right, [LeftOut(str(pair.image), "picture and mask seem to be swapped") for pair in sorted(wrong)]
