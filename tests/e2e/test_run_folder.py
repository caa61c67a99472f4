"""What a run keeps to when its pictures, its settings or its files are others than they were; runs of version 0.1."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from processes import (
    KILLED,
    TINY,
    die_after_step,
    die_with_what_is_trained,
    differences,
    rows_of,
    run,
    state_of,
    stop_after_step,
)
from safetensors.torch import load_file

from unet import bundle, cli, raster
from unet.inference.predictor import Predictor
from unet.report.page import write_report

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals are another matter there"),
]
DataMaker = Callable[..., Path]
BEFORE_RUNS = Path(__file__).parents[1] / "fixtures" / "before_runs"
LINE = f"train data --steps 24 {TINY}"
BROKEN, WHOLE = Path("broken"), Path("whole")


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_data: DataMaker) -> Path:
    monkeypatch.chdir(tmp_path)
    return make_data(count=6)


@pytest.fixture
def interrupted() -> None:
    """A run that was killed before its first validation."""
    run(f"{LINE} --out broken", die_after_step, 5, code=KILLED)


def scores_of(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def provenance() -> dict[str, Any]:
    return bundle.load(BROKEN / "model.safetensors").provenance


# ---- the pictures ----


def test_files_that_were_only_touched_are_the_same(interrupted: None, data: Path) -> None:
    run(f"{LINE} --out whole")
    for path in data.rglob("*.png"):
        os.utime(path, (1, 1))
    before = (BROKEN / "pairs.csv").read_text(encoding="utf-8")
    printed = run("train --resume broken")
    assert "warning" not in printed and "new" not in printed
    assert (BROKEN / "pairs.csv").read_text(encoding="utf-8") != before, "the new times are known from now on"
    assert differences(WHOLE, BROKEN) == []


def test_pictures_that_are_gone_new_or_different_are_named(interrupted: None, data: Path) -> None:
    train, val = (
        [line.split(",")[1] for line in lines_of("pairs.csv") if line.startswith(part)] for part in ("train", "val")
    )
    (data / "imgs" / f"{train[0]}.png").unlink()
    mask = raster.read_mask(data / "masks" / f"{train[1]}_mask.png")
    raster.write_mask(data / "masks" / f"{train[1]}_mask.png", np.roll(mask, 1), [0, 0, 0, 200, 30, 30])
    for folder, name in (("imgs", "new.png"), ("masks", "new_mask.png")):
        shutil.copy(next((data / folder).glob(f"{val[0]}*")), data / folder / name)
    printed = run("train --resume broken")
    assert f"warning: 1 pictures or masks of the run are gone, and left out: {train[0]}" in printed
    assert (
        f"warning: 1 pictures or masks of the run are not what they were, and read as they are: {train[1]}" in printed
    )
    assert "1 pictures are new, and no part of this run: new" in printed
    assert state_of(BROKEN)["step"] == 24
    assert (provenance()["train_pictures"], provenance()["val_pictures"]) == (len(train) - 1, len(val))


def lines_of(name: str) -> list[str]:
    return (BROKEN / name).read_text(encoding="utf-8").splitlines()


def test_data_that_were_moved_are_found_where_the_user_says(interrupted: None, data: Path) -> None:
    run(f"{LINE} --out whole")
    Path("empty").mkdir()
    data.rename("elsewhere")
    for line in ("train --resume broken", "train --resume broken --data empty", "train --resume broken --data nowhere"):
        printed = run(line, code=2)
        assert len(printed.splitlines()) == 1 and ("--data DIR" in printed or "nowhere is no folder" in printed)
    run("train --resume broken --data elsewhere", stop_after_step, 6, code=130)
    assert state_of(BROKEN)["step"] == 7
    run("train --resume broken")  # remembered
    assert 'root = "elsewhere"' in (BROKEN / "config.toml").read_text(encoding="utf-8")
    assert differences(WHOLE, BROKEN) == []
    assert "elsewhere" in (BROKEN / "evaluation.json").read_text(encoding="utf-8")
    assert scores_of(BROKEN / "evaluation.json")["mean_iou"] == scores_of(WHOLE / "evaluation.json")["mean_iou"]


def test_parts_of_a_run_are_scored_as_they_were(data: Path) -> None:
    run(f"{LINE.replace('--val 0.2', '--val 0.2 --test 0.2')} --out broken")
    held = {path: path.stat().st_mtime_ns for path in BROKEN.rglob("*") if path.is_file()}
    os.utime(next(data.rglob("*.png")), (1, 1))
    for part, name in (("val", "evaluation.json"), ("test", "test.json"), ("train", None)):
        assert cli.main(f"evaluate broken --split {part} --json {part}.json --device cpu".split()) == 0
        scores = scores_of(Path(f"{part}.json"))
        if name is None:
            assert len(scores["images"]) == 4
        else:
            expected = scores_of(BROKEN / name)
            assert {key: scores[key] for key in expected} == expected
    assert held == {path: path.stat().st_mtime_ns for path in BROKEN.rglob("*") if path.is_file()}, "only looked at"


# ---- the settings ----


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("width = 4", "width = 8"),
        ("scale = 1.0", "scale = 0.5"),
        ("depth = 2", "depth = 3"),
        ("[model]", "[model]\ndropout = 0.5"),
        ('optimizer = "adamw"', 'optimizer = "sgd"'),
    ],
)
def test_what_was_begun_cannot_be_changed(interrupted: None, old: str, new: str) -> None:
    change_settings(old, new)
    before = {path: path.read_bytes() for path in BROKEN.rglob("*") if path.is_file()}
    printed = run("train --resume broken", code=2)
    assert len(printed.splitlines()) == 1 and f"{new.splitlines()[-1].replace(chr(34), '')}; expected" in printed
    assert before == {path: path.read_bytes() for path in BROKEN.rglob("*") if path.is_file()}


def change_settings(old: str, new: str) -> None:
    path = BROKEN / "config.toml"
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_more_steps_are_used(interrupted: None) -> None:
    change_settings("steps = 24", "steps = 30  # more")
    run("train --resume broken")
    assert state_of(BROKEN)["step"] == 30 and rows_of(BROKEN)[-1]["step"] == "30"
    assert "# more" in (BROKEN / "config.toml").read_text(encoding="utf-8")


# ---- folders that are no run ----


@pytest.mark.parametrize("flag", ["", " --overwrite"])
def test_a_folder_of_another_program_is_spared(data: Path, flag: str) -> None:
    clone = Path("Pytorch-UNet")
    files = ["checkpoints/checkpoint_epoch1.pth", "checkpoints/last.safetensors", "train.py", "model.safetensors"]
    for name in files:
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text("theirs", encoding="utf-8")
    printed = run(f"{LINE} --out {clone}{flag}", code=2)
    assert len(printed.splitlines()) == 1 and "holds no run" in printed
    assert sorted(str(path.relative_to(clone)) for path in clone.rglob("*") if path.is_file()) == sorted(files)


@pytest.mark.parametrize("folder", ["data", "nowhere"])
def test_only_a_run_is_gone_on_with(data: Path, folder: str) -> None:
    before = sorted(Path().rglob("*"))
    printed = run(f"train --resume {folder}", code=2)
    assert len(printed.splitlines()) == 1 and folder in printed
    assert [path for path in sorted(Path().rglob("*")) if path.suffix != ".log"] == before


def test_overwriting_spares_what_the_user_has_added(data: Path) -> None:
    run(f"{LINE} --out broken")
    mine = [BROKEN / "samples/mine.png", BROKEN / "samples/test/mine.png", BROKEN / "notes.csv"]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine", encoding="utf-8")
    run(f"{LINE} --out broken --overwrite", die_after_step, 0, code=KILLED)
    assert all(path.exists() for path in mine)
    assert not (BROKEN / "model.safetensors").exists() and not list(BROKEN.glob("samples/0*.png"))


# ---- runs of version 0.1 ----


@pytest.fixture
def before_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of them, and its folder as the present one."""
    shutil.copytree(BEFORE_RUNS, tmp_path / "before")
    monkeypatch.chdir(tmp_path / "before")
    return tmp_path / "before"


