"""`unet tune-shapes`: what it finds, writes and keeps in a model file, what it refuses, and that it goes on."""

from __future__ import annotations

import csv
import json
import os
import shlex
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import unet
from unet import bundle, cli, models, raster
from unet.labels import Labels, default_colors, default_names
from unet.preprocessing import Preprocessing
from unet.shapes.components import threshold_components
from unet.shapes.scores import shape_scores
from unet.shapes.settings import ShapeSettings
from unet.shapes.tuning import Candidate, Sheet, grid, score_candidates
from unet.shapes.watershed import filtered_watershed

OUTPUTS = {
    "grid.json", "grid.csv", "heatmap_pq.svg", "heatmap_f_auc.svg", "curves.svg", "sensitivity_dynamic.svg",
    "sensitivity_area.svg", "components.svg",
}  # fmt: skip


def drawn(seed: int = 0, blocks: int = 5, side: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """An edge map of square blocks, with weak lines in them that are no edges and small noise; and the true edges."""
    rng = np.random.default_rng(seed)
    size = blocks * (side + 1) + 1
    edges = np.zeros((size, size), np.uint8)
    edges[:: side + 1] = edges[:, :: side + 1] = 255
    epm = np.where(edges, 200, rng.integers(0, 3, edges.shape)).astype(np.uint8)
    epm[side // 2 :: side + 1] = np.maximum(epm[side // 2 :: side + 1], 6)  # halves each block, 6 high
    return epm, edges


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    epm, edges = drawn()
    raster.write_grey("epm.png", epm)
    raster.write_grey("edges.png", edges)


def tuned(line: str) -> dict[str, object]:
    assert cli.main(shlex.split(f"tune-shapes epm.png edges.png -o out {line}")) == 0
    return dict(json.loads(Path("out/grid.json").read_text()))


def refused(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert cli.main(shlex.split(f"tune-shapes {line}")) == 2
    message = capsys.readouterr().err
    assert message.startswith("unet: error: ") and message.count("\n") == 1
    return message


def write_model(path: str) -> None:
    spec = models.ModelSpec("unet", 1, 1, width=4, depth=2)
    labels = Labels(default_names(2), default_colors(2), (0, 255))
    network = models.build(spec)
    state = network.state_dict()
    bundle.save(bundle.Bundle(spec, labels, Preprocessing(bands=1), None, {}, {"made": "here"}, state), path)


def test_the_best_setting_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    found = tuned("--dynamic 0,4,8,300 --area 2,20 --threshold 0,4 --workers 1")
    best = found["best"]
    # Dynamic 0 finds the noise, 8 and 300 make one shape of all: no basin is 8 deep before it meets the next.
    assert (best["dynamic"], best["area"], best["threshold"]) == (4, 2, None)
    assert best["pq"] == pytest.approx(best["sq"]) and best["labels_pred"] == best["labels_gt"] == 25
    assert len(found["settings"]) == 4 * 2 + 2
    lines = capsys.readouterr()
    assert "unet vectorize epm.png --kind epm --dynamic 4 --area 2 -o epm.gpkg" in lines.out
    assert "area 2 is the smallest that was tried" in lines.err
    assert {path.name for path in Path("out").iterdir()} == OUTPUTS
    rows = list(csv.DictReader(Path("out/grid.csv").read_text().splitlines()))
    assert [row["method"] for row in rows] == ["watershed"] * 8 + ["components"] * 2
    assert float(rows[2]["pq"]) == best["pq"]
    for figure in Path("out").glob("*.svg"):
        assert ET.fromstring(figure.read_text()).tag.endswith("svg")
    texts = [element.text for element in ET.fromstring(Path("out/heatmap_pq.svg").read_text()).iter() if element.text]
    assert f"{best['pq']:.3f}" in texts and {"300", "20", "dynamic"} <= set(texts)


def test_processes_give_what_one_gives() -> None:
    epm, edges = drawn(1)
    sheet = Sheet(epm, filtered_watershed(edges, 0, 0))
    candidates = grid([0, 3, 8], [2, 30], [0, 2])

    def results(workers: int) -> dict[Candidate, dict[str, object]]:
        found = dict(score_candidates(sheet, candidates, workers))
        return {candidate: {**found[candidate], "seconds": 0} for candidate in candidates}

    one = results(1)
    assert results(3) == one
    for candidate in candidates[:6]:
        label_map = filtered_watershed(epm, candidate.dynamic, candidate.area)
        assert one[candidate]["pq"] == shape_scores(sheet.truth, label_map).pq


def test_mask_window_and_calibration(capsys: pytest.CaptureFixture[str]) -> None:
    mask = np.zeros((66, 66), np.uint8)
    mask[:, 5:45] = 255
    raster.write_grey("mask.png", mask)
    found = tuned("--dynamic 4 --area 2 --mask mask.png --calibrate edge --window 0:40,: --by f_auc --workers 1")
    assert found["inputs"]["window"] == [[0, 40], [None, None]] and found["inputs"]["calibrate"] == "edge"
    epm, edges = (raster.read_mask(name)[:40] for name in ("epm.png", "edges.png"))
    epm[:, [5, 44]] = 255
    truth = threshold_components(edges)
    again = shape_scores(truth, filtered_watershed(epm, 4, 2), mask[:40])
    assert found["best"]["labels_gt"] == again.labels_gt == 12  # 3 rows of 4 blocks
    assert found["best"]["pq"] == pytest.approx(again.pq)
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("unet vectorize epm.png --kind epm --calibrate edge --roi mask.png --dynamic 4 --area 2")


def test_a_model_keeps_what_was_found() -> None:
    write_model("model.safetensors")
    before = bundle.load("model.safetensors")
    assert before.shapes is None
    tuned("--dynamic 8 --area 2,20 --threshold 0 --model model.safetensors --workers 1")
    after = bundle.load("model.safetensors")
    assert after.shapes == ShapeSettings(dynamic=8, area=2)
    assert (after.spec, after.provenance, after.preprocessing) == (before.spec, before.provenance, before.preprocessing)
    assert all(torch.equal(after.state[name], tensor) for name, tensor in before.state.items())


def test_vectorize_needs_no_flags_then() -> None:
    """The model's settings make the shapes that were scored, as a label map and as polygons."""
    write_model("model.safetensors")
    best = tuned("--dynamic 0,4 --area 2 --threshold 0 --model model.safetensors --workers 1")["best"]
    line = "vectorize epm.png --kind epm --model model.safetensors --lines gap -o found.gpkg --labels found.tif"
    assert cli.main(shlex.split(line)) == 0
    assert cli.main(shlex.split("evaluate-shapes edges.png found.gpkg found.tif --json scores.json")) == 0
    for entry in json.loads(Path("scores.json").read_text())["contenders"]:
        assert [entry[name] for name in ("tp", "fp", "fn", "pq")] == [best[name] for name in ("tp", "fp", "fn", "pq")]


def test_a_search_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    first = tuned("--dynamic 0,8 --area 2 --threshold 0 --workers 1")
    assert "go on with --resume" in refused("epm.png edges.png -o out", capsys)
    held = json.loads(Path("out/grid.json").read_text())
    held["settings"][0]["pq"] = 0.987  # what is known is not computed again
    Path("out/grid.json").write_text(json.dumps(held))
    again = tuned("--dynamic 0,8,9 --area 2 --threshold 0 --workers 1 --resume")
    assert "3 of 4 settings are known" in capsys.readouterr().err
    assert again["best"]["pq"] == 0.987 and again["settings"][1] == first["settings"][1]
    Image.fromarray(255 - raster.read_mask("edges.png")).save("edges.png")
    assert "of a search with another truth" in refused("epm.png edges.png -o out --resume", capsys)
    Path("out/grid.json").write_text("{")
    assert "cannot be read" in refused("epm.png edges.png -o out --resume", capsys)
    assert tuned("--dynamic 0 --area 2 --threshold 0 --overwrite --workers 1")["best"]["pq"] != 0.987


def test_refused(capsys: pytest.CaptureFixture[str]) -> None:
    raster.write_grey("small.png", np.zeros((9, 9), np.uint8))
    np.save("none.npy", np.zeros((66, 66), np.int32))
    np.save("large.npy", np.full((66, 66), 7.5, np.float32))
    Path("no_model.safetensors").write_text("none")
    assert "no such file: nowhere.png" in refused("nowhere.png edges.png -o out", capsys)
    assert "no such file: nowhere.png" in refused("epm.png edges.png --mask nowhere.png -o out", capsys)
    assert "9 x 9" in refused("epm.png small.png -o out", capsys)
    assert "9 x 9" in refused("epm.png edges.png --mask small.png -o out", capsys)
    assert "holds no shapes" in refused("epm.png none.npy -o out", capsys)
    assert "values from 7.5" in refused("large.npy edges.png -o out", capsys)
    assert "add --mask" in refused("epm.png edges.png --calibrate edge -o out", capsys)
    assert "--gt-kind" in refused("epm.png epm.png -o out", capsys)
    assert "from 0.5 to below 1" in refused("epm.png edges.png --iou 0.2 -o out", capsys)
    assert "is a file" in refused("epm.png edges.png -o epm.png", capsys)
    assert "no_model" in refused("epm.png edges.png --model no_model.safetensors -o out", capsys)
    assert "unet convert" in refused("epm.png edges.png --model old.pth -o out", capsys)
    assert not Path("out/grid.json").exists()


@pytest.mark.parametrize("text", ["-1..3", "3..1", "a", "1..", "1,,2", "0.5"])
def test_ranges_that_are_none(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["tune-shapes", "epm.png", "edges.png", "-o", "out", f"--dynamic={text}"])
    assert "whole numbers such as 0..10" in capsys.readouterr().err


def test_where_the_edge_map_holds_nothing_counts_nowhere() -> None:
    epm, _ = drawn()
    epm[:, 40:] = 254
    with raster.create("holes.tif", height=66, width=66, bands=1, nodata=254) as sink:
        sink.write((0, 0, 66, 66), epm)
    line = "tune-shapes holes.tif edges.png --dynamic 4 --area 2 --threshold 0 --workers 1 -o holes"
    assert cli.main(shlex.split(line)) == 0
    best = json.loads(Path("holes/grid.json").read_text())["best"]
    assert (best["labels_gt"], best["tp"]) == (15, 15)  # 3 of 5 columns of blocks, up to their edge at 39


@pytest.mark.parametrize("value", [0, 255])
def test_an_edge_map_of_one_value(value: int) -> None:
    raster.write_grey("epm.png", np.full((66, 66), value, np.uint8))
    best = tuned("--dynamic 0,2 --area 2 --threshold 0 --workers 1")["best"]
    assert (best["dynamic"], best["labels_pred"], best["tp"]) == (0, 1, 0)


@pytest.mark.slow
def test_killed_and_gone_on_with() -> None:
    """After kill -9 no process is left, and a second try gives the same as a search that was left alone."""
    epm, edges = drawn(2, blocks=40, side=20)
    raster.write_grey("epm.png", epm)
    raster.write_grey("edges.png", edges)
    line = [sys.executable, "-m", "unet", "tune-shapes", "epm.png", "edges.png", "-o", "out", "--workers", "2"]
    here = {**os.environ, "PYTHONPATH": str(Path(unet.__file__).parents[1])}
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=here)
    deadline = time.monotonic() + 120
    while not Path("out/grid.json").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    workers = children.read_text().split() if children.exists() else []
    process.kill()
    process.wait()
    while any(Path(f"/proc/{worker}").exists() for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert time.monotonic() < deadline
    known = json.loads(Path("out/grid.json").read_text())["settings"]
    assert 0 < len(known) < 77
    assert cli.main([*line[3:], "--resume"]) == 0
    resumed = json.loads(Path("out/grid.json").read_text())
    assert cli.main([*line[3:6], "-o", "whole"]) == 0
    whole = json.loads(Path("whole/grid.json").read_text())
    for found in (resumed, whole):
        for row in [found["best"], *found["settings"]]:
            del row["seconds"]
    assert resumed == whole


@pytest.mark.slow
def test_the_published_figures_from_the_edge_map(shared_data: Path) -> None:
    """From the published edge map itself: 493 labels, 357/136/2479, PQ .183, area under F .075."""
    sheet = shared_data / "paris_atlas_1898_epm"
    line = f"tune-shapes {sheet}/epm_unet.png {sheet}/edges.png --mask {sheet}/content_mask.png --calibrate edge"
    assert cli.main(shlex.split(f"{line} --dynamic 0 --area 50 --threshold 0 --count-background --workers 1 -o o")) == 0
    best = json.loads(Path("o/grid.json").read_text())["best"]
    counts = [best[name] for name in ("labels_gt", "labels_pred", "tp", "fp", "fn")]
    shares = [f"{best[name]:.3f}" for name in ("pq", "sq", "rq", "f_auc")]
    assert (counts, shares) == ([2836, 493, 357, 136, 2479], ["0.183", "0.852", "0.214", "0.075"])
