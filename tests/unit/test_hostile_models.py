"""Model files and states that lie are refused by one line, quickly, in little memory; what was written is read."""

from __future__ import annotations

import doctest
import random
import subprocess
import sys
import zlib
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fuzz import models as hostile
from safetensors.torch import save_file

from unet import bundle, parsing, tensor_files
from unet.bundle import Bundle
from unet.config import TrainingConfig
from unet.devices import Compute
from unet.errors import ConfigError, InputError, ModelFileError
from unet.labels import Labels
from unet.metrics.stored import checked_scores
from unet.models import ModelSpec, legacy
from unet.models.backbones import _configuration
from unet.preprocessing import Preprocessing
from unet.trackers import read_rows
from unet.training.checkpoint import BEFORE, LAST, find_state, read_loop_state, save_state
from unet.training.engine import Engine
from unet.training.state import LoopState

ENCODERS = [name for name in hostile.ATTACKS if name.startswith("encoder")]
QUICK = [name for name in hostile.ATTACKS if not name.startswith(("encoder", "deflated"))]
LARGE = [
    name
    for name in hostile.ATTACKS
    if name.startswith(("deep", "expanded", "deflated", "byte", "tensor", "doubled", "old", "many", "wide"))
]


def model() -> Bundle:
    about = Preprocessing(mean=(0.5,) * 3, std=(0.2,) * 3)
    return Bundle(hostile.SMALL, Labels.numbered(2), about, None, {}, {}, hostile.weights())


@pytest.mark.parametrize("name", QUICK)
def test_files_that_lie_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(hostile.ATTACKS[name]())
    with pytest.raises(ModelFileError) as caught:
        bundle.load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 600


@pytest.mark.slow
@pytest.mark.parametrize("name", ENCODERS)
def test_encoders_that_lie_are_refused(tmp_path: Path, name: str) -> None:
    pytest.importorskip("transformers")
    test_files_that_lie_are_refused(tmp_path, name)


