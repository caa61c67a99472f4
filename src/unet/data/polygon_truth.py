"""Polygons in a file as the truth: which classes they are, and their mask on the grid of a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.affine import PIXELS_DOWN, Affine
from unet.data.class_table import ClassTable, Row, read_table
from unet.data.finding import shortened
from unet.data.hashing import Stamp, stamp
from unet.data.pairs import Drawing, Pair
from unet.data.windows import source_of
from unet.errors import DataError, InputError
from unet.labels import IGNORED
from unet.raster import Source, Window
from unet.shapes.polygon_masks import PolygonMask
from unet.shapes.rasterised import bounds_text, pixel_transform
from unet.shapes.vector_files import Polygons, known_crs, read_polygons, reproject

GROUND = "background"
"""What the class is called in which no polygon lies."""

OBJECT, OUTLINE = "foreground", "outline"
"""What the class of all polygons, or of their outlines, is called where no attribute names it."""

MAX_OBJECT_CLASSES = 253


@dataclass(frozen=True)
class _Truth:
    """The polygons of a file in a CRS, and how polygons in pixels count rows."""

    mask: PolygonMask
    pixels: Affine


def polygon_classes(
    file: Path,
    class_field: str | None,
    outline: int,
    classes: Path | ClassTable | None,
    numbered: bool = False,
) -> tuple[Drawing, ClassTable]:
    """Return how polygons become a mask, and the table of its classes.

    Parameters
    ----------
    file : Path
        Of polygons.
    class_field : str or None
        The attribute that names the class of each; one that has none counts neither in the loss nor in a score.
        None: all are of one class.
    outline : int
        The width of their outlines in pixels, where these are to be learned; 0: the polygons.
    classes : Path, ClassTable or None
        The names to expect, the ground among them; by default the ground and all names that occur.
    numbered : bool
        Each polygon is an object with a number of its own, and there are no classes.

    Raises
    ------
    InputError
        The file cannot be read, has no such attribute, or names other classes than expected.
    """
    if numbered:
        if class_field is not None or outline:
            raise DataError("polygons as objects, together with class_field or outline", "objects, or these")
        return Drawing(numbered=True), ClassTable(file, (Row(GROUND, value=0), Row(OBJECT, value=1)))
    table = read_table(classes) if isinstance(classes, Path) else classes
    if class_field is None:
        if table is not None and len(table.rows) != 2:
            raise DataError(
                f"{len(table.rows)} classes for the polygons in {file}, all of one class",
                "2, for the ground and for them",
                "name the attribute that tells their classes: class_field (--class-field)",
            )
        rows = _with_values(table.rows if table else (Row(GROUND), Row(OUTLINE if outline else OBJECT)))
        return Drawing((), None, outline, rows[1].value or 0), ClassTable(table.path if table else file, rows)
    names = [name for name in dict.fromkeys(_names(_held(file), file, class_field)) if name]
    if table is None:
        if len(names) > MAX_OBJECT_CLASSES:
            raise DataError(
                f"{len(names)} different values of {class_field} in {file}", f"{MAX_OBJECT_CLASSES} classes at most"
            )
        rows = _with_values([Row(GROUND), *(Row(name) for name in sorted(set(names) - {GROUND}, key=_order))])
        table = ClassTable(file, rows)
    else:
        table = ClassTable(table.path, _with_values(table.rows))
        strange = [name for name in names if name not in {row.name for row in table.rows}]
        if strange:
            raise DataError(
                f"{file}: {class_field} names {', '.join(shortened(strange, 4))}",
                ", ".join(row.name for row in table.rows),
            )
    values = tuple((row.name, row.value or 0) for row in table.rows)
    return Drawing(values, class_field, outline), table


def _with_values(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Return rows with their values, or with numbers where there are none that a mask of bytes can hold."""
    fit = all(row.value is not None and 0 <= row.value < IGNORED for row in rows)
    return tuple(rows) if fit else tuple(replace(row, value=number) for number, row in enumerate(rows))


