"""Sheets that are read in windows: every block is what the whole would give there."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from unet import files, raster
from unet.data import windows
from unet.data.hashing import content_hash
from unet.data.inspection.files import misplaced
from unet.data.pair_arrays import read_mask, read_pair, read_picture, read_target
from unet.data.pairs import Pair
from unet.data.parts import by_lists
from unet.data.prepared import index_labels, prepare_pairs
from unet.data.scan import scan, size_faults, without_void
from unet.data.stats import mask_stats
from unet.data.windows import cut_sheets, source_of
from unet.errors import DataError
from unet.labels import IGNORED, Labels
from unet.preprocessing import Preprocessing

LABELS = Labels(("ground", "house"), ((0, 0, 0), (200, 30, 30)), (0, 1))
LINES = Labels(("ground", "line"), ((0, 0, 0), (200, 30, 30)), (0, 1), dilated=(0, 3))
PLACE = Affine(0.5, 0, 650_000, 0, -0.5, 6_860_000)
RNG = np.random.default_rng(5)


def geotiff(path: Path, pixels: np.ndarray, nodata: float | None = None) -> Path:
    """Write (H, W, C) in tiles of 16 x 16 px."""
    height, width, bands = pixels.shape
    kind = {"photometric": "MINISBLACK", "alpha": "UNSPECIFIED"} if bands == 4 else {}
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=bands, dtype=pixels.dtype, nodata=nodata,
        tiled=True, blockxsize=16, blockysize=16, compress="deflate", crs="EPSG:2154", transform=PLACE, **kind,
    ) as file:  # fmt: skip
        file.write(pixels.transpose(2, 0, 1))
    return path


@pytest.fixture
def sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """150 x 100 px of four bands of 16 bits; the first 70 columns hold nothing. Such a size counts as large."""
    monkeypatch.setattr(windows, "MAX_PIXELS", 10_000)
    pixels = RNG.integers(1, 60_000, (100, 150, 4)).astype(np.uint16)
    pixels[:, :70] = 0
    mask = (RNG.random((100, 150, 1)) < 0.02).astype(np.uint8)
    return Pair("a/s", geotiff(tmp_path / "s.tif", pixels, 0), geotiff(tmp_path / "m.tif", mask))


def part_of(pair: Pair) -> tuple[slice, slice]:
    assert pair.window is not None
    row, column, height, width = pair.window
    return slice(row, row + height), slice(column, column + width)


def test_a_large_sheet_becomes_blocks_that_are_said(sheet: Pair) -> None:
    said: list[str] = []
    cut = cut_sheets([sheet], (64, 64), said.append)
    assert [pair.name for pair in cut] == [f"a/s@{row},{column}" for row in (0, 64) for column in (0, 64)]
    assert cut[3].window == (64, 64, 36, 86), "22 columns are less than half a block"
    assert len(said) == 1 and said[0].startswith("a/s: ") and "4 blocks of about 64 x 64" in said[0]
    assert cut_sheets(cut, (32, 32), said.append) == cut and len(said) == 1, "blocks are not cut again"


def test_what_is_small_or_cannot_be_read_in_windows_stays_whole(tmp_path: Path, sheet: Pair) -> None:
    raster.write_picture(tmp_path / "p.png", np.zeros((200, 200, 3), np.uint8))
    small = geotiff(tmp_path / "small.tif", np.zeros((90, 90, 1), np.uint8))
    (tmp_path / "broken.tif").write_bytes(b"II*\0 no more")
    pairs = [Pair(name, tmp_path / name, sheet.mask) for name in ("p.png", small.name, "broken.tif", "missing.tif")]
    assert cut_sheets(pairs) == tuple(pairs)


@pytest.mark.parametrize("labels", [LABELS, LINES], ids=["plain", "thickened"])
def test_blocks_together_are_the_sheet(sheet: Pair, labels: Labels) -> None:
    picture, mask = raster.read(sheet.image), raster.read_mask(sheet.mask)
    target = np.where((picture == 0).all(axis=2), IGNORED, labels.encode(mask))
    assert np.array_equal(read_target(sheet, labels), target)
    for pair in cut_sheets([sheet], (32, 48)):
        here = part_of(pair)
        got, truth = read_pair(pair, labels)
        assert np.array_equal(got, picture[here]) and got.dtype == np.uint16
        assert np.array_equal(truth, target[here])
        assert np.array_equal(read_mask(pair), mask[here])


def test_void_pixels_are_seen_as_the_mean(sheet: Pair) -> None:
    known = Preprocessing(bands=4, data_range=1000.0, mean=(0.1, 0.2, 0.3, 0.4), std=(1, 1, 1, 1))
    block = cut_sheets([sheet], (100, 100))[0]
    assert np.array_equal(np.unique(read_picture(block, known)[:, :70].reshape(-1, 4), axis=0), [[100, 200, 300, 400]])
    assert np.array_equal(read_picture(block, known)[:, 70:], raster.read(sheet.image)[:, 70:100])


def test_a_scan_of_blocks_is_that_of_their_pixels(sheet: Pair) -> None:
    pairs = cut_sheets([sheet], (32, 64))
    scanned = scan(pairs)
    assert scanned.pairs == pairs and not scanned.faults and not size_faults(scanned)
    picture, mask = raster.read(sheet.image).astype(float), raster.read_mask(sheet.mask)
    counted: Counter[object] = Counter()
    for pair, image_stats, stats in zip(pairs, scanned.pictures, scanned.masks, strict=True):
        here = part_of(pair)
        assert stats.values == mask_stats(mask[here]).values and (stats.height, stats.width) == mask[here].shape
        counted.update(dict(stats.values))
        valid = picture[here].any(axis=2)
        assert image_stats.void == pytest.approx(1 - valid.mean())
        if valid.any():
            assert np.allclose(image_stats.mean, picture[here][valid].mean(axis=0))
        assert image_stats.content_hash == content_hash(sheet.image) and image_stats.bands == 4
    assert counted == Counter(mask.ravel().tolist())
    assert scan(pairs) == scanned, "recalled"
    left = without_void(scanned).pairs
    assert set(pairs) - set(left) == {pair for pair in pairs if pair.window and sum(pair.window[1::2]) <= 70}


@pytest.mark.slow
def test_a_mask_of_another_size_is_said_once(sheet: Pair, tmp_path: Path) -> None:
    geotiff(sheet.mask, np.zeros((90, 150, 1), np.uint8))
    scanned = scan(cut_sheets([sheet], (16, 16)))
    assert not scanned.pairs
    assert [fault.kind for fault in scanned.faults] == ["size-differs"]
    assert "is 150 x 100 pixels, its mask" in str(scanned.faults[0]) and "150 x 90" in str(scanned.faults[0])


def test_prepared_blocks_are_windows_and_no_copies(sheet: Pair, tmp_path: Path) -> None:
    cut = cut_sheets([sheet], (32, 48))
    made = prepare_pairs({"all": cut}, LINES, tmp_path / "ready")
    tiled = prepare_pairs({"all": [sheet]}, LINES, tmp_path / "tiled", tile=(32, 48))
    for folder, prepared in (("ready", made), ("tiled", tiled)):
        assert {path.name for path in (tmp_path / folder).iterdir()} == {"masks", "sources.json"}
        assert prepared.left_out == 3, "those of the first 48 columns"
        of = {pair.name: pair for pair in cut}
        for pair in prepared.parts["all"]:
            assert pair.image == sheet.image and pair.window == of[pair.name].window and pair.cut_mask
            (picture, target), (whole, truth) = read_pair(pair, index_labels(LINES)), read_pair(of[pair.name], LINES)
            assert np.array_equal(picture, whole) and np.array_equal(target, truth)
    assert prepare_pairs({"all": cut}, LINES, tmp_path / "ready") == made
    known = scan(cut)
    again = scan(made.parts["all"], known_pictures=dict(zip(made.parts["all"], known.pictures, strict=False)))
    assert again.pictures == known.pictures[: len(again.pairs)], "not read again"


def test_a_file_that_changes_is_opened_anew(sheet: Pair) -> None:
    first = source_of(sheet.image)
    assert source_of(sheet.image) is first
    others: list[object] = []
    thread = threading.Thread(target=lambda: others.append(source_of(sheet.image)))
    thread.start()
    thread.join()
    assert others[0] is not first
    geotiff(sheet.image, np.full((40, 50, 1), 7, np.uint8))
    assert source_of(sheet.image).read().shape == (40, 50, 1)


def test_only_so_many_files_stay_open(tmp_path: Path) -> None:
    paths = [geotiff(tmp_path / f"{n}.tif", np.full((16, 16, 1), n, np.uint8)) for n in range(windows.MAX_OPEN + 3)]
    first = source_of(paths[0])
    for number, path in enumerate(paths):
        assert (source_of(path).read() == number).all()
    assert source_of(paths[0]) is not first


def test_of_a_large_file_pieces_are_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large"
    data = bytearray(RNG.integers(0, 256, 2_000_000, dtype=np.uint8).tobytes())
    path.write_bytes(data)
    whole = content_hash(path)
    monkeypatch.setattr(files, "HASHED_WHOLE", 1_000_000)
    monkeypatch.setattr(files, "_PIECE", 100)
    pieces = content_hash(path)
    assert pieces != whole and content_hash(path) == pieces
    for change in (0, len(data) - 1, (len(data) - 100) * 512 // 1023):
        changed = data.copy()
        changed[change] ^= 1
        path.write_bytes(changed)
        assert content_hash(path) != pieces
    path.write_bytes(data + b"\0")
    assert content_hash(path) != pieces


def test_lists_name_sheets_or_blocks(sheet: Pair, tmp_path: Path) -> None:
    blocks = cut_sheets([sheet], (64, 64))
    (tmp_path / "val.txt").write_text("s@0,0\n")
    (tmp_path / "test.txt").write_text("a/s@64,0\na/s@64,64\n")
    parts = by_lists(blocks, {"val": tmp_path / "val.txt", "test": tmp_path / "test.txt"})
    assert parts == {"train": blocks[1:2], "val": blocks[:1], "test": blocks[2:]}
    (tmp_path / "all.txt").write_text("s\n")
    assert by_lists(blocks, {"train": tmp_path / "all.txt"}) == {"train": blocks}
    with pytest.raises(DataError, match="1 pictures are on two lists"):
        by_lists(blocks, {"train": tmp_path / "val.txt", "val": tmp_path / "val.txt"})
    (tmp_path / "val.txt").write_text("s@7,7\n")
    with pytest.raises(DataError, match="1 line of"):
        by_lists(blocks, {"val": tmp_path / "val.txt"})


def test_what_is_decoded_as_a_whole_is_shared_by_threads(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.png" for name in "abc"]
    for number, path in enumerate(paths):
        raster.write_grey(path, np.full((8, 8), number, np.uint8))
    seen: list[object] = []
    thread = threading.Thread(target=lambda: seen.append(source_of(paths[0])))
    thread.start()
    thread.join()
    assert source_of(paths[0]) is seen[0]
    assert [int(source_of(path).read_mask()[0, 0]) for path in paths] == [0, 1, 2]
    assert source_of(paths[0]) is not seen[0], "only two are kept"


@pytest.mark.parametrize(
    ("place", "crs", "words"),
    [
        (PLACE, "EPSG:2154", None),
        (Affine(0.5, 0, 650_000.2, 0, -0.5, 6_860_000), "EPSG:2154", None),
        (Affine(0.5, 0, 650_010, 0, -0.5, 6_860_000), "EPSG:2154", "lies up to 20 pixels away"),
        (PLACE, "EPSG:3857", "is in EPSG:3857, its picture"),
    ],
)
def test_a_mask_that_lies_elsewhere_is_a_warning(sheet: Pair, place: Affine, crs: str, words: str | None) -> None:
    with rasterio.open(sheet.mask, "r+") as file:
        file.transform, file.crs = place, crs
    finding = misplaced(cut_sheets([sheet], (64, 64)))
    assert (finding is None) if words is None else (finding is not None and words in finding.files[0])


def test_a_region_of_interest_holds_in_blocks_too(sheet: Pair, tmp_path: Path) -> None:
    inside = np.zeros((100, 150), np.uint8)
    inside[20:90, 60:140] = 255
    raster.write_grey(tmp_path / "roi.png", inside)
    whole = replace(sheet, roi=tmp_path / "roi.png")
    target = read_target(whole, LABELS)
    assert np.array_equal(target != IGNORED, (inside > 0) & (raster.read(sheet.image) > 0).any(axis=2))
    for pair in cut_sheets([whole], (48, 32)):
        assert np.array_equal(read_target(pair, LABELS), target[part_of(pair)])
