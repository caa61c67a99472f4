"""`unet import`: small sets of every format made here, read back as masks and trained on; and what is refused."""

from __future__ import annotations

import base64
import io
import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pycocotools.mask as coco_mask
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from rasterio.features import shapes

from unet import cli, raster
from unet.config import DataConfig
from unet.data.importing import writing
from unet.data.pairs import find_pairs
from unet.runs.source import read_source
from unet.terminal.display import open_display

HEIGHT, WIDTH = 30, 40
TRAIN = "--steps 2 --set width=4 --set depth=2 --out run"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def png(array: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def noise(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def picture(path: str | Path, seed: int = 0) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(seed)).save(path)
    return path


def box(left: float, top: float, right: float, bottom: float) -> list[float]:
    return [left, top, right, top, right, bottom, left, bottom]


def write_json(path: str | Path, data: Any) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(data), encoding="utf-8")


def imported(line: str = "source --out out") -> Path:
    assert cli.main(shlex.split(f"import {line}")) == 0
    return Path("out")


def mask(name: str, folder: str = "out/masks") -> np.ndarray[Any, Any]:
    return raster.read_mask(Path(folder) / f"{name}.png")


def table(folder: str = "out") -> list[str]:
    return Path(folder, "classes.csv").read_text(encoding="utf-8").splitlines()


def refusal(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command line that must be refused as all are; return what it printed."""
    before = sorted(Path().rglob("*"))
    capsys.readouterr()
    assert cli.main(shlex.split(line)) == 2
    printed = capsys.readouterr()
    first, *faults = printed.err.splitlines()
    assert printed.out == "" and first.startswith("unet: error: ")
    assert all(fault.startswith("  ") for fault in faults) and len(faults) != 1
    assert sorted(Path().rglob("*")) == before, "nothing is written"
    return printed.err


# --- the data sets


def coco(**changes: Any) -> dict[str, Any]:
    """Return the tables of two pictures: a square in a larger one, a polygon in two parts; and one without objects."""
    tables: dict[str, Any] = {
        "info": {"description": "made here"},
        "images": [{"id": n, "file_name": f"{n}.png", "height": HEIGHT, "width": WIDTH} for n in (1, 2, 3)],
        "categories": [{"id": 7, "name": "cat, tabby"}, {"id": 3, "name": "dog"}],
        "annotations": [
            {"id": 10, "image_id": 1, "category_id": 3, "iscrowd": 0, "segmentation": [box(12, 12, 16, 16)]},
            {"id": 11, "image_id": 1, "category_id": 7, "iscrowd": 0, "segmentation": [box(10, 10, 30, 20)]},
            {
                "id": 12, "image_id": 2, "category_id": 3, "iscrowd": 0,
                "segmentation": [box(0, 0, 5, 5), box(20, 20, 25, 25)],
            },
        ],
    }  # fmt: skip
    return {**tables, **changes}


def make_coco(tables: dict[str, Any] | None = None) -> None:
    for number in (1, 2, 3):
        picture(f"source/images/{number}.png", number)
    write_json("source/annotations/instances_default.json", tables or coco())


def shape(label: str, kind: str, *points: tuple[float, float], **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}, **more}


def make_labelme(*shapes: dict[str, Any], name: str = "a", with_picture: bool = True, **changes: Any) -> None:
    page = {
        "version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": f"{name}.png", "imageData": None,
        "imageHeight": HEIGHT, "imageWidth": WIDTH,
    }  # fmt: skip
    write_json(f"source/{name}.json", {**page, **changes})
    if with_picture:
        picture(f"source/{name}.png")


def make_yolo(labels: str = "1 0.25 0.2 0.75 0.2 0.75 0.8 0.25 0.8\n") -> None:
    for part in ("train", "val"):
        for number in (1, 2):
            picture(f"source/images/{part}/{number}.png", number)
    for name in ("train/1", "train/2", "val/1"):
        Path(f"source/labels/{name}.txt").parent.mkdir(parents=True, exist_ok=True)
        Path(f"source/labels/{name}.txt").write_text(labels)
    Path("source/data.yaml").write_text("train: images/train\nval: images/val\nnames: [road, house]\n")


Row = dict[str, Any]


def rows(count: int = 3, mode: str = "L") -> list[Row]:
    """Return rows of a picture and a label of four values, stored in one of Pillow's modes."""
    made = []
    for number in range(count):
        label = np.random.default_rng(number).integers(0, 4, (HEIGHT, WIDTH)).astype(np.uint8)
        image = Image.fromarray(label)
        if mode == "P":
            image.putpalette([9, 9, 9, 80, 0, 0, 0, 80, 0, 0, 0, 80])
        elif mode != "L":
            image = Image.fromarray(label.astype({"I": np.int32, "I;16": np.uint16}[mode]))
        file = io.BytesIO()
        image.save(file, "TIFF" if mode == "I" else "PNG")
        made.append(
            {
                "pixel_values": {"bytes": png(noise(number)), "path": None},
                "label": {"bytes": file.getvalue(), "path": f"deep/street {number}.png"},
            }
        )
    return made


def make_huggingface(content: list[Row] | None = None, name: str = "train-00000-of-00001", **more: Any) -> None:
    Path("source/data").mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(content or rows()), f"source/data/{name}.parquet", row_group_size=2, **more)
    write_json("source/id2label.json", {"0": "unlabeled", "1": "flat-road", "2": "car", "3": "sky"})


