"""`unet train --folds`: every picture is held out once, and it can be stopped and gone on with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from unet import cli
from unet.commands import folds as command
from unet.config import Config
from unet.data.pairs import Pair
from unet.data.splitting import folds
from unet.errors import DataError
from unet.runs.folder import FOLDS
from unet.runs.train_run import TrainResult

TINY = (
    "--set width=4 --set depth=2 --set crop=[24,32] --set precision=32-true --set channels_last=false "
    "--set learning_rate=0.01 --steps 2"
)
DataMaker = Callable[..., Path]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def pairs(*names: str) -> list[Pair]:
    return [Pair(name, Path(f"{name}.jpg"), Path(f"{name}.png")) for name in names]


def test_folds_hold_each_pair_once_and_groups_together() -> None:
    all_pairs = pairs(*(f"{car}_{view}" for car in "abcdefg" for view in range(4)))
    dealt = folds(all_pairs, 3, group="^[^_]+", seed=1)
    assert sorted(pair for part in dealt for pair in part) == sorted(all_pairs)
    assert sorted(map(len, dealt)) == [8, 8, 12]
    cars = [{pair.name[0] for pair in part} for part in dealt]
    assert sum(map(len, cars)) == 7
    assert folds(all_pairs[::-1], 3, group="^[^_]+", seed=1) == dealt != folds(all_pairs, 3, group="^[^_]+", seed=2)


@pytest.mark.parametrize(("count", "group"), [(1, None), (5, None), (3, "^[a-b]"), (2, "^q")])
def test_folds_that_cannot_be(count: int, group: str | None) -> None:
    with pytest.raises(DataError):
        folds(pairs("a1", "a2", "b1", "b2"), count, group=group)


@pytest.mark.slow
def test_a_cross_validation(make_data: DataMaker, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_data(count=7)
    assert cli.main(f"train {data} --folds 3 --out run {TINY}".split()) == 0
    scores = json.loads(Path("run/evaluation.json").read_text())
    held = json.loads(Path("run", FOLDS).read_text())
    assert [fold["pictures"] for fold in held["done"]] == [3, 2, 2]
    assert len({image["name"] for image in scores["images"]}) == 7
    each = [json.loads(Path(f"run/fold-{n}/evaluation.json").read_text()) for n in (1, 2, 3)]
    assert np.array_equal(scores["confusion"], np.sum([fold["confusion"] for fold in each], axis=0))
    page = Path("run/report.html").read_text()
    assert "fold-3/report.html" in page and "3 times" in page
    printed = capsys.readouterr().out
    assert "mean" in printed and "±" in printed
    for number in (1, 2, 3):
        names = Path(f"run/fold-{number}.txt").read_text().split()
        assert sorted(image["name"] for image in each[number - 1]["images"]) == sorted(names)


@pytest.mark.slow
def test_stopped_and_gone_on_with(
    make_data: DataMaker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_data(count=4)
    whole = command.train_new

    def stopped_in_the_second(wanted: Config, folder: Path, *, load: Path | None = None) -> TrainResult:
        if folder.name == "fold-2":
            raise KeyboardInterrupt
        return whole(wanted, folder, load=load)

    monkeypatch.setattr(command, "train_new", stopped_in_the_second)
    assert cli.main(f"train {data} --folds 2 --out run {TINY}".split()) == 130
    assert len(json.loads(Path("run", FOLDS).read_text())["done"]) == 1
    monkeypatch.setattr(command, "train_new", whole)
    assert cli.main(f"train {data} --folds 2 --out run {TINY}".split()) == 2
    assert "--resume run" in capsys.readouterr().err
    before = Path("run/fold-1/model.safetensors").stat().st_mtime_ns
    assert cli.main("train --resume run".split()) == 0
    assert Path("run/fold-1/model.safetensors").stat().st_mtime_ns == before
    assert len(json.loads(Path("run/evaluation.json").read_text())["images"]) == 4


def test_what_does_not_go_together(make_data: DataMaker, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_data(count=4)
    for more, words in (("--val 0.2", "hold each picture out once"), ("--folds 9", "from 2 to 4")):
        assert cli.main(f"train {data} --folds 2 {more} --out run".split()) == 2
        assert words in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        cli.main(f"train {data} --folds 1".split())
    assert end.value.code == 2 and "2 folds" in capsys.readouterr().err
    assert not Path("run").exists()
