"""Polygons in files: GeoPackage, GeoJSON, Shapefile and FlatGeobuf, read and written through pyogrio."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet.errors import InputError, MissingExtraError
from unet.files import replacing

DRIVERS = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".json": "GeoJSON", ".shp": "ESRI Shapefile", ".fgb": "FlatGeobuf"}
"""GDAL's name of the format of each ending that polygons are written in."""

NO_CRS = "No CRS: these are not degrees."
"""Begins the description of a GeoJSON file without CRS, which every reader would take for degrees."""

LONGITUDE_LATITUDE = "EPSG:4326"
_DECIMALS = 9  # of degrees in GeoJSON, a tenth of a millimetre
_LONGEST_TEXT = 254  # bytes of a text in a Shapefile

Write = Callable[[NDArray[Any], Mapping[str, NDArray[Any]]], None]
"""Writes some more geometries with their attributes."""

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

    Examples
    --------
    >>> import tempfile
    >>> import shapely
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "blocks.gpkg"
    ...     with writing_polygons(path, "EPSG:2154") as write:
    ...         write(np.array([shapely.box(0, 0, 2, 1)]), {"id": np.array([7])})
    ...     blocks = read_polygons(path)
    >>> blocks.attributes["id"].tolist(), blocks.crs, blocks.geometries[0].area
    ([7], 'EPSG:2154', 2.0)
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
    except (
        pyogrio.errors.DataSourceError,
        pyogrio.errors.DataLayerError,
        shapely.errors.GEOSException,
        UnicodeDecodeError,  # names of attributes that are no UTF-8
    ) as error:
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
    return Polygons(geometries, attributes, None if _is_without_crs(path) else meta["crs"])


def read_attributes(path: str | Path) -> dict[str, NDArray[Any]]:
    """Return the attributes of a file of ours, without its polygons; arrays are empty where it holds none.

    Raises
    ------
    InputError
        The file cannot be read.
    MissingExtraError
        pyogrio is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import shapely
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "blocks.gpkg"
    ...     with writing_polygons(path, None) as write:
    ...         write(np.array([shapely.box(0, 0, 2, 1)]), {"id": np.array([7])})
    ...     read_attributes(path)
    {'id': array([7])}
    """
    _, pyogrio = _libraries()
    try:
        meta, _, _, columns = pyogrio.raw.read(str(path), read_geometry=False)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise InputError(f"{path} cannot be read ({error})", "a file of polygons") from None
    return {str(name): column for name, column in zip(meta["fields"], columns, strict=True)}


def _polygon_layer(path: Path, pyogrio: Any) -> str | None:
    """Return the first layer whose geometries are polygons, else the first that has any geometry."""
    layers = [(str(name), str(kind)) for name, kind in pyogrio.list_layers(str(path)) if kind is not None]
    for name, kind in layers:
        if "Polygon" in kind:
            return name
    return layers[0][0] if layers else None


def _is_without_crs(path: Path) -> bool:
    if path.suffix.lower() not in (".geojson", ".json"):
        return False
    with path.open("rb") as file:
        return NO_CRS.encode() in file.read(4096)


def known_crs(crs: str, of: str = "the CRS") -> Any:
    """Return a CRS as rasterio's.

    Raises
    ------
    InputError
        It is none.

    Examples
    --------
    >>> known_crs("EPSG:2154").is_projected
    True
    """
    import rasterio  # slow to import
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    try:
        with rasterio.Env():  # else PROJ prints what it thinks
            known = CRS.from_user_input(crs)
    except (CRSError, ValueError):
        known = None
    if not known:
        raise InputError(f"{of} {crs!r} is not one", "a coordinate reference system such as EPSG:2154")
    return known


