"""`unet predict` on sheets: tile by tile, put in place at the end, resumed after a kill, shared among processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from numpy.typing import NDArray
from PIL import Image

from unet import bundle, models, raster
from unet.bundle import Bundle
from unet.cli import main
from unet.commands.predict import predict
from unet.errors import InputError, RasterError
from unet.inference.tasks import shard_of_environment
from unet.labels import Labels
from unet.models import ModelSpec
from unet.preprocessing import Preprocessing

TOWN = Labels(("ground", "street", "edge"), ((0, 0, 0), (200, 30, 30), (20, 90, 250)), (0, 255, 7))
PLACE = {"crs": "EPSG:2154", "transform": (2.0, 0.5, 652000.0, 0.25, -2.0, 6862000.0)}


def make_model(path: Path, seed: int = 0, labels: Labels = TOWN, **spec: Any) -> Path:
    made = ModelSpec(**{"width": 2, "depth": 1, "classes": 3, **spec})
    torch.manual_seed(seed)
    state = {name: tensor.detach() for name, tensor in models.build(made).state_dict().items()}
    state["outc.conv.weight"], state["outc.conv.bias"] = torch.randn_like(state["outc.conv.weight"]), torch.zeros(3)
    range_ = 255.0 if made.bands < 4 else 65535.0
    preprocessing = Preprocessing(
        bands=made.bands, data_range=range_, mean=(0.5,) * made.bands, std=(0.2,) * made.bands
    )
    bundle.save(Bundle(made, labels, preprocessing, None, {}, {}, state), path)
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "model.safetensors")


def noise(*shape: int, dtype: str = "uint8", seed: int = 0) -> NDArray[Any]:
    return (np.random.default_rng(seed).random(shape) * (256 if dtype == "uint8" else 60000)).astype(dtype)


def make_sheet(path: Path, height: int = 205, width: int = 173, bands: int = 3, **options: Any) -> Path:
    pixels = noise(height, width, bands, dtype=options.pop("dtype", "uint8"))
    if options.get("nodata") is not None:
        pixels[20:60, 30:80] = options["nodata"]
    profile = {"tiled": True, "blockxsize": 64, "blockysize": 64, "photometric": "minisblack", **PLACE, **options}
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=bands, dtype=pixels.dtype, **profile
    ) as file:
        file.write(pixels.transpose(2, 0, 1))
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def values(path: Path) -> NDArray[Any]:
    with rasterio.open(path) as file:
        return file.read()


def test_a_sheet_keeps_its_place(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet = make_sheet(tmp_path / "sheet.tif")
    whole = predict(model, [sheet], outputs=[tmp_path / "whole.tif"], exact=True)[0]
    tiled = predict(model, [sheet], outputs=[tmp_path / "tiled.tif"], exact=True, tile=64)[0]
    with rasterio.open(tiled) as file:
        assert (file.crs.to_epsg(), tuple(file.transform)[:6], file.nodata) == (2154, PLACE["transform"], 255)
        assert file.tags()["UNET_KIND"] == "mask" and file.colormap(1)[2][:3] == (20, 90, 250)
        assert file.profile["compress"] == "deflate"
    with raster.open(tiled) as source:
        assert source.labels is not None and Labels.from_dict(source.labels) == TOWN
    assert (values(whole) != values(tiled)).mean() < 1e-4
    printed = capsys.readouterr().err
    assert "ground" in printed and "1/1" in printed
    assert names(tmp_path) == ["model.safetensors", "sheet.tif", "tiled.tif", "whole.tif"]


@pytest.mark.slow
def test_a_sheet_and_a_picture_give_the_same(model: Path, tmp_path: Path) -> None:
    sheet = make_sheet(tmp_path / "sheet.tif")
    Image.fromarray(raster.read(sheet)).save(tmp_path / "picture.png")
    for options in ({}, {"tile": 64}):
        predict(model, [sheet], outputs=[tmp_path / "a.png"], overwrite=True, **options)
        predict(model, [tmp_path / "picture.png"], outputs=[tmp_path / "b.png"], overwrite=True, **options)
        np.testing.assert_array_equal(
            np.asarray(Image.open(tmp_path / "a.png")), np.asarray(Image.open(tmp_path / "b.png"))
        )


@pytest.mark.slow
@pytest.mark.parametrize("layout", [{}, {"tiled": False, "blockysize": 3, "interleave": "pixel"}])
def test_four_bands_of_sixteen_bits(tmp_path: Path, layout: dict[str, Any]) -> None:
    model = make_model(tmp_path / "four.safetensors", bands=4)
    sheet = make_sheet(tmp_path / "sheet.tif", bands=4, dtype="uint16", alpha="NO", **layout)
    found = [
        values(
            predict(
                model, [sheet], outputs=[tmp_path / name], save=False, probabilities="float32", exact=True, tile=tile
            )[0]
        )
        for name, tile in (("whole.tif", None), ("tiled.tif", 64))
    ]
    np.testing.assert_allclose(*found, atol=1e-5)
    assert found[0].std(axis=(1, 2)).min() > 1e-4


@pytest.mark.parametrize("tile", [None, 64])
def test_pixels_without_anything_are_ignored(model: Path, tmp_path: Path, tile: int | None) -> None:
    sheet = make_sheet(tmp_path / "sheet.tif", nodata=7)
    written = predict(
        model, [sheet], outputs=[tmp_path / "m.tif"], probabilities="float32", epm=16, tile=tile, exact=True
    )
    mask, probability, epm = (values(path) for path in written)
    nothing = (values(sheet) == 7).all(axis=0)
    assert nothing[20:60, 30:80].all()
    np.testing.assert_array_equal(mask[0] == 255, nothing)
    np.testing.assert_array_equal(np.isnan(probability).all(axis=0), nothing)
    assert (epm[0][nothing] == 0).all()


@pytest.mark.slow
def test_probabilities_and_edge_maps(model: Path, tmp_path: Path) -> None:
    sheet = make_sheet(tmp_path / "sheet.tif")
    expected = None
    for kind in ("npy", "float32", "float16", "uint8"):
        (path,) = predict(model, [sheet], outputs=[tmp_path / f"{kind}.tif"], save=False, probabilities=kind, tile=64)
        found = np.load(path).astype(np.float32) if kind == "npy" else values(path).astype(np.float32)
        if kind == "uint8":
            found /= 255
        expected = found if expected is None else expected
        assert found.shape == (3, 205, 173)
        np.testing.assert_allclose(found, expected, atol=1 / 400)
        if kind != "npy":
            assert rasterio.open(path).tags()["UNET_KIND"] == "probability" and path.suffix == ".tif"
    assert expected is not None
    for bits, name in ((8, "png"), (16, "png"), (16, "tif")):
        out = tmp_path / f"{bits}.{name}"
        (path,) = predict(model, [sheet], outputs=[out], save=False, epm=bits, tile=64)
        assert path == tmp_path / f"{bits}_epm.{name}"
        with raster.open(path) as source:
            assert source.kind == "epm"
            found = source.read_mask() / (2**bits - 1)
        np.testing.assert_allclose(found, expected[2], atol=1 / 250)
    (path,) = predict(
        model, [sheet], outputs=[tmp_path / "one.tif"], save=False, probabilities="uint8", class_name="street"
    )
    np.testing.assert_allclose(values(path)[0] / 255, expected[1], atol=1 / 200)


@pytest.mark.slow
def test_several_models_and_views(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet, other = make_sheet(tmp_path / "sheet.tif"), make_model(tmp_path / "other.safetensors", seed=1)
    each = [
        np.load(
            predict(path, [sheet], outputs=[tmp_path / f"{path.stem}.png"], save=False, probabilities=True, exact=True)[
                0
            ]
        )
        for path in (model, other)
    ]
    (both,) = predict(
        [model, other], [sheet], outputs=[tmp_path / "both.png"], save=False, probabilities=True, exact=True, tile=64
    )
    np.testing.assert_allclose(np.load(both), np.mean(each, axis=0), atol=2e-3)
    command = [
        "predict",
        "-m",
        model,
        "-m",
        other,
        "-i",
        sheet,
        "-o",
        tmp_path / "d4.tif",
        "--tta",
        "d4",
        "--tile",
        "64",
    ]
    assert main([str(part) for part in command]) == 0
    assert "2 models" in capsys.readouterr().err
    with pytest.raises(InputError, match="bands 4; expected bands 3"):
        predict([model, make_model(tmp_path / "four.safetensors", bands=4)], [sheet], outputs=[tmp_path / "no.tif"])


def test_a_region(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet = make_sheet(tmp_path / "sheet.tif", transform=(1e-4, 0, 2.3, 0, -1e-4, 48.8), crs="EPSG:4326")
    everything = values(predict(model, [sheet], outputs=[tmp_path / "all.tif"], tile=64)[0])[0]
    ring = [[2.3 + 1e-4 * x, 48.8 - 1e-4 * y] for x, y in ((10, 20), (90, 20), (90, 130), (10, 130), (10, 20))]
    (tmp_path / "roi.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    found = values(predict(model, [sheet], outputs=[tmp_path / "part.tif"], tile=64, roi=tmp_path / "roi.geojson")[0])[
        0
    ]
    inside = np.zeros((205, 173), bool)
    inside[20:130, 10:90] = True
    np.testing.assert_array_equal(found, np.where(inside, everything, 255))
    assert "was brought from OGC:CRS84 to EPSG:4326" in capsys.readouterr().err
    raster.write_grey(tmp_path / "roi.png", np.zeros((9, 9), np.uint8))
    with pytest.raises(RasterError, match="9 x 9 px; expected 173 x 205"):
        predict(model, [sheet], outputs=[tmp_path / "no.tif"], roi=tmp_path / "roi.png")


# --- refusals: one line, exit code 2, nothing written


def refused(capsys: pytest.CaptureFixture[str], *command: object) -> str:
    try:
        assert main(["predict", *map(str, command)]) == 2
    except SystemExit as stop:  # what the parser refuses
        assert stop.code == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message
    return message.strip().splitlines()[-1]


def test_bad_input(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet = make_sheet(tmp_path / "sheet.tif")
    out = tmp_path / "out.tif"
    base = ("-m", model, "-o", out, "-i")
    assert "cut off" in refused(capsys, *base, cut_off(sheet, tmp_path / "cut.tif"))
    many = make_sheet(tmp_path / "many.tif", bands=7)
    assert "many.tif: a picture with 7 bands; expected 3" in refused(capsys, *base, many)
    assert "class 'car'" in refused(capsys, *base, sheet, "--epm", "--class", "car")
    assert "out.jpg would not keep" in refused(capsys, "-m", model, "-i", sheet, "-o", tmp_path / "out.jpg")
    assert "expected I/N" in refused(capsys, *base, sheet, "--shard", "3/2")
    assert "nowhere.geojson" in refused(capsys, *base, sheet, "--roi", tmp_path / "nowhere.geojson")
    assert not out.exists()
    out.touch()
    assert "exists already" in refused(capsys, *base, sheet)
    assert out.stat().st_size == 0
    assert names(tmp_path) == ["cut.tif", "many.tif", "model.safetensors", "out.tif", "sheet.tif"]


def cut_off(path: Path, to: Path) -> Path:
    to.write_bytes(path.read_bytes()[:60_000])
    return to


def test_an_edge_map_of_classes_without_edges(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = bundle.load(model)
    plain = tmp_path / "plain.safetensors"
    bundle.save(replace(loaded, labels=Labels.numbered(3)), plain)
    sheet = make_sheet(tmp_path / "sheet.tif")
    assert "--class" in refused(capsys, "-m", plain, "-i", sheet, "-o", tmp_path / "a.tif", "--epm")


# --- stopped and gone on with


SLOWLY = """
import sys, time
from pathlib import Path
from unet.inference.averaging import Ensemble
whole = Ensemble.scores
def slowly(self, *args, **kwargs):
    time.sleep(0.02)
    return whole(self, *args, **kwargs)
