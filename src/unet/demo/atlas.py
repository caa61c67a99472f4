"""Sheets of one atlas, with the truth of their edges: what a map has before anybody has drawn its polygons.

A sheet is a town within a frame, with a title and a legend around it that do not count. Fronts to the street are strong
lines, lines between plots are thin and have gaps, as worn copper plates give; names run over all of them. All sheets of
an atlas were engraved and coloured by the same hand, and have aged each in its own way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unet import raster
from unet.demo import engraving, lettering, paper
from unet.demo.grid import FINE, Ids, Ink, shrink
from unet.demo.lettering import as_ink, text_strokes
from unet.demo.town import Floats, Town, plan_town
from unet.errors import DataError
from unet.shapes.components import connected_components, remove_small, threshold_components
from unet.shapes.lines import fill_lines

LARGER = 2.0
"""Towns are drawn so many times larger than in `make_sheets`, the lines as thin as there."""

LEAST_SHAPE = 60
"""Shapes of fewer pixels belong to what is around them."""

GAP_EVERY = 70.0
"""Pixels of a thin line from one gap to the next, on average."""

GAP_RADII = (1.3, 2.6)
"""Pixels from the middle of a gap to its end, at least and at most."""

MARGINS = (0.075, 0.03)
"""Shares of the height above and below the frame, where title and legend are, and of the width beside it."""

SMALLEST_SHEET = 240
"""Shortest side of a sheet in pixels."""

PAPER = 0  # the id of the ground


@dataclass(frozen=True, eq=False)
class EdgeSheet:
    """A drawn sheet.

    Attributes
    ----------
    picture : uint8 array (H, W, 3)
    edges : uint8 array (H, W)
        255 on the outlines, which are closed, and 0 elsewhere: the 4-connected components of 0 are the shapes, and
        what lies around the frame.
    content : bool array (H, W)
        What lies within the frame.
    shapes : int
        How many there are within the frame.
    """

    picture: NDArray[np.uint8]
    edges: NDArray[np.uint8]
    content: NDArray[np.bool_]
    shapes: int


def make_edge_sheet(
    folder: str | Path, name: str, *, size: tuple[int, int] = (1500, 2000), seed: int = 0, number: int = 0
) -> EdgeSheet:
    """Write a sheet of an atlas, its edges and its content mask.

    Parameters
    ----------
    folder : path
        Receives NAME.png, NAME_edges.png (0 and 255) and NAME_content.png (0 and 255); files of these names are
        overwritten.
    name : str
    size : (int, int)
        Height and width in pixels.
    seed : int
        The atlas: how its sheets are engraved and coloured.
    number : int
        The sheet of that atlas.

    Returns
    -------
    EdgeSheet

    Raises
    ------
    DataError
        A sheet that is too small, or a negative number.
    RasterError
        The files cannot be written.
    """
    if min(size) < SMALLEST_SHEET or min(seed, number) < 0:
        raise DataError(
            f"a sheet of {size[1]} x {size[0]} px, number {number} with seed {seed}",
            f"sides of at least {SMALLEST_SHEET} px and numbers of 0 or more",
        )
    sheet = draw_edge_sheet(size, seed, number)
    folder = Path(folder)
    raster.write_picture(folder / f"{name}.png", sheet.picture)
    raster.write_grey(folder / f"{name}_edges.png", sheet.edges)
    raster.write_grey(folder / f"{name}_content.png", sheet.content.astype(np.uint8) * np.uint8(255))
    return sheet


def draw_edge_sheet(size: tuple[int, int], seed: int, number: int) -> EdgeSheet:
    """Draw sheet `number` of the atlas `seed`; see `make_edge_sheet`."""
    rng = np.random.default_rng((seed, number))
    style = replace(paper.random_style(np.random.default_rng(seed)), age=rng.uniform(0.4, 0.9))
    top, left = round(MARGINS[0] * size[0]), round(MARGINS[1] * size[1])
    inside = slice(top, size[0] - top), slice(left, size[1] - left)
    inner = size[0] - 2 * top, size[1] - 2 * left

    town = enlarged(plan_town((math.ceil(inner[0] / LARGER), math.ceil(inner[1] / LARGER)), rng), LARGER)
    ids = engraving.rasterise(town, inner)
    classes = town.kinds[ids]
    lines = engraving.linework(ids, classes, town, style.hatching, rng, _worn_outlines(ids, rng))
    np.maximum(lines, _names(town, inner, rng), out=lines)

    ink = np.zeros((size[0] * FINE, size[1] * FINE), np.float32)
    ink[_fine(inside[0]), _fine(inside[1])] = lines
    _surround(ink, inside, number)
    wash = np.ones((*size, 3))
    wash[inside] = paper.washes(classes, town.fills[ids], style)
    picture = paper.print_sheet(wash, shrink(ink), np.zeros(size), style, rng)

    middle = FINE // 2
    content = np.zeros(size, bool)
    content[inside] = True
    edges = np.zeros(size, np.uint8)
    edges[inside], shapes = closed_outlines(ids[middle::FINE, middle::FINE])
    return EdgeSheet(picture, edges, content, shapes)


def enlarged(town: Town, factor: float) -> Town:
    """Return a town with all lengths so many times as long."""
    streets = [
        replace(street, start=street.start * factor, end=street.end * factor, width=street.width * factor)
        for street in town.streets
    ]
    river = town.river
    if river is not None:
        names = ("shift", "half_width", "swing", "wavelength")
        river = replace(river, **{name: getattr(river, name) * factor for name in names})
    return replace(town, streets=streets, river=river, shapes=[shape * factor for shape in town.shapes])


def closed_outlines(ids: Ids) -> tuple[NDArray[np.uint8], int]:
    """Return the outlines of the shapes of a sheet that fills its frame, a pixel wide and closed.

    Parameters
    ----------
    ids : int array (H, W)
        Pixels of the same shape have the same number; one number may belong to several shapes.

    Returns
    -------
    uint8 array (H, W)
        255 on outlines, the border of the array among them, 0 elsewhere; each 4-connected component of 0 is a shape.
    int
        How many these are.

    Examples
    --------
    >>> ids = np.repeat([[1, 2]], 30, axis=0).repeat(20, axis=1)
    >>> edges, shapes = closed_outlines(ids)
    >>> shapes, (edges[15] == 255).nonzero()[0].tolist()
    (2, [0, 19, 39])
    """
    parts = connected_components(ids, connectivity=4)
    regions = fill_lines(remove_small(parts, LEAST_SHAPE))
    edges = np.zeros(ids.shape, np.uint8)
    # A pixel that is not marked belongs to the same region as the ones to its right and below it, so that no path of
    # pixels without a mark leaves a region.
    edges[:, :-1][regions[:, :-1] != regions[:, 1:]] = 255
    edges[:-1][regions[:-1] != regions[1:]] = 255
    edges[[0, -1]] = edges[:, [0, -1]] = 255
    # Where a region is a pixel or two wide its lines meet and cut off bits of it, which are given to the lines.
    found = threshold_components(edges)
    kept = remove_small(found, LEAST_SHAPE // 2)
    edges[(found > 0) & (kept == 0)] = 255
    return edges, int(kept.max())


def _worn_outlines(ids: Ids, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return outlines as they are printed: strong along streets, elsewhere thin and with gaps."""
    drawn = engraving.outlines(ids)
    fronts = engraving.outlines((ids == PAPER).astype(np.int16))
    rows, columns = np.nonzero(drawn & ~fronts)
    count = round(rows.size / FINE**2 / GAP_EVERY)
    for place in rng.choice(rows.size, count, replace=False).tolist() if count else ():
        radius = rng.uniform(*GAP_RADII) * FINE
        half = math.ceil(radius)
        row, column = int(rows[place]), int(columns[place])
        window = slice(max(row - half, 0), row + half + 1), slice(max(column - half, 0), column + half + 1)
        beside = np.ogrid[window[0].start - row : half + 1, window[1].start - column : half + 1]
        part = drawn[window]
        part[(np.hypot(*beside) <= radius)[: part.shape[0], : part.shape[1]]] = False
    drawn |= ndimage.binary_dilation(fronts)
    return drawn


