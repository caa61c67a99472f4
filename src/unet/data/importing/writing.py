"""Writes pictures, masks and the class table into a new folder: all of it, or nothing."""

from __future__ import annotations

import csv
import os
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet import raster
from unet.data.finding import shortened
from unet.data.importing.items import BACKGROUND, Annotations, Item, plural
from unet.errors import DataError, InputError, RasterError
from unet.labels import IGNORED, Labels, default_names
from unet.raster import PICTURE_SUFFIXES, PictureInfo

UNFINISHED = ".unfinished"
"""The folder within the new one where all is written first; left behind only where the power fails."""

LEFT_OUT = "left_out.txt"
"""The list of faults of what was left out on request."""

MOST_FAULTS = 50
"""So many faults are spelled out; the rest is counted."""

_ENDINGS = {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif", "JPEG2000": ".jp2", "DIB": ".bmp"}
"""Endings of formats that are not called like them."""


_PALETTE = Labels.numbered(IGNORED).palette()


@dataclass(frozen=True)
class Written:
    """What an import wrote.

    Attributes
    ----------
    parts : dict of str to int
        Pictures by part.
    classes : dict of int to str
        The name of each mask value.
    unused : tuple of str
        Classes, other than background, that no mask holds.
    empty : int
        Pictures without any object; background all over, or left out.
    too_small : int
        Objects that cover the centre of no pixel.
    faults : tuple of str
        Of what was left out.
    """

    parts: dict[str, int]
    classes: dict[int, str]
    unused: tuple[str, ...]
    empty: int
    too_small: int
    faults: tuple[str, ...]


@dataclass(frozen=True)
class _Outcome:
    part: str
    faults: tuple[str, ...] = ()
    values: frozenset[int] = frozenset()
    too_small: int = 0
    written: bool = False


def write(
    annotations: Annotations,
    out: Path,
    *,
    link: bool = False,
    skip_empty: bool = False,
    skip_faulty: bool = False,
    progress: Callable[[int, int], None],
) -> Written:
    """Write a data set that `unet train` reads as it is.

    Parameters
    ----------
    annotations : Annotations
    out : Path
        A new or empty folder. Receives images, masks (palette PNG) and classes.csv; images and masks lie in train,
        val and test where there is more than one part.
    link : bool
        Make hard links to the pictures instead of copies.
    skip_empty : bool
        Leave out pictures without any object.
    skip_faulty : bool
        Leave out pictures with faults, and list these in left_out.txt.
    progress : callable
        Called with the number of pictures that are done and the number of all.

    Raises
    ------
    InputError
        The folder is not empty, or cannot be written to.
    DataError
        Faults in the source, all of them at once, or nothing to write. No file is left then.
    """
    with _folder(out) as folder:
        outcomes = list(_convert_all(annotations, folder, link, skip_empty, progress))
        faults = (*annotations.faults, *(fault for outcome in outcomes for fault in outcome.faults))
        if faults and not skip_faulty:
            raise DataError(
                plural(len(faults), "fault"),
                "none",
                "mend them, or leave out what they are about by --skip-faulty",
                shortened(faults, MOST_FAULTS),
            )
        parts = Counter(outcome.part for outcome in outcomes if outcome.written)
        if not parts:
            raise DataError(f"no picture to write ({len(outcomes)} in the source)", faults=shortened(faults))
        if "all" in parts and len(parts) > 1:
            named = ", ".join(sorted(set(parts) - {"all"}))
            raise DataError(
                f"{plural(parts['all'], 'picture')} of no part beside parts {named}", "all in parts, or none"
            )
        values = frozenset[int]().union(*(outcome.values for outcome in outcomes))
        classes = dict(annotations.classes or _made_up(values))
        if not values - {0, IGNORED} and IGNORED not in classes:
            raise DataError("no picture has an annotation that makes a mask", "one at least")
        _write_table(folder / "classes.csv", classes)
        if faults:
            (folder / LEFT_OUT).write_text("\n".join(faults) + "\n", encoding="utf-8")
        if len(parts) == 1:
            _lift(folder / next(iter(parts)), folder)
    empty = sum(not outcome.values - {0} and not outcome.faults for outcome in outcomes)
    unused = tuple(name for value, name in classes.items() if value not in values and name != BACKGROUND)
    return Written(dict(parts), classes, unused, empty, sum(outcome.too_small for outcome in outcomes), faults)


@contextmanager
def _folder(out: Path) -> Iterator[Path]:
    """Give a folder within `out`, whose content moves up when all has gone well and vanishes when not.

    Raises
    ------
    InputError
        `out` holds something, or cannot be made.
    """
    unfinished = out / UNFINISHED
    if unfinished.exists():
        raise InputError(f"{out} holds an import that was interrupted", "a new folder", f"remove {unfinished}")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        what = "is not empty" if out.is_dir() else "is a file"
        raise InputError(f"{out} {what}", "a new folder", "choose another --out")
    made = not out.exists()
    try:
        unfinished.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"{out} cannot be made ({error.strerror})", "a new folder", "choose another --out") from None
    try:
        yield unfinished
        _lift(unfinished, out)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        if made and not any(out.iterdir()):
            out.rmdir()
        raise


