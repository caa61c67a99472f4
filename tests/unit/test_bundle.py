"""The model file: what goes in comes out, and what is not a model is refused without being run."""

from __future__ import annotations

import json
import os
import pickle
import sys
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from unet import bundle, models
from unet.bundle import Bundle
from unet.errors import InputError, ModelFileError
from unet.labels import Labels
from unet.models import ModelSpec
from unet.preprocessing import Preprocessing
from unet.raster.network_input import network_input

SMALL = ModelSpec(width=3, depth=2)
CARS = Labels(("road", "car"), ((0, 0, 0), (9, 200, 30)), (0, 255), ignored=(7,), rule="nearest")


def make(spec: ModelSpec = SMALL, **changes: Any) -> Bundle:
    """Return a bundle with random weights and batch statistics."""
    generator = torch.Generator().manual_seed(1)
    state = models.build(spec).state_dict()
    state = {
        name: torch.rand(tensor.shape, generator=generator) + 0.1 if tensor.is_floating_point() else tensor + 5
        for name, tensor in state.items()
    }
    plain = Bundle(
        spec,
        CARS if spec.classes < 3 else Labels.numbered(spec.classes),
        Preprocessing(
            bands=spec.bands, scale=0.25, data_range=1000.0, mean=(0.1,) * spec.bands, std=(0.3,) * spec.bands
        ),
        threshold=None,
        scores={"mean_iou": 0.5, "classes": [{"name": "car", "iou": None}]},
        provenance={"unet": "x", "config": {"a": [1, 2]}},
        state=state,
    )
    return replace(plain, **changes)


