"""Reading all pairs once, and the class table that follows from what they hold."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from unet import raster
from unet.data.class_table import find_table, read_table
from unet.data.classes import resolve_labels
from unet.data.finding import errors_in
from unet.data.pairs import Pair, find_pairs
from unet.data.scan import Scan, scan, size_faults
from unet.data.stats import MOST_VALUES, MaskStats, mask_stats, picture_stats
from unet.errors import DataError
from unet.labels import Labels, Value

DataMaker = Callable[..., Path]


def labels_of(scan: Scan, **options: Any) -> Labels:
    """Return the class table that training would use, or raise the first error."""
    labels, findings = resolve_labels(scan, **options)
    if labels is None:
        raise errors_in(findings)[0].error()
    return labels


def all_pairs(folder: Path) -> list[Pair]:
    return [pair for pairs in find_pairs(folder).values() for pair in pairs]


@pytest.mark.slow
def test_nothing_heavy_is_imported() -> None:
    code = "import sys, unet.data.classes; print(*({'torch', 'scipy', 'rasterio'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""


# What a file holds


@settings(max_examples=50)
@given(st.integers(0, 10**6), st.sampled_from(["uint8", "uint16", "int32", "rgb"]), st.integers(1, 300))
def test_values_are_counted_as_numpy_does(seed: int, kind: str, most: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (*rng.integers(1, 30, 2), 3) if kind == "rgb" else tuple(rng.integers(1, 30, 2))
    mask = rng.integers(0, min(most, 256), shape).astype("uint8" if kind == "rgb" else kind)
    if kind == "int32":
        mask -= 5
    values, counts = np.unique(mask.reshape(-1, 3) if kind == "rgb" else mask.ravel(), axis=0, return_counts=True)
    stats = mask_stats(mask)
    wanted = {tuple(v.tolist()) if kind == "rgb" else int(v): int(c) for v, c in zip(values, counts, strict=True)}
    assert dict(stats.values) == wanted and stats.n_values == len(wanted)
    assert [count for _, count in stats.values] == sorted(wanted.values(), reverse=True)


def test_only_so_many_values_are_kept() -> None:
    stats = mask_stats(np.arange(70 * 80, dtype=np.int32).reshape(70, 80))
    assert stats.n_values == 5600 and len(stats.values) == MOST_VALUES


def test_picture_numbers() -> None:
    picture = np.random.default_rng(0).normal(1000, 100, (600, 700, 2)).clip(0).astype(np.uint16)
    picture[..., 1] *= 2
    stats = picture_stats(picture)
    assert (stats.height, stats.width, stats.bands, stats.dtype) == (600, 700, 2, "uint16")
    assert np.allclose(stats.mean, (1000, 2000), rtol=0.02) and np.allclose(stats.std, (100, 200), rtol=0.05)
    assert np.allclose(stats.low, (767, 1535), rtol=0.05) and np.allclose(stats.high, (1309, 2618), rtol=0.05)


def blobs(dtype: str = "uint16", count: int = 9, size: int = 120) -> np.ndarray:
    """Numbered squares that do not touch."""
    mask = np.zeros((size, size), dtype)
    for number in range(count):
        row, column = divmod(number, 8)
        mask[row * 12 + 2 : row * 12 + 10, column * 14 + 2 : column * 14 + 10] = number + 1
    return mask


def test_numbered_blobs_are_told_from_scattered_classes() -> None:
    assert mask_stats(blobs()).objects == 1
    assert mask_stats(blobs("uint8")).objects == 1
    assert mask_stats(blobs() % 4).objects == 0
    assert mask_stats(blobs(count=2)).objects is None
    assert mask_stats(blobs("uint8") * 9).objects is None  # not 1, 2, 3, ...
    assert mask_stats(blobs()[:8, 2:10] + 1).objects is None


# Scanning


def test_a_scan_and_its_cache(make_data: DataMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = all_pairs(make_data(count=6))
    calls: list[tuple[int, int, threading.Thread]] = []

    def progress(done: int, total: int) -> None:
        calls.append((done, total, threading.current_thread()))

    first = scan(pairs, progress=progress, cache=tmp_path / "cache")
    assert first.pairs == tuple(pairs) and not first.faults
    assert [call[:2] for call in calls] == [(done, 6) for done in range(7)]
    assert {call[2] for call in calls} == {threading.main_thread()}
    assert first.masks[0].palette == ((0, 0, 0), (200, 30, 30)) and first.masks[0].values[0][0] == 0
    assert first.pictures[0].bands == 3

    calls.clear()
    read: list[Path] = []
    true_read = raster.read_picture_file
    monkeypatch.setattr(raster, "read_picture_file", lambda path: read.append(path) or true_read(path))
    assert scan(pairs, progress=progress, cache=tmp_path / "cache") == first
    assert read == [] and [call[:2] for call in calls] == [(6, 6)]

    raster.write_picture(pairs[2].image, np.zeros((24, 32, 3), np.uint8))
    raster.write_mask(pairs[4].mask, np.ones((24, 32), np.uint8), [0, 0, 0, 200, 30, 30])
    third = scan(pairs, cache=tmp_path / "cache")
    assert sorted(read) == [pairs[2].image, pairs[4].image]
    assert third.pictures[2].mean == (0, 0, 0) and third.masks[4].values == ((1, 768),)
    assert third.masks[:2] == first.masks[:2]


def test_what_is_recalled_is_kept_when_others_are_added(make_data: DataMaker) -> None:
    pairs = all_pairs(make_data(count=3))
    first = scan(pairs[:2])
    assert first.masks[0].shapes
    both = scan(pairs)
    assert both.masks[:2] == first.masks and scan(pairs) == both


def test_relative_paths_are_those_of_the_folder(
    make_data: DataMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_data("data", count=2)
    make_data("other/data", count=2, seed=5)
    monkeypatch.chdir(tmp_path)
    first = scan(all_pairs(Path("data")))
    monkeypatch.chdir(tmp_path / "other")
    second = scan(all_pairs(Path("data")))
    assert first.pairs == second.pairs and first.pictures != second.pictures


def test_part_of_the_pairs_leaves_the_rest_in_the_cache(make_data: DataMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = all_pairs(make_data(count=3))
    scan(pairs[:2])
    scan(pairs[2:])
    monkeypatch.setattr(raster, "read_picture_file", None)
    assert len(scan(pairs).pairs) == 3


def test_colours_survive_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = make_pairs(tmp_path, [np.dstack([blobs("uint8")] * 2 + [blobs("uint8") * 2])])
    first = scan(pairs)
    monkeypatch.setattr(raster, "read_picture_file", None)
    assert scan(pairs) == first and first.masks[0].is_rgb


@pytest.mark.parametrize("content", ["", "[]", "{", '{"format": [-1], "rows": {}}', '{"version": 4, "entries": {}}'])
def test_a_broken_cache_is_left_alone(make_data: DataMaker, tmp_path: Path, content: str) -> None:
    pairs = all_pairs(make_data())
    first = scan(pairs, cache=tmp_path / "cache")
    (store,) = (tmp_path / "cache" / "scans").iterdir()
    store.write_text(content)
    assert scan(pairs, cache=tmp_path / "cache") == first
    assert len(json.loads(store.read_text())["rows"]) == 4


def test_a_cache_that_cannot_be_written(make_data: DataMaker, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert len(scan(all_pairs(make_data()), cache=tmp_path / "file").pairs) == 4


def test_no_pairs() -> None:
    assert scan([]) == Scan((), (), (), ())


def test_a_stop_while_scanning_goes_through(make_data: DataMaker) -> None:
    def stop(done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan(all_pairs(make_data(count=20)), progress=stop, workers=1)


def test_all_faults_at_once(make_data: DataMaker) -> None:
    folder = make_data(count=9, ending=".jpg")
    pairs = all_pairs(folder)
    grey = np.zeros((24, 32), np.uint8)
    pairs[0].image.write_bytes(pairs[0].image.read_bytes()[:400])
    pairs[1].image.write_text("this is no picture")
    pairs[2].mask.write_bytes(b"")
    raster.write_grey(pairs[3].mask, grey.T)
    raster.write_grey(pairs[4].mask, np.zeros((12, 16), np.uint8))
    raster.write_grey(pairs[5].mask, np.zeros((24, 31), np.uint8))
    raster.write_grey(pairs[6].mask, np.zeros((9, 32), np.uint8))
    pairs[7].image.unlink()
    pairs[7].mask.write_bytes(b"GIF89a")
    scanned = scan(pairs)
    assert [pair.name for pair in scanned.pairs] == ["p03", "p04", "p05", "p06", "p08"]
    assert len(scanned.masks) == len(scanned.pictures) == 5
    wanted = [
        ("truncated", 0, "cut off"),
        ("unreadable", 1, "it is a text file"),
        ("empty-file", 2, "is empty"),
        ("missing", 7, "does not exist"),
        ("unreadable", 7, "p07_mask.png is "),
        ("size-rotated", 3, "lies on its side"),
        ("size-scaled", 4, "0.5 times the size"),
        ("size-differs", 5, "its mask"),
        ("size-differs", 6, "its mask"),
    ]
    faults = (*scanned.faults, *size_faults(scanned))
    assert [(fault.kind, fault.pair) for fault in faults] == [(kind, pairs[number]) for kind, number, _ in wanted]
    for fault, (_, _, words) in zip(faults, wanted, strict=True):
        assert "\n" not in fault.text and fault.pair.name in fault.text and words in fault.text
    pairs[2].mask.write_bytes(pairs[8].mask.read_bytes())  # mended
    assert len(scan(pairs).pairs) == 6


@pytest.mark.parametrize(
    ("picture", "mask", "kind"),
    [
        ((96, 128), (87, 116), "size-scaled"),  # (height, width): 0.906 times, as whole data sets are
        ((96, 128), (91, 121), "size-scaled"),
        ((96, 128), (86, 118), "size-differs"),  # a margin of five pixels on each side is gone
        ((96, 96), (90, 90), "size-differs"),  # either may be: a square does not tell
    ],
)
def test_a_mask_a_little_smaller(
    tmp_path: Path, make_data: DataMaker, picture: tuple[int, int], mask: tuple[int, int], kind: str
) -> None:
    pairs = all_pairs(make_data(count=3, size=picture))
    raster.write_grey(pairs[0].mask, np.zeros(mask, np.uint8))
    assert [fault.kind for fault in size_faults(scan(pairs))] == [kind]


def test_a_malicious_tensor_is_a_fault_and_does_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.mkdir, (tmp_path / "victim",))

    (tmp_path / "imgs").mkdir()
    (tmp_path / "masks").mkdir()
    torch.save(Bomb(), tmp_path / "imgs" / "a.pt")
    np.save(tmp_path / "masks" / "a.npy", np.zeros((4, 4), np.uint8))
    (fault,) = scan(all_pairs(tmp_path)).faults
    assert "run code" in fault.text and not (tmp_path / "victim").exists()


# Class tables


def make_pairs(folder: Path, masks: Sequence[np.ndarray], ending: str = ".png", **options: object) -> list[Pair]:
    """Write masks as they are, with pictures of noise."""
    pairs = []
    for number, mask in enumerate(masks):
        pair = Pair(f"{number}", folder / "imgs" / f"{number}.png", folder / "masks" / f"{number}{ending}")
        noise = np.random.default_rng(number).integers(0, 256, (*mask.shape[:2], 3), dtype=np.uint8)
        raster.write_picture(pair.image, noise)
        pair.mask.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(pair.mask, **options)
        pairs.append(pair)
    return pairs


def labels_for(folder: Path, masks: Sequence[np.ndarray], ending: str = ".png", **options: object) -> Labels:
    return labels_of(scan(make_pairs(folder, masks, ending)), root=folder, **options)  # type: ignore[arg-type]


def scattered(values: Sequence[Value], size: int = 64, seed: int = 0) -> np.ndarray:
    """Patches of the values, each in several places."""
    patches = np.random.default_rng(seed).permutation(np.arange(256) % len(values)).reshape(16, 16)
    indices = raster.resize(patches.astype(np.uint8), size, size, "nearest")
    table = np.array(values)
    return table[indices].astype(np.uint8 if table.max() < 256 and table.min() >= 0 else np.uint16)


@pytest.mark.parametrize(
    ("values", "classes", "ignored"),
    [
        ([0, 1], (0, 1), ()),
        ([0, 255], (0, 255), ()),
        ([0, 120, 240], (0, 120, 240), ()),
        ([0, 1, 2, 5], (0, 1, 2, 5), ()),
        ([0, 1, 255], (0, 1), (255,)),
        ([*range(20), 255], tuple(range(20)), (255,)),
        ([1, 2, 3], (1, 2, 3), ()),
    ],
)
def test_numbers_become_classes(
    tmp_path: Path, values: list[int], classes: tuple[int, ...], ignored: tuple[int, ...]
) -> None:
    labels = labels_for(tmp_path, [scattered(values), scattered(values, seed=1)])
    assert (labels.values, labels.ignored, labels.rule) == (classes, ignored, "exact")
    assert labels.names[0] == ("background" if len(classes) == 2 else "class_0")


def test_minus_one_is_ignored(tmp_path: Path) -> None:
    (pair,) = make_pairs(tmp_path, [scattered([0, 1])])
    np.save(tmp_path / "masks" / "0.npy", scattered([0, 1, 2]).astype(np.int64) - 1)
    labels = labels_of(scan([Pair("0", pair.image, tmp_path / "masks" / "0.npy")]))
    assert (labels.values, labels.ignored) == ((0, 1), (-1,))


def test_ignore_is_obeyed(tmp_path: Path) -> None:
    labels = labels_for(tmp_path, [scattered([0, 1, 2])], ignore=[2])
    assert (labels.values, labels.ignored) == ((0, 1), (2,))


def test_palette_colours_become_class_colours(tmp_path: Path) -> None:
    pairs = make_pairs(tmp_path, [scattered([0, 1, 2])])
    raster.write_mask(pairs[0].mask, scattered([0, 1, 2]), [0, 0, 0, 9, 90, 0, 0, 0, 80])
    assert labels_of(scan(pairs)).colors == ((0, 0, 0), (9, 90, 0), (0, 0, 80))


def test_one_palette_for_all(tmp_path: Path) -> None:
    pairs = make_pairs(tmp_path, [scattered([0, 1]), scattered([0, 1])])
    raster.write_mask(pairs[0].mask, scattered([0, 1]), [0, 0, 0, 255, 255, 255])
    raster.write_mask(pairs[1].mask, scattered([0, 1]), [255, 255, 255, 0, 0, 0])
    with pytest.raises(DataError, match="another palette") as caught:
        labels_of(scan(pairs))
    assert re.search(r"1.png: the palette value 0 is \(255, 255, 255\), in others \(0, 0, 0\)", caught.value.faults[0])


def test_palettes_and_plain_values_do_not_mix(tmp_path: Path) -> None:
    pairs = make_pairs(tmp_path, [scattered([0, 1]), scattered([0, 255])])
    raster.write_mask(pairs[0].mask, scattered([0, 1]), [0, 0, 0, 255, 255, 255])
    with pytest.raises(DataError, match=r"have a palette .* 1 other has none") as caught:
        labels_of(scan(pairs))
    assert "1.png has none and holds 255" in caught.value.faults[0]


def test_two_kinds_of_white_do_not_mix(tmp_path: Path) -> None:
    masks = [scattered([0, 1]), scattered([0, 255])]
    with pytest.raises(DataError, match="--ignore 255"):
        labels_for(tmp_path, masks)
    assert labels_for(tmp_path, masks, ignore=[255]).values == (0, 1)
    assert labels_for(tmp_path, masks, mask_values=[0, 255]).rule == "nearest"


def test_colours_without_a_table(tmp_path: Path) -> None:
    labels = labels_for(tmp_path, [scattered([(9, 9, 9), (255, 0, 0), (0, 0, 0)]), scattered([0, 9])])
    assert labels.values == labels.colors == ((0, 0, 0), (9, 9, 9), (255, 0, 0))


RED, BLUE, BLACK = (200, 0, 0), (0, 0, 200), (0, 0, 0)


@pytest.mark.parametrize(
    "text",
    [
        "name,r,g,b\nvoid,0,0,0\nhouse,200,0,0\nlake,0,0,200\n",
        "\ufeffName; R; G; B\r\nhouse;200;0;0\r\nUnlabelled;0;0;0\r\nlake;0;0;200\r\n",
        "void,0,0,0\nhouse,200,0,0\nlake,0,0,200\n",
    ],
)
def test_colours_with_a_table(tmp_path: Path, text: str) -> None:
    (tmp_path / "Classes.CSV").write_text(text, encoding="utf-8")
    masks = [scattered([BLACK, RED]), np.zeros((8, 8), np.uint8)]
    labels = labels_for(tmp_path, masks)
    assert (labels.names, labels.values, labels.ignored) == (("house", "lake"), (RED, BLUE), (BLACK,))


def test_colours_that_the_table_lacks(tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_text("name,r,g,b\na,0,0,0\nb,200,0,0\n")
    with pytest.raises(DataError, match=r"\(0, 0, 200\).*--mask-values '0,0,0;200,0,0'"):
        labels_for(tmp_path, [scattered([BLACK, RED, BLUE])])
    labels = labels_for(tmp_path, [scattered([BLACK, RED, BLUE])], mask_values=[BLACK, RED])
    assert labels.names == ("a", "b") and labels.rule == "nearest"


def test_names_do_for_numbers_only(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("a\nb\n")
    with pytest.raises(DataError, match="names only"):
        labels_for(tmp_path, [scattered([BLACK, RED])])


@pytest.mark.parametrize(
    ("values", "names", "classes", "ignored"),
    [
        ([0, 1, 2], "a b c", (0, 1, 2), ()),
        ([0, 2], "a b c", (0, 1, 2), ()),
        ([0, 1, 2, 3], "a b c", (0, 1, 2), (3,)),
        ([0, 1, 2, 255], "a b c", (0, 1, 2), (255,)),
        ([0, 255], "a b", (0, 255), ()),
        ([0, 128, 255], "a b c", (0, 128, 255), ()),
        ([0, 1, 2], "void a b", (1, 2), (0,)),
        ([1, 2], "void a b", (1, 2), (0,)),
        (range(100), " ".join(f"n{i}" for i in range(100)), tuple(range(100)), ()),
    ],
)
def test_names_for_numbers(
    tmp_path: Path, values: Sequence[int], names: str, classes: tuple[int, ...], ignored: tuple[int, ...]
) -> None:
    (tmp_path / "classes.txt").write_text("\n".join(names.split()))
    labels = labels_for(tmp_path, [scattered(values)])
    assert (labels.values, labels.ignored) == (classes, ignored)
    assert labels.names == tuple(name for name in names.split() if name != "void")


def test_void_is_learned_where_nothing_is_to_be_ignored(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("void\na\nb\n")
    labels = labels_for(tmp_path, [scattered([0, 1, 2])], ignore=())
    assert (labels.names, labels.values, labels.ignored) == (("void", "a", "b"), (0, 1, 2), ())


def test_values_that_no_name_is_for(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("a\nb\n")
    with pytest.raises(DataError, match=r"values 2, 3, 4, .* names 2 classes"):
        labels_for(tmp_path, [scattered([0, 1, 2, 3, 4])])


def test_table_by_value_and_by_palette_colour(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("name,value,r,g,b\na,0,1,1,1\nb,7,200,0,0\n")
    labels = labels_for(tmp_path, [scattered([0, 7])], classes=table)
    assert (labels.values, labels.colors) == ((0, 7), ((1, 1, 1), RED))
    table.write_text("name,r,g,b\nred,200,0,0\nblack,0,0,0\n")
    pairs = make_pairs(tmp_path, [scattered([0, 1])])
    raster.write_mask(pairs[0].mask, scattered([0, 1]), [*BLACK, *RED])
    labels = labels_of(scan(pairs), classes=table)
    assert (labels.names, labels.values) == (("red", "black"), (1, 0))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "is empty"),
        ("name,r,g,b\na,0,0\nb,x,0,0\nc,0,0,999\n", "line 2.*line 3.*line 4"),
        ("name,r,g,b\na,0,0,0\na,1,1,1\nb,1,1,1\n", r"'a' occurs twice.*\(1, 1, 1\) occurs twice"),
        ("a\nb\na\n", "'a' occurs twice"),
    ],
)
def test_tables_that_are_none(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "classes.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        read_table(tmp_path / "classes.csv")
    assert re.search(fault, " ".join((str(caught.value), *caught.value.faults)))


def test_tables_that_are_missing_or_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00\xd8")
    for name in ("a.csv", "b.csv"):
        with pytest.raises(DataError, match=name):
            read_table(tmp_path / name)
    assert find_table([tmp_path, tmp_path / "nowhere"]) is None


def test_a_table_above_the_data_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("x\ny\nz\n")
    assert labels_for(tmp_path / "data", [scattered([0, 1])]).names == ("background", "foreground")
    pairs = make_pairs(tmp_path / "data", [scattered([0, 1])])
    assert labels_of(scan(pairs)).names == ("background", "foreground")


def test_a_table_above_the_parts_is_taken(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("x\ny\n")
    pairs = make_pairs(tmp_path / "train", [scattered([0, 1])])
    assert labels_of(scan(pairs)).names == labels_of(scan(pairs), root=tmp_path).names == ("x", "y")


# Masks that hold no classes


def test_jpeg_masks_are_refused_with_their_true_values(tmp_path: Path) -> None:
    masks = [raster.resize(scattered([0, 255], seed=seed), 250, 250, "nearest") for seed in range(2)]
    with pytest.raises(DataError, match=r"are 0, 255: JPEG .* unet repair .* --mask-values 0,255$"):
        labels_for(tmp_path, masks, ".jpg")
    labels = labels_for(tmp_path, masks, ".jpg", mask_values=[0, 255])
    assert labels.values == (0, 255) and labels.rule == "nearest"
    target = labels.encode(raster.read_mask(tmp_path / "masks" / "0.jpg"))
    assert (target == masks[0] // 255).mean() > 0.99


def test_jpeg_masks_of_two_values_are_fine(tmp_path: Path) -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 32:] = 255
    assert labels_for(tmp_path, [mask], ".jpg").values == (0, 255)


def test_jpeg_masks_of_class_numbers_are_beyond_repair(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="save them as PNG from their source"):
        labels_for(tmp_path, [scattered(range(6))], ".jpg")


def test_jpeg_masks_of_colours(tmp_path: Path) -> None:
    mask = raster.resize(scattered([BLACK, RED, BLUE]), 512, 512, "nearest")
    with pytest.raises(DataError, match=r"JPEG.* --mask-values '0,0,0;"):
        labels_for(tmp_path, [mask], ".jpg")


def test_blended_edges_are_refused(tmp_path: Path) -> None:
    smooth = raster.resize(scattered([0, 255]), 600, 600, "bicubic")
    with pytest.raises(DataError, match=r"are 0, 255: edges were blended; .*--mask-values 0,255"):
        labels_for(tmp_path, [smooth])
    almost = raster.resize(scattered([0, 255]), 600, 600, "nearest")
    almost[300, :9] = 254
    with pytest.raises(DataError, match=r"3 values.*--mask-values 0,255"):
        labels_for(tmp_path, [almost])


def test_numbers_of_objects_are_refused_and_learned_on_request(tmp_path: Path) -> None:
    masks = [blobs(count=7), blobs(count=9)]
    with pytest.raises(DataError, match=r"seem to number objects: 1, 2, 3 ... 9.* add --instances"):
        labels_for(tmp_path, masks, ".tif")
    labels = labels_for(tmp_path, masks, ".tif", instances=True)
    assert labels.names == ("background", "object") and labels.kind == "instances"
    assert (labels.encode(masks[1]) == (masks[1] > 0)).all()
    with pytest.raises(DataError, match="number objects"):
        labels_for(tmp_path / "b", [blobs("uint8", count=7), blobs("uint8", count=20)])


def test_classes_in_one_piece_are_no_objects(tmp_path: Path) -> None:
    organs = blobs("uint8", count=3)
    assert len(labels_for(tmp_path, [organs, np.minimum(organs, 2)])) == 4
    assert len(labels_for(tmp_path / "b", [blobs("uint16", 3)], ".tif", mask_values=[0, 1, 2, 3])) == 4


def test_instances_of_colours_or_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="leave out --instances"):
        labels_for(tmp_path, [scattered([BLACK, RED])], instances=True)
    with pytest.raises(DataError, match="value 0 only"):
        labels_for(tmp_path / "b", [np.zeros((9, 9), np.uint8)], instances=True)


def test_photographs_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, mask in [("grey", (64, 64)), ("rgb", (64, 64, 3))]:
        with pytest.raises(DataError, match="photographs"):
            labels_for(tmp_path / name, [rng.integers(0, 256, mask, dtype=np.uint8)])


def test_swapped_folders_are_named(tmp_path: Path) -> None:
    pairs = make_pairs(tmp_path, [scattered([0, 1])])
    with pytest.raises(DataError, match="seem to be swapped"):
        labels_of(scan([Pair("a", pairs[0].mask, pairs[0].image)]))


def test_one_value_is_nothing_to_learn(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"one value only \(0\)"):
        labels_for(tmp_path, [np.zeros((9, 9), np.uint8)])


def test_no_masks() -> None:
    with pytest.raises(DataError, match="at least one"):
        labels_of(Scan((), (), (), ()))


@pytest.mark.parametrize("values", [[0], [0, 0], [0, (1, 1, 1)], []])
def test_mask_values_that_make_no_sense(tmp_path: Path, values: list[Value]) -> None:
    with pytest.raises(DataError, match="two or more"):
        labels_for(tmp_path, [scattered([0, 1])], mask_values=values)


def test_mask_values_of_the_wrong_kind(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--mask-values '0,0,0;200,0,0'"):
        labels_for(tmp_path, [scattered([BLACK, RED])], mask_values=[0, 255])


def test_mask_values_that_are_all_there_stay_exact(tmp_path: Path) -> None:
    labels = labels_for(tmp_path, [scattered([0, 1, 9])], mask_values=[0, 1], ignore=[9])
    assert (labels.values, labels.ignored, labels.rule) == ((0, 1), (9,), "exact")


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(1, 10**6)), min_size=1, max_size=256, unique_by=lambda v: v[0]),
    st.booleans(),
)
def test_whatever_is_found_gives_labels_that_cover_it_or_a_word(
    counted_values: list[tuple[int, int]], lossy: bool
) -> None:
    picture = picture_stats(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
    pixels = sum(count for _, count in counted_values)
    values = tuple(sorted(counted_values, key=lambda v: -v[1]))
    mask = MaskStats(
        1, pixels, "uint8", values, len(counted_values), lossy, None, None, inner=(0,) * len(counted_values)
    )
    scanned = Scan((Pair("a", Path("a.png"), Path("b.png")),), (picture,), (mask,), ())
    try:
        labels = labels_of(scanned)
    except DataError as error:
        assert "\n" not in str(error)
    else:
        labels.encode(np.array([[value for value, _ in counted_values]]))


# Real data


@pytest.mark.parametrize(
    ("name", "count", "ignored", "first"),
    [
        ("carvana", 2, (), "background"),
        ("ultrasound", 3, (), "background"),
        ("msrc2_seg", 21, ((0, 0, 0),), "building"),
    ],
)
def test_real_class_tables(shared_data: Path, name: str, count: int, ignored: tuple[Value, ...], first: str) -> None:
    folder = shared_data / name
    scanned = scan(all_pairs(folder))
    labels = labels_of(scanned, root=folder)
    assert not scanned.faults
    assert (len(labels), labels.ignored, labels.names[0], labels.rule) == (count, ignored, first, "exact")


def test_real_camvid(shared_data: Path) -> None:
    pairs = find_pairs(shared_data / "camvid")
    labels = labels_of(scan([*pairs["train"][:20], *pairs["val"][:20]]), root=shared_data / "camvid")
    assert labels.values == tuple(range(11)) and labels.ignored == (11,) and labels.names[10] == "bicyclist"


def test_real_damaged_masks(shared_data: Path) -> None:
    scanned = scan(all_pairs(shared_data / "isbi_em"))
    with pytest.raises(DataError, match=r"0, 255.*--mask-values 0,255"):
        labels_of(scanned)
    assert labels_of(scanned, mask_values=[0, 255]).rule == "nearest"


def test_real_cells(shared_data: Path) -> None:
    scanned = scan(all_pairs(shared_data / "phc-c2dh-u373"))
    with pytest.raises(DataError, match="--instances"):
        labels_of(scanned)
    assert labels_of(scanned, instances=True).names == ("background", "object")


@pytest.mark.parametrize("name", ["carvana", "ultrasound", "isbi_em", "msrc2_seg", "phc-c2dh-u373"])
def test_real_folders_the_wrong_way_round(shared_data: Path, name: str) -> None:
    pairs = [Pair(pair.name, pair.mask, pair.image) for pair in all_pairs(shared_data / name)[:8]]
    with pytest.raises(DataError, match=r"swapped|photographs"):
        labels_of(scan(pairs))