CHILD = """
import resource, sys, time
from pathlib import Path
import torch
from unet import bundle
from unet.errors import ModelFileError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
limit = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + (1 << 30)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
resource.setrlimit(resource.RLIMIT_CPU, (120, 120))
for path in sys.argv[1:]:
    try:
        bundle.load(path)
    except ModelFileError as error:
        continue
    sys.exit(f"{path} was taken for a model")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits as Linux has them")
def test_files_that_lie_take_little_memory(tmp_path: Path) -> None:
    paths = []
    for name in LARGE:
        (tmp_path / name).write_bytes(hostile.ATTACKS[name]())
        paths.append(str(tmp_path / name))
    child = subprocess.run([sys.executable, "-c", CHILD, *paths], capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    assert int(child.stdout) < 300_000, f"{child.stdout} kB more than before"


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_mutated_files_end_in_our_errors(tmp_path: Path, suffix: str) -> None:
    rng = random.Random(7)
    whole = hostile.model_file(hostile.description()) if suffix == ".safetensors" else hostile.pth_file(
        {**hostile.weights(), "mask_values": [0, 255]}
    )  # fmt: skip
    path, refused = tmp_path / f"model{suffix}", 0
    for _ in range(60):
        path.write_bytes(rng.choice(hostile.MUTATORS[suffix])(whole, rng))
        try:
            bundle.load(path)
        except InputError:
            refused += 1
    assert refused > 20


# ---- what was written is read ----


WEIGHTS = hostile.weights()
KEPT: dict[str, Any] = {
    "plain": {**WEIGHTS, "mask_values": [0, 255]},
    "parameters": {name: torch.nn.Parameter(t) if t.is_floating_point() else t for name, t in WEIGHTS.items()},
    "strides": {name: t.to(memory_format=torch.channels_last) if t.ndim == 4 else t for name, t in WEIGHTS.items()},
    "halves": {name: t.half() if t.is_floating_point() else t for name, t in WEIGHTS.items()},
    "beside": {
        "state_dict": WEIGHTS, "epoch": 3, "rate": 1e-3, "rng": torch.get_rng_state(), "size": torch.Size([1, 2]),
        "device": torch.device("cpu"), "type": torch.float32, "raw": b"abc", "set": {1, 2}, "odd": {(1, 2): None},
    },
    "shared": {**WEIGHTS, "outc.conv.bias": torch.arange(8.0)[2:4]},
}  # fmt: skip


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kind", KEPT)
def test_a_pth_is_read_bit_for_bit_as_torch_does(tmp_path: Path, kind: str, zipped: bool) -> None:
    path = tmp_path / "MODEL.pth"
    torch.save(KEPT[kind], path, _use_new_zipfile_serialization=zipped)
    found, mask_values = legacy.read_pth(path)
    expected = torch.load(path, weights_only=True)
    expected = expected.get("state_dict", expected)
    assert mask_values == expected.get("mask_values")
    assert list(found) == list(WEIGHTS)
    for name in WEIGHTS:
        assert torch.equal(found[name], expected[name]) and found[name].dtype == expected[name].dtype
        assert found[name].stride() == expected[name].stride()


@pytest.mark.parametrize("zipped", [True, False])
def test_protocols_and_files_without_checksums(tmp_path: Path, zipped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "MODEL.pth"
    for protocol in (2, 3, 4, 5):
        torch.save(KEPT["plain"], path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
        found, mask_values = legacy.read_pth(path)
        assert mask_values == [0, 255] and all(torch.equal(found[name], WEIGHTS[name]) for name in WEIGHTS)


def test_an_archive_whose_checksums_torch_left_out(tmp_path: Path) -> None:
    if not hasattr(torch.serialization, "set_crc32_options"):
        pytest.skip("this torch always writes them")
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(WEIGHTS, tmp_path / "MODEL.pth")
    finally:
        torch.serialization.set_crc32_options(True)
    found, _ = legacy.read_pth(tmp_path / "MODEL.pth")
    assert all(torch.equal(found[name], WEIGHTS[name]) for name in WEIGHTS)


# ---- the checksum ----


def flipped(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_bit_that_flips_in_a_tensor_is_found(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    (bundle.save if suffix == ".safetensors" else bundle.save_pth)(model(), path)
    assert bundle.load(path).spec == hostile.SMALL
    bias = model().state["outc.conv.bias"].numpy().tobytes()
    flipped(path, path.read_bytes().rindex(bias) + 1)
    with pytest.raises(ModelFileError, match="damaged"):
        bundle.load(path)


def test_a_description_that_changes_is_found(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    bundle.save(model(), path)
    data = path.read_bytes()
    path.write_bytes(data.replace(b'scale\\": 1.0', b'scale\\": 0.9'))
    assert path.read_bytes() != data
    with pytest.raises(ModelFileError, match="checksum"):
        bundle.load(path)


def test_the_checksum_is_that_of_the_content_however_it_lies(tmp_path: Path) -> None:
    """Other programs write the same tensors in another order; files of before have no checksum, others another."""
    path = tmp_path / "model.safetensors"
    bundle.save(model(), path)
    tensors, metadata = tensor_files.read(path)
    assert tensor_files.CHECKSUM not in metadata
    check = tensor_files.checksum(tensors, metadata)
    for written in (check, "", "sha999:00"):
        save_file(dict(reversed(tensors.items())), path, {**metadata, **({"checksum": written} if written else {})})
        assert bundle.load(path).spec == hostile.SMALL


def test_the_checksum_by_its_definition() -> None:
    state = zlib.crc32(b'[["key", "text"]]')
    state = zlib.crc32(b"a torch.int64 [2]" + (1).to_bytes(8, "little") + (2).to_bytes(8, "little"), state)
    state = zlib.crc32(b"b torch.float32 []" + bytes(4), state)
    tensors = {"b": torch.tensor(0.0), "a": torch.tensor([1, 2])}
    assert tensor_files.checksum(tensors, {"key": "text"}) == f"crc32:{state:08x}"


def engine() -> Engine:
    settings = TrainingConfig(learning_rate=1e-2, loss="ce")
    return Engine(torch.nn.Conv2d(3, 2, 1), settings, Compute(torch.device("cpu"), "32-true", False))


def test_a_state_with_a_flipped_bit_gives_way_to_the_one_before(tmp_path: Path) -> None:
    save_state(tmp_path, engine(), LoopState(step=1))
    save_state(tmp_path, engine(), LoopState(step=2))
    flipped(tmp_path / LAST, -3)
    said: list[str] = []
    path = find_state(tmp_path, said.append)
    assert path == tmp_path / BEFORE and read_loop_state(path).step == 1
    assert len(said) == 1 and "checksum" in said[0]


@pytest.mark.parametrize("change", [{"step": -1}, {"step": "2"}, {"rows": [{}]}, {"rows": 3}, {"health": {"bad": "x"}}])
def test_garbage_in_a_state(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        LoopState.from_dict({**asdict(LoopState()), **change})


# ---- descriptions ----


def test_an_encoder_cannot_ask_for_code_or_weights() -> None:
    transformers = pytest.importorskip("transformers")
    asked = '{"model_type": "resnet", "depths": [1], "attn_implementation": "some/repository", "auto_map": {}}'
    made = _configuration(transformers, asked, num_channels=3)
    assert made.depths == [1] and getattr(made, "_attn_implementation", None) != "some/repository"
    assert not hasattr(made, "auto_map")


def test_weights_of_the_network_that_is_said_to_be_larger(tmp_path: Path) -> None:
    wide = replace(model(), spec=ModelSpec(width=4096, depth=8))
    bundle.save(wide, tmp_path / "model.safetensors")
    with pytest.raises(ModelFileError, match="width = 4096; expected what the"):
        bundle.load(tmp_path / "model.safetensors")


# ---- scores and tables ----


GOOD: dict[str, Any] = {
    "mean_iou": 0.5, "mean_dice": 0.6, "pixel_accuracy": 0.9, "confusion": [[3, 1], [0, 4]],
    "classes": [
        {"name": name, "iou": 0.5, "dice": 0.6, "precision": None, "recall": 1, "pixels": 4} for name in ("a", "b")
    ],
    "images": [{"name": "p", "mean_iou": None, "mean_dice": 0.5, "pixel_accuracy": 1.0, "image": "p.png"}],
    "confidence": {"level": 0.95, "repeats": 1000, "seed": 0, "mean_iou": [0.4, 0.6], "mean_dice": None},
}  # fmt: skip


def test_scores_as_they_are_written() -> None:
    assert checked_scores({**GOOD, "trained_on": 3}) == {**GOOD, "trained_on": 3}


@pytest.mark.parametrize(
    "change",
    [
        {"mean_iou": "good"}, {"mean_dice": 7.0}, {"classes": []}, {"classes": GOOD["classes"][:1]},
        {"confusion": [[1, 2], [3]]}, {"confusion": [[1, -2], [3, 4]]}, {"images": 3}, {"images": [{"name": 3}]},
        {"confidence": {"mean_iou": [0.4]}}, {"frequency_weighted_iou": "x"},
    ],
    ids=str,
)  # fmt: skip
def test_garbage_among_scores(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        checked_scores({**GOOD, **change})


@pytest.mark.parametrize("garbage", [b"\xff\xfe\x00step\x00", b"step,val\n\x00,\x00\n", b'step\n"' + b"x" * 200_000])
def test_a_table_of_garbage_has_no_rows(tmp_path: Path, garbage: bytes) -> None:
    (tmp_path / "metrics.csv").write_bytes(garbage)
    assert read_rows(tmp_path / "metrics.csv", 100) == []


@pytest.mark.parametrize("module", [tensor_files, parsing])
def test_examples_come_out_as_they_stand(module: Any) -> None:
    failed, tried = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0 and tried > 0
