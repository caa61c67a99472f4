"""YOLO: data.yaml, and beside each picture's folder `images` a folder `labels` with a text file for each picture."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from unet.data.folders import PARTS, pictures_in
from unet.data.importing import regions
from unet.data.importing.files import OUTSIDE_REMEDY, is_within
from unet.data.importing.items import Annotations, Drawn, Item, clean_name, name_classes, number_classes, safe_stem
from unet.data.importing.recognise import is_yolo
from unet.errors import DataError
from unet.raster import PICTURE_SUFFIXES


def read(source: Path, *, outside: bool = False) -> Annotations:
    """Read outlines in YOLO's text files.

    Parameters
    ----------
    source : Path
        data.yaml (or another name), or the folder it lies in: `names` of the classes, and `train`, `val`, `test`
        with folders of pictures or lists of them, below `path`.
    outside : bool
        Pictures may lie outside of the folder of data.yaml.

    Raises
    ------
    DataError
        No such file, or one that does not say the above.
    """
    file = source if source.is_file() else _yaml_in(source)
    content = _load(file)
    names = _names(content.get("names"), file)
    values = number_classes(names.values())
    value_of = {key: values[name] for key, name in names.items()}
    items: list[Item] = []
    faults: list[str] = []
    keys = [key for key in PARTS if content.get(key)]
    if not keys:
        raise DataError(f"{file} names no pictures", "train: and val: with their folders")
    for key in keys:
        places = content[key] if isinstance(content[key], list) else [content[key]]
        pictures = {
            path: name for place in places for path, name in _pictures(str(place), content, file, key, faults, outside)
        }
        items += [_item(path, name, PARTS[key], value_of) for path, name in pictures.items()]
        faults += _lonely_labels(set(pictures))
    return Annotations(name_classes(values), items, len(items), tuple(dict.fromkeys(faults)))


def _yaml_in(folder: Path) -> Path:
    files = [path for path in sorted((*folder.glob("*.yaml"), *folder.glob("*.yml"))) if is_yolo(path)]
    if len(files) != 1:
        raise DataError(
            f"{len(files) or 'no'} .yaml files with names in {folder}",
            "one, with names: and train:",
            "give the file itself" if files else "",
        )
    return files[0]


def _load(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{file} cannot be read as YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict):
        raise DataError(f"{file} holds no settings", "names: and train:")
    return content


def _names(names: Any, file: Path) -> dict[int, str]:
    """Return the name of each class number, from a list or from a table."""
    table = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(table, dict) or not table or not all(isinstance(key, int) for key in table):
        raise DataError(f"{file}: names is {names!r}", "a list, or a table of number: name")
    return {key: clean_name(str(table[key])) for key in sorted(table)}


def _pictures(
    place: str, content: Mapping[str, Any], file: Path, key: str, faults: list[str], outside: bool
) -> list[tuple[Path, str]]:
    """Return the pictures in a folder or in a list, and the name of each below it."""
    root = file.parent / str(content.get("path") or "")
    if not root.is_dir():  # the folder of another machine
        root = file.parent
    # Exports say ../train/images for what lies beside the file.
    tried = [base / name for base in (root, file.parent) for name in (place, place.removeprefix("../"))]
    target = next((path for path in tried if path.exists()), None)
    if target is None:
        faults.append(f"{file}: {key} is {place}, which does not exist; mend the line or remove it")
        return []
    if not outside and not is_within(target, file.parent):
        faults.append(f"{file}: {key} is {place}, outside of {file.parent}; {OUTSIDE_REMEDY}")
        return []
    if target.is_dir() and target.resolve() == Path(target.resolve().anchor):
        faults.append(f"{file}: {key} is {place}, the whole disk; name a folder of pictures")
        return []
    if target.is_dir():
        return [(path, path.relative_to(target).as_posix()) for path in pictures_in(target, deep=True)]
    lines = [line.strip() for line in target.read_text(encoding="utf-8-sig", errors="replace").splitlines()]
    listed = []
    for number, line in enumerate(lines, start=1):
        path = next((base / line for base in (target.parent, root) if (base / line).is_file()), None)
        if path is not None and not outside and not is_within(path, file.parent):
            faults.append(f"{target}: line {number}: {line} is outside of {file.parent}; {OUTSIDE_REMEDY}")
        elif path is not None:
            listed.append((path, path.name))
        elif line:
            faults.append(f"{target}: line {number}: there is no picture {line}")
    return listed


def _labels_of(picture: Path) -> Path:
    """Return where the text of a picture is: the last folder `images` in its path becomes `labels`."""
    parts = list(picture.with_name(f"{picture.stem}.txt").parts)
    places = [place for place, part in enumerate(parts[:-1]) if part == "images"]
    if places:
        parts[places[-1]] = "labels"
    return Path(*parts)


def _lonely_labels(pictures: set[Path]) -> list[str]:
    """Name the text files with labels that no picture has."""
    texts = {_labels_of(path) for path in pictures}
    there = {path for folder in {text.parent for text in texts} if folder.is_dir() for path in folder.glob("*.txt")}
    lonely = [path for path in sorted(there - texts) if path.name != "classes.txt" and not _is_list(path)]
    return [f"{path} has no picture" for path in lonely]


def _is_list(path: Path) -> bool:
    """Tell a list of pictures that lies beside them from labels."""
    first = path.read_text(encoding="utf-8", errors="replace").lstrip("\ufeff").partition("\n")[0].strip()
    return Path(first).suffix.lower() in PICTURE_SUFFIXES


def _item(picture: Path, name: str, part: str, value_of: Mapping[int, int]) -> Item:
    labels = _labels_of(picture)
    return Item(part, safe_stem(name), picture, str(labels), None, partial(_draw, labels, value_of))


def _draw(labels: Path, value_of: Mapping[int, int], height: int, width: int) -> Drawn:
    drawn, faults = [], []
    try:
        lines = labels.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        lines = []
    except (OSError, UnicodeDecodeError) as error:
        lines, faults = [], [f"{labels} cannot be read as text ({error})"]
    for number, line in enumerate(lines, start=1):
        if words := line.split():
            try:
                drawn.append(_region(words, value_of, height, width))
            except DataError as error:
                faults.append(f"{labels}: line {number}: {error}")
    return regions.paint(drawn, height, width, faults)


def _region(words: list[str], value_of: Mapping[int, int], height: int, width: int) -> regions.Region:
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        raise DataError(f"{' '.join(words)[:60]!r}", "class x1 y1 x2 y2 ... in numbers") from None
    if len(numbers) == 5:
        raise DataError("a box (5 numbers)", "class x1 y1 x2 y2 x3 y3 ...", "import labels of segmentation")
    if numbers[0] not in value_of:
        known = ", ".join(str(key) for key in list(value_of)[:10])
        raise DataError(f"class {words[0]}", f"a number that data.yaml names: {known}")
    if len(numbers) % 2 == 0:
        raise DataError(f"{len(numbers) - 1} coordinates", "x, y for each point")
    shares = np.array(numbers[1:]).reshape(-1, 2)
    points = regions.points_of(shares * (width, height), height, width, least=3)
    return regions.outline([points], value_of[int(numbers[0])], height, width)
