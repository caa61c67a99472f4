"""A folder for each picture, and in it a mask for each object: the layout of the Data Science Bowl of 2018."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from unet import raster
from unet.data.folders import object_folders, pictures_in
from unet.data.importing.items import Annotations, Drawn, Item, name_classes, number_classes
from unet.errors import DataError, RasterError

OBJECT = "object"
"""The class of whatever is not 0 in a mask."""


def read(source: Path) -> Annotations:
    """Read folders NAME/images with one picture and NAME/masks with a mask for each object in it.

    Parameters
    ----------
    source : Path
        The folder that holds them.

    Raises
    ------
    DataError
        Another layout.
    """
    folders = object_folders(source)
    if not folders:
        raise DataError(
            f"{source} is laid out in another way", "folders NAME/images with one picture and NAME/masks with several"
        )
    values = number_classes([OBJECT])
    items = [_item(picture, masks, values[OBJECT]) for picture, masks in folders]
    notes = ("objects that touch are one in the masks: what is written are classes, not objects",)
    return Annotations(name_classes(values), items, len(items), notes=notes)


def _item(picture: Path, masks: Path, value: int) -> Item:
    draw = partial(_draw, pictures_in(masks, deep=False), value)
    return Item("all", masks.parent.name, picture, str(masks.parent), None, draw)


def _draw(files: Sequence[Path], value: int, height: int, width: int) -> Drawn:
    target = np.zeros((height, width), dtype=np.uint8)
    too_small, faults = 0, []
    for path in files:
        try:
            mask = raster.read_mask(path)
        except RasterError as error:
            faults.append(str(error))
            continue
        inside = mask != 0 if mask.ndim == 2 else mask.any(axis=2)
        if inside.shape != target.shape:
            rows, columns = inside.shape
            faults.append(f"{path} is {columns} x {rows} pixels, its picture {width} x {height}")
            continue
        too_small += not inside.any()
        target[inside] = value
    return Drawn(target, too_small, tuple(faults))
