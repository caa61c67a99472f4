"""What is trained on, validated on and tested on: the pairs of a described data set, by folders or by lists."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from unet import raster
from unet.data.class_table import ClassTable
from unet.data.finding import shortened
from unet.data.folders import pictures_in
from unet.data.manifest import Description
from unet.data.matching import match_names, name_in
from unet.data.pairs import Drawing, Pair, find_pairs, is_vector
from unet.data.polygon_truth import polygon_classes, with_drawing
from unet.data.windows import cut_sheets
from unet.errors import DataError, did_you_mean
from unet.raster import PICTURE_SUFFIXES, Window
from unet.raster.roi import POLYGON_SUFFIXES, open_region


def find_parts(description: Description, say: Callable[[str], None]) -> dict[str, tuple[Pair, ...]]:
    """Find the pairs of a data set, with their regions of interest, by part.

    Parameters
    ----------
    description : Description
    say : callable
        Called with a sentence where folders make other words about the split void.

    Returns
    -------
    dict of str to tuple of Pair
        "train", "val" and "test" as far as folders or lists say them, or "all". A share to validate on is
        still to be taken: see `unet.data.splitting.split`.

    Raises
    ------
    DataError
        Files that do not pair, lists that are missing or name no picture, regions of another size.
    """
    parts = find_pairs(
        description.root, images=description.images, masks=description.masks, mask_suffix=description.mask_suffix
    )
    return in_parts(parts, description, say)


def in_parts(
    parts: dict[str, tuple[Pair, ...]], description: Description, say: Callable[[str], None]
) -> dict[str, tuple[Pair, ...]]:
    """Return pairs that were found in folders with their regions of interest, by part as the lists say, sheets cut.

    The parameters and what is raised are otherwise those of `find_parts`.
    """
    if any(is_vector(pair.mask) for pairs in parts.values() for pair in pairs[:1]):
        parts = _drawn(parts, description, say)
    if description.roi is not None:
        roi, suffix = description.roi, description.roi_suffix
        parts = {part: with_regions(pairs, roi, suffix, say) for part, pairs in parts.items()}
    parts = {part: cut_sheets(pairs, description.tile, say) for part, pairs in parts.items()}
    return _by_description(parts, description, say)


def drawn_table(description: Description) -> ClassTable | None:
    """Return the classes of the polygons that are the masks of a data set; None where the masks are pictures.

    Raises
    ------
    InputError
        As `unet.data.polygon_truth.polygon_classes`.
    """
    if description.masks is None or not is_vector(description.masks):
        return None
    return _classes(description.masks, description)[1]


def _drawn(
    parts: dict[str, tuple[Pair, ...]], description: Description, say: Callable[[str], None]
) -> dict[str, tuple[Pair, ...]]:
    file = next(pair.mask for pairs in parts.values() for pair in pairs)
    return with_drawing(parts, _classes(file, description)[0], say)


def _classes(file: Path, how: Description) -> tuple[Drawing, ClassTable]:
    return polygon_classes(file, how.class_field, how.outline, how.classes, numbered=how.instances)


def _by_description(
    parts: dict[str, tuple[Pair, ...]], description: Description, say: Callable[[str], None]
) -> dict[str, tuple[Pair, ...]]:
    given = {"train": description.train, "val": description.val, "test": description.test}
    lists = {part: path for part, path in given.items() if isinstance(path, Path)}
    if {"train", "val"} <= parts.keys():
        if lists.keys() - {"test"} or description.val or description.group:
            say("the folders train and val say what is held out; lists, val and group have no effect")
        return parts | (by_lists(parts["train"], {"test": lists["test"]}) if "test" in lists else {})
    pairs = parts.get("all") or parts.get("train")
    if not lists or not pairs:
        return parts
    return {**{part: held for part, held in parts.items() if part == "test"}, **by_lists(pairs, lists)}


def by_lists(pairs: Sequence[Pair], lists: Mapping[str, Path]) -> dict[str, tuple[Pair, ...]]:
    """Split pairs as list files say.

    Parameters
    ----------
    pairs : sequence of Pair
    lists : mapping of str to Path
        For "train", "val", "test": a text file with a name on each line, with or without folder, suffix and
        ending, or that of a block; or a folder with some of the pictures, or with a data set of its own. Pictures
        that no list names are trained on where there is no list "train", and left out where there is one.

    Returns
    -------
    dict of str to tuple of Pair
        The parts of `lists` and "train", each sorted by name and with at least one pair.

    Raises
    ------
    DataError
        A list is missing; lines that name no picture or one that is on another list too, all of them at once.
    """
    parts: dict[str, tuple[Pair, ...]] = {}
    faults: list[str] = []
    for part, path in lists.items():
        chosen, wrong = (_in_folder(pairs, path), []) if path.is_dir() else _on_list(pairs, path)
        parts[part] = tuple(sorted(chosen))
        faults += wrong
    if faults:
        raise DataError(
            f"{len(faults)} line{'s' * (len(faults) != 1)} of {_listed(lists)} cannot be used",
            "the name of one picture of the data set on each line",
            faults=shortened(faults),
        )
    of: dict[tuple[Path, Window | None], str] = {}
    for part, held in parts.items():
        for pair in held:
            other = of.setdefault((pair.image.resolve(), pair.window), part)
            if other != part:
                faults.append(f"{pair.name} is in {lists[other]} and in {lists[part]}")
    if faults:
        raise DataError(f"{len(faults)} pictures are on two lists", "each on one", faults=shortened(faults))
    if "train" not in parts:
        rest = tuple(sorted(pair for pair in pairs if (pair.image.resolve(), pair.window) not in of))
        parts = {"train": rest, **parts}
    if not all(parts.values()):
        words = {"train": "pictures to train on", "val": "held out", "test": "to test on"}
        counts = ", ".join(f"{len(held)} {words[part]}" for part, held in parts.items())
        raise DataError(f"{counts} ({_listed(lists)})", "at least one of each")
    return parts


def with_regions(
    pairs: Sequence[Pair], roi: Path, suffix: str | None, say: Callable[[str], None] = lambda text: None
) -> tuple[Pair, ...]:
    """Return the pairs with their regions of interest, from one file for all or from a folder by name.

    What is made of the coordinates of polygons is said.

    Raises
    ------
    DataError
        A picture without region, or with one of another size; all of them at once.
    """
    if not roi.exists():
        raise DataError(f"no such file or folder: {roi}", "the region of interest: a file, or a folder of files")
    if roi.is_dir():
        files = {name_in(path, roi): path for path in pictures_in(roi, deep=True)}
        key_of_image, key_of_region = match_names([pair.name for pair in pairs], list(files), suffix)
        by_key = {key: files[stem] for stem, key in key_of_region.items()}
        regions = [by_key.get(key_of_image[pair.name]) for pair in pairs]
    else:
        regions = [roi] * len(pairs)
        if pairs and roi.suffix.lower() in POLYGON_SUFFIXES:
            with raster.open(pairs[0].image) as source, open_region(roi, source) as region:
                if region.remark:
                    say(region.remark)
    faults = [fault for pair, region in zip(pairs, regions, strict=True) if (fault := _region_fault(pair, region, roi))]
    if faults:
        raise DataError(
            f"{len(faults)} of {len(pairs)} pictures have no region of interest",
            "one of the picture's size for each",
            faults=shortened(faults),
        )
    return tuple(replace(pair, roi=region) for pair, region in zip(pairs, regions, strict=True))


def _region_fault(pair: Pair, region: Path | None, roi: Path) -> str:
    if region is None:
        return f"{pair.image} has none in {roi}"
    if region.suffix.lower() in POLYGON_SUFFIXES:
        return ""
    picture, mask = raster.probe(pair.image), raster.probe(region)
    if (picture.height, picture.width) == (mask.height, mask.width):
        return ""
    return (
        f"{region} is {mask.width} x {mask.height} pixels, its picture {pair.image} {picture.width} x {picture.height}"
    )


def _in_folder(pairs: Sequence[Pair], folder: Path) -> list[Pair]:
    inside = [pair for pair in pairs if folder.resolve() in pair.image.resolve().parents]
    return inside or [pair for part in find_pairs(folder).values() for pair in part]


def _on_list(pairs: Sequence[Pair], path: Path) -> tuple[list[Pair], list[str]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise DataError(
            f"no such file or folder: {path}", "a list of names, a folder, or (to validate on) a share such as 0.15"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a list ({error})", "a text file with a name on each line") from None
    known: dict[str, dict[Path, list[Pair]]] = {}  # a name is that of one picture: of the pair, or of all its blocks
    for pair in pairs:
        whole = pair.name.rpartition("@")[0] if pair.window else pair.name
        names = {pair.name, whole, *(name.rpartition("/")[2] for name in (pair.name, whole))}
        for key in names | {name_in(pair.mask, pair.mask.parent)}:
            known.setdefault(key, {}).setdefault(pair.image, []).append(pair)
    held: dict[Pair, None] = {}
    faults = []
    for number, line in enumerate(lines, start=1):
        name = unicodedata.normalize("NFC", line.strip().replace("\\", "/"))
        if not name or name.startswith("#"):
            continue
        keys = _meanings(name)
        matches = next((known[key] for key in keys if key in known), {})
        if len(matches) != 1:
            hint = "" if matches else did_you_mean(keys[-1], known, " ({})")
            faults.append(f"{path.name} line {number}: {name} is the name of {len(matches) or 'no'} pictures{hint}")
        held.update(dict.fromkeys(pair for blocks in matches.values() for pair in blocks))
    return list(held), faults


def _meanings(name: str) -> list[str]:
    """Return what a line may mean, the most precise first: with folder, without, and without the ending."""
    ending = Path(name).suffix
    short = name.removesuffix(ending) if ending.lower() in PICTURE_SUFFIXES else name
    parts = short.split("/")
    return [name, *("/".join(parts[start:]) for start in range(len(parts)))]


def _listed(lists: Mapping[str, Path]) -> str:
    return " and ".join(str(path) for path in lists.values())
