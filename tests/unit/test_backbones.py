"""Encoders that were trained before: their weights, folders that hold none, and the package they need."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from closeness import assert_same_but_for_rounding
from encoders import CONFIGURATIONS, configuration, description
from torch import nn

from unet import models
from unet.errors import ConfigError, MissingExtraError
from unet.models import ModelSpec, backbones, build

BACKBONE = ModelSpec("backbone", width=4)


def saved(name: str, folder: Path) -> nn.Module:
    """Write a tiny random model as those on the hub are, with a head for something else, and return it."""
    import transformers

    torch.manual_seed(3)
    if name == "segformer":
        model = transformers.SegformerForSemanticSegmentation(configuration(name))
    else:
        model = transformers.AutoModelForImageClassification.from_config(configuration(name))
    model.save_pretrained(folder)
    return model  # type: ignore[no-any-return]


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_weights_come_from_a_folder(name: str, tmp_path: Path) -> None:
    source = saved(name, tmp_path).state_dict()
    config = backbones.description(str(tmp_path), "backbone")
    assert str(tmp_path) not in config and backbones.description(config, "backbone") == config
    network = build(replace(BACKBONE, encoder=config))
    backbones.load_weights(network, str(tmp_path))
    encoder = network.get_submodule("encoder")
    named = encoder.state_dict()
    # Backbones have norms after each stage that classifiers lack.
    unmatched = [key for key, tensor in named.items() if not any(torch.equal(tensor, t) for t in source.values())]
    assert all("norms" in key for key in unmatched) and len(unmatched) < len(named) / 4
    for bands in (1, 2, 5):  # the weights for any number of bands see a grey picture alike
        other = build(replace(BACKBONE, encoder=config, bands=bands))
        backbones.load_weights(other, str(tmp_path))
        grey = torch.rand(1, 1, 64, 64)
        with torch.inference_mode():
            features = other.get_submodule("encoder").eval()(grey.expand(-1, bands, -1, -1))
            expected = encoder.eval()(grey.expand(-1, 3, -1, -1))
        for left, right in zip(features, expected, strict=True):
            assert_same_but_for_rounding(left, right)


@pytest.mark.slow
def test_segformer_takes_all_but_another_number_of_classes(tmp_path: Path) -> None:
    source = saved("segformer", tmp_path).state_dict()
    spec = ModelSpec("segformer", classes=5, encoder=backbones.description(str(tmp_path), "segformer"))
    network = build(spec)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    backbones.load_weights(network, str(tmp_path))
    for name, tensor in network.state_dict().items():
        new = "classifier" in name
        assert torch.equal(tensor, before[name] if new else source[name.removeprefix("model.")]), name


def test_encoders_that_are_not_there_or_do_not_suit(tmp_path: Path) -> None:
    import transformers

    for encoder, message in {
        "": "without an encoder.*--set encoder=microsoft/resnet-34",
        str(tmp_path / "none"): "encoder '.*none'",
    }.items():
        with pytest.raises(ConfigError, match=message):
            backbones.description(encoder, "backbone")
    transformers.BertConfig().save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"of type bert; expected.*resnet, convnext"):
        backbones.description(str(tmp_path), "backbone")
    configuration("swin").save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"of type swin; expected.*segformer"):
        backbones.description(str(tmp_path), "segformer")
    network = build(replace(BACKBONE, encoder=backbones.description(str(tmp_path), "backbone")))
    with pytest.raises(ConfigError, match="with weights"):
        backbones.load_weights(network, str(tmp_path))


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ModelSpec("segformer", encoder=description("segformer"))
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r'pip install "unet\[backbones\]"'):
        backbones.description("microsoft/resnet-50", "backbone")
    with pytest.raises(MissingExtraError):
        models.build(spec)
