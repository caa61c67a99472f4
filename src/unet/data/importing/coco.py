"""COCO: a JSON file of pictures, categories and annotations whose `segmentation` is polygons or run lengths."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from unet.data.folders import pictures_in
from unet.data.importing import regions
from unet.data.importing.items import (
    Annotations,
    Drawn,
    Item,
    clean_name,
    name_classes,
    number_classes,
    part_of,
    safe_stem,
    size_of,
    words_of,
)
from unet.data.importing.recognise import kind_of_json
from unet.errors import DataError
from unet.labels import IGNORED


@dataclass(frozen=True)
class _Table:
    """What a JSON file holds."""

    path: Path
    images: list[Any]
    annotations: list[Any]
    categories: dict[Any, str]


def read(source: Path, *, images: Path | None = None, ignore_crowd: bool = False) -> Annotations:
    """Read COCO annotations.

    Parameters
    ----------
    source : Path
        A JSON file, or a folder that holds some: those called instances..., where there are such, else all.
    images : Path, optional
        The folder below which the pictures are, where it is not `source`.
    ignore_crowd : bool
        Leave out of learning what is marked `iscrowd`, instead of taking it for the class that it names.

    Raises
    ------
    DataError
        No such file, or too many categories.
    """
    if images is not None and not images.is_dir():
        raise DataError(f"no such folder: {images}", "the pictures", "mend --images")
    root = source if source.is_dir() else source.parent
    faults: list[str] = []
    tables = [table for file in _files(source) if (table := _load(file, faults))]
    values = number_classes(name for table in tables for name in table.categories.values())
    above = source.is_file() and root.name == "annotations"
    pictures = _Pictures(images or (root.parent if above else root))
    items = [item for table in tables for item in _items(table, root, pictures, values, ignore_crowd, faults)]
    return Annotations(name_classes(values), items, len(items), tuple(faults))


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    files = [path for path in sorted(source.rglob("*.json")) if kind_of_json(path) == "coco"]
    if not files:
        raise DataError(f"no COCO annotations in {source}", "a .json file with images, annotations and categories")
    return [path for path in files if path.name.startswith("instances")] or files


def _load(path: Path, faults: list[str]) -> _Table | None:
    """Return the tables of a file; what is wrong with it goes to `faults`."""
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        faults.append(f"{path} cannot be read as JSON ({error})")
        return None
    parts = [data.get(key) if isinstance(data, dict) else None for key in ("images", "annotations", "categories")]
    if not all(isinstance(part, list) for part in parts):
        faults.append(f"{path} lacks a list of images, of annotations or of categories")
        return None
    categories = {}
    for place, entry in enumerate(parts[2] or (), start=1):
        name = clean_name(str(entry.get("name") or "")) if isinstance(entry, dict) else ""
        if not name or not isinstance(entry.get("id"), int):
            faults.append(f"{path}: category {place} in the list has no id or no name")
        else:
            categories[entry["id"]] = name
    return _Table(path, parts[0] or [], parts[1] or [], dict(sorted(categories.items())))


class _Pictures:
    """The picture files below a folder, found by the names that annotations use."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._by_name: dict[str, list[Path]] = {}
        for path in pictures_in(root, deep=True):
            self._by_name.setdefault(unicodedata.normalize("NFC", path.name), []).append(path)

    def find(self, name: str, words: Sequence[str]) -> Path:
        """Return the picture of that name; of several, the one below a folder that is called like one of the words.

        Raises
        ------
        DataError
            There is none, or it cannot be told which.
        """
        parts = [part for part in unicodedata.normalize("NFC", name).replace("\\", "/").split("/") if part]
        known = self._by_name.get(parts[-1] if parts else "", [])
        matches = [path for path in known if path.parts[-len(parts) :] == tuple(parts)] or known
        if len(matches) > 1:
            inside = [{part.lower() for part in path.relative_to(self.root).parts[:-1]} for path in matches]
            near = [path for path, folders in zip(matches, inside, strict=True) if folders.intersection(words)]
            matches = near or matches
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise DataError(f"{name} is the name of {len(matches)} pictures, such as {matches[0]} and {matches[1]}")
        raise DataError(f"there is no picture {name} in {self.root}", remedy="say where it is by --images DIR")


