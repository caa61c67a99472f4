"""Pictures with their masks laid over them, the suspicious and the rare first."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unet import raster
from unet.data.class_counts import class_counts
from unet.data.inspection.survey import Survey
from unet.data.mask_values import MaskValues, order_of
from unet.data.pair_arrays import read_mask, read_picture
from unet.data.pairs import Pair
from unet.data.true_values import find_true_values
from unet.labels import Color, Labels, default_colors
from unet.report.legend import legend, with_legend
from unet.report.overlay import overlay, viewable

MOST_SHOWN = 24
"""Pictures on the sheet and on the page."""

_PER_FINDING = 4  # pictures that show one finding
_SIDE = 420  # pixels of a picture on the page, at most
_TILE = 240  # pixels of a picture on the sheet, at most
_COLUMNS = 6
_MOST_COLORS = 24  # told apart where the masks hold no classes


@dataclass(frozen=True)
class SheetPicture:
    """A picture (h, w, 3), the same with its mask laid over it, its name, and why it is shown."""

    name: str
    why: str
    picture: NDArray[np.uint8]
    overlay: NDArray[np.uint8]

    @property
    def picture_uri(self) -> str:
        """The picture, for a page."""
        return _uri(self.picture)

    @property
    def overlay_uri(self) -> str:
        """The overlay, for a page."""
        return _uri(self.overlay)


def sheet_labels(survey: Survey) -> Labels | None:
    """Return the classes by which masks are drawn, or the values where they hold none; None: there are no masks."""
    if survey.labels is not None:
        return survey.labels
    return colors_for(MaskValues(survey.scan)) if survey.scan.masks else None


def contact_sheet(survey: Survey, labels: Labels) -> list[SheetPicture]:
    """Return the pictures that a person should look at, drawn with the classes that `sheet_labels` returns."""
    chosen = choose_pairs(survey)
    ranges = {
        pair: max(picture.high) or 1.0 for pair, picture in zip(survey.scan.pairs, survey.scan.pictures, strict=True)
    }
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda pair: _draw(pair, chosen[pair], labels, ranges[pair]), chosen))


def choose_pairs(survey: Survey) -> dict[Pair, str]:
    """Return the pairs to show, and why: those with findings, then rare classes, then some of the others."""
    pairs, chosen = survey.scan.pairs, dict[Pair, str]()
    by_path = {str(path): pair for pair in pairs for path in (pair.mask, pair.image)}
    for finding in survey.findings:
        shown = 0
        for line in finding.files[:1000]:
            if shown == _PER_FINDING or len(chosen) >= MOST_SHOWN - 1:
                break
            path = next((path for path in _starts(line) if path in by_path), "")
            twin = next((path for path in _ends(line) if path in by_path), "")  # of a duplicate
            if path:
                shown += by_path[path] not in chosen
                chosen.setdefault(by_path[path], finding.kind + _short(line.removeprefix(path)))
            if path and twin:
                chosen.setdefault(
                    by_path[twin], finding.kind + _short(line.removeprefix(path).removesuffix(twin) + path)
                )
    if survey.labels is not None and pairs:
        counts = np.array([class_counts(mask, survey.labels)[: len(survey.labels)] for mask in survey.scan.masks])
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        for index in np.argsort(counts.sum(axis=0)):
            best = int(shares[:, index].argmax())
            if shares[best, index] > 0 and len(chosen) < MOST_SHOWN * 3 // 4:
                chosen.setdefault(pairs[best], f"class {survey.labels.names[index]}, {shares[best, index]:.1%}")
    for place in np.linspace(0, len(pairs) - 1, min(len(pairs), MOST_SHOWN)).astype(int):
        if len(chosen) < MOST_SHOWN:
            chosen.setdefault(pairs[place], "one of the others")
    return chosen


def colors_for(mask_values: MaskValues) -> Labels:
    """Return a class table to draw masks with that hold no classes: the values that may be true, or the commonest."""
    values = list(find_true_values(mask_values).values)
    if len(values) < 2:
        values = sorted((value for value, _ in mask_values.counts.most_common(_MOST_COLORS)), key=order_of)
    values = values[:_MOST_COLORS]
    colors: tuple[Color, ...] = default_colors(len(values))
    if mask_values.is_rgb:
        colors = tuple(value for value in values if isinstance(value, tuple))
    names = [f"value {value}" for value in values]
    if not any(order_of(values[0])):  # whatever it is, most can be seen if it is left clear
        names[0] = "background"
    return Labels(tuple(names), colors, tuple(values), rule="nearest")


def write_contact_sheet(shown: Sequence[SheetPicture], labels: Labels, path: Path) -> None:
    """Write all overlays as one picture, the colours of the classes first, with their names and why they are there."""
    tiles = []
    for picture in shown:
        height, width = fit_within(picture.overlay.shape, _TILE)
        tile = np.full((_TILE, _TILE + 8, 3), 255, np.uint8)
        tile[_TILE - height :, 4 : 4 + width] = raster.resize(picture.overlay, height, width, "area")
        tiles.append(np.concatenate([tile, raster.caption([picture.name, picture.why, ""], _TILE + 8)]))
    columns = min(_COLUMNS, len(tiles))
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[start : start + columns], axis=1) for start in range(0, len(tiles), columns)]
    sheet = np.concatenate(rows)
    raster.write_picture(path, with_legend(sheet, legend(labels, sheet.shape[1], overlaid=True), above=True))


def _draw(pair: Pair, why: str, labels: Labels, data_range: float) -> SheetPicture:
    picture = viewable(read_picture(pair), data_range)
    mask = read_mask(pair)
    height, width = fit_within(picture.shape, _SIDE)
    small = raster.resize(picture, height, width, "area")
    indices = labels.encode(raster.resize(mask, height, width, "nearest"))
    return SheetPicture(pair.name, why, small, overlay(small, indices, labels))


def fit_within(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """Return height and width within a square; small pictures grow up to fourfold."""
    factor = min(side / max(shape[:2]), 4.0)
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def _starts(line: str) -> list[str]:
    """Return what may be the path that a line of a finding begins with, the longest first."""
    ends = [place for place, sign in enumerate(line) if sign in " :"]
    return [line, *(line[:end] for end in reversed(ends))]


def _ends(line: str) -> list[str]:
    """Return what may be a path that a line ends with, the longest first."""
    return [line[place + 1 :] for place, sign in enumerate(line) if sign == " "]


def _short(text: str) -> str:
    """Return a text in which paths are names."""
    return re.sub(r"\S*[/\\](?=\S)", "", text)


def _uri(picture: NDArray[np.uint8]) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(raster.as_jpeg(picture)).decode('ascii')}"
