"""The checks of a data set, each with numbers small enough to see through."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unet import raster
from unet.data.class_counts import class_counts, classes_shown
from unet.data.duplicates import ALIKE, alike_groups, twins
from unet.data.finding import Finding, shortened, stop_on_errors
from unet.data.inspection.masks import unnamed
from unet.data.inspection.splits import missing
from unet.data.mask_values import MaskValues
from unet.data.pairs import Pair, pair_up
from unet.data.scan import Scan
from unet.data.stats import MaskStats, PictureStats, mask_stats, picture_stats
from unet.data.true_values import edge_only_values, find_true_values
from unet.errors import DataError
from unet.labels import Labels


def pair(name: str) -> Pair:
    return Pair(name, Path(f"imgs/{name}.png"), Path(f"masks/{name}.png"))


def scan_of(pictures: dict[str, PictureStats], masks: dict[str, MaskStats] | None = None) -> Scan:
    names = list(pictures)
    empty = mask_stats(np.zeros((8, 8), np.uint8))
    return Scan(
        tuple(pair(name) for name in names), tuple(pictures.values()),
        tuple((masks or {}).get(name, empty) for name in names), (),
    )  # fmt: skip


def seen_of(*masks: np.ndarray) -> MaskValues:
    noise = picture_stats(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8))
    names = [str(number) for number in range(len(masks))]
    stats = {name: mask_stats(mask) for name, mask in zip(names, masks, strict=True)}
    return MaskValues(scan_of(dict.fromkeys(names, noise), stats))


# Findings


def test_one_error_is_raised_as_it_is_and_several_as_one() -> None:
    note = Finding("exif", "note", "turned")
    unpaired = Finding("unpaired", "error", "2 files", "pairs", "add them", ("a has no mask", "b has no mask"), 2)
    instances = Finding("instances", "error", "objects", "classes")
    stop_on_errors([note], "data")
    with pytest.raises(DataError, match=r"^2 files; expected pairs; add them$") as caught:
        stop_on_errors([note, unpaired], "data")
    assert caught.value.faults == unpaired.files and caught.value.kind == "unpaired"
    assert Finding.of(caught.value) == unpaired
    with pytest.raises(DataError, match="2 kinds of fault in data") as caught:
        stop_on_errors([unpaired, note, instances], "data")
    assert caught.value.faults == (
        "2 files; expected pairs; add them: a has no mask, b has no mask",
        "objects; expected classes",
    )


@pytest.mark.parametrize(("kind", "listed"), [("swapped", 3), ("unpaired", 10)])
def test_faults_of_one_cause_list_three_files_and_a_count(kind: str, listed: int) -> None:
    files = tuple(f"masks/{number}.png holds 300 values" for number in range(12))
    faults = Finding(kind, "error", "12 files", files=files, count=12).error().faults
    assert faults == (*files[:listed], f"and {12 - listed} more")


@given(st.lists(st.text(max_size=3), max_size=30), st.integers(1, 12))
def test_shortened_lists_count_the_rest(faults: list[str], most: int) -> None:
    short = shortened(faults, most)
    rest = len(faults) - most
    assert short[:most] == tuple(faults[:most]) and short[most:] == ((f"and {rest} more",) if rest > 0 else ())


# Names


@pytest.mark.parametrize(
    ("image", "mask", "near"),
    [
        ("scan_07.png", "Scan 7_mask.png", True),
        ("scan_07.png", "sacn_07_mask.png", True),
        ("scan_07.png", "scan_07_maks.png", True),
        ("scan_07.png", "scan_08_mask.png", False),
        ("scan_07.png", "scan_17_mask.png", False),
        ("scan_07.png", "house_07_mask.png", False),
        ("größe.png", "grösse_mask.png", True),
    ],
)
def test_near_names_have_the_same_numbers(tmp_path: Path, image: str, mask: str, near: bool) -> None:
    for name in (
        "imgs/a1.png",
        "masks/a1_mask.png",
        "imgs/a2.png",
        "masks/a2_mask.png",
        f"imgs/{image}",
        f"masks/{mask}",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    pairing = pair_up(tmp_path)
    assert [path.name for path in pairing.without_mask] == [image]
    assert [path.name for path in pairing.without_picture] == [mask]
    assert {a.name: b.name for a, b in pairing.near.items()} == ({image: mask} if near else {})
    assert [pair.name for pair in pairing.parts["all"]] == ["a1", "a2"]


# Values


def test_inner_pixels_have_four_neighbours_of_their_kind() -> None:
    mask = np.zeros((7, 7), np.uint8)
    mask[1:6, 1:6] = 9
    mask[3, 3] = 4
    stats = mask_stats(mask)
    # Of the 25 pixels of 9 the ring of 16 touches 0 and the four around the middle touch 4.
    assert dict(zip([value for value, _ in stats.values], stats.inner, strict=True)) == {0: 0, 9: 4, 4: 0}


@given(st.integers(0, 10**6), st.booleans())
def test_inner_pixels_agree_with_a_loop(seed: int, is_rgb: bool) -> None:
    rng = np.random.default_rng(seed)
    mask = np.kron(rng.integers(0, 3, (3, 3)), np.ones((3, 3))).astype(np.uint8)
    codes = mask.copy()
    if is_rgb:
        mask = np.dstack([mask * 5, mask, 9 - mask])
    wanted: dict[object, int] = {}
    for row in range(1, 8):
        for column in range(1, 8):
            around = [codes[row - 1, column], codes[row + 1, column], codes[row, column - 1], codes[row, column + 1]]
            if all(value == codes[row, column] for value in around):
                key = tuple(mask[row, column].tolist()) if is_rgb else int(codes[row, column])
                wanted[key] = wanted.get(key, 0) + 1
    stats = mask_stats(mask)
    got = {value: inner for (value, _), inner in zip(stats.values, stats.inner, strict=True) if inner}
    assert got == wanted


def test_blended_values_are_between_and_have_no_inside() -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[:, 20:] = 200
    mask[:, 18], mask[:, 19] = 60, 140
    assert sorted(edge_only_values(seen_of(mask))) == [60, 140] and find_true_values(seen_of(mask)).values == (0, 200)
    outside = np.where(mask == 60, 250, mask).astype(np.uint8)  # brighter than both sides: no blend of them
    assert edge_only_values(seen_of(outside)) == [140]


# Splits


def stats_of(seed: int, change: float = 1.0) -> PictureStats:
    rng = np.random.default_rng(seed)
    soft = raster.resize(rng.integers(0, 256, (6, 8, 3)).astype(np.uint8), 48, 64, "bicubic")
    return picture_stats((soft * change).astype(np.uint8))


def test_twins_are_equal_or_alike_and_nothing_else() -> None:
    train = scan_of({f"t{seed}": stats_of(seed) for seed in range(6)})
    val = scan_of({"same": stats_of(2), "darker": stats_of(3, 0.97), "other": stats_of(50)})
    twin_of = {val_pair.name: (train_pair.name, distance) for train_pair, val_pair, distance in twins(train, val)}
    assert twin_of["same"] == ("t2", -1) and twin_of["darker"][0] == "t3" and 0 <= twin_of["darker"][1] <= ALIKE
    assert "other" not in twin_of and twins(val, scan_of({})) == []


def test_hashes_that_agree_by_chance_are_told_apart_by_brightness_and_shape() -> None:
    picture = stats_of(0)
    brighter = replace(picture, digest=1, mean=tuple(value + 60 for value in picture.mean))
    wider = replace(picture, digest=2, width=picture.width * 2)
    assert twins(scan_of({"a": picture}), scan_of({"b": brighter, "c": wider})) == []


def test_flat_pictures_have_no_perceptual_hash() -> None:
    noise = np.random.default_rng(0).integers(198, 204, (64, 64, 3)).astype(np.uint8)
    assert picture_stats(noise).phash is None and not picture_stats(noise).constant
    flat = picture_stats(np.full((9, 9, 1), 7, np.uint16))
    assert flat.constant and flat.phash is None


@pytest.mark.slow
@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_distances_are_counts_of_bits(first_hash: int, second_hash: int) -> None:
    base = stats_of(0)
    first, second = replace(base, phash=first_hash, digest=1), replace(base, phash=second_hash, digest=2)
    distance = bin(first_hash ^ second_hash).count("1")
    result = twins(scan_of({"a": first}), scan_of({"b": second}))
    assert [twin[2] for twin in result] == ([distance] if distance <= ALIKE else [])


def test_sets_of_pictures_that_look_alike() -> None:
    pictures = {f"p{seed}": stats_of(seed) for seed in range(6)}
    pictures |= {"same": stats_of(2), "darker": stats_of(3, 0.97), "darkest": stats_of(3, 0.94), "again": stats_of(2)}
    black = picture_stats(np.zeros((48, 64, 3), np.uint8))
    groups = alike_groups(scan_of({**pictures, "black": black, "black too": black}))
    names = sorted(sorted(pair.name for pair in group) for group in groups)
    assert names == [["again", "p2", "same"], ["darker", "darkest", "p3"]]
    assert alike_groups(scan_of({})) == [] and alike_groups(scan_of({"a": stats_of(0)})) == []


@pytest.mark.slow
@given(st.lists(st.integers(0, 2**64 - 1), min_size=2, max_size=12), st.lists(st.integers(0, 63), max_size=20))
def test_alike_groups_are_the_components_of_a_plain_search(hashes: list[int], flips: list[int]) -> None:
    base = stats_of(0)
    hashes += [hashes[number % len(hashes)] ^ (1 << flip) for number, flip in enumerate(flips)]
    pictures = {f"{n:02}": replace(base, phash=value, digest=n) for n, value in enumerate(hashes)}
    expected = {n: {n} for n in range(len(hashes))}
    for a in range(len(hashes)):
        for b in range(a):
            if bin(hashes[a] ^ hashes[b]).count("1") <= ALIKE and expected[a] is not expected[b]:
                expected[a] |= expected[b]
                for n in expected[a]:
                    expected[n] = expected[a]
    groups = {frozenset(int(pair.name) for pair in group) for group in alike_groups(scan_of(pictures))}
    assert groups == {frozenset(group) for group in expected.values() if len(group) > 1}


def test_classes_that_masks_show() -> None:
    masks = {"a": mask_stats(np.array([[0, 1, 7]], np.uint8)), "b": mask_stats(np.array([[0, 0, 9]], np.uint8))}
    labels = Labels(("x", "y", "z"), ((0, 0, 0),) * 3, (0, 1, 9), ignored=(7,))
    shown = classes_shown(scan_of({"a": stats_of(0), "b": stats_of(1)}, masks), labels)
    assert {pair.name: classes for pair, classes in shown.items()} == {"a": {0, 1}, "b": {0, 2}}


def test_classes_on_one_side() -> None:
    full, half = (mask_stats(np.array([values], np.uint8)) for values in ([0, 1, 2], [0, 1, 1]))
    picture = stats_of(0)
    labels = replace(Labels.numbered(4), names=("a", "b", "c", "d"))
    finding = missing(scan_of({"x": picture}, {"x": full}), scan_of({"y": picture}, {"y": half}), labels)
    assert finding is not None
    assert finding.files == ("c is in no validation mask", "d is in no picture at all")
    assert class_counts(half, labels)[:4].tolist() == [1, 2, 0, 0]


def test_classes_without_a_name_are_named_by_a_file() -> None:
    colours = Labels(
        ("background", "class_1", "class_2"),
        ((0, 0, 0), (0, 255, 0), (255, 0, 0)),
        ((0, 0, 0), (0, 255, 0), (255, 0, 0)),
    )
    found = unnamed(colours)
    assert found is not None and found.severity == "note" and "name,r,g,b" in found.remedy
    assert found.files == ("class_1 is (0, 255, 0)", "class_2 is (255, 0, 0)")
    assert unnamed(replace(colours, names=("soil", "crop", "weed"))) is None
    assert unnamed(Labels.numbered(2)) is None
