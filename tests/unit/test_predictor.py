"""Prediction: bands equal the whole, folding changes nothing, and every kind of picture gives a mask of its size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.utils._python_dispatch import TorchDispatchMode

from unet import models
from unet.bundle import Bundle
from unet.errors import InputError
from unet.inference import predictor as predicting
from unet.inference.banded import bytes_per_row, interpolated, lazy, logits_in_bands
from unet.inference.folding import fold_norms
from unet.inference.predictor import Predictor
from unet.labels import Labels
from unet.models import ModelSpec, UNet
from unet.preprocessing import Preprocessing
from unet.raster.network_input import network_input
from unet.report.overlay import overlay, viewable
from unet.training import probe


def make_network(spec: ModelSpec, seed: int = 0) -> UNet:
    """Return a network whose batch norms have seen something."""
    torch.manual_seed(seed)
    network = models.build(spec)
    assert isinstance(network, UNet)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_mean"):
            torch.nn.init.normal_(tensor, std=0.3)
        elif name.endswith("running_var"):
            torch.nn.init.uniform_(tensor, 0.5, 1.5)
    return network.eval()


def make_bundle(spec: ModelSpec, **preprocessing: Any) -> Bundle:
    state = {name: tensor.detach() for name, tensor in make_network(spec).state_dict().items()}
    labels = Labels.numbered(max(2, spec.classes))
    return Bundle(spec, labels, Preprocessing(bands=spec.bands, **preprocessing), None, {}, {}, state)


ROUNDING = {"float32": 1e-4, "bfloat16": 3e-2}
"""By how much logits may differ, as a share of the largest."""

SPECS = st.builds(
    ModelSpec, classes=st.integers(1, 3), width=st.integers(1, 4), depth=st.integers(1, 4), bilinear=st.booleans()
)


@pytest.mark.slow
@settings(max_examples=60)
@given(spec=SPECS, height=st.integers(1, 120), width=st.integers(1, 60), band=st.integers(1, 130))
def test_bands_equal_the_whole(spec: ModelSpec, height: int, width: int, band: int) -> None:
    network = make_network(spec)
    image = torch.randn(1, 3, height, width).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        expected = network(image)
        torch.testing.assert_close(logits_in_bands(network, image, band), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@settings(max_examples=60)
@given(sizes=st.tuples(*[st.integers(1, 50)] * 4), cuts=st.tuples(*[st.floats(0, 1)] * 2), align_corners=st.booleans())
def test_rows_of_an_interpolation(
    sizes: tuple[int, int, int, int], cuts: tuple[float, float], align_corners: bool
) -> None:
    height, width, high, wide = sizes
    source = torch.randn(1, 2, height, width)
    expected = F.interpolate(source, (high, wide), mode="bilinear", align_corners=align_corners)
    start, stop = sorted(round(cut * (high - 1)) for cut in cuts)
    rows = interpolated(lazy(source), high, wide, align_corners).rows(start, stop + 1)
    torch.testing.assert_close(rows, expected[:, :, start : stop + 1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bilinear", [False, True])
def test_folding_changes_nothing(bilinear: bool) -> None:
    spec = ModelSpec(width=4, depth=2, bilinear=bilinear)
    network = make_network(spec)
    image = torch.randn(1, 3, 21, 34)
    with torch.inference_mode():
        expected = network(image)
        before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        held = network.state_dict()
        folded = fold_norms(network)
        torch.testing.assert_close(folded(image), expected, rtol=1e-4, atol=1e-4)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    assert all(torch.equal(held[name], tensor) for name, tensor in before.items())


def test_no_feature_map_is_whole_at_full_resolution() -> None:
    network = make_network(ModelSpec(width=8, depth=3))
    rows, width = 16, 400
    sizes = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = func(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor) and out.ndim == 4 and out.shape[1] >= 8 and out.shape[3] == width:
                sizes.append(out.numel() * out.element_size())
            return out

    image = torch.randn(1, 3, 256, width)
    with torch.no_grad(), Watch():
        logits_in_bands(network, image, rows)
    assert max(sizes) <= (rows + 8) * bytes_per_row(network, width, torch.float32) / 2


def test_predictor_uses_bands_for_big_pictures(monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    bundle = make_bundle(ModelSpec(width=4, depth=2, classes=3))
    picture = np.random.default_rng(0).integers(0, 256, (150, 70, 3), dtype=np.uint8)
    whole = Predictor(bundle, device="cpu").logits(picture)
    used = []

    def watched(network: UNet, image: torch.Tensor, band: int) -> torch.Tensor:
        used.append(band)
        return logits_in_bands(network, image, band)

    monkeypatch.setattr(predicting, "logits_in_bands", watched)
    monkeypatch.setattr(predicting, "BAND_BYTES", 100_000)
    banded = Predictor(bundle, device="cpu").logits(picture)
    assert used and used[0] < 150
    np.testing.assert_allclose(banded, whole, rtol=1e-4, atol=ROUNDING[precision] * np.abs(whole).max())


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.37])
@pytest.mark.parametrize("memory", [20_000, 1 << 27])
def test_logits_are_the_networks_brought_to_the_pictures_size(
    scale: float, memory: int, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    monkeypatch.setattr(predicting, "BAND_BYTES", memory)
    bundle = make_bundle(ModelSpec(width=3, depth=2, classes=3), scale=scale, mean=(0.4,) * 3, std=(0.2,) * 3)
    picture = np.random.default_rng(0).integers(0, 256, (61, 83, 3), dtype=np.uint8)
    with torch.inference_mode():
        small = bundle.network()(torch.from_numpy(network_input(picture, bundle.preprocessing))[None])
        expected = F.interpolate(small, (61, 83), mode="bilinear")[0]
    predictor = Predictor(bundle, device="cpu")
    rounding = ROUNDING[precision] * float(expected.abs().max())
    np.testing.assert_allclose(predictor.logits(picture), expected.numpy(), rtol=1e-4, atol=rounding)
    prediction = predictor.predict(picture, probabilities=True)
    assert prediction.probabilities is not None
    np.testing.assert_allclose(prediction.probabilities, expected.softmax(0).numpy(), rtol=1e-3, atol=rounding)
    assert (prediction.indices != expected.argmax(0).numpy()).mean() < {"float32": 1e-3, "bfloat16": 0.05}[precision]
    assert prediction.indices.dtype == np.uint8
    assert predictor.predict(picture).probabilities is None


def test_one_logit(precision: str) -> None:
    bundle = make_bundle(ModelSpec(width=3, depth=1, classes=1))
    picture = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    for threshold, expected in ((None, 0.5), (0.2, 0.2), (0.0, 0.0)):
        prediction = Predictor(bundle, device="cpu", threshold=threshold).predict(picture, probabilities=True)
        assert prediction.probabilities is not None and prediction.probabilities.shape == (1, 30, 40)
        np.testing.assert_array_equal(prediction.indices, prediction.probabilities[0] > expected)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 50, 3), (50, 1, 3), (20, 30, 1), (20, 30, 4), (20, 30, 2)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_any_picture(shape: tuple[int, int, int], dtype: Any, scale: float, precision: str) -> None:
    said: list[str] = []
    predictor = Predictor(make_bundle(ModelSpec(width=2, depth=2), scale=scale), device="cpu", notify=said.append)
    picture = (np.random.default_rng(0).random(shape) * 200).astype(dtype)
    assert predictor.predict(picture).indices.shape == predictor.predict(picture).indices.shape == shape[:2]
    assert len(said) == (shape[2] != 3), "once"
    assert str(predictor.dtype) == f"torch.{precision}"


@pytest.mark.parametrize("shape", [(1, 1), (3, 40)])
@pytest.mark.parametrize(
    "overrides",
    [
        {"bilinear": True},
        {"norm": "group"},
        {"architecture": "paper", "norm": "none"},
        {"architecture": "resenc", "norm": "batch", "blocks": (1, 1, 1)},
        {"architecture": "resenc", "norm": "instance", "blocks": (1, 1, 1)},
    ],
)
def test_a_small_picture_for_any_network(overrides: dict[str, Any], shape: tuple[int, int], precision: str) -> None:
    spec = ModelSpec(**{"width": 4, "depth": 2, **overrides})
    network = models.build(spec).eval()
    bundle = Bundle(spec, Labels.numbered(2), Preprocessing(), None, {}, {}, network.state_dict())
    picture = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    whole = Predictor(bundle, device="cpu", tile=512).logits(picture)
    rounding = ROUNDING[precision] * float(np.abs(whole).max())
    np.testing.assert_allclose(Predictor(bundle, device="cpu").logits(picture), whole, rtol=1e-4, atol=rounding)


def test_bands_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="5 bands"):
        Predictor(make_bundle(ModelSpec(width=2, depth=1)), device="cpu").predict(np.zeros((4, 4, 5), np.uint8))


def classes_of(predictor: Predictor, images: NDArray[np.float32], height: int, width: int) -> NDArray[np.uint8]:
    """Return the classes (N, height, width) of pictures of that size, given as network inputs together."""
    return np.stack([predictor.classes(logits, height, width) for logits in predictor.whole_logits(images)])


def noise(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


# --- precision


def test_bfloat16_stays_close() -> None:
    bundle = make_bundle(ModelSpec(width=8, depth=3))
    expected = Predictor(bundle, device="cpu", exact=True).logits(noise(64, 64, 3))
    logits = Predictor(bundle, device="cpu", precision="bf16-mixed").logits(noise(64, 64, 3))
    assert 0 < np.abs(logits - expected).max() < 0.05 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("options", "dtype"),
    [
        ({}, None),
        ({"precision": "auto"}, None),
        ({"exact": True}, torch.float32),
        ({"precision": "32-true"}, torch.float32),
        ({"precision": "bf16-mixed"}, torch.bfloat16),
    ],
)
def test_precision_is_a_rule_and_nothing_is_measured(
    options: dict[str, Any], dtype: torch.dtype | None, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "shortest", lambda *args, **kwargs: pytest.fail("something is measured"))
    predictor = Predictor(make_bundle(ModelSpec(width=4, depth=2)), device="cpu", **options)
    expected = dtype or getattr(torch, precision)
    assert str(expected).removeprefix("torch.") in predictor.describe()
    for size in (1, 200):
        predictor.predict(noise(size, size, 3))
        assert predictor.dtype == expected and {p.dtype for p in predictor.network.parameters()} == {expected}


def test_a_result_does_not_depend_on_the_pictures_before(precision: str) -> None:
    bundle = make_bundle(ModelSpec(width=4, depth=2))
    pictures = [np.zeros((1, 1, 3), np.uint8), noise(60, 70, 3), np.full((130, 20, 3), 255, np.uint8)]
    forward, backward = Predictor(bundle, device="cpu"), Predictor(bundle, device="cpu")
    first = [forward.logits(picture) for picture in pictures]
    second = [backward.logits(picture) for picture in reversed(pictures)]
    for one_way, other_way in zip(first, reversed(second), strict=True):
        np.testing.assert_array_equal(one_way, other_way)


def test_precisions_that_cannot_be() -> None:
    bundle = make_bundle(ModelSpec(width=2, depth=1))
    with pytest.raises(InputError, match="'16-mixed' on cpu; expected auto, 32-true, bf16-mixed"):
        Predictor(bundle, device="cpu", precision="16-mixed")
    with pytest.raises(InputError, match="'bf16' on cpu"):
        Predictor(bundle, device="cpu", precision="bf16")
    with pytest.raises(InputError, match="'bf16-mixed' for an exact prediction"):
        Predictor(bundle, device="cpu", precision="bf16-mixed", exact=True)


def test_a_picture_that_bfloat16_cannot_hold_is_computed_in_float32() -> None:
    bundle = make_bundle(ModelSpec(width=1, depth=1))
    state = {name: torch.zeros_like(tensor) for name, tensor in bundle.state.items()}
    for name, tensor in state.items():
        if name.endswith(("running_var", ".1.weight", ".4.weight")):
            tensor.fill_(1)
    for block in ("inc", "up1.conv"):  # the brightness of the first band comes out as it is
        for place in (0, 3):
            state[f"{block}.double_conv.{place}.weight"][0, 0, 1, 1] = 1.0
    state["outc.conv.weight"][1] = 3.38e38
    state["outc.conv.bias"][1] = 0.02e38  # 3.40e38 together: float32 reaches so far, bfloat16 does not
    bundle = replace(bundle, state=state)
    lines: list[str] = []
    fast = Predictor(bundle, device="cpu", precision="bf16-mixed", notify=lines.append)
    exact = Predictor(bundle, device="cpu", exact=True)
    dark, bright = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 255, np.uint8)
    assert np.isfinite(fast.logits(dark)).all() and not lines
    for _ in range(2):
        np.testing.assert_array_equal(fast.logits(bright), exact.logits(bright))
    assert len(lines) == 1 and "not finite in bfloat16" in lines[0]
    assert "cpu in bfloat16, 2 in float32" in fast.describe()
    both = np.stack([network_input(picture, bundle.preprocessing) for picture in (dark, bright)])
    assert (classes_of(fast, both, 8, 8) == 1).all() and fast.recomputed == 3, "of a batch only the picture itself"
    with pytest.warns(UserWarning, match="computed in float32"):
        Predictor(bundle, device="cpu", precision="bf16-mixed").predict(bright)


# --- networks under training, batches


def test_a_network_under_training(precision: str) -> None:
    network = make_network(ModelSpec(width=4, depth=2)).train()
    template = make_bundle(ModelSpec(width=4, depth=2), scale=0.5)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for threshold in (None, 0.3):
        predictor = Predictor.from_network(network, template, device="cpu", threshold=threshold)
        expected = Predictor(replace(template, state=before), device="cpu").logits(noise(50, 60, 3))
        np.testing.assert_array_equal(predictor.logits(noise(50, 60, 3)), expected)
    assert network.training and all(parameter.requires_grad for parameter in network.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1
    changed = Predictor.from_network(network, template, device="cpu").logits(noise(50, 60, 3))
    assert not np.array_equal(changed, expected)


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_a_batch_is_its_pictures(classes: int, precision: str) -> None:
    predictor = Predictor(make_bundle(ModelSpec(width=4, depth=2, classes=classes), scale=0.5), device="cpu")
    pictures = [noise(50, 61, 3, seed=seed) for seed in range(5)]
    inputs = np.stack([network_input(picture, predictor.bundle.preprocessing) for picture in pictures])
    assert predictor.batch_size(25, 30) == {"float32": predicting.MOST_TILES, "bfloat16": 1}[precision]
    alone = np.stack([predictor.predict(picture).indices for picture in pictures])
    differ = (classes_of(predictor, inputs, 50, 61) != alone).mean()
    assert differ <= {"float32": 0.0, "bfloat16": 0.01}[precision]


def test_batches_are_bounded() -> None:
    bundle = make_bundle(ModelSpec(width=4, depth=2))
    predictor = Predictor(bundle, device="cpu", exact=True)
    assert predictor.batch_size(1, 1) == predicting.MOST_TILES
    assert predictor.batch_size(5000, 5000) == 1
    assert Predictor(bundle, device="cpu", tile=64).batch_size(16, 16) == 1
    paper = models.build(spec := ModelSpec("paper", width=4, depth=2, norm="none")).eval().state_dict()
    unpadded = Bundle(spec, Labels.numbered(2), Preprocessing(), None, {}, {}, paper)
    assert Predictor(unpadded, device="cpu").batch_size(16, 16) == 1, "its pictures are mirrored beyond the border"


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_of_equal_logits_the_first_class_is_taken(classes: int) -> None:
    predictor = Predictor(make_bundle(ModelSpec(width=1, depth=1, classes=classes)), device="cpu")
    logits = torch.randint(-2, 3, (classes, 40, 50)).float()
    expected = logits.numpy().argmax(axis=0)  # numpy promises the first
    np.testing.assert_array_equal(predictor.classes(logits, 40, 50), expected)


# --- pictures for people


@pytest.mark.parametrize("first", ["background", "sky"])
def test_overlay_tints_and_outlines(first: str) -> None:
    labels = Labels((first, "car"), ((0, 0, 0), (255, 0, 0)), (0, 1))
    picture = np.full((6, 6, 3), 100, np.uint8)
    indices = np.zeros((6, 6), np.uint8)
    indices[1:6, 1:6] = 1
    drawn = overlay(picture, indices, labels)
    assert drawn[0, 0].tolist() == [100 if first == "background" else 55] * 3
    assert drawn[3, 0].tolist() == [100 if first == "background" else 0] * 3, "a class's border is in full colour"
    assert (drawn[1, 1:] == (255, 0, 0)).all()
    assert drawn[3, 3, 0] > 150 and drawn[3, 3, 1] < 100


def test_viewable() -> None:
    assert viewable(np.full((2, 2, 1), 7, np.uint8), 4095)[0, 0].tolist() == [7, 7, 7]
    assert viewable(np.full((2, 2, 3), 4095, np.uint16), 4095)[0, 0].tolist() == [255, 255, 255]
    assert viewable(np.full((2, 2, 7), 2.0, np.float32), 1.0)[0, 0].tolist() == [255, 255, 255]
    assert viewable(np.zeros((2, 2, 4), np.uint8), 255).shape == (2, 2, 3)
