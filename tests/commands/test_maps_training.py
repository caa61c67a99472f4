"""Training on maps: sheets that are read in windows, polygons as truth, four bands of 16 bits, by the commands."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.transform import Affine
from rasterio.windows import Window

from unet import bundle, cli
from unet.commands.evaluate import evaluate
from unet.data import windows
from unet.shapes.vector_files import writing_polygons

TINY = "--steps 2 --set width=4 --set depth=2 --set precision=32-true --set channels_last=false"
PLACE = Affine(0.5, 0, 650_000, 0, -0.5, 6_860_000)

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sheets of more than 10,000 px count as large, and are cut into blocks of 32 x 32."""
    monkeypatch.setattr(windows, "MAX_PIXELS", 10_000)
    monkeypatch.setattr(windows, "BLOCK", (32, 32))


def unet(line: str) -> int:
    return cli.main(line.split())


def sheet(folder: str = "data", bands: int = 4, size: tuple[int, int] = (128, 160)) -> np.ndarray:
    """A GeoTIFF of 16 bits, its mask and its polygons: houses of 12 x 12 px; the upper 32 rows hold nothing."""
    rng = np.random.default_rng(4)
    mask = np.zeros(size, np.uint8)
    corners = [(row, column) for row in range(4, size[0] - 12, 20) for column in range(4, size[1] - 12, 20)]
    for row, column in corners:
        mask[row : row + 12, column : column + 12] = 1
    levels = np.array([300, 900, 2000, 5000])[:bands, None, None]
    pixels = (levels + rng.integers(0, 200, (bands, *size)) + 3 * levels * mask).astype(np.uint16)
    pixels[:, :32] = 0
    Path(folder).mkdir()
    kind: dict[str, Any] = {"photometric": "MINISBLACK", "alpha": "UNSPECIFIED"} if bands == 4 else {}
    for name, values in (("sheet", pixels), ("truth", mask[None])):
        with rasterio.open(
            f"{folder}/{name}.tif", "w", driver="GTiff", height=size[0], width=size[1], count=len(values),
            dtype=values.dtype, nodata=0 if name == "sheet" else None, tiled=True, blockxsize=32, blockysize=32,
            crs="EPSG:2154", transform=PLACE, **(kind if name == "sheet" else {}),
        ) as file:  # fmt: skip
            file.write(values)
    boxes = [shapely.box(c, -r - 12, c + 12, -r) for r, c in corners]
    houses = shapely.transform(np.array(boxes), lambda xy: xy * 0.5 + (650_000, 6_860_000))
    with writing_polygons(Path(folder, "houses.gpkg"), "EPSG:2154") as write:
        write(houses, {"kind": np.array(["house", "barn"] * len(boxes), object)[: len(boxes)]})
    return pixels