def _lift(folder: Path, above: Path) -> None:
    """Move what a folder holds into the one above, and remove it."""
    for path in sorted(folder.iterdir()):
        path.rename(above / path.name)
    folder.rmdir()


def _convert_all(
    annotations: Annotations, folder: Path, link: bool, skip_empty: bool, progress: Callable[[int, int], None]
) -> Iterator[_Outcome]:
    """Write all items in threads, of which few are in memory at a time."""
    workers = min(os.cpu_count() or 1, 16)
    pool = ThreadPoolExecutor(workers)
    waiting: deque[Future[_Outcome]] = deque()
    taken: dict[tuple[str, str], str] = {}
    done = 0
    try:
        for item in annotations.items:
            other = taken.setdefault((item.part, item.name), item.where)
            if other != item.where:
                yield _Outcome(item.part, (f"{item.where}: the picture is called like that of {other}; rename one",))
                continue
            waiting.append(pool.submit(_convert, item, folder, link, skip_empty))
            if len(waiting) >= 2 * workers:
                yield waiting.popleft().result()
                progress(done := done + 1, annotations.count)
        while waiting:
            yield waiting.popleft().result()
            progress(done := done + 1, annotations.count)
    finally:
        pool.shutdown(cancel_futures=True)


def _convert(item: Item, folder: Path, link: bool, skip_empty: bool) -> _Outcome:
    """Write one picture and its mask; what is wrong with them comes back as faults."""
    image = folder / item.part / "images" / item.name
    unpacked: Path | None = None
    try:
        if isinstance(item.picture, Path):
            picture = item.picture
        else:
            picture = unpacked = _unpack(item.picture(), image.with_name(f"{image.name}.part"))
        info = _probe(item, picture)
        drawn = item.draw(info.height, info.width)
        values = frozenset(np.flatnonzero(np.bincount(drawn.target.ravel())).tolist())
        if drawn.faults or (skip_empty and values == {0}):
            return _Outcome(item.part, drawn.faults, values)
        place = image.with_name(image.name + _ending(picture, info))
        place.parent.mkdir(parents=True, exist_ok=True)
        if unpacked is not None:
            unpacked.replace(place)
        elif link:
            os.link(picture, place)
        else:
            shutil.copyfile(picture, place)
        raster.write_mask(folder / item.part / "masks" / f"{item.name}.png", drawn.target, _PALETTE)
        return _Outcome(item.part, (), values, drawn.too_small, written=True)
    except DataError as error:
        return _Outcome(item.part, (str(error),))
    except OSError as error:
        remedy = "leave out --link, or choose another --out" if link else "free some space, or choose another --out"
        raise InputError(f"{image} cannot be written ({error.strerror})", remedy=remedy) from error
    finally:
        if unpacked is not None:
            unpacked.unlink(missing_ok=True)


def _unpack(content: bytes | NDArray[Any], place: Path) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, np.ndarray):
        return raster.write_lossless(place, content)
    place.write_bytes(content)
    return place


def _probe(item: Item, picture: Path) -> PictureInfo:
    """Return what the picture's header says.

    Raises
    ------
    DataError
        It is no picture, or not of the size that the annotations were made for.
    """
    try:
        info = raster.probe(picture)
    except RasterError as error:
        called = str(picture) if picture == item.picture else "its picture"
        raise DataError(f"{item.where}: {str(error).replace(str(picture), called)}") from None
    if item.size is not None and item.size != (info.height, info.width):
        turned = " as its EXIF turns it; save it upright" if info.orientation != 1 else ""
        raise DataError(
            f"{item.where}: the annotations are for {item.size[1]} x {item.size[0]} pixels, "
            f"the picture has {info.width} x {info.height}{turned}"
        )
    return info


def _ending(picture: Path, info: PictureInfo) -> str:
    known = picture.suffix.lower() in PICTURE_SUFFIXES
    return picture.suffix if known else _ENDINGS.get(info.format, f".{info.format.lower()}")


def _made_up(values: frozenset[int]) -> dict[int, str]:
    """Return names for values that nothing names; 0 and 255 alone are two classes."""
    if values == {0, IGNORED}:
        return dict(zip((0, IGNORED), default_names(2), strict=True))
    return dict(enumerate(default_names(max(values - {IGNORED}, default=0) + 1)))


def _write_table(path: Path, classes: Mapping[int, str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("name", "value", "r", "g", "b"))
        for value, name in sorted(classes.items()):
            writer.writerow((name, value, *_PALETTE[3 * value : 3 * value + 3]))