def test_a_run_of_version_0_1_is_gone_on_with(before_runs: Path) -> None:
    folder = Path("interrupted")
    held, rows = load_file(folder / "checkpoints/last.safetensors"), rows_of(folder)
    plan, reached = (folder / "plan.md").read_text(encoding="utf-8"), state_of(folder)["step"]

    run("train --resume interrupted", die_with_what_is_trained, Path("trained.pt"), code=KILLED)
    trained = torch.load("trained.pt")
    weights = {f"model.{name}": tensor for name, tensor in trained["network"].items()}
    moments = {
        f"optimizer.{number}.{key}": tensor
        for number, values in trained["optimizer"]["state"].items()
        for key, tensor in values.items()
    }
    assert held.keys() == {*weights, *moments, "rng.torch"}
    assert all(torch.equal(held[name], tensor) for name, tensor in {**weights, **moments}.items())

    run("train --resume interrupted")
    assert reached < 12 == state_of(folder)["step"]
    assert [{**row, "val_loss": ""} for row in rows] == rows_of(folder)[: len(rows)], "that of validation came later"
    assert rows_of(folder)[-1]["step"] == "12" and float(rows_of(folder)[-1]["val_loss"]) > 0
    reasons = [line for line in plan.splitlines() if line.startswith("- ")]
    assert (folder / "plan.md").read_text(encoding="utf-8").splitlines()[2 : 2 + len(reasons)] == reasons
    assert cli.main(f"evaluate {folder} --device cpu --json again.json".split()) == 0
    assert scores_of(Path("again.json"))["mean_iou"] == scores_of(folder / "evaluation.json")["mean_iou"]


