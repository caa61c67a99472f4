"""Shapes of a sheet in files: polygons with their attributes, the label map, drawings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet import raster
from unet.affine import Affine, inverse
from unet.data.sheet_shapes import IN_MEMORY, SheetShapes
from unet.errors import InputError
from unet.labels import default_colors
from unet.shapes.attributes import areas_and_lengths, neighbours_of
from unet.shapes.colors import label_colors, painted
from unet.shapes.polygons import LabelPolygons, label_polygons, placed, polygon_batches, simplified
from unet.shapes.svg import write_svg
from unet.shapes.vector_files import DRIVERS, Write, require_libraries, writing_polygons

DRAWING_PIXELS = 1 << 26
"""Pictures of more pixels than this are made of every second, third, ... row and column."""

IN_PIXELS = "Coordinates are pixels: x = column, y = -row, where GIS programs show a picture without a place."
UNNAMED = "Coordinates are those of the raster, which names no CRS."


@dataclass(frozen=True)
class Place:
    """Where a sheet lies: its CRS, and the six numbers that turn column and row into coordinates; None if unknown."""

    crs: str | None = None
    transform: Affine | None = None


@dataclass(frozen=True)
class Targets:
    """The files to write.

    Attributes
    ----------
    outputs : tuple of Path
        Polygons or drawings, by their ending.
    labels : Path or None
        The label map.
    preview : Path or None
        A drawing.
    """

    outputs: tuple[Path, ...] = ()
    labels: Path | None = None
    preview: Path | None = None

    @property
    def vectors(self) -> list[Path]:
        """Files of polygons."""
        return [path for path in self.outputs if path.suffix.lower() in DRIVERS]

    @property
    def svgs(self) -> list[Path]:
        """Drawings of polygons."""
        return [path for path in self.outputs if path.suffix.lower() == ".svg"]

    @property
    def pictures(self) -> list[Path]:
        """Drawings of pixels."""
        named = [path for path in self.outputs if path.suffix.lower() == ".png"]
        return named + [path for path in (self.preview,) if path is not None]

    @property
    def all(self) -> list[Path]:
        """Every file."""
        return [*self.outputs, *(path for path in (self.labels, self.preview) if path is not None)]

    def check(self, inputs: Sequence[Path], overwrite: bool) -> None:
        """Make sure that no file is lost and each can be written.

        Raises
        ------
        InputError
            Nothing to write, an unknown ending, a file that is named twice, is read, or exists already.
        MissingExtraError
            What writes polygons is not installed.
        """
        if not self.all:
            raise InputError("nothing to write", "-o, --labels or --preview")
        for path in self.outputs:
            if path.suffix.lower() not in (*DRIVERS, ".svg", ".png"):
                raise InputError(f"{path} has no ending of a known format", f"{', '.join(DRIVERS)}, .svg or .png")
        if self.vectors or self.svgs:
            require_libraries()
        if self.labels is not None and self.labels.suffix.lower() not in raster.TIFF_SUFFIXES:
            raise InputError(f"--labels {self.labels}", "a name that ends in .tif")
        if self.preview is not None and self.preview.suffix.lower() not in raster.PICTURE_SUFFIXES:
            raise InputError(f"--preview {self.preview}", "a name that ends in .png")
        places = [path.resolve() for path in self.all]
        for path, place in zip(self.all, places, strict=True):
            if places.count(place) > 1:
                raise InputError(f"{path} is named twice", "different files")
            if place in {given.resolve() for given in inputs}:
                raise InputError(f"{path} is one of the files that are read", remedy="choose another name")
            if path.is_dir():
                raise InputError(f"{path} is a folder", "a file", "choose another name")
            if path.exists() and not overwrite:
                raise InputError(f"{path} exists already", remedy="choose another name, or allow --overwrite")


def write_shapes(
    found: SheetShapes,
    targets: Targets,
    place: Place,
    *,
    simplify: float = 0.0,
    units: str = "pixels",
    picture: NDArray[np.uint8] | None = None,
) -> int:
    """Write shapes to all files that are asked for.

    Parameters
    ----------
    found : SheetShapes
    targets : Targets
    place : Place
    simplify : float
        Tolerance; see `unet.shapes.polygons.simplified`.
    units : {"pixels", "map"}
        Of the tolerance.
    picture : uint8 array (H, W, 3), optional
        Of the sheet, to lie under drawings.

    Returns
    -------
    int
        The number of shapes.

    Raises
    ------
    InputError
        A file that cannot be written.
    MissingExtraError
        shapely or pyogrio is not installed.
    """
    if targets.labels is not None:
        _write_labels(targets.labels, found, place)
    for path in targets.pictures:
        _write_picture(path, found, picture)
    count = 0
    drawn: list[tuple[NDArray[Any], NDArray[Any]]] = []
    about = IN_PIXELS if place.transform is None else UNNAMED
    with ExitStack() as stack:
        writes: list[Write] = []
        for path in targets.vectors:
            writes.append(stack.enter_context(writing_polygons(path, place.crs, about)))
        for batch in _batches(found, simplify):
            pixels = simplified(batch.geometries, simplify) if units == "pixels" else batch.geometries
            geometries = placed(pixels, place.transform)
            if units == "map":
                geometries = simplified(geometries, simplify)
            attributes = _attributes(found, batch.labels, geometries, place)
            for write in writes:
                write(geometries, attributes)
            if targets.svgs:
                if units == "map" and simplify:
                    pixels = placed(geometries, inverse(place.transform) if place.transform else None)
                drawn.append((batch.labels, pixels))
            count += len(batch.labels)
    for path in targets.svgs:
        labels = np.concatenate([part for part, _ in drawn]) if drawn else np.zeros(0, np.int64)
        shapes = np.concatenate([part for _, part in drawn]) if drawn else np.zeros(0, object)
        titles = _titles(found, labels)
        jpeg = None if picture is None else raster.as_jpeg(picture)
        write_svg(path, shapes, _colors(found)[labels], titles, found.shape, jpeg)
    return count


def _write_labels(path: Path, found: SheetShapes, place: Place) -> None:
    height, width = found.shape
    with raster.create(
        path, height=height, width=width, dtype="int32", kind="labels", crs=place.crs, transform=place.transform,
        nodata=0, overwrite=True,
    ) as sink:  # fmt: skip
        row = 0
        for band in found.bands():
            sink.write((row, 0, *band.shape), _ids(found, band))
            row += band.shape[0]


def _batches(found: SheetShapes, simplify: float) -> Iterator[LabelPolygons]:
    """Yield the polygons of large label maps as they come: but all at once where neighbours change together."""
    height, width = found.shape
    if height * width <= IN_MEMORY or simplify:
        yield label_polygons(found.rows[:])
    else:
        yield from polygon_batches(found.rows)


def _attributes(
    found: SheetShapes, labels: NDArray[Any], geometries: NDArray[Any], place: Place
) -> dict[str, NDArray[Any]]:
    """Return the columns of a file; no name is longer than the 10 characters of a Shapefile."""
    columns: dict[str, NDArray[Any]] = {"id": _ids(found, labels)}
    if found.classes is not None:
        classes = found.classes[labels]
        names = np.empty(labels.size, object)
        names[:] = [_class_name(found, index) for index in classes.tolist()]
        columns |= {"class": classes.astype(np.int32), "class_name": names}
    areas, lengths = areas_and_lengths(geometries, place.crs)
    columns |= {"pixels": found.pixels[labels], "area": areas, "perimeter": lengths}
    if found.probabilities is not None:
        columns["mean_prob"] = found.probabilities[labels]
    counts, texts = neighbours_of(labels, found.sides)
    return columns | {"neighbours": counts, "touches": texts}


def _ids(found: SheetShapes, labels: NDArray[Any]) -> NDArray[np.int32]:
    return labels.astype(np.int32, copy=False) if found.ids is None else found.ids[labels]


def _class_name(found: SheetShapes, index: int) -> str:
    names = found.names.names if found.names is not None else ()
    return names[index] if index < len(names) else f"class_{index}"


def _titles(found: SheetShapes, labels: NDArray[Any]) -> list[str]:
    if found.classes is None:
        return [str(label) for label in _ids(found, labels).tolist()]
    classes = found.classes[labels].tolist()
    return [f"{label} {_class_name(found, index)}" for label, index in zip(labels.tolist(), classes, strict=True)]


def _colors(found: SheetShapes) -> NDArray[np.uint8]:
    """Return the colour of each label: that of its class, lighter or darker by its number, or one of its own."""
    labels = np.arange(found.highest + 1)
    if found.classes is None or np.unique(found.classes[1:]).size < 2:
        return label_colors(labels)
    table = found.names.colors if found.names is not None else default_colors(int(found.classes.max()) + 1)
    count = max(len(table), int(found.classes.max()) + 1)
    colors = np.array([*table, *default_colors(count)[len(table) :]], np.float32)
    shade = 0.8 + 0.4 * (labels * 0.618034 % 1.0)
    shown: NDArray[np.uint8] = np.clip(colors[np.maximum(found.classes, 0)] * shade[:, None], 0, 255).astype(np.uint8)
    shown[0] = 0
    return shown


def _write_picture(path: Path, found: SheetShapes, picture: NDArray[np.uint8] | None) -> None:
    height, width = found.shape
    step = int(np.ceil(np.sqrt(height * width / DRAWING_PIXELS)))
    row, parts = 0, []
    for band in found.bands():
        parts.append(band[-row % step :: step, ::step])
        row += band.shape[0]
    under = None if picture is None else picture[::step, ::step]
    raster.write_picture(path, painted(np.concatenate(parts), _colors(found), under))