def assert_same_weights(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name


@settings(max_examples=10)
@given(
    spec=st.builds(
        ModelSpec,
        bands=st.integers(1, 4),
        classes=st.integers(1, 3),
        width=st.integers(1, 4),
        depth=st.integers(1, 3),
        bilinear=st.booleans(),
    ),
    threshold=st.none() | st.floats(0, 1),
)
def test_all_comes_back(tmp_path_factory: pytest.TempPathFactory, spec: ModelSpec, threshold: float | None) -> None:
    path = tmp_path_factory.mktemp("model") / "deep" / "model.safetensors"
    saved = make(spec, threshold=threshold)
    bundle.save(saved, path)
    loaded = bundle.load(path)
    assert replace(loaded, state={}) == replace(saved, state={})
    assert_same_weights(loaded.state, saved.state)
    assert [file.name for file in path.parent.iterdir()] == ["model.safetensors"]


def test_network_has_the_weights_and_leaves_them_alone() -> None:
    saved = make()
    network = saved.network()
    assert not network.training
    assert_same_weights(dict(network.state_dict()), saved.state)
    network.to(torch.float64)
    assert all(tensor.dtype != torch.float64 for tensor in saved.state.values())


def test_scale_can_be_replaced(tmp_path: Path) -> None:
    bundle.save(make(), tmp_path / "model.safetensors")
    assert bundle.load(tmp_path / "model.safetensors", scale=0.75).preprocessing.scale == 0.75
    for senseless in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="scale"):
            bundle.load(tmp_path / "model.safetensors", scale=senseless)


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.safetensors"
    bundle.save(make(), path)
    before = path.read_bytes()

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        bundle.save(make(threshold=0.3), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for save in (bundle.save, bundle.save_pth):
        with pytest.raises(InputError, match="cannot be written"):
            save(make(), tmp_path / "file" / "model.safetensors")


# --- files of the Carvana U-Net


def legacy_file(path: Path, state: dict[str, Any], **options: Any) -> Path:
    torch.save(state, path, **options)
    return path


@pytest.mark.parametrize("new_zip", [True, False])
@pytest.mark.parametrize("mask_values", [None, [0, 255], [0, 1], [False, True], [[0, 0, 0], [255, 0, 9]]])
def test_pth_with_and_without_mask_values(tmp_path: Path, mask_values: Any, new_zip: bool) -> None:
    state: dict[str, Any] = OrderedDict(make().state)
    if mask_values is not None:
        state["mask_values"] = mask_values
    path = legacy_file(tmp_path / "MODEL.pth", state, _use_new_zipfile_serialization=new_zip)
    loaded = bundle.load(path)
    assert loaded.spec == SMALL
    values = mask_values or [0, 1]
    assert loaded.labels.values == tuple(tuple(v) if isinstance(v, list) else int(v) for v in values)
    assert loaded.labels.names == ("background", "foreground")
    assert loaded.preprocessing == Preprocessing(bands=3, scale=0.5, data_range=255.0, resample="bicubic")
    assert_same_weights(loaded.state, make().state)


@pytest.mark.parametrize("prefix", ["module.", "model.", "net.", "_orig_mod.", "module._orig_mod.", "model.net."])
@pytest.mark.parametrize("wrapped", [None, "state_dict", "model_state_dict"])
def test_prefixes_and_wrappers_are_seen_through(tmp_path: Path, prefix: str, wrapped: str | None) -> None:
    state: dict[str, Any] = {prefix + name: tensor for name, tensor in make().state.items()}
    if prefix.startswith("model."):
        state["loss.weight"] = torch.ones(2)
    content = {wrapped: state, "epoch": 3, "mask_values": [0, 9]} if wrapped else state
    loaded = bundle.load(legacy_file(tmp_path / "lightning.ckpt", content))
    assert_same_weights(loaded.state, make().state)
    assert loaded.labels.values == ((0, 9) if wrapped else (0, 1))


def test_one_logit_has_two_classes(tmp_path: Path) -> None:
    spec = replace(SMALL, classes=1)
    path = legacy_file(tmp_path / "MODEL.pth", {**make(spec).state, "mask_values": [0, 255]})
    loaded = bundle.load(path)
    assert (loaded.spec.classes, loaded.labels.values) == (1, (0, 255))


def test_classes_that_no_mask_had_are_written_as_zero(tmp_path: Path) -> None:
    spec = replace(SMALL, classes=4)
    for held, expected in (([0, 5], (0, 5, 0, 0)), ([[1, 2, 3]], ((1, 2, 3), *[(0, 0, 0)] * 3))):
        path = legacy_file(tmp_path / "MODEL.pth", {**make(spec).state, "mask_values": held})
        assert bundle.load(path).labels.values == expected


def test_half_precision_and_missing_counters_are_mended(tmp_path: Path) -> None:
    state = {name: t.half() for name, t in make().state.items() if not name.endswith("num_batches_tracked")}
    loaded = bundle.load(legacy_file(tmp_path / "MODEL.pth", state))
    assert {t.dtype for t in loaded.state.values()} == {torch.float32, torch.int64}
    torch.testing.assert_close(loaded.state["outc.conv.bias"], make().state["outc.conv.bias"], atol=1e-3, rtol=0)


def test_pth_is_written_as_the_original_does(tmp_path: Path) -> None:
    plain = make(preprocessing=Preprocessing(scale=0.5))
    bundle.save_pth(plain, tmp_path / "MODEL.pth")
    content = torch.load(tmp_path / "MODEL.pth", weights_only=True)
    assert content.pop("mask_values") == [0, 255]
    assert_same_weights(content, plain.state)
    colors = replace(CARS, values=((0, 0, 0), (1, 2, 3)), ignored=())
    bundle.save_pth(replace(plain, labels=colors), tmp_path / "MODEL.pth")
    assert torch.load(tmp_path / "MODEL.pth", weights_only=True)["mask_values"] == [[0, 0, 0], [1, 2, 3]]


def test_pth_leaves_out_what_only_training_needs(tmp_path: Path) -> None:
    bundle.save_pth(make(replace(SMALL, deep_supervision=True)), tmp_path / "MODEL.pth")
    content = torch.load(tmp_path / "MODEL.pth", weights_only=True)
    assert content.keys() - {"mask_values"} == make(SMALL).state.keys()


def test_pth_has_the_normalisation_in_its_first_convolution(tmp_path: Path) -> None:
    about = Preprocessing(data_range=900.0, mean=(0.2, 0.5, 0.3), std=(0.3, 0.2, 0.4))
    saved = make(preprocessing=about)
    bundle.save_pth(saved, tmp_path / "MODEL.pth")
    loaded = bundle.load(tmp_path / "MODEL.pth", scale=1.0)
    picture = np.random.default_rng(0).integers(0, 900, (96, 96, 3), dtype=np.uint16)
    with torch.inference_mode():
        expected, found = (
            b.network()(torch.from_numpy(network_input(picture, b.preprocessing))[None]) for b in (saved, loaded)
        )
    inner = (..., slice(40, 56), slice(40, 56))  # out of reach of the border, where padding differs
    torch.testing.assert_close(found[inner], expected[inner], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(found, expected, rtol=1e-4, atol=1e-4)


# --- files that are not models


class Hostile:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_would_run_code_does_not(tmp_path: Path, zipped: bool) -> None:
    path, trap = tmp_path / "MODEL.pth", tmp_path / "sprung"
    content = {**make().state, "mask_values": Hostile(trap)}
    if zipped:
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps({"inc": Hostile(trap)}))
    with pytest.raises(ModelFileError, match="not a file of weights") as caught:
        bundle.load(path)
    assert not trap.exists()
    assert "mkdir, which was not run" in str(caught.value)
    assert "weights_only" not in str(caught.value)  # no advice to run it after all


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("kept", [0, 3, 8, 9, 200, 0.5, 0.99])
def test_truncated_files(tmp_path: Path, suffix: str, kept: float) -> None:
    path = tmp_path / f"model{suffix}"
    (bundle.save_pth if suffix == ".pth" else bundle.save)(make(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    with pytest.raises(ModelFileError) as caught:
        bundle.load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"hello, I am a text file\n", b"\x00" * 64, b"PK\x03\x04 no archive", b"\x80\x04N.", b"\x89PNG\r\n\x1a\n" * 9],
)
def test_other_kinds_of_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "MODEL.pth"
    path.write_bytes(content)
    with pytest.raises(ModelFileError) as caught:
        bundle.load(path)
    assert "\n" not in str(caught.value)


def test_missing_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="does not exist"):
        bundle.load(tmp_path / "model.safetensors")
    with pytest.raises(ModelFileError, match="is a folder"):
        bundle.load(tmp_path)
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ModelFileError, match=r"model\.safetensors is empty"):
        bundle.load(tmp_path)  # a run: its model is meant


