"""`unet augment-preview`: what the sheet shows, and that nothing is lost; settings of the samples of a training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from unet import cli, config, raster
from unet.commands import augment_preview as preview
from unet.data.augment import PRESETS
from unet.data.dataset import SegmentationDataset
from unet.preprocessing import Preprocessing
from unet.raster.network_input import network_input
from unet.report.sample_sheet import SheetRow, denormalised, draw_sample_sheet
from unet.runs.decide import decide_run
from unet.runs.source import read_source
from unet.runs.training_set import augmentation_of, borders_of, training_set
from unet.terminal.display import open_display

DataMaker = Callable[..., Path]
QUICK = "--steps 3 --set width=4 --set precision=32-true --set channels_last=false"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def unet(line: str) -> int:
    return cli.main(line.split())


@pytest.mark.slow
def test_a_sheet_of_samples(make_data: DataMaker, capsys: pytest.CaptureFixture[str]) -> None:
    make_data(count=4)
    assert unet(f"augment-preview data {QUICK} --set augment=strong --set rotate=90") == 0
    sheet = raster.read("augment-data.png")
    assert sheet.shape[2] == 3 and sheet.shape[1] == 5 * 248
    assert sheet.shape[0] > 3 * (4 * 24 + 8), "three pictures to train on, grown fourfold, and a description of each"
    assert np.ptp(sheet) > 200
    before = Path("augment-data.png").read_bytes()
    capsys.readouterr()
    assert unet(f"augment-preview data {QUICK} --set augment=none") == 2
    assert "augment-data.png exists" in capsys.readouterr().err
    assert Path("augment-data.png").read_bytes() == before
    assert unet(f"augment-preview data {QUICK} --set augment=none --overwrite") == 0
    assert Path("augment-data.png").read_bytes() != before
    assert unet(f"augment-preview data {QUICK} --out data/sheet.png") == 2
    assert "outside of the data" in capsys.readouterr().err


def test_rare_classes_come_first_and_lie_in_their_samples(make_data: DataMaker) -> None:
    folder = make_data(count=12, size=(60, 80))
    for place, path in enumerate(sorted((folder / "masks").iterdir())):
        mask = raster.read_mask(path).astype(np.uint8)
        if place in (4, 6, 9):
            mask[50:53, 70:73] = 2
        raster.write_mask(path, mask, [0, 0, 0, 200, 30, 30, 30, 200, 30])
    wanted = config.parse(
        {
            "data": {"root": "data", "crop": [24, 24]},
            "model": {"width": 4},
            "training": {"augment": "light", "steps": 3},
        }
    )
    source = read_source(wanted.data, None, 0, open_display(), Path("prepared"))
    rows = preview.choose_rows(source)
    assert len(rows) == preview.MOST_ROWS and len({row.place for row in rows}) == len(rows)
    assert [row.class_index for row in rows[:3]] == [2, 1, None] and "class_2" in rows[0].why
    samples = training_set(decide_run(wanted, source), source.train)
    alone = draw_sample_sheet(of_one_pair(samples, rows[0].place), [SheetRow(0, 2, "rare")], ["what", "how"])
    again = draw_sample_sheet(of_one_pair(samples, rows[0].place), [SheetRow(0, 2, "rare")], ["what", "how"])
    assert np.array_equal(alone, again), "the same sheet every time"
    tiles = [alone[-188:, left : left + 248] for left in range(0, 5 * 248, 248)]
    green = [((tile[..., 1] > 150) & (tile[..., 0] < 100)).any() for tile in tiles]
    assert sum(green) >= 4


def of_one_pair(samples: SegmentationDataset, place: int) -> SegmentationDataset:
    """Return the samples of one pair."""
    return SegmentationDataset(
        samples.pairs[place : place + 1], samples.labels, samples.preprocessing,
        crop=samples.crop, augmentation=samples.augmentation,
    )  # fmt: skip


def test_what_the_network_sees_is_shown_as_it_was() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    for preprocessing in (Preprocessing(), Preprocessing(mean=(0.2, 0.5, 0.4), std=(0.3, 0.2, 0.1))):
        shown = denormalised(network_input(picture, preprocessing), preprocessing)
        assert np.abs(shown.astype(int) - picture).max() <= 1


def test_single_strengths_take_the_place_of_the_preset() -> None:
    settings = {"training": {"augment": "medium", "upright": False}, "augmentation": {"elastic": 10, "noise": 0}}
    expected = replace(PRESETS["medium"], elastic=10.0, elastic_share=0.0, noise=0.0, flip_rows=True)
    assert augmentation_of(config.parse(settings)) == expected
    still = config.parse({"training": {"augment": "strong", "upright": False}, "augmentation": {"flip": False}})
    assert augmentation_of(still) == replace(PRESETS["strong"], flip=False)
    assert augmentation_of(config.parse({"training": {"augment": "none"}})) == PRESETS["none"]
    assert config.from_assignments({"jpeg": "30", "outside": "mirror"}) == {
        "augmentation": {"jpeg": 30, "outside": "mirror"}
    }


@pytest.mark.slow
def test_borders_are_weighted_as_the_settings_say(make_data: DataMaker) -> None:
    make_data(count=4)
    training = {"border_weight": 7, "border_sigma": 3, "class_weights": False, "steps": 3}
    plain = config.parse({"data": {"root": "data"}, "model": {"width": 4}, "training": training})
    source = read_source(plain.data, None, 0, open_display(), Path("prepared"))
    borders = borders_of(decide_run(plain, source))
    assert borders is not None and (borders.weight, borders.sigma, borders.class_weights) == (7, 3, ())
    weighted = borders_of(decide_run(plain.updated({"training": {"class_weights": True}}), source))
    assert weighted is not None and len(weighted.class_weights) == 2 and weighted.class_weights[1] > 1
    assert borders_of(decide_run(plain.updated({"training": {"border_weight": 0}}), source)) is None
    assert unet(f"train data --out run {QUICK} --set border_weight=10 --set class_weights=true") == 0
