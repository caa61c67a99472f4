"""Devices by name, how they compute by rule, and how their speed is measured."""

from __future__ import annotations

import ctypes
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch

from unet import devices
from unet.config import TrainingConfig
from unet.devices import Compute
from unet.errors import InputError
from unet.models import ModelSpec
from unet.training import probe

CPU = torch.device("cpu")


def test_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert devices.pick() == devices.pick("auto") == devices.pick("cpu") == CPU
    for name in ("cuda", "cuda:0", "mps", "meta"):
        with pytest.raises(InputError, match=f"device '{name}', which this machine .* expected auto or cpu"):
            devices.pick(name)
    for name in ("tpu", "", "cuda:x", "gpu"):
        with pytest.raises(InputError, match="expected auto, cpu, cuda, cuda:1 or mps"):
            devices.pick(name)


def test_a_gpu_goes_first_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert devices.pick() == torch.device("cuda")
    assert devices.pick("cuda:1") == torch.device("cuda:1")
    with pytest.raises(InputError, match="an index below 2"):
        devices.pick("cuda:2")


def test_an_apple_gpu_goes_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert devices.pick() == torch.device("mps")
    compute = devices.choose(torch.device("mps"))
    assert (compute.precision, compute.channels_last, compute.threads) == ("32-true", False, 0) and compute.why


@pytest.mark.parametrize(
    ("bf16", "capability", "expected"),
    [
        (True, "AVX512", ("bf16-mixed", True)),
        (True, "AVX2", ("bf16-mixed", True)),
        (False, "AVX512", ("32-true", True)),
        (False, "AVX2", ("32-true", False)),
        (False, "DEFAULT", ("32-true", False)),
    ],
)
def test_a_cpu_by_its_units(
    monkeypatch: pytest.MonkeyPatch, bf16: bool, capability: str, expected: tuple[str, bool]
) -> None:
    monkeypatch.setattr(devices, "cpu_has_bf16", lambda: bf16)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    compute = devices.choose(CPU)
    assert (compute.precision, compute.channels_last) == expected
    assert compute.threads == torch.get_num_threads() and "bfloat16" in compute.why
    assert devices.choose(CPU) == compute, "the same every time"


@pytest.mark.parametrize(
    ("bf16", "capability", "precision", "channels_last"),
    [
        (True, "AVX512", "32-true", False),
        (False, "AVX512", "32-true", True),
        (False, "AVX2", "32-true", False),
        (True, "AVX2", "bf16-mixed", True),
        (False, "AVX2", "bf16-mixed", True),
    ],
)
def test_a_precision_that_is_asked_for_on_a_cpu(
    monkeypatch: pytest.MonkeyPatch, bf16: bool, capability: str, precision: str, channels_last: bool
) -> None:
    monkeypatch.setattr(devices, "cpu_has_bf16", lambda: bf16)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    compute = devices.choose(CPU, precision)
    assert (compute.precision, compute.channels_last, compute.why) == (precision, channels_last, "as asked")
    for layout in (True, False):
        assert devices.choose(CPU, precision, layout) == replace(compute, channels_last=layout)
    with pytest.raises(InputError, match="16-mixed on a CPU; expected auto, 32-true or bf16-mixed"):
        devices.choose(CPU, "16-mixed")


@pytest.mark.parametrize(("bf16", "expected"), [(True, "bf16-mixed"), (False, "16-mixed")])
def test_a_gpu_by_its_units(monkeypatch: pytest.MonkeyPatch, bf16: bool, expected: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: bf16)
    compute = devices.choose(torch.device("cuda"))
    assert (compute.precision, compute.channels_last, compute.threads) == (expected, True, 0)
    assert "bfloat16" in compute.why
    for asked in ("32-true", "bf16-mixed", "16-mixed"):
        assert devices.choose(torch.device("cuda"), asked).precision == asked
    assert devices.choose(torch.device("cuda"), channels_last=False).channels_last is False


def test_a_choice_in_words() -> None:
    assert devices.describe(Compute(CPU, "bf16-mixed", True)) == "bf16-mixed channels-last"
    assert devices.describe(Compute(CPU, "32-true", False)) == "32-true contiguous"


