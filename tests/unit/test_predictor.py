"""Prediction: bands equal the whole, folding changes nothing, and every kind of picture gives a mask of its size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
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


SPECS = st.builds(
    ModelSpec, classes=st.integers(1, 3), width=st.integers(1, 4), depth=st.integers(1, 4), bilinear=st.booleans()
)


@settings(max_examples=60)
@given(spec=SPECS, height=st.integers(1, 120), width=st.integers(1, 60), band=st.integers(1, 130))
def test_bands_equal_the_whole(spec: ModelSpec, height: int, width: int, band: int) -> None:
    network = make_network(spec)
    image = torch.randn(1, 3, height, width).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        expected = network(image)
        torch.testing.assert_close(logits_in_bands(network, image, band), expected, rtol=1e-5, atol=1e-5)


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


def test_predictor_uses_bands_for_big_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = make_bundle(ModelSpec(width=4, depth=2, classes=3))
    picture = np.random.default_rng(0).integers(0, 256, (150, 70, 3), dtype=np.uint8)
    whole = Predictor(bundle, device="cpu", exact=True).logits(picture)
    used = []

    def watched(network: UNet, image: torch.Tensor, band: int) -> torch.Tensor:
        used.append(band)
        return logits_in_bands(network, image, band)

    monkeypatch.setattr(predicting, "logits_in_bands", watched)
    monkeypatch.setattr(predicting, "BAND_BYTES", 100_000)
    banded = Predictor(bundle, device="cpu", exact=True).logits(picture)
    assert used and used[0] < 150
    np.testing.assert_allclose(banded, whole, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.37])
@pytest.mark.parametrize("memory", [20_000, 1 << 27])
def test_logits_are_the_networks_brought_to_the_pictures_size(
    scale: float, memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predicting, "BAND_BYTES", memory)
    bundle = make_bundle(ModelSpec(width=3, depth=2, classes=3), scale=scale, mean=(0.4,) * 3, std=(0.2,) * 3)
    picture = np.random.default_rng(0).integers(0, 256, (61, 83, 3), dtype=np.uint8)
    with torch.inference_mode():
        small = bundle.network()(torch.from_numpy(network_input(picture, bundle.preprocessing))[None])
        expected = F.interpolate(small, (61, 83), mode="bilinear")[0]
    predictor = Predictor(bundle, device="cpu", exact=True)
    np.testing.assert_allclose(predictor.logits(picture), expected.numpy(), rtol=1e-4, atol=1e-4)
    prediction = predictor.predict(picture, probabilities=True)
    assert prediction.probabilities is not None
    np.testing.assert_allclose(prediction.probabilities, expected.softmax(0).numpy(), rtol=1e-3, atol=1e-4)
    assert (prediction.indices != expected.argmax(0).numpy()).mean() < 1e-3
    assert prediction.indices.dtype == np.uint8
    assert predictor.predict(picture).probabilities is None


def test_one_logit() -> None:
    bundle = make_bundle(ModelSpec(width=3, depth=1, classes=1))
    picture = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    for threshold, expected in ((None, 0.5), (0.2, 0.2), (0.0, 0.0)):
        prediction = Predictor(bundle, device="cpu", threshold=threshold).predict(picture, probabilities=True)
        assert prediction.probabilities is not None and prediction.probabilities.shape == (1, 30, 40)
        np.testing.assert_array_equal(prediction.indices, prediction.probabilities[0] > expected)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 50, 3), (50, 1, 3), (20, 30, 1), (20, 30, 4), (20, 30, 2)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_any_picture(shape: tuple[int, int, int], dtype: Any, scale: float) -> None:
    predictor = Predictor(make_bundle(ModelSpec(width=2, depth=2), scale=scale), device="cpu")
    picture = (np.random.default_rng(0).random(shape) * 200).astype(dtype)
    assert predictor.predict(picture).indices.shape == shape[:2]


def test_bands_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="5 bands"):
        Predictor(make_bundle(ModelSpec(width=2, depth=1)), device="cpu").predict(np.zeros((4, 4, 5), np.uint8))


def test_bfloat16_stays_close() -> None:
    bundle = make_bundle(ModelSpec(width=8, depth=3))
    exact, fast = (Predictor(bundle, device="cpu", exact=True) for _ in range(2))
    fast.network, fast.dtype = fast.network.to(torch.bfloat16), torch.bfloat16
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    expected = exact.logits(picture)
    assert np.abs(fast.logits(picture) - expected).max() < 0.05 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("has", "seconds", "agreement", "exact", "taken"),
    [
        (True, (2.0, 1.0), 0.9, False, torch.bfloat16),
        (True, (1.0, 2.0), 0.9, False, torch.float32),  # slower than float32
        (True, (2.0, 1.0), 1.1, False, torch.float32),  # never the same
        (True, (2.0, 1.0), 0.9, True, torch.float32),
        (False, (2.0, 1.0), 0.9, False, torch.float32),
    ],
)
def test_a_short_type_of_number_is_taken_where_it_is_fast_and_safe(
    monkeypatch: pytest.MonkeyPatch,
    has: bool,
    seconds: tuple[float, float],
    agreement: float,
    exact: bool,
    taken: torch.dtype,
) -> None:
    monkeypatch.setattr(predicting.devices, "cpu_has_bf16", lambda: has)
    monkeypatch.setattr(predicting.devices, "shortest", lambda tasks, rounds: seconds)
    monkeypatch.setattr(predicting, "SAFE_AGREEMENT", agreement)
    predictor = Predictor(make_bundle(ModelSpec(width=8, depth=3)), device="cpu", exact=exact)
    picture = np.random.default_rng(0).integers(0, 256, (200, 150, 3), dtype=np.uint8)
    predictor.predict(picture)
    assert predictor.dtype == taken and next(predictor.network.parameters()).dtype == taken
    assert predictor.predict(picture).indices.shape == (200, 150)


# --- pictures for people


def test_overlay_tints_and_outlines() -> None:
    labels = Labels(("sky", "car"), ((0, 0, 0), (255, 0, 0)), (0, 1))
    picture = np.full((6, 6, 3), 100, np.uint8)
    indices = np.zeros((6, 6), np.uint8)
    indices[1:6, 1:6] = 1
    drawn = overlay(picture, indices, labels)
    assert (drawn[0] == 100).all()
    assert (drawn[1, 1:] == (255, 0, 0)).all()
    assert drawn[3, 3, 0] > 150 and drawn[3, 3, 1] < 100


def test_viewable() -> None:
    assert viewable(np.full((2, 2, 1), 7, np.uint8), 4095)[0, 0].tolist() == [7, 7, 7]
    assert viewable(np.full((2, 2, 3), 4095, np.uint16), 4095)[0, 0].tolist() == [255, 255, 255]
    assert viewable(np.full((2, 2, 7), 2.0, np.float32), 1.0)[0, 0].tolist() == [255, 255, 255]
    assert viewable(np.zeros((2, 2, 4), np.uint8), 255).shape == (2, 2, 3)