@pytest.mark.skipif(sys.platform == "win32", reason="modes are another matter there")
def test_files_may_be_read_by_whom_the_user_lets(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    bundle.save(make(ModelSpec(width=2, depth=1)), tmp_path / "a.safetensors")
    bundle.save_pth(make(ModelSpec(width=2, depth=1)), tmp_path / "a.pth")
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1


def test_tensors_of_other_programs(tmp_path: Path) -> None:
    other = {"fc.weight": torch.ones(2, 2)}
    save_file(other, tmp_path / "a.safetensors")
    with pytest.raises(ModelFileError, match="of another program"):
        bundle.load(tmp_path / "a.safetensors")
    save_file(other, tmp_path / "b.safetensors", {"checkpoint": "{}"})
    with pytest.raises(ModelFileError, match="the state of a training"):
        bundle.load(tmp_path / "b.safetensors")
    with pytest.raises(ModelFileError, match="not the weights of a U-Net"):
        bundle.load(legacy_file(tmp_path / "c.pth", other))
    with pytest.raises(ModelFileError, match="holds a list"):
        bundle.load(legacy_file(tmp_path / "d.pth", [torch.ones(2)]))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("up1.conv.double_conv.3.weight", None, "up1.conv.double_conv.3.weight is missing"),
        ("attention.weight", torch.ones(1), "attention.weight is not of this network"),
        ("up2.up.weight", torch.ones(6, 3, 3, 3), "up2.up.weight is (6, 3, 3, 3), not (6, 3, 2, 2)"),
    ],
)
def test_weights_of_a_relative(tmp_path: Path, name: str, tensor: torch.Tensor | None, message: str) -> None:
    state = {**make().state, name: tensor}
    path = legacy_file(tmp_path / "MODEL.pth", {key: value for key, value in state.items() if value is not None})
    with pytest.raises(ModelFileError) as caught:
        bundle.load(path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"format": 1}', "cannot be read"),
        ('{"format": 99}', "newer version"),
    ],
)
def test_damaged_descriptions(tmp_path: Path, description: str, message: str) -> None:
    save_file(make().state, tmp_path / "model.safetensors", {"unet": description})
    with pytest.raises(ModelFileError, match=message):
        bundle.load(tmp_path / "model.safetensors")


def test_a_description_that_contradicts_the_weights(tmp_path: Path) -> None:
    bundle.save(make(spec=SMALL), tmp_path / "model.safetensors")
    for spec, message in (
        (replace(SMALL, width=5), "not the weights of a U-Net"),
        (replace(SMALL, depth=0), "depth = 0"),
        (replace(SMALL, architecture="vnet"), "vnet"),
    ):
        lying = replace(make(), spec=spec)
        bundle.save(lying, tmp_path / "model.safetensors")
        with pytest.raises(ModelFileError, match=message):
            bundle.load(tmp_path / "model.safetensors")


def test_the_description_is_plain_json(tmp_path: Path) -> None:
    """A file can be understood without this package."""
    bundle.save(make(), tmp_path / "model.safetensors")
    raw = (tmp_path / "model.safetensors").read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    about = json.loads(header["__metadata__"]["unet"])
    assert about["labels"]["names"] == ["road", "car"]
    assert about["spec"]["width"] == 3
