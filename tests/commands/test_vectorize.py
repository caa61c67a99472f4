"""`unet vectorize`: from every kind of raster to polygons in their place, and what it refuses."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.transform import Affine

from unet import bundle, cli, models, raster
from unet.commands.vectorize import vectorize
from unet.data import sheet_shapes
from unet.labels import Labels
from unet.models import ModelSpec
from unet.preprocessing import Preprocessing
from unet.report import shape_files
from unet.shapes import polygons
from unet.shapes.lines import fill_lines
from unet.shapes.settings import ShapeSettings
from unet.shapes.vector_files import read_polygons
from unet.shapes.watershed import filtered_watershed

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

PARIS = Affine(0.5, 0.1, 652_000.0, 0.12, -0.6, 6_862_000.0)
DEGREES = Affine(2e-5, 0, 2.35, 0, -2e-5, 48.86)
PALETTE = [0, 0, 0, 200, 30, 30, 30, 200, 30, *[0] * 759]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(line: str) -> None:
    assert cli.main(shlex.split(f"vectorize {line}")) == 0


def refused(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert cli.main(shlex.split(f"vectorize {line}")) == 2
    message = capsys.readouterr().err
    assert message.startswith("unet: error: ") and message.count("\n") == 1, message
    return message


def rooms(height: int = 60, width: int = 80) -> NDArray[np.uint8]:
    """An edge map of four rooms, one of which has a weak wall through it."""
    epm = np.zeros((height, width), np.uint8)
    epm[height // 2] = epm[:, width // 2] = 250
    epm[height // 4, : width // 2] = 5
    for row in (3, height - 6):  # a basin is as deep as the highest pixel in it before the one that ends it
        epm[row, 3] = epm[row, width - 6] = 8
    return epm


def write_tiff(
    path: str, bands: NDArray[np.generic], crs: str | None, transform: Affine | None, **more: object
) -> Path:
    stack = bands[None] if bands.ndim == 2 else bands
    place = {"crs": crs} if crs else {}
    if transform is not None:
        place |= {"transform": transform}
    count, height, width = stack.shape
    with rasterio.open(
        path, "w", driver="GTiff", count=count, height=height, width=width, dtype=stack.dtype, **place, **more
    ) as file:
        file.write(stack)
    return Path(path)


def back(path: str, shape: tuple[int, int], transform: Affine) -> NDArray[np.int32]:
    read = read_polygons(path)
    return rasterize(zip(read.geometries, read.attributes["id"].tolist(), strict=True), shape, transform=transform)


def test_an_edge_map_as_the_issue_has_it() -> None:
    raster.write_grey("EPM.png", rooms())
    run("EPM.png --kind epm --dynamic 7 --area 400 --labels LABELS.tif -o OUT.gpkg")
    label_map = raster.read_mask("LABELS.tif")
    assert np.array_equal(label_map, fill_lines(filtered_watershed(rooms(), 7, 400)))
    with rasterio.open("LABELS.tif") as file:
        assert file.dtypes == ("int32",) and file.nodata == 0 and file.tags()["UNET_KIND"] == "labels"
    read = read_polygons("OUT.gpkg")
    assert read.crs is None and read.attributes["id"].tolist() == [1, 2, 3, 4]
    assert shapely.coverage_is_valid(read.geometries) and shapely.is_valid(read.geometries).all()
    assert np.array_equal(back("OUT.gpkg", (60, 80), Affine.scale(1, -1)), label_map)
    areas = np.bincount(label_map.ravel())[1:]
    assert read.attributes["pixels"].tolist() == areas.tolist() == read.attributes["area"].tolist()
    assert read.attributes["perimeter"].tolist() == shapely.length(read.geometries).tolist()
    inside = filtered_watershed(rooms(), 7, 400)
    means = [rooms()[inside == label].mean() / 255 for label in range(1, 5)]
    assert read.attributes["mean_prob"] == pytest.approx(np.array(means))
    assert set(read.attributes["neighbours"].tolist()) <= {2, 3} and all(read.attributes["touches"])
    # What was written says what it holds.
    run("LABELS.tif -o again.gpkg")
    assert np.array_equal(back("again.gpkg", (60, 80), Affine.scale(1, -1)), label_map)


def test_lines_may_stay_gaps() -> None:
    raster.write_grey("e.png", rooms())
    run("e.png --kind epm --dynamic 7 --area 1 --lines gap -o gap.gpkg --labels gap.tif")
    lines = filtered_watershed(rooms(), 7, 1)
    assert np.array_equal(raster.read_mask("gap.tif"), lines) and (lines == 0).any()
    assert np.array_equal(back("gap.gpkg", (60, 80), Affine.scale(1, -1)), lines)
    touches = read_polygons("gap.gpkg").attributes["touches"].tolist()
    assert all(touches), "they are neighbours across the line"
    run("e.png --kind epm --threshold 0 -o t.gpkg --labels t.tif --lines gap")
    assert len(read_polygons("t.gpkg").geometries) == 5, "the weak wall parts a room without a dynamic"


@pytest.mark.parametrize(("crs", "transform"), [("EPSG:2154", PARIS), ("EPSG:4326", DEGREES), (None, PARIS)])
@pytest.mark.parametrize("ending", ["gpkg", "geojson", "shp", "fgb"])
def test_masks_come_to_their_place(crs: str | None, transform: Affine, ending: str) -> None:
    mask = np.zeros((40, 50), np.uint8)
    mask[5:20, 5:30], mask[10:15, 10:15], mask[25:35, 20:45] = 1, 2, 2
    write_tiff("m.tif", mask, crs, transform)
    run(f"m.tif --kind mask -o o.{ending} --labels l.tif")
    with rasterio.open("l.tif") as file:
        assert file.transform == transform and (file.crs.to_epsg() if file.crs else None) == (
            int(crs[5:]) if crs else None
        )
    read = read_polygons(f"o.{ending}")
    assert read.crs == ("EPSG:4326" if ending == "geojson" and crs else crs)
    label_map = raster.read_mask("l.tif")
    if read.crs == crs:
        assert np.array_equal(back(f"o.{ending}", mask.shape, transform), label_map)
    order = np.argsort(read.attributes["id"])
    assert read.attributes["class"][order].tolist() == [1, 2, 2]
    assert read.attributes["class_name"][order].tolist() == ["class_1", "class_2", "class_2"]
    size = abs(transform.a * transform.e - transform.b * transform.d)
    expected = np.array([375 - 25, 25, 250]) * size
    if crs == "EPSG:4326":
        expected *= 111_194.0 * 73_350.0  # square metres of a square degree there
    assert read.attributes["area"][order] == pytest.approx(expected, rel=2e-3)


def test_classes_components_and_holes() -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[2:12, 2:12], mask[5:7, 5:7], mask[15, 20], mask[4, 20:26], mask[0, 0] = 1, 0, 2, 2, 255
    raster.write_mask("m.png", mask, PALETTE)
    run("m.png -o a.gpkg")
    read = read_polygons("a.gpkg")
    assert read.attributes["pixels"].tolist() == [96, 6, 1] and read.attributes["class"].tolist() == [1, 2, 2]
    run("m.png --min-area 5 --fill-holes -o b.gpkg")
    assert read_polygons("b.gpkg").attributes["pixels"].tolist() == [100, 6]
    run("m.png --all-classes -o c.gpkg")
    assert sum(read_polygons("c.gpkg").attributes["pixels"].tolist()) == mask.size - 1, "255 does not count"
    run("m.png --leave-out 0 --leave-out 2 -o d.gpkg")
    assert read_polygons("d.gpkg").attributes["class"].tolist() == [1]


def test_our_own_files_say_what_they_hold() -> None:
    labels = Labels(("Background", "house", "street"), ((0, 0, 0), (200, 30, 30), (30, 200, 30)), (0, 1, 2))
    mask = np.zeros((12, 16), np.uint8)
    mask[2:5, 2:9], mask[7:11, 1:15], mask[0, 0] = 1, 2, 255
    for name in ("m.tif", "m.png"):
        with raster.create(
            name, height=12, width=16, kind="mask", labels=labels.to_dict(), palette=labels.palette()
        ) as sink:
            sink.write((0, 0, 12, 16), mask)
        run(f"{name} -o {name}.gpkg")
        assert read_polygons(f"{name}.gpkg").attributes["class_name"].tolist() == ["house", "street"]
        run(f"{name} --leave-out HOUSE -o {name}.fgb")
        assert sorted(read_polygons(f"{name}.fgb").attributes["class_name"]) == ["Background", "street"]
    with raster.create("e.tif", height=60, width=80, kind="epm") as sink:
        sink.write((0, 0, 60, 80), rooms())
    run("e.tif --dynamic 7 --area 400 -o e.gpkg")
    assert len(read_polygons("e.gpkg").geometries) == 4


@pytest.mark.slow
def test_settings_of_a_model_file(capsys: pytest.CaptureFixture[str]) -> None:
    spec = ModelSpec(width=2, depth=1)
    state = models.build(spec).state_dict()
    made = bundle.Bundle(spec, Labels.numbered(2), Preprocessing(bands=spec.bands), None, {}, {}, state)
    raster.write_grey("e.png", rooms())
    bundle.save(made, Path("plain.safetensors"))
    assert "holds no settings for shapes" in refused("e.png --kind epm -m plain.safetensors -o a.gpkg", capsys)
    bundle.save(replace(made, shapes=ShapeSettings(dynamic=0, area=50)), Path("tuned.safetensors"))
    run("e.png --kind epm -m tuned.safetensors -o a.gpkg --labels a.tif")
    assert np.array_equal(raster.read_mask("a.tif"), fill_lines(filtered_watershed(rooms(), 0, 50)))
    run("e.png --kind epm -m tuned.safetensors --dynamic 7 -o b.gpkg --labels b.tif")
    assert np.array_equal(raster.read_mask("b.tif"), fill_lines(filtered_watershed(rooms(), 7, 50)))


def test_probabilities() -> None:
    rng = np.random.default_rng(0)
    one = rng.random((20, 30), dtype=np.float32)
    np.save("p.npy", one.astype(np.float16)[None])
    run("p.npy --kind probability --threshold 0.7 -o a.gpkg --labels a.tif")
    kept = one.astype(np.float16) > 0.7
    label_map = raster.read_mask("a.tif")
    assert np.array_equal(label_map > 0, kept)
    read = read_polygons("a.gpkg")
    means = [one[label_map == label].mean() for label in read.attributes["id"]]
    assert read.attributes["mean_prob"] == pytest.approx(np.array(means), abs=1e-3)
    three = rng.random((3, 20, 30), dtype=np.float32)
    write_tiff("p.tif", three / three.sum(axis=0), None, None)
    run("p.tif -o b.gpkg --all-classes --labels b.tif")
    found, classes = raster.read_mask("b.tif"), read_polygons("b.gpkg").attributes["class"]
    assert np.array_equal(np.concatenate([[-1], classes])[found], three.argmax(axis=0))


def test_edge_maps_of_other_kinds_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    epm = rooms()
    raster.write_grey("8.png", epm)
    raster.write_grey("16.png", epm.astype(np.uint16) * 257)
    raster.write_picture("rgb.png", np.stack([epm, epm * 0, epm * 0], axis=2))
    np.save("1.npy", (epm / 255).astype(np.float32))
    for name, words in {"8.png": "", "16.png": "scaled to 8", "rgb.png": "first (red)", "1.npy": ""}.items():
        run(f"{name} --kind epm --dynamic 7 --area 400 --labels {name}.tif")
        assert words in capsys.readouterr().err
        assert np.array_equal(raster.read_mask(f"{name}.tif"), raster.read_mask("8.png.tif"))
    raster.write_grey("lines.png", np.where(epm > 100, np.uint8(255), np.uint8(0)))
    run("lines.png --kind edges --lines gap --labels lines.tif")
    assert raster.read_mask("lines.tif").max() == 4


def test_content_masks(capsys: pytest.CaptureFixture[str]) -> None:
    content = np.zeros((60, 80), np.uint8)
    content[10:50, 10:70] = 255
    raster.write_grey("c.png", content)
    write_tiff("e.tif", rooms(), "EPSG:2154", PARIS)
    for calibrate in ("zero", "edge"):
        run(f"e.tif --kind epm --dynamic 7 --area 9 --calibrate {calibrate} --roi c.png --labels {calibrate}.tif")
        assert np.array_equal(raster.read_mask(f"{calibrate}.tif") > 0, content > 0)
    # The same content as polygons, of another CRS.
    raster.write_mask("c2.png", (content > 0).astype(np.uint8), PALETTE)
    write_tiff("c.tif", (content > 0).astype(np.uint8), "EPSG:2154", PARIS)
    run("c.tif --kind mask -o c.geojson -o c.gpkg")
    capsys.readouterr()
    run("e.tif --kind epm --dynamic 7 --area 9 --calibrate edge --roi c.geojson --labels g.tif")
    assert "brought from EPSG:4326 to EPSG:2154" in capsys.readouterr().err
    assert np.array_equal(raster.read_mask("g.tif"), raster.read_mask("edge.tif"))
    run("e.tif --kind epm --dynamic 7 --area 9 --calibrate edge --roi c.gpkg --labels h.tif")
    assert "brought" not in capsys.readouterr().err
    assert np.array_equal(raster.read_mask("h.tif"), raster.read_mask("edge.tif"))
    # In pixels, as we write them.
    raster.write_grey("e.png", rooms())
    run("c2.png -o pixels.geojson")
    run("e.png --kind epm --dynamic 7 --area 9 --calibrate edge --roi pixels.geojson --labels i.tif")
    assert np.array_equal(raster.read_mask("i.tif"), raster.read_mask("edge.tif"))


def test_simplified_shapes_still_fit() -> None:
    rows, cols = np.mgrid[:90, :120]
    label_map = np.where(rows * 2 > cols + 30, np.where(rows > 60 - cols // 3, 1, 2), 3).astype(np.int32)
    label_map[(rows - 20) ** 2 + (cols - 90) ** 2 < 150] = 4
    write_tiff("l.tif", label_map, "EPSG:2154", PARIS)
    run("l.tif -o all.gpkg")
    run("l.tif --simplify 2 -o pixels.gpkg -o p.svg")
    run("l.tif --simplify 1 --units map -o map.gpkg -o m.svg")
    exact = read_polygons("all.gpkg")
    for name in ("pixels.gpkg", "map.gpkg"):
        simple = read_polygons(name)
        assert shapely.coverage_is_valid(simple.geometries) and shapely.is_valid(simple.geometries).all()
        assert (
            shapely.get_num_coordinates(simple.geometries).sum() * 3
            < shapely.get_num_coordinates(exact.geometries).sum()
        )
        assert shapely.area(simple.geometries).sum() == pytest.approx(shapely.area(exact.geometries).sum(), rel=0.01)
        assert simple.attributes["area"] == pytest.approx(shapely.area(simple.geometries))
        assert simple.attributes["pixels"].tolist() == exact.attributes["pixels"].tolist()
    assert 'viewBox="0 0 120 90"' in Path("m.svg").read_text()


def test_drawings() -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[2:12, 2:12], mask[15:18, 20:29] = 1, 2
    raster.write_mask("m.png", mask, PALETTE)
    run("m.png -o d.png --preview e.png -o d.svg")
    picture = raster.read("d.png")
    assert np.array_equal(picture, raster.read("e.png")) and picture.shape == (20, 30, 3)
    assert np.array_equal(picture.any(axis=2), mask > 0)
    assert (picture[4:11, 4:11] == picture[5, 5]).all() and (picture[5, 5] != picture[16, 25]).any()
    raster.write_picture("photo.jpg", np.full((10, 15, 3), 200, np.uint8))
    run("m.png -o f.png --over photo.jpg -o f.svg")
    assert (raster.read("f.png")[0, 0] == 200).all()
    assert "data:image/jpeg" in Path("f.svg").read_text()


@pytest.mark.slow
def test_large_rasters_take_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = np.random.default_rng(3).integers(0, 3, (61, 47), dtype=np.uint8)
    mask = mask.repeat(2, axis=0).repeat(3, axis=1)
    write_tiff("m.tif", mask, "EPSG:2154", PARIS)
    outputs = "-o {0}.gpkg -o {0}.geojson -o {0}.shp -o {0}.fgb --labels {0}.tif -o {0}.svg -o {0}.png"
    content = np.ones(mask.shape, np.uint8)
    content[40:50, 20:90] = 0
    raster.write_grey("c.png", content)
    options = "m.tif --kind mask --min-area 7 --fill-holes --roi c.png "
    run(options + outputs.format("a"))
    for module in (sheet_shapes, shape_files):
        monkeypatch.setattr(module, "IN_MEMORY", 100)
    monkeypatch.setattr(polygons.row_bands, "__defaults__", (900,))
    monkeypatch.setattr(polygons.polygon_batches, "__defaults__", (700,))
    run(options + outputs.format("b"))
    assert np.array_equal(raster.read_mask("a.tif"), raster.read_mask("b.tif"))
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    for ending in ("gpkg", "geojson", "shp", "fgb"):
        one, other = read_polygons(f"a.{ending}"), read_polygons(f"b.{ending}")
        order, others = np.argsort(one.attributes["id"]), np.argsort(other.attributes["id"])
        for name, values in one.attributes.items():
            assert values[order].tolist() == other.attributes[name][others].tolist(), name
        for first, second in zip(one.geometries[order], other.geometries[others], strict=True):
            assert first.normalize() == second.normalize()


def test_nothing_but_background_makes_an_empty_file() -> None:
    raster.write_mask("m.png", np.zeros((9, 9), np.uint8), PALETTE)
    made = vectorize("m.png", ["a.gpkg", "a.svg"], labels="a.tif")
    assert made.shapes == 0 and all(path.exists() for path in made.files)


@pytest.mark.slow
def test_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    raster.write_grey("e.png", rooms())
    raster.write_grey("small.png", rooms(20, 30))
    raster.write_grey("empty.png", np.zeros((20, 30), np.uint8))
    raster.write_grey("full.png", np.full((20, 30), 255, np.uint8))
    raster.write_mask("m.png", np.eye(9, dtype=np.uint8), PALETTE)
    epm = "e.png --kind epm --dynamic 7 --area 9"
    assert "--kind, one of epm: an edge probability map; mask: a class mask;" in refused("e.png -o a.gpkg", capsys)
    assert "30 x 20 px; expected 80 x 60 px" in refused(f"{epm} --roi small.png -o a.gpkg", capsys)
    assert "leaves nothing" in refused("small.png --kind epm --roi empty.png -o a.gpkg", capsys)
    assert "no such file" in refused("none.png --kind epm -o a.gpkg", capsys)
    assert "no such file" in refused(f"{epm} --roi none.png -o a.gpkg", capsys)
    assert "without a content mask" in refused(f"{epm} --calibrate edge -o a.gpkg", capsys)
    assert "dynamic -1; expected 0 or more" in refused("e.png --kind epm --dynamic -1 -o a.gpkg", capsys)
    assert "area -4; expected 0 or more" in refused("e.png --kind epm --area -4 -o a.gpkg", capsys)
    assert "threshold nan" in refused("e.png --kind epm --threshold nan -o a.gpkg", capsys)
    np.save("p.npy", np.eye(9))
    assert "expected 0 to 1" in refused("p.npy --kind probability --threshold 7 -o a.gpkg", capsys)
    assert "--simplify inf" in refused(f"{epm} --simplify inf -o a.gpkg", capsys)
    assert "not both" in refused(f"{epm} --threshold 3 -o a.gpkg", capsys)
    assert "--dynamic for a sheet of kind mask" in refused("m.png --dynamic 3 -o a.gpkg", capsys)
    assert "has no edge" in refused("empty.png --kind epm -o a.gpkg", capsys)
    assert "edge everywhere" in refused("full.png --kind epm -o a.gpkg", capsys)
    assert "edge everywhere" in refused("full.png --kind edges -o a.gpkg", capsys)
    assert "no ending of a known format" in refused(f"{epm} -o a.kml", capsys)
    assert "ends in .tif" in refused(f"{epm} --labels a.png", capsys)
    assert "nothing to write" in refused(epm, capsys)
    assert "named twice" in refused(f"{epm} -o a.gpkg -o ./a.gpkg", capsys)
    assert "one of the files that are read" in refused(f"{epm} -o e.png --overwrite", capsys)
    assert "is not one" in refused(f"{epm} --crs EPSG:12 -o a.gpkg", capsys)
    assert "no place" in refused(f"{epm} --simplify 2 --units map -o a.gpkg", capsys)
    assert "--simplify -2" in refused(f"{epm} --simplify -2 -o a.gpkg", capsys)
    assert "no class 'house'" in refused("m.png --leave-out house -o a.gpkg", capsys)
    assert "none.jpg does not exist" in refused(f"{epm} -o a.gpkg --over none.jpg", capsys)
    raster.write_picture("rgb.png", np.random.default_rng(0).integers(0, 255, (9, 9, 3), np.uint8))
    assert "one band for a label map" in refused("rgb.png --kind labels -o a.gpkg", capsys)
    assert "holds colours" in refused("rgb.png --kind mask -o a.gpkg", capsys)
    assert not Path("a.gpkg").exists() and not list(Path().glob(".*"))


def test_files_that_are_there_or_broken(capsys: pytest.CaptureFixture[str]) -> None:
    raster.write_grey("e.png", rooms())
    epm = "e.png --kind epm --dynamic 7 --area 9"
    run(f"{epm} -o a.gpkg")
    assert "a.gpkg exists already" in refused(f"{epm} -o a.gpkg", capsys)
    run(f"{epm} -o a.gpkg --overwrite")
    label_map = np.arange(90_000, dtype=np.int32).reshape(300, 300)
    whole = write_tiff("whole.tif", label_map, "EPSG:2154", PARIS).read_bytes()
    Path("cut.tif").write_bytes(whole[: len(whole) // 2])
    assert "cut.tif" in refused("cut.tif --kind labels -o b.gpkg", capsys)
    assert "has the CRS EPSG:2154 already" in refused("whole.tif --crs EPSG:4326 -o b.gpkg", capsys)
    write_tiff("minus.tif", label_map - 5, None, None)
    assert "-5" in refused("minus.tif --kind labels -o b.gpkg", capsys)
    write_tiff("line.tif", label_map, None, Affine(0, 0, 5, 0, 0, 5))
    assert "on one line" in refused("line.tif -o b.gpkg", capsys)
    Path("folder.gpkg").mkdir()
    assert "is a folder" in refused("whole.tif -o folder.gpkg --overwrite", capsys)
    assert not Path("b.gpkg").exists() and not list(Path().glob(".*"))


def test_numbers_that_are_far_apart_and_nodata() -> None:
    label_map = np.array([[3, 2_000_000_000, -9999], [3, 70, 70]], np.int32)
    write_tiff("l.tif", label_map, None, None, nodata=-9999)
    run("l.tif -o l.gpkg --labels again.tif -o l.svg -o l.png")
    read = read_polygons("l.gpkg")
    assert read.attributes["id"].tolist() == [3, 70, 2_000_000_000]
    assert read.attributes["touches"].tolist() == ["70 2000000000", "3 2000000000", "3 70"]
    assert np.array_equal(raster.read_mask("again.tif"), np.maximum(label_map, 0))


def test_one_shape_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    epm = np.zeros((30, 30), np.uint8)
    epm[10, 5:9] = 200
    raster.write_grey("e.png", epm)
    run("e.png --kind epm --dynamic 7 --area 9 -o a.gpkg")
    assert "all is one shape" in capsys.readouterr().err
    assert read_polygons("a.gpkg").geometries[0].area == 900


def test_shapes_of_the_old_program(shared_data: Path) -> None:
    """The label map that the old watershed made, through files and back."""
    source = shared_data / "paris_atlas_1898_epm" / "labels_dynamic0_area50.tif"
    made = vectorize(source, ["o.gpkg"], kind="labels", labels="o.tif")
    stored = raster.read_mask(source)
    assert made.shapes == len(np.unique(stored)) - 1
    assert np.array_equal(raster.read_mask("o.tif"), stored)
    assert np.array_equal(back("o.gpkg", stored.shape, Affine.scale(1, -1)), stored)
    assert shapely.coverage_is_valid(read_polygons("o.gpkg").geometries)
