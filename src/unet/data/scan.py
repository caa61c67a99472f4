"""Reads every picture and mask once, in parallel, and keeps what a plan and a class table need to know."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from unet import files, raster
from unet.data.pairs import Pair
from unet.data.stats import MaskStats, PictureStats, mask_stats, picture_stats
from unet.errors import InputError, RasterError
from unet.labels import as_value
from unet.shapes.measure import RegionProps

_LOSSY = ("JPEG", "MPO", "WEBP", "JPEG2000", "AVIF")
_VERSION = 5  # of the cache
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


PairStats = tuple[PictureStats, MaskStats]


def scan(
    pairs: Sequence[Pair],
    *,
    progress: Callable[[int, int], None] | None = None,
    workers: int | None = None,
    cache: Path | None = None,
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

    Returns
    -------
    Scan
        A file that cannot be read is a fault, not an exception.
    """
    store = _store(pairs, cache)
    known = _recall(store)
    results: dict[Pair, PairStats | list[Fault]] = {}
    for pair in pairs:
        entry = known.get(_key(pair))
        if entry is not None and entry["stamp"] == _stamp(pair):
            results[pair] = _from_json(entry)
    if progress is not None:
        progress(len(results), len(pairs))
    todo = [pair for pair in pairs if pair not in results]
    pool = ThreadPoolExecutor(workers or min(os.cpu_count() or 1, 16))
    try:
        every = math.ceil(max(len(pairs), 1) / _MEASURED)
        measured = set(pairs[::every])
        futures = {pool.submit(_inspect, pair, pair in measured): pair for pair in todo}
        for future in as_completed(futures):
            results[futures[future]] = future.result()
            if progress is not None:
                progress(len(results), len(pairs))
    finally:
        pool.shutdown(cancel_futures=True)
    good = [(pair, result) for pair in pairs if not isinstance(result := results[pair], list)]
    if todo:
        _keep(store, {**known, **{_key(pair): _to_json(pair, result) for pair, result in good}})
    return Scan(
        pairs=tuple(pair for pair, _ in good),
        pictures=tuple(picture for _, (picture, _) in good),
        masks=tuple(mask for _, (_, mask) in good),
        faults=tuple(fault for pair in pairs if isinstance(result := results[pair], list) for fault in result),
    )


def _inspect(pair: Pair, shapes: bool) -> PairStats | list[Fault]:
    """Return what the two files hold, or what is wrong with each of them."""
    faults = []
    try:
        picture = picture_stats(raster.read(pair.image), raster.probe(pair.image))
    except RasterError as error:
        faults.append(Fault(error.kind or "unreadable", pair, error.found))
    try:
        mask = _read_mask(pair, shapes)
    except RasterError as error:
        faults.append(Fault(error.kind or "unreadable", pair, error.found))
    return faults or (picture, mask)


def _read_mask(pair: Pair, shapes: bool) -> MaskStats:
    info = raster.probe(pair.mask)
    stacked = None
    try:
        mask = raster.read_mask(pair.mask)
    except RasterError as error:
        if error.kind != "mask-bands":
            raise
        stacked = error
    if stacked or info.bands == 4 or info.mode == "RGBA":
        bands = raster.read_bands(pair.mask)
        if (np.count_nonzero(bands, axis=2) == 1).all():
            raise RasterError(f"{pair.mask} has a band for each of {bands.shape[2]} classes", kind="one-hot")
    if stacked:
        raise stacked
    palette = raster.mask_palette(pair.mask)
    return mask_stats(mask, info, lossy=info.format in _LOSSY, palette=palette, shapes=shapes)


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
        return Fault("size-rotated", pair, f"{sizes}: one of them lies on its side; rotate it")
    if abs(factor - 1) > 0.1 and abs(mask.height - factor * picture.height) <= max(1.0, factor):
        remedy = "resize the mask without blending values (nearest)"
        return Fault("size-scaled", pair, f"{sizes}: {factor:.3g} times the size; {remedy}")
    return Fault("size-differs", pair, f"{sizes}: cut or resize one of them, or pair the right files")


# The cache: one JSON file for each set of folders, so that a data set that moves or changes is read anew.


def _store(pairs: Sequence[Pair], cache: Path | None) -> Path:
    folder = cache or Path(os.environ.get("UNET_CACHE") or platformdirs.user_cache_dir("unet"))
    parents = sorted({str(path.resolve()) for pair in pairs for path in (pair.image.parent, pair.mask.parent)})
    return folder / "scans" / f"{hashlib.sha256(json.dumps(parents).encode()).hexdigest()[:24]}.json"


def _key(pair: Pair) -> str:
    return f"{pair.image.absolute()}\n{pair.mask.absolute()}"


def _stamp(pair: Pair) -> list[int]:
    try:
        image, mask = pair.image.stat(), pair.mask.stat()
    except OSError:
        return []
    return [image.st_size, image.st_mtime_ns, mask.st_size, mask.st_mtime_ns]


def _to_json(pair: Pair, stats: PairStats) -> dict[str, Any]:
    return {"stamp": _stamp(pair), "picture": asdict(stats[0]), "mask": asdict(stats[1])}


def _from_json(entry: dict[str, Any]) -> PairStats:
    picture: dict[str, Any]
    mask: dict[str, Any]
    picture, mask = (  # JSON has no tuples
        {name: tuple(value) if isinstance(value, list) else value for name, value in entry[kind].items()}
        for kind in ("picture", "mask")
    )
    mask["values"] = tuple((as_value(value), int(count)) for value, count in mask["values"])
    if mask["palette"] is not None:
        mask["palette"] = tuple((r, g, b) for r, g, b in mask["palette"])
    mask["shapes"] = tuple(RegionProps.from_dict(shape) for shape in mask["shapes"])
    return PictureStats(**picture), MaskStats(**mask)


def _recall(store: Path) -> dict[str, dict[str, Any]]:
    try:
        data = json.loads(store.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data["entries"] if isinstance(data, dict) and data.get("version") == _VERSION else {}


def _keep(store: Path, entries: dict[str, dict[str, Any]]) -> None:
    with suppress(InputError):  # a cache that cannot be written only costs time
        files.write_text(store, json.dumps({"version": _VERSION, "entries": entries}))
