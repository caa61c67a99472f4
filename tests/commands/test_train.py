"""`unet train`: what a run folder holds, and what every flag and every kind of data does to a run."""

from __future__ import annotations

import csv
import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file

from unet import bundle, cli, config, raster
from unet.bundle import Bundle
from unet.commands.train_legacy import train_legacy
from unet.trackers import COLUMNS

TINY = (
    "--set width=4 --set depth=2 --set crop=[24,32] "
    "--set precision=32-true --set channels_last=false --set learning_rate=0.01"
)
DataMaker = Callable[..., Path]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def unet(line: str) -> None:
    """Run a command line that must succeed."""
    assert cli.main(line.split()) == 0


def trained(line: str, run: str = "run") -> Bundle:
    """Train with tiny settings into a run folder and return the model."""
    unet(f"train {line} --out {run} {TINY}" + ("" if "--steps" in line or "--time" in line else " --steps 4"))
    return bundle.load(Path(run) / "model.safetensors")


def refusal(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a refused command line prints: one line, and the files that it is about."""
    capsys.readouterr()
    assert cli.main(line.split()) == 2
    printed = capsys.readouterr()
    first, *files = printed.err.splitlines()
    assert printed.out == "" and first.startswith("unet: error: ") and all(file.startswith("  ") for file in files)
    return printed.err


def scores_of(run: str) -> dict[str, Any]:
    scores: dict[str, Any] = json.loads(Path(run, "evaluation.json").read_text(encoding="utf-8"))
    return scores


def held_out(run: str) -> set[str]:
    return {image["name"] for image in scores_of(run)["images"]}


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def rewrite_masks(folder: Path, change: Callable[[NDArray[np.uint8]], NDArray[Any]], suffix: str = ".png") -> None:
    """Replace every 0/1 mask of a data set by what `change` makes of it."""
    for path in sorted((folder / "masks").iterdir()):
        changed = Image.fromarray(change(raster.read_mask(path).astype(np.uint8)))
        path.unlink()
        changed.save(path.with_suffix(suffix))


def rewrite_pictures(folder: Path, change: Callable[[NDArray[np.uint8]], NDArray[Any]], ending: str = ".png") -> None:
    for path in sorted((folder / "imgs").iterdir()):
        changed = Image.fromarray(change(raster.read(path)))
        path.unlink()
        changed.save(path.with_suffix(ending))


# --- the run folder


@pytest.mark.slow
def test_a_run_folder_holds_all_that_it_should(make_data: DataMaker, capsys: pytest.CaptureFixture[str]) -> None:
    make_data(count=8)
    model = trained("data --val 0.25")
    run = Path("run")
    printed = capsys.readouterr()
    assert sorted(path.name for path in run.iterdir()) == [
        "checkpoints", "config.toml", "evaluation.json", "health.json", "metrics.csv", "model.safetensors",
        "outcome.json", "pairs.csv", "plan.md", "report.html", "run.json", "run.lock", "samples",
    ]  # fmt: skip
    plan = [line for line in printed.err.splitlines() if not line.startswith(("step ", "health: ", "warning: "))]
    assert [line.partition(":")[0] for line in plan] == ["data", "length", "size", "network", "model", "report"]
    assert "in steps" not in printed.err and "Loss " not in printed.err, "the reasons are in plan.md"
    best_step = model.provenance["step"]
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == [
        "before.safetensors", f"evaluation-{best_step}.json", "last.safetensors",
    ]  # fmt: skip
    assert not list(run.rglob("*.part"))

    settings = config.load_toml(run / "config.toml")
    assert (settings.model.width, settings.model.depth, settings.data.crop) == (4, 2, (24, 32))
    assert settings.training.steps == 4 and settings.data.root == "data"
    left_open = {
        *("seconds", "epochs", "weight_decay", "momentum", "warm_up", "step_epochs", "encoder_rate", "freeze"),
        *("validations_per_epoch", "validate_every"),
    }
    assert {key for key, value in settings.training if value is None} == left_open, "the plan fills the rest"
    assert len((run / "plan.md").read_text(encoding="utf-8").splitlines()) > 3

    with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [row["step"] for row in rows] == ["1", "2", "3", "4"]
    assert all(float(row["train_loss"]) > 0 and 0 <= float(row["val_mean_iou"]) <= 1 for row in rows)

    scores = scores_of("run")
    assert {"mean_iou", "mean_dice", "pixel_accuracy", "classes", "images"} <= scores.keys()
    assert [set(row) for row in scores["classes"]] == [{"name", "iou", "dice", "precision", "recall", "pixels"}] * 2
    assert sum(row["pixels"] for row in scores["classes"]) == 2 * 24 * 32
    assert [set(image) for image in scores["images"]] == [
        {"name", "image", "mask", "mean_iou", "mean_dice", "pixel_accuracy"}
    ] * 2
    assert scores["images"] == sorted(scores["images"], key=lambda image: image["mean_iou"]), "the worst first"
    assert scores["mean_iou"] == pytest.approx(max(float(row["val_mean_iou"]) for row in rows), abs=1e-5)

    assert (model.spec.bands, model.spec.classes, model.spec.width, model.spec.depth) == (3, 2, 4, 2)
    assert model.labels.values == (0, 1) and model.labels.colors[1] == (200, 30, 30)
    assert model.scores["mean_iou"] == scores["mean_iou"]
    assert (model.provenance["train_pictures"], model.provenance["val_pictures"]) == (6, 2)

    samples = sorted((run / "samples").iterdir())
    assert len(samples) == 2
    height, width, _ = raster.read(samples[0]).shape
    assert width > 2 * height, "picture, truth and prediction side by side"
    assert "<html" in (run / "report.html").read_text(encoding="utf-8")
    assert "foreground" in printed.out and "run/model.safetensors" in printed.err


@pytest.mark.slow
def test_what_does_not_go_well_is_said_and_reported(make_data: DataMaker, capsys: pytest.CaptureFixture[str]) -> None:
    make_data(count=8)
    unet(f"train data --val 0.25 --steps 40 --out run {TINY} --set learning_rate=1e-7")
    remarks_printed = [
        line for line in capsys.readouterr().err.splitlines() if line.startswith("health: learning rate")
    ]
    assert len(remarks_printed) == 1 and "learning rate 1e-07 is too low" in remarks_printed[0]
    remarks = json.loads(Path("run/health.json").read_text(encoding="utf-8"))
    assert "rate too low" in {remark["kind"] for remark in remarks}
    assert "Learning rate 1e-07 is too low" in Path("run/report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_loss_that_cannot_be_saved_ends_in_one_line(make_data: DataMaker, capsys: pytest.CaptureFixture[str]) -> None:
    make_data(count=8)
    wild = "--set learning_rate=1e30 --set optimizer=sgd --set clip=1e30 --set validations=100"
    assert cli.main(f"train data --out run {TINY} --steps 400 {wild}".split()) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("unet: error: no finite loss in 10 steps in a row, the last with p0")
    assert last.endswith("the model kept so far stays")
    assert bundle.load(Path("run/model.safetensors")).provenance["step"] >= 1
    assert "No finite loss in 10 steps in a row" in Path("run/report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_what_is_not_said_is_measured_and_planned(make_data: DataMaker) -> None:
    make_data()
    unet("train data --out run --steps 1 --set width=4")
    settings = config.load_toml(Path("run/config.toml"))
    assert settings.training.precision in ("32-true", "bf16-mixed") and settings.training.channels_last is not None
    assert settings.data.scale == 1.0 and settings.data.crop == (24, 32) and settings.training.workers == 0


@pytest.mark.slow
def test_a_run_without_a_name_gets_one(make_data: DataMaker) -> None:
    make_data("streets")
    unet(f"train streets --steps 1 {TINY}")
    (run,) = Path("runs").iterdir()
    assert run.name.startswith("streets-2")


@pytest.mark.slow
def test_the_settings_of_a_run_start_the_same_run_bit_for_bit(make_data: DataMaker) -> None:
    make_data(count=6)
    trained("data --set augment=light --set seed=7", "first")
    unet("train --config first/config.toml --out second")
    assert Path("first/config.toml").read_bytes() == Path("second/config.toml").read_bytes()
    for name in ("model.safetensors", "checkpoints/last.safetensors"):
        assert same(load_file(f"first/{name}"), load_file(f"second/{name}"))
    trained("data --set seed=8", "third")
    assert not same(load_file("first/model.safetensors"), load_file("third/model.safetensors"))


@pytest.mark.slow
def test_flags_outdo_set_and_file(make_data: DataMaker) -> None:
    make_data()
    make_data("other")
    Path("given.toml").write_text(
        '[data]\nimages = "data/imgs"\nmasks = "data/masks"\nval = 0.5\n'
        "[model]\nwidth = 6\n[training]\nseconds = 900\nbatch_size = 1\n",
        encoding="utf-8",
    )
    trained("other --config given.toml --set training.batch_size=3 --steps 2")
    settings = config.load_toml(Path("run/config.toml"))
    assert (settings.data.root, settings.data.images, settings.data.val) == ("other", None, "0.5")
    assert (settings.model.width, settings.training.batch_size) == (4, 3)
    assert (settings.training.steps, settings.training.seconds) == (2, None)
    unet(f"train --config given.toml --out second {TINY} --set steps=1")
    settings = config.load_toml(Path("second/config.toml"))
    assert (settings.data.images, settings.training.steps, settings.training.seconds) == ("data/imgs", 1, None)


# --- where it is written


@pytest.mark.slow
def test_a_run_is_not_lost_unasked(make_data: DataMaker, capsys: pytest.CaptureFixture[str]) -> None:
    make_data()
    trained("data --set seed=1")
    before = Path("run/model.safetensors").read_bytes()
    message = refusal(f"train data --out run --steps 1 {TINY}", capsys)
    assert "--resume run" in message and "--overwrite" in message
    assert Path("run/model.safetensors").read_bytes() == before
    trained("data --set seed=2 --overwrite --steps 3")
    assert Path("run/model.safetensors").read_bytes() != before
    assert config.load_toml(Path("run/config.toml")).training.steps == 3
    assert Path("run/metrics.csv").read_text(encoding="utf-8").count("\n") == 4, "nothing of the earlier run"


@pytest.mark.slow
def test_overwriting_with_its_own_settings_keeps_what_was_asked(make_data: DataMaker) -> None:
    make_data()
    trained("data")
    unet("train --config run/config.toml --out run --overwrite --steps 2")
    settings = config.load_toml(Path("run/config.toml"))
    assert settings.training.steps == 2
    unet("train --config run/config.toml --out run --overwrite --set seed=5")
    assert config.load_toml(Path("run/config.toml")).training.seed == 5


@pytest.mark.slow
def test_overwrite_spares_a_folder_that_holds_no_run(make_data: DataMaker, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_data()
    (data / "classes.csv").write_text("name,value\nroad,0\ncar,1\n", encoding="utf-8")
    assert "holds no run" in refusal(f"train data --out data --overwrite --steps 1 {TINY}", capsys)
    assert (data / "classes.csv").exists()
    trained("data")
    Path("run/notes.csv").write_text("mine", encoding="utf-8")
    trained("data --overwrite")
    assert Path("run/notes.csv").read_text(encoding="utf-8") == "mine"


def test_settings_are_checked_before_anything_is_read_or_written(
    make_data: DataMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    make_data()
    for wrong in (
        "--set loss=magic", "--set architecture=vnet", "--device cuda:99", "--precision fp16 --device cpu",
        "--load nowhere.pth", "--set crop=[0,8]", "--set seed=99999999999999999999",
    ):  # fmt: skip
        refusal(f"train data --out run --steps 1 {wrong}", capsys)
        assert not Path("run").exists()


@pytest.mark.slow
def test_a_run_that_failed_before_its_first_step_is_no_obstacle(make_data: DataMaker) -> None:
    make_data()
    Path("run/checkpoints").mkdir(parents=True)
    for name in ("run.lock", "config.toml"):  # killed while its record was written
        Path("run", name).write_text("", encoding="utf-8")
    trained("data")


# --- the split


@pytest.mark.slow
def test_a_share_is_held_out(make_data: DataMaker) -> None:
    make_data(count=10)
    model = trained("data --val 0.3")
    assert len(held_out("run")) == 3
    assert (model.provenance["train_pictures"], model.provenance["val_pictures"]) == (7, 3)


@pytest.mark.slow
def test_a_folder_is_held_out(make_data: DataMaker) -> None:
    make_data(count=3)
    make_data("other", count=2, seed=9)
    trained("data --val other")
    assert {image["image"] for image in scores_of("run")["images"]} == {
        str(Path(f"other/imgs/{name}.png").absolute()) for name in ("p00", "p01")
    }


@pytest.mark.slow
def test_a_list_is_held_out(make_data: DataMaker) -> None:
    make_data(count=5)
    Path("val.txt").write_text("p01\np03.png\n", encoding="utf-8")
    trained("data --val val.txt")
    assert held_out("run") == {"p01", "p03"}


@pytest.mark.slow
def test_groups_stay_together(make_data: DataMaker) -> None:
    data = make_data(count=8)
    for number in range(8):
        name = f"{'abcd'[number // 2]}_{number}"
        (data / "imgs" / f"p{number:02}.png").rename(data / "imgs" / f"{name}.png")
        (data / "masks" / f"p{number:02}_mask.png").rename(data / "masks" / f"{name}_mask.png")
    trained("data --group ^[^_]+ --val 0.25")
    assert len(held_out("run")) == 2 and len({name[0] for name in held_out("run")}) == 1


@pytest.mark.slow
def test_folders_decide_the_split_and_that_is_said(make_data: DataMaker, capsys: pytest.CaptureFixture[str]) -> None:
    make_data("data/train", count=3)
    make_data("data/val", count=2, seed=4)
    trained("data --val 0.9")
    assert "val and group have no effect" in capsys.readouterr().err
    assert len(held_out("run")) == 2


@pytest.mark.slow
def test_two_folders_and_a_suffix(make_data: DataMaker) -> None:
    make_data(images="scans", masks="drawn", suffix="_GT")
    trained("--images data/scans --masks data/drawn --mask-suffix _GT")
    assert config.load_toml(Path("run/config.toml")).data.mask_suffix == "_GT"


@pytest.mark.slow
def test_the_plan_knows_nothing_of_the_pictures_held_out(make_data: DataMaker) -> None:
    make_data("data/train", count=3)
    light = make_data("data/val", count=2, seed=4)
    rewrite_pictures(light, lambda picture: 255 - picture)
    make_data("only", count=4)
    with_light = trained("data")
    grey = np.concatenate([raster.read(path).reshape(-1, 3) for path in sorted(Path("data/train/imgs").iterdir())])
    assert with_light.preprocessing.mean == pytest.approx((grey / 255).mean(axis=0), abs=1e-6)


# --- what the masks mean


@pytest.mark.slow
def test_damaged_masks_are_refused_and_then_cleaned(make_data: DataMaker, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_data(count=6, size=(48, 64))
    rewrite_masks(data, lambda mask: mask * 255, ".jpg")
    message = refusal(f"train data --out run --steps 1 {TINY}", capsys)
    assert "JPEG" in message and "--mask-values 0,255" in message
    assert not Path("run").exists()
    model = trained("data --mask-values 0,255")
    assert model.labels.values == (0, 255) and model.labels.rule == "nearest"
    assert len(scores_of("run")["classes"]) == 2


@pytest.mark.slow
def test_numbered_objects_are_learnt_as_one_class(make_data: DataMaker, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_data(count=6, size=(48, 64))

    def numbered(mask: NDArray[np.uint8]) -> NDArray[np.uint16]:
        rows, columns = np.indices(mask.shape) // 12
        return ((rows * 6 + columns + 1) * (rows % 2) * (columns % 2) * 10).astype(np.uint16)

    rewrite_masks(data, numbered, ".tif")
    assert "--instances" in refusal(f"train data --out run --steps 1 {TINY}", capsys)
    model = trained("data --instances")
    assert model.labels.names == ("background", "object") and model.labels.kind == "instances"


@pytest.mark.slow
def test_ignored_pixels_do_not_count(make_data: DataMaker) -> None:
    data = make_data(count=4)

    def with_void(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        mask = mask.copy()
        mask[-4:] = 2
        mask[:, :5] = 255
        return mask

    rewrite_masks(data, with_void)
    model = trained("data --val 0.5")
    assert model.labels.values == (0, 1, 2) and model.labels.ignored == (255,)
    assert sum(row["pixels"] for row in scores_of("run")["classes"]) == 2 * 24 * (32 - 5)
    model = trained("data --val 0.5 --ignore 2", "second")
    assert model.labels.values == (0, 1) and set(model.labels.ignored) == {2, 255}
    assert sum(row["pixels"] for row in scores_of("second")["classes"]) == 2 * (24 - 4) * (32 - 5)


@pytest.mark.slow
def test_colours_are_named_by_a_table(make_data: DataMaker) -> None:
    data = make_data(count=4)
    colors = np.array([[0, 0, 0], [10, 200, 10], [200, 200, 0]], np.uint8)

    def painted(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        mask = mask.copy()
        mask[:3] = 2
        return colors[mask]

    rewrite_masks(data, painted)
    (data / "classes.csv").write_text("Name,R,G,B\nvoid,0,0,0\ntree,10,200,10\nhouse,200,200,0\n", encoding="utf-8")
    model = trained("data")
    assert model.labels.names == ("tree", "house")
    assert model.labels.values == model.labels.colors == ((10, 200, 10), (200, 200, 0))
    assert model.labels.ignored == ((0, 0, 0),)
    Path("other.csv").write_text("name,r,g,b\nnone,0,0,0\ntree,10,200,10\nhouse,200,200,0\n", encoding="utf-8")
    assert trained("data --classes other.csv", "second").labels.names == ("none", "tree", "house")


@pytest.mark.slow
def test_one_output_for_two_classes(make_data: DataMaker) -> None:
    data = make_data(count=8)
    model = trained("data --set outputs=1 --set loss=ce --steps 60 --set augment=none --set validations=2")
    assert (model.spec.classes, len(model.labels)) == (1, 2)
    assert scores_of("run")["classes"][1]["iou"] > 0.5, "bright squares on dark noise are easy"
    unet("predict -m run/model.safetensors -i data/imgs/p00.png -o out.png --raw-values")
    with Image.open("out.png") as mask:
        assert mask.mode == "1"
        assert set(np.unique(np.asarray(mask))) <= {0, 1}
    unet("evaluate run/model.safetensors data --json scores.json")
    scores = json.loads(Path("scores.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in scores["classes"]] == ["background", "foreground"]
    assert np.shape(scores["confusion"]) == (2, 2)
    assert np.sum(scores["confusion"]) == 8 * 24 * 32
    assert data.is_dir()


@pytest.mark.slow
def test_a_loss_of_ones_own(make_data: DataMaker) -> None:
    make_data()
    text = "0.5*focal(gamma=2)+tversky(beta=2)"
    trained(f"data --loss {text}")
    assert config.load_toml(Path("run/config.toml")).training.loss == text


@pytest.mark.slow
def test_more_outputs_than_the_masks_have_classes(make_data: DataMaker, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_data()
    model = trained("data --set outputs=4")
    assert model.spec.classes == 4 and len(model.labels) == 4
    rewrite_masks(data, lambda mask: mask + (np.indices(mask.shape)[0] < 3))
    Path("again").mkdir()
    assert cli.main(f"train data --out again --steps 1 {TINY} --set outputs=1".split()) == 2
    assert "3 in the masks" in capsys.readouterr().err


# --- kinds of pictures


@pytest.mark.slow
def test_grey_pictures(make_data: DataMaker) -> None:
    rewrite_pictures(make_data(), lambda picture: picture[..., 0])
    model = trained("data")
    assert model.spec.bands == 1 and len(model.preprocessing.mean) == 1


@pytest.mark.slow
def test_transparency_is_dropped(make_data: DataMaker) -> None:
    rewrite_pictures(make_data(), lambda picture: np.dstack([picture, np.full(picture.shape[:2], 77, np.uint8)]))
    assert trained("data").spec.bands == 3


@pytest.mark.slow
def test_sixteen_bits(make_data: DataMaker) -> None:
    rewrite_pictures(make_data(), lambda picture: picture[..., 0].astype(np.uint16) * 13, ".tif")
    model = trained("data")
    assert model.spec.bands == 1
    assert 1000 < model.preprocessing.data_range <= 255 * 13, "near the brightest value, not 65535"
    unet("predict -m run/model.safetensors -i data/imgs/p00.tif -o out.png")


@pytest.mark.slow
def test_sixteen_bit_colours(make_data: DataMaker) -> None:
    data = make_data()
    for path in sorted((data / "imgs").iterdir()):
        path.write_bytes(png_of_16_bits(raster.read(path).astype(np.uint16) * 200))
    assert raster.read(data / "imgs" / "p00.png").dtype == np.uint16
    assert trained("data").spec.bands == 3


def png_of_16_bits(picture: NDArray[np.uint16]) -> bytes:
    """Return a PNG of 3 x 16 bits, which Pillow cannot write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width, _ = picture.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in picture)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.slow
