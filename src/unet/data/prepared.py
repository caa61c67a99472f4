"""A data set made ready for training once: index masks, regions of interest burnt in, large sheets cut into blocks.

Blocks of files that can be read in windows are windows of these; of others, which are decoded as a whole, copies.

It lies in the folder of the run, never in the user's, and is an ordinary data set: pairs of a picture and a mask of
class indices, `IGNORED` where nothing counts; or of numbers of objects, and then `IGNORED_OBJECT` is that value.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet import files, raster
from unet.data.finding import shortened
from unet.data.hashing import stamp
from unet.data.pair_arrays import read_target_and_objects
from unet.data.pairs import Pair
from unet.data.windows import blocks, reads_windows
from unet.errors import DataError
from unet.labels import IGNORED, Labels
from unet.raster import Window

INDEX = "sources.json"
"""In the folder: what each file was made from, by size and time, so that only what has changed is made again."""

IGNORED_OBJECT = 65535
"""What masks of numbers of objects hold where nothing counts."""

_VERSION = 2

Entry = dict[str, Any]


@dataclass(frozen=True)
class Prepared:
    """What was made.

    Attributes
    ----------
    parts : dict of str to tuple of Pair
        By part, the pairs to read in place of the given ones, sorted by name, with masks for `index_labels`.
    left_out : int
        So many more were not made, because no pixel of them counts.
    """

    parts: dict[str, tuple[Pair, ...]]
    left_out: int


def index_labels(labels: Labels) -> Labels:
    """Return the table by which prepared masks are read: the same classes, their values the class indices.

    Masks of numbers of objects still hold these, so that objects that touch can be told apart.
    """
    ignored = IGNORED_OBJECT if labels.kind == "instances" else IGNORED
    return replace(labels, values=tuple(range(len(labels))), ignored=(ignored,), rule="exact", dilated=())


def prepare_pairs(
    parts: Mapping[str, Sequence[Pair]],
    labels: Labels,
    folder: Path,
    *,
    tile: tuple[int, int] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Write what training reads, in parallel; what was made before from the same files is used again.

    Parameters
    ----------
    parts : mapping of str to sequence of Pair
        Names are unique within a part.
    labels : Labels
        How the masks of the pairs are read.
    folder : Path
        Gets masks/PART/NAME.png and, where pictures are cut that cannot be read in windows,
        images/PART/NAME@ROW,COLUMN.png (.npy where PNG cannot hold it); row and column are those of the block's upper
        left pixel, and the part "all" has no folder.
    tile : (int, int), optional
        Height and width of the blocks. What is left at the edge is a block of its own from half that size on, and
        else belongs to its neighbour. Pairs that are blocks already are not cut.
    progress : callable, optional
        Called in this thread with the number of pairs that are done and the number of all.

    Returns
    -------
    Prepared

    Raises
    ------
    DataError
        With all pairs that cannot be prepared.
    RasterError, InputError
        The folder cannot be written to.
    """
    recipe = json.loads(json.dumps({"version": _VERSION, "labels": labels.to_dict(), "tile": tile}))
    known = _recall(folder, recipe)
    keyed = {
        part: {pair.name if part == "all" else f"{part}/{pair.name}": pair for pair in held}
        for part, held in parts.items()
    }
    pairs = {key: pair for held in keyed.values() for key, pair in held.items()}
    entries = {key: known[key] for key, pair in pairs.items() if key in known and _is_fresh(known[key], pair, folder)}
    todo = {key: pair for key, pair in pairs.items() if key not in entries}
    faults: list[str] = []
    if todo:
        _keep(folder, {**recipe, "entries": entries})  # from the start, so that the folder is known as ours
    pool = ThreadPoolExecutor(min(os.cpu_count() or 1, 16))
    try:
        futures = {pool.submit(_prepare, key, pair, labels, folder, tile): key for key, pair in todo.items()}
        for future in as_completed(futures):
            try:
                entries[futures[future]] = future.result()
            except DataError as error:
                faults.append(str(error))
            if progress is not None:
                progress(len(entries), len(pairs))
    finally:
        pool.shutdown(cancel_futures=True)
        if todo:
            _keep(folder, {**recipe, "entries": entries})
    if faults:
        raise DataError(f"{len(faults)} of {len(pairs)} pairs cannot be used", faults=shortened(sorted(faults)))
    return Prepared(
        parts={
            part: tuple(sorted(new for key, pair in held.items() for new in _pairs_of(entries[key], pair, folder)))
            for part, held in keyed.items()
        },
        left_out=sum(entry["left_out"] for entry in entries.values()),
    )


