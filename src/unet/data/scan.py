"""Reads every picture and mask once, in parallel, and keeps what a plan and a class table need to know."""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import platformdirs

from unet import raster
from unet.data.objects import Shape
from unet.data.pairs import Pair
from unet.data.stats import MaskStats, PictureStats, mask_stats, picture_stats
from unet.errors import RasterError
from unet.labels import as_value

_LOSSY = ("JPEG", "MPO", "WEBP", "JPEG2000", "AVIF")
_VERSION = 3  # of the cache
_MEASURED = 200  # of so many masks the shapes are measured, evenly spread over the data set


@dataclass(frozen=True)
class Scan:
    """All that was found.

    Attributes
    ----------
    pairs : tuple of Pair
        Those without fault.
    pictures, masks : tuple of PictureStats, of MaskStats
        As many as `pairs`, in the same order.
    faults : tuple of str
        One sentence for each of the other pairs.
    """

    pairs: tuple[Pair, ...]
    pictures: tuple[PictureStats, ...]
    masks: tuple[MaskStats, ...]
    faults: tuple[str, ...]


Found = tuple[PictureStats, MaskStats]


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
        A file that cannot be read, or a mask of another size than its picture, is a fault, not an exception.
    """
    store = _store(pairs, cache)
    known = _recall(store)
    found: dict[Pair, Found | str] = {}
    for pair in pairs:
        entry = known.get(_key(pair))
        if entry is not None and entry["stamp"] == _stamp(pair):
            found[pair] = _from_json(entry)
    if progress is not None:
        progress(len(found), len(pairs))
    todo = [pair for pair in pairs if pair not in found]
    pool = ThreadPoolExecutor(workers or min(os.cpu_count() or 1, 16))
    try:
        every = math.ceil(max(len(pairs), 1) / _MEASURED)
        measured = set(pairs[::every])
        futures = {pool.submit(_inspect, pair, pair in measured): pair for pair in todo}
        for future in as_completed(futures):
            found[futures[future]] = future.result()
            if progress is not None:
                progress(len(found), len(pairs))
    finally:
        pool.shutdown(cancel_futures=True)
    good = [(pair, result) for pair in pairs if not isinstance(result := found[pair], str)]
    if todo:
        _keep(store, {**known, **{_key(pair): _to_json(pair, result) for pair, result in good}})
    return Scan(
        pairs=tuple(pair for pair, _ in good),
        pictures=tuple(picture for _, (picture, _) in good),
        masks=tuple(mask for _, (_, mask) in good),
        faults=tuple(result for pair in pairs if isinstance(result := found[pair], str)),
    )


def _inspect(pair: Pair, shapes: bool) -> Found | str:
    """Return what the two files hold, or what is wrong with them in one sentence."""
    faults = []
    try:
        picture = raster.read(pair.image)
    except RasterError as error:
        faults.append(str(error))
    try:
        mask, info, palette = (
            raster.read_mask(pair.mask),
            raster.probe(pair.mask),
            raster.mask_palette(pair.mask),
        )
    except RasterError as error:
        faults.append(str(error))
    if faults:
        return "; ".join(faults)
    if picture.shape[:2] != mask.shape[:2]:
        return _size_fault(pair, picture.shape[:2], mask.shape[:2])
    return picture_stats(picture), mask_stats(mask, lossy=info.format in _LOSSY, palette=palette, shapes=shapes)


def _size_fault(pair: Pair, picture: tuple[int, ...], mask: tuple[int, ...]) -> str:
    (height, width), (mask_height, mask_width) = picture, mask
    fault = f"{pair.image} is {width} x {height} pixels, its mask {pair.mask} {mask_width} x {mask_height}"
    factor = mask_width / width
    if (mask_height, mask_width) == (width, height):
        return f"{fault}: one of them lies on its side; rotate it"
    if abs(factor - 1) > 0.1 and abs(mask_height - factor * height) <= max(1.0, factor):
        return f"{fault}: {factor:.3g} times the size; resize the mask without blending values (nearest)"
    return f"{fault}: cut or resize one of them, or pair the right files"


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


def _to_json(pair: Pair, found: Found) -> dict[str, Any]:
    return {"stamp": _stamp(pair), "picture": asdict(found[0]), "mask": asdict(found[1])}


def _from_json(entry: dict[str, Any]) -> Found:
    picture, mask = entry["picture"], entry["mask"]
    lists = {name: tuple(picture[name]) for name in ("mean", "std", "low", "high")}
    values = tuple((as_value(value), int(count)) for value, count in mask["values"])
    palette = None if mask["palette"] is None else tuple((r, g, b) for r, g, b in mask["palette"])
    shapes = tuple(Shape.from_dict(shape) for shape in mask["shapes"])
    measured = MaskStats(**{**mask, "values": values, "palette": palette, "shapes": shapes})
    return PictureStats(**{**picture, **lists}), measured


def _recall(store: Path) -> dict[str, dict[str, Any]]:
    try:
        data = json.loads(store.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data["entries"] if isinstance(data, dict) and data.get("version") == _VERSION else {}


def _keep(store: Path, entries: dict[str, dict[str, Any]]) -> None:
    temporary = store.with_suffix(f".{secrets.token_hex(4)}.part")
    try:
        store.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps({"version": _VERSION, "entries": entries}), encoding="utf-8")
        temporary.replace(store)
    except OSError:  # a cache that cannot be written only costs time
        with suppress(OSError):
            temporary.unlink()
