"""What `unet map` made of a sheet, on one page: the shapes over the sheet, their areas, settings and files."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from unet import raster
from unet.bundle import Bundle
from unet.files import write_text
from unet.report import words
from unet.report.charts import bar_chart, short
from unet.report.shape_files import Place, Targets
from unet.report.templates import template
from unet.report.zoom import Pyramid, pyramid
from unet.shapes.polygons import row_bands
from unet.shapes.vector_files import known_crs, read_attributes

MOST_BARS = 18
"""Of the histogram of areas."""

HOLDS = {
    "shapes": "the shapes with their attributes, for QGIS and other programs",
    "drawing": "a drawing of the shapes",
    "labels": "the label map: for each pixel the number of its shape",
    "epm": "the edge map, 0 to 255; unet vectorize and unet map --resume go on from it",
    "mask": "the class of each pixel; unet vectorize and unet map --resume go on from it",
}


class Setting(NamedTuple):
    """What was set, and where that came from: what was given, the model file, or what `unet` takes by itself."""

    name: str
    value: Any
    origin: str


@dataclass(frozen=True)
class MapPage:
    """What the page is made of.

    Attributes
    ----------
    sheet : Path
    model : Bundle
    kind : {"epm", "mask"}
    predicted, labels : Path
        The edge map or the class mask, and the label map.
    targets : Targets
        The files of shapes.
    place : Place
        Where the sheet lies.
    settings : list of Setting
    commands : list of (what for, words of the command)
    start : float
        Of `time.perf_counter`, when the work began.
    """

    sheet: Path
    model: Bundle
    kind: str
    predicted: Path
    labels: Path
    targets: Targets
    place: Place
    settings: Sequence[Setting]
    commands: Sequence[tuple[str, Sequence[str]]]
    start: float


class Shapes(NamedTuple):
    """What is known of the shapes: areas and their unit, the share of the sheet in one, how many of which class."""

    areas: NDArray[np.float64]
    unit: str
    covered: float
    classes: list[tuple[str, str, int]]


def write_map_page(path: Path, page: MapPage) -> None:
    """Write the page: one file that needs no network.

    Raises
    ------
    InputError
        A file of the sheet cannot be read, or the page cannot be written.
    """
    labels = page.model.labels
    is_mask = page.kind == "mask"
    pictures = pyramid(
        page.sheet, page.labels, mask=page.predicted if is_mask else None,
        palette=labels.palette() if is_mask else None, data_range=page.model.preprocessing.data_range,
    )  # fmt: skip
    shapes = shapes_of(page)
    text = template("map.html.j2").render(
        headline=f"{words.counted(len(shapes.areas), 'shape')} of {page.sheet.name}",
        sheet=page.sheet,
        story=_story(page, shapes),
        key_figures=_key_figures(page, shapes),
        overview=pictures.levels[0].sheet["0/0"],
        classes=shapes.classes,
        shown=_shown(pictures),
        histogram=area_histogram(shapes.areas, shapes.unit),
        unit=shapes.unit,
        settings=page.settings,
        files=[
            (_link(file, path.parent), file.name, what, words.file_size(_size(file))) for file, what in _files(page)
        ],
        commands=[(what, words.command_line(line)) for what, line in page.commands],
        data=Markup(_data(pictures)),
    )
    write_text(path, text)


def shapes_of(page: MapPage) -> Shapes:
    """Return what the page tells of the shapes: from a file of polygons, or else from the label map."""
    pixels = _pixels(page.labels)
    covered = float(pixels[1:].sum() / max(int(pixels.sum()), 1))
    if not page.targets.vectors:
        areas = pixels[1:][pixels[1:] > 0].astype(np.float64)
        return Shapes(areas, "pixels", covered, [])
    attributes = read_attributes(page.targets.vectors[0])
    classes = []
    if page.kind == "mask" and len(attributes.get("class", ())):
        labels = page.model.labels
        counts = np.bincount(attributes["class"], minlength=len(labels))
        colors = ["#" + bytes(color).hex() for color in labels.colors]
        classes = [row for row in zip(labels.names, colors, counts.tolist(), strict=True) if row[2]]
    return Shapes(np.asarray(attributes.get("area", ()), np.float64), unit_of(page.place), covered, classes)


def _pixels(labels: Path) -> NDArray[np.int64]:
    """Return how many pixels each label has, int64 (highest + 1,)."""
    total = np.zeros(1, np.int64)
    with raster.open(labels) as source:
        for first, last in row_bands((source.height, source.width)):
            counts = np.bincount(source.read_mask((first, 0, last - first, source.width)).ravel())
            if counts.size > total.size:
                total = np.concatenate([total, np.zeros(counts.size - total.size, np.int64)])
            total[: counts.size] += counts
    return total


def unit_of(place: Place) -> str:
    """Return the unit of areas in files of polygons."""
    if place.transform is None:
        return "pixels"
    if place.crs is None:
        return "squares of the sheet's unit"
    known = known_crs(place.crs)
    metres = known.is_geographic or known.linear_units.lower() in ("metre", "meter", "metres", "meters", "m")
    return "m\N{SUPERSCRIPT TWO}" if metres else f"square {known.linear_units}"


def area_histogram(areas: NDArray[np.float64], unit: str) -> Markup:
    """Return how many shapes have which area, as an SVG element with a logarithmic axis; nothing without shapes."""
    known = areas[areas > 0]
    if not known.size:
        return Markup("")
    low, high = math.log10(float(known.min())), math.log10(float(known.max()))
    bars = min(MOST_BARS, max(1, math.ceil((high - low) * 6)))
    edges = np.logspace(low, high, bars + 1)
    edges[0], edges[-1] = known.min(), known.max()  # the ends are in it, whatever rounding does
    counts, _ = np.histogram(known, np.maximum.accumulate(edges)) if high > low else (np.array([known.size]), None)
    names = [f"{_rounded(edges[n])} to {_rounded(edges[n + 1])} {unit}" for n in range(len(counts))]
    ends = [_rounded(edge) for edge in edges[: len(counts) + 1]]
    return bar_chart(counts.tolist(), names, ends, f"how many shapes have which area, in {unit}")


def _rounded(value: float) -> str:
    return short(float(f"{value:.2g}"))


def _story(page: MapPage, shapes: Shapes) -> str:
    if page.kind == "epm":
        made = "The network gave every pixel a probability of being an edge; shallow and small basins of this edge map "
        made += "were closed, and the rest was flooded until the waters met."
    else:
        made = "The network gave every pixel a class; connected pixels of the same class are a shape."
    if page.place.transform is None:
        return f"{made} The sheet has no place on the map: coordinates are pixels."
    crs = page.place.crs
    where = "but names no coordinate system" if crs is None else f"in {crs if len(crs) < 30 else 'a system of its own'}"
    return f"{made} The sheet lies on the map, {where}."


def _key_figures(page: MapPage, shapes: Shapes) -> list[tuple[str, str, str]]:
    areas, unit = shapes.areas, shapes.unit
    figures = [("shapes", words.large(len(areas)), "")]
    if len(areas):
        figures.append(("median area", _rounded(float(np.median(areas))), unit))
        figures.append(("largest", _rounded(float(areas.max())), unit))
    figures.append(("in a shape", words.percent(shapes.covered), "of the sheet"))
    figures.append(("time", words.duration(perf_counter() - page.start), "all together"))
    return figures


def _files(page: MapPage) -> list[tuple[Path, str]]:
    vectors, what = set(page.targets.vectors), HOLDS
    return [
        *((path, what["shapes"] if path in vectors else what["drawing"]) for path in page.targets.outputs),
        (page.labels, what["labels"]),
        (page.predicted, what[page.kind]),
    ]


def _shown(pictures: Pyramid) -> str:
    size = f"The pictures take {pictures.bytes / 2**20:.1f} MiB of this page"
    if pictures.scale == 1:
        return f"Every pixel of the sheet is shown. {size}."
    return (
        f"The sheet of {pictures.width:,} x {pictures.height:,} pixels is shown at {pictures.scale:.1%} of its size, "
        f"so that this page stays small. {size}; the files hold all of it."
    )


def _data(pictures: Pyramid) -> str:
    """Return the pyramid as JSON within a page."""
    levels: list[dict[str, Any]] = [
        {"height": level.height, "width": level.width, "sheet": level.sheet, "shapes": level.shapes}
        for level in pictures.levels
    ]
    return json.dumps({"height": pictures.height, "width": pictures.width, "levels": levels}, separators=(",", ":"))


def _link(file: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(file, folder)).as_posix()
    except ValueError:  # another drive
        return file.resolve().as_uri()


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
