"""Polygons in files: GeoPackage, GeoJSON, Shapefile and FlatGeobuf, read and written through pyogrio."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet.errors import InputError, MissingExtraError

PIXEL_NOTE = "Coordinates are pixels: x = column, y = -row (up), as GIS programs show a picture without a place."
"""Stands in a GeoJSON file without CRS, which every reader would take for degrees."""

_POLYGONS = (3, 6)  # what shapely calls polygons and multi-polygons


class Polygons(NamedTuple):
    """Polygons with what is known of them.

    Attributes
    ----------
    geometries : object array (N,) of shapely polygons and multi-polygons
    attributes : dict of str to array (N,)
    crs : str or None
        As "EPSG:2154" where it has such a name, else as WKT. None where the file names none, and for a GeoJSON that we
        wrote in pixels.
    """

    geometries: NDArray[Any]
    attributes: dict[str, NDArray[Any]]
    crs: str | None


def read_polygons(path: str | Path, layer: str | None = None) -> Polygons:
    """Read the polygons of a vector file.

    Parameters
    ----------
    path : path
        GeoPackage, GeoJSON, Shapefile, FlatGeobuf, or whatever else GDAL reads.
    layer : str, optional
        By default the first layer of polygons.

    Returns
    -------
    Polygons
        In the file's own coordinates; empty geometries are left out, heights (z) dropped.

    Raises
    ------
    InputError
        The file is missing, of no known format or cut off, or holds no polygons or other things too.
    MissingExtraError
        shapely or pyogrio is not installed.
    """
    shapely, pyogrio = _libraries()
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no such file: {path}", "a file of polygons")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of measures and other things that polygons do without
            layer = _polygon_layer(path, pyogrio) if layer is None else layer
            meta, _, stored, columns = pyogrio.raw.read(str(path), layer=layer, force_2d=True)
            geometries: NDArray[Any] = shapely.from_wkb(stored)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, shapely.errors.GEOSException) as error:
        reason = " ".join(str(error).split()).partition("; It might help")[0]
        raise InputError(
            f"{path} cannot be read ({reason})", "polygons in a .gpkg, .geojson, .shp or .fgb file"
        ) from None
    kept = ~(shapely.is_missing(geometries) | shapely.is_empty(geometries))
    geometries = geometries[kept]
    others = ~np.isin(shapely.get_type_id(geometries), _POLYGONS)
    if others.any():
        what = geometries[others][0].geom_type
        raise InputError(f"{path} holds {others.sum()} shapes that are no polygons ({what})", "polygons only")
    if not geometries.size:
        raise InputError(f"{path} holds no polygons", "at least one")
    attributes = {str(name): column[kept] for name, column in zip(meta["fields"], columns, strict=True)}
    return Polygons(geometries, attributes, None if _is_in_pixels(path) else meta["crs"])


def _polygon_layer(path: Path, pyogrio: Any) -> str | None:
    """Return the first layer whose geometries are polygons, else the first that has any geometry."""
    layers = [(str(name), str(kind)) for name, kind in pyogrio.list_layers(str(path)) if kind is not None]
    for name, kind in layers:
        if "Polygon" in kind:
            return name
    return layers[0][0] if layers else None


def _is_in_pixels(path: Path) -> bool:
    if path.suffix.lower() not in (".geojson", ".json"):
        return False
    with path.open("rb") as file:
        return PIXEL_NOTE.encode() in file.read(4096)


def _libraries() -> tuple[Any, Any]:
    try:
        import pyogrio
        import pyogrio.raw
        import shapely
    except ImportError:
        raise MissingExtraError("polygons in files", "maps") from None
    return shapely, pyogrio