def make_objects(count: int = 3) -> None:
    for number in range(count):
        picture(f"source/p.{number}/images/x{number}.png", number)
        Path(f"source/p.{number}/masks").mkdir()
        for place in (2, 20):
            inside = np.zeros((HEIGHT, WIDTH), np.uint8)
            inside[5:15, place : place + 10 + number] = 255
            Image.fromarray(inside).save(f"source/p.{number}/masks/{place}.png")


def make_nnunet(
    root: str = "source", *, channels: int = 1, bands: int = 1, ending: str = ".png", parts: str = "Tr", **changes: Any
) -> None:
    """Write three cases: `channels` files for each, of `bands` bands; labels 0, 1 and 2, which is to be ignored."""
    for part in parts.split():
        for number in range(3):
            for channel in range(channels):
                path = Path(root, f"images{part}", f"case_{number}_{channel:04}{ending}")
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(noise(10 * number + channel)[..., 0] if bands == 1 else noise(number)).save(path)
            label = np.zeros((HEIGHT, WIDTH), np.uint8)
            label[5:15, 5 : 15 + number], label[0] = 1, 2
            path = Path(root, f"labels{part}", f"case_{number}{ending}")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(label).save(path)
    described = {
        "channel_names": {str(number): f"c{number}" for number in range(channels * bands)},
        "labels": {"background": 0, "cell": 1, "ignore": 2}, "numTraining": 3, "file_ending": ending,
    }  # fmt: skip
    kept = {key: value for key, value in {**described, **changes}.items() if value is not None}
    write_json(f"{root}/dataset.json", kept)


MAKERS: dict[str, Callable[[], None]] = {
    "coco": make_coco,
    "labelme": lambda: [
        make_labelme(shape("a", "polygon", (1, 1), (30, 2), (9, 25)), name=name) for name in ("x", "y", "z")
    ] and None,
    "yolo": make_yolo,
    "huggingface": make_huggingface,
    "objects": make_objects,
    "nnunet": make_nnunet,
}  # fmt: skip


@pytest.mark.parametrize("form", MAKERS)
def test_what_is_imported_is_read_without_a_flag(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    MAKERS[form]()
    out = imported()
    assert f"unet train {out}" in capsys.readouterr().err
    source = read_source(DataConfig(root=str(out)), None, 0, open_display(), Path("prepared"))
    names = [line.rpartition(",")[0] for line in table()]
    assert len(source.labels) == len(names) - 1 - (form == "huggingface")  # unlabelled does not count
    assert not list(out.rglob(".*"))
    again = imported(f"source --format {form} --out again")
    files = [path for path in sorted(again.rglob("*")) if path.is_file()]
    assert all(path.read_bytes() == Path("again", path.relative_to("out")).read_bytes() for path in files)


@pytest.mark.slow
@pytest.mark.parametrize("form", MAKERS)
def test_what_is_imported_is_trained_on(form: str) -> None:
    MAKERS[form]()
    assert cli.main(shlex.split(f"train {imported()} {TRAIN}")) == 0
    assert Path("run/model.safetensors").exists()


# --- COCO


def test_coco_polygons(capsys: pytest.CaptureFixture[str]) -> None:
    make_coco()
    imported()
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[10:20, 10:30] = 2
    expected[12:16, 12:16] = 1  # the smaller is seen, although it comes first
    assert np.array_equal(mask("1"), expected)
    assert (mask("2") == 1).sum() == 50 and not mask("3").any()
    assert [line.partition(",")[0] for line in table()[:3]] == ["name", "background", "dog"]
    assert table()[3].startswith('"cat, tabby",2,')
    assert raster.mask_palette("out/masks/1.png")[1] == tuple(int(n) for n in table()[2].split(",")[2:])  # type: ignore
    assert Path("out/images/1.png").read_bytes() == Path("source/images/1.png").read_bytes()
    assert "1 picture without any object: all background" in capsys.readouterr().err


@pytest.mark.parametrize("compressed", [True, False])
def test_coco_runs_are_the_masks_that_pycocotools_wrote(compressed: bool) -> None:
    drawn = np.random.default_rng(0).random((HEIGHT, WIDTH)) < 0.4
    encoded = coco_mask.encode(np.asfortranarray(drawn.astype(np.uint8)))
    flat = drawn.ravel(order="F")
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat]).astype(int)))
    counts = encoded["counts"].decode() if compressed else np.diff([0, *edges, flat.size]).tolist()
    runs = {"counts": counts, "size": [HEIGHT, WIDTH]}
    crowd = {"id": 1, "image_id": 2, "category_id": 7, "segmentation": runs, "iscrowd": 1}
    make_coco(coco(annotations=[crowd, *coco()["annotations"][:2]]))
    imported()
    assert np.array_equal(mask("2") == 2, drawn)
    shutil.rmtree("out")
    imported("source --out out --ignore-crowd")
    assert np.array_equal(mask("2") == 255, drawn)