def test_what_is_predicted_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for has, usual in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(devices, "cpu_has_bf16", lambda has=has: has)
        assert devices.inference_dtype(CPU) == devices.inference_dtype(CPU, "auto") == usual
        assert devices.inference_dtype(CPU, "32-true") == torch.float32
        assert devices.inference_dtype(CPU, "bf16-mixed") == torch.bfloat16
    for has, usual in ((True, torch.bfloat16), (False, torch.float16)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True, has=has: has)
        assert devices.inference_dtype(torch.device("cuda")) == usual
    assert devices.inference_dtype(torch.device("cuda"), "16-mixed") == torch.float16
    assert devices.inference_dtype(torch.device("mps")) == torch.float32
    for device, precision in ((CPU, "16-mixed"), (CPU, "fp16"), (torch.device("cuda"), "half")):
        with pytest.raises(InputError, match=f"precision '{precision}' on {device.type}; expected auto, 32-true, bf16"):
            devices.inference_dtype(device, precision)


def test_the_least_of_several_runs_counts_and_the_first_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(probe.time, "perf_counter", lambda: clock[0])
    durations = {"a": iter([0.01, 0.3, 0.2, 0.25]), "b": iter([0.5, 0.04, 0.1, 0.04])}

    def run(name: str) -> None:
        clock[0] += next(durations[name])

    assert probe.shortest([lambda: run("a"), lambda: run("b")]) == pytest.approx([0.2, 0.04])


def test_a_slow_machine_is_measured_in_fewer_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []
    probe.shortest([lambda: runs.append(0), lambda: runs.append(1)])
    assert runs == [0, 1] * 4
    runs.clear()
    monkeypatch.setattr(probe, "ENOUGH_SECONDS", -1.0)
    assert max(probe.shortest([lambda: runs.append(0), lambda: runs.append(1)])) < math.inf, "one round counts at least"
    assert runs == [0, 1] * 2


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_autocast_follows_the_precision(precision: str) -> None:
    with Compute(CPU, precision).autocast():
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.float32 if precision == "32-true" else torch.bfloat16)
    assert Compute(CPU, precision, False).memory_format == torch.contiguous_format
    assert Compute(CPU, precision, True).memory_format == torch.channels_last


def test_the_model_of_the_speed_passes_through_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []

    def shortest(tasks: Sequence[Callable[[], object]]) -> list[float]:
        measured.append(len(tasks))
        return [1.0, 4.0]

    monkeypatch.setattr(probe, "shortest", shortest)
    speed = probe.speed_model(ModelSpec(), Compute(CPU), TrainingConfig())
    assert not measured, "nothing is measured before it is asked for"
    pixels = probe.CPU_BATCH * probe.SPEED_SIDE**2
    assert speed(probe.NARROW) == pytest.approx(pixels) and speed(probe.WIDE) == pytest.approx(pixels / 4)
    assert speed(64) == pytest.approx(pixels / 16), "a power law beyond"
    assert measured == [2]


@pytest.mark.slow
def test_what_is_measured_are_steps_of_training() -> None:
    speed = probe.speed_model(ModelSpec(depth=1), Compute(CPU, channels_last=False), TrainingConfig(optimizer="sgd"))
    assert 0 < speed(probe.WIDE) < math.inf


@pytest.mark.slow
def test_a_network_without_buffers_is_measured_too() -> None:
    speed = probe.speed_model(ModelSpec(depth=1, norm="group"), Compute(CPU, channels_last=False), TrainingConfig())
    assert 0 < speed(probe.NARROW) < math.inf


FREED = """
import psutil, torch
from unet import devices

def left() -> int:
    "Megabytes more than before that the process has once 200 of them are free again."
    before = psutil.Process().memory_info().rss
    for _ in range(3):
        torch.ones(50 << 18)
    return (psutil.Process().memory_info().rss - before) >> 20

devices.keep_freed_memory()
print(left())
devices.give_back_freed_memory()
devices.keep_freed_memory()
print(left())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="of glibc")
def test_freed_memory_is_kept_until_memory_has_run_out() -> None:
    kept, given_back = subprocess.run([sys.executable, "-c", FREED], capture_output=True, text=True).stdout.split()
    assert int(kept) > 40 and int(given_back) < 10
