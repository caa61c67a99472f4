from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from unet import demo as synthetic
from unet import raster
from unet.demo import grid, lettering, town
from unet.errors import DataError
from unet.metrics.confusion import confusion, scores


def test_files_are_what_the_data_room_expects(tmp_path: Path) -> None:
    folder = synthetic.make_sheets(tmp_path / "sheets", count=2, size=(96, 130), seed=4)

    assert folder == tmp_path / "sheets"
    assert (folder / "classes.txt").read_text(encoding="utf-8").split() == list(synthetic.NAMES)
    assert sorted(p.name for p in (folder / "imgs").iterdir()) == ["sheet_00.png", "sheet_01.png"]
    assert sorted(p.name for p in (folder / "masks").iterdir()) == ["sheet_00_mask.png", "sheet_01_mask.png"]
    picture = raster.read(folder / "imgs" / "sheet_01.png")
    mask = raster.read_mask(folder / "masks" / "sheet_01_mask.png")
    assert picture.shape == (96, 130, 3) and picture.dtype == np.uint8
    assert mask.shape == (96, 130) and mask.dtype == np.uint8
    palette = raster.mask_palette(folder / "masks" / "sheet_01_mask.png")
    assert palette is not None and palette[:4] == synthetic.COLORS


def test_same_seed_same_sheet_and_a_sheet_does_not_depend_on_how_many_there_are(tmp_path: Path) -> None:
    first = synthetic.make_sheets(tmp_path / "one", count=1, size=(64, 64), seed=7)
    second = synthetic.make_sheets(tmp_path / "two", count=2, size=(64, 64), seed=7)
    other = synthetic.make_sheets(tmp_path / "other", count=1, size=(64, 64), seed=8)

    for name in ("imgs/sheet_00.png", "masks/sheet_00_mask.png"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert (first / "imgs/sheet_00.png").read_bytes() != (other / "imgs/sheet_00.png").read_bytes()


Sheets = list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]


@pytest.fixture(scope="module")
def sheets() -> Sheets:
    return [synthetic.draw_sheet((192, 192), np.random.default_rng((0, number))) for number in range(8)]


def test_every_sheet_shows_every_class(sheets: Sheets) -> None:
    for _, target in sheets:
        shares = np.bincount(target.ravel(), minlength=4) / target.size
        assert shares.size == 4 and (shares > 0.005).all()


def test_the_best_rule_from_color_to_class_stays_far_from_the_truth(sheets: Sheets) -> None:
    counts = np.zeros((4096, 4))
    for picture, target in sheets[:6]:
        np.add.at(counts, ((picture >> 4).astype(int) @ [256, 16, 1], target), 1)
    rule = (counts / counts.sum(axis=0)).argmax(axis=1).astype(np.uint8)

    matrix = np.zeros((4, 4), dtype=np.int64)
    for picture, target in sheets[6:]:
        matrix += confusion(target, rule[(picture >> 4).astype(int) @ [256, 16, 1]], 4)
    assert scores(matrix).mean_iou < 0.6


def test_edges_in_the_picture_are_smooth_and_in_the_mask_exact() -> None:
    picture, target = synthetic.draw_sheet((128, 128), np.random.default_rng(3))

    assert set(np.unique(target)) <= {0, 1, 2, 3}
    assert len(np.unique(picture.mean(axis=2).astype(int))) > 100


@pytest.mark.slow
@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(64, 120), st.integers(64, 120))
def test_any_size_and_any_seed_can_be_drawn(seed: int, height: int, width: int) -> None:
    picture, target = synthetic.draw_sheet((height, width), np.random.default_rng(seed))

    assert picture.shape == (height, width, 3)
    assert target.shape == (height, width)


@pytest.mark.parametrize("wrong", [{"count": 0}, {"size": (63, 200)}, {"seed": -1}])
def test_settings_that_make_no_sense_are_refused_before_anything_is_written(
    tmp_path: Path, wrong: dict[str, object]
) -> None:
    with pytest.raises(DataError, match="expected at least one sheet"):
        synthetic.make_sheets(tmp_path / "sheets", **wrong)  # type: ignore[arg-type]
    assert not (tmp_path / "sheets").exists()


SQUARE = np.array([[0.0, 0.0], [0.0, 4.0], [4.0, 4.0], [4.0, 0.0]])


def test_clipping_a_square_by_hand() -> None:
    down = np.array([1.0, 0.0])

    assert town.area(town.clip(SQUARE, down, 1.0)) == pytest.approx(4.0)
    assert town.area(town.clip(SQUARE, down, 9.0)) == pytest.approx(16.0)
    assert town.clip(SQUARE, down, -1.0).shape == (0, 2)


def test_inset_moves_all_sides_or_the_named_ones() -> None:
    assert town.area(town.inset(SQUARE, 1.0)) == pytest.approx(4.0)
    assert town.area(town.inset(SQUARE, 1.0, [0])) == pytest.approx(12.0)
    assert town.inset(SQUARE, 3.0).shape == (0, 2)


@given(st.floats(0, 6.28), st.floats(-3, 3))
def test_two_sides_of_a_cut_make_the_whole(angle: float, place: float) -> None:
    normal = np.array([np.sin(angle), np.cos(angle)])
    place += float(np.array([2.0, 2.0]) @ normal)
    sides = [town.clip(SQUARE, normal, place), town.clip(SQUARE, -normal, -place)]

    assert sum(town.area(side) for side in sides if len(side)) == pytest.approx(16.0)


def test_a_polygon_covers_the_fine_pixels_whose_centre_it_holds() -> None:
    window, covered = grid.cover(SQUARE / 2, (30, 30))
    canvas = np.zeros((30, 30), dtype=bool)
    canvas[window] = covered

    assert canvas.sum() == (2 * grid.FINE) ** 2
    assert canvas[: 2 * grid.FINE, : 2 * grid.FINE].all()


def test_every_letter_that_is_written_has_a_shape() -> None:
    for text in (*lettering.STREET_NAMES, *lettering.PLACE_NAMES, "0123456789", " ARR."):
        assert set(text) <= {*lettering.GLYPHS, " "}