def test_coco_parts_and_pictures_of_one_name_in_two_folders() -> None:
    for seed, part in enumerate(("train2017", "val2017")):
        for number in (1, 2, 3):
            picture(f"source/{part}/{number}.png", 10 * seed + number)
        write_json(f"source/annotations/instances_{part}.json", coco())
        write_json(f"source/annotations/captions_{part}.json", {"images": [], "annotations": [{"caption": "a dog"}]})
    parts = find_pairs(imported())
    assert {part: [pair.name for pair in pairs] for part, pairs in parts.items()} == {
        "train": ["1", "2", "3"],
        "val": ["1", "2", "3"],
    }
    assert Path("out/val/images/1.png").read_bytes() == Path("source/val2017/1.png").read_bytes()


def test_coco_beside_its_pictures_and_far_from_them() -> None:
    for part in ("train", "valid"):
        for number in (1, 2, 3):
            picture(f"source/{part}/{number}.png")
        write_json(f"source/{part}/_annotations.coco.json", coco())
    assert sorted(path.name for path in imported().iterdir()) == ["classes.csv", "train", "val"]
    shutil.move("source/valid/_annotations.coco.json", "elsewhere.json")
    assert cli.main(shlex.split("import elsewhere.json --images source/valid --out single")) == 0
    assert len(list(Path("single/images").iterdir())) == 3


def test_every_fault_of_coco_is_named_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    def annotation(key: int, **changes: Any) -> dict[str, Any]:
        return {"id": key, "image_id": 1, "category_id": 3, "segmentation": [box(1, 1, 5, 5)], **changes}

    make_coco(
        coco(
            annotations=[
                annotation(20, category_id=99),
                annotation(21, segmentation=[]),
                annotation(22, segmentation=[box(-30, 0, 5, 5)]),
                annotation(23, segmentation=[[1, 2, 3, 4]]),
                annotation(24, segmentation=[[1, 2, "x", 4, 5, 6]]),
                annotation(25, segmentation={"counts": [5], "size": [HEIGHT, WIDTH]}),
                annotation(26, segmentation={"counts": "~~", "size": [HEIGHT, WIDTH]}),
                annotation(27, segmentation={"counts": [9], "size": [1, 9]}),
                annotation(28, image_id=77),
                annotation(29, segmentation=None, bbox=[1, 2, 3, 4]),
                annotation(30),
            ],
            images=[
                *coco()["images"][:2],
                {"id": 3, "file_name": "3.png", "height": 10, "width": 10},
                {"id": 4, "file_name": "nowhere.png"},
                {"id": 2, "file_name": "2.png"},
                "x",
            ],
        )
    )
    printed = refusal("import source --out out", capsys)
    for words in (
        "annotation 20: category 99; expected one of 3, 7", "annotation 21: no segmentation",
        "annotation 22: points from (-30, 0) to (5, 5) leave the picture of 40 x 30", "annotation 23: 4 numbers",
        "annotation 24: points that are not pairs", "annotation 25: runs of 5 pixels", "annotation 26: compressed runs",
        "annotation 27: runs for a size of [1, 9]", "annotation 28 is of an unknown image (77)",
        "annotation 29: no segmentation", "image 3 (3.png): the annotations are for 10 x 10 pixels, the picture has 40",
        "there is no picture nowhere.png", "two images with the id 2", "image 6 in the list has no id",
    ):  # fmt: skip
        assert words in printed
    assert "14 faults" in printed and "annotation 30" not in printed


def test_faults_are_left_out_and_listed_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    make_coco(coco(annotations=[*coco()["annotations"], {"id": 5, "image_id": 2, "category_id": 8}]))
    imported("source --out out --skip-faulty")
    assert sorted(path.name for path in Path("out/images").iterdir()) == ["1.png", "3.png"]
    assert "annotation 5: category 8" in Path("out/left_out.txt").read_text()
    assert "1 fault left out" in capsys.readouterr().err


def test_a_name_leads_nowhere_else_and_two_names_to_no_single_picture(capsys: pytest.CaptureFixture[str]) -> None:
    make_coco(coco(images=[{"id": 1, "file_name": "../../images/1.png"}]))
    assert "annotation 12 is of an unknown image" in refusal("import source --out out", capsys)
    imported("source --out out --skip-faulty")
    assert [path.name for path in Path("out/images").rglob("*.png")] == ["1.png"]
    make_coco(coco(images=[{"id": n, "file_name": f"{n}/1.png"} for n in (1, 2)]))
    assert "is the only picture for it and for 1/1.png" in refusal("import source --out other", capsys)


# --- LabelMe


def test_labelme_shapes() -> None:
    stamp = np.zeros((4, 6), np.uint8)
    stamp[1:3] = 1
    make_labelme(
        shape("field", "rectangle", (40, 30), (0, 0)),
        shape("_background_", "polygon", (30, 20), (40, 20), (40, 30), (30, 30)),
        shape("pond", "circle", (10, 10), (10, 14)),
        shape("path", "linestrip", (20, 2), (35, 2), (35, 12)),
        shape("tree", "point", (5, 25)),
        shape("house", "mask", (20, 20), (25, 23), mask=base64.b64encode(png(stamp * 255)).decode()),
        shape("__ignore__", "line", (0, 16), (15, 16)),
        imagePath="..\\somewhere\\a.png",
    )
    imported("source --out out --line-width 4")
    names = {line.split(",")[0]: int(line.split(",")[1]) for line in table()[1:]}
    assert names == {"background": 0, "field": 1, "house": 2, "path": 3, "pond": 4, "tree": 5}
    target = mask("a")
    assert not target[20:30, 30:40].any()
    assert (target == names["pond"]).sum() == pytest.approx(np.pi * 16, abs=4)
    assert (target[:4, 20:35] == names["path"]).all() and (target[2:12, 33:37] == names["path"]).all()
    assert (target == names["tree"]).sum() == pytest.approx(np.pi * 4, abs=2)
    assert (target[21:23, 20:26] == names["house"]).all() and (target == names["house"]).sum() == 12
    assert (target[14:18, :15] == 255).all()
    assert Path("out/images/a.png").exists()


