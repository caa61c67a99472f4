"""The folder of a run is taken wherever a model file is meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import unet
from unet import bundle, cli, models, raster
from unet.bundle import Bundle
from unet.labels import Labels
from unet.models import ModelSpec
from unet.preprocessing import Preprocessing
from unet.shapes.settings import ShapeSettings

DataMaker = Callable[..., Path]


@pytest.fixture(autouse=True)
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_data: DataMaker) -> None:
    monkeypatch.chdir(tmp_path)
    make_data(count=2)
    torch.manual_seed(0)
    spec = ModelSpec(width=2, depth=1)
    state = models.build(spec).state_dict()
    model = Bundle(spec, Labels.numbered(2), Preprocessing(), None, {}, {}, state, ShapeSettings(3, 5, None))
    bundle.save(model, "run/model.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        "predict -m run -i data/imgs -o masks",
        "predict -m run -m run/model.safetensors -i data/imgs -o masks",
        "evaluate run data",
        "convert run old.pth",
        "vectorize edges.png --kind epm -m run -o shapes.svg",
        "train data --load run --steps 1 --out new --set width=2 --set depth=1 --set crop=[24,32]",
    ],
)
def test_the_command_line(line: str) -> None:
    raster.write_grey("edges.png", np.eye(24, 32, dtype=np.uint8) * 255)
    if line.startswith("train"):
        more = "--set bilinear=false --set deep_supervision=false --set precision=32-true --set channels_last=false"
        line = f"{line} {more}"
    assert cli.main(line.split()) == 0


def test_a_model_is_not_replaced_by_its_copy() -> None:
    assert cli.main("convert run run/model.safetensors --overwrite".split()) == 2


def test_python() -> None:
    assert unet.load("run").bundle.spec == bundle.load("run/model.safetensors").spec
    edges = np.zeros((16, 16), np.uint8)
    edges[8] = edges[:, 8] = 255
    np.save("edges.npy", edges)
    unet.tune_shapes(
        "edges.npy", "edges.npy", "tuned", gt_kind="edges", dynamics=[0], areas=[30], workers=1, model="run"
    )
    assert bundle.load("run").shapes == ShapeSettings(0, 30, None)


def test_a_folder_without_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main("predict -m data -i data/imgs".split()) == 2
    assert "data is a folder without model.safetensors" in capsys.readouterr().err
    Path("run").rename("fold-1")
    with pytest.raises(unet.ModelFileError, match="give one of fold-1"):
        unet.load("")