Ensemble.scores = slowly
from unet.cli import main
sys.exit(main(sys.argv[1:]))
"""


def start(*command: object, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SLOWLY, *map(str, command)],
        stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )  # fmt: skip


@pytest.mark.slow
def test_killed_and_resumed_gives_the_same_bytes(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = make_sheet(tmp_path / "sheet.tif", height=400)
    command = [
        "predict", "-m", model, "-i", sheet, "--tile", "64", "--join", "gaussian", "--probabilities", "uint8", "--epm",
    ]  # fmt: skip
    folder = tmp_path / "out"
    process = start(*command, "-o", folder / "m.tif")
    for _ in range(2000):
        if len(list(folder.glob(".*.part.json"))) == 3 or process.poll() is not None:
            break
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL and ".m.tif.part" in names(folder) and "m.tif" not in names(folder)
    assert "go on with --resume" in refused(capsys, *command[1:], "-o", folder / "m.tif")
    assert main([str(part) for part in [*command, "-o", folder / "m.tif", "--resume"]]) == 0
    resumed = capsys.readouterr().err
    assert "rows are there already" in resumed
    assert main([str(part) for part in [*command, "-o", tmp_path / "whole" / "m.tif"]]) == 0
    shares = [line.split("): ")[1] for line in (resumed + capsys.readouterr().err).splitlines() if "): " in line]
    assert len(shares) == 2 and shares[0] == shares[1]
    assert names(folder) == names(tmp_path / "whole") == ["m.tif", "m_epm.tif", "m_probabilities.tif"]
    for name in names(folder):
        assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.slow
def test_what_is_left_belongs_to_the_same_run(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from unet.inference.averaging import Ensemble

    sheet, out = make_sheet(tmp_path / "sheet.tif"), tmp_path / "m.tif"
    whole, calls = Ensemble.scores, []

    def stopped(self: Ensemble, *args: Any, **kwargs: Any) -> torch.Tensor:
        calls.append(1)
        if len(calls) > 15:
            raise KeyboardInterrupt
        return whole(self, *args, **kwargs)

    monkeypatch.setattr(Ensemble, "scores", stopped)
    with pytest.raises(KeyboardInterrupt):
        predict(model, [sheet], outputs=[out], tile=64)
    monkeypatch.setattr(Ensemble, "scores", whole)
    assert ".m.tif.part" in names(tmp_path)
    with pytest.raises(RasterError, match="another input, model or options"):
        predict(model, [sheet], outputs=[out], tile=72, resume=True)
    assert predict(model, [sheet], outputs=[out], tile=64, overwrite=True) == [out]  # from the start
    before = out.stat().st_mtime_ns
    assert predict(model, [sheet], outputs=[out], tile=64, resume=True) == []  # it is there
    assert out.stat().st_mtime_ns == before


# --- many sheets, several processes


@pytest.mark.slow
def test_two_processes_share_the_sheets(model: Path, tmp_path: Path) -> None:
    sheets = [make_sheet(tmp_path / f"s{number}.tif", height=90 + number) for number in range(5)]
    command = ["predict", "-m", model, "-i", *sheets, "-o", tmp_path / "out", "--tile", "64"]
    processes = [start(*command, RANK=str(rank), WORLD_SIZE="2") for rank in range(2)]
    messages = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(message.count(" -> ") for message in messages) == [2, 3]
    assert names(tmp_path / "out") == [f"s{number}_OUT.png" for number in range(5)]
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    (tmp_path / "out" / "s2_OUT.png").unlink()
    again = start(*command, "--shard", "1/2")
    message = again.communicate(timeout=120)[1]
    assert again.returncode == 0 and "2 of 3 pictures are done already" in message
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert {name for name in after if after[name] != before[name]} == {"s2_OUT.png"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, None), ({"RANK": "0", "WORLD_SIZE": "1"}, None), ({"RANK": "1", "WORLD_SIZE": "4"}, (2, 4))],
)
def test_shards_by_torchrun(environment: dict[str, str], expected: object, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert shard_of_environment() == expected
    monkeypatch.setenv("RANK", "7")
    monkeypatch.setenv("WORLD_SIZE", "x")
    with pytest.raises(InputError, match="WORLD_SIZE=x"):
        shard_of_environment()
