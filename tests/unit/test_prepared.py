"""Masks made ready once: blocks that cover a sheet, what is made again and what is not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unet import raster
from unet.data.pair_arrays import read_picture
from unet.data.pairs import Pair, find_pairs
from unet.data.prepared import INDEX, blocks, index_labels, prepare_pairs
from unet.labels import Labels

DataMaker = Callable[..., Path]
LABELS = Labels(("back", "square"), ((0, 0, 0), (200, 30, 30)), (0, 1))


@given(st.integers(1, 300), st.integers(1, 300), st.integers(32, 90), st.integers(32, 90))
def test_blocks_cover_each_pixel_once_and_none_is_a_sliver(height: int, width: int, rows: int, columns: int) -> None:
    covered = np.zeros((height, width), int)
    for top, left, tall, wide in blocks(height, width, (rows, columns)):
        covered[top : top + tall, left : left + wide] += 1
        assert tall >= min(height, rows / 2) and wide >= min(width, columns / 2)
        assert tall < 1.5 * rows and wide < 1.5 * columns
    assert (covered == 1).all()


def test_blocks_put_together_are_the_sheet(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sheet, target = rng.integers(0, 256, (100, 150, 3), np.uint8), rng.integers(0, 2, (100, 150), np.uint8)
    inside = np.ones((100, 150), bool)
    inside[:64, :64] = inside[70:] = False
    raster.write_picture(tmp_path / "sheet.png", sheet)
    raster.write_mask(tmp_path / "drawn.png", target, LABELS.palette())
    raster.write_grey(tmp_path / "roi.png", inside)
    pair = Pair("sheet", tmp_path / "sheet.png", tmp_path / "drawn.png", tmp_path / "roi.png")
    made = prepare_pairs({"all": [pair]}, LABELS, tmp_path / "ready", tile=(64, 64))
    assert made.left_out == 1, "the block at the upper left"
    names = [block.name for block in made.parts["all"]]
    assert names == ["sheet@0,64", "sheet@64,0", "sheet@64,64"], "22 columns are less than half a block"
    for block in made.parts["all"]:
        top, left = map(int, block.name.removeprefix("sheet@").split(","))
        picture, mask = raster.read(block.image), raster.read_mask(block.mask)
        part = (slice(top, top + mask.shape[0]), slice(left, left + mask.shape[1]))
        assert np.array_equal(picture, sheet[part])
        assert np.array_equal(mask, np.where(inside, target, 255)[part])


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
@pytest.mark.parametrize("bands", [1, 3, 5])
def test_blocks_keep_every_bit(tmp_path: Path, dtype: str, bands: int) -> None:
    sheet = np.random.default_rng(1).integers(0, 60000, (40, 64, bands)).astype(dtype)
    np.save(tmp_path / "sheet.npy", sheet)
    raster.write_mask(tmp_path / "drawn.png", np.ones((40, 64), np.uint8), LABELS.palette())
    pair = Pair("sheet", tmp_path / "sheet.npy", tmp_path / "drawn.png")
    left, right = prepare_pairs({"all": [pair]}, LABELS, tmp_path / "ready", tile=(40, 32)).parts["all"]
    put_together = np.hstack([read_picture(left), read_picture(right)])
    assert put_together.dtype == sheet.dtype and np.array_equal(put_together, sheet)


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in sorted((folder / "masks").rglob("*.png"))}


def test_only_what_has_changed_is_made_again(make_data: DataMaker, tmp_path: Path) -> None:
    data, ready = make_data(count=4), tmp_path / "ready"
    pairs = {"all": find_pairs(data)["all"]}
    first = prepare_pairs(pairs, LABELS, ready)
    assert not list(ready.rglob("*.part")) and (ready / INDEX).is_file()
    for path in (ready / "masks").iterdir():
        os.utime(path, (1, 1))
    assert prepare_pairs(pairs, LABELS, ready) == first
    assert set(times(ready).values()) == {10**9}

    raster.write_mask(data / "masks" / "p01_mask.png", np.ones((24, 32), np.uint8), LABELS.palette())
    (ready / "masks" / "p02.png").unlink()
    assert prepare_pairs(pairs, LABELS, ready) == first
    again = {name for name, time in times(ready).items() if time != 10**9}
    assert again == {"p01.png", "p02.png"}
    assert (raster.read_mask(ready / "masks" / "p01.png") == 1).all()

    swapped = Labels(LABELS.names, LABELS.colors, (1, 0))
    prepare_pairs(pairs, swapped, ready)
    assert (raster.read_mask(ready / "masks" / "p01.png") == 0).all(), "made in another way, all are made again"


def test_parts_may_have_names_in_common(make_data: DataMaker, tmp_path: Path) -> None:
    make_data("data/train", count=2)
    make_data("data/val", count=2, seed=4)
    parts = find_pairs(tmp_path / "data")
    made = prepare_pairs(parts, LABELS, tmp_path / "ready")
    for part in ("train", "val"):
        assert [prepared.name for prepared in made.parts[part]] == ["p00", "p01"]
        for prepared, pair in zip(made.parts[part], parts[part], strict=True):
            assert np.array_equal(raster.read_mask(prepared.mask), raster.read_mask(pair.mask))


def test_the_table_of_prepared_masks() -> None:
    colors = Labels(("a", "b"), ((9, 0, 0), (0, 9, 0)), ((9, 0, 0), (0, 9, 0)), ((0, 0, 0),), "nearest")
    table = index_labels(colors)
    assert (table.values, table.ignored, table.rule) == ((0, 1), (255,), "exact")
    assert (table.names, table.colors) == (colors.names, colors.colors)
