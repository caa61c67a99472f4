"""OpenVINO computes what torch does, for every network that it is given, at any size; and which of them is chosen."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from encoders import description

from unet import devices, models
from unet.bundle import Bundle
from unet.errors import InputError
from unet.inference import backends
from unet.inference.backends import TorchBackend, choose, compiled, graph_cache, graphs
from unet.inference.backends.compiled import OpenVINOBackend
from unet.inference.predictor import Predictor
from unet.labels import Labels
from unet.models import ModelSpec, geometry_of
from unet.preprocessing import Preprocessing

CPU = torch.device("cpu")

TINY = ModelSpec(width=2, depth=1)

pytestmark = pytest.mark.skipif(not graphs.is_installed(), reason="OpenVINO is not installed")


def make(spec: ModelSpec, seed: int = 0) -> Bundle:
    """Return a model whose batch norms have seen something."""
    torch.manual_seed(seed)
    network = models.build(spec).eval()
    for name, tensor in network.state_dict().items():
        if name.endswith("running_mean"):
            torch.nn.init.normal_(tensor, std=0.3)
        elif name.endswith("running_var"):
            torch.nn.init.uniform_(tensor, 0.5, 1.5)
    state = {name: tensor.detach() for name, tensor in network.state_dict().items()}
    return Bundle(spec, Labels.numbered(max(2, spec.classes)), Preprocessing(), None, {}, {}, state)


SPECS = {
    "plain": ModelSpec(width=4, depth=3),
    "one logit": ModelSpec(width=3, depth=1, classes=1),
    "deep supervision": ModelSpec(width=4, depth=3, classes=3, deep_supervision=True),
    "bilinear": ModelSpec(width=4, depth=3, bilinear=True),
    "attention": ModelSpec(width=4, depth=3, attention=True),
    "attention, instance": ModelSpec(width=4, depth=2, attention=True, norm="instance"),
    "group, silu": ModelSpec(width=8, depth=2, norm="group", activation="silu"),
    "instance": ModelSpec(width=4, depth=3, norm="instance", activation="leaky_relu"),
    "no norm": ModelSpec(width=4, depth=2, norm="none", activation="gelu"),
    "paper": ModelSpec("paper", width=4, depth=2, norm="none"),
    "paper, batch": ModelSpec("paper", width=4, depth=1, norm="batch", classes=1),
    "resenc": ModelSpec("resenc", width=4, depth=2, norm="batch", deep_supervision=True),
    "resenc, no norm": ModelSpec("resenc", width=4, depth=2, norm="none", activation="leaky_relu"),
}

SIZES = [(1, 1), (3, 40), (61, 83)]


def assert_equal(bundle: Bundle, sizes: list[tuple[int, int]], batch: int = 1) -> None:
    """Compare the network computed by OpenVINO in float32 with torch."""
    backend, network = OpenVINOBackend.from_bundle(bundle, torch.float32), bundle.network()
    margin = geometry_of(bundle.spec).valid_margin
    for height, width in sizes:
        images = torch.randn(batch, bundle.spec.bands, height + 2 * margin, width + 2 * margin)
        with torch.inference_mode():
            expected = network(images)
        logits = backend(images)
        assert logits.dtype == torch.float32 and logits.shape == expected.shape
        torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("name", SPECS)
def test_openvino_computes_what_torch_does(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = make(SPECS[name])
    assert graphs.obstacle(bundle.spec) is None
    assert_equal(bundle, SIZES, batch=2)
    monkeypatch.setattr(compiled, "OWN_PIXELS", 0)  # compiled for each size, as for large images
    assert_equal(bundle, SIZES[1:])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", [name for name in SPECS if SPECS[name].norm in ("batch", "none")])
def test_what_is_computed_beside_others_is_the_same(
    name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    if dtype == torch.bfloat16 and not devices.cpu_has_bf16():
        pytest.skip("this CPU has no bfloat16 units")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    bundle = make(SPECS[name])
    margin = 2 * geometry_of(bundle.spec).valid_margin
    for own in (compiled.OWN_PIXELS, 0):  # one network for all sizes, and one for each
        monkeypatch.setattr(compiled, "OWN_PIXELS", own)
        alone, beside = (OpenVINOBackend.from_bundle(bundle, dtype, count) for count in (1, 3))
        images = [torch.randn(1, bundle.spec.bands, h + margin, w + margin) for h, w in 4 * [(61, 83), (90, 40)]]
        with ThreadPoolExecutor(3) as pool:
            together = list(pool.map(beside, images))
        assert all(torch.equal(alone(image), logits) for image, logits in zip(images, together, strict=True))


def test_networks_that_add_up_over_the_picture_compute_one_at_a_time() -> None:
    for name, count in {"plain": 3, "instance": 1}.items():
        predictor = Predictor(make(SPECS[name]), device="cpu", backend="openvino", at_once=3)
        assert predictor.backend.at_once == count  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet", "bottleneck", "convnextv2", "segformer"])
def test_openvino_computes_pretrained_encoders(name: str) -> None:
    pytest.importorskip("transformers")
    spec = ModelSpec("backbone", width=4, encoder=description(name))
    assert graphs.obstacle(spec) is None
    assert_equal(make(spec), [(1, 1), (64, 64), (61, 83), (200, 130)])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "instance", "paper"])
def test_networks_of_a_usual_width(name: str) -> None:
    spec = SPECS[name]
    wide = ModelSpec(spec.architecture, width=16, depth=4, norm=spec.norm, activation=spec.activation)
    assert_equal(make(wide), [(370, 361), (512, 512)])


def test_networks_that_are_not_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = ModelSpec("resenc", width=4, depth=2, norm="instance", blocks=(1, 1, 1))
    said: list[str] = []
    predictor = Predictor(make(deep), device="cpu", backend="auto", notify=said.append)
    assert predictor.backend.name == "torch" and not said
    assert "torch (resenc networks with norms over the picture are not converted)" in predictor.describe()
    with pytest.raises(InputError, match=r"backend openvino: resenc networks.*or leave out --backend"):
        Predictor(make(deep), device="cpu", backend="openvino")
    assert graphs.obstacle(ModelSpec("backbone", encoder='{"model_type": "swin"}')) == (
        "networks with swin encoders are not converted"
    )

    def fails(*_: Any) -> Any:
        raise RuntimeError("no such\noperation")

    monkeypatch.setattr(compiled, "converted", fails)
    predictor = Predictor(make(SPECS["plain"], seed=9), device="cpu", backend="openvino", notify=said.append)
    assert said == ["OpenVINO cannot compute this network (no such operation): torch does"]
    assert "torch (OpenVINO cannot)" in predictor.describe()
    assert predictor.predict(np.zeros((9, 9, 3), np.uint8)).indices.shape == (9, 9)


# --- the choice


def chosen(wanted: str | None, device: str = "cpu", exact: bool = False, spec: ModelSpec = SPECS["plain"]) -> str:
    return str(choose(wanted, torch.device(device), torch.float32, spec, exact))


def test_the_choice_is_a_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNET_BACKEND")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert chosen(None) == chosen("auto") == "OpenVINO"
    assert chosen("openvino") == "OpenVINO (as asked)"
    assert chosen("torch") == "torch (as asked)"
    assert chosen(None, "cuda") == chosen("auto", "cuda") == "torch"
    assert chosen(None, exact=True) == "torch (--exact means torch's float32)"
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert chosen(None) == "torch (OpenVINO was not compared on riscv64)"
    assert chosen("openvino") == "OpenVINO (as asked)"
    monkeypatch.setattr(backends, "is_installed", lambda: False)
    assert chosen(None) == "torch (OpenVINO is not installed)"
    with pytest.raises(InputError, match="not installed; pip install openvino, or leave out --backend"):
        chosen("openvino")


def test_the_environment_says_what_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNET_BACKEND", "openvino")
    assert chosen(None) == "OpenVINO (by UNET_BACKEND)"
    assert chosen(None, "cuda") == "torch", "a wish for the CPU is no hindrance elsewhere"
    assert chosen("torch") == "torch (as asked)"
    monkeypatch.setenv("UNET_BACKEND", "tensorflow")
    with pytest.raises(InputError, match="UNET_BACKEND 'tensorflow'; expected auto or torch or openvino"):
        chosen(None)
    with pytest.raises(InputError, match="backend 'onnx'; expected"):
        chosen("onnx")


@pytest.mark.parametrize(("device", "exact", "words"), [("cuda", False, "add --device cpu"), ("cpu", True, "--exact")])
def test_what_openvino_cannot(device: str, exact: bool, words: str) -> None:
    with pytest.raises(InputError, match=words):
        chosen("openvino", device, exact)


def test_without_bfloat16_units_it_is_not_asked_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unet.devices.cpu_has_bf16", lambda: False)
    predictor = Predictor(make(SPECS["plain"]), device="cpu", precision="bf16-mixed", backend="auto")
    assert predictor.backend.name == "torch"
    assert Predictor(make(SPECS["plain"]), device="cpu", backend="auto").dtype == torch.float32


def test_a_network_under_training_is_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNET_BACKEND")
    bundle = make(SPECS["plain"])
    assert Predictor.from_network(bundle.network(), bundle, device="cpu").backend.name == "torch"


# --- the predictor


def noise(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_prediction_by_either(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if precision == "bf16-mixed" and not backends.devices.cpu_has_bf16():
        pytest.skip("this CPU has no bfloat16 units")
    bundle = make(ModelSpec(width=4, depth=2, classes=3))
    expected = Predictor(bundle, device="cpu", precision="32-true", backend="torch").logits(noise(61, 83, 3))
    predictor = Predictor(bundle, device="cpu", precision=precision, backend="openvino")
    tolerance = {"32-true": 1e-5, "bf16-mixed": 3e-2}[precision] * float(np.abs(expected).max())
    np.testing.assert_allclose(predictor.logits(noise(61, 83, 3)), expected, atol=tolerance)
    dtype = {"32-true": "float32", "bf16-mixed": "bfloat16"}[precision]
    assert f"cpu in {dtype}, OpenVINO (as asked)" in predictor.describe()


def sizes_of(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int] | None]:
    """Return a list to which the sizes are added that networks are compiled for."""
    seen: list[tuple[int, int] | None] = []
    compile_it = OpenVINOBackend._compile
    monkeypatch.setattr(OpenVINOBackend, "_compile", lambda self, size: seen.append(size) or compile_it(self, size))
    return seen


@pytest.mark.parametrize("size", [(150, 131), (64, 400), (97, 97)])
def test_a_big_picture_is_tiles_of_one_size(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = make(ModelSpec(width=4, depth=2))
    expected = Predictor(bundle, device="cpu", precision="32-true", backend="torch").logits(noise(*size, 3))
    monkeypatch.setattr(compiled, "OWN_PIXELS", 0)
    monkeypatch.setattr("unet.inference.predictor.OPENVINO_BYTES", 96 * 96 * 16 * 4 * 4)
    sizes = sizes_of(monkeypatch)
    predictor = Predictor(bundle, device="cpu", precision="32-true", backend="openvino")
    predictor._torch_takes_large = False  # as in bfloat16, whose rounding would hide much
    assert predictor.whole_pixels() == 96 * 96
    np.testing.assert_allclose(predictor.logits(noise(*size, 3)), expected, atol=1e-5 * np.abs(expected).max())
    assert len(sizes) == 1 and sizes[0] is not None and sizes[0][0] * sizes[0][1] <= 96 * 96


@pytest.mark.parametrize(
    ("spec", "precision"), [(SPECS["plain"], "32-true"), (SPECS["bilinear"], "32-true"), (SPECS["bilinear"], "auto")]
)
def test_torch_takes_over_what_tiles_would_spoil(
    spec: ModelSpec, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, picture = make(spec), noise(70, 90, 3)
    expected = Predictor(bundle, device="cpu", precision=precision, backend="torch").logits(picture)
    monkeypatch.setattr("unet.inference.predictor.OPENVINO_BYTES", 60 * 60 * 16 * 4 * 2)
    predictor = Predictor(bundle, device="cpu", precision=precision, backend="openvino")
    if precision == "auto" and predictor.dtype == torch.float32:
        pytest.skip("this CPU has no bfloat16 units")
    np.testing.assert_array_equal(predictor.logits(picture), expected)
    assert predictor.whole_pixels() > picture.size and not predictor.alike


def test_torch_computes_one_picture_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where OpenVINO leaves it the large ones: each takes all processors, and memory for as much."""
    monkeypatch.setattr("unet.inference.predictor.OPENVINO_BYTES", 60 * 60 * 16 * 4 * 2)
    predictor = Predictor(make(SPECS["plain"]), device="cpu", precision="32-true", backend="openvino", at_once=4)
    pictures, at_work, most = [noise(70, 90, 3) for _ in range(8)], 0, 0
    network = TorchBackend.__call__

    def counted(backend: TorchBackend, images: torch.Tensor) -> torch.Tensor:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        time.sleep(0.01)
        logits = network(backend, images)
        at_work -= 1
        return logits

    monkeypatch.setattr(TorchBackend, "__call__", counted)
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(predictor.logits, pictures))
    assert most == 1 and len(results) == 8


