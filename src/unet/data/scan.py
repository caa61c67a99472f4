"""Reads every picture and mask once, in parallel, and keeps what a plan and a class table need to know."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unet import raster
from unet.data.hashing import Stamp, content_hash, stamp
from unet.data.pairs import Pair
from unet.data.polygon_truth import nothing_drawn, polygon_mask
from unet.data.scan_cache import PairStats, ScanCache
from unet.data.stats import MaskStats, PictureStats, mask_stats, picture_stats
from unet.data.windows import WINDOWED_SUFFIXES, has_void, source_of
from unet.errors import DataError, InputError, RasterError

_LOSSY = ("JPEG", "MPO", "WEBP", "JPEG2000", "AVIF")
_MEASURED = 200  # of so many masks the shapes are measured, evenly spread over the data set


@dataclass(frozen=True)
class Fault:
    """Why a pair cannot be used: its kind, as in `unet.data.finding`, and a sentence that names the file."""

    kind: str
    pair: Pair
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Scan:
    """All that was found.

    Attributes
    ----------
    pairs : tuple of Pair
        Those of which both files can be read; `size_faults` says which do not fit together.
    pictures, masks : tuple of PictureStats, of MaskStats
        As many as `pairs`, in the same order.
    faults : tuple of Fault
        One or more for each of the other pairs.
    """

    pairs: tuple[Pair, ...]
    pictures: tuple[PictureStats, ...]
    masks: tuple[MaskStats, ...]
    faults: tuple[Fault, ...]

    def part(self, pairs: Sequence[Pair]) -> Scan:
        """Return what was found in some of the pairs."""
        wanted = set(pairs)
        places = [place for place, pair in enumerate(self.pairs) if pair in wanted]
        return replace(
            self,
            pairs=tuple(self.pairs[place] for place in places),
            pictures=tuple(self.pictures[place] for place in places),
            masks=tuple(self.masks[place] for place in places),
        )


def scan(
    pairs: Sequence[Pair],
    *,
    progress: Callable[[int, int], None] | None = None,
    workers: int | None = None,
    cache: Path | None = None,
    known_pictures: Mapping[Pair, PictureStats] | None = None,
) -> Scan:
    """Read all pairs, in parallel; files that were read before and have not changed are not read again.

    Parameters
    ----------
    pairs : sequence of Pair
    progress : callable, optional
        Called in this thread with the number of pairs that are done and the number of all.
    workers : int, optional
        Threads (decoders and numpy let go of Python's lock); one per processor, at most 16, as a rule.
    cache : Path, optional
        Where earlier results lie; by default UNET_CACHE or the user's cache folder.
    known_pictures : mapping of Pair to PictureStats, optional
        Of blocks: what is known of their pictures, which are not read again.

    Returns
    -------
    Scan
        A file that cannot be read is a fault, not an exception.
    """
    store = ScanCache(pairs, cache)
    results: list[PairStats | list[Fault] | None] = [*store.recall()]
    todo = [place for place, result in enumerate(results) if result is None]
    known = len(pairs) - len(todo)
    if progress is not None:
        progress(known, len(pairs))
    done = known
    pool = ThreadPoolExecutor(workers or min(os.cpu_count() or 1, 16))
    try:
        every = math.ceil(max(len(pairs), 1) / _MEASURED)
        of = known_pictures or {}
        futures: dict[Future[list[PairStats | list[Fault]]], list[int]] = {}
        for places in _at_once(pairs, todo):
            jobs = [_Job(pairs[place], place % every == 0, of.get(pairs[place])) for place in places]
            futures[pool.submit(_inspect_all, jobs)] = places
        for future in as_completed(futures):
            for place, result in zip(futures[future], future.result(), strict=True):
                results[place] = result
            done += len(futures[future])
            if progress is not None:
                progress(done, len(pairs))
    finally:
        pool.shutdown(cancel_futures=True)
    good = {place: result for place, result in enumerate(results) if isinstance(result, tuple)}
    if todo:
        store.keep({place: good[place] for place in todo if place in good})
    return Scan(
        pairs=tuple(pairs[place] for place in good),
        pictures=tuple(picture for picture, _ in good.values()),
        masks=tuple(mask for _, mask in good.values()),
        faults=tuple(
            {fault.text: fault for result in results if isinstance(result, list) for fault in result}.values()
        ),
    )


class _Job(NamedTuple):
    """A pair to look at, whether the shapes of its mask are measured, and what is known of its picture."""

    pair: Pair
    shapes: bool
    picture: PictureStats | None


def _at_once(pairs: Sequence[Pair], places: Sequence[int]) -> list[list[int]]:
    """Return the places of pairs that one thread looks at: one by one, but blocks of a sheet by rows.

    If the sheet's mask is decoded as a whole, all blocks of the sheet go together.
    """
    groups: dict[object, list[int]] = {}
    for place in places:
        pair = pairs[place]
        key: object = place
        if pair.window is not None and not pair.cut_mask:
            by_row = pair.drawing is not None or pair.mask.suffix.lower() in WINDOWED_SUFFIXES
            key = (pair.image, pair.mask, pair.window[0] if by_row else 0)
        groups.setdefault(key, []).append(place)
    return list(groups.values())


def _inspect_all(jobs: Sequence[_Job]) -> list[PairStats | list[Fault]]:
    return [_inspect(job) if job.pair.window is None else _inspect_block(job) for job in jobs]


def _inspect_block(job: _Job) -> PairStats | list[Fault]:
    """Return what a block of two files holds, of which no more than that is read."""
    pair = job.pair
    try:
        picture = job.picture or _block_picture(pair)
        if pair.cut_mask:
            return picture, _read_mask(pair.mask, job.shapes)
        if pair.drawing is not None:
            return picture, _drawn_mask(pair, job.shapes)
        mask = _block_mask(pair, job.shapes)
        image_file, mask_file = source_of(pair.image), source_of(pair.mask)
        if (image_file.height, image_file.width) != (mask_file.height, mask_file.width):
            whole_picture = replace(picture, height=image_file.height, width=image_file.width)
            whole_mask = replace(mask, height=mask_file.height, width=mask_file.width)
            return [_size_fault(pair, whole_picture, whole_mask)]
        return picture, mask
    except InputError as error:
        return [Fault(error.kind or "unreadable", pair, error.found)]


def _picture(pair: Pair) -> PictureStats:
    try:
        file = raster.read_picture_file(pair.image)
    except RasterError as error:
        if error.kind == "not-finite" and has_void(pair.image):
            return _block_picture(pair)
        raise
    if file.may_be_void and has_void(pair.image):
        return _block_picture(pair)
    return replace(picture_stats(file.pixels, file.info), content_hash=file.content_hash)


def _block_picture(pair: Pair) -> PictureStats:
    source = source_of(pair.image)
    valid = source.read_valid(pair.window) if source.has_invalid else None
    pixels = source.read(pair.window, fill=[0] * source.bands)
    return replace(picture_stats(pixels, raster.probe(pair.image), valid), content_hash=_hash_of(pair.image))


def _drawn_mask(pair: Pair, shapes: bool) -> MaskStats:
    values = polygon_mask(pair, pair.window)
    info = raster.PictureInfo(values.shape[0], values.shape[1], 1, values.dtype.name, "polygons", 1, "", 1, False)
    return replace(mask_stats(values, info, shapes=shapes), content_hash=_hash_of(pair.mask))


def _block_mask(pair: Pair, shapes: bool) -> MaskStats:
    source = source_of(pair.mask)
    row, column, height, width = pair.window or (0, 0, source.height, source.width)
    bottom, right = min(row + height, source.height), min(column + width, source.width)
    inside = (min(row, bottom - 1), min(column, right - 1), max(bottom - row, 1), max(right - column, 1))
    info = raster.probe(pair.mask)
    values = source.read_mask(inside)
    stats = mask_stats(values, info, lossy=info.format in _LOSSY, palette=source.palette, shapes=shapes)
    return replace(stats, content_hash=_hash_of(pair.mask))


def _hash_of(path: Path) -> str:
    return _known_hash(path, stamp(path))


@lru_cache(maxsize=256)
def _known_hash(path: Path, _: Stamp) -> str:
    return content_hash(path)


def _inspect(job: _Job) -> PairStats | list[Fault]:
    """Return what the two files hold, each of which is opened once, or what is wrong with each of them."""
    pair, shapes, _ = job
    faults = []
    try:
        picture = _picture(pair)
    except RasterError as error:
        faults.append(Fault(error.kind or "unreadable", pair, error.found))
    try:
        mask = _read_mask(pair.mask, shapes) if pair.drawing is None else _drawn_mask(pair, shapes)
    except RasterError as error:
        faults.append(Fault(error.kind or "unreadable", pair, error.found))
    return faults or (picture, mask)


def _read_mask(path: Path, shapes: bool) -> MaskStats:
    file = raster.read_mask_file(path)
    if file.bands is not None and (np.count_nonzero(file.bands, axis=2) == 1).all():
        raise RasterError(f"{path} has a band for each of {file.bands.shape[2]} classes", kind="one-hot")
    if isinstance(file.pixels, RasterError):
        raise file.pixels
    lossy = file.info.format in _LOSSY
    stats = mask_stats(file.pixels, file.info, lossy=lossy, palette=file.palette, shapes=shapes)
    return replace(stats, content_hash=file.content_hash)


def without_void(scan: Scan) -> Scan:
    """Return what was found without the blocks in which the sheet holds nothing, by its own word."""
    rows = zip(scan.pairs, scan.pictures, strict=True)
    void = {pair for pair, picture in rows if pair.window is not None and picture.void == 1}
    return scan.part([pair for pair in scan.pairs if pair not in void]) if void else scan


def without_polygons(scan: Scan) -> DataError | None:
    """Return the error of masks of polygons none of which lies on a picture; None for any other masks."""
    drawn = [mask for pair, mask in zip(scan.pairs, scan.masks, strict=True) if pair.drawing is not None]
    if not drawn or any(value != 0 for mask in drawn for value, _ in mask.values):
        return None
    return nothing_drawn(next(pair.mask for pair in scan.pairs if pair.drawing is not None))


def size_faults(scan: Scan) -> list[Fault]:
    """Return a fault for each pair whose mask is not of its picture's size."""
    return [
        _size_fault(pair, picture, mask)
        for pair, picture, mask in zip(scan.pairs, scan.pictures, scan.masks, strict=True)
        if (picture.height, picture.width) != (mask.height, mask.width)
    ]


def _size_fault(pair: Pair, picture: PictureStats, mask: MaskStats) -> Fault:
    sizes = (
        f"{pair.image} is {picture.width} x {picture.height} pixels, its mask {pair.mask} {mask.width} x {mask.height}"
    )
    factor = mask.width / picture.width
    if (mask.height, mask.width) == (picture.width, picture.height):
        if max(picture.orientation, mask.orientation) >= 5:
            return Fault("size-exif", pair, f"{sizes}: EXIF turns one of them and not the other")
        return Fault("size-rotated", pair, f"{sizes}: one of them lies on its side")
    # Near to 1 a mask may as well have lost the same margin on both sides.
    trimmed = abs((picture.width - mask.width) - (picture.height - mask.height)) <= 1
    scaled = abs(mask.height - factor * picture.height) <= max(1.0, factor)
    if scaled and (abs(factor - 1) > 0.1 or not trimmed):
        return Fault("size-scaled", pair, f"{sizes}: {factor:.3g} times the size")
    return Fault("size-differs", pair, sizes)