def with_drawing(
    parts: Mapping[str, tuple[Pair, ...]], drawing: Drawing, say: Callable[[str], None]
) -> dict[str, tuple[Pair, ...]]:
    """Return pairs whose masks are polygons with how these are drawn; say once where they have to be moved."""
    said: set[Path] = set()
    for pair in (pair for pairs in parts.values() for pair in pairs[:1]):
        grid, held = source_of(pair.image), _held(pair.mask)
        moved = _is_elsewhere(held.crs, grid)
        if pair.mask not in said and (moved or grid.transform is None):
            what = f"moved from {held.crs} to {grid.crs}, that of" if moved else "taken as pixels, for no place is in"
            say(f"{pair.mask}: {what} {pair.image}")
            said.add(pair.mask)
    return {part: tuple(replace(pair, drawing=drawing) for pair in pairs) for part, pairs in parts.items()}


def polygon_mask(pair: Pair, window: Window | None = None) -> NDArray[Any]:
    """Return the mask (H, W) of a pair whose mask is polygons, or the window of it: uint8, numbers int32.

    Raises
    ------
    InputError
        The picture or the polygons cannot be read.
    """
    assert pair.drawing is not None
    grid = source_of(pair.image)
    crs = grid.crs if _is_elsewhere(_held(pair.mask).crs, grid) else None
    truth = _truth(pair.mask, stamp(pair.mask), pair.drawing, crs)
    return truth.mask.read(window or (0, 0, grid.height, grid.width), grid.transform or truth.pixels)


def nothing_drawn(file: Path) -> DataError:
    """Return the error of polygons that lie beside all pictures."""
    return DataError(
        f"{file}: no polygon covers a pixel of the pictures ({bounds_text(_held(file).geometries)})",
        "polygons of these pictures",
        "look at both in a GIS, and at their CRS",
    )


def _is_elsewhere(crs: str | None, grid: Source) -> bool:
    if crs is None or grid.crs is None or grid.transform is None:
        return False
    return bool(known_crs(crs) != known_crs(grid.crs))


def _held(file: Path) -> Polygons:
    try:
        at = stamp(file)
    except OSError:
        raise DataError(f"no such file: {file}", "a file of polygons") from None
    return _polygons(file, at)


@lru_cache(maxsize=2)
def _polygons(file: Path, _: Stamp) -> Polygons:
    return read_polygons(file)


@lru_cache(maxsize=4)
def _truth(file: Path, at: Stamp, drawing: Drawing, crs: str | None) -> _Truth:
    held = _polygons(file, at)
    geometries = held.geometries
    pixels = pixel_transform(geometries) if geometries.size else PIXELS_DOWN
    if crs is not None and held.crs is not None:
        try:
            geometries = reproject(geometries, held.crs, crs)
        except InputError as error:
            raise error.of(file) from None
    values: NDArray[Any] = np.full(geometries.size, drawing.value, np.uint8)
    if drawing.numbered:
        values = np.arange(1, geometries.size + 1, dtype=np.int32)
    if drawing.class_field is not None:
        known = dict(drawing.values)
        values[:] = [known.get(name, IGNORED) for name in _names(held, file, drawing.class_field)]
    return _Truth(PolygonMask(geometries, values, drawing.outline), pixels)


def _names(held: Polygons, file: Path, class_field: str) -> list[str]:
    """Return the class of each polygon; nothing where it has none."""
    if class_field not in held.attributes:
        raise DataError(f"{file} has no attribute {class_field!r}", f"one of {', '.join(held.attributes) or 'none'}")
    return [_name(value) for value in held.attributes[class_field].tolist()]


def _name(value: object) -> str:
    if value is None or value != value:  # NaN
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value).strip()


def _order(name: str) -> tuple[bool, float, str]:
    """Return what names are sorted by: numbers first and as numbers."""
    try:
        return False, float(name), name
    except ValueError:
        return True, 0.0, name
