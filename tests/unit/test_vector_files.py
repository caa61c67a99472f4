"""Polygons in files: what is written is read back by pyogrio, in its place."""

from __future__ import annotations

import base64
import json
import re
import sqlite3
import sys
import xml.etree.ElementTree as ElementTree
from contextlib import closing
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import shapely
from numpy.typing import NDArray

from unet.errors import InputError, MissingExtraError
from unet.shapes.attributes import areas_and_lengths
from unet.shapes.polygons import label_polygons, placed
from unet.shapes.svg import write_svg
from unet.shapes.vector_files import (
    NO_CRS,
    Polygons,
    known_crs,
    read_polygons,
    reproject,
    require_libraries,
    writing_polygons,
)

MAP = np.array([[1, 1, 2, 2], [1, 3, 1, 2], [1, 1, 1, 0], [4, 0, 0, 4]], np.int32)
ENDINGS = (".gpkg", ".geojson", ".shp", ".fgb")
PARIS = (0.5, 0.1, 652_000.0, 0.12, -0.6, 6_862_000.0)  # a rotated sheet in Lambert-93
GEOGRAPHIC = (2e-5, 0.0, 2.35, 0.0, -2e-5, 48.86)


def shapes_of(transform: tuple[float, ...] | None) -> tuple[NDArray[np.int32], NDArray[np.object_]]:
    found = label_polygons(MAP)
    return found.labels, placed(found.geometries, transform)


def write(path: Path, crs: str | None, transform: tuple[float, ...] | None, about: str = "") -> NDArray[np.object_]:
    labels, geometries = shapes_of(transform)
    names = np.array(["street", "Haus", "île", "x " * 200], object)
    with writing_polygons(path, crs, about) as more:
        for part in (slice(0, 1), slice(1, 4)):
            more(geometries[part], {"id": labels[part], "class_name": names[part], "area": np.arange(4.0)[part]})
    return geometries


def by_id(read: Polygons) -> Polygons:
    order = np.argsort(read.attributes["id"])  # FlatGeobuf sorts by place
    return Polygons(read.geometries[order], {name: values[order] for name, values in read.attributes.items()}, read.crs)


def in_parts(geometries: NDArray[np.object_]) -> NDArray[np.float64]:
    """The corners of all parts of all polygons, in an order of their own."""
    parts = shapely.normalize(shapely.get_parts(geometries))
    return np.asarray(shapely.get_coordinates(sorted(parts, key=lambda part: part.wkt)))


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("crs", "transform"), [("EPSG:2154", PARIS), ("EPSG:4326", GEOGRAPHIC), (None, None), (None, PARIS)]
)
def test_written_polygons_come_back(
    tmp_path: Path, ending: str, crs: str | None, transform: tuple[float, ...] | None
) -> None:
    path = tmp_path / f"new folder/shapes{ending}"
    geometries = write(path, crs, transform, "Pixels.")
    back = by_id(read_polygons(path))
    in_degrees = ending == ".geojson" and crs is not None
    assert back.crs == ("EPSG:4326" if in_degrees else crs)
    assert back.attributes["id"].tolist() == [1, 2, 3, 4]
    assert back.attributes["class_name"][:3].tolist() == ["street", "Haus", "île"]
    assert back.attributes["area"].tolist() == [0, 1, 2, 3]
    text = back.attributes["class_name"][3]
    assert (text.endswith("x ...") and len(text) < 255) if ending == ".shp" else text == "x " * 200
    expected = reproject(geometries, crs, "EPSG:4326") if in_degrees and crs else geometries
    assert in_parts(back.geometries) == pytest.approx(in_parts(expected), abs=1e-9 if in_degrees else 0, rel=0)
    assert shapely.is_valid(back.geometries).all() and shapely.coverage_is_valid(back.geometries)
    names = {file.name for file in path.parent.iterdir()}
    others = (
        {f"shapes{end}" for end in (".shx", ".dbf", ".cpg", ".prj")[: 4 if crs else 3]} if ending == ".shp" else set()
    )
    assert names == {path.name} | others, "nothing is left behind"