def _prepare(key: str, pair: Pair, labels: Labels, folder: Path, tile: tuple[int, int] | None) -> Entry:
    """Write what is made of a pair, and return what the index says of it."""
    target, objects = read_target_and_objects(pair, labels)
    windows: dict[str, Window] = {"": (0, 0, target.shape[0], target.shape[1])}
    tile = None if pair.window else tile
    if tile is not None:
        windows = {f"@{w[0]},{w[1]}": w for w in blocks(target.shape[0], target.shape[1], tile)}
    picture = None if tile is None or reads_windows(pair.image) else raster.read(pair.image)
    made = []
    for block, (top, left, height, width) in windows.items():
        part = (slice(top, top + height), slice(left, left + width))
        if (target[part] == IGNORED).all():
            continue
        if objects is None:
            mask = folder / "masks" / f"{key}{block}.png"
            raster.write_mask(mask, target[part], labels.palette())
        else:
            numbers = numbered_anew(objects[part], target[part])
            mask = raster.write_lossless(folder / "masks" / f"{key}{block}", numbers[..., None])
        image = None
        if picture is not None:
            written = raster.write_lossless(folder / "images" / f"{key}{block}", picture[part])
            image = written.relative_to(folder).as_posix()
        window = pair.window or (None if picture is not None or tile is None else (top, left, height, width))
        name, file = f"{pair.name}{block}", mask.relative_to(folder).as_posix()
        made.append({"name": name, "image": image, "mask": file, "window": window})
    return {"stamp": _stamp(pair), "made": made, "left_out": len(windows) - len(made)}


def numbered_anew(objects: NDArray[np.int32], target: NDArray[np.uint8]) -> NDArray[Any]:
    """Return the objects (H, W) numbered from 1 on, 0 for none, `IGNORED_OBJECT` where nothing counts.

    uint16, or int32 where there are too many. (The numbers in a file may be of any size, and of more bits than PNG
    holds.)
    """
    numbers = np.searchsorted(np.unique(objects[objects != 0]), objects) + 1
    numbers[objects == 0] = 0
    numbers[numbers >= IGNORED_OBJECT] += 1
    numbers[target == IGNORED] = IGNORED_OBJECT
    return numbers.astype(np.uint16 if numbers.max() <= IGNORED_OBJECT else np.int32)


def _pairs_of(entry: Entry, pair: Pair, folder: Path) -> list[Pair]:
    pairs = []
    for made in entry["made"]:
        image = folder / made["image"] if made["image"] else pair.image
        window: Window | None = tuple(made["window"]) if made["window"] else None
        pairs.append(Pair(made["name"], image, folder / made["mask"], window=window, cut_mask=window is not None))
    return pairs


def _is_fresh(entry: Entry, pair: Pair, folder: Path) -> bool:
    made = _pairs_of(entry, pair, folder)
    return bool(entry["stamp"] == _stamp(pair)) and all(
        written.image.is_file() and written.mask.is_file() for written in made
    )


def _stamp(pair: Pair) -> list[Any]:
    paths = [path for path in (pair.image, pair.mask, pair.roi) if path is not None]
    drawn = [] if pair.drawing is None else [repr(pair.drawing)]
    return [*([str(path.absolute()), *stamp(path)] for path in paths), *drawn]


def _recall(folder: Path, recipe: dict[str, Any]) -> dict[str, Entry]:
    """Return what was made before in the same way; what was made in another way goes."""
    try:
        data = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if isinstance(data, dict):
        entries: dict[str, Entry] = data.pop("entries", {})
        if data == recipe:
            return entries
    for made in ("masks", "images"):
        shutil.rmtree(folder / made, ignore_errors=True)
    return {}


def _keep(folder: Path, data: dict[str, Any]) -> None:
    files.write_text(folder / INDEX, json.dumps(data))
