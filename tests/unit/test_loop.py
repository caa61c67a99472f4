"""The loop is proven: resumed equals uninterrupted, ours equals plain PyTorch, bad steps change nothing."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from unet import losses, models, raster
from unet.config import TrainingConfig
from unet.data.augment import PRESETS
from unet.data.dataset import Borders, Numbers, SegmentationDataset, collate
from unet.data.pairs import Pair
from unet.devices import Compute
from unet.errors import ModelFileError, TrainingError
from unet.labels import Labels
from unet.metrics.confusion import confusion, scores
from unet.models import ModelSpec
from unet.preprocessing import Preprocessing, normalise
from unet.training.checkpoint import Progress
from unet.training.health import MOST_BAD_STEPS
from unet.training.job import Tick, Training, Validation
from unet.training.loop import MOST_RETURNS, train_loop
from unet.training.optim import build_optimizer, set_rate
from unet.training.schedule import one_cycle

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
    rising = iter(np.linspace(0.1, 0.9, 100))
    defaults: dict[str, Any] = {
        "network": network,
        "dataset": dataset,
        "settings": settings,
        "compute": Compute(torch.device("cpu"), "32-true", False),
        "validate": lambda network: Validation(float(next(rising)), {}),
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


@pytest.mark.parametrize("borders", [None, Borders(10, 5)])
def test_equals_a_plain_loop(pairs: list[Pair], tmp_path: Path, borders: Borders | None) -> None:
    training, plain = make(pairs, tmp_path), make(pairs, tmp_path)
    training.dataset.borders = plain.dataset.borders = borders
    assert train_loop(training)

    optimizer = build_optimizer(plain.network.parameters(), SETTINGS)
    numbers = list(Numbers(0, 12))
    plain.network.train()
    for step in range(6):
        batch = collate([plain.dataset[number] for number in numbers[2 * step : 2 * step + 2]])
        set_rate(optimizer, 1e-2 * one_cycle(step / 6))
        optimizer.zero_grad()
        losses.parse("ce + dice")(plain.network(batch.images), batch.targets, None, batch.weights).backward()
        nn.utils.clip_grad_norm_(plain.network.parameters(), 1.0)
        optimizer.step()
    # Not to the bit: with one thread Fabric's wrapper makes sums come out in another order.
    torch.testing.assert_close(weights(training.network), weights(plain.network), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": "rmsprop", "schedule": "plateau", "momentum": 0.9},
        {"optimizer": "sgd", "schedule": "step", "step_epochs": 0.5, "warm_up": 0.4},
    ],
)
def test_stopped_and_resumed_equals_uninterrupted(pairs: list[Pair], tmp_path: Path, changes: dict[str, Any]) -> None:
    settings = SETTINGS.model_copy(update=changes)
    whole = make(pairs, tmp_path / "a", settings)
    assert train_loop(whole)

    class StopAfterThree(Log):
        def tick(self, tick: Tick) -> None:
            if tick.step == 3:
                os.kill(os.getpid(), signal.SIGINT)

    first = make(pairs, tmp_path / "b", settings, display=StopAfterThree())
    assert threading.current_thread() is threading.main_thread()
    assert not train_loop(first)
    assert first.progress.step == 3
    torch.manual_seed(99)  # a new process starts elsewhere
    second = make(pairs, tmp_path / "b", settings, resume=True)
    assert train_loop(second)
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
    train_loop(training)
    assert kept == [2, 4]
    assert (training.progress.best, training.progress.best_step) == (0.9, 4)


def test_a_validation_every_so_many_steps(pairs: list[Pair], tmp_path: Path) -> None:
    kept: list[int] = []
    training = make(
        pairs,
        tmp_path,
        SETTINGS.model_copy(update={"validate_every": 4, "validations": None}),
        validate=lambda network: Validation(1.0 + len(kept), {}),
        keep=lambda network, progress: kept.append(progress.step),
    )
    train_loop(training)
    assert kept == [4, 6]


def test_what_was_kept_before_a_kill_is_not_replaced_by_worse(pairs: list[Pair], tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"validations": 3})
    assert train_loop(make(pairs, tmp_path, settings.model_copy(update={"steps": 2})))
    scores = iter([0.5, 0.8])
    kept: list[int] = []
    about = {
        "validate": lambda network: Validation(next(scores), {}),
        "keep": lambda network, progress: kept.append(progress.step),
    }
    train_loop(make(pairs, tmp_path, settings, resume=True, kept=0.7, **about))
    assert kept == [6], "0.5 is less than the 0.7 of the lost steps"


def test_time_ends_a_run_and_the_last_validation_is_part_of_it(pairs: list[Pair], tmp_path: Path) -> None:
    settings = TrainingConfig(seconds=2, batch_size=2, learning_rate=1e-3)
    training = make(pairs, tmp_path, settings, seconds=2.0)
    assert train_loop(training)
    assert training.progress.step > 3
    assert training.progress.seconds >= 1.5
    assert training.progress.validated_at == 1.0


def test_a_step_without_a_finite_loss_is_left_out_and_many_end_the_run(pairs: list[Pair], tmp_path: Path) -> None:
    training = make(pairs, tmp_path, SETTINGS.model_copy(update={"steps": 50}))
    before = weights(training.network)
    training.dataset.preprocessing = replace(training.dataset.preprocessing, data_range=float("nan"))
    with pytest.raises(TrainingError, match="these files"):
        train_loop(training)
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
    assert train_loop(training)
    assert any("gradient checkpointing" in line for line in training.display.lines)  # type: ignore[attr-defined]


def test_out_of_memory_for_good_is_one_clear_error(pairs: list[Pair], tmp_path: Path) -> None:
    training = make(pairs, tmp_path)

    def greedy(images: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("made up")

    training.network.forward = greedy  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match="batch_size"):
        train_loop(training)


def test_a_checkpoint_of_another_network_is_refused(pairs: list[Pair], tmp_path: Path) -> None:
    train_loop(make(pairs, tmp_path))
    other = make(pairs, tmp_path, resume=True, network=models.build(ModelSpec(width=8, depth=2)))
    with pytest.raises(ModelFileError, match="another network"):
        train_loop(other)


def test_a_broken_checkpoint_is_refused(pairs: list[Pair], tmp_path: Path) -> None:
    (tmp_path / "last.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ModelFileError, match="not a checkpoint"):
        train_loop(make(pairs, tmp_path, resume=True))


def test_ticks_tell_how_far_it_is(pairs: list[Pair], tmp_path: Path) -> None:
    log = Log()
    train_loop(make(pairs, tmp_path, display=log))
    assert [tick.step for tick in log.ticks] == [1, 2, 3, 4, 5, 6]
    assert log.ticks[-1].share == 1.0
    assert Progress(**vars(make(pairs, tmp_path).progress)) == Progress()


# ---- health ----


def checked(network: nn.Module, pairs: list[Pair], dataset: SegmentationDataset) -> Validation:
    """Score a network as the command does, with the counts that health is judged by."""
    counts, images = np.zeros((2, 2), np.int64), []
    for index in range(len(pairs)):
        layers = dataset.scaled(index)
        image = torch.from_numpy(normalise(layers.picture.numpy().transpose(1, 2, 0), dataset.preprocessing))[None]
        with torch.no_grad():
            predicted = network(image)[0].argmax(0).to(torch.uint8).numpy()
        one = confusion(layers.target.numpy(), predicted, 2)
        counts, images = counts + one, [*images, scores(one).mean_iou]
    return Validation(scores(counts).mean_iou, {}, counts=counts, images=tuple(images))


def healed(pairs: list[Pair], folder: Path, **changes: Any) -> tuple[Training, list[str]]:
    """Train with changed settings; return what was said of the health, and the training."""
    about = {key: changes.pop(key) for key in ("class_weights", "compute", "network", "resume") if key in changes}
    settings = SETTINGS.model_copy(update={"steps": 60, "validations": 10, **changes})
    training = make(pairs, folder, settings, remarks=folder / "health.json", **about)
    training.validate = lambda network: checked(network, pairs, training.dataset)
    folder.mkdir(exist_ok=True)
    try:
        train_loop(training)
    except TrainingError as error:
        training.display.say(f"error: {error}")
    lines = training.display.lines  # type: ignore[attr-defined]
    return training, [line for line in lines if line.startswith(("health", "error"))]


def test_a_healthy_training_is_said_to_be_one(pairs: list[Pair], tmp_path: Path) -> None:
    training, said = healed(pairs, tmp_path)
    assert said == []
    assert json.loads((tmp_path / "health.json").read_text()) == []
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["last.safetensors"], "no state to go back to"
    assert training.progress.returns == 0


def test_a_rate_too_low_is_named(pairs: list[Pair], tmp_path: Path) -> None:
    _, said = healed(pairs, tmp_path, learning_rate=1e-7)
    assert len(said) == 1
    assert said[0].startswith("health: learning rate 1e-07 is too low: the loss has hardly fallen")


def test_a_class_without_weight_is_never_predicted(pairs: list[Pair], tmp_path: Path) -> None:
    _, said = healed(pairs, tmp_path, class_weights=torch.tensor([1.0, 0.0]), loss="ce", learning_rate=0.1)
    assert [line.split(";")[0] for line in said] == [
        "health: nearly every pixel is predicted as background, and hardly any as foreground (truly 11 %)"
    ]


def test_an_exploding_loss_goes_back_with_half_the_rate_and_ends_after_some_tries(
    pairs: list[Pair], tmp_path: Path
) -> None:
    _, said = healed(pairs, tmp_path, learning_rate=1e6, optimizer="sgd", clip=1e9, steps=200)
    back = [line for line in said if "going on from the last good state" in line]
    assert len(back) == MOST_RETURNS
    assert back[0].endswith("with the learning rate halved to 5e+05")
    assert said[-1].startswith("error: ")
    assert "learning_rate" in said[-1] and said[-1].endswith("the best model so far is kept")
    saved = safetensors.torch.load_file(tmp_path / "last.safetensors")
    assert all(bool(torch.isfinite(tensor).all()) for tensor in saved.values())


class Overflowing(nn.Module):
    """Computes nothing but NaN in a shorter precision, once it has seen so many batches."""

    def __init__(self, network: nn.Module, after: int) -> None:
        super().__init__()
        self.network, self.after, self.seen = network, after, 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen += self.training
        logits: torch.Tensor = self.network(images)
        overflow = self.training and self.seen > self.after and torch.is_autocast_enabled("cpu")
        return logits * float("nan") if overflow else logits


def test_overflow_in_a_shorter_precision_goes_on_in_float32(pairs: list[Pair], tmp_path: Path) -> None:
    network = Overflowing(make(pairs, tmp_path).network, after=12)
    short = Compute(torch.device("cpu"), "bf16-mixed", False)
    training, said = healed(pairs, tmp_path, network=network, compute=short, steps=40)
    assert "step 13 had no finite loss or gradient and was left out (" in said[0]
    assert said[1].endswith("going on from the last good state in float32")
    assert len(said) == 2
    assert (training.progress.precision, training.progress.rate_factor) == ("32-true", 1.0)
    assert training.progress.step == 40


def test_a_picture_with_huge_values_is_named_and_spoils_nothing(pairs: list[Pair], tmp_path: Path) -> None:
    huge = np.full((24, 32, 3), 1e30, np.float32)
    np.save(tmp_path / "huge.npy", huge)
    spoilt = [*pairs, replace(pairs[0], name="huge.npy", image=tmp_path / "huge.npy")]
    training, said = healed(spoilt, tmp_path / "run", steps=40, batch_size=1)
    assert "(huge.npy)" in said[0]
    assert "only huge.npy was in all of them; mend this picture" in said[1]
    assert len(said) == 2
    assert all(bool(torch.isfinite(tensor).all()) for tensor in training.network.state_dict().values())


@pytest.mark.slow
def test_stopped_after_going_back_and_resumed_equals_uninterrupted(
    pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Few of them, so that a streak is under way at the stop and the next return comes after it.
    monkeypatch.setattr("unet.training.health.MOST_BAD_STEPS", 3)
    changes = {"learning_rate": 100, "optimizer": "sgd", "clip": 1e9, "steps": 40, "validations": 4}
    whole, _ = healed(pairs, tmp_path / "a", **changes)
    assert whole.progress.returns == 2
    at = next(
        remark["step"]
        for remark in json.loads((tmp_path / "a" / "health.json").read_text())
        if "back" in remark["kind"]
    )

    for stop in (at - 1, at + 1):
        folder = tmp_path / f"b{stop}"
        first = make(pairs, folder, SETTINGS.model_copy(update=changes), remarks=tmp_path / f"{stop}.json")
        first.validate = lambda network: checked(network, pairs, whole.dataset)

        class Stop(Log):
            def tick(self, tick: Tick, stop: int = stop) -> None:
                if tick.step == stop:
                    os.kill(os.getpid(), signal.SIGINT)

        first.display = Stop()
        assert not train_loop(first)
        second, _ = healed(pairs, folder, resume=True, **changes)
        assert second.progress.step == whole.progress.step
        assert same(weights(whole.network), weights(second.network))
        assert second.progress.returns == whole.progress.returns


@pytest.mark.slow
def test_slow_data_are_said_to_be_slow(pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unet.training.health.LEAST_WAITED", 0.01)
    real = SegmentationDataset.__getitem__

    def slow(self: SegmentationDataset, number: int) -> Any:
        time.sleep(0.02)
        return real(self, number)

    monkeypatch.setattr(SegmentationDataset, "__getitem__", slow)
    _, said = healed(pairs, tmp_path, steps=32, validations=4)
    assert len(said) == 1 and "of the time goes into preparing samples; save the pictures smaller" in said[0]


def test_training_pictures_are_scored_at_the_end(pairs: list[Pair], tmp_path: Path) -> None:
    calls: list[int] = []

    def trained(network: nn.Module) -> list[float]:
        calls.append(1)
        return [0.95, 0.96, 0.94]

    log = Log()
    validate = lambda network: Validation(0.3, {}, images=(0.3, 0.31, 0.29))  # noqa: E731
    train_loop(make(pairs, tmp_path, display=log, validate=validate, score_trained=trained, score_share=1.0))
    assert calls == [1]
    assert (
        "health: mean IoU 0.95 on training pictures and 0.30 on validation pictures: it learns them by heart"
        in (log.lines[-1])
    )