def test_places_by_hand() -> None:
    """The corner of the third row and second column, by the six numbers."""
    _, geometries = shapes_of(PARIS)
    corner = (652_000 + 0.5 * 1 + 0.1 * 2, 6_862_000 + 0.12 * 1 - 0.6 * 2)
    assert min(shapely.distance(geometries[2], shapely.points([corner]))) == 0
    assert corner in [tuple(point) for point in shapely.get_coordinates(geometries[2])]
    _, upward = shapes_of(None)
    assert shapely.total_bounds(upward).tolist() == [0, -4, 4, 0], "y is -row where there is no place"


def test_geojson_is_that_of_rfc_7946(tmp_path: Path) -> None:
    # By its definition the origin of Lambert-93, (700000, 6600000), is at 3 E, 46.5 N.
    write(tmp_path / "a.geojson", "EPSG:2154", (0.5, 0.1, 700_000.0, 0.12, -0.6, 6_600_000.0))
    data = json.loads((tmp_path / "a.geojson").read_text())
    assert "crs" not in data and "description" not in data
    rings = []
    for feature in data["features"]:
        geometry = feature["geometry"]
        parts = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
        for shell, *holes in parts:
            assert shapely.LinearRing(shell).is_ccw and not any(shapely.LinearRing(hole).is_ccw for hole in holes)
            rings += [shell, *holes]
    assert len(rings) == 6, "four shapes, one with a hole, one of two parts"
    points = np.concatenate(rings)
    assert np.abs(points - (3, 46.5)).min(axis=0).max() < 1e-9 and np.abs(points - (3, 46.5)).max() < 5e-5
    write(tmp_path / "b.geojson", None, None, "x = column, y = -row.")
    data = json.loads((tmp_path / "b.geojson").read_text())
    assert data["description"] == f"{NO_CRS} x = column, y = -row."


def test_no_shapes_make_a_file_without_any(tmp_path: Path) -> None:
    for ending in ENDINGS:
        with writing_polygons(tmp_path / f"none{ending}", "EPSG:2154"):
            pass
        assert pyogrio.read_info(tmp_path / f"none{ending}", force_feature_count=True)["features"] == 0
        with pytest.raises(InputError, match="holds no polygons"):
            read_polygons(tmp_path / f"none{ending}")


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    for ending in ENDINGS:
        path = tmp_path / f"old{ending}"
        write(path, "EPSG:2154", PARIS)
        before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
        _, geometries = shapes_of(None)
        with pytest.raises(KeyError), writing_polygons(path, None) as more:
            more(geometries, {"id": np.arange(4)})
            raise KeyError
        assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
        write(path, None, None)
        assert read_polygons(path).crs is None, "the .prj of before is gone too"


def test_files_and_systems_that_are_none(tmp_path: Path) -> None:
    for path, words in ((tmp_path / "no.gpkg", "no such file"), (tmp_path / "text.gpkg", "cannot be read")):
        (tmp_path / "text.gpkg").write_text("hello")
        with pytest.raises(InputError, match=words):
            read_polygons(path)
    (tmp_path / "points.geojson").write_text('{"type": "Point", "coordinates": [1, 2]}')
    with pytest.raises(InputError, match="no polygons"):
        read_polygons(tmp_path / "points.geojson")
    (tmp_path / "latin.geojson").write_bytes(
        b'{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"ki\xefd": 1}, '
        b'"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}}]}'
    )
    with pytest.raises(InputError, match=r"latin\.geojson cannot be read \('utf-8'"):
        read_polygons(tmp_path / "latin.geojson")
    whole = tmp_path / "whole.gpkg"
    write(whole, None, None)
    (tmp_path / "cut.gpkg").write_bytes(whole.read_bytes()[: 4096 * 5])
    with pytest.raises(InputError, match=r"cut\.gpkg"):
        read_polygons(tmp_path / "cut.gpkg")
    with pytest.raises(InputError, match="is not one"):
        write(tmp_path / "a.gpkg", "EPSG:1", PARIS)
    with pytest.raises(InputError, match="no ending of a format"):
        write(tmp_path / "a.kml", None, None)
    with pytest.raises(InputError, match="does not know"):
        reproject(np.array([shapely.box(0, 89, 1, 91)]), "EPSG:4326", "EPSG:2154")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write(tmp_path / "file/a.gpkg", None, None)
    assert not list(tmp_path.glob("a.*"))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyogrio", None)
    with pytest.raises(MissingExtraError, match=r'pip install "unet\[maps\]"'):
        require_libraries()


