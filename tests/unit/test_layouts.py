"""Prediction in tiles for the networks that there are: the same as the whole picture, or close to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from unet import models
from unet.bundle import Bundle
from unet.errors import InputError
from unet.inference.layouts import default_join, lay_out, least_tile_side
from unet.inference.predictor import Predictor
from unet.labels import Labels
from unet.models import Geometry, ModelSpec, geometry_of
from unet.preprocessing import Preprocessing


def bundle(**overrides: object) -> Bundle:
    torch.manual_seed(0)
    spec = ModelSpec(**{"classes": 3, "width": 4, "depth": 2, **overrides})  # type: ignore[arg-type]
    network = models.build(spec).eval()
    for name, buffer in network.named_buffers():  # norms that change something
        if name.endswith("running_var"):
            buffer.fill_(0.5)
    return Bundle(spec, Labels.numbered(3), Preprocessing(), None, {}, {}, network.state_dict())


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


EXACT = [
    {"architecture": "paper", "norm": "none"},
    {"architecture": "paper", "norm": "batch", "depth": 3},
    {"architecture": "unet"},
    {"architecture": "resenc", "norm": "batch", "blocks": (1, 1, 1)},
]
BLENDED = [
    {"architecture": "resenc", "norm": "instance", "activation": "leaky_relu"},
    {"architecture": "unet", "norm": "group"},
    {"architecture": "unet", "bilinear": True},
]


@pytest.mark.slow
@pytest.mark.parametrize("overrides", EXACT)
@pytest.mark.parametrize("size", [(1, 1), (37, 50), (150, 203), (16, 300)])
def test_exact_tiles_give_the_whole_picture(
    overrides: dict[str, object], size: tuple[int, int], precision: str
) -> None:
    model = bundle(**overrides)
    whole = Predictor(model, device="cpu", tile=1 << 12).logits(picture(*size))
    side = max(least_tile_side(geometry_of(model.spec)) + 9, 90)
    tiled = Predictor(model, device="cpu", tile=side, join="exact").logits(picture(*size))
    rounding = {"float32": 1e-5, "bfloat16": 2e-2}[precision] * float(np.abs(whole).max())
    np.testing.assert_allclose(tiled, whole, rtol=1e-4, atol=rounding)


@pytest.mark.slow
@pytest.mark.parametrize("overrides", BLENDED)
def test_networks_that_see_all_at_once_are_blended(overrides: dict[str, object], precision: str) -> None:
    model = bundle(**overrides)
    tiled = Predictor(model, device="cpu", tile=64).logits(picture(150, 203))
    whole = Predictor(model, device="cpu", tile=1 << 12).logits(picture(150, 203))
    assert tiled.shape == whole.shape and not np.array_equal(tiled, whole)
    assert np.abs(tiled - whole).mean() < 0.5 * np.abs(whole - whole.mean()).mean()
    with pytest.raises(InputError, match="--join gaussian"):
        Predictor(model, tile=64, join="exact")


def test_what_cannot_be() -> None:
    paper = bundle(architecture="paper", norm="none")
    with pytest.raises(InputError, match="px at least"):
        Predictor(paper, tile=20)
    with pytest.raises(InputError, match="leave out --join"):
        Predictor(paper, tile=200, join="linear")
    with pytest.raises(InputError, match="exact or gaussian"):
        Predictor(paper, join="sharp")


def test_the_papers_tiles_on_the_sidewalk_pictures() -> None:
    paper = geometry_of(ModelSpec("paper", width=64, norm="none"))
    for side, join, count in ((572, "exact", 15), (572, "abut", 15), (668, "exact", 12), (724, "abut", 8)):
        assert len(lay_out(1080, 1920, paper, side, join)) == count


def test_abutting_tiles_of_a_padded_network_have_seams() -> None:
    model = bundle()
    whole = Predictor(model, exact=True, tile=1 << 12).logits(picture(150, 203))
    hard = Predictor(model, exact=True, tile=64, join="abut").logits(picture(150, 203))
    soft = Predictor(model, exact=True, tile=64, join="gaussian").logits(picture(150, 203))
    assert np.abs(hard - whole).max() > 2 * np.abs(soft - whole).max() > 0


def test_a_halo_is_taken_where_it_is_small() -> None:
    near = Geometry(0, 50, 16)
    assert default_join(near, 512) == "exact" and default_join(near, 128) == "gaussian"
    assert default_join(replace(near, receptive_field_radius=None), 10_000) == "gaussian"
    assert default_join(replace(near, receptive_field_radius=None, valid_margin=92), 300) == "exact"


def test_tiles_follow_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unet.inference.predictor.TILE_BYTES", 40 << 20)
    model = bundle(architecture="paper", norm="none")
    sizes: list[tuple[int, ...]] = []
    predictor = Predictor(model, exact=True, device="cpu")
    forward = predictor.network.forward
    monkeypatch.setattr(predictor.network, "forward", lambda image: sizes.append(image.shape) or forward(image))
    predictor.predict(picture(300, 500))
    assert len(sizes) > 1
    assert all(shape[0] * shape[2] * shape[3] * 4 * 64 * 4 <= (40 << 20) * 1.2 for shape in sizes)