@pytest.mark.parametrize("name", ["finished", "interrupted", "prepared"])
def test_a_run_of_version_0_1_is_scored_again(before_runs: Path, name: str) -> None:
    assert cli.main(f"evaluate {name} --device cpu --json again.json".split()) == 0
    before, again = scores_of(Path(name) / "evaluation.json"), scores_of(Path("again.json"))
    assert {image["name"] for image in before["images"]} == {image["name"] for image in again["images"]}
    assert again["mean_iou"] == pytest.approx(before["mean_iou"], abs=1e-3)
    assert not (Path(name) / "run.json").exists()


def test_a_finished_run_of_version_0_1_stays_finished(before_runs: Path) -> None:
    model = bundle.load(Path("finished/model.safetensors"))
    rows = rows_of(Path("finished"))
    with (Path("finished") / "plan.md").open("ab") as file:
        file.write(b"- a reason \xef\n")  # which is no UTF-8, and no reason to stop
    run("train --resume finished")
    assert state_of(Path("finished"))["step"] == 6
    assert rows_of(Path("finished")) == [{**row, "val_loss": ""} for row in rows]
    again = bundle.load(Path("finished/model.safetensors"))
    assert all(torch.equal(model.state[name], again.state[name]) for name in model.state)
    assert scores_of(Path("finished/evaluation.json"))["mean_iou"] == model.scores["mean_iou"]


def test_a_run_of_version_0_1_without_a_state_is_not_begun_anew(before_runs: Path) -> None:
    printed = run("train --resume prepared", code=2)
    assert len(printed.splitlines()) == 1 and "holds no run to go on with" in printed


def test_folds_of_version_0_1_are_complete(before_runs: Path) -> None:
    before = scores_of(Path("folds/evaluation.json"))
    run("train --resume folds")
    assert scores_of(Path("folds/evaluation.json")) == before
    assert {image["name"] for image in before["images"]} == {f"p{number}" for number in range(6)}


@pytest.mark.parametrize("name", ["finished", "interrupted", "prepared", "folds"])
def test_runs_of_version_0_1_have_a_report(before_runs: Path, name: str) -> None:
    (Path(name) / "report.html").unlink()
    assert write_report(Path(name)).stat().st_size > 10_000


def test_models_of_version_0_1_give_the_logits_that_they_gave(before_runs: Path) -> None:
    with np.load("expected.npz") as expected:
        for name, logits in expected.items():
            picture = raster.read(Path("deep" if "deep" in name else "data") / "imgs/p0.png")  # deep: 16 bits
            given = Predictor(bundle.load(Path(name)), device="cpu", exact=True).logits(picture)
            np.testing.assert_allclose(given, logits, rtol=1e-4, atol=1e-5, err_msg=name)