def test_few_sizes_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "OWN_PIXELS", 40 * 40)
    monkeypatch.setattr(compiled, "BUSY_PIXELS", 41 * 41)
    sizes = sizes_of(monkeypatch)
    bundle = make(SPECS["plain"])
    predictor = Predictor(bundle, device="cpu", precision="32-true", backend="openvino")
    alone = {side: predictor.logits(noise(side, side, 3)) for side in (8, 40, 41, 42)}
    assert sizes == [None, (40, 40), (41, 41), (42, 42)]
    for side in (42, 41, 40, 9, 8):
        again = predictor.logits(noise(side, side, 3))
        if side in alone:
            np.testing.assert_array_equal(again, alone[side])
    assert sizes[4:] == [(40, 40)] and len(predictor.backend._compiled) == 3  # type: ignore[attr-defined]


def test_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = make(SPECS["plain"])
    backend = OpenVINOBackend.from_bundle(bundle, torch.float32)
    images = [torch.randn(1, 3, 40 + 3 * n, 50) for n in range(6)]
    expected = [backend(image) for image in images]
    results: list[torch.Tensor | None] = [None] * len(images)

    def work(number: int) -> None:
        results[number] = backend(images[number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result, wanted in zip(results, expected, strict=True):
        assert result is not None
        torch.testing.assert_close(result, wanted, rtol=1e-5, atol=1e-6)


def test_logits_that_are_not_finite_are_computed_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = make(SPECS["plain"])
    said: list[str] = []
    predictor = Predictor(bundle, device="cpu", precision="32-true", backend="openvino", notify=said.append)
    backend = predictor.backend
    assert isinstance(backend, OpenVINOBackend)
    expected = predictor.logits(noise(30, 30, 3))
    exact = backend.in_float32()
    assert exact.dtype == torch.float32 and exact.graph is backend.graph
    predictor.dtype = torch.bfloat16  # as on a CPU with such units
    infinite = torch.tensor(float("inf"))
    monkeypatch.setattr(predictor, "backend", _Overflowing(backend, infinite))
    np.testing.assert_array_equal(predictor.logits(noise(30, 30, 3)), expected)
    assert predictor.recomputed == 1 and "not finite in bfloat16" in said[0]


class _Overflowing:
    """A backend one of whose logits is too large for its numbers."""

    name, dtype = "openvino", torch.bfloat16

    def __init__(self, backend: OpenVINOBackend, value: torch.Tensor) -> None:
        self.backend, self.value = backend, value

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        logits = self.backend(images)
        logits[0, 0, 0, 0] = self.value
        return logits


# --- the cache


def kept() -> list[Path]:
    return sorted((Path(os.environ["UNET_CACHE"]) / graph_cache.FOLDER).iterdir())


def test_a_converted_network_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, image = make(TINY), torch.randn(1, 3, 20, 20)
    expected = OpenVINOBackend.from_bundle(bundle, torch.float32)(image)
    assert len(kept()) == 1
    monkeypatch.setattr(compiled, "converted", lambda *_: pytest.fail("converted anew"))
    again = OpenVINOBackend.from_bundle(bundle, torch.float32)
    assert again.graph.memory is not None, "weights are the file's, not in memory"
    again.graph.rest()
    assert torch.equal(again(image), expected)


def test_other_weights_or_settings_are_other_networks() -> None:
    first, second = make(TINY), make(TINY, seed=1)
    keys = {graph_cache.key_of(each.spec, each.state) for each in (first, first, second)}
    assert len(keys) == 2
    leaky = ModelSpec(width=2, depth=1, activation="leaky_relu")
    assert graph_cache.key_of(leaky, first.state) not in keys


@pytest.mark.parametrize("damage", ["cut", "changed", "description", "empty", "missing", "file"])
def test_what_is_damaged_is_made_anew(damage: str) -> None:
    bundle, image = make(TINY), torch.randn(1, 3, 20, 20)
    expected = OpenVINOBackend.from_bundle(bundle, torch.float32)(image)
    (folder,) = kept()
    weights = folder / "graph.bin"
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "changed":
        content = bytearray(weights.read_bytes())
        content[len(content) // 2] ^= 64
        weights.write_bytes(content)
    elif damage == "description":
        (folder / "graph.xml").write_text("<net>")
    elif damage == "empty":
        weights.write_bytes(b"")
    elif damage == "missing":
        weights.unlink()
    else:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
        folder.write_text("not a folder")
    assert torch.equal(OpenVINOBackend.from_bundle(bundle, torch.float32)(image), expected)
    if damage != "file":
        assert kept() == [folder] and len(list(folder.iterdir())) == 3


def test_where_nothing_can_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    occupied = tmp_path / "occupied"
    occupied.write_text("")
    monkeypatch.setenv("UNET_CACHE", str(occupied))
    backend = OpenVINOBackend.from_bundle(make(TINY), torch.float32)
    assert backend.graph.memory is None and backend(torch.zeros(1, 3, 9, 9)).shape == (1, 2, 9, 9)


def test_another_process_is_first(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, image = make(TINY), torch.randn(1, 3, 20, 20)
    convert = graphs.converted

    def while_another_does(*args: Any) -> Any:
        monkeypatch.setattr(compiled, "converted", convert)
        OpenVINOBackend.from_bundle(bundle, torch.float32)
        return convert(*args)

    monkeypatch.setattr(compiled, "converted", while_another_does)
    logits = OpenVINOBackend.from_bundle(bundle, torch.float32)(image)
    assert len(kept()) == 1 and torch.equal(OpenVINOBackend.from_bundle(bundle, torch.float32)(image), logits)


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    def size(folder: Path) -> int:
        return sum(file.stat().st_size for file in folder.iterdir())

    backend = OpenVINOBackend.from_bundle(make(TINY), torch.float32)
    (oldest,) = kept()
    os.utime(oldest, (1, 1))
    stale = oldest.with_name(".draft-killed")
    stale.mkdir()
    os.utime(stale, (1, 1))
    monkeypatch.setattr(graph_cache, "CACHE_BYTES", int(2.5 * size(oldest)))
    for seed in (1, 2):
        OpenVINOBackend.from_bundle(make(TINY, seed=seed), torch.float32)
    assert len(kept()) == 2 and not oldest.exists() and not stale.exists()
    assert backend(torch.zeros(1, 3, 9, 9)).shape == (1, 2, 9, 9), "in use, it is still there"
    monkeypatch.setattr(graph_cache, "CACHE_BYTES", 0)
    OpenVINOBackend.from_bundle(make(TINY, seed=3), torch.float32)
    assert len(kept()) == 1, "the newest stays"


def alone(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, which may import this module; one that waits for ever is killed."""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "tests"), *sys.path])}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120, check=False)


FIRST_USE = """
import sys, threading
import numpy as np
from unet.inference.backends import graphs
graphs.core()
together = threading.Barrier(6)
def work():
    together.wait()
    graphs.runtime().Type.f32.to_dtype()
    graphs.runtime().Tensor(np.zeros((1, 1), np.float32), shared_memory=True).data
sys.setswitchinterval(1e-6)
threads = [threading.Thread(target=work) for _ in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


@pytest.mark.slow
def test_the_first_images_of_a_process_may_come_at_once() -> None:
    assert alone(FIRST_USE).returncode == 0


@pytest.mark.slow
def test_nothing_is_reported(tmp_path: Path) -> None:
    code = "from unet.inference.backends import graphs; graphs.runtime(); import openvino.tools.ovc"
    home = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env={**os.environ, **home}, check=True)
    assert not list(tmp_path.iterdir()), "the identity that OpenVINO's telemetry would write"


SIGNALLED = """
import faulthandler, os, signal
from tests.unit import test_backends as tests
faulthandler.enable()
caught = []
signal.signal(signal.SIGINT, lambda number, frame: caught.append(number))
tests.compiled.OWN_PIXELS = 0
for spec in tests.SPECS.values():
    tests.assert_equal(tests.make(spec), tests.SIZES)
os.kill(os.getpid(), signal.SIGINT)
print("caught", len(caught))
"""


@pytest.mark.slow
def test_ctrl_c_reaches_its_handler_when_predictors_have_gone() -> None:
    done = alone(SIGNALLED)
    assert done.stdout == "caught 1\n", (done.returncode, done.stderr)