def _items(
    table: _Table,
    root: Path,
    pictures: _Pictures,
    values: Mapping[str, int],
    ignore_crowd: bool,
    faults: list[str],
) -> list[Item]:
    """Return the pictures of a file; what belongs to none of them goes to `faults`."""
    images: dict[Any, tuple[dict[str, Any], list[Any]]] = {}
    for place, image in enumerate(table.images, start=1):
        key = image.get("id") if isinstance(image, dict) else None
        if not isinstance(key, (int, str)) or not isinstance(image.get("file_name"), str):
            faults.append(f"{table.path}: image {place} in the list has no id or no file_name")
        elif key in images:
            faults.append(f"{table.path}: two images with the id {key}")
        else:
            images[key] = image, []
    for place, annotation in enumerate(table.annotations, start=1):
        key = annotation.get("image_id") if isinstance(annotation, dict) else None
        if isinstance(key, (int, str)) and key in images:
            images[key][1].append(annotation)
        else:
            faults.append(f"{table.path}: {_called(annotation, place)} is of an unknown image ({key})")
    value_of = {key: values[name] for key, name in table.categories.items()}
    part, words = part_of(table.path, root), words_of(table.path, root)
    items: list[Item] = []
    used: dict[Path, str] = {}
    for image, objects in images.values():
        name = image["file_name"]
        where = f"{table.path}: image {image['id']} ({name})"
        try:
            picture = pictures.find(name, words)
            if used.setdefault(picture, name) != name:
                raise DataError(f"{picture} is the only picture for it and for {used[picture]}", "one for each")
        except DataError as error:
            faults.append(f"{where}: {error}")
            continue
        draw = partial(_draw, objects, value_of, ignore_crowd, str(table.path))
        items.append(Item(part, safe_stem(name), picture, where, size_of(image, "height", "width"), draw))
    return items


def _called(annotation: Any, place: int) -> str:
    key = annotation.get("id") if isinstance(annotation, dict) else None
    return f"annotation {place} in the list" if key is None else f"annotation {key}"


def _draw(
    annotations: Sequence[dict[str, Any]],
    value_of: Mapping[Any, int],
    ignore_crowd: bool,
    where: str,
    height: int,
    width: int,
) -> Drawn:
    drawn, faults = [], []
    for place, annotation in enumerate(annotations, start=1):
        try:
            drawn.append(_region(annotation, value_of, ignore_crowd, height, width))
        except DataError as error:
            faults.append(f"{where}: {_called(annotation, place)}: {error}")
    return regions.paint(drawn, height, width, faults)


def _region(
    annotation: dict[str, Any], value_of: Mapping[Any, int], ignore_crowd: bool, height: int, width: int
) -> regions.Region:
    category, shape, crowd = (annotation.get(key) for key in ("category_id", "segmentation", "iscrowd"))
    if not isinstance(category, int) or category not in value_of:
        raise DataError(f"category {category}", f"one of {', '.join(str(key) for key in list(value_of)[:10])}")
    value = IGNORED if crowd and ignore_crowd else value_of[category]
    if not shape:
        raise DataError("no segmentation", "polygons or runs", "a box alone makes no mask")
    if isinstance(shape, dict):
        return regions.runs(shape.get("counts"), shape.get("size"), value, height, width, bool(crowd))
    if not isinstance(shape, list):
        raise DataError(f"a segmentation of {type(shape).__name__}", "polygons or runs")
    rings = [regions.points_of(ring, height, width, least=3) for ring in shape]
    return regions.outline(rings, value, height, width, bool(crowd))
