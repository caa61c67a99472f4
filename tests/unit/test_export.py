"""Exported networks give what the model gives, at any size, in every format, and say what they are."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from encoders import description

from unet import bundle, models, onnx_files
from unet.bundle import Bundle
from unet.errors import InputError, MissingExtraError, ModelFileError, UnetError
from unet.export import formats, graph, keys, openvino_ir, parity, program
from unet.export.measuring import same_pixels, to_int8
from unet.export.parity import Parity
from unet.export.pictures import Pictures, fitted
from unet.export.quantising import Quantiser
from unet.export.runtimes import Session, package
from unet.labels import Labels
from unet.models import ModelSpec, geometry_of
from unet.preprocessing import Preprocessing, normalise

SMALL = ModelSpec(width=4, depth=2)

SPECS = {
    "one logit": ModelSpec(width=4, depth=2, classes=1, bands=1),
    "bilinear": ModelSpec(width=4, depth=3, bilinear=True, activation="silu"),
    "attention": ModelSpec(width=4, depth=3, attention=True),
    "group": ModelSpec(width=8, depth=2, norm="group", activation="gelu"),
    "deep": ModelSpec(width=4, depth=3, deep_supervision=True),
    "resenc": ModelSpec("resenc", width=4, depth=2, norm="instance", activation="leaky_relu", deep_supervision=True),
    "paper": ModelSpec("paper", width=4, depth=2, norm="none"),
}
ENCODERS = ("resnet", "convnextv2", "segformer")


def model(spec: ModelSpec, **changes: Any) -> Bundle:
    torch.manual_seed(0)
    state = dict(models.build(spec).state_dict())
    for name, tensor in state.items():
        if name.startswith("outc"):
            state[name] = tensor * 8  # logits far enough apart that a fault shows in the probabilities
        elif name.endswith(("running_mean", ".bias")):
            shift = -2.0 if name.endswith("up.bias") else -0.5  # as training makes it, but more
            state[name] = tensor + torch.rand(tensor.shape) + shift
    preprocessing = Preprocessing(bands=spec.bands, mean=(0.4,) * spec.bands, std=(0.2,) * spec.bands)
    return Bundle(spec, Labels.numbered(max(2, spec.classes)), preprocessing, None, {}, {}, state, **changes)


def pictures(spec: ModelSpec, *sizes: tuple[int, int]) -> list[Any]:
    rng, geometry = np.random.default_rng(0), geometry_of(spec)
    if geometry.valid_margin:
        sizes = tuple((geometry.at_least(height), geometry.at_least(width)) for height, width in sizes)
    return [rng.integers(0, 255, (spec.bands, *size)).astype(np.float32) for size in sizes]


def same(known: Bundle, run: parity.Run) -> None:
    images = pictures(known.spec, (61, 83), (64, 96), (47, 130))
    found = parity.compare(known, run, images, "noise")
    assert found.pictures == 3 and found.difference < 1e-5 and found.same_classes > 0.999
    both = np.stack([images[0], images[0][:, ::-1]])
    expected = np.concatenate([run(each[None]) for each in both])
    np.testing.assert_allclose(run(both), expected, atol=1e-5)


def test_onnx_and_openvino_take_any_size_and_number_of_pictures() -> None:
    known = model(SMALL)
    network = graph.traced(known)
    for made in (formats.as_onnx(network, known, None), formats.as_openvino(network, known, None)):
        same(known, made.run)


@pytest.mark.slow
@pytest.mark.parametrize("name", SPECS)
def test_every_architecture_as_onnx(name: str) -> None:
    known = model(SPECS[name])
    same(known, formats.as_onnx(graph.traced(known), known, None).run)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ENCODERS)
def test_every_encoder_as_onnx(kind: str) -> None:
    known = model(ModelSpec("backbone", width=4, encoder=description(kind)))
    same(known, formats.as_onnx(graph.traced(known), known, None).run)


@pytest.mark.slow
@pytest.mark.parametrize("spec", [SMALL, SPECS["attention"], SPECS["resenc"], SPECS["one logit"]])
def test_programs_of_torch(spec: ModelSpec, tmp_path: Path) -> None:
    known = model(spec)
    made = formats.as_torch(known, None)
    same(known, made.run)
    made.write(keys.described(known, None, {}), tmp_path / "model.pt2")
    extra = {"unet.json": ""}
    again = torch.export.load(str(tmp_path / "model.pt2"), extra_files=extra)
    same(known, program.running(again))
    assert json.loads(extra["unet.json"])["labels"]["names"] == list(known.labels.names)


def test_swin_is_refused() -> None:
    known = model(ModelSpec("backbone", width=4, encoder=description("swin")))
    with pytest.raises(InputError, match="Swin encoder"):
        graph.traced(known)


def test_one_size_of_picture() -> None:
    known = model(SMALL)
    made = graph.whole(graph.traced(known), known, tile=24)
    assert [side.dim_value for side in made.graph.input[0].type.tensor_type.shape.dim] == [0, 3, 24, 24]
    assert [side.dim_value for side in made.graph.output[0].type.tensor_type.shape.dim] == [0, 2, 24, 24]
    assert Session(made)(pictures(SMALL, (24, 24))[0][None]).shape == (1, 2, 24, 24)


# --- what a file says


def test_a_file_says_what_the_model_file_says(tmp_path: Path) -> None:
    known = model(SMALL)
    facts = {"parity": Parity(1e-7, 1.0, 2, "noise").to_dict()}
    for made, name in (
        (formats.as_onnx(graph.traced(known), known, None), "m.onnx"),
        (formats.as_openvino(graph.traced(known), known, None), "m.xml"),
    ):
        made.write(keys.described(known, None, facts), tmp_path / name)
    again = bundle.load(tmp_path / "m.onnx")
    assert (again.spec, again.labels, again.preprocessing) == (known.spec, known.labels, known.preprocessing)
    assert again.provenance["export"]["parity"]["pictures"] == 2
    read = package("openvino").Core().read_model(tmp_path / "m.xml")
    told = read.get_rt_info([openvino_ir.SECTION, "unet"]).value
    assert json.loads(told) == json.loads(keys.described(known, None, facts)["unet"])
    same(known, openvino_ir.running(read))


@pytest.mark.parametrize(
    ("spec", "tile", "threshold", "overlap"), [(SMALL, 64, 0.0, 50), (SPECS["one logit"], None, 0.5, 9)]
)
def test_deepness_is_told_in_its_own_words(spec: ModelSpec, tile: int | None, threshold: float, overlap: int) -> None:
    told = {key: json.loads(text) for key, text in keys.deepness(model(spec), tile).items()}
    assert told["model_type"] == "Segmentor"
    assert told["class_names"] == {"0": "background", "1": "foreground"}
    assert told["tile_size"] == told["tiles_size"] == (tile or 512)
    assert (told["seg_thresh"], told["tiles_overlap"]) == (threshold, overlap)
    values = np.arange(256, dtype=np.float32)  # what it does to a picture before the network gets it
    given = (np.float32(values / 255) - told["standardization_mean"][0]) / told["standardization_std"][0]
    np.testing.assert_allclose(given, values, rtol=1e-6)
    assert len(told["standardization_std"]) == spec.bands


def test_files_of_others_are_no_models(tmp_path: Path) -> None:
    known = model(SMALL)
    alien = graph.traced(known)
    with pytest.raises(ModelFileError, match="another program"):
        onnx_files.network_of(alien)
    onnx_files.write(alien, tmp_path / "alien.onnx")
    (tmp_path / "junk.onnx").write_bytes(b"\x08\x07 not what it seems")
    (tmp_path / "model.pt2").write_bytes(b"PK")
    for name, message in (("alien", "another program"), ("junk", "damaged or cut off")):
        with pytest.raises(ModelFileError, match=message):
            bundle.load(tmp_path / f"{name}.onnx")
    formats.as_onnx(graph.traced(known), known, None).write(keys.described(known, None, {}), tmp_path / "m.onnx")
    changed = onnx_files.read(tmp_path / "m.onnx")
    weights = changed.graph.initializer[1]
    weights.raw_data = weights.raw_data[:-1] + b"\x40"
    onnx_files.write(changed, tmp_path / "changed.onnx")
    with pytest.raises(ModelFileError, match="damaged or changed"):
        bundle.load(tmp_path / "changed.onnx")
    with pytest.raises(ModelFileError, match="for other programs"):
        bundle.load(tmp_path / "model.pt2")


def test_an_exported_model_has_no_weights_to_go_on_with(tmp_path: Path) -> None:
    known = model(SMALL)
    formats.as_onnx(graph.traced(known), known, None).write(keys.described(known, None, {}), tmp_path / "m.onnx")
    loaded = bundle.load(tmp_path / "m.onnx")
    for use in (loaded.network, lambda: bundle.save(loaded, tmp_path / "m.safetensors")):
        with pytest.raises(ModelFileError, match="no weights to go on with"):
            use()


def test_a_missing_package_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r'pip install "unet\[export\]"'):
        graph.traced(model(SMALL))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r'pip install "unet\[export\]"'):
        package("onnxruntime")


# --- comparing


def test_another_network_is_noticed() -> None:
    known = model(SMALL)
    true = parity.original(known)
    images = pictures(SMALL, (20, 30))
    found = parity.compare(known, lambda x: true(x) * np.float32(0.98), images, "noise")
    assert 0.005 < found.difference < 0.02
    with pytest.raises(UnetError, match="away from the model's on 1 pictures"):
        parity.check(found)
    broken = parity.compare(known, lambda x: true(x) * np.float32(np.nan), images, "noise")
    with pytest.raises(UnetError, match="nothing was written"):
        parity.check(broken)


@pytest.mark.parametrize("shape", [(5, 7), (90, 2000), (64, 64)])
def test_pictures_are_cut_or_mirrored_to_what_a_network_takes(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random((3, *shape), dtype=np.float32)
    padded, paper = geometry_of(SMALL), geometry_of(SPECS["paper"])
    assert fitted(image, padded).shape[1:] == tuple(min(max(8, side), 1024) for side in shape)
    assert fitted(image, padded, tile=16).shape == (3, 16, 16)
    sides = fitted(image, paper).shape[1:]
    assert all(paper.is_valid(side) and paper.at_least(side) == side for side in sides)


def test_the_middle_is_taken() -> None:
    image = np.arange(100, dtype=np.float32).reshape(1, 10, 10)
    np.testing.assert_array_equal(fitted(image, geometry_of(SMALL), tile=8), image[:, 1:9, 1:9])
    np.testing.assert_array_equal(fitted(image, geometry_of(SMALL), tile=12)[0, 0], [11, *range(10, 20), 18])


def test_there_are_always_pictures_to_compare_on() -> None:
    known = model(SMALL)
    drawn = list(Pictures((), "drawn").images(known))
    assert len(drawn) == 3 and all(each.min() >= 0 and 100 < each.max() <= 255 for each in drawn)


# --- int8


def quantiser(known: Bundle) -> tuple[Any, Quantiser, list[Any]]:
    network = graph.traced(known)
    inputs = [normalise(image, known.preprocessing) for image in pictures(known.spec, (45, 67), (64, 64))]
    return network, Quantiser(network, inputs), inputs


def test_int8_is_the_same_in_both_runtimes_and_near_the_original() -> None:
    known = model(SMALL)
    network, made, _ = quantiser(known)
    small = made.quantised([made.layers[0], made.layers[-1]])
    of_onnx, of_openvino = (way(small, known, None).run for way in (formats.as_onnx, formats.as_openvino))
    for images in (image[None] for image in pictures(SMALL, (61, 83), (64, 96))):
        # Where the size of a map was asked for, and where int8 was filled up, OpenVINO would be 0.002 and more away.
        fixed = openvino_ir.read(graph.whole(small, known))
        fixed.reshape(list(images.shape))
        expected = of_onnx(images)
        for run in (of_openvino, openvino_ir.running(fixed)):
            np.testing.assert_allclose(run(images), expected, atol=1e-3)
        assert 1e-5 < np.abs(expected - parity.original(known)(images)).max() < 0.1
    whole = sum(each.ByteSize() for each in network.graph.initializer)
    assert sum(each.ByteSize() for each in small.graph.initializer) < 0.7 * whole


def test_layers_named_stay_in_float32() -> None:
    _, made, _ = quantiser(model(SMALL))
    wide = made.layers[3]
    operands = {node.name: node.input[1] for node in made.quantised([wide]).graph.node if node.name in made.layers}
    assert [name for name, weights in operands.items() if "Dequantize" not in weights] == [wide]
    assert sorted(made.by_loss()) == sorted(made.layers)


def test_layers_are_kept_until_the_loss_is_small_enough() -> None:
    network, made, inputs = quantiser(model(SMALL))
    said: list[str] = []

    def narrow(candidate: Any) -> float:
        """Take a hundredth for each layer in int8."""
        operands = [node.input[1] for node in candidate.graph.node if node.name in made.layers]
        return 1 - sum("Dequantize" in each for each in operands) / 100

    layers = len(made.layers)
    _, wide, reached = to_int8(made, narrow, 1.0, (layers - 4) / 100 + 1e-9, said.append)
    assert len(said) > 1 and reached >= 1 - (layers - 4) / 100 - 1e-9
    assert {made.layers[0], made.layers[-1]} < set(wide)
    with pytest.raises(InputError, match=r"int8 costs 0.0\d+ .*at most 0"):
        to_int8(made, narrow, 1.0, 0.0, said.append)
    assert same_pixels(model(SMALL), network, inputs)(network) == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["paper", "resenc", "bilinear", "attention"])
def test_int8_of_other_architectures_in_both_runtimes(name: str) -> None:
    known = model(SPECS[name])
    _, made, _ = quantiser(known)
    small = made.quantised([made.layers[0], made.layers[-1]])
    images = pictures(SPECS[name], (61, 83))[0][None]
    ways = (formats.as_onnx, formats.as_openvino)
    both = [np.abs(way(small, known, None).run(images) - parity.original(known)(images)).mean() for way in ways]
    assert both[1] < 1.5 * both[0] + 1e-4, "a map that OpenVINO computes wrongly shows in all pixels"
