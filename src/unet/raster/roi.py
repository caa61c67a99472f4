"""Regions of interest: a mask of a picture's size, or polygons on the map."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.affine import PIXELS_DOWN, PIXELS_UP, Affine, coordinates, window_transform
from unet.errors import InputError, RasterError
from unet.raster.faults import naming
from unet.raster.gdal import set_up_gdal
from unet.raster.source import Source
from unet.raster.source import open as open_source
from unet.raster.windows import Window

WGS84 = "OGC:CRS84"
"""What GeoJSON is in where it says nothing: longitude and latitude (RFC 7946)."""

POLYGON_SUFFIXES = (".geojson", ".json")
"""Endings of regions that are polygons."""

_POLYGONS = ("Polygon", "MultiPolygon")


class Region:
    """Where a picture counts; a context manager, used by one thread at a time. See `open_region`."""

    def __init__(self, mask: Source | None, polygons: list[dict[str, Any]], remark: str, transform: Affine) -> None:
        self._mask, self._polygons, self.remark, self._transform = mask, polygons, remark, transform
        self._boxes = np.array([_box(polygon) for polygon in polygons]) if polygons else np.zeros((0, 4))

    def __enter__(self) -> Region:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._mask is not None:
            self._mask.close()

    def inside(self, window: Window) -> NDArray[np.bool_]:
        """Return which pixels of a window count, bool (h, w): those whose centre lies in a polygon, or is not 0."""
        if self._mask is not None:
            values = self._mask.read_mask(window)
            return np.asarray(values != 0 if values.ndim == 2 else (values != 0).any(axis=2))
        from rasterio.features import rasterize
        from rasterio.transform import Affine as RasterioAffine

        row, col, height, width = window
        transform = window_transform(self._transform, row, col)
        corners = coordinates(transform, *np.array([(0, 0), (width, 0), (0, height), (width, height)]).T)
        low, high = corners.min(axis=0), corners.max(axis=0)
        near = (self._boxes[:, :2] <= high).all(axis=1) & (self._boxes[:, 2:] >= low).all(axis=1)
        shapes = [self._polygons[number] for number in np.flatnonzero(near)]
        if not shapes:
            return np.zeros((height, width), dtype=bool)
        drawn: NDArray[np.uint8] = rasterize(
            shapes, out_shape=(height, width), transform=RasterioAffine(*transform), dtype="uint8"
        )
        return np.asarray(drawn != 0)


def open_region(path: str | Path, source: Source) -> Region:
    """Open a region of interest for a picture.

    Parameters
    ----------
    path : path
        A mask of the picture's size, in which 0 does not count, or a GeoJSON file of polygons. These are in WGS 84 or
        in the CRS that the file names, and are brought to the picture's; where the picture has no CRS they are taken
        as they stand: in its map coordinates, or, where it has none, in pixels from its upper left corner, y downwards
        or, where no y is above 0, upwards.
    source : Source
        The picture.

    Returns
    -------
    Region
        Its `remark` says what was made of the coordinates, if anything.

    Raises
    ------
    RasterError
        A mask of another size, or a file that is neither.
    """
    path = Path(path)
    if path.suffix.lower() not in POLYGON_SUFFIXES:
        mask = open_source(path)
        if (mask.height, mask.width) != (source.height, source.width):
            mask.close()
            raise RasterError(
                f"{path}: a region of {mask.width} x {mask.height} px",
                f"{source.width} x {source.height} px, as {source.path}",
            )
        return Region(mask, [], "", PIXELS_DOWN)
    with naming(path):
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            polygons = _polygons(held)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RasterError(f"{path} is no GeoJSON ({error})", "polygons as GeoJSON") from error
    if not polygons:
        raise RasterError(f"{path} holds no polygons", "at least one")
    for polygon in polygons:
        try:
            _box(polygon)
        except InputError as error:
            raise RasterError(f"{path}: {error.found}", error.expected) from error
    return _of_polygons(path, polygons, held, source)


def _of_polygons(path: Path, polygons: list[dict[str, Any]], held: dict[str, Any], source: Source) -> Region:
    from rasterio.crs import CRS
    from rasterio.errors import CRSError
    from rasterio.warp import transform_geom

    set_up_gdal()
    transform = source.transform or (PIXELS_UP if all(_box(polygon)[3] <= 0 for polygon in polygons) else PIXELS_DOWN)
    if source.crs is None:
        return Region(None, polygons, "", transform)
    named = held.get("crs")
    about = named.get("properties") if isinstance(named, dict) else None
    own = (about.get("name") if isinstance(about, dict) else None) or WGS84
    try:
        theirs, ours = CRS.from_user_input(own), CRS.from_user_input(source.crs)
    except CRSError as error:
        raise RasterError(f"{path}: {own!r} is no CRS ({error})", "EPSG:n, or none, for WGS 84") from error
    if theirs == ours:
        return Region(None, polygons, "", transform)
    try:
        moved = [transform_geom(theirs, ours, polygon) for polygon in polygons]
    except Exception as error:  # GDAL's errors share no base
        raise RasterError(f"{path} cannot be brought to {source.crs} ({error})", "coordinates of that place") from error
    return Region(None, moved, f"{path} was brought from {own} to {source.crs}", transform)


def _polygons(held: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all polygons in a GeoJSON object."""
    kind = held["type"]
    if kind == "FeatureCollection":
        return [polygon for feature in held["features"] for polygon in _polygons(feature)]
    if kind == "Feature":
        return _polygons(held["geometry"]) if held["geometry"] else []
    if kind == "GeometryCollection":
        return [polygon for geometry in held["geometries"] for polygon in _polygons(geometry)]
    return [held] if kind in _POLYGONS and held["coordinates"] else []


def _box(polygon: dict[str, Any]) -> tuple[float, float, float, float]:
    parts = [polygon["coordinates"]] if polygon["type"] == "Polygon" else polygon["coordinates"]
    try:
        corners = np.array([corner[:2] for part in parts for corner in part[0]], dtype=float)
    except (ValueError, IndexError, TypeError) as error:
        raise InputError(f"a polygon whose corners cannot be read ({error})", "rings of x, y") from error
    if corners.ndim != 2 or corners.shape[1:] != (2,) or not len(corners) or not np.isfinite(corners).all():
        raise InputError("a polygon whose corners are no pairs of numbers", "rings of x, y")
    low, high = corners.min(axis=0), corners.max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])