@pytest.mark.parametrize("whole", ["true", "false"])
def test_pictures_of_all_kinds_and_sizes_together(make_data: DataMaker, whole: str) -> None:
    data = make_data(count=2, size=(24, 32))
    for number, (height, width, mode, ending) in enumerate(
        [
            (17, 40, "L", "png"),
            (50, 23, "RGBA", "png"),
            (33, 33, "RGB", "jpg"),
            (20, 61, "P", "gif"),
            (9, 9, "RGB", "bmp"),
        ]
    ):
        rng = np.random.default_rng(number)
        picture = Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8)).convert(mode)
        picture.save(data / "imgs" / f"q{number}.{ending}")
        mask = rng.integers(0, 2, (height, width), dtype=np.uint8)
        raster.write_mask(data / "masks" / f"q{number}_mask.png", mask, [0, 0, 0, 200, 30, 30])
    model = trained(f"data --set whole={whole} --set batch_size=3 --val 0.3")
    assert model.spec.bands == 3
    unet("predict -m run/model.safetensors -i data/imgs -o masks")
    for path in Path("data/imgs").iterdir():
        with Image.open(path) as picture, Image.open(Path("masks", f"{path.stem}_OUT.png")) as mask:
            assert mask.size == picture.size


def test_pictures_that_cannot_be_brought_together(make_data: DataMaker, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_data()
    (data / "imgs" / "p01.png").unlink()
    np.save(data / "imgs" / "p01.npy", np.zeros((24, 32, 7), np.uint8))
    assert cli.main(f"train data --out run --steps 1 {TINY}".split()) == 2
    assert "p01.npy has 7 bands, most others have 3" in capsys.readouterr().err


# --- starting from a model


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_training_starts_from_a_model(make_data: DataMaker, ending: str) -> None:
    make_data()
    first = trained("data --set standardise=false", "first")
    model = "first/model.safetensors"
    if ending == "pth":
        unet("convert first/model.safetensors first.pth")
        model = "first.pth"
    # No width, no depth: the model says them.
    unet(
        f"train data --load {model} --out second --steps 1 --set learning_rate=1e-12 --set standardise=false "
        "--set precision=32-true --set channels_last=false --set optimizer=sgd"
    )
    second = bundle.load(Path("second/model.safetensors"))
    assert second.spec == replace(first.spec, deep_supervision=ending == "safetensors")  # which a .pth does not hold
    learnt = [name for name in second.state if name.endswith(("weight", "bias"))]
    assert all(torch.allclose(first.state[name], second.state[name], atol=1e-6) for name in learnt)
    assert config.load_toml(Path("second/config.toml")).model.width == 4


@pytest.mark.slow
def test_a_model_of_another_kind_is_no_start(make_data: DataMaker, capsys: pytest.CaptureFixture[str]) -> None:
    make_data()
    trained("data")
    model = "--load run/model.safetensors --out second --steps 1"
    assert "width = 8; expected 4" in refusal(f"train data {model} --set width=8", capsys)
    assert "depth = 3; expected 2" in refusal(f"train data {model} --set depth=3", capsys)
    rewrite_pictures(Path("data"), lambda picture: picture[..., 0])
    assert cli.main(f"train data {model}".split()) == 2
    assert "3 bands and 2 outputs; expected 1 bands" in capsys.readouterr().err


@pytest.mark.slow
def test_the_old_command_goes_on_from_its_own_checkpoint(make_data: DataMaker) -> None:
    make_data(count=4, size=(32, 48))
    train_legacy(epochs=1, scale=1.0, val_percent=25)
    checkpoint = Path("checkpoints/checkpoint_epoch1.pth")
    first = bundle.load(checkpoint)
    train_legacy(epochs=1, scale=1.0, val_percent=25, lr=1e-12, load=checkpoint)
    second = bundle.load(checkpoint)
    name = "inc.double_conv.0.weight"
    assert torch.allclose(first.state[name], second.state[name], atol=1e-6)
    (shelf,) = (path for path in Path("checkpoints").iterdir() if path.is_dir())
    assert [path.name for path in shelf.iterdir()] == ["checkpoint_epoch1.pth"], "the first one is still there"


# --- going on


@pytest.mark.slow
def test_resume_stands_alone(make_data: DataMaker, capsys: pytest.CaptureFixture[str]) -> None:
    make_data()
    trained("data")
    assert "DATA, --set width" in refusal("train data --resume run --set width=9", capsys)
    assert "is no folder" in refusal("train --resume nowhere", capsys)
    assert "data holds no run to go on with" in refusal("train --resume data", capsys)
    for name in ("last", "before"):
        Path(f"run/checkpoints/{name}.safetensors").write_bytes(b"damaged")
    capsys.readouterr()
    assert cli.main(["train", "--resume", "run"]) == 2
    assert "not a state" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("removed", [("last",), ("last", "before")])
def test_a_run_without_its_last_state_comes_to_the_same_end(make_data: DataMaker, removed: tuple[str, ...]) -> None:
    make_data(count=6)
    trained("data --set validations=4 --set augment=light")
    states = [load_file(f"run/{name}") for name in ("model.safetensors", "checkpoints/last.safetensors")]
    for name in removed:
        Path(f"run/checkpoints/{name}.safetensors").unlink()
    unet("train --resume run")
    again = [load_file(f"run/{name}") for name in ("model.safetensors", "checkpoints/last.safetensors")]
    assert all(same(left, right) for left, right in zip(states, again, strict=True))
    with Path("run/metrics.csv").open(encoding="utf-8", newline="") as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["1", "2", "3", "4"]


@pytest.mark.slow
def test_a_finished_run_can_be_given_more_steps(make_data: DataMaker) -> None:
    make_data()
    trained("data --set validations=2")
    plan = Path("run/plan.md").read_text(encoding="utf-8")
    before = Path("run/model.safetensors").read_bytes()
    unet("train --resume run")
    assert Path("run/model.safetensors").read_bytes() == before, "there was nothing left to do"
    assert Path("run/plan.md").read_text(encoding="utf-8") == plan
    text = Path("run/config.toml").read_text(encoding="utf-8")
    Path("run/config.toml").write_text(text.replace("steps = 4", "steps = 6"), encoding="utf-8")
    unet("train --resume run")
    with Path("run/metrics.csv").open(encoding="utf-8", newline="") as file:
        steps = [int(row["step"]) for row in csv.DictReader(file)]
    assert steps == sorted(set(steps)) and steps[-1] == 6


# --- time


@pytest.mark.slow
def test_time_is_kept(make_data: DataMaker) -> None:
    make_data(count=6)
    model = trained("data --time 20s")
    assert 0 < model.provenance["seconds"] < 20
    with Path("run/metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["seconds"]) < 20 and int(rows[-1]["step"]) > 4
    assert len({row["step"] for row in rows}) == len(rows)


# --- trackers


@pytest.mark.slow
def test_tensorboard_gets_numbers_pictures_and_distributions(make_data: DataMaker) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    make_data()
    trained("data --track tensorboard --set log_every=2")
    events = accumulator.EventAccumulator("run/tensorboard")
    events.Reload()
    tags = events.Tags()
    assert {"train_loss", "val_mean_iou", "lr"} <= set(tags["scalars"])
    assert [event.step for event in events.Scalars("val_mean_iou")] == [1, 2, 3, 4]
    assert [event.step for event in events.Scalars("step/loss")] == [2, 4]
    assert events.Scalars("step/pictures_per_second")[0].value > 0
    classes = scores_of("run")["classes"]
    logged = {name: [event.value for event in events.Scalars(f"iou/{name}")] for name in ("background", "foreground")}
    assert all(any(value == pytest.approx(row["iou"]) for value in logged[row["name"]]) for row in classes)
    assert tags["images"] and all(name.startswith("validation/p0") for name in tags["images"])
    assert "weights/inc.double_conv.0.weight" in tags["histograms"]
    assert "gradients/inc.double_conv.0.weight" in tags["histograms"]
    # A new run in the same folder begins with a clean sheet.
    trained("data --track tensorboard --overwrite --steps 2")
    assert len(list(Path("run/tensorboard").iterdir())) == 1


@pytest.mark.slow
def test_weights_and_biases_offline(make_data: DataMaker, tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    make_data()
    environment = {**os.environ, "WANDB_MODE": "offline", "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "unet", *f"train data --out run --steps 2 --track wandb {TINY}".split()]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (log,) = Path("run/wandb").glob("offline-run-*/*.wandb")
    content = log.read_bytes()
    for name in (b"val_mean_iou", b"weights/inc.double_conv.0.weight", b"gradients/outc.conv.weight", b"histogram"):
        assert name in content
    assert list(Path("run/wandb").glob("offline-run-*/files/media/images/validation*/p0*.png"))


@pytest.mark.slow
def test_a_tracker_that_cannot_log_in_is_one_line(
    make_data: DataMaker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb")

    def init(**options: Any) -> None:
        raise wandb.errors.UsageError("No API key configured")

    monkeypatch.setattr(wandb, "init", init)
    make_data()
    assert cli.main(f"train data --out run --steps 1 --track wandb {TINY}".split()) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("unet: error: ") and "WANDB_MODE=offline" in last


# --- real pictures


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "flags"),
    [("ultrasound", ""), ("camvid", ""), ("msrc2_seg", "--val {}/msrc2_seg/Validation.txt")],
)
def test_real_data_of_many_kinds(shared_data: Path, name: str, flags: str) -> None:
    line = f"train {shared_data / name} {flags.format(shared_data)} --out run --steps 3 --set scale=0.1 {TINY}"
    unet(line + " --set validations=1")
    assert scores_of("run")["pixel_accuracy"] > 0


@pytest.mark.slow
def test_real_masks_saved_as_jpeg_are_not_learnt_as_256_classes(
    shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refusal(f"train {shared_data / 'isbi_em'} --out run --steps 1 {TINY}", capsys)
    assert "--mask-values 0,255" in message