def reproject(geometries: NDArray[Any], source: str, target: str) -> NDArray[Any]:
    """Return geometries whose corners are moved from one CRS to another; longitude comes before latitude.

    Corners that were the same stay the same, so that shared edges stay shared.

    Raises
    ------
    InputError
        A CRS that is none, or places that have no coordinates in the target.

    Examples
    --------
    >>> import shapely
    >>> moved = reproject(np.array([shapely.Point(700_000, 6_600_000)]), "EPSG:2154", "EPSG:4326")
    >>> print(shapely.to_wkt(moved[0], rounding_precision=6))
    POINT (3 46.5)
    """
    import rasterio
    from rasterio.warp import transform

    shapely, _ = _libraries()
    one, other = known_crs(source), known_crs(target)
    if one == other or not geometries.size:
        return geometries

    def move(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack(transform(one, other, points[:, 0], points[:, 1]), axis=1)

    try:
        with rasterio.Env():
            moved: NDArray[Any] = shapely.transform(geometries, move)
        known = bool(np.isfinite(shapely.bounds(moved)).all())
    except Exception:  # those of GDAL have no base that is public
        known = False
    if not known:
        raise InputError(f"places of {source} that {target} does not know", "a CRS that fits the place")
    return moved


@contextmanager
def writing_polygons(path: Path, crs: str | None, about: str = "") -> Iterator[Write]:
    """Give a function that writes polygons to a file, which is put in its place when the block ends without an error.

    Parameters
    ----------
    path : Path
        The ending chooses the format: .gpkg, .geojson, .shp, .fgb. What is there is replaced.
    crs : str, optional
        Of the coordinates. GeoJSON is written in WGS 84, longitude and latitude, as RFC 7946 asks.
    about : str
        What the coordinates are where there is no CRS.

    Yields
    ------
    callable
        Takes shapely polygons (N,) and a dict of their attributes, arrays (N,); may be called several times with the
        same attributes. GeoPackage, Shapefile and GeoJSON are written at each call, FlatGeobuf at the end.

    Raises
    ------
    InputError
        An unknown ending, a CRS that is none, a place that cannot be written to.
    MissingExtraError
        shapely or pyogrio is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import shapely
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "blocks.gpkg"
    ...     with writing_polygons(path, "EPSG:2154") as write:
    ...         write(np.array([shapely.box(0, 0, 2, 1)]), {"id": np.array([7])})
    ...     blocks = read_polygons(path)
    >>> blocks.attributes["id"].tolist(), blocks.crs, blocks.geometries[0].area
    ([7], 'EPSG:2154', 2.0)
    """
    shapely, pyogrio = _libraries()
    driver = driver_of(path)
    options: dict[str, Any] = {}
    if driver == "GeoJSON":
        # Without the name of a CRS, for RFC 7946 has one only, which GDAL would name.
        options = {"COORDINATE_PRECISION": _DECIMALS, "DESCRIPTION": "" if crs else f"{NO_CRS} {about}".strip()}
        options = {name: value for name, value in options.items() if value != ""}
    elif driver == "GPKG":
        options = {"VERSION": "1.2"}  # which older programs open without a word
    elif driver == "ESRI Shapefile":
        options = {"encoding": "UTF-8"}
    if driver != "ESRI Shapefile":
        options["layer"] = path.stem
    stored_crs = None if crs is None or driver == "GeoJSON" else known_crs(crs).to_wkt()
    several = driver in ("GPKG", "FlatGeobuf")  # formats whose files hold one kind of geometry
    collected: list[tuple[NDArray[Any], Mapping[str, NDArray[Any]]]] = []
    begun = False

    def write_now(geometries: NDArray[Any], attributes: Mapping[str, NDArray[Any]]) -> None:
        nonlocal begun
        if driver == "GeoJSON":
            geometries = geometries if crs is None else reproject(geometries, crs, LONGITUDE_LATITUDE)
            geometries = shapely.orient_polygons(geometries)  # the right-hand rule
        columns = [_short_texts(values) if driver == "ESRI Shapefile" else values for values in attributes.values()]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there is no CRS
            pyogrio.raw.write(
                str(draft), shapely.to_wkb(geometries), columns, list(attributes), driver=driver, crs=stored_crs,
                geometry_type="MultiPolygon" if several else "Polygon" if driver == "ESRI Shapefile" else "Unknown",
                promote_to_multi=several, append=begun, **options,
            )  # fmt: skip
        begun = True

    def collect(geometries: NDArray[Any], attributes: Mapping[str, NDArray[Any]]) -> None:
        collected.append((geometries, attributes))

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            draft = Path(folder) / path.name
            yield collect if driver == "FlatGeobuf" else write_now
            if collected:
                names = list(collected[0][1])
                parts = {name: np.concatenate([attributes[name] for _, attributes in collected]) for name in names}
                write_now(np.concatenate([geometries for geometries, _ in collected]), parts)
            if not begun:
                write_now(np.zeros(0, object), {})
            _put_in_place(draft, path)
    except (OSError, RuntimeError) as error:  # all of pyogrio's are RuntimeErrors
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise InputError(f"{path} cannot be written ({reason})", "a place with room for it") from error


def driver_of(path: Path) -> str:
    """Return GDAL's name of the format that a file's ending stands for.

    Raises
    ------
    InputError
        An unknown ending.

    Examples
    --------
    >>> driver_of(Path("blocks.gpkg"))
    'GPKG'
    """
    driver = DRIVERS.get(path.suffix.lower())
    if driver is None:
        raise InputError(f"{path} has no ending of a format for polygons", ", ".join(DRIVERS))
    return driver


def _put_in_place(draft: Path, path: Path) -> None:
    """Move the file, or the files that make a Shapefile, to where they belong; the one that is named comes last."""
    made = sorted(draft.parent.iterdir(), key=lambda file: file.suffix == draft.suffix)
    if len(made) > 1:
        for ending in (".prj", ".cpg", ".qix", ".sbn", ".sbx"):  # they would be taken for parts of the new one
            path.with_suffix(ending).unlink(missing_ok=True)
    for file in made:
        with replacing(path.with_suffix(file.suffix)) as place:
            os.replace(file, place)


def _short_texts(values: NDArray[Any]) -> NDArray[Any]:
    """Return texts that fit a Shapefile, cut between words."""
    if values.dtype != object:
        return values
    short = np.empty(values.shape, object)
    short[:] = [
        text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 4].rpartition(" ")[0] + " ..." for text in values
    ]
    return short


def require_libraries() -> None:
    """Make sure that polygons can be written, before hours are spent on what is to be written.

    Raises
    ------
    MissingExtraError
        shapely or pyogrio is not installed.

    Examples
    --------
    >>> require_libraries()
    """
    _libraries()


def _libraries() -> tuple[Any, Any]:
    try:
        import pyogrio
        import pyogrio.raw
        import shapely
    except ImportError:
        raise MissingExtraError("polygons in files", "maps") from None
    return shapely, pyogrio
