"""LabelMe: a JSON file for each picture, with shapes drawn by hand."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unet import raster
from unet.data.folders import pictures_in, split_part
from unet.data.importing import regions
from unet.data.importing.files import OUTSIDE_REMEDY, as_file, is_within
from unet.data.importing.items import (
    Annotations,
    Drawn,
    Item,
    clean_name,
    name_classes,
    number_classes,
    plural,
    read_object,
    safe_stem,
    size_of,
)
from unet.data.importing.recognise import kind_of_json
from unet.errors import DataError
from unet.labels import IGNORED

LINE_WIDTH = 10.0
"""Pixels; what LabelMe's own conversion to masks takes."""

_PAGE = "shapes and imagePath"
"""What a file of LabelMe holds."""

IGNORE = "__ignore__"
"""LabelMe's label for what is not to be learned."""


def read(source: Path, *, line_width: float = LINE_WIDTH, outside: bool = False) -> Annotations:
    """Read LabelMe annotations.

    Parameters
    ----------
    source : Path
        A JSON file, or a folder with JSON files in it and below; folders train, val and test in it are parts.
    line_width : float
        Of lines, and of the discs that points become, in pixels.
    outside : bool
        Pictures may lie outside of `source`.

    Raises
    ------
    DataError
        No such files, or too many labels.
    """
    root = source if source.is_dir() else source.parent
    files = [source] if source.is_file() else [p for p in sorted(root.rglob("*.json")) if kind_of_json(p) == "labelme"]
    if not files:
        raise DataError(f"no LabelMe annotations in {source}", ".json files with shapes and imagePath")
    faults: list[str] = []
    pages = {path: page for path in files if (page := _load(path, faults))}
    labels = {_label(shape) for page in pages.values() for shape in page["shapes"]}
    values = number_classes(sorted(labels - {"", IGNORE}))
    values_of = {**values, IGNORE: IGNORED}
    items = [_item(path, page, root, values_of, line_width, outside) for path, page in pages.items()]
    used = {item.picture for item in items}
    bare = sum(path not in used for path in pictures_in(root, deep=True)) if source.is_dir() else 0
    notes = (f"{plural(bare, 'picture')} without a .json left out: nobody has labelled them",) if bare else ()
    return Annotations(name_classes(values), items, len(items), tuple(faults), notes)


def _load(path: Path, faults: list[str]) -> dict[str, Any] | None:
    """Return what a file says, without the picture in it; what is wrong goes to `faults`."""
    try:
        page = read_object(path, _PAGE)
    except DataError as error:
        faults.append(str(error))
        return None
    page.pop("imageData", None)
    shapes = page.get("shapes")
    if not isinstance(shapes, list) or not all(isinstance(shape, dict) for shape in shapes):
        faults.append(f"{path} lacks a list of shapes")
        return None
    return page


def _item(
    path: Path, page: dict[str, Any], root: Path, values: Mapping[str, int], line_width: float, outside: bool
) -> Item:
    part, name = split_part(path.relative_to(root).as_posix())
    return Item(
        part=part,
        name=safe_stem(name),
        picture=_picture(path, page, root, outside) or partial(_picture_inside, path, page.get("imagePath")),
        where=str(path),
        size=size_of(page, "imageHeight", "imageWidth"),
        draw=partial(_draw, page["shapes"], values, line_width, str(path)),
    )


def _picture(path: Path, page: dict[str, Any], root: Path, outside: bool) -> Path | Callable[[], bytes] | None:
    """Return the picture where the file says, or of that name beside the file; None where it is not there.

    Some files of version 4 name themselves: the picture is then the one that they carry.
    """
    image_path = page.get("imagePath")
    if not isinstance(image_path, str) or not image_path:
        return None
    image_path = image_path.replace("\\", "/")
    places = (path.parent / image_path, path.parent / image_path.rpartition("/")[2])
    there = [place for place in places if place != path and _is_file(place)]
    if (inside := [place for place in there if outside or is_within(place, root)]) or not there:
        return inside[0] if inside else None
    return partial(_refuse, f"{path}: imagePath leads to {there[0]}, outside of {root}")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # no name that a file could have
        return False


def _refuse(what: str) -> bytes:
    raise DataError(what, remedy=OUTSIDE_REMEDY)


def _picture_inside(path: Path, image_path: Any) -> bytes:
    """Return the picture that the JSON file carries."""
    data = read_object(path, _PAGE).get("imageData")
    if not data:
        raise DataError(f"{path}: there is no picture {image_path}, and none in the file (imageData)")
    return _decoded(data)


def _decoded(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise DataError("pixels that are not base64") from None


def _label(shape: dict[str, Any]) -> str:
    return clean_name(str(shape.get("label") or ""))


def _draw(
    shapes: Sequence[dict[str, Any]], values: Mapping[str, int], line_width: float, where: str, height: int, width: int
) -> Drawn:
    drawn, faults = [], []
    for place, shape in enumerate(shapes, start=1):
        try:
            drawn.append(_region(shape, values, line_width, height, width))
        except DataError as error:
            faults.append(f"{where}: shape {place} ({_label(shape) or 'no label'}): {error}")
    return regions.paint(drawn, height, width, faults)


def _region(
    shape: dict[str, Any], values: Mapping[str, int], line_width: float, height: int, width: int
) -> regions.Region:
    if not _label(shape):
        raise DataError("no label", "the name of a class")
    value, kind = values[_label(shape)], str(shape.get("shape_type") or "polygon")
    least = {"polygon": 3, "rectangle": 2, "circle": 2, "line": 2, "linestrip": 2, "point": 1, "mask": 2}
    if kind not in least:
        raise DataError(f"shape_type {kind!r}", ", ".join(least))
    points = regions.points_of(shape.get("points"), height, width, least[kind])
    match kind:
        case "polygon":
            return regions.outline([points], value, height, width)
        case "rectangle":
            (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
            corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
            return regions.outline([corners], value, height, width)
        case "circle":
            return regions.stroke(points[:1], math.dist(points[0], points[1]), value, height, width)
        case "mask":
            return _pasted(shape.get("mask"), points, value, height, width)
        case _:
            return regions.stroke(points, line_width / 2, value, height, width)


def _pasted(data: Any, points: Any, value: int, height: int, width: int) -> regions.Region:
    """Return a shape of kind mask: a small picture, not 0 inside, put down at the first point."""
    with as_file(_decoded(data), "its mask") as path:
        pixels = raster.read_mask(path) != 0
    column, row = (int(number) for number in points[0])
    inside = row >= 0 and column >= 0 and row + pixels.shape[0] <= height and column + pixels.shape[1] <= width
    if pixels.ndim != 2 or not inside:
        raise DataError(f"a mask of {pixels.shape[1]} x {pixels.shape[0]} pixels at ({column}, {row})", "one inside")
    return regions.crop(pixels, value, row=row, column=column)
