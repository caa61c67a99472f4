"""`unet export`: what it writes, that `unet predict` gives the same masks with it, and what it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import unet
from unet import bundle, cli, models, raster
from unet.bundle import Bundle
from unet.errors import ConfigError
from unet.labels import Labels
from unet.models import ModelSpec
from unet.preprocessing import Preprocessing

DataMaker = Callable[..., Path]
DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_data: DataMaker) -> Path:
    """A folder with pictures, masks and a model that tells bright from dark."""
    monkeypatch.chdir(tmp_path)
    make_data(count=8, size=(45, 62))
    torch.manual_seed(0)
    spec = ModelSpec(width=4, depth=2)
    network = models.build(spec)
    state = {name: tensor * (8 if name.startswith("outc") else 1) for name, tensor in network.state_dict().items()}
    network.load_state_dict(state)
    picture = raster.read(Path("data/imgs/p00.png")).transpose(2, 0, 1)[None] / np.float32(255)
    with torch.inference_mode():  # half of a picture of either class
        background, foreground = network.eval()((torch.from_numpy(picture) - 0.2) / 0.25)[0]
    state["outc.conv.bias"][1] -= (foreground - background).median()
    preprocessing = Preprocessing(mean=(0.2,) * 3, std=(0.25,) * 3)
    bundle.save(Bundle(spec, Labels.numbered(2), preprocessing, None, {}, {}, state), "model.safetensors")
    return tmp_path


def error_of(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.main(line.split()) == 2
    (said,) = [text for text in capsys.readouterr().err.splitlines() if text.startswith("unet: error: ")]
    return said


def masks_agree(model: str, other: str) -> float:
    """Return the share of pixels that two models give the same class."""
    for name in (model, other):
        place = f"masks/{name.replace('.', '-')}"
        assert cli.main(["predict", "-m", name, "-i", "data/imgs", "-o", place, "--exact"]) == 0
    pairs = [
        (raster.read_mask(path), raster.read_mask(Path("masks", other.replace(".", "-"), path.name)))
        for path in sorted(Path("masks", model.replace(".", "-")).glob("*.png"))
    ]
    assert len(pairs) == 8 and 0.05 < np.mean([mask.mean() for mask, _ in pairs]) < 0.95
    return float(np.mean([(one == two).mean() for one, two in pairs]))


def test_masks_of_the_exported_model_are_the_originals(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main("export model.safetensors --check data/imgs".split()) == 0
    printed = capsys.readouterr()
    assert printed.out == "wrote: model.onnx\n"
    assert "compared: probabilities differ by" in printed.err and "on 4 pictures: data/imgs" in printed.err
    assert masks_agree("model.safetensors", "model.onnx") > 0.999
    assert unet.load("model.onnx").bundle.provenance["export"]["precision"] == "float32"


def test_int8_of_a_data_set_with_masks(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main("export model.safetensors --int8 --calibrate data --max-drop 0.2 -o small.onnx".split()) == 0
    about = bundle.load("small.onnx").provenance["export"]
    assert about["precision"] == "int8" and about["int8"]["score"] == "mean IoU"
    assert about["int8"]["measured_on"] == "2 pictures: 2 others of data"
    assert about["int8"]["drop"] == pytest.approx(about["int8"]["before"] - about["int8"]["after"])
    assert masks_agree("model.safetensors", "small.onnx") > 0.95
    assert "costs" in capsys.readouterr().err


def test_int8_of_pictures_alone() -> None:
    done = unet.export_model("model.safetensors", int8=True, calibrate="data/imgs", max_drop=0.2)
    assert done.int8 is not None and (done.int8.score, done.int8.before) == ("same pixels", 1.0)
    assert done.path == Path("model-int8.onnx") and done.path.is_file()
    assert done.parity.same_classes > 0.9


@pytest.mark.slow
def test_a_run_is_exported_with_its_own_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    unet.train("data", out="run", steps=3, width=4, depth=2, val=0.25)
    capsys.readouterr()
    assert cli.main("export run --int8 --max-drop 1".split()) == 0
    printed = capsys.readouterr()
    assert printed.out == f"wrote: {Path('run/model-int8.onnx')}\n"
    assert "2 pictures: the run's val pictures" in printed.err
    for path in Path("data/imgs").iterdir():
        path.unlink()
    assert cli.main("export run".split()) == 0
    assert "drawn ones" in capsys.readouterr().err
    assert "--calibrate DATA" in error_of("export run --int8 --overwrite", capsys)


@pytest.mark.slow
def test_other_formats(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main("export model.safetensors --to openvino --check data/imgs/p00.png".split()) == 0
    assert cli.main("export model.safetensors --to torch --check data/imgs/p00.png".split()) == 0
    assert cli.main("export model.safetensors --tile 32 -o tile.onnx".split()) == 0
    assert {path.name for path in Path().glob("model.*")} == {
        f"model.{end}" for end in ("safetensors", "xml", "bin", "pt2")
    }
    assert masks_agree("model.safetensors", "tile.onnx") > 0.999
    assert "a model for other programs" in error_of("predict -m model.xml -i data/imgs", capsys)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("export none.safetensors", "none.safetensors does not exist"),
        ("export data", "is a folder without model.safetensors"),
        ("export model.safetensors --int8", "--int8 without pictures to calibrate on"),
        ("export model.safetensors --int8 --calibrate none", "no such file or folder: none"),
        ("export model.safetensors --int8 --to torch", "--to onnx or --to openvino for int8"),
        ("export model.safetensors --calibrate data", "without --int8"),
        ("export model.safetensors --check none", "no such file or folder: none"),
        ("export model.safetensors -o model.xml", "model.xml ends in .xml; expected .onnx for --to onnx"),
        ("export model.safetensors --to openvino -o model", "model ends in nothing; expected .xml"),
        ("export model.safetensors -o there.onnx", "there.onnx exists"),
        ("export model.safetensors --to openvino -o weights.xml", "weights.bin exists"),
        ("export model.safetensors --tile 3", "--tile 3; expected 8 or more"),
        ("export data/imgs/p00.png", "p00.png"),
    ],
)
def test_refusals(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("there.onnx", "weights.bin"):
        Path(name).write_text("precious")
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*") if path.is_file()}
    assert message in error_of(line, capsys)
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*") if path.is_file()} == before


def test_a_mistyped_format_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main("export model.safetensors --to onxx".split())
    assert caught.value.code == 2 and "did you mean onnx?" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="--to 'onxx'; expected onnx or openvino or torch"):
        unet.export_model("model.safetensors", to="onxx")


def test_an_exported_model_is_refused_where_weights_are_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    unet.export_model("model.safetensors")
    for line in (
        "convert model.onnx other.safetensors", "export model.onnx -o again.onnx",
        "train data --load model.onnx --steps 1",
    ):  # fmt: skip
        assert "no weights to go on with" in error_of(line, capsys)
    assert "or give the model file itself" in error_of("predict -m model.onnx -i data/imgs --backend torch", capsys)


def test_the_lines_of_the_page_run_without_us(folder: Path) -> None:
    text = (DOCS / "exporting.md").read_text(encoding="utf-8")
    (code,) = [
        block for block in re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE) if "session" in block
    ]
    assert "unet." not in code and len([line for line in code.splitlines() if line and "import" not in line]) == 10
    unet.export_model("model.safetensors", out="model.onnx")
    raster.write_picture(Path("photo.jpg"), raster.read(Path("data/imgs/p00.png")))
    exec(compile(code, "exporting.md", "exec"), {})
    assert cli.main("predict -m model.safetensors -i photo.jpg -o ours.png --exact".split()) == 0
    theirs, ours = raster.read_mask(Path("mask.png")), raster.read_mask(Path("ours.png"))
    assert (theirs == ours).mean() > 0.999 and 0 < ours.mean() < 1
    assert json.loads(json.dumps(raster.mask_palette(Path("mask.png"))))  # it can be looked at
