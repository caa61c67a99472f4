"""The loop is proven: resumed equals uninterrupted, ours equals plain PyTorch, bad steps change nothing."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from unet import losses, models, raster
from unet.config import TrainingConfig
from unet.data.augment import PRESETS
from unet.data.dataset import Numbers, SegmentationDataset, collate
from unet.data.pairs import Pair
from unet.data.preprocess import Preprocessing
from unet.devices import Compute
from unet.errors import ModelFileError, TrainingError
from unet.labels import Labels
from unet.models import ModelSpec
from unet.training.checkpoint import Progress, read_progress
from unet.training.health import MOST_BAD_STEPS
from unet.training.loop import Tick, Training, Validation, fit
from unet.training.optim import build_optimizer, one_cycle, set_rate

SETTINGS = TrainingConfig(steps=6, batch_size=2, learning_rate=1e-2, validations=2)


class Log:
    """Collects what a display would show."""

    def __init__(self) -> None:
        self.ticks: list[Tick] = []
        self.lines: list[str] = []

    def tick(self, tick: Tick) -> None:
        self.ticks.append(tick)

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def pairs(tmp_path: Path) -> list[Pair]:
    rng = np.random.default_rng(0)
    found = []
    for number in range(5):
        target = np.zeros((24, 32), np.uint8)
        target[4 : 8 + number, 6:20] = 1
        picture = np.clip(target[..., None] * 120 + rng.integers(0, 90, (24, 32, 3)), 0, 255).astype(np.uint8)
        image, mask = tmp_path / f"{number}.png", tmp_path / f"{number}_mask.png"
        raster.write_picture(image, picture)
        raster.write_mask(mask, target, Labels.numbered(2).palette())
        found.append(Pair(str(number), image, mask))
    return found


def make(pairs: list[Pair], folder: Path, settings: TrainingConfig = SETTINGS, **about: Any) -> Training:
    torch.manual_seed(1)
    network = models.build(ModelSpec(bands=3, classes=2, width=4, depth=2))
    dataset = SegmentationDataset(
        pairs,
        Labels.numbered(2),
        Preprocessing(mean=(0.4,) * 3, std=(0.3,) * 3),
        crop=(16, 24),
        augmentation=PRESETS["light"],
    )
    scores = iter(np.linspace(0.1, 0.9, 100))
    defaults: dict[str, Any] = {
        "network": network,
        "dataset": dataset,
        "settings": settings,
        "compute": Compute(torch.device("cpu"), "32-true", False),
        "validate": lambda network: Validation(float(next(scores)), {}),
        "keep": lambda network, progress: None,
        "trackers": [],
        "display": Log(),
        "checkpoint": folder / "last.safetensors",
    }
    return Training(**{**defaults, **about})


def weights(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_equals_a_plain_loop(pairs: list[Pair], tmp_path: Path) -> None:
    training = make(pairs, tmp_path)
    assert fit(training)

    plain = make(pairs, tmp_path)
    optimizer = build_optimizer(plain.network.parameters(), SETTINGS)
    numbers = list(Numbers(0, 12))
    plain.network.train()
    for step in range(6):
        batch = collate([plain.dataset[number] for number in numbers[2 * step : 2 * step + 2]])
        set_rate(optimizer, 1e-2 * one_cycle(step / 6))
        optimizer.zero_grad()
        losses.parse("ce + dice")(plain.network(batch.images), batch.targets, None).backward()
        nn.utils.clip_grad_norm_(plain.network.parameters(), 1.0)
        optimizer.step()
    # Not to the bit: with one thread Fabric's wrapper makes sums come out in another order.
    torch.testing.assert_close(weights(training.network), weights(plain.network), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("changes", [{}, {"optimizer": "rmsprop", "schedule": "plateau", "momentum": 0.9}])
def test_stopped_and_resumed_equals_uninterrupted(pairs: list[Pair], tmp_path: Path, changes: dict[str, Any]) -> None:
    settings = SETTINGS.model_copy(update=changes)
    whole = make(pairs, tmp_path / "a", settings)
    assert fit(whole)

    class StopAfterThree(Log):
        def tick(self, tick: Tick) -> None:
            if tick.step == 3:
                os.kill(os.getpid(), signal.SIGINT)

    first = make(pairs, tmp_path / "b", settings, display=StopAfterThree())
    assert threading.current_thread() is threading.main_thread()
    assert not fit(first)
    assert first.progress.step == 3
    torch.manual_seed(99)  # a new process starts elsewhere
    second = make(pairs, tmp_path / "b", settings, resume=True)
    assert fit(second)
    assert second.progress.step == 6
    assert same(weights(whole.network), weights(second.network))


def test_the_best_weights_are_kept_not_the_last(pairs: list[Pair], tmp_path: Path) -> None:
    scores = iter([0.5, 0.9, 0.3])
    kept: list[int] = []
    training = make(
        pairs,
        tmp_path,
        SETTINGS.model_copy(update={"validations": 3}),
        validate=lambda network: Validation(next(scores), {}),
        keep=lambda network, progress: kept.append(progress.step),
    )
    fit(training)
    assert kept == [2, 4]
    assert (training.progress.best, training.progress.best_step) == (0.9, 4)


def test_the_best_is_known_after_a_kill(pairs: list[Pair], tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    class KilledAtFour(Log):
        def tick(self, tick: Tick) -> None:
            if tick.step == 4:
                raise Killed

    scores = iter([0.2, 0.9, 0.1])
    about = {
        "validate": lambda network: Validation(next(scores), {}),
        "display": KilledAtFour(),
    }
    with pytest.raises(Killed):
        fit(make(pairs, tmp_path, SETTINGS.model_copy(update={"validations": 6}), **about))
    progress = read_progress(tmp_path / "last.safetensors")
    assert (progress.best, progress.best_step) == (0.9, 2)


def test_time_ends_a_run_and_the_last_validation_is_part_of_it(pairs: list[Pair], tmp_path: Path) -> None:
    settings = TrainingConfig(seconds=2, batch_size=2, learning_rate=1e-3)
    training = make(pairs, tmp_path, settings, seconds=2.0)
    assert fit(training)
    assert training.progress.step > 3
    assert training.progress.seconds >= 1.5
    assert training.progress.validated_at == 1.0


def test_a_step_without_a_finite_loss_is_left_out_and_many_end_the_run(pairs: list[Pair], tmp_path: Path) -> None:
    training = make(pairs, tmp_path, SETTINGS.model_copy(update={"steps": 50}))
    before = weights(training.network)
    training.dataset.preprocessing = replace(training.dataset.preprocessing, white=float("nan"))
    with pytest.raises(TrainingError, match="these files"):
        fit(training)
    assert training.progress.step == MOST_BAD_STEPS
    assert same(before, weights(training.network))  # batch statistics too


def test_out_of_memory_turns_checkpointing_on_and_goes_on(pairs: list[Pair], tmp_path: Path) -> None:
    training = make(pairs, tmp_path)
    real = training.network.forward

    def greedy(images: torch.Tensor) -> torch.Tensor:
        if not training.network.checkpointing:
            raise torch.OutOfMemoryError("made up")
        return real(images)

    training.network.forward = greedy  # type: ignore[method-assign]
    assert fit(training)
    assert any("gradient checkpointing" in line for line in training.display.lines)  # type: ignore[attr-defined]


def test_out_of_memory_for_good_is_one_clear_error(pairs: list[Pair], tmp_path: Path) -> None:
    training = make(pairs, tmp_path)

    def greedy(images: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("made up")

    training.network.forward = greedy  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match="batch_size"):
        fit(training)


def test_a_checkpoint_of_another_network_is_refused(pairs: list[Pair], tmp_path: Path) -> None:
    fit(make(pairs, tmp_path))
    other = make(pairs, tmp_path, resume=True, network=models.build(ModelSpec(width=8, depth=2)))
    with pytest.raises(ModelFileError, match="another network"):
        fit(other)


def test_a_broken_checkpoint_is_refused(pairs: list[Pair], tmp_path: Path) -> None:
    (tmp_path / "last.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ModelFileError, match="not a checkpoint"):
        fit(make(pairs, tmp_path, resume=True))


def test_ticks_tell_how_far_it_is(pairs: list[Pair], tmp_path: Path) -> None:
    log = Log()
    fit(make(pairs, tmp_path, display=log))
    assert [tick.step for tick in log.ticks] == [1, 2, 3, 4, 5, 6]
    assert log.ticks[-1].share == 1.0
    assert Progress(**vars(make(pairs, tmp_path).progress)) == Progress()
