"""`unet vectorize`: shapes of a raster as polygons in files. Read `vectorize` from top to bottom."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from unet import raster
from unet.data.content import read_content_mask
from unet.data.sheet_shapes import ShapeOptions, shapes_of
from unet.data.sheets import open_sheet
from unet.errors import ConfigError, InputError
from unet.files import StrPath, as_path, as_paths
from unet.report.overlay import viewable
from unet.report.shape_files import Place, Targets, write_shapes
from unet.shapes.calibration import Calibration
from unet.shapes.vector_files import known_crs
from unet.terminal.display import open_display
from unet.terminal.speech import speaking


@dataclass(frozen=True)
class Vectorized:
    """How many shapes there are, and the files that hold them."""

    shapes: int
    files: list[Path]


@speaking
def vectorize(
    source: StrPath,
    outputs: StrPath | Sequence[StrPath] = (),
    *,
    kind: str | None = None,
    crs: str | None = None,
    roi: StrPath | None = None,
    model: StrPath | None = None,
    calibrate: Calibration | None = None,
    dynamic: int | None = None,
    area: int | None = None,
    threshold: float | None = None,
    min_area: int = 0,
    fill_holes: bool = False,
    leave_out: Sequence[str] | None = None,
    lines: str | None = None,
    simplify: float = 0.0,
    units: str = "pixels",
    labels: StrPath | None = None,
    preview: StrPath | None = None,
    over: StrPath | None = None,
    overwrite: bool = False,
    verbose: bool = True,
) -> Vectorized:
    """Write the shapes of a raster as polygons that share their edges.

    Parameters
    ----------
    source : path
        An edge probability map, a class mask, probabilities, a label map, or a picture of lines.
    outputs : path, or sequence of path
        Files of polygons by their ending (.gpkg, .geojson, .shp, .fgb), or drawings (.svg, .png).
    kind : {"epm", "mask", "probability", "labels", "edges"}, optional
        By default what the file says of itself.
    crs : str, optional
        Of the raster, where it names none.
    roi : path, optional
        Content mask, a picture or polygons: nothing outside becomes a shape.
    model : path, optional
        A model file, whose shape settings hold where nothing else is said.
    calibrate, dynamic, area, threshold, min_area, fill_holes, leave_out, lines : optional
        See `unet.data.sheet_shapes.ShapeOptions`.
    simplify : float
        Tolerance, see `unet.shapes.polygons.simplified`; 0: every pixel's corner stays.
    units : {"pixels", "map"}
        Of the tolerance.
    labels : path, optional
        A TIFF of 32 bits for the label map.
    preview : path, optional
        A picture of the shapes, coloured.
    over : path, optional
        A picture of the sheet, to lie under the colours of drawings.
    overwrite : bool
        Allow files that are written to exist already.
    verbose : bool
        Show what is said; `unet.vectorize` does only where this is True.

    Returns
    -------
    Vectorized

    Raises
    ------
    InputError
        Anything that is wrong with the arguments or the files.
    MissingExtraError
        shapely or pyogrio is not installed.

    Examples
    --------
    >>> import unet
    >>> found = unet.vectorize("data/masks/p00_mask.png", "square.geojson", simplify=0.5)
    >>> found.shapes, [path.name for path in found.files]
    (1, ['square.geojson'])
    """
    start = perf_counter()
    display = open_display()
    source, roi, over, model = Path(source), as_path(roi), as_path(over), as_path(model)
    targets = Targets(as_paths(outputs), as_path(labels), as_path(preview))
    targets.check([path for path in (source, roi, over, model) if path is not None], overwrite)
    if crs is not None:
        known_crs(crs, "--crs")
    left_out = None if leave_out is None else tuple(leave_out)
    options = ShapeOptions(calibrate, dynamic, area, threshold, lines, min_area, fill_holes, left_out)

    with open_sheet(source, kind, crs) as sheet:
        place = Place(sheet.crs, sheet.source.transform)
        check_tolerance(simplify, units, source, place)
        if model is not None and sheet.kind == "epm":
            options = with_settings_of(model, options, roi is not None)
        content = None
        if roi is not None:
            content = read_content_mask(
                roi, sheet.shape, crs=place.crs, transform=place.transform, notify=display.notify
            )
        picture = None if over is None else picture_under(over, sheet.shape)
        with scratch_folder(targets.all[0].parent) as scratch:
            found = shapes_of(sheet, options, content, scratch, display.notify)
            count = write_shapes(found, targets, place, simplify=simplify, units=units, picture=picture)
    for path in targets.all:
        display.notify(f"wrote: {path}")
    where = "pixels: the sheet has no place" if place.transform is None else place.crs or "a place without a CRS"
    display.notify(f"{count:,} shapes of {source} as {sheet.kind} ({where}), {perf_counter() - start:.1f} s")
    return Vectorized(count, targets.all)


def check_tolerance(simplify: float, units: str, sheet: Path, place: Place) -> None:
    """Make sure that outlines can be simplified so.

    Raises
    ------
    ConfigError
        A tolerance below 0, or in the unit of a map where there is none.
    """
    if not 0 <= simplify < np.inf:
        raise ConfigError(f"--simplify {simplify}", "a tolerance, 0 or more")
    if units == "map" and place.transform is None:
        raise ConfigError(f"--units map, but {sheet} has no place", "--units pixels")


@contextmanager
def scratch_folder(beside: Path) -> Iterator[Path]:
    """Give a folder for label maps that are too large for the memory; /tmp is memory on many machines.

    Raises
    ------
    InputError
        Nothing can be written there.
    """
    try:
        beside.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix=".unet-vectorize-", dir=beside)
    except OSError as error:
        raise InputError(f"{beside}: {error.strerror or error}", "a folder that can be written to") from None
    with folder as name:
        yield Path(name)


def with_settings_of(model: Path, options: ShapeOptions, has_content: bool) -> ShapeOptions:
    """Return the options with those that a model file holds where nothing is said.

    Raises
    ------
    InputError
        The file is no model, or holds no shape settings.
    """
    from unet import bundle  # slow to import

    stored = bundle.load(model).shapes
    if stored is None:
        raise InputError(f"{model} holds no settings for shapes", "a model after unet tune-shapes", "say --dynamic")
    if options.threshold is not None:
        return options
    return replace(
        options,
        dynamic=stored.dynamic if options.dynamic is None else options.dynamic,
        area=stored.area if options.area is None else options.area,
        calibrate=options.calibrate or (stored.calibrate if has_content else None),
    )


def picture_under(path: Path, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a picture of the sheet for drawings, uint8 (H, W, 3) of the sheet's size.

    Raises
    ------
    InputError
        It cannot be read.
    """
    pixels = raster.read(path)
    data_range = {"uint8": 255.0, "uint16": 65535.0}.get(pixels.dtype.name, float(pixels.max()) or 1.0)
    shown = viewable(pixels, data_range)
    return shown if shown.shape[:2] == shape else raster.resize(shown, *shape)
