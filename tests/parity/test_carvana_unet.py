"""Ours against a second writing of the Carvana U-Net: the same weights, the same logits, the same masks, both ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference_unet as reference
import torch
from closeness import assert_same_but_for_rounding
from PIL import Image

from unet import bundle, raster
from unet.commands.convert import convert
from unet.commands.predict import predict
from unet.inference.predictor import Predictor
from unet.models import UNet

BOTH = pytest.mark.parametrize("bilinear", [False, True])


def carvana_file(path: Path, *, classes: int, bilinear: bool, width: int = 4, **more: Any) -> dict[str, torch.Tensor]:
    weights = reference.random_weights(3, classes, bilinear, width)
    torch.save({**weights, **more}, path)
    return weights


def opened(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        picture.load()
    return picture


def picture_file(path: Path, height: int, width: int) -> Image.Image:
    rng = np.random.default_rng(height)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8))
    picture = coarse.resize((width, height), Image.Resampling.BICUBIC)
    picture.save(path)
    return picture


@BOTH
@pytest.mark.parametrize("size", [(16, 16), (33, 47), (50, 31), (63, 96)])
def test_logits(bilinear: bool, size: tuple[int, int]) -> None:
    weights = reference.random_weights(3, 2, bilinear, width=4)
    network = UNet(3, 2, bilinear, width=4).eval()
    network.load_state_dict(weights)  # strict: all names, all shapes
    image = torch.rand(2, 3, *size)
    with torch.inference_mode():
        expected = reference.forward(weights, image)
        assert_same_but_for_rounding(network(image), expected)
    assert expected.std() > 0.1


@pytest.mark.slow
@BOTH
def test_logits_of_the_full_network(bilinear: bool) -> None:
    weights = reference.random_weights(3, 2, bilinear)
    network = UNet(bilinear=bilinear).eval()
    network.load_state_dict(weights)
    image = torch.rand(1, 3, 40, 53)
    with torch.inference_mode():
        expected = reference.forward(weights, image)
        assert_same_but_for_rounding(network(image), expected)


@BOTH
def test_our_weights_in_the_other_writing(bilinear: bool) -> None:
    torch.manual_seed(3)
    network = UNet(1, 3, bilinear, width=4).train()
    image = torch.rand(2, 1, 35, 41)
    network(image)  # gives the batch norms statistics
    network.eval()
    with torch.inference_mode():
        expected = network(image)
        assert_same_but_for_rounding(reference.forward(network.state_dict(), image), expected)


@BOTH
@pytest.mark.parametrize("classes", [1, 2, 3])
@pytest.mark.parametrize("scale", [0.5, 1.0, 0.3])
def test_masks(tmp_path: Path, classes: int, bilinear: bool, scale: float) -> None:
    weights = carvana_file(tmp_path / "MODEL.pth", classes=classes, bilinear=bilinear)
    picture = picture_file(tmp_path / "a.png", 97, 131)
    given = None if scale == 0.5 else scale
    predictor = Predictor(bundle.load(tmp_path / "MODEL.pth", scale=given), device="cpu", exact=True)
    indices = predictor.predict(raster.read(tmp_path / "a.png")).indices
    expected = reference.predict(weights, picture, scale)
    assert (indices != expected).mean() < 1e-3  # ties, up to rounding
    assert len(np.unique(expected)) == max(2, classes)  # else the comparison would say little


@pytest.mark.slow
def test_threshold_of_a_single_logit(tmp_path: Path) -> None:
    weights = carvana_file(tmp_path / "MODEL.pth", classes=1, bilinear=False)
    picture = picture_file(tmp_path / "a.png", 64, 64)
    for threshold in (0.3, 0.7):
        predictor = Predictor(bundle.load(tmp_path / "MODEL.pth"), device="cpu", exact=True, threshold=threshold)
        indices = predictor.predict(raster.read(tmp_path / "a.png")).indices
        assert (indices != reference.predict(weights, picture, 0.5, threshold)).mean() < 1e-3


@pytest.mark.parametrize(
    ("mask_values", "mode"),
    [(None, "1"), ([0, 1], "1"), ([0, 255], "L"), ([[0, 0, 0], [255, 0, 128]], "RGB")],
)
def test_files_of_masks(tmp_path: Path, mask_values: Any, mode: str) -> None:
    """The root command's masks hold the training masks' values, 0/1 in a picture of one bit."""
    more = {} if mask_values is None else {"mask_values": mask_values}
    weights = carvana_file(tmp_path / "MODEL.pth", classes=2, bilinear=False, **more)
    picture = picture_file(tmp_path / "car.jpg", 60, 85)
    picture_file(tmp_path / "car.jpg", 60, 85)
    picture = opened(tmp_path / "car.jpg")
    how = {"raw_values": True, "legacy": True, "exact": True}
    written = predict(tmp_path / "MODEL.pth", [str(tmp_path / "car.jpg")], device="cpu", **how)
    assert written == [tmp_path / "car_OUT.png"]
    mask = opened(written[0])
    assert (mask.mode, mask.size) == (mode, picture.size)
    values = np.array(mask_values or [0, 1], dtype=np.uint8)
    expected = values[reference.predict(weights, picture, 0.5)]
    assert (np.asarray(mask).astype(np.uint8) != expected).mean() < 1e-3


@pytest.mark.parametrize("archive", [True, False])
def test_files_of_the_first_generation(tmp_path: Path, archive: bool) -> None:
    # Its convolutions had a bias before each norm, and torch wrote no archives then.
    network = UNet(3, 1, bilinear=True, width=4).eval()
    network.load_state_dict(reference.random_weights(3, 1, bilinear=True, width=4))
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d) and module.bias is None:
                module.bias = torch.nn.Parameter(torch.randn(module.out_channels))
        image = torch.rand(1, 3, 33, 47)
        expected = network(image)
        assert "down4.maxpool_conv.1.double_conv.3.bias" in network.state_dict()
        torch.save(network.state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=archive)
        loaded = bundle.load(tmp_path / "old.pth")
        assert (loaded.spec.bilinear, loaded.spec.classes) == (True, 1)
        assert_same_but_for_rounding(loaded.network().eval()(image), expected)


def test_there_and_back_changes_nothing(tmp_path: Path) -> None:
    weights = carvana_file(tmp_path / "MODEL.pth", classes=2, bilinear=True, mask_values=[0, 255])
    convert(tmp_path / "MODEL.pth", tmp_path / "model.safetensors")
    convert(tmp_path / "model.safetensors", tmp_path / "AGAIN.pth")
    content = torch.load(tmp_path / "AGAIN.pth", weights_only=True)
    assert content.pop("mask_values") == [0, 255]
    assert content.keys() == weights.keys()
    for name, tensor in weights.items():
        assert torch.equal(content[name], tensor), name


def test_real_pictures(shared_data: Path) -> None:
    """On photographs too, in the whole width."""
    weights = reference.random_weights(3, 2, False, width=8)
    path = sorted((shared_data / "carvana" / "imgs").glob("*.jpg"))[0]
    picture = opened(path)
    network = bundle.Bundle(
        bundle.ModelSpec(width=8),
        bundle.Labels.numbered(2),
        bundle.Preprocessing(scale=0.25, resample="bicubic"),
        None,
        {},
        {},
        weights,
    )
    indices = Predictor(network, device="cpu", exact=True).predict(raster.read(path)).indices
    expected = reference.predict(weights, picture, 0.25)
    assert (indices != expected).mean() < 1e-3  # ties, up to rounding
