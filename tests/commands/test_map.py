"""`unet map`: the same as its steps, in one call; what it refuses, and what a second call goes on from."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
import torch
from numpy.typing import NDArray

from unet import bundle, cli, models, raster
from unet.bundle import Bundle
from unet.commands import map_
from unet.commands.map_ import map_sheet
from unet.commands.predict import predict
from unet.commands.vectorize import vectorize
from unet.labels import Labels
from unet.models import ModelSpec
from unet.preprocessing import Preprocessing
from unet.report.map_page import unit_of
from unet.report.shape_files import Place
from unet.shapes.settings import ShapeSettings
from unet.shapes.vector_files import read_polygons

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

EDGES = Labels(("inside", "edge"), ((255, 255, 255), (200, 0, 0)), (0, 255))
TOWN = Labels(("ground", "house", "water"), ((0, 0, 0), (200, 30, 30), (20, 90, 250)), (0, 1, 2))
PLACE = {"crs": "EPSG:2154", "transform": (0.5, 0.0, 652000.0, 0.0, -0.5, 6862000.0)}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def make_model(path: str, labels: Labels, shapes: ShapeSettings | None = None, seed: int = 0) -> Path:
    """A network that has learned nothing, but says something of every pixel."""
    spec = ModelSpec(width=2, depth=1, classes=len(labels))
    torch.manual_seed(seed)
    state = {name: tensor.detach() for name, tensor in models.build(spec).state_dict().items()}
    state["outc.conv.weight"] = 2 * torch.randn_like(state["outc.conv.weight"])
    preprocessing = Preprocessing(bands=3, mean=(0.5,) * 3, std=(0.2,) * 3)
    bundle.save(Bundle(spec, labels, preprocessing, None, {}, {}, state, shapes), path)
    return Path(path)


def picture(height: int = 70, width: int = 90) -> NDArray[np.uint8]:
    """Four rooms with dark walls, and some dirt."""
    pixels = np.random.default_rng(0).integers(180, 230, (height, width, 3)).astype(np.uint8)
    pixels[height // 2 - 1 : height // 2 + 1] = pixels[:, width // 2 - 1 : width // 2 + 1] = 30
    return pixels


def make_sheet(path: str, place: bool = False) -> Path:
    pixels = picture()
    if not place:
        raster.write_picture(path, pixels)
        return Path(path)
    with rasterio.open(path, "w", driver="GTiff", height=70, width=90, count=3, dtype="uint8", **PLACE) as file:
        file.write(pixels.transpose(2, 0, 1))
    return Path(path)


def refused(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert cli.main(shlex.split(f"map {line}")) == 2
    message = capsys.readouterr().err
    assert message.startswith("unet: error: ") and message.count("\n") == 1, message
    return message


def names() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def test_it_is_the_same_as_its_steps_and_stays_in_its_place() -> None:
    model = make_model("m.safetensors", EDGES, ShapeSettings(3, 4))
    sheet = make_sheet("sheet.tif", place=True)
    made = map_sheet(sheet, model, ["out/blocks.gpkg", "out/blocks.geojson"])

    assert sorted(path.name for path in Path("out").iterdir()) == [
        "blocks.geojson", "blocks.gpkg", "blocks_epm.tif", "blocks_labels.tif", "blocks_map.html", "blocks_map.json",
    ]  # fmt: skip
    predict(model, [sheet], outputs=["steps.tif"], epm=8, save=False)
    vectorize("steps_epm.tif", ["steps.gpkg"], dynamic=3, area=4, labels="steps_labels.tif")
    for step, mine in (("steps_epm.tif", made.predicted), ("steps_labels.tif", made.labels)):
        assert np.array_equal(raster.read_mask(step), raster.read_mask(mine))
    mine, steps = read_polygons(made.outputs[0]), read_polygons("steps.gpkg")
    assert mine.crs == "EPSG:2154" and len(mine.geometries) == made.shapes > 1
    assert shapely.equals(mine.geometries, steps.geometries).all()
    assert read_polygons("out/blocks.geojson").crs == "EPSG:4326"
    assert shapely.bounds(mine.geometries).min(axis=0).tolist()[:2] == [652000.0, 6862000.0 - 35]


@pytest.mark.slow
def test_views_are_averaged() -> None:
    model, sheet = make_model("m.safetensors", EDGES), make_sheet("sheet.png")
    made = map_sheet(sheet, model, ["a.gpkg"], tta="flips", dynamic=0, area=1)
    predict(model, [sheet], outputs=["b.tif"], epm=8, save=False, tta="flips")
    assert np.array_equal(raster.read_mask(made.predicted), raster.read_mask("b_epm.tif"))


def test_a_sheet_without_shapes_is_a_page_too() -> None:
    made = map_sheet(make_sheet("sheet.png"), make_model("m.safetensors", TOWN), ["none.gpkg"], min_area=10**6)
    assert made.shapes == 0 and "<h1>0\N{NO-BREAK SPACE}shapes" in made.page.read_text(encoding="utf-8")


def test_who_says_how_it_is_filtered() -> None:
    tuned, plain = make_model("t.safetensors", EDGES, ShapeSettings(3, 4, "edge")), make_model("p.safetensors", EDGES)
    loaded, options = bundle.load(tuned), map_.ShapeOptions

    def said(model: Bundle, given: map_.ShapeOptions, region: bool) -> list[tuple[object, str]]:
        return [(setting.value, setting.origin) for setting in map_.decide_filter(model, "epm", given, region)]

    file, default = "the model file", "by default"
    assert said(loaded, options(), True) == [("edge", file), (3, file), (4, file)]
    assert said(loaded, options(dynamic=0), False) == [(None, default), (0, "given"), (4, file)]
    assert said(bundle.load(plain), options(calibrate="zero"), True) == [
        ("zero", "given"),
        (7, default),
        (400, default),
    ]


def test_models_without_edges_give_shapes_of_classes() -> None:
    model = make_model("m.safetensors", TOWN)
    made = map_sheet(make_sheet("sheet.png"), model, ["town.gpkg", "town.svg"], min_area=3)
    assert made.predicted.name == "town_mask.tif" and "town_epm.tif" not in names()
    read = read_polygons("town.gpkg")
    assert read.crs is None and set(read.attributes["class_name"]) <= {"ground", "house", "water"}
    assert read.attributes["pixels"].min() >= 3
    page = made.page.read_text(encoding="utf-8")
    for name, count in zip(*np.unique(read.attributes["class_name"], return_counts=True), strict=True):
        assert f"{name}: {count}" in page


def test_the_page_tells_all_and_needs_no_network(tmp_path: Path) -> None:
    model = make_model("m.safetensors", EDGES, ShapeSettings(2, 4))
    made = map_sheet(make_sheet("sheet.png"), model, ["blocks.gpkg"], area=5)
    page = made.page.read_text(encoding="utf-8")
    assert f"<h1>{made.shapes}\N{NO-BREAK SPACE}shape" in page
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", page) and "import(" not in page
    rows = re.findall(r'<th scope="row">(\w+)</th><td>([^<]*)</td><td>([^<]*)</td>', page)
    assert ("dynamic", "2", "the model file") in rows and ("area", "5", "given") in rows
    for name in ("blocks.gpkg", "blocks_labels.tif", "blocks_epm.tif"):
        assert f'<a href="{name}">' in page
    bars = [int(count) for count in re.findall(r"pixels: (\d+)</title>", page)]
    assert sum(bars) == made.shapes
    held = json.loads(re.findall(r'id="pyramid">(.*?)</script>', page, re.DOTALL)[0])
    assert (held["height"], held["width"]) == (70, 90) and list(held["levels"][-1]["sheet"]) == ["0/0"]


@pytest.mark.slow
def test_a_second_call_goes_on_from_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    model = make_model("m.safetensors", EDGES)
    sheet = make_sheet("sheet.png")
    first = map_sheet(sheet, model, ["blocks.gpkg"], dynamic=0, area=1)
    before = first.predicted.stat().st_mtime_ns
    assert "exists already" in refused("sheet.png -m m.safetensors -o blocks.gpkg", capsys)
    # A model that has been tuned meanwhile has the same weights.
    bundle.save(replace(bundle.load(model), shapes=ShapeSettings(20, 30)), model)
    second = map_sheet(sheet, model, ["blocks.gpkg"], resume=True)
    assert second.predicted.stat().st_mtime_ns == before
    assert second.shapes < first.shapes and len(read_polygons("blocks.gpkg").geometries) == second.shapes
    vectorize("blocks_epm.tif", ["again.gpkg"], model=model)
    assert len(read_polygons("again.gpkg").geometries) == second.shapes
    # Another prediction is not silently taken for this one.
    assert "another tta" in refused("sheet.png -m m.safetensors -o blocks.gpkg --tta flips --resume", capsys)
    make_model("other.safetensors", EDGES, seed=1)
    assert "another model" in refused("sheet.png -m other.safetensors -o blocks.gpkg --resume", capsys)
    Path("blocks_map.json").write_text("{", encoding="utf-8")
    assert "cannot be read" in refused("sheet.png -m m.safetensors -o blocks.gpkg --resume", capsys)
    assert cli.main(shlex.split("map sheet.png -m other.safetensors -o blocks.gpkg --overwrite")) == 0
    assert first.predicted.stat().st_mtime_ns > before


def test_after_an_interruption_nothing_is_predicted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model, sheet = make_model("m.safetensors", EDGES, ShapeSettings(3, 4)), make_sheet("sheet.png")

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(map_, "vectorize", interrupted)
        with pytest.raises(KeyboardInterrupt):
            map_sheet(sheet, model, ["blocks.gpkg"])
    assert names() == ["blocks_epm.tif", "blocks_map.json", "m.safetensors", "sheet.png"]
    before = Path("blocks_epm.tif").stat().st_mtime_ns
    made = map_sheet(sheet, model, ["blocks.gpkg"], resume=True)
    assert made.predicted.stat().st_mtime_ns == before and made.shapes == len(read_polygons("blocks.gpkg").geometries)


@pytest.mark.parametrize(
    ("place", "unit"),
    [
        (Place(), "pixels"),
        (Place(None, (1.0, 0, 0, 0, 1, 0)), "squares of the sheet's unit"),
        (Place("EPSG:2154", (1.0, 0, 0, 0, 1, 0)), "m²"),
        (Place("EPSG:4326", (1.0, 0, 0, 0, 1, 0)), "m²"),
        (Place("EPSG:2263", (1.0, 0, 0, 0, 1, 0)), "square US survey foot"),
    ],
)
def test_the_unit_of_areas(place: Place, unit: str) -> None:
    assert unit_of(place) == unit


def test_files_of_somebody_else_are_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    make_model("m.safetensors", EDGES)
    make_sheet("sheet.png")
    for name in ("blocks_epm.tif", "blocks_map.html", "blocks_labels.tif", "blocks.gpkg"):
        Path(name).write_text("the work of years", encoding="utf-8")
        for flag in ("", "--resume"):
            assert name in refused(f"sheet.png -m m.safetensors -o blocks.gpkg {flag}", capsys)
        assert Path(name).read_text(encoding="utf-8") == "the work of years"
        Path(name).unlink()
    assert names() == ["m.safetensors", "sheet.png"]


def test_it_refuses_before_anything_is_computed(capsys: pytest.CaptureFixture[str]) -> None:
    make_model("m.safetensors", EDGES)
    make_model("town.safetensors", TOWN)
    make_sheet("sheet.png")
    raster.write_grey("small.png", np.ones((9, 9), np.uint8))
    Path("box.gpkg").write_text("no polygons", encoding="utf-8")
    start = "sheet.png -m m.safetensors"
    for line, words in {
        "nowhere.png -m m.safetensors -o a.gpkg": "no such file",
        f"{start} -o a.xyz": "no ending of a known format",
        f"{start} -o a.gpkg --dynamic=-1": "0 or more",
        f"{start} -o a.gpkg --simplify=-1": "0 or more",
        f"{start} -o a.gpkg --units map": "has no place",
        f"{start} -o a.gpkg --calibrate edge": "--roi",
        f"{start} -o a.gpkg --roi small.png": "9 x 9",
        f"{start} -o a.gpkg --roi box.gpkg": "box.gpkg",
        "sheet.png -m town.safetensors -o a.gpkg --dynamic 7": "without a class of edges",
        "sheet.png -m sheet.png -o a.gpkg": "sheet.png",
    }.items():
        assert words in refused(line, capsys), line
        assert not [name for name in names() if name.startswith("a") and not name.endswith(".json")], line


@pytest.mark.slow
def test_regions_of_all_kinds_leave_the_same_shapes() -> None:
    model = make_model("m.safetensors", EDGES, ShapeSettings(3, 4))
    sheet = make_sheet("sheet.tif", place=True)
    content = np.zeros((70, 90), np.uint8)
    content[10:50, 20:80] = 255
    raster.write_grey("roi.png", content)
    with raster.create("box.tif", height=70, width=90, dtype="uint8", kind="labels", **PLACE) as sink:
        sink.write((0, 0, 70, 90), content // 255)
    vectorize("box.tif", ["box.gpkg", "box.geojson"])
    found = []
    for number, roi in enumerate(("roi.png", "box.gpkg", "box.geojson")):
        made = map_sheet(sheet, model, [f"out{number}/blocks.gpkg"], roi=roi)
        found.append(raster.read_mask(made.labels))
        assert not found[-1][content == 0].any()
    assert np.array_equal(found[0] > 0, found[1] > 0) and np.array_equal(found[0] > 0, found[2] > 0)
