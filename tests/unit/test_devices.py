"""Devices by name, what is tried on them, and that the fastest is taken."""

from __future__ import annotations

import time

import pytest
import torch

from unet import devices
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
    (only,) = devices.candidates(torch.device("mps"))
    assert (only.precision, only.channels_last) == ("32-true", False)


@pytest.mark.parametrize("bf16", [True, False])
def test_what_is_tried_on_a_cpu(monkeypatch: pytest.MonkeyPatch, bf16: bool) -> None:
    monkeypatch.setattr(devices, "cpu_has_bf16", lambda: bf16)
    tried = [(one.precision, one.channels_last) for one in devices.candidates(CPU)]
    assert tried == [("bf16-mixed", True)] * bf16 + [("32-true", True), ("32-true", False)]
    assert {one.precision for one in devices.candidates(CPU, "32-true")} == {"32-true"}
    assert [one.precision for one in devices.candidates(CPU, "bf16-mixed")] == ["bf16-mixed"]
    with pytest.raises(InputError, match="16-mixed on a CPU"):
        devices.candidates(CPU, "16-mixed")


@pytest.mark.parametrize(("bf16", "expected"), [(True, "bf16-mixed"), (False, "16-mixed")])
def test_what_is_tried_on_a_gpu(monkeypatch: pytest.MonkeyPatch, bf16: bool, expected: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: bf16)
    (only,) = devices.candidates(torch.device("cuda"))
    assert (only.precision, only.channels_last) == (expected, True) and only.why
    (asked,) = devices.candidates(torch.device("cuda"), "32-true")
    assert asked.precision == "32-true"


def test_the_fastest_is_taken_and_the_first_run_does_not_count() -> None:
    slow_start, steady = Compute(CPU, "bf16-mixed"), Compute(CPU, "32-true")
    runs: list[Compute] = []

    def run(option: Compute) -> None:
        first = option not in runs
        runs.append(option)
        time.sleep(0.05 if option is slow_start and first else 0.001 if option is slow_start else 0.01)

    chosen = devices.fastest([slow_start, steady], run)
    assert (chosen.precision, chosen.channels_last) == ("bf16-mixed", True)
    assert "32-true channels-last" in chosen.why and "ms" in chosen.why


def test_a_slow_machine_is_measured_in_fewer_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []
    devices.shortest([lambda: runs.append(0), lambda: runs.append(1)])
    assert runs == [0, 1] * 4
    runs.clear()
    monkeypatch.setattr(devices, "ENOUGH_SECONDS", -1.0)
    assert max(devices.shortest([lambda: runs.append(0), lambda: runs.append(1)])) < 1, "one round counts at least"
    assert runs == [0, 1] * 2


def test_one_option_is_not_measured() -> None:
    def run(option: Compute) -> None:
        raise AssertionError

    option = Compute(CPU, why="as asked")
    assert devices.fastest([option], run) is option
    assert probe.best_compute(ModelSpec(width=1), CPU, "32-true", False).channels_last is False


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_autocast_follows_the_precision(precision: str) -> None:
    with Compute(CPU, precision).autocast():
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.float32 if precision == "32-true" else torch.bfloat16)
    assert Compute(CPU, precision, False).memory_format == torch.contiguous_format
    assert Compute(CPU, precision, True).memory_format == torch.channels_last


def test_the_model_of_the_speed_passes_through_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "shortest", lambda tasks: [1.0, 4.0])
    speed = probe.speed_model(ModelSpec(), Compute(CPU))
    pixels = probe.CPU_BATCH * probe.SPEED_SIDE**2
    assert speed(probe.NARROW) == pytest.approx(pixels) and speed(probe.WIDE) == pytest.approx(pixels / 4)
    assert speed(64) == pytest.approx(pixels / 16), "a power law beyond"
