"""What is trained on and held out, by lists and by folders; regions of interest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from unet import raster
from unet.data.pair_arrays import read_target
from unet.data.pairs import Pair, find_pairs
from unet.data.parts import by_lists, with_regions
from unet.errors import DataError
from unet.labels import Labels

DataMaker = Callable[..., Path]


def pairs_of(names: list[str]) -> list[Pair]:
    return [Pair(name, Path(f"/d/imgs/{name}.png"), Path(f"/d/masks/{name}_mask.png")) for name in names]


def held_out(pairs: list[Pair] | tuple[Pair, ...], val: Path) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    parts = by_lists(pairs, {"val": val})
    return parts["train"], parts["val"]


@pytest.mark.parametrize(
    "line", ["b c", "b c.png", "b c_mask", "b c_mask.gif", "imgs/b c.jpg", "x\\imgs\\b c.JPG", "./b c"]
)
def test_list_files(tmp_path: Path, line: str) -> None:
    (tmp_path / "val.txt").write_text(f"\ufeff# held out\r\n\r\n{line}\r\n", encoding="utf-8")
    train, val = held_out(pairs_of(["a", "b c", "d"]), tmp_path / "val.txt")
    assert [pair.name for pair in val] == ["b c"] and [pair.name for pair in train] == ["a", "d"]


def test_lists_name_deep_pictures(tmp_path: Path) -> None:
    (tmp_path / "val.txt").write_text("01/a\n02/b.png\nc\n")
    _, val = held_out(pairs_of(["01/a", "02/a", "01/b", "02/b", "01/c"]), tmp_path / "val.txt")
    assert [pair.name for pair in val] == ["01/a", "01/c", "02/b"]


def test_all_wrong_lines_at_once(tmp_path: Path) -> None:
    (tmp_path / "val.txt").write_text("pictur1\nxyz\na\n")
    with pytest.raises(DataError, match="3 lines") as caught:
        held_out(pairs_of(["picture1", "01/a", "02/a"]), tmp_path / "val.txt")
    assert caught.value.faults == (
        "val.txt line 1: pictur1 is the name of no pictures (did you mean picture1?)",
        "val.txt line 2: xyz is the name of no pictures",
        "val.txt line 3: a is the name of 2 pictures",
    )


def test_lists_that_leave_nothing_or_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "all.txt").write_text("a\nb\n")
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00\xd8")
    for name in ("all.txt", "empty.txt", "bytes.txt"):
        with pytest.raises(DataError, match=r"at least one|a text file"):
            held_out(pairs_of(["a", "b"]), tmp_path / name)


def test_held_out_by_folder(make_data: DataMaker) -> None:
    data, other = make_data("data", images="imgs/x", masks="masks/x"), make_data("other", count=3)
    make_data("data", images="imgs/y", masks="masks/y", count=2)
    pairs = find_pairs(data)["all"]
    train, val = held_out(pairs, data / "imgs" / "y")
    assert len(train) == 4 and [pair.name for pair in val] == ["y/p00", "y/p01"]
    train, val = held_out(pairs, other)
    assert train == pairs and len(val) == 3


def test_three_lists(tmp_path: Path) -> None:
    for part, lines in {"train": "a\nb", "val": "c", "test": "d.png"}.items():
        (tmp_path / f"{part}.txt").write_text(lines)
    lists = {part: tmp_path / f"{part}.txt" for part in ("train", "val", "test")}
    pairs = pairs_of(["a", "b", "c", "d", "left over"])

    def names(parts: dict[str, tuple[Pair, ...]]) -> dict[str, str]:
        return {part: "".join(pair.name for pair in held) for part, held in parts.items()}

    assert names(by_lists(pairs, lists)) == {"train": "ab", "val": "c", "test": "d"}
    del lists["train"]
    assert names(by_lists(pairs, lists)) == {"train": "ableft over", "val": "c", "test": "d"}
    assert names(by_lists(pairs, {"test": lists["test"]})) == {"train": "abcleft over", "test": "d"}


def test_faults_of_all_lists_at_once(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("a\nbb\n")
    (tmp_path / "val.txt").write_text("cc\n")
    lists = {part: tmp_path / f"{part}.txt" for part in ("train", "val")}
    with pytest.raises(DataError, match="2 lines") as caught:
        by_lists(pairs_of(["a", "b", "c"]), lists)
    assert [fault.split(":")[0] for fault in caught.value.faults] == ["train.txt line 2", "val.txt line 1"]
    (tmp_path / "train.txt").write_text("a\nb\n")
    (tmp_path / "val.txt").write_text("b\n")
    with pytest.raises(DataError, match="on two lists") as caught:
        by_lists(pairs_of(["a", "b", "c"]), lists)
    assert len(caught.value.faults) == 1 and caught.value.faults[0].startswith("b is in")


def region(path: Path, size: tuple[int, int] = (24, 32)) -> Path:
    """The left half counts."""
    inside = np.zeros(size, bool)
    inside[:, : size[1] // 2] = True
    raster.write_grey(path, inside)
    return path


@pytest.mark.parametrize("suffix", ["", "_roi"])
def test_a_region_for_each_picture_or_one_for_all(make_data: DataMaker, tmp_path: Path, suffix: str) -> None:
    pairs = find_pairs(make_data(count=3))["all"]
    for pair in pairs:
        region(tmp_path / "roi" / f"{pair.name}{suffix}.png")
    apart = with_regions(pairs, tmp_path / "roi", None)
    assert [pair.roi.name for pair in apart if pair.roi] == [f"p0{n}{suffix}.png" for n in range(3)]
    assert with_regions(pairs, tmp_path / "roi", suffix) == apart
    together = with_regions(pairs, region(tmp_path / "one.png"), None)
    for pair, single in zip(together, apart, strict=True):
        target = read_target(pair, Labels.numbered(2))
        assert np.array_equal(target, read_target(single, Labels.numbered(2)))
        assert (target[:, 16:] == 255).all() and (target[:, :16] == raster.read_mask(pair.mask)[:, :16]).all()


def test_regions_that_are_missing_or_of_another_size(make_data: DataMaker, tmp_path: Path) -> None:
    pairs = find_pairs(make_data(count=3))["all"]
    region(tmp_path / "roi" / "p00.png")
    region(tmp_path / "roi" / "p01.png", (24, 30))
    with pytest.raises(DataError, match="2 of 3 pictures") as caught:
        with_regions(pairs, tmp_path / "roi", None)
    assert "30 x 24" in caught.value.faults[0] and "p02.png has none" in caught.value.faults[1]
    with pytest.raises(DataError, match="no such file or folder"):
        with_regions(pairs, tmp_path / "rio", None)