def test_measures_on_the_ellipsoid() -> None:
    """Against known lengths of a degree on WGS 84, and the area of a whole hemisphere's eighth."""
    box = np.array([shapely.box(0, 44.5, 1, 45.5), shapely.segmentize(shapely.box(0, 0, 90, 90), 0.01)])
    areas, lengths = areas_and_lengths(box, "EPSG:4326")
    assert lengths[0] == pytest.approx(
        2 * 111_131.8 + 78_846.8 * (np.cos(np.radians(44.5)) + np.cos(np.radians(45.5))) / np.cos(np.radians(45)),
        rel=1e-4,
    )
    assert areas[1] == pytest.approx(510_065_621.7e6 / 8, rel=1e-6)
    assert lengths[1] == pytest.approx(2 * 10_001_965.7 + 10_018_754.2, rel=1e-6)
    assert areas_and_lengths(box[:1], "EPSG:2154")[0].tolist() == [1.0]
    planar = areas_and_lengths(reproject(box[:1], "EPSG:4326", "EPSG:6933"), "EPSG:6933")[0]
    assert areas[0] == pytest.approx(planar[0], rel=1e-6), "an equal-area projection of PROJ"
    assert known_crs("EPSG:4807").units_factor[1] == pytest.approx(np.pi / 200)
    grads = areas_and_lengths(np.array([shapely.box(0, 50, 0.1, 50.1)]), "EPSG:4807")
    degrees = areas_and_lengths(np.array([shapely.box(0, 45, 0.09, 45.09)]), "EPSG:4267")
    assert grads[0] == pytest.approx(degrees[0], rel=1e-3)


def test_a_drawing_has_every_shape(tmp_path: Path) -> None:
    found = label_polygons(MAP)
    colors = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [1, 2, 3]], np.uint8)
    write_svg(tmp_path / "a.svg", found.geometries, colors, ["1", "<2>", "3", "4"], MAP.shape, jpeg=b"picture")
    root = ElementTree.parse(tmp_path / "a.svg").getroot()
    space = "{http://www.w3.org/2000/svg}"
    assert root.get("viewBox") == "0 0 4 4"
    image = root.find(f"{space}image")
    assert image is not None and base64.b64decode(str(image.get("href")).split(",")[1]) == b"picture"
    paths = root.findall(f"{space}path")
    assert [path.get("fill") for path in paths] == ["#ff0000", "#00ff00", "#0000ff", "#010203"]
    assert [path.findtext(f"{space}title") for path in paths] == ["1", "<2>", "3", "4"]
    for path, geometry in zip(paths, found.geometries, strict=True):
        rings = re.findall(r"M([^MZ]*)Z", str(path.get("d")))
        drawn = shapely.Polygon()
        for ring in rings:  # the even-odd rule
            points = np.array(ring.split(), float).reshape(-1, 2)
            drawn = drawn.symmetric_difference(shapely.Polygon(points))
        assert drawn.equals(geometry)


def test_older_programs_open_geopackages_without_a_word(tmp_path: Path) -> None:
    path = tmp_path / "blocks.gpkg"
    with writing_polygons(path, "EPSG:2154") as write:
        for number in range(2):
            write(np.array([shapely.box(0, number, 2, number + 1)]), {"id": np.array([number])})
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (10200,)
        assert database.execute("SELECT count(*) FROM blocks").fetchone() == (2,)
