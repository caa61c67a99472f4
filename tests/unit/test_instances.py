"""Masks that number objects: what is ignored stays ignored, and the numbers outlive regions and blocks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from unet import raster
from unet.bundle import load
from unet.commands.repair import repair
from unet.config import DataConfig
from unet.data.classes import resolve_labels
from unet.data.pair_arrays import read_objects, read_target
from unet.data.pairs import Pair, find_pairs
from unet.data.prepared import IGNORED_OBJECT, index_labels, numbered_anew, prepare_pairs
from unet.data.scan import scan
from unet.errors import DataError
from unet.labels import IGNORED, Labels
from unet.runs.source import read_source
from unet.terminal.display import open_display

DataMaker = Callable[..., Path]
OBJECTS = Labels(("background", "object"), ((0, 0, 0), (9, 9, 9)), (0, 1), kind="instances")


def numbers(size: tuple[int, int] = (64, 96)) -> np.ndarray:
    """Objects 1 and 2 touch, 300 lies apart; a corner is 255, not to be looked at."""
    mask = np.zeros(size, np.uint16)
    mask[10:20, 10:20], mask[20:30, 10:20], mask[40:60, 40:90] = 1, 2, 300
    mask[:6, -6:] = 255
    return mask


@pytest.fixture
def data(make_data: DataMaker) -> Path:
    folder = make_data(count=4, size=(64, 96))
    for number in range(4):
        raster.write_grey(folder / f"masks/p{number:02}_mask.png", np.roll(numbers(), number, axis=1))
    return folder


def test_models_of_the_version_before_are_read() -> None:
    path = Path(__file__).parents[1] / "fixtures/before_runs/models/cells.safetensors"
    with safe_open(path, "np") as file:
        assert json.loads(file.metadata()["unet"])["labels"]["rule"] == "nonzero"
    labels = load(path).labels
    assert (labels.kind, labels.rule, labels.names) == ("instances", "exact", ("background", "object"))
    assert labels.encode(np.array([[0, 1, 40000]], np.uint16)).tolist() == [[0, 1, 1]]


@pytest.mark.parametrize("ignored", [(), (255,), (255, 65535)])
def test_what_is_written_is_read(ignored: tuple[int, ...]) -> None:
    labels = Labels(OBJECTS.names, OBJECTS.colors, OBJECTS.values, ignored, kind="instances")
    assert Labels.from_dict(json.loads(json.dumps(labels.to_dict()))) == labels


def test_ignored_values_are_no_objects(data: Path) -> None:
    labels, findings = resolve_labels(scan(find_pairs(data)["all"]), instances=True, ignore=[255])
    assert labels is not None and not findings
    assert (labels.kind, labels.ignored) == ("instances", (255,))
    pair = find_pairs(data)["all"][0]
    target, objects = read_target(pair, labels), read_objects(pair, labels)
    assert (target == np.select([numbers() == 255, numbers() > 0], [IGNORED, 1], 0)).all()
    assert objects is not None and (objects == np.where(numbers() == 255, 0, numbers())).all()


def test_masks_of_nothing_but_ignored_values(tmp_path: Path) -> None:
    raster.write_grey(tmp_path / "m.png", np.array([[0, 255]], np.uint8))
    raster.write_picture(tmp_path / "p.png", np.zeros((1, 2, 3), np.uint8))
    scanned = scan([Pair("p", tmp_path / "p.png", tmp_path / "m.png")])
    labels, findings = resolve_labels(scanned, instances=True, ignore=[255])
    assert labels is None and findings[0].kind == "one-value"


def test_numbers_outside_of_the_region_are_none(data: Path, tmp_path: Path) -> None:
    inside = np.zeros((64, 96), np.uint8)
    inside[:, :15] = 1
    raster.write_grey(tmp_path / "roi.png", inside)
    first = find_pairs(data)["all"][0]
    objects = read_objects(Pair(first.name, first.image, first.mask, tmp_path / "roi.png"), OBJECTS)
    assert objects is not None and (objects == numbers() * inside).all()


def test_prepared_masks_keep_the_numbers(data: Path, tmp_path: Path) -> None:
    """Of a sheet with a region of interest that is cut into blocks; every object has a number of its own in each."""
    inside = np.ones((64, 96), np.uint8)
    inside[40:45] = 0
    raster.write_grey(tmp_path / "roi.png", inside)
    first = find_pairs(data)["all"][0]
    pair = Pair(first.name, first.image, first.mask, tmp_path / "roi.png")
    labels = Labels(OBJECTS.names, OBJECTS.colors, OBJECTS.values, (255,), kind="instances")
    made = prepare_pairs({"all": [pair]}, labels, tmp_path / "ready", tile=(32, 32))
    assert len(made.parts["all"]) == 6
    truth, target = read_objects(pair, labels), read_target(pair, labels)
    assert truth is not None
    for block in made.parts["all"]:
        top, left = map(int, block.name.rpartition("@")[2].split(","))
        part = (slice(top, top + 32), slice(left, left + 32))
        assert (read_target(block, index_labels(labels)) == target[part]).all()
        objects = read_objects(block, index_labels(labels))
        assert objects is not None
        both = {(int(new), int(old)) for new, old in zip(objects.ravel(), truth[part].ravel(), strict=True)}
        assert len({new for new, _ in both}) == len({old for _, old in both}) == len(both)
        assert raster.read_mask(block.mask).dtype == np.uint16


def test_numbers_of_any_size_and_more_than_16_bits_of_them() -> None:
    target = np.ones((1, 3), np.uint8)
    assert numbered_anew(np.array([[70000, -4, 70000]], np.int32), target).tolist() == [[2, 1, 2]]
    many = np.arange(300 * 300, dtype=np.int32).reshape(300, 300)
    target = np.asarray(many != 0, dtype=np.uint8)
    target[9, 9] = IGNORED
    anew = numbered_anew(many, target)
    assert anew.dtype == np.int32 and (anew == IGNORED_OBJECT).sum() == 1
    assert np.unique(anew).size == many.size


def test_training_gets_the_numbers(data: Path, tmp_path: Path) -> None:
    raster.write_grey(data / "roi.png", np.ones((64, 96), np.uint8))
    (data / "dataset.toml").write_text('roi = "roi.png"\ntile = [64, 48]\nignore = [255]\n')
    source = read_source(DataConfig(root=str(data), instances=True), None, 0, open_display(), tmp_path / "prepared")
    assert source.file_labels.ignored == (255,) and source.labels.kind == "instances"
    for pair in (*source.train, *source.val):
        objects, target = read_objects(pair, source.labels), read_target(pair, source.labels)
        assert objects is not None and ((objects > 0) == (target == 1)).all()
    touching = [read_objects(pair, source.labels) for pair in (*source.train, *source.val) if pair.name == "p00@0,0"]
    assert np.unique(touching).tolist() == [0, 1, 2, 3], "two that touch and one that is cut in two"


@pytest.mark.parametrize("kind", ["objects", "borders"])
def test_repair_leaves_out_what_is_to_be_ignored(data: Path, tmp_path: Path, kind: str) -> None:
    plan = repair(data, out=tmp_path / "clean", instances=kind, ignore=(255,))
    assert plan.labels.ignored == (IGNORED,)
    mask = raster.read_mask(tmp_path / "clean/masks/p00.png")
    assert ((mask == IGNORED) == (numbers() == 255)).all()
    assert set(np.unique(mask[:30])) == ({0, 1, IGNORED} if kind == "objects" else {0, 1, 2, IGNORED})


@pytest.mark.parametrize("kind", ["rooms", ""])
def test_other_kinds_are_refused(kind: str) -> None:
    with pytest.raises(DataError, match="classes or instances"):
        Labels(("a", "b"), ((0, 0, 0), (1, 1, 1)), (0, 1), kind=kind)  # type: ignore[arg-type]
