"""`unet evaluate-shapes`: kinds of files, what is written, and what is refused."""

from __future__ import annotations

import csv
import json
import shlex
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shapely import box

from unet import cli, raster
from unet.report.shape_pictures import SCORE_PALETTE
from unet.shapes.polygons import label_polygons, placed
from unet.shapes.vector_files import writing_polygons

TRUTH = np.kron(np.array([[1, 2, 0], [3, 3, 4]]), np.ones((4, 6), int)).astype(np.int32)
FOUND = np.where(TRUTH == 4, 0, TRUTH + 9 * (TRUTH > 0)).astype(np.int32)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(TRUTH).save("truth.tif")
    Image.fromarray(FOUND).save("found.tif")


def scored(line: str) -> dict[str, object]:
    assert cli.main(shlex.split(f"evaluate-shapes {line} --json scores.json --overwrite")) == 0
    return dict(json.loads(Path("scores.json").read_text()))


def refused(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert cli.main(shlex.split(f"evaluate-shapes {line}")) == 2
    message = capsys.readouterr().err
    assert message.startswith("unet: error: ") and message.count("\n") == 1
    return message


def test_scores_of_one() -> None:
    found = scored("truth.tif found.tif")
    expected = {"labels_gt": 4, "labels_pred": 3, "tp": 3, "fp": 0, "fn": 1, "precision": 1, "recall": 0.75, "sq": 1}
    assert {name: found[name] for name in expected} == expected
    assert found["pq"] == found["rq"] == found["f1"] == pytest.approx(6 / 7) and found["f_auc"] == 0
    assert (found["name"], found["prediction"], found["count_background"]) == ("found", "found.tif", False)


@pytest.mark.parametrize("ending", ["tif", "npy", "png"])
def test_formats_of_label_maps(ending: str) -> None:
    if ending == "npy":
        np.save("again.npy", FOUND.astype(np.int64) * 1000)
    else:
        Image.fromarray(FOUND.astype(np.uint16 if ending == "png" else np.int32)).save(f"again.{ending}")
    assert scored(f"truth.tif again.{ending}")["tp"] == 3


def test_edges_are_told_from_labels() -> None:
    edges = np.zeros((7, 9), np.uint8)
    edges[3] = edges[:, 4] = 255
    edges[3, 4] = 0  # diagonal neighbours are no neighbours of what is no edge
    raster.write_grey("edges.png", edges)
    np.save("labels.npy", np.kron(np.array([[1, 2], [3, 4]]), np.ones((4, 5), int))[:7, :9])
    found = scored("edges.png labels.npy")
    assert (found["labels_gt"], found["labels_pred"], found["tp"]) == (5, 4, 4)
    raster.write_grey("ones.png", edges // 255)
    assert scored("ones.png labels.npy --gt-kind edges")["labels_gt"] == 5
    assert scored("ones.png labels.npy --gt-kind labels")["labels_gt"] == 1


@pytest.mark.parametrize("up", [True, False], ids=["y-up", "y-down"])
@pytest.mark.parametrize("ending", ["gpkg", "geojson"])
def test_polygons_in_pixels(ending: str, up: bool) -> None:
    geometries = label_polygons(FOUND).geometries
    with writing_polygons(Path(f"found.{ending}"), None) as write:
        write(placed(geometries, None) if up else geometries, {"id": np.arange(len(geometries))})
    found = scored(f"truth.tif found.{ending}")
    assert (found["labels_pred"], found["tp"], found["sq"]) == (3, 3, 1)
    assert scored(f"found.{ending} truth.tif --window 4:8,:")["labels_gt"] == 1
    assert scored(f"found.{ending} found.{ending} --mask truth.tif")["pq"] == 1


def test_polygons_need_pixels(capsys: pytest.CaptureFixture[str]) -> None:
    with writing_polygons(Path("far.gpkg"), None) as write:
        write(np.array([box(1000, 1000, 1010, 1010)]), {"id": np.zeros(1, int)})
    assert "polygons only; expected one raster at least" in refused("far.gpkg far.gpkg", capsys)
    assert "no polygon covers a pixel" in refused("truth.tif far.gpkg", capsys)
    Path("broken.gpkg").write_text("no polygons")
    assert "broken.gpkg cannot be read" in refused("truth.tif broken.gpkg", capsys)
    assert "truth.tif" in refused("truth.tif truth.tif --pred-kind polygons", capsys)


def test_mask_and_window_and_background() -> None:
    mask = np.zeros(TRUTH.shape, np.uint8)
    mask[:, :12] = 255
    raster.write_grey("mask.png", mask)
    assert scored("truth.tif found.tif --mask mask.png")["labels_gt"] == 3
    assert scored("truth.tif found.tif --window :,0:12")["labels_gt"] == 3
    assert scored("truth.tif found.tif --window 4:8,: --mask mask.png")["labels_gt"] == 1
    assert scored("truth.tif found.tif --mask mask.png --count-background")["labels_gt"] == 4


def test_what_is_written() -> None:
    assert cli.main(shlex.split("evaluate-shapes truth.tif found.tif truth.tif --out out")) == 0
    names = {"curve.csv", "curve.svg", "scores.json", "summary.txt", "recall.png", "precision.png"}
    expected = {f"{name}_{file}" for name in ("found", "truth") for file in names} | {"curves.svg", "comparison.png"}
    assert {path.name for path in Path("out").iterdir()} == expected
    rows = list(csv.DictReader(Path("out/found_curve.csv").read_text().splitlines()))
    assert [row["iou"] for row in rows] == ["0.0", "1.0"] and rows[0]["recall"] == "0.75"
    assert json.loads(Path("out/found_scores.json").read_text())["tp"] == 3
    assert "PQ 0.857 = SQ 1.000 x RQ 0.857" in Path("out/found_summary.txt").read_text()
    for figure in Path("out").glob("*.svg"):
        assert ET.fromstring(figure.read_text()).tag.endswith("svg")
    recall = np.asarray(Image.open("out/found_recall.png").convert("RGB"))
    red, green = SCORE_PALETTE[3:6], SCORE_PALETTE[-3:]
    assert (recall[TRUTH == 0] == 0).all()
    assert (recall[TRUTH == 4] == red).all() and (recall[(TRUTH > 0) & (TRUTH < 4)] == green).all()
    assert (np.asarray(Image.open("out/found_precision.png"))[FOUND == 0] == 0).all()
    comparison = np.asarray(Image.open("out/comparison.png"))
    assert (comparison[TRUTH == 4] == 255).all() and (comparison[(TRUTH > 0) & (TRUTH < 4)] == 128).all()


def test_several_predictions() -> None:
    Path("other").mkdir()
    Image.fromarray(TRUTH).save("other/found.tif")
    found = scored("truth.tif found.tif other/found.tif truth.tif")
    here = Path.cwd().name
    assert [(entry["name"], entry["tp"]) for entry in found["contenders"]] == [
        (f"{here}-found", 3),
        ("other-found", 4),
        ("truth", 4),
    ]


def test_no_shapes() -> None:
    np.save("none.npy", np.zeros(TRUTH.shape, np.int32))
    assert scored("none.npy none.npy")["pq"] is None
    assert scored("truth.tif none.npy")["pq"] == 0
    assert scored("none.npy truth.tif --out out")["fp"] == 4


def test_refused(capsys: pytest.CaptureFixture[str]) -> None:
    np.save("large.npy", np.ones((9, 18), np.int32))
    np.save("float.npy", TRUTH / 2)
    np.save("negative.npy", -TRUTH)
    raster.write_grey("epm.png", (TRUTH * 50).astype(np.uint8))
    raster.write_picture("rgb.png", np.stack([TRUTH, TRUTH * 2, TRUTH], axis=2).astype(np.uint8))
    raster.write_grey("nothing.png", np.zeros(TRUTH.shape, np.uint8))
    Path("text.tif").write_text("no picture")
    Path("cut.tif").write_bytes(Path("truth.tif").read_bytes()[:200])
    assert "no such file: nowhere.tif" in refused("nowhere.tif found.tif", capsys)
    assert "no such file: nowhere.tif" in refused("truth.tif found.tif nowhere.tif", capsys)
    assert "large.npy has 18 x 9 pixels; expected 18 x 8 as truth.tif" in refused("truth.tif large.npy", capsys)
    assert "large.npy has 18 x 9 pixels" in refused("truth.tif found.tif --mask large.npy", capsys)
    assert "fractions" in refused("truth.tif float.npy", capsys)
    assert "labels from 0 on" in refused("truth.tif negative.npy", capsys)
    ambiguous = refused("truth.tif epm.png", capsys)
    assert "8-bit values 0, 50, 100 and 2 more" in ambiguous and "--pred-kind labels or --pred-kind edges" in ambiguous
    assert "--gt-kind" in refused("nothing.png truth.tif", capsys)
    assert "holds colours" in refused("truth.tif rgb.png", capsys)
    assert "text.tif" in refused("truth.tif text.tif", capsys)
    assert "cut.tif" in refused("truth.tif cut.tif", capsys)
    assert "leaves nothing" in refused("truth.tif found.tif --mask nothing.png", capsys)
    assert "columns 10:40" in refused("truth.tif found.tif --window :,10:40", capsys)
    assert "rows 5:5" in refused("truth.tif found.tif --window 5:5,:", capsys)
    assert "from 0.5 to below 1" in refused("truth.tif found.tif --iou 0.3", capsys)
    assert "of the same name" in refused("truth.tif found.tif ./found.tif", capsys)
    assert not Path("scores.json").exists()


def test_nothing_is_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    Path("scores.json").write_text("mine")
    assert "scores.json exists" in refused("truth.tif found.tif --json scores.json", capsys)
    Path("out").mkdir()
    Path("out/found_recall.png").write_text("mine")
    assert "found_recall.png exists" in refused("truth.tif found.tif -o out", capsys)
    assert "found.tif is a file" in refused("truth.tif found.tif -o found.tif", capsys)
    assert [Path(name).read_text() for name in ("scores.json", "out/found_recall.png")] == ["mine", "mine"]
    assert len(list(Path("out").iterdir())) == 1
    assert cli.main(shlex.split("evaluate-shapes truth.tif found.tif -o out --json scores.json --overwrite")) == 0


@pytest.mark.parametrize("window", ["3:4", "a:b,1:2", "1:2,3:4,5:6", "1,2", "-1:2,:", "1:2:3,:"])
def test_windows_that_are_none(window: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["evaluate-shapes", "truth.tif", "found.tif", f"--window={window}"])
    assert "expected ROW0:ROW1,COL0:COL1" in capsys.readouterr().err


def test_the_published_edge_map_through_the_command(shared_data: Path, tmp_path: Path) -> None:
    sheet = shared_data / "paris_atlas_1898_epm"
    found = scored(
        f"{sheet}/edges.png {sheet}/labels_dynamic0_area50.tif --mask {sheet}/content_mask.png --count-background"
    )
    assert [found[name] for name in ("labels_gt", "labels_pred", "tp", "fp", "fn")] == [2836, 493, 357, 136, 2479]


def test_polygons_are_brought_to_the_raster(capsys: pytest.CaptureFixture[str]) -> None:
    """A rotated raster in a projected CRS against polygons in degrees, and as they are in its own CRS."""
    transform = (2.0, 0.5, 600_000.0, 0.5, -2.0, 6_800_000.0)
    with raster.create(
        "placed.tif", height=8, width=18, bands=1, dtype="int32", crs="EPSG:2154", transform=transform
    ) as sink:
        sink.write((0, 0, *TRUTH.shape), TRUTH)
    polygons = placed(label_polygons(FOUND).geometries, transform)
    for name in ("own.gpkg", "degrees.geojson"):
        with writing_polygons(Path(name), "EPSG:2154") as write:
            write(polygons, {"id": np.arange(len(polygons))})
        found = scored(f"placed.tif {name}")
        assert (found["labels_gt"], found["labels_pred"], found["tp"], found["sq"]) == (4, 3, 3, 1)
        assert ("brought to the coordinates of placed.tif" in capsys.readouterr().err) == (name == "degrees.geojson")
