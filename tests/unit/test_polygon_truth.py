"""Polygons as the truth: drawn on the grid of the picture, wherever they come from, whole and in blocks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.transform import Affine

from unet import raster
from unet.commands.repair import repair
from unet.data import windows
from unet.data.class_table import ClassTable, Row
from unet.data.pair_arrays import read_mask, read_objects, read_target
from unet.data.pairs import Drawing, Pair, find_pairs
from unet.data.polygon_truth import polygon_classes, with_drawing
from unet.data.prepared import index_labels, prepare_pairs
from unet.data.scan import scan, without_polygons
from unet.data.windows import cut_sheets
from unet.errors import InputError
from unet.labels import IGNORED, Labels
from unet.shapes.polygon_masks import PolygonMask
from unet.shapes.rasterised import polygon_labels
from unet.shapes.vector_files import writing_polygons

PLACE = Affine(0.5, 0.2, 650_000, 0.2, -0.5, 6_860_000)  # turned
SIZE = (70, 90)
OBJECTS = Labels(("ground", "object"), ((0, 0, 0), (255, 255, 255)), (0, 1), kind="instances")
LABELS = replace(Labels.numbered(3), ignored=(IGNORED,))


def corners(column: float, row: float, wide: float, tall: float, place: Affine) -> shapely.Polygon:
    points = ((0, 0), (wide, 0), (wide, tall), (0, tall))
    a, b, c, d, e, f = place[:6]
    places = [(column + x, row + y) for x, y in points]
    return shapely.Polygon([(a * x + b * y + c, d * x + e * y + f) for x, y in places])


def drawn(place: Affine) -> tuple[np.ndarray, list[str]]:
    """Overlapping boxes, on pixel edges, and their kinds; the last is on top."""
    boxes = [(5, 5, 20, 30), (15, 20, 40, 25), (60, 40, 25, 25), (3, 55, 30, 10)]
    return np.array([corners(*box, place) for box in boxes]), ["road", "house", "house", ""]


def expected() -> np.ndarray:
    mask = np.zeros(SIZE, np.uint8)
    mask[5:35, 5:25] = 2
    mask[20:45, 15:55] = 1
    mask[40:65, 60:85] = 1
    mask[55:65, 3:33] = IGNORED
    return mask


def picture(path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (3, *SIZE), np.uint8)
    with rasterio.open(
        path, "w", driver="GTiff", height=SIZE[0], width=SIZE[1], count=3, dtype="uint8", crs="EPSG:2154",
        transform=PLACE,
    ) as file:  # fmt: skip
        file.write(pixels)
    return path


def polygons(path: Path, crs: str | None = "EPSG:2154", place: Affine = PLACE) -> Path:
    shapes, kinds = drawn(place)
    with writing_polygons(path, crs) as write:
        write(shapes, {"kind": np.array(kinds, object), "number": np.arange(4)})
    return path


def ready(image: Path, mask: Path, say: Any = print, **how: Any) -> Pair:
    drawing, _ = polygon_classes(mask, how.get("class_field", "kind"), how.get("outline", 0), how.get("classes"))
    return with_drawing({"all": (Pair("s", image, mask),)}, drawing, say)["all"][0]


@pytest.mark.parametrize("ending", [".gpkg", ".geojson", ".fgb", ".shp"])
def test_every_format_gives_the_same_mask(tmp_path: Path, ending: str) -> None:
    said: list[str] = []
    pair = ready(picture(tmp_path / "s.tif"), polygons(tmp_path / f"b{ending}"), said.append)
    clear = np.ones(SIZE, bool)
    if ending == ".fgb":  # has an order of its own: where polygons lie over each other, either may be on top
        clear[20:35, 15:25] = False
    assert np.array_equal(read_mask(pair)[clear], expected()[clear])
    assert said == ([f"{pair.mask}: moved from EPSG:4326 to EPSG:2154, that of {pair.image}"] * (ending == ".geojson"))


def test_polygons_of_another_crs_are_moved(tmp_path: Path) -> None:
    shapes, kinds = drawn(PLACE)
    from unet.shapes.vector_files import reproject

    with writing_polygons(tmp_path / "b.gpkg", "EPSG:3857") as write:
        write(reproject(shapes, "EPSG:2154", "EPSG:3857"), {"kind": np.array(kinds, object)})
    said: list[str] = []
    pair = ready(picture(tmp_path / "s.tif"), tmp_path / "b.gpkg", said.append)
    assert np.array_equal(read_mask(pair), expected())
    assert said == [f"{pair.mask}: moved from EPSG:3857 to EPSG:2154, that of {pair.image}"]


@pytest.mark.parametrize("up", [True, False])
def test_without_a_place_polygons_are_in_pixels(tmp_path: Path, up: bool) -> None:
    place = Affine(1, 0, 0, 0, -1 if up else 1, 0)
    said: list[str] = []
    mask = polygons(tmp_path / "b.geojson", None, place)
    raster.write_picture(tmp_path / "s.png", np.zeros((*SIZE, 3), np.uint8))
    pair = ready(tmp_path / "s.png", mask, said.append)
    assert np.array_equal(read_mask(pair), expected())
    assert len(said) == 1 and "taken as pixels" in said[0]


def test_classes_by_name_by_table_and_all_as_one(tmp_path: Path) -> None:
    image, mask = picture(tmp_path / "s.tif"), polygons(tmp_path / "b.gpkg")
    drawing, table = polygon_classes(mask, "kind", 0, None)
    assert [(row.name, row.value) for row in table.rows] == [("background", 0), ("house", 1), ("road", 2)]
    assert drawing == Drawing((("background", 0), ("house", 1), ("road", 2)), "kind", 0)
    _, table = polygon_classes(mask, "number", 0, None)
    assert [row.name for row in table.rows] == ["background", "0", "1", "2", "3"]

    given = ClassTable(tmp_path / "c", (Row("road", value=9), Row("ground", value=4), Row("house", value=2)))
    values = {0: 0, 1: 2, 2: 9, 255: 255}
    wanted = np.vectorize(values.get)(expected())
    assert np.array_equal(read_mask(ready(image, mask, classes=given)), wanted)
    with pytest.raises(InputError, match="kind names road; expected ground, house"):
        polygon_classes(mask, "kind", 0, ClassTable(tmp_path / "c", (Row("ground"), Row("house"))))

    drawing, table = polygon_classes(mask, None, 0, None)
    assert [row.name for row in table.rows] == ["background", "foreground"]
    assert np.array_equal(read_mask(ready(image, mask, class_field=None)), expected() > 0)


@pytest.mark.parametrize(
    ("field", "classes", "message"),
    [
        ("sort", None, "has no attribute 'sort'; expected one of kind, number"),
        (None, ("a", "b", "c"), "3 classes for the polygons"),
    ],
)
def test_what_cannot_be(tmp_path: Path, field: str | None, classes: tuple[str, ...] | None, message: str) -> None:
    table = classes and ClassTable(tmp_path, tuple(map(Row, classes)))
    with pytest.raises(InputError, match=message):
        polygon_classes(polygons(tmp_path / "b.gpkg"), field, 0, table or None)
    with pytest.raises(InputError, match="no such file"):
        polygon_classes(tmp_path / "none.gpkg", "kind", 0, None)


def test_polygons_beside_the_picture_are_an_error(tmp_path: Path) -> None:
    elsewhere = polygons(tmp_path / "b.gpkg", place=Affine(0.5, 0, 0, 0, -0.5, 0))
    error = without_polygons(scan([ready(picture(tmp_path / "s.tif"), elsewhere)]))
    assert error is not None and "no polygon covers a pixel of the pictures (they lie in x 1.5 to" in str(error)
    assert without_polygons(scan([ready(picture(tmp_path / "s.tif"), polygons(tmp_path / "c.gpkg"))])) is None


@pytest.mark.slow
@pytest.mark.parametrize("outline", [0, 1, 2, 3])
def test_blocks_are_drawn_as_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outline: int) -> None:
    monkeypatch.setattr(windows, "MAX_PIXELS", 1000)
    pair = ready(picture(tmp_path / "s.tif"), polygons(tmp_path / "b.gpkg"), outline=outline)
    whole = read_mask(pair)
    cut = cut_sheets([pair], (32, 32))
    assert len(cut) == 6
    for block in cut:
        row, column, height, width = block.window or (0, 0, 0, 0)
        assert np.array_equal(read_mask(block), whole[row : row + height, column : column + width])
    scanned = scan(cut)
    assert sum(dict(mask.values).get(1, 0) for mask in scanned.masks) == (whole == 1).sum()
    assert scan([pair]).masks != scan([ready(pair.image, pair.mask, outline=5)]).masks, "drawn otherwise: no recalling"
    made = prepare_pairs({"all": cut}, LABELS, tmp_path / "ready").parts["all"]
    assert np.array_equal(read_target(made[0], index_labels(LABELS)), read_target(cut[0], LABELS))
    thicker = prepare_pairs({"all": [ready(pair.image, pair.mask, outline=9)]}, LABELS, tmp_path / "ready").parts["all"]
    assert (read_target(thicker[0], index_labels(LABELS)) == 2).sum() > (whole == 2).sum() or outline == 0


@pytest.mark.parametrize("width", [1, 2, 3, 6])
def test_outlines_are_so_wide_and_on_the_edge(width: int) -> None:
    mask = PolygonMask(np.array([shapely.box(20, 10, 60, 40)]), np.array([1], np.uint8), width)
    drawn_mask = mask.read((0, 0, 60, 80), (1, 0, 0, 0, 1, 0))
    assert drawn_mask[25].sum() == 2 * width and drawn_mask[:, 40].sum() == 2 * width
    columns = np.flatnonzero(drawn_mask[25])[:width]
    assert abs(columns.mean() + 0.5 - 20) <= 0.5 and np.ptp(columns) == width - 1
    assert drawn_mask.sum() == pytest.approx(width * 140, rel=0.05)


def test_a_window_is_the_part_of_all_polygons_drawn_together() -> None:
    rng = np.random.default_rng(1)
    shapes = shapely.buffer(shapely.points(rng.uniform(0, 100, (60, 2))), rng.uniform(1, 12, 60))
    values = rng.integers(1, 200, 60).astype(np.uint8)
    transform = (0.7, 0.1, 3.0, -0.2, 0.9, 5.0)
    labels = polygon_labels(shapes, (90, 110), transform)
    whole = np.concatenate([[0], values])[labels]
    mask = PolygonMask(shapes, values)
    for row, column, height, width in [(0, 0, 90, 110), (10, 20, 33, 17), (60, 90, 30, 20), (5, 5, 1, 1)]:
        part = mask.read((row, column, height, width), transform)
        assert np.array_equal(part, whole[row : row + height, column : column + width])


def test_one_file_is_the_truth_of_all_pictures_of_a_folder(tmp_path: Path) -> None:
    for name in ("train/a.tif", "train/b.tif", "val/c.tif"):
        (tmp_path / "imgs" / name).parent.mkdir(parents=True, exist_ok=True)
        picture(tmp_path / "imgs" / name)
    mask = polygons(tmp_path / "b.gpkg")
    parts = find_pairs(images=tmp_path / "imgs", masks=mask)
    assert {part: [pair.name for pair in pairs] for part, pairs in parts.items()} == {"train": ["a", "b"], "val": ["c"]}
    assert all(pair.mask == mask for pairs in parts.values() for pair in pairs)
    assert find_pairs(images=tmp_path / "imgs/val/c.tif", masks=mask)["all"][0].name == "c"
    for images, masks, message in (("none", "b.gpkg", "no such file or folder"), ("imgs", "none.gpkg", "no such file")):
        with pytest.raises(InputError, match=message):
            find_pairs(images=tmp_path / images, masks=tmp_path / masks)


def test_polygons_as_objects_are_numbered(tmp_path: Path) -> None:
    image, file = picture(tmp_path / "s.tif"), polygons(tmp_path / "b.gpkg")
    drawing, _ = polygon_classes(file, None, 0, None, numbered=True)
    pair = with_drawing({"all": (Pair("s", image, file),)}, drawing, print)["all"][0]
    shapes, _ = drawn(PLACE)
    assert np.array_equal(read_mask(pair), polygon_labels(shapes, SIZE, PLACE[:6]))
    objects = read_objects(pair, OBJECTS)
    assert objects is not None and set(np.unique(objects)) == {0, 1, 2, 3, 4}
    with pytest.raises(InputError, match="objects, together with class_field"):
        polygon_classes(file, "kind", 0, None, numbered=True)


def test_values_that_a_byte_cannot_hold_are_numbered_anew(tmp_path: Path) -> None:
    table = ClassTable(tmp_path, (Row("background", value=0), Row("house", value=255), Row("road", value=700)))
    drawing, numbered = polygon_classes(polygons(tmp_path / "b.gpkg"), "kind", 0, table)
    assert drawing.values == (("background", 0), ("house", 1), ("road", 2))
    assert [row.value for row in numbered.rows] == [0, 1, 2]


def test_polygons_cannot_be_repaired(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"masks that are polygons \(.*b\.gpkg\); expected pictures"):
        repair(images=picture(tmp_path / "s.tif"), masks=polygons(tmp_path / "b.gpkg"), out=tmp_path / "clean")
