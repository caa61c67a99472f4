"""The parts of a repair: what is true, what is turned, what pairs."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from unet.data.inspection.values import spread
from unet.data.mask_values import MaskValues
from unet.data.pairs import pair_up
from unet.data.repairing.file_repair import FileRepair, Step, scan_of
from unet.data.repairing.geometry import clear_choice, turned, turned_back
from unet.data.repairing.names import sure_pairs
from unet.data.repairing.objects import objects, objects_and_borders
from unet.data.repairing.palettes import common_palette, translated, translation
from unet.data.repairing.snapping import nearest, snap
from unet.data.repairing.stacks import indices_of
from unet.data.scan import Scan
from unet.data.stats import MaskStats, mask_stats, picture_stats
from unet.data.true_values import find_true_values, foreign_reason, unexplained
from unet.labels import Value

COLOURS = [(0, 0, 0), (200, 0, 0), (0, 0, 200), (90, 0, 90)]


def seen_in(*masks: np.ndarray) -> MaskValues:
    """What a scan would say of these masks."""
    pictures = tuple(picture_stats(np.zeros((*mask.shape[:2], 1), np.uint8)) for mask in masks)
    pairs = tuple(range(len(masks)))  # not looked at
    return MaskValues(Scan(pairs, pictures, tuple(mask_stats(mask) for mask in masks), ()))  # type: ignore[arg-type]


def discs(values: list[Value], seed: int = 0, size: int = 160) -> np.ndarray:
    """Overlapping discs of the values."""
    rng = np.random.default_rng(seed)
    points = np.array(values, np.uint8)
    chosen = np.zeros((size, size), int)
    rows, columns = np.mgrid[:size, :size]
    for number in range(40):
        row, column, radius = *rng.integers(0, size, 2), rng.integers(8, 30)
        chosen[(rows - row) ** 2 + (columns - column) ** 2 < radius**2] = number % len(values)
    return points[chosen]


def as_jpeg(mask: np.ndarray, quality: int) -> np.ndarray:
    file = BytesIO()
    Image.fromarray(mask).save(file, format="JPEG", quality=quality)
    return np.asarray(Image.open(file))


def blurred(mask: np.ndarray) -> np.ndarray:
    size = (int(0.7 * mask.shape[1]), int(0.7 * mask.shape[0]))
    return np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.BILINEAR))


def wrong(mask: np.ndarray, truth: np.ndarray) -> float:
    return float((np.atleast_3d(mask) != np.atleast_3d(truth)).any(axis=2).mean())


# Snapping


@st.composite
def bent(draw: st.DrawFn) -> tuple[np.ndarray, list[Value]]:
    """Any mask, and two to six values of its kind."""
    is_rgb = draw(st.booleans())
    level = st.integers(0, 255)
    value = st.tuples(level, level, level) if is_rgb else level
    values: list[Value] = draw(st.lists(value, min_size=2, max_size=6, unique=True))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    height, width = draw(st.tuples(st.integers(1, 20), st.integers(1, 20)))
    blocks = np.array(values, np.uint8)[rng.integers(0, len(values), (height, width))].repeat(3, 0).repeat(3, 1)
    noise = draw(st.integers(0, 40))
    mask = blocks.astype(int) + rng.integers(-noise, noise + 1, blocks.shape)
    return mask.clip(0, 255).astype(np.uint8), values


@pytest.mark.slow
@settings(max_examples=60)
@given(bent())
def test_snapping_gives_true_values_and_leaves_these_alone(example: tuple[np.ndarray, list[Value]]) -> None:
    mask, values = example
    result = snap(mask, values)
    assert result.shape == mask.shape and result.dtype == mask.dtype
    assert {tuple(np.atleast_1d(pixel)) for pixel in result.reshape(-1, *mask.shape[2:]).tolist()} <= {
        tuple(np.atleast_1d(value)) for value in values
    }
    assert (snap(result, values) == result).all()


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(2, 6))
def test_exact_masks_stay_as_they_are(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.choice(256, count, replace=False).tolist()
    mask = rng.choice(values, (17, 13)).astype(np.uint8)
    assert snap(mask, values) is mask


@pytest.mark.slow
@settings(max_examples=30)
@given(bent())
def test_the_nearest_value_is_that_of_a_plain_search(example: tuple[np.ndarray, list[Value]]) -> None:
    mask, values = example
    points = np.array([np.atleast_1d(value) for value in values], int)
    flat = mask.reshape(len(mask.ravel()) // points.shape[1], -1).astype(int)
    expected = [min(((pixel - point) ** 2).sum() for point in points) for pixel in flat]
    result = nearest(mask, values).reshape(flat.shape).astype(int)
    assert [((pixel - value) ** 2).sum() for pixel, value in zip(flat, result, strict=True)] == expected


def test_an_edge_does_not_pass_through_the_class_between() -> None:
    ramp = np.array([0, 0, 0, 0, 40, 100, 160, 215, 255, 255, 255, 255], np.uint8)
    mask = np.repeat(ramp[None], 12, axis=0)
    assert set(nearest(mask, [0, 128, 255]).ravel()) == {0, 128, 255}
    assert snap(mask, [0, 128, 255])[5].tolist() == [0] * 6 + [255] * 6  # of 0 and 255 the nearer
    there = np.concatenate([mask, np.full((8, 12), 128, np.uint8)])
    assert (snap(there, [0, 128, 255])[10:] == nearest(there, [0, 128, 255])[10:]).all()  # it has an inside here


def test_a_thin_line_of_the_class_between_stays() -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[:, 30:] = 255
    mask[20, :25] = 125  # near one class only
    mask[:, 29:31] = (90, 165)  # a blurred edge
    result = snap(mask, [0, 128, 255])
    assert (result[20, :25] == 128).all() and set(result[:10].ravel()) == {0, 255}


@pytest.mark.parametrize(
    ("values", "quality", "most"),
    [([0, 128, 255], 75, 0.0), ([0, 128, 255], 90, 0.0), (COLOURS, 75, 0.012), (COLOURS, 90, 0.008)],
)
def test_jpeg_masks_come_back(values: list[Value], quality: int, most: float) -> None:
    truth = [discs(values, seed) for seed in range(3)]
    bent = [as_jpeg(mask, quality) for mask in truth]
    ours, plain = (
        np.mean([wrong(how(mask, values), exact) for mask, exact in zip(bent, truth, strict=True)])
        for how in (snap, nearest)
    )
    assert ours <= most and ours <= plain
    assert most == 0 or ours < 0.8 * plain


def test_blended_masks_come_back_better_than_by_the_nearest_value() -> None:
    truth = discs([0, 128, 255])
    mask = blurred(truth)
    exact = np.asarray(Image.fromarray(truth).resize(mask.shape[::-1], Image.Resampling.NEAREST))
    assert wrong(snap(mask, [0, 128, 255]), exact) < 0.7 * wrong(nearest(mask, [0, 128, 255]), exact)


def test_a_grey_mask_among_masks_of_colours() -> None:
    mask = np.array([[0, 3], [120, 1]], np.uint8)
    assert snap(mask, [(0, 0, 0), (128, 128, 128)]).tolist() == [[[0] * 3, [0] * 3], [[128] * 3, [0] * 3]]


# What is true


@pytest.mark.parametrize("quality", [75, 90])
def test_true_values_are_found(quality: int) -> None:
    for values in ([0, 255], [0, 128, 255], list(range(0, 256, 25))):
        assert (
            list(find_true_values(seen_in(*(as_jpeg(discs(values, seed), quality) for seed in range(3)))).values)
            == values
        )
    values = find_true_values(seen_in(*(as_jpeg(discs(COLOURS, seed), quality) for seed in range(3)))).values
    assert len(values) == 4 and np.abs(np.subtract(values, sorted(COLOURS))).max() <= 3


def test_thin_lines_on_ground() -> None:
    mask = np.zeros((90, 90), np.uint8)
    mask[10::20] = mask[:, 7::30] = 255
    assert find_true_values(seen_in(as_jpeg(mask, 75))).values == (0, 255)
    low, high = find_true_values(seen_in(blurred(mask))).values
    assert low == 0 and high > 200


@pytest.mark.parametrize("values", [[0, 1, 2], [0, 1, 2, 255], [10, 20, 200]])
def test_classes_too_near_to_one_another_are_not_merged(values: list[Value]) -> None:
    truth = find_true_values(seen_in(*(as_jpeg(discs(values, seed), 80) for seed in range(2))))
    assert "too near to one another" in truth.doubt


def test_what_is_strange_in_a_mask() -> None:
    assert foreign_reason(mask_stats(as_jpeg(discs([0, 255]), 75)), [0, 255]) == ""
    assert "fills areas with 90" in foreign_reason(mask_stats(discs([0, 90, 255])), [0, 255])
    assert "fills areas with 5" in foreign_reason(mask_stats(discs([0, 1, 5])), [0, 1])
    noise = np.random.default_rng(0).integers(0, 256, (50, 50)).astype(np.uint8)
    assert "% of its pixels are near" in foreign_reason(mask_stats(noise), [0, 255])


def test_a_class_that_was_not_seen_shows() -> None:
    masks = [as_jpeg(discs(COLOURS[:3], seed), 90) for seed in range(2)]
    assert unexplained(seen_in(*masks), COLOURS[:3]) < 1e-4
    assert unexplained(seen_in(*masks), COLOURS[:2]) > 0.05


# Places


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turning_back_undoes_turning(orientation: int) -> None:
    mask = np.arange(6).reshape(2, 3)
    assert (turned_back(turned(mask, orientation), orientation) == mask).all()
    assert turned(mask, 6).tolist() == [[3, 0], [4, 1], [5, 2]]  # to the right


def test_edges_say_how_a_mask_lies() -> None:
    mask = np.zeros((60, 90), np.uint8)
    mask[8:25, 12:40] = 1
    picture = (mask * 120 + np.random.default_rng(0).integers(0, 60, mask.shape)).astype(np.uint8)[..., None]
    assert clear_choice(picture, turned_back(mask, 6), (6, 8)) == 6
    assert clear_choice(picture, turned_back(mask, 8), (6, 8)) == 8
    assert clear_choice(picture, turned_back(np.zeros_like(mask), 8), (6, 8)) is None
    both = mask | mask[::-1, ::-1]
    assert clear_choice(picture, turned_back(both, 8), (6, 8)) is None


# Kinds


def test_stacks() -> None:
    indices = np.random.default_rng(0).integers(0, 7, (5, 6))
    assert (indices_of(np.eye(7, dtype=np.float32)[indices]) == indices).all()
    assert (indices_of(np.eye(7, dtype=np.uint8)[indices] * 255) == indices).all()


def test_objects_and_their_borders() -> None:
    numbers = np.zeros((9, 20), np.int32)
    numbers[2:7, 2:8], numbers[2:7, 8:12], numbers[2:7, 16:19] = 5, 3, 9
    assert (objects(numbers) == (numbers > 0)).all()
    result = objects_and_borders(numbers)
    assert result[4].tolist() == [0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0]  # 4 wide; none at the gap
    apart = np.where(numbers == 9, 0, numbers)
    apart[:, 8:10] = 0
    assert objects_and_borders(apart)[4].tolist() == [0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]


def stats(mask: np.ndarray, palette: list[tuple[int, int, int]] | None = None, mode: str = "L") -> MaskStats:
    measured = mask_stats(mask, palette=palette)
    return MaskStats(**{**vars(measured), "mode": "P" if palette else mode})


def test_values_of_other_palettes() -> None:
    black, red, green = (0, 0, 0), (200, 0, 0), (0, 200, 0)
    three = discs([0, 1, 2])
    common_mask, other = stats(three, [black, red, green]), stats(three, [green, black, red])
    grey, unknown = stats(three, [(i, i, i) for i in range(3)]), stats(three, [black, red, (9, 9, 200)])
    common = common_palette([common_mask, other, common_mask, grey, unknown])
    assert common == {0: black, 1: red, 2: green}
    assert translation(common_mask, common, 2) == translation(grey, common, 2) == {0: 0, 1: 1, 2: 2}
    assert translation(other, common, 2) == {0: 2, 1: 0, 2: 1}
    assert translation(unknown, common, 2) is None
    coloured = np.array([black, red, green], np.uint8)[three]
    table = translation(stats(coloured, mode="RGB"), common, 2)
    assert table is not None and (translated(coloured, table) == three).all()
    assert translation(stats(np.array([0, 127, 255], np.uint8)[three]), common, 2) == {0: 0, 127: 1, 255: 2}
    assert translation(stats(discs([0, 90, 255])), common, 2) is None


def test_spread_numbers() -> None:
    assert spread([0, 255], 1) == {0: 0, 255: 1}
    assert spread([0, 128, 255], 2) == spread([0, 128, 255], 2) and spread([0, 127, 255], 2) is not None
    assert spread([0, 1, 255], 2) is None and spread([0, 100, 255], 2) is None


def test_a_step_that_changes_nothing_is_no_step() -> None:
    mask = discs([0, 1])
    job = FileRepair("all", None, picture_stats(mask[..., None]), mask_stats(mask))  # type: ignore[arg-type]
    assert job.then(Step("nothing", lambda values: values)).steps == ()
    added = job.then(Step("one more", lambda values: values + 1))
    assert len(added.steps) == 1 and set(dict(added.mask.values)) == {1, 2}
    assert dict(added.mask.values)[2] == dict(job.mask.values)[1]
    assert scan_of([added]).masks[0].n_values == 2


# Names


def touch(root: Path, images: list[str], masks: list[str]) -> dict[str, list[str]]:
    for folder, names in (("imgs", images), ("masks", masks)):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            (root / folder / f"{name}.png").touch()
    pairs_by_part = sure_pairs(pair_up(root))
    return {pair.image.stem: pair.mask.stem for pairs in pairs_by_part.values() for pair in pairs}


@pytest.mark.parametrize(
    ("images", "masks", "expected"),
    [
        (["a1", "a2", "scan 3"], ["a1", "a2", "sacn_3"], {"scan 3": "sacn_3"}),
        (["a1", "a2", "a03"], ["a1_mask", "a2_mask", "A-3_mask"], {"a03": "A-3_mask"}),
        (["house", "tree", "cat"], ["house_mask", "tree_mask", "Cat_mask"], {"cat": "Cat_mask"}),
        (["car_1", "car_5", "cat_1"], ["car_1_m", "cat_1_m", "cat_5_m"], {}),  # no slip: both are regular names
        (["a1", "bird 7", "birdy 7"], ["a1", "brid 7"], {}),  # two pictures for one mask
        (["a1", "bird 7"], ["a1", "brid 7", "birb 7"], {}),
    ],
)
def test_names_that_can_only_be_meant_for_each_other(
    tmp_path: Path, images: list[str], masks: list[str], expected: dict[str, str]
) -> None:
    assert touch(tmp_path, images, masks) == expected
