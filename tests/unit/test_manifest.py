"""`dataset.toml`: what it may say, what is wrong with it, flags over it, and writing one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from unet import raster
from unet.config import DataConfig
from unet.data.class_table import ClassTable, Row
from unet.data.classes import ignored_values, resolve_labels
from unet.data.manifest import describe, load, to_toml
from unet.data.pairs import Pair, find_pairs
from unet.data.parts import find_parts
from unet.data.scan import scan
from unet.errors import ConfigError, DataError
from unet.labels import Value

DataMaker = Callable[..., Path]


def written(folder: Path, text: str) -> Path:
    path = folder / "dataset.toml"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


FULL = """
root = "scans"
images = "photos"
masks = "drawn"
mask_suffix = "_GT"
classes = [{ name = "wall", value = 1, color = [9, 8, 7] }, { name = "door", value = 4, color = [0, 0, 1] }]
ignore = [0, [1, 2, 3]]
roi = "roi.png"
tile = [64, 96]
group = "^[^@]+"
[split]
train = "Train.txt"
val = 0.25
test = "/elsewhere/Test.txt"
"""


def test_all_keys_and_the_paths_they_mean(tmp_path: Path) -> None:
    path = written(tmp_path, FULL)
    description = describe(DataConfig(root=str(tmp_path)))
    assert description == describe(DataConfig(root=str(path)))
    scans = tmp_path / "scans"
    assert (description.file, description.root, description.images, description.masks) == (
        path,
        None,
        scans / "photos",
        scans / "drawn",
    )
    assert description.classes == ClassTable(path, (Row("wall", (9, 8, 7), 1), Row("door", (0, 0, 1), 4)))
    assert (
        description.ignore == (0, (1, 2, 3)) and description.roi == scans / "roi.png" and description.tile == (64, 96)
    )
    assert (description.train, description.val, description.test) == (
        scans / "Train.txt",
        0.25,
        Path("/elsewhere/Test.txt"),
    )


def test_flags_win(tmp_path: Path) -> None:
    written(tmp_path, FULL)
    flags = DataConfig(
        root=str(tmp_path), masks="others", mask_suffix="", classes="c.csv", ignore=(7,), val="list.txt", group="x"
    )
    description = describe(flags)
    assert description.masks == Path("others") and description.images == tmp_path / "scans" / "photos"
    assert (description.mask_suffix, description.classes, description.ignore) == ("", Path("c.csv"), (7,))
    assert (description.val, description.group, description.train) == (
        Path("list.txt"),
        "x",
        tmp_path / "scans" / "Train.txt",
    )


def test_no_file_and_an_empty_one_say_the_same(tmp_path: Path) -> None:
    without = describe(DataConfig(root=str(tmp_path)))
    assert without.file is None and without.root == tmp_path and without.val is None
    path = written(tmp_path, "")
    assert describe(DataConfig(root=str(tmp_path))).root == tmp_path
    assert describe(DataConfig(images="a", masks="b")).file is None
    assert describe(DataConfig(root=str(path))).file == path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('mask_sufix = "_GT"', ["mask_sufix: unknown key (did you mean mask_suffix"]),
        ("tile = [3, 64]\n[split]\nvalid = 'x'", ["tile.0: 3", "split.valid: unknown key (did you mean val"]),
        ("classes = [{ name = 'a', colour = [0, 0, 0] }]", ["classes.0.colour: unknown key (did you mean color"]),
        ("classes = [{ name = 'a', color = [0, 0, 256] }]", ["classes.0.color.2: 256"]),
        ("classes = [{ name = 'a', value = 1 }, { name = 'b' }]", ["classes: b without a value"]),
        ("classes = [{ name = 'a', value = 1 }, { name = 'a', value = 1 }]", ["'a' occurs twice", "1 occurs twice"]),
        ("classes = 3", ["classes: 3"]),
        ("file = 3\nimages = 4.5\n'(file)' = 1", ["file: unknown key"]),
        ("a = = 1", ["Invalid value"]),
    ],
)
def test_faults_all_at_once_in_one_line(tmp_path: Path, text: str, words: list[str]) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    assert all(word in message for word in words), message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        describe(DataConfig(root=str(tmp_path / "nowhere.toml")))


@pytest.mark.parametrize(
    ("palette", "ignore", "values"),
    [
        ([10, 0, 0, 0, 0, 0], [[0, 0, 0], 7], (1, 7)),
        (None, [[3, 3, 3]], (3,)),
        (None, [[3, 3, 4]], None),
        ([10, 0, 0, 0, 0, 0], [[9, 9, 9]], None),
    ],
)
def test_colours_to_ignore_in_masks_of_numbers(
    tmp_path: Path, palette: list[int] | None, ignore: list[Value], values: tuple[Value, ...] | None
) -> None:
    mask = np.array([[0, 1]], np.uint8)
    if palette:
        raster.write_mask(tmp_path / "a.png", mask, palette)
    else:
        raster.write_grey(tmp_path / "a.png", mask)
    raster.write_picture(tmp_path / "b.png", np.zeros((1, 2, 3), np.uint8))
    scanned = scan([Pair("a", tmp_path / "b.png", tmp_path / "a.png")])
    assert ignored_values([7], True, scanned) == ((7, 7, 7),)
    if values is None:
        with pytest.raises(DataError, match="the colour"):
            ignored_values(ignore, False, scanned)
    else:
        assert ignored_values(ignore, False, scanned) == values


@pytest.mark.parametrize("suffix", ["_mask", ""])
def test_what_is_written_says_what_was_found(make_data: DataMaker, tmp_path: Path, suffix: str) -> None:
    data = make_data('a "b" ä', images="imgs/deep", masks="masks/deep", suffix=suffix)
    parts = find_pairs(data)
    labels, _ = resolve_labels(scan(parts["all"]), root=data)
    assert labels is not None
    for folder in (data, tmp_path / "elsewhere"):
        path = written(folder, to_toml(parts["all"], labels, {"val": 0.3}, folder))
        description = describe(DataConfig(root=str(path)))
        assert [pair.image.resolve() for pair in find_parts(description, print)["all"]] == [
            p.image for p in parts["all"]
        ]
        assert [pair.mask.resolve() for pair in find_parts(description, print)["all"]] == [p.mask for p in parts["all"]]
        assert resolve_labels(scan(parts["all"]), classes=description.classes, ignore=description.ignore)[0] == labels
        assert description.val == 0.3
    assert 'images = "imgs' in (data / "dataset.toml").read_text(encoding="utf-8")


def test_real_data_sets_are_written_and_read(shared_data: Path, tmp_path: Path) -> None:
    for name in ("msrc2_seg", "camvid"):
        root = shared_data / name
        parts = find_pairs(root)
        pairs = [pair for held in parts.values() for pair in held]
        scanned = scan(pairs)
        labels, _ = resolve_labels(scanned, root=root)
        assert labels is not None
        text = to_toml(pairs, labels, {}, root)
        if len(parts) > 1:  # parts are found by their names
            text = f"root = '{root}'\n{text}"
            assert "images" not in text
        path = written(tmp_path / name, text.replace('"images"', f'"{root}/images"').replace('"gt"', f'"{root}/gt"'))
        description = describe(DataConfig(root=str(path)))
        assert resolve_labels(scanned, classes=description.classes, ignore=description.ignore)[0] == labels
