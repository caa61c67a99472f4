"""`unet train` with every architecture: from settings to a model file that predicts without what it was made of."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from encoders import configuration

from unet import bundle, cli, config, raster
from unet.bundle import Bundle

DataMaker = Callable[..., Path]
TINY = "--steps 4 --set precision=32-true --set channels_last=false --set batch_size=2 --set validations=2"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def trained(line: str, run: str = "run") -> Bundle:
    assert cli.main(f"train data --out {run} {TINY} {line}".split()) == 0
    return bundle.load(Path(run) / "model.safetensors")


def refusal(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert cli.main(f"train data --out refused {TINY} {line}".split()) == 2
    assert not Path("refused").exists()
    return capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "crop"),
    [
        ("--set architecture=paper --set width=2", (220, 220)),
        ("--set architecture=paper --set width=2 --set depth=1 --set norm=batch --set dropout=0.2", (40, 48)),
        ("--set architecture=resenc --set width=4 --set depth=2 --set deep_supervision=true", (24, 32)),
        ("--set architecture=resenc --set width=2 --set blocks=[1,2,1]", (24, 32)),
        ("--set width=4 --set depth=2 --set attention=true --set norm=group --set deep_supervision=true", (24, 32)),
    ],
)
def test_a_run_and_a_prediction(make_data: DataMaker, line: str, crop: tuple[int, int]) -> None:
    make_data()
    model = trained(f"--set architecture=unet {line}" if "architecture" not in line else line)
    resolved = config.load_toml(Path("run/config.toml"))
    assert resolved.data.crop is not None
    assert [side % 8 for side in resolved.data.crop] == [side % 8 for side in crop]
    assert resolved.data.crop == crop
    assert resolved.model.depth == model.spec.depth
    assert cli.main("predict -m run/model.safetensors -i data/imgs/p00.png -o out.png".split()) == 0
    assert raster.read_mask(Path("out.png")).shape == (24, 32)
    assert trained("--load run/model.safetensors", "second").spec == model.spec


@pytest.mark.slow
def test_an_encoder_from_a_folder_travels_in_the_model_file(make_data: DataMaker) -> None:
    import transformers

    make_data()
    torch.manual_seed(5)
    source = transformers.AutoModelForImageClassification.from_config(configuration("resnet"))
    source.save_pretrained("encoder")
    flags = "--set architecture=backbone --set encoder=encoder --set width=4"
    model = trained(f"{flags} --set freeze=0.9 --steps 3")
    name = "encoder.model.embedder.embedder.convolution.weight"
    first = source.state_dict()["resnet.embedder.embedder.convolution.weight"]
    assert torch.equal(model.state[name], first)  # frozen to the end of three steps
    changed = trained(f"{flags} --set encoder_rate=1", "thawed")
    assert not torch.equal(changed.state[name], first)
    resolved = config.load_toml(Path("run/config.toml"))
    assert (resolved.model.encoder, resolved.training.encoder_rate) == ("encoder", 0.1)
    assert resolved.model.depth is None and resolved.model.bilinear is None
    shutil.rmtree("encoder")
    assert cli.main("predict -m run/model.safetensors -i data/imgs/p00.png -o out.png".split()) == 0
    assert cli.main(f"train data --out second --load run/model.safetensors {TINY}".split()) == 0
    assert bundle.load(Path("second/model.safetensors")).spec == model.spec


@pytest.mark.slow
def test_segformer_is_trained_as_it_is(make_data: DataMaker) -> None:
    import transformers

    make_data()
    transformers.SegformerForSemanticSegmentation(configuration("segformer")).save_pretrained("encoder")
    model = trained("--set architecture=segformer --set encoder=encoder")
    assert model.spec.architecture == "segformer"
    assert config.load_toml(Path("run/config.toml")).model.width is None


def test_settings_of_other_architectures_are_refused(make_data: DataMaker, capsys: pytest.CaptureFixture[str]) -> None:
    make_data()
    for line, message in {
        "--set architecture=paper --set attention=true": "attention = True, which architecture paper has not",
        "--set architecture=resenc --set bilinear=true": "bilinear = True, which architecture resenc has not",
        "--set freeze=0.5": "freeze with architecture unet; expected one of backbone, segformer",
        "--set architecture=backbone": "architecture backbone without an encoder",
        "--set architecture=backbone --set encoder=nowhere": "encoder 'nowhere'",
        "--set norm=layer": "model.norm",
    }.items():
        assert message in refusal(line, capsys)