def test_labelme_with_the_picture_inside_and_pictures_that_nobody_labelled(capsys: pytest.CaptureFixture[str]) -> None:
    square = shape("a", "rectangle", (1, 1), (9, 9))
    file = io.BytesIO()
    Image.fromarray(noise(5)).save(file, "JPEG")
    make_labelme(square, with_picture=False, imageData=base64.b64encode(file.getvalue()).decode())
    make_labelme(name="train/empty")
    picture("source/unlabelled.png")
    printed = refusal("import source --out out", capsys)
    assert "1 picture of no part beside parts train" in printed
    Path("source/val").mkdir()
    Path("source/a.json").rename("source/val/a.json")
    imported()
    assert Path("out/val/images/a.jpg").read_bytes() == file.getvalue()
    assert not mask("empty", "out/train/masks").any()
    assert "1 picture without a .json left out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "changes", "message"),
    [
        (shape("a", "polygon", (1, 1), (2, 2)), {}, "shape 1 (a): 4 numbers; expected x, y of 3"),
        (shape("a", "polygon", (1, 1), (90, 2), (3, 3)), {}, "leave the picture of 40 x 30"),
        (shape("", "polygon", (1, 1), (9, 2), (3, 3)), {}, "shape 1 (no label): no label"),
        (shape("a", "heart", (1, 1), (9, 2), (3, 3)), {}, "shape_type 'heart'; expected polygon, rectangle"),
        (shape("a", "mask", (1, 1), (9, 2), mask="%%"), {}, "not base64"),
        (shape("a", "mask", (1, 1), (9, 2), mask="aGVsbG8="), {}, "its mask is not a picture"),
        (shape("a", "line", (1, 1), (9, 2)), {"imageHeight": 31}, "are for 40 x 31 pixels, the picture has 40 x 30"),
        (shape("a", "line", (1, 1), (9, 2)), {"imagePath": "b.png"}, "there is no picture b.png, and none in the file"),
        (shape("a", "line", (1, 1), (9, 2)), {"shapes": {}}, "lacks a list of shapes"),
        (shape("a", "line", (1, 1), (9, 2)), {"imagePath": None, "imageData": "eHg="}, "its picture is not a picture"),
    ],
)
def test_faults_of_labelme(
    wrong: dict[str, Any], changes: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_labelme(wrong, **changes)
    printed = refusal("import source --out out", capsys)
    assert message in printed and "source" in printed and "1 fault;" in printed


# --- YOLO


def test_yolo() -> None:
    make_yolo("1 0.25 0.2 0.75 0.2 0.75 0.8 0.25 0.8\n\n0 0.5 0.5 0.6 0.5 0.6 0.6 0.5 0.6\n")
    imported()
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[6:24, 10:30] = 2
    expected[15:18, 20:24] = 1
    assert np.array_equal(mask("1", "out/train/masks"), expected)
    assert not mask("2", "out/val/masks").any(), "a picture without labels is background"
    assert [line.split(",")[0] for line in table()] == ["name", "background", "road", "house"]


@pytest.mark.parametrize(
    "text",
    [
        "path: /content/of/another/machine\ntrain: images/train\nval: images/val\nnames: {0: road, 1: house}\n",
        "train: ../images/train\nval: ../images/val\nnames:\n  0: road\n  1: house\n",
        "path: images\ntrain: [train]\nval: [val]\nnames: [road, house]\n",
        "train: train.txt\nval: val.txt\nnames: [road, house]\n",
    ],
)
def test_yolo_folders_said_in_other_ways(text: str) -> None:
    make_yolo()
    for part in ("train", "val"):
        Path(f"source/{part}.txt").write_text(f"./images/{part}/1.png\nimages/{part}/2.png\n")
    Path("source/data.yaml").write_text(text)
    imported("source/data.yaml --out out")
    assert (mask("1", "out/val/masks") == 2).sum() == 18 * 20


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("1 0.5 0.5 0.2 0.2", "1.txt: line 1: a box (5 numbers); expected class x1 y1"),
        ("\n2 0.1 0.1 0.2 0.2 0.3 0.1", "line 2: class 2; expected a number that data.yaml names: 0, 1"),
        ("0.5 0.1 0.1 0.2 0.2 0.3 0.1", "class 0.5"),
        ("1 0.1 0.1 0.2 0.2 0.3 0.1 0.4", "7 coordinates"),
        ("1 0.1 0.1 1.2 0.2 0.3 0.1", "leave the picture"),
        ("1 0.1 0.1 nan 0.2 0.3 0.1", "not finite"),
        ("1 0.1 0.1", "2 numbers; expected x, y of 3 points"),
        ("1 a b", "'1 a b'; expected class x1 y1"),
    ],
)
def test_faults_of_yolo_labels(labels: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    make_yolo(labels)
    printed = refusal("import source --out out", capsys)
    assert message in printed and "3 faults" in printed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: images/train\nnames: []", "names is []"),
        ("train: images/train\nnames: {a: 1}", "names is {'a': 1}"),
        ("names: [a]", "names no pictures"),
        ("names: [a\n", "cannot be read as YAML"),
        ("train: nowhere\nnames: [road, house]", "train is nowhere, which does not exist"),
        ("train: images/val\nnames: [road, house]", "labels/val/9.txt has no picture"),
    ],
)
def test_faults_of_a_data_yaml(text: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    make_yolo()
    Path("source/labels/val/9.txt").write_text("")
    Path("source/data.yaml").write_text(text)
    assert message in refusal("import source --out out", capsys).replace("\\", "/")


# --- Hugging Face


@pytest.mark.parametrize("mode", ["L", "P", "I", "I;16"])
def test_parquet_labels_of_each_kind(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    make_huggingface(rows(5, mode))
    imported()
    pairs = find_pairs(Path("out"))["all"]
    for number, (pair, row) in enumerate(zip(pairs, rows(5), strict=True)):
        assert pair.image.read_bytes() == row["pixel_values"]["bytes"] and pair.image.suffix == ".png"
        label = np.random.default_rng(number).integers(0, 4, (HEIGHT, WIDTH))
        assert np.array_equal(raster.read_mask(pair.mask), label)
    assert table()[2].startswith("flat-road,1,")
    assert "unlabeled will not count in training" in capsys.readouterr().err


def test_parquet_parts_names_and_ignored_values() -> None:
    content = rows(3)
    content[1]["pixel_values"]["path"] = "../deep/street 7.png"
    content[2]["label"] = {"bytes": png(np.full((HEIGHT, WIDTH), 255, np.uint8)), "path": None}
    for name in ("train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001"):
        make_huggingface(content, name)
    parts = find_pairs(imported())
    assert [pair.name for pair in parts["val"]] == ["000000", "000001_street 7", "000002"]
    assert len(parts["train"]) == 6
    assert (mask("000002", "out/val/masks") == 255).all()


@pytest.mark.parametrize(
    ("id2label", "expected"),
    [
        (None, "class_2,2,"),
        ("readme", "two,2,"),
    ],
)
def test_names_of_parquet_classes(id2label: str | None, expected: str) -> None:
    make_huggingface()
    Path("source/id2label.json").unlink()
    if id2label:
        head = "dataset_info:\n  id2label: {0: zero, 1: one, 2: two, 3: three}\n"
        Path("source/README.md").write_text(f"---\n{head}---\n# Streets\n")
    imported()
    assert any(line.startswith(expected) for line in table())


def test_two_values_without_names() -> None:
    content = rows(3)
    for row in content:
        row["label"]["bytes"] = png(np.where(noise(1)[..., 0] > 99, 255, 0).astype(np.uint8))
    make_huggingface(content)
    Path("source/id2label.json").unlink()
    source = read_source(DataConfig(root=str(imported())), None, 0, open_display(), Path("prepared"))
    assert source.labels.values == (0, 255)


def test_a_file_that_a_row_names_is_read() -> None:
    content = rows(2)
    for number, row in enumerate(content):
        path = picture(f"source/files/{number}.png", number)
        row["pixel_values"] = {"bytes": None, "path": str(path.relative_to("source"))}
    make_huggingface(content)
    imported()
    assert Path("out/images/000001_1.png").read_bytes() == Path("source/files/1.png").read_bytes()


def spoiled(column: str, content: bytes | None) -> list[Row]:
    made = rows()
    made[1][column] = {"bytes": content, "path": None}
    return made


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (spoiled("label", png(np.full((HEIGHT, WIDTH), 9, np.uint8))), "row 1: label holds the values 9; expected"),
        (spoiled("label", png(noise(0))), "row 1: label holds colours"),
        (spoiled("label", png(np.zeros((9, 9), np.uint8))), "row 1: label is 9 x 9 pixels, the picture 40 x 30"),
        (spoiled("label", b"hello"), "row 1: label is not a picture: it is a text file"),
        (spoiled("label", None), "row 1: label is empty"),
        (spoiled("pixel_values", b"hello"), "row 1: its picture is not a picture"),
        (spoiled("pixel_values", None), "row 1: pixel_values is empty"),
        ([{"image": 1, "label": {"bytes": b"x"}}], "has the columns image (int64), label (pictures)"),
    ],
)
def test_faults_of_parquet(content: list[Row], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    make_huggingface(content)
    assert message in refusal("import source --out out", capsys)


@pytest.mark.parametrize("keep", [0, 100, -500])
def test_damaged_parquet(keep: int, capsys: pytest.CaptureFixture[str]) -> None:
    make_huggingface(compression="zstd")
    path = Path("source/data/train-00000-of-00001.parquet")
    data = path.read_bytes()
    path.write_bytes(data[:keep] if keep >= 0 else b"PAR1" + b"\1" * (len(data) + keep - 4) + data[keep:])
    assert "cannot be read as parquet" in refusal("import source --out out", capsys)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[]", "id2label is no table"),
        ('{"a": "b"}', "id2label is no table"),
        ('{"0": "a", "1": "a"}', "a twice"),
        ('{"0": "a", "300": "b"}', "numbers from 0 to 255"),
        ("{}", "numbers from 0 to 255"),
        ("{", "id2label is no table"),
    ],
)
def test_wrong_tables_of_names(table: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    make_huggingface()
    Path("source/id2label.json").write_text(table)
    assert message in refusal("import source --out out", capsys)


# --- anything at all


STRANGE = [None, True, -1, 0, 3, 10**30, 1e308, float("nan"), "", "x", "../..", "\0", [], [[]], {}, [1, [2]], {"a": 1}]


def spots(data: Any) -> list[tuple[Any, Any]]:
    """Return every container in a tree with each of its keys."""
    keys = data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    return [spot for key in keys for spot in [(data, key), *spots(data[key])]]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["coco", "labelme", "nnunet"])
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_strange_value_anywhere_is_a_refusal_at_worst(
    form: str, data: st.DataObject, capsys: pytest.CaptureFixture[str]
) -> None:
    MAKERS[form]()
    path = next(Path("source").rglob("*.json"))
    tree = json.loads(path.read_text())
    place, key = data.draw(st.sampled_from(spots(tree)))
    place[key] = data.draw(st.sampled_from(STRANGE))
    write_json(path, tree)
    code = cli.main(shlex.split(f"import source --format {form} --out out"))
    printed = capsys.readouterr().err
    shutil.rmtree("source")
    shutil.rmtree("out", ignore_errors=True)
    assert code in (0, 2) and (code == 0 or printed.startswith("unet: error: ")), printed


