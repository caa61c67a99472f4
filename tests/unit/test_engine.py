"""The engine: a step is that of plain PyTorch, a bad batch leaves no trace, memory is saved where there is little."""

from __future__ import annotations

import copy
import logging
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from unet import losses, models
from unet.config import TrainingConfig
from unet.data.dataset import Batch
from unet.devices import Compute
from unet.models import ModelSpec
from unet.training.engine import Engine
from unet.training.memory import is_out_of_memory
from unet.training.optim import build_optimizer

CPU = Compute(torch.device("cpu"), "32-true", False)
SPEC = ModelSpec(width=4, depth=2)


def settings(**changes: object) -> TrainingConfig:
    return TrainingConfig.model_validate(
        {"learning_rate": 1e-2, "schedule": "constant", "loss": "ce + dice", **changes}
    )


def batch(samples: int = 4) -> Batch:
    generator = torch.Generator().manual_seed(5)
    images = torch.randn(samples, 3, 32, 32, generator=generator)
    return Batch(images, torch.randint(0, 2, (samples, 32, 32), generator=generator), tuple("abcd"[:samples]))


def build(spec: ModelSpec = SPEC) -> nn.Module:
    torch.manual_seed(1)
    return models.build(spec)


def test_a_step_is_that_of_plain_pytorch() -> None:
    engine, plain = Engine(build(), settings(), CPU), build().train()
    optimizer, loss_of = build_optimizer(plain.parameters(), settings()), losses.parse("ce + dice")
    for _ in range(3):
        loss = loss_of(plain(batch().images), batch().targets, None)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        optimizer.step()
        assert engine.step(batch()) == pytest.approx(float(loss.detach()), rel=1e-5)
    torch.testing.assert_close(dict(engine.network.state_dict()), dict(plain.state_dict()), atol=1e-6, rtol=1e-5)


def test_what_lightning_says_of_itself_is_not_shown() -> None:
    """Fabric says "Using bfloat16 Automatic Mixed Precision (AMP)" in the midst of our lines."""
    said: list[logging.LogRecord] = []
    listener = logging.Handler()
    listener.emit = said.append  # type: ignore[method-assign]
    log = logging.getLogger("lightning_fabric")
    log.addHandler(listener)
    try:
        Engine(build(), settings(), replace(CPU, precision="bf16-mixed"))
    finally:
        log.removeHandler(listener)
    assert [record.getMessage() for record in said] == []


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("value", [float("nan"), 1e30])
def test_a_bad_batch_leaves_no_trace(precision: str, value: float) -> None:
    engine = Engine(build(), settings(), replace(CPU, precision=precision))
    assert engine.step(batch()) is not None
    before = copy.deepcopy((engine.network.state_dict(), engine.optimizer.state_dict()))
    bad = batch()
    bad.images[1, :, 3:9, 3:9] = value
    assert engine.step(bad) is None
    torch.testing.assert_close(dict(engine.network.state_dict()), dict(before[0]), atol=0, rtol=0)
    torch.testing.assert_close(engine.optimizer.state_dict()["state"], before[1]["state"], atol=0, rtol=0)


def test_a_batch_in_parts_gives_the_step_of_the_whole() -> None:
    spec = replace(SPEC, norm="instance")
    whole, parts = (
        Engine(build(spec), settings(loss="ce", optimizer="sgd", accumulate=count), CPU) for count in (1, 2)
    )
    assert whole.step(batch()) == pytest.approx(parts.step(batch()), rel=1e-5)
    torch.testing.assert_close(dict(whole.network.state_dict()), dict(parts.network.state_dict()), atol=1e-6, rtol=1e-5)


def test_evaluating_puts_the_network_back_into_training() -> None:
    engine = Engine(build(), settings(), CPU)
    with engine.evaluating() as network:
        assert not network.training
    assert engine.network.training


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        MemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"
        ),
        RuntimeError("could not create a memory object"),
        RuntimeError("could not create a primitive"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("MPS backend out of memory"),
    ],
    ids=repr,
)
def test_the_words_of_every_allocator(error: Exception) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("size mismatch"), ValueError("out of memory"), KeyError("memory"), RuntimeError("")],
    ids=repr,
)
def test_other_errors_are_not_of_memory(error: Exception) -> None:
    assert not is_out_of_memory(error)


REAL_LIMIT = """
import gc, re, resource, sys, weakref
import torch
from torch import nn
from unet import models
from unet.config import TrainingConfig
from unet.data.dataset import Batch
from unet.devices import Compute
from unet.errors import TrainingError
from unet.models import ModelSpec
from unet.training.engine import Engine

torch.set_num_threads(1)
lines, kept = [], []
engine = Engine(
    models.build(ModelSpec(width=16, depth=3)), TrainingConfig(learning_rate=1e-3, loss="ce"),
    Compute(torch.device("cpu"), "32-true", False), notify=lines.append,
)
def batch(side):
    return Batch(torch.randn(2, 3, side, side), torch.zeros(2, side, side, dtype=torch.int64), ("a", "b"))
engine.step(batch(32))
for module in engine.network.modules():
    if isinstance(module, nn.BatchNorm2d):
        module.register_forward_hook(lambda module, inputs, output: kept.append(weakref.ref(output)) and None)
real = engine._save_memory
def save_memory(batch):
    gc.collect()
    print("alive", sum(reference() is not None for reference in kept), "of", len(kept))
    real(batch)
engine._save_memory = save_memory
size = int(re.search(r"VmSize:\\s+(\\d+) kB", open("/proc/self/status").read()).group(1)) << 10
large = batch(512)
limit = size + (int(sys.argv[1]) << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    print("loss", engine.step(large))
except TrainingError as error:
    print("error", error)
print(lines)
"""


def under_limit(megabytes: int) -> str:
    done = subprocess.run(
        [sys.executable, "-c", REAL_LIMIT, str(megabytes)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc, and limits the address space")
def test_with_a_real_limit_of_memory() -> None:
    printed = under_limit(700)
    assert "alive 0 of" in printed, "the failed step's activations are gone before it is tried again"
    assert "going on with gradient checkpointing" in printed and "loss " in printed, printed
    printed = under_limit(60)
    assert "error out of memory with a batch of 2 of 512 x 512 px" in printed and "smaller batch_size" in printed
