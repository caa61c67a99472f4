"""`unet plan`: what it writes and refuses, and that `unet train --config` does what it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from unet import cli, config, raster
from unet.runs.decide import decide_run
from unet.runs.source import read_source
from unet.runs.training_set import balance_of, training_set
from unet.terminal.display import open_display
from unet.training import probe

DataMaker = Callable[..., Path]
QUICK = "--set precision=32-true --set channels_last=false"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def unet(line: str) -> int:
    return cli.main(line.split())


@pytest.mark.slow
def test_a_plan_says_why_and_is_trained_without_planning_again(
    make_data: DataMaker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_data(count=8)
    assert unet(f"plan data --steps 3 --val 0.25 --set width=4 {QUICK}") == 0
    folder = Path("plan-data")
    assert sorted(path.name for path in folder.iterdir()) == ["config.toml", "plan.md"]
    page = (folder / "plan.md").read_text(encoding="utf-8")
    reasons = [line.removeprefix("- ") for line in page.partition("\n\n##")[0].splitlines()[2:]]
    assert "Pictures: 6 train, 2 val" in page and "Network: unet, 3 bands in, 2 classes out" in page
    printed = capsys.readouterr().err
    assert len(reasons) > 8 and all(reason in printed for reason in reasons)
    planned = config.load_toml(folder / "config.toml")
    assert (planned.training.steps, planned.model.width, planned.data.val) == (3, 4, "0.25")

    def never(*given: object, **more: object) -> None:
        raise AssertionError("planned or measured again")

    monkeypatch.setattr(probe, "shortest", never)
    assert unet(f"train data --config {folder / 'config.toml'} --out run") == 0
    assert config.load_toml(Path("run/config.toml")) == planned


def test_balanced_training_finds_its_classes(make_data: DataMaker) -> None:
    folder = make_data(count=12, size=(60, 80))
    masks = sorted((folder / "masks").iterdir())
    for place in (1, 6, 9):
        mask = raster.read_mask(masks[place]).astype(np.uint8)
        mask[50:53, 70:73] = 2
        raster.write_mask(masks[place], mask, [0, 0, 0, 200, 30, 30, 30, 200, 30])
    training = {"balance": 0.5, "augment": "none", "steps": 3}
    wanted = config.parse({"data": {"root": "data"}, "model": {"width": 4}, "training": training})
    source = read_source(wanted.data, None, 0, open_display(), Path("prepared"))
    record = decide_run(wanted, source)
    balance = balance_of(record, source.train)
    assert balance is not None and list(balance.pictures) == [2] and balance.pictures[2]
    samples = training_set(record, source.train)
    assert all(len(samples.candidates(place, 2)) == 9 for place in balance.pictures[2])


@pytest.mark.slow
def test_time_decides_what_is_measured(make_data: DataMaker) -> None:
    make_data(count=5)
    assert unet(f"plan data --time 1m --out there/deep {QUICK}") == 0
    planned = config.load_toml(Path("there/deep/config.toml"))
    assert planned.training.seconds == 60
    assert planned.model.width is not None and planned.data.crop == (24, 32)
    assert "million pixels per second" in Path("there/deep/plan.md").read_text(encoding="utf-8")


def test_nothing_is_lost_and_nothing_lies_among_the_data(
    make_data: DataMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    make_data()
    line = f"plan data --steps 3 --set width=4 {QUICK}"
    assert unet(line) == 0
    before = Path("plan-data/config.toml").read_text(encoding="utf-8")
    capsys.readouterr()
    assert unet(line.replace("width=4", "width=5")) == 2
    assert "plan-data holds a plan" in capsys.readouterr().err
    assert Path("plan-data/config.toml").read_text(encoding="utf-8") == before
    assert unet(line.replace("width=4", "width=5") + " --overwrite") == 0
    assert config.load_toml(Path("plan-data/config.toml")).model.width == 5
    for inside in ("data", "data/plan", "data/imgs"):
        assert unet(f"{line} --out {inside}") == 2
        assert "outside of the data" in capsys.readouterr().err
    Path("file").write_text("x", encoding="utf-8")
    assert unet(f"{line} --out file/plan") == 2


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ("--set scale=2", "scale"),
        ("--set loss=sad", "loss"),
        ("--loss dice(per=pixel)", "batch or picture"),
        ("--time soon", "duration"),
    ],
)
def test_settings_are_checked_before_the_data(
    make_data: DataMaker, capsys: pytest.CaptureFixture[str], more: str, word: str
) -> None:
    make_data()
    assert unet(f"plan data {more}") == 2
    assert word in capsys.readouterr().err
    assert not Path("plan-data").exists()


def test_a_plan_needs_data(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        unet("plan")
    assert "no data" in capsys.readouterr().err