@pytest.mark.slow
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line=st.text(st.characters(codec="utf-8"), max_size=40) | st.text("0123456789.-e \n", max_size=40))
def test_any_text_as_a_label_is_a_refusal_at_worst(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    make_yolo()
    Path("source/labels/val/1.txt").write_text(line, encoding="utf-8")
    assert cli.main(shlex.split("import source --out out")) in (0, 2), capsys.readouterr().err
    shutil.rmtree("source")
    shutil.rmtree("out", ignore_errors=True)


# --- the folder, the options


def test_links_and_what_is_empty() -> None:
    make_coco()
    imported("source --out out --link --skip-empty")
    assert sorted(path.name for path in Path("out/images").iterdir()) == ["1.png", "2.png"]
    assert os.path.samefile("out/images/1.png", "source/images/1.png")


def test_an_empty_folder_is_used_and_a_full_one_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    make_coco()
    Path("out").mkdir()
    imported()
    assert "out is not empty" in refusal("import source --out out", capsys)
    assert "is a file" in refusal("import source --out out/classes.csv", capsys)
    assert "cannot be made" in refusal("import source --out out/classes.csv/deep", capsys)
    Path("empty").mkdir()
    os.chdir("empty")
    assert cli.main(["import", "../source", "--out", "."]) == 0


@pytest.mark.parametrize("before", [True, False])
def test_stopped_by_ctrl_c_nothing_is_left(before: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    make_coco()
    if before:
        Path("out").mkdir()

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(writing, "_write_table", stop)
        assert cli.main(["import", "source", "--out", "out"]) == 130
    assert Path("out").exists() == before and not list(Path().glob("out/*"))
    imported()


def test_after_a_power_cut_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    make_coco()
    Path("out/.unfinished/train").mkdir(parents=True)
    printed = refusal("import source --out out", capsys)
    assert "interrupted" in printed and f"remove {Path('out/.unfinished')}" in printed


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nowhere --out out", "no such file or folder: nowhere"),
        ("nowhere --format coco --out out", "no such file or folder: nowhere"),
        ("source/images --out out", "holds no annotations that are known (it holds 3 .png)"),
        ("both --out out", "annotations of 2 formats: coco, yolo"),
        ("source --format yolo --out out", "no .yaml files with names"),
        ("source --format labelme --out out", "no LabelMe annotations"),
        ("source --format huggingface --out out", "no parquet files"),
        ("both --format coco --line-width 3 --out out", "--line-width says nothing about the format coco"),
        ("text.json --format coco --out out", "cannot be read as JSON"),
        ("number.json --format coco --out out", "lacks a list of images"),
        ("both --format coco --images nowhere --out out", "no such folder: nowhere"),
        ("empty.json --out out", "no picture to write (0 in the source)"),
        ("bare.json --images source --out out", "no picture has an annotation that makes a mask"),
        ("many.json --images source --out out", "300 classes; expected at most 254"),
    ],
)
def test_refusals(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    make_coco()
    shutil.copytree("source", "both")
    Path("both/data.yaml").write_text("names: [a]\n")
    Path("text.json").write_text("hello")
    Path("number.json").write_text("1")
    write_json("empty.json", {"images": [], "annotations": [], "categories": []})
    write_json("bare.json", coco(annotations=[]))
    write_json("many.json", coco(categories=[{"id": n, "name": f"n{n}"} for n in range(300)]))
    assert message in refusal(f"import {line}", capsys)


def test_a_missing_package_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_huggingface()
    monkeypatch.delitem(sys.modules, "unet.data.importing.huggingface", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert 'pip install "unet[import]"' in refusal("import source --out out", capsys)


def test_outlines_of_a_real_mask_give_it_back(shared_data: Path) -> None:
    pair = find_pairs(shared_data / "carvana")["all"][0]
    drawn = raster.read_mask(pair.mask)
    parts = [part["coordinates"] for part, value in shapes(drawn, connectivity=4) if value == 1]
    holes = [{**shape("_background_", "polygon", *ring[:-1])} for rings in parts for ring in rings[1:]]
    car = [shape("car", "polygon", *rings[0][:-1]) for rings in parts]
    height, width = drawn.shape
    name = pair.image.stem
    make_labelme(*car, *holes, name=name, with_picture=False, imageHeight=height, imageWidth=width,
                 imagePath=str(pair.image.resolve()))  # fmt: skip
    imported("source --out out --outside")
    assert np.array_equal(mask(name), drawn)


def test_real_pictures_come_back_as_they_were(shared_data: Path) -> None:
    pairs = find_pairs(shared_data / "camvid")["val"][:6]
    names = [line for line in (shared_data / "camvid" / "classes.txt").read_text().splitlines() if line]
    make_huggingface(
        [
            {
                "image": {"bytes": pair.image.read_bytes(), "path": pair.image.name},
                "annotation": {"bytes": pair.mask.read_bytes(), "path": None},
            }
            for pair in pairs
        ]
    )
    write_json("source/id2label.json", dict(enumerate([*names, "void"])))
    for pair, made in zip(pairs, find_pairs(imported())["all"], strict=True):
        assert made.image.read_bytes() == pair.image.read_bytes()
        assert np.array_equal(raster.read_mask(made.mask), raster.read_mask(pair.mask))


# --- a mask for each object


def test_masks_of_objects_are_united(capsys: pytest.CaptureFixture[str]) -> None:
    make_objects()
    imported()
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[5:15, 2:13] = expected[5:15, 20:31] = 1
    assert np.array_equal(mask("p.1"), expected)
    assert [line.split(",")[0] for line in table()[1:]] == ["background", "object"]
    assert "objects that touch are one" in capsys.readouterr().err


def test_masks_of_objects_that_cannot_be_used(capsys: pytest.CaptureFixture[str]) -> None:
    make_objects()
    Image.new("L", (5, 4)).save("source/p.0/masks/2.png")
    Path("source/p.1/masks/2.png").write_text("none")
    printed = refusal("import source --out out", capsys)
    assert "2.png is 5 x 4 pixels" in printed and "2.png is not a picture" in printed


def test_a_labelme_file_that_names_itself_carries_its_picture() -> None:
    square = shape("a", "polygon", (2, 2), (20, 2), (20, 20))
    make_labelme(square, with_picture=False, imagePath="a.json", imageData=base64.b64encode(png(noise(1))).decode())
    assert np.array_equal(raster.read(imported() / "images/a.png"), noise(1))


# --- nnU-Net


def test_nnunet_labels_and_classes(capsys: pytest.CaptureFixture[str]) -> None:
    make_nnunet("nnUNet_raw/Dataset007_Cells", channels=1, bands=3)
    imported("nnUNet_raw --out out")  # of a single data set the folder above will do
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[5:15, 5:16], expected[0] = 1, 255
    assert np.array_equal(mask("case_1"), expected)
    assert [line.split(",")[:2] for line in table()[1:]] == [["background", "0"], ["cell", "1"]]
    source = Path("nnUNet_raw/Dataset007_Cells/imagesTr/case_1_0000.png")
    assert Path("out/images/case_1.png").read_bytes() == source.read_bytes()
    make_nnunet("nnUNet_raw/Dataset008_More")
    printed = refusal("import nnUNet_raw --out other", capsys)
    assert "2 data sets of nnU-Net in nnUNet_raw" in printed and "Dataset007_Cells" in printed
    imported("nnUNet_raw/Dataset008_More/dataset.json --out other")


@pytest.mark.parametrize(("channels", "ending", "name"), [(2, ".tif", "case_2.npy"), (3, ".bmp", "case_2.png")])
def test_nnunet_channels_become_bands_of_one_picture(channels: int, ending: str, name: str) -> None:
    make_nnunet(channels=channels, ending=ending)
    imported()
    expected = np.stack([noise(20 + channel)[..., 0] for channel in range(channels)], axis=2)
    assert np.array_equal(raster.read(Path("out/images", name)), expected)
    assert not list(Path("out").rglob("*.part*"))


def test_nnunet_parts_and_version_1(capsys: pytest.CaptureFixture[str]) -> None:
    version_1 = {"channel_names": None, "file_ending": None, "modality": {"0": "photo"},
                 "labels": {"0": "background", "1": "cell", "2": "ignore"},
                 "training": [{"image": "../../secret.png", "label": "/etc/passwd"}]}  # fmt: skip
    make_nnunet(parts="Tr Ts", **version_1)
    assert {part: len(pairs) for part, pairs in find_pairs(imported()).items()} == {"train": 3, "test": 3}
    assert (mask("case_0", "out/test/masks")[0] == 255).all()
    shutil.rmtree("source/labelsTs")
    imported("source --out again")
    assert {part: len(pairs) for part, pairs in find_pairs(Path("again")).items()} == {"all": 3}
    assert "3 pictures in imagesTs left out: there is no labelsTs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": {"background": 0, "whole": [1, 2], "core": 2}}, "labels are regions (lists of numbers)"),
        ({"labels": {"background": 0, "cell": 1, "cyst": 1}}, "labels has 1 for 'cyst'; expected 0 to 254, once"),
        ({"labels": {"background": 0, "cell": 256}}, "labels has 256 for 'cell'"),
        ({"labels": {"background": 0, "cell": True}}, "labels has True for 'cell'"),
        ({"labels": {"background": 0, "cell": 255}}, "label 255 is a class"),
        ({"labels": {"0": "a", "1": "a"}}, "labels names a class twice"),
        ({"labels": {"0": "a", "x": "b"}}, "labels has 'x' for 'b'"),
        ({"labels": {"0": "a", "1": "b"}}, "labelsTr/case_0.png holds the values 2"),
        ({"labels": []}, "labels is []"),
        ({"file_ending": ".nii.gz"}, "files that end with '.nii.gz'; expected 2-D pictures: .png, .bmp, .tif"),
        ({"file_ending": ["x"] * 90}, "files that end with ['x', 'x'"),
        ({"channel_names": {"0": "a", "2": "b"}}, "channel_names is {'0': 'a', '2': 'b'}"),
        ({"channel_names": {}}, "0 channels; expected 1 to 64"),
        ({"channel_names": {"0": "a", "1": "b"}}, "case_0_0000.png has 1 band; expected 2"),
        ({"channels": 2, "channel_names": {"0": "a"}}, "case_0: the channels 0000, 0001, where"),
        ({"channels": 2, "bands": 3, "channel_names": {"0": "a", "1": "b"}}, "in 3 bands; expected one"),
    ],
)
def test_faults_of_nnunet(changes: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    make_nnunet(**changes)
    printed = refusal("import source --format nnunet --out out", capsys)
    assert message in printed.replace("\\", "/")


def test_faults_in_the_files_of_nnunet_are_named_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    make_nnunet(channels=2)
    picture("source/imagesTr/plain.png")
    picture("source/imagesTr/photo_0000.jpg")
    Path("source/labelsTr/case_0.png").rename("source/labelsTr/case_9.png")
    Image.new("L", (5, 4)).save("source/imagesTr/case_1_0001.png")
    Image.new("L", (5, 4)).save("source/labelsTr/case_2.png")
    printed = refusal("import source --out out", capsys).replace("\\", "/")
    for words in (
        "imagesTr/plain.png does not say its channel", "photo_0000.jpg does not end with .png",
        "case_9.png has no picture in imagesTr", "case_0_0000.png has no labelsTr/case_0.png",
        "case_1_0001.png is 5 x 4 pixels in 1 band; expected 40 x 30",
        "case_2.png is 5 x 4 pixels, its picture 40 x 30",
    ):  # fmt: skip
        assert words in printed
    assert "6 faults" in printed
    Image.new("L", (WIDTH, HEIGHT)).save("source/stack.tif", save_all=True, append_images=[Image.new("L", (40, 30))])
    make_nnunet("deep", ending=".tif")
    shutil.move("source/stack.tif", "deep/imagesTr/case_0_0000.tif")
    assert "has 2 layers" in refusal("import deep --out out", capsys)
    shutil.rmtree("deep/imagesTr")
    assert "has no picture in imagesTr" in refusal("import deep --out out", capsys)
    assert "no data sets of nnU-Net" in refusal("import source/imagesTr --format nnunet --out out", capsys)


# --- pictures outside of the source


@pytest.mark.slow
@pytest.mark.parametrize("train", ["/", "../..", "../elsewhere", "list.txt", "images/../../elsewhere"])
def test_yolo_pictures_outside_of_the_source(train: str, capsys: pytest.CaptureFixture[str]) -> None:
    make_yolo()
    picture("elsewhere/images/1.png")
    Path("source/list.txt").write_text(f"{Path('elsewhere/images/1.png').resolve()}\n")
    Path("source/data.yaml").write_text(f"train: {train}\nval: images/val\nnames: [road, house]\n")
    assert cli.main("import source --out out".split()) == 2
    printed = capsys.readouterr().err
    assert "outside of source" in printed and "allow it by --outside" in printed and not Path("out").exists()
    code = cli.main("import source --out out --outside --skip-faulty --format yolo".split())
    printed = capsys.readouterr().err
    assert code == 0
    assert ("the whole disk" in Path("out/left_out.txt").read_text()) if train == "/" else Path("out/train").exists()


def test_labelme_pictures_outside_of_the_source(capsys: pytest.CaptureFixture[str]) -> None:
    picture("secret.png")
    picture("source/a.png")
    shape = {"label": "house", "points": [[2, 2], [20, 2], [20, 20]], "shape_type": "polygon"}
    for name in ("../secret.png", str(Path("secret.png").resolve())):
        write_json("source/a.json", {"version": "5", "shapes": [shape], "imagePath": name})
        assert cli.main("import source --out out".split()) == 2
        printed = capsys.readouterr().err
        assert "secret.png, outside of source" in printed and "--outside" in printed and not Path("out").exists()
        assert cli.main("import source --out out --outside".split()) == 0
        assert Path("out/images/a.png").read_bytes() == Path("secret.png").read_bytes()
        shutil.rmtree("out")
    write_json("source/a.json", {"version": "5", "shapes": [shape], "imagePath": "../else/a.png"})  # of another machine
    assert cli.main("import source --out out".split()) == 0
    assert Path("out/images/a.png").read_bytes() == Path("source/a.png").read_bytes()


def test_outside_says_nothing_about_coco(capsys: pytest.CaptureFixture[str]) -> None:
    make_coco()
    assert cli.main("import source --out out --outside".split()) == 2
    assert "--outside says nothing about the format coco" in capsys.readouterr().err