def rows_of(run: str) -> list[dict[str, str]]:
    with Path(run, "pairs.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.usefixtures("large")
def test_a_sheet_of_four_bands_and_16_bits_from_inspect_to_predict(capsys: pytest.CaptureFixture[str]) -> None:
    pixels = sheet()
    data = "--images data/sheet.tif --masks data/truth.tif"
    assert unet(f"inspect {data} --json facts.json --init data/found.toml") == 0
    assert 'images = "sheet.tif"\nmasks = "truth.tif"\nclasses' in Path("data/found.toml").read_text()
    assert "read as 20 blocks" in capsys.readouterr().err
    assert unet(f"train {data} --out run {TINY}") == 0
    assert "5 blocks left out" in capsys.readouterr().err
    rows = rows_of("run")
    assert len(rows) == 15 and {row["part"] for row in rows} == {"train", "val"}
    assert all(row["name"] == "sheet@{},{}".format(*row["window"].split()[:2]) for row in rows)
    assert [path.name for path in sorted(Path("run/prepared").iterdir())] == ["masks", "sources.json"]

    model = bundle.load(Path("run/model.safetensors"))
    of = [tuple(map(int, row["window"].split())) for row in rows if row["part"] == "train"]
    seen = np.stack([pixels[:, row : row + 32, column : column + 32] for row, column, _, _ in of])
    white = model.preprocessing.data_range
    assert white == pytest.approx(np.percentile(seen[:, 3], 99.9), rel=0.02)
    assert np.allclose(model.preprocessing.mean, seen.mean(axis=(0, 2, 3)) / white, rtol=0.01)
    assert np.allclose(model.preprocessing.std, seen.std(axis=(0, 2, 3)) / white, rtol=0.01)

    scores = evaluate("run/model.safetensors", images="data/sheet.tif", masks="data/truth.tif")
    assert sum(row["pixels"] for row in scores["classes"]) == 96 * 160, "without the rows that hold nothing"
    assert len(scores["images"]) == 15
    assert unet("predict -m run/model.safetensors -i data/sheet.tif -o out.tif") == 0
    with rasterio.open("out.tif") as file:
        assert file.shape == (128, 160)


@pytest.mark.usefixtures("large")
def test_a_run_on_blocks_is_gone_on_with(capsys: pytest.CaptureFixture[str]) -> None:
    sheet()
    assert unet(f"train --images data/sheet.tif --masks data/truth.tif --out whole {TINY}") == 0
    assert unet(f"train --images data/sheet.tif --masks data/truth.tif --out half {TINY.replace('2', '1', 1)}") == 0
    text = Path("half/config.toml").read_text()
    Path("half/config.toml").write_text(text.replace("steps = 1\n", "steps = 2\n"))
    before = rows_of("half")
    for path in Path("half/prepared/masks").iterdir():
        path.unlink()
    capsys.readouterr()
    assert unet("train --resume half") == 0
    assert rows_of("half") == before == rows_of("whole")
    assert "warning" not in capsys.readouterr().err
    scores = [json.loads(Path(run, "evaluation.json").read_text()) for run in ("whole", "half")]
    assert [row["name"] for row in scores[0]["images"]] and len(scores[0]["images"]) == len(scores[1]["images"])


@pytest.mark.parametrize("how", ["blocks", "tile"])
def test_polygons_train_as_their_mask_does(how: str, request: pytest.FixtureRequest) -> None:
    if how == "blocks":
        request.getfixturevalue("large")
    sheet()
    tile = "" if how == "blocks" else "tile = [32, 32]\n"
    for name, masks in (("drawn", "truth.tif"), ("polygons", "houses.gpkg")):
        Path("data", f"{name}.toml").write_text(f'images = "sheet.tif"\nmasks = "{masks}"\n{tile}')
        assert unet(f"train data/{name}.toml --out {name} {TINY}") == 0
    names = [{(row["part"], row["name"], row["window"]) for row in rows_of(run)} for run in ("drawn", "polygons")]
    assert names[0] == names[1]
    states = [bundle.load(Path(run, "model.safetensors")).state for run in ("drawn", "polygons")]
    assert all((states[0][key] == value).all() for key, value in states[1].items())
    assert unet("train --resume polygons") in (0, 2)  # it is done; reading it is what counts
    by_mask, by_polygons = (
        evaluate("polygons/model.safetensors", images="data/sheet.tif", masks=f"data/{name}")
        for name in ("truth.tif", "houses.gpkg")
    )
    assert by_mask["confusion"] == by_polygons["confusion"]


def test_classes_and_outlines_of_polygons(capsys: pytest.CaptureFixture[str]) -> None:
    sheet()
    data = "--images data/sheet.tif --masks data/houses.gpkg"
    Path("data/dataset.toml").write_text(
        'images = "sheet.tif"\nmasks = "houses.gpkg"\nclass_field = "kind"\ntile = [32, 32]\n'
    )
    assert unet(f"train data --out kinds {TINY}") == 0
    assert bundle.load(Path("kinds/model.safetensors")).labels.names == ("background", "barn", "house")
    scores = evaluate("kinds/model.safetensors", images="data/sheet.tif", masks="data/houses.gpkg", class_field="kind")
    assert [row["name"] for row in scores["classes"]] == ["background", "barn", "house"]
    unet(f"inspect {data} --outline 2 --init data/found.toml")  # one picture alone cannot be trained on
    assert "outline" in capsys.readouterr().out
    assert 'masks = "houses.gpkg"\noutline = 2\nclasses' in Path("data/found.toml").read_text()
    for line, message in (
        (f"inspect {data} --class-field sort", "has no attribute 'sort'; expected one of kind"),
        ("inspect --images data/sheet.tif --masks data/no.gpkg", "no such file: data/no.gpkg"),
        (f"evaluate kinds/model.safetensors {data}", "3 classes for the polygons"),
    ):
        assert unet(line) == 2
        assert message in capsys.readouterr().err


def test_a_model_of_four_bands_wants_four(capsys: pytest.CaptureFixture[str]) -> None:
    sheet()
    sheet("rgb", 3)
    Path("data/dataset.toml").write_text('images = "sheet.tif"\nmasks = "truth.tif"\ntile = [64, 64]\n')
    assert unet(f"train data --out run {TINY}") == 0
    capsys.readouterr()
    for line in ("evaluate {} --images rgb/sheet.tif --masks rgb/truth.tif", "predict -m {} -i rgb/sheet.tif -o o.png"):
        assert unet(line.format("run/model.safetensors")) == 2
        error = capsys.readouterr().err.strip().splitlines()
        assert len(error) == 1 and "rgb/sheet.tif: a picture with 3 bands; expected 4" in error[0]


def sparse(side: int) -> None:
    """A sheet with its mask, of which only 16 tiles far apart are written; the rest is black ground that counts."""
    rng = np.random.default_rng(0)
    kind: dict[str, Any] = {
        **{"driver": "GTiff", "width": side, "height": side, "dtype": "uint8", "crs": "EPSG:2154", "transform": PLACE},
        **{"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate", "sparse_ok": True},
    }
    with (
        rasterio.open("sheet.tif", "w", count=3, **kind) as image,
        rasterio.open("truth.tif", "w", count=1, **kind) as truth,
    ):
        for row in range(0, side - 512, side // 4 // 512 * 512):
            for column in range(0, side - 512, side // 4 // 512 * 512):
                mask = rng.integers(0, 2, (16, 16), np.uint8).repeat(32, axis=0).repeat(32, axis=1)
                place = Window(column, row, 512, 512)
                image.write(rng.integers(1, 60, (3, 512, 512), np.uint8) + 150 * mask, window=place)
                truth.write(mask, 1, window=place)


MEASURED = """
import sys
from pathlib import Path
from unet.cli import main

code = main(sys.argv[1:])
status = Path("/proc/self/status").read_text()
Path("peak.txt").write_text(status.partition("VmHWM:")[2].split()[0])
sys.exit(code)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="how much memory a process had is asked of Linux")
def test_a_sheet_of_256_megapixels_trains_in_little_memory() -> None:
    sparse(16_384)
    data = "--images sheet.tif --masks truth.tif"
    line = f"train {data} --out run {TINY} --steps 1 --val 0.02 --set crop=[256,256]"
    subprocess.run([sys.executable, "-c", MEASURED, *line.split()], check=True)
    peak = 1024 * int(Path("peak.txt").read_text())
    assert peak < 4 * 16_384**2, f"{peak / 1e9:.2f} GB, as much as the decoded sheet with its mask alone"
    assert len(rows_of("run")) == 256 and not Path("run/prepared/images").exists()