def _names(town: Town, size: tuple[int, int], rng: np.random.Generator) -> Ink:
    """Return lettering (0..1): names of streets in these, and names of places and numbers over every line."""
    texts: list[Floats] = []
    for street in town.streets:
        direction = street.end - street.start
        if street.width >= 12 and np.hypot(*direction) > 160 and rng.random() < 0.75:
            place = street.start + direction * rng.uniform(0.3, 0.7)
            name = str(rng.choice(lettering.STREET_NAMES))
            texts.append(text_strokes(name, place, direction, min(15.0, 0.5 * street.width)))
    for _ in range(round(size[0] * size[1] / 22000)):
        turn = town.angle + rng.choice([0.0, 0.0, math.pi / 2]) + rng.normal(0, 0.05)
        text = str(rng.choice(lettering.PLACE_NAMES)) if rng.random() < 0.6 else str(rng.integers(2, 240))
        place = rng.uniform(0.02, 0.98, 2) * size
        texts.append(text_strokes(text, place, np.array([math.sin(turn), math.cos(turn)]), rng.uniform(10, 15)))
    return as_ink(texts, (size[0] * FINE, size[1] * FINE), FINE) * np.float32(0.9)


def _surround(ink: Ink, inside: tuple[slice, slice], number: int) -> None:
    """Draw the frame, a title above it and a legend below."""
    rows, columns = _fine(inside[0]), _fine(inside[1])
    for distance, thickness, density in ((0, 4, 0.95), (7 * FINE, 9, 0.9)):
        outer = (
            slice(rows.start - distance - thickness // 2, rows.stop + distance + thickness // 2),
            slice(columns.start - distance - thickness // 2, columns.stop + distance + thickness // 2),
        )
        frame = ink[outer]
        frame[:thickness] = frame[-thickness:] = frame[:, :thickness] = frame[:, -thickness:] = density
    margin, width = inside[0].start, ink.shape[1] / FINE
    level = np.array([0.0, 1.0])
    title = text_strokes(f"PLAN DE LA VILLE. {number + 1}", np.array([margin * 0.45, width / 2]), level, margin * 0.4)
    np.maximum(ink, as_ink([title], ink.shape, 2 * FINE) * np.float32(0.9), out=ink)
    legend = []
    across, row = margin * 1.6, inside[0].stop + margin * 0.55
    for place, word in enumerate(("MAISONS", "COURS", "EGLISES", "PARCS")):
        left = inside[1].start + (place + 0.1) * (inside[1].stop - inside[1].start) / 4
        box = (
            slice(round((row - margin * 0.2) * FINE), round((row + margin * 0.2) * FINE)),
            slice(round(left * FINE), round((left + margin * 0.7) * FINE)),
        )
        swatch = ink[box]
        swatch[:, :: 3 * FINE] = 0.85 if place % 2 == 0 else 0.0
        swatch[:3] = swatch[-3:] = swatch[:, :3] = swatch[:, -3:] = 0.95
        legend.append(text_strokes(word, np.array([row, left + across]), level, margin * 0.2))
    np.maximum(ink, as_ink(legend, ink.shape, FINE) * np.float32(0.9), out=ink)


def _fine(part: slice) -> slice:
    return slice(part.start * FINE, part.stop * FINE)
