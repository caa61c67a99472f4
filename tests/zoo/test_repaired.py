"""Each broken data set is repaired, so that nothing is wrong with the copy, or refused with a word."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from broken_sets import SOUND, ZOO, blocks, good
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_zoo import do_harm, harm

from unet import raster
from unet.commands.repair import repair
from unet.config import DataConfig
from unet.data.finding import errors_in
from unet.errors import UnetError
from unet.runs.source import survey_of
from unet.terminal.display import open_display

Builder = Callable[[Path], None]

BUILDERS: dict[str, Builder] = {**{case.name: case.build for case in ZOO}, **{build.__name__: build for build in SOUND}}

REFUSED = {
    "nothing_pairs": "0 pairs",
    "no_folder_of_masks": "a folder masks",
    "a_mask_for_each_object": "unet import",
    "nothing_at_all": "no pictures",
    "no_pictures_among_the_pictures": "no pictures",
    "pictures_beside_the_parts": "beside the folders",
    "folders_swapped_by_name": "swapped",
    "folders_swapped_by_content": "swapped",
    "a_single_pair": "at least two",
    "jpeg_masks_of_class_numbers": "too near to one another",
    "photographs_for_masks": "the files are the wrong ones",
    "numbers_of_objects": "--instances borders",
    "masks_of_overlapping_bands": "0 pairs",
    "names_for_colours": "name,r,g,b",
    "a_class_table_with_a_slip": "not a class table",
    "masks_of_one_value": "one value only",
    "masks_drawn_in_alpha": "may be in their alpha",
    "objects_and_nan_and_a_slip": "--instances borders",
}
"""Sets of which no copy is made, and a part of the word."""

LEFT_OUT = {
    "picture_without_mask": {"p01.png"},
    "mask_without_picture": {"p01_mask.png"},
    "one_slip_and_one_loss": {"p05.png"},
    "two_pictures_of_a_name": {"p01.jpg"},
    "two_masks_of_a_picture": {"p01.png"},
    "one_pair_swapped": {"p04.png"},
    "names_of_many_signs": {"größe é 1.png", "größe é 2.png"},
    "deep_folders": {"p03.png", "p05.png"},
    "a_picture_of_no_bytes": {"p02.png"},
    "a_picture_cut_off": {"p02.jpg"},
    "a_mask_cut_off": {"p02_mask.bmp"},
    "a_text_for_a_picture": {"p02.png"},
    "a_mask_with_bytes_flipped": {"p02_mask.png"},
    "pictures_with_nan": {"p02.npy"},
    "nan_and_an_empty_mask_file": {"p02.npy", "p02_mask.png"},
    "masks_of_fractions": {"p02_mask.npy"},
    "a_mask_that_was_cropped": {"p02.png"},
    "a_mask_on_its_side": {"p02.png"},  # of noise: no edge says which side is up
    "five_bands_among_three": {"p03.npy"},
    "one_photograph_among_the_masks": {"p03_mask.png"},
    "fractions_among_0_to_255": {"p03.npy"},
    "a_colour_that_the_table_lacks": {"p03_mask.png"},
    "a_number_that_the_table_lacks": {"p03_mask.png"},
    "lossy_and_cut_and_small_and_lost": {"p00.jpg", "p01.jpg"},
    "palettes_and_bands_and_an_empty_file": {"p05.npy", "p06_mask.png"},
}
"""Files that cannot be repaired; nothing else is left out."""


def squares(number: int, classes: int = 2, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """The class numbers that a set of `blocks` was made from."""
    return blocks(range(classes), number, size)


TRUTH: dict[str, tuple[Callable[[int], np.ndarray], float]] = {
    **dict.fromkeys(
        (
            "mask_in_capitals",
            "one_slip_and_one_loss",
            "two_pictures_of_a_name",
            "one_pair_swapped",
            "animated_pictures",
            "jpeg_masks",
            "one_jpeg_among_png_masks",
            "a_palette_and_plain_values",
            "one_mask_of_0_and_255",
            "masks_with_alpha",
            "an_animated_mask",
            "a_few_pixels_of_128",
            "a_few_pixels_of_1_beside_0_and_255",
            "a_few_pixels_of_57_among_class_numbers",
        ),
        (squares, 0.0),
    ),
    # The colours of the fourth are those of the others, its indices are not.
    **dict.fromkeys(
        ("one_palette_the_other_way_round", "palettes_and_bands_and_an_empty_file"),
        (lambda n: squares(n) ^ (n == 3), 0.0),
    ),
    "a_mask_drawn_before_exif": (lambda n: np.rot90(squares(n), -1) if n == 2 else squares(n), 0.0),
    "all_masks_of_double_size": (lambda n: squares(n, 2, (96, 128))[1::2, 1::2], 0.0),
    "one_hot_of_three": (lambda n: squares(n, 3), 0.0),
    "one_hot_of_five_bands_first": (lambda n: squares(n, 5), 0.0),
    "one_hot_in_rgba": (lambda n: squares(n, 4), 0.0),
    "three_classes_spread_in_one_mask": (lambda n: squares(n, 3), 0.0),
    "white_for_ignored": (lambda n: np.array([0, 1, 255])[squares(n, 3)], 0.0),
    "anti_aliased_masks": (lambda n: np.kron(squares(n, 2, (24, 32)), np.ones((2, 2), int)), 0.03),
    "jpeg_masks_of_colours": (
        lambda n: np.array([0, 2, 1])[np.kron(squares(n, 3, (20, 24)), np.ones((7, 7), int))],
        0.02,
    ),
    "jpeg_masks_with_a_table": (lambda n: np.kron(squares(n, 3, (20, 24)), np.ones((7, 7), int)), 0.02),
    "list_files_and_colours": (lambda n: np.array([255, 0, 1])[squares(n, 3)], 0.0),
}
"""The true class numbers of each mask, and the share of the pixels that may be wrong."""


def hashes(root: Path) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in root.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in BUILDERS if name not in REFUSED])
def test_a_copy_can_be_trained_on_and_the_original_stays(tmp_path: Path, name: str) -> None:
    BUILDERS[name](tmp_path / "data")
    before = hashes(tmp_path / "data")
    plan = repair(tmp_path / "data", out=tmp_path / "clean")
    assert hashes(tmp_path / "data") == before
    survey = survey_of(DataConfig(root=str(tmp_path / "clean")), 0, open_display(), patient=True)
    assert not errors_in(survey.findings), survey.findings
    assert len(survey.scan.pairs) == len(plan.jobs)
    assert survey.labels is not None and survey.labels.names == plan.labels.names
    assert {Path(left.file).name for left in plan.left_out} == LEFT_OUT.get(name, set())
    listed = list(csv.DictReader((tmp_path / "clean/repair.csv").read_text(encoding="utf-8").splitlines()))
    assert {row["file"] for row in listed if row["what"].startswith("left out")} == {
        left.file for left in plan.left_out
    }
    if name in TRUTH:
        truth, most = TRUTH[name]
        for job in plan.jobs:
            mask = raster.read_mask(tmp_path / "clean/masks" / f"{job.target}.png")
            expected = truth(int(job.pair.name.lstrip("p")))
            assert mask.shape == expected.shape and (mask != expected).mean() <= most


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_understood_is_refused(tmp_path: Path, name: str) -> None:
    BUILDERS[name](tmp_path / "data")
    before = hashes(tmp_path)
    with pytest.raises(UnetError) as caught:
        repair(tmp_path / "data", out=tmp_path / "clean")
    assert REFUSED[name] in str(caught.value) and caught.value.exit_code == 2
    assert hashes(tmp_path) == before


@pytest.mark.slow
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(harm(), min_size=1, max_size=5), st.sampled_from(["png", "jpg", "gif", "tif", "npy"]))
def test_whatever_is_broken_a_sound_copy_or_a_word_comes_out(
    tmp_path_factory: pytest.TempPathFactory, harms: list[tuple[str, int, int, int]], ending: str
) -> None:
    root = tmp_path_factory.mktemp("random")
    good(root / "data", count=4, images=f"imgs/p{{}}.{ending}", masks="masks/p{}.png")
    for damage in harms:
        do_harm(root / "data", *damage)
    before = hashes(root / "data")
    try:
        repair(root / "data", out=root / "clean")
    except UnetError as error:
        assert error.exit_code == 2 and not (root / "clean").exists()
    else:
        survey = survey_of(DataConfig(root=str(root / "clean")), 0, open_display(), patient=True)
        assert not errors_in(survey.findings), survey.findings
    assert hashes(root / "data") == before
