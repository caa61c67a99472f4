"""A sheet and its shapes as a pyramid of small pictures, which a page can hold and a browser can zoom into."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unet import raster
from unet.labels import IGNORED
from unet.report.overlay import viewable
from unet.shapes.colors import label_colors
from unet.shapes.polygons import row_bands

MOST_BYTES = 8 << 20
"""What the pictures may take in a page."""

MOST_PIXELS = 16 << 20
"""Sheets of more pixels are shown smaller; the pyramid is made in memory."""

TILE = 512
"""Pixels of a side of a picture."""

SMALLEST_LEVEL = 700
"""The level that is shown first is no longer than this; there is no smaller one."""

JPEG_QUALITY = 70
COLORS = 12
"""Shapes without a class have one of so many colours."""

LINE = (40, 30, 30)
"""The colour of borders."""


@dataclass(frozen=True)
class Level:
    """One size of the sheet: height, width, and by "row/column" its pieces as base64 (JPEG; PNG where shapes are)."""

    height: int
    width: int
    sheet: dict[str, str]
    shapes: dict[str, str]

    @property
    def bytes(self) -> int:
        """What it takes in a page."""
        return sum(len(piece) for pieces in (self.sheet, self.shapes) for piece in pieces.values())


@dataclass(frozen=True)
class Pyramid:
    """A sheet in several sizes, the smallest first; `scale` is that of the largest."""

    height: int
    width: int
    scale: float
    levels: list[Level]

    @property
    def bytes(self) -> int:
        """What it takes in a page."""
        return sum(level.bytes for level in self.levels)


def pyramid(
    sheet: Path,
    labels: Path,
    *,
    mask: Path | None = None,
    palette: list[int] | None = None,
    data_range: float = 255.0,
    most_bytes: int = MOST_BYTES,
    most_pixels: int = MOST_PIXELS,
) -> Pyramid:
    """Return the pictures of a sheet and of its shapes.

    Parameters
    ----------
    sheet, labels : Path
        A picture, and the label map of its size; read in bands.
    mask : Path, optional
        Class indices of the same size: shapes are coloured by their class.
    palette : list of int, optional
        Of the mask's classes.
    data_range : float
        The value of a sheet of more than 8 bits that is shown as white.
    most_bytes : int
        What the pyramid may take in a page: it is made smaller until it fits.
    most_pixels : int
        Of the largest level.

    Returns
    -------
    Pyramid

    Raises
    ------
    RasterError
        A file cannot be read.
    """
    with raster.open(sheet) as source:
        full = source.height, source.width
        scale = min(1.0, math.sqrt(most_pixels / (full[0] * full[1])))
        picture = _picture(source, _size(full, scale), data_range)
    layer = _layer(labels, mask, picture.shape[:2])
    colors = _palette(palette)
    while True:
        levels = _levels(picture, layer, colors)
        size = sum(level.bytes for level in levels)
        if size <= most_bytes or min(picture.shape[:2]) < 16:
            return Pyramid(*full, picture.shape[1] / full[1], levels)
        smaller = _size(picture.shape[:2], min(0.9, math.sqrt(most_bytes / size)))
        picture, layer = raster.resize(picture, *smaller), _picked(layer, smaller)


def _size(shape: tuple[int, ...], scale: float) -> tuple[int, int]:
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _picture(source: raster.Source, size: tuple[int, int], data_range: float) -> NDArray[np.uint8]:
    """Return the sheet as it is shown, uint8 (h, w, 3); what holds nothing is black."""
    fill = [0.0] * source.bands if source.has_invalid else None
    shown = np.empty((*size, 3), np.uint8)
    for first, last in row_bands(size):
        band = source.read((first, 0, last - first, size[1]), size=size, fill=fill)
        shown[first:last] = viewable(band, data_range)
    return shown


def _layer(labels: Path, mask: Path | None, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return palette indices (h, w): 0 where no shape is, 1 on borders, else a colour or a class from 2 on."""
    shown = np.concatenate(list(_nearest(labels, size))).astype(np.int64)
    colors = 2 + shown % COLORS
    if mask is not None:
        classes = np.concatenate(list(_nearest(mask, size)))
        colors = 2 + np.where(classes == IGNORED, 0, classes).astype(np.int64)
    border = np.zeros(size, bool)
    border[:, :-1] |= shown[:, :-1] != shown[:, 1:]
    border[:-1] |= shown[:-1] != shown[1:]
    return np.where(border, 1, np.where(shown == 0, 0, colors)).astype(np.uint8)


def _nearest(path: Path, size: tuple[int, int]) -> Iterator[NDArray[np.generic]]:
    """Yield the values of a raster at the middles of the pixels of a smaller one, in bands of rows."""
    with raster.open(path) as source:
        rows, columns = _middles(source.height, size[0]), _middles(source.width, size[1])
        for first, last in row_bands((source.height, source.width)):
            wanted = rows[(rows >= first) & (rows < last)] - first
            if wanted.size:
                yield source.read_mask((first, 0, last - first, source.width))[wanted][:, columns]


def _picked(layer: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a layer in a smaller size, in which borders stay whole as far as they can."""
    rows, columns = _middles(layer.shape[0], size[0]), _middles(layer.shape[1], size[1])
    picked = layer[rows][:, columns]
    line = layer == 1
    beside = line.copy()  # of a border between two picked pixels, one of them is made a part
    beside[:, :-1] |= line[:, 1:]
    beside[:-1] |= line[1:]
    return np.where(beside[rows][:, columns], np.uint8(1), picked)


def _middles(length: int, shorter: int) -> NDArray[np.intp]:
    return ((np.arange(shorter) + 0.5) * length / shorter).astype(np.intp)


def _palette(classes: list[int] | None) -> list[int]:
    if classes is None:
        classes = label_colors(np.arange(1, COLORS + 1)).ravel().tolist()
    return [0, 0, 0, *LINE, *classes][:768]


def _levels(picture: NDArray[np.uint8], layer: NDArray[np.uint8], palette: list[int]) -> list[Level]:
    levels = []
    while True:
        levels.append(_level(picture, layer, palette))
        if max(picture.shape[:2]) <= SMALLEST_LEVEL:
            return levels[::-1]
        half = _size(picture.shape, 0.5)
        picture, layer = raster.resize(picture, *half), _picked(layer, half)


def _level(picture: NDArray[np.uint8], layer: NDArray[np.uint8], palette: list[int]) -> Level:
    height, width = layer.shape
    sheet, shapes = {}, {}
    for row in range(0, height, TILE):
        for column in range(0, width, TILE):
            part = slice(row, row + TILE), slice(column, column + TILE)
            key = f"{row // TILE}/{column // TILE}"
            sheet[key] = b64encode(raster.as_jpeg(picture[part], JPEG_QUALITY)).decode()
            if layer[part].any():
                shapes[key] = b64encode(raster.as_png(layer[part], palette)).decode()
    return Level(height, width, sheet, shapes)
