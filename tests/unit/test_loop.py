"""The loop is proven: resumed equals uninterrupted, ours equals plain PyTorch, bad steps change nothing."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from copy import copy
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
from unet.data.dataset import Borders, SegmentationDataset, collate
from unet.data.pairs import Pair
from unet.devices import Compute
from unet.errors import ModelFileError, TrainingError
from unet.labels import Labels
from unet.metrics.confusion import confusion, scores
from unet.models import ModelSpec
from unet.plan.timing import TimeBudget
from unet.preprocessing import Preprocessing, normalise
from unet.training.checkpoint import LAST, find_state, load_state
from unet.training.diagnosis import TrainingContext
from unet.training.engine import Engine
from unet.training.health import MOST_BAD_STEPS
from unet.training.job import Tick, TrainingJob, Validation
from unet.training.loop import MOST_RETURNS, train_loop
from unet.training.optim import build_optimizer, set_rate
from unet.training.schedule import one_cycle
from unet.training.state import LoopState

SETTINGS = TrainingConfig(steps=6, batch_size=2, learning_rate=1e-2, validations=2)


class Log:
    """Collects what a display would show."""

    def __init__(self) -> None:
        self.ticks: list[Tick] = []
        self.lines: list[str] = []

    def tick(self, tick: Tick) -> None:
        self.ticks.append(tick)

    def notify(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def pairs(tmp_path: Path) -> list[Pair]:
    rng = np.random.default_rng(0)
    made = []
    for number in range(5):
        target = np.zeros((24, 32), np.uint8)
        target[4 : 8 + number, 6:20] = 1
        picture = np.clip(target[..., None] * 120 + rng.integers(0, 90, (24, 32, 3)), 0, 255).astype(np.uint8)
        image, mask = tmp_path / f"{number}.png", tmp_path / f"{number}_mask.png"
        raster.write_picture(image, picture)
        raster.write_mask(mask, target, Labels.numbered(2).palette())
        made.append(Pair(str(number), image, mask))
    return made


class Scorer:
    """Scores as told; by default better every time."""

    def __init__(self) -> None:
        rising = iter(np.linspace(0.1, 0.9, 100))
        self.validate: Callable[[nn.Module], Validation] = lambda network: Validation(float(next(rising)), {})
        self.score_trained: Callable[[nn.Module], Sequence[float]] = lambda network: []
        self.kept: list[int] = []

    def keep(self, network: nn.Module, state: LoopState) -> None:
        self.kept.append(state.step)


def build(width: int = 4) -> nn.Module:
    torch.manual_seed(1)
    return models.build(ModelSpec(bands=3, classes=2, width=width, depth=2))


def make(
    pairs: list[Pair],
    folder: Path,
    settings: TrainingConfig = SETTINGS,
    *,
    network: nn.Module | None = None,
    compute: Compute | None = None,
    class_weights: tuple[float, ...] = (),
    budget: TimeBudget | None = None,
    resume: bool = False,
) -> TrainingJob:
    folder.mkdir(parents=True, exist_ok=True)
    log = Log()
    engine = Engine(
        build() if network is None else network,
        settings,
        compute or Compute(torch.device("cpu"), "32-true", False),
        class_weights=class_weights,
        notify=log.notify,
    )
    first = {name: tensor.clone() for name, tensor in engine.network.state_dict().items()}
    dataset = SegmentationDataset(
        pairs,
        Labels.numbered(2),
        Preprocessing(mean=(0.4,) * 3, std=(0.3,) * 3),
        crop=(16, 24),
        augmentation=PRESETS["light"],
    )
    job = TrainingJob(
        engine=engine,
        dataset=dataset,
        scorer=Scorer(),
        trackers=[],
        display=log,
        checkpoints=folder,
        remarks=folder / "health.json",
        restart=lambda: engine.network.load_state_dict(first) and None,
        budget=budget or TimeBudget(),
        context=TrainingContext(dataset.labels.names, pictures=len(pairs), usual_rate=2e-3),
    )
    if resume:
        saved = find_state(folder, log.notify)
        assert saved is not None
        job.state = load_state(saved, engine)
    return job


def weights(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def kept_steps(training: TrainingJob) -> list[int]:
    """Return the steps whose weights were kept."""
    assert isinstance(training.scorer, Scorer)
    return training.scorer.kept


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.slow
@pytest.mark.parametrize("borders", [None, Borders(10, 5)])
def test_equals_a_plain_loop(pairs: list[Pair], tmp_path: Path, borders: Borders | None) -> None:
    training, plain = make(pairs, tmp_path), make(pairs, tmp_path)
    training.dataset.borders = plain.dataset.borders = borders
    assert train_loop(training)

    optimizer = build_optimizer(plain.engine.network.parameters(), SETTINGS)
    numbers = list(range(12))
    plain.engine.network.train()
    for step in range(6):
        batch = collate([plain.dataset[number] for number in numbers[2 * step : 2 * step + 2]])
        set_rate(optimizer, 1e-2 * one_cycle(step / 6))
        optimizer.zero_grad()
        losses.parse("ce + dice")(plain.engine.network(batch.images), batch.targets, None, batch.weights).backward()
        nn.utils.clip_grad_norm_(plain.engine.network.parameters(), 1.0)
        optimizer.step()
    # Not to the bit: with one thread Fabric's wrapper makes sums come out in another order.
    torch.testing.assert_close(weights(training.engine.network), weights(plain.engine.network), atol=1e-6, rtol=1e-5)


@pytest.mark.slow
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

    first = make(pairs, tmp_path / "b", settings)
    first.display = StopAfterThree()
    assert threading.current_thread() is threading.main_thread()
    assert not train_loop(first)
    assert first.state.step == 3
    torch.manual_seed(99)  # a new process starts elsewhere
    second = make(pairs, tmp_path / "b", settings, resume=True)
    assert train_loop(second)
    assert second.state.step == 6
    assert same(weights(whole.engine.network), weights(second.engine.network))


def test_the_best_weights_are_kept_not_the_last(pairs: list[Pair], tmp_path: Path) -> None:
    scores = iter([0.5, 0.9, 0.3])
    training = make(pairs, tmp_path, SETTINGS.model_copy(update={"validations": 3}))
    training.scorer.validate = lambda network: Validation(next(scores), {})  # type: ignore[method-assign]
    train_loop(training)
    assert kept_steps(training) == [2, 4]
    assert [row["step"] for row in training.state.rows] == [2, 4, 6]
    assert (training.state.best, training.state.best_step) == (0.9, 4)


def test_the_last_weights_are_kept_where_they_are_wanted(pairs: list[Pair], tmp_path: Path) -> None:
    scores = iter([0.5, 0.9, 0.3])
    training = make(pairs, tmp_path, SETTINGS.model_copy(update={"validations": 3, "keep_last": True}))
    training.scorer.validate = lambda network: Validation(next(scores), {})  # type: ignore[method-assign]
    train_loop(training)
    assert kept_steps(training) == [2, 4, 6]
    assert (training.state.best, training.state.best_step) == (0.3, 6)
    log = training.display
    assert isinstance(log, Log)
    assert len(log.lines) == 3, "one for each validation"
    assert not any("best" in line for line in log.lines), "the last is not called the best"
    assert {tick.best for tick in log.ticks} == {None}


def test_a_validation_every_so_many_steps(pairs: list[Pair], tmp_path: Path) -> None:
    training = make(pairs, tmp_path, SETTINGS.model_copy(update={"validate_every": 4, "validations": None}))
    train_loop(training)
    assert kept_steps(training) == [4, 6]


def test_what_was_kept_before_a_kill_is_not_replaced_by_worse(pairs: list[Pair], tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"validations": 3})
    assert train_loop(make(pairs, tmp_path, settings.model_copy(update={"steps": 2})))
    scores = iter([0.5, 0.8])
    training = make(pairs, tmp_path, settings, resume=True)
    training.scorer.validate = lambda network: Validation(next(scores), {})  # type: ignore[method-assign]
    training.state.best = 0.7
    train_loop(training)
    assert kept_steps(training) == [6], "0.5 is less than the 0.7 of the lost steps"


@pytest.mark.slow
def test_time_ends_a_run_and_the_last_validation_is_part_of_it(pairs: list[Pair], tmp_path: Path) -> None:
    settings = TrainingConfig(seconds=2, batch_size=2, learning_rate=1e-3)
    training = make(pairs, tmp_path, settings, budget=TimeBudget(2.0))
    assert train_loop(training)
    assert training.state.step > 3
    assert training.state.seconds >= 1.5
    assert training.state.validated_at == 1.0


def test_a_run_that_came_to_its_end_by_the_clock_does_not_go_on_by_itself(pairs: list[Pair], tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"steps": None, "seconds": 60.0})
    job = make(pairs, tmp_path / "run", settings, budget=TimeBudget(50.0))
    job.state = LoopState(step=3, samples=6, seconds=20.0, validated_at=1.0, finished_seconds=60.0)
    assert train_loop(job) and (job.state.step, job.state.rows) == (3, [])
    job = make(pairs, tmp_path / "longer", settings, budget=TimeBudget(20.2))
    job.state = LoopState(step=3, samples=6, seconds=20.0, validated_at=1.0, finished_seconds=30.0)
    assert train_loop(job) and job.state.step > 3
    assert job.state.added_from == pytest.approx(20 / 20.2) and job.state.finished_seconds == 60


def test_a_step_without_a_finite_loss_is_left_out_and_many_end_the_run(pairs: list[Pair], tmp_path: Path) -> None:
    training = make(pairs, tmp_path, SETTINGS.model_copy(update={"steps": 50}))
    before = weights(training.engine.network)
    training.dataset.preprocessing = copy(training.dataset.preprocessing)
    object.__setattr__(training.dataset.preprocessing, "data_range", float("nan"))  # past its own check
    with pytest.raises(TrainingError, match="these files"):
        train_loop(training)
    assert training.state.step == MOST_BAD_STEPS
    assert same(before, weights(training.engine.network))  # batch statistics too


def test_out_of_memory_turns_checkpointing_on_and_goes_on(pairs: list[Pair], tmp_path: Path) -> None:
    training = make(pairs, tmp_path)
    real = training.engine.network.forward

    def greedy(images: torch.Tensor) -> torch.Tensor:
        if not training.engine.network.checkpointing:
            raise torch.OutOfMemoryError("made up")
        return real(images)

    training.engine.network.forward = greedy  # type: ignore[method-assign]
    assert train_loop(training)
    assert any("gradient checkpointing" in line for line in training.display.lines)  # type: ignore[attr-defined]


def test_out_of_memory_for_good_is_one_clear_error(pairs: list[Pair], tmp_path: Path) -> None:
    training = make(pairs, tmp_path)

    def greedy(images: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("made up")

    training.engine.network.forward = greedy  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match="batch_size"):
        train_loop(training)


def test_a_checkpoint_of_another_network_is_refused(pairs: list[Pair], tmp_path: Path) -> None:
    train_loop(make(pairs, tmp_path))
    with pytest.raises(ModelFileError, match="another network"):
        make(pairs, tmp_path, resume=True, network=build(width=8))


def test_a_broken_checkpoint_is_refused(pairs: list[Pair], tmp_path: Path) -> None:
    (tmp_path / LAST).write_bytes(b"nonsense")
    with pytest.raises(ModelFileError, match="not a state"):
        make(pairs, tmp_path, resume=True)


def test_ticks_tell_how_far_it_is(pairs: list[Pair], tmp_path: Path) -> None:
    training = make(pairs, tmp_path)
    train_loop(training)
    ticks = training.display.ticks  # type: ignore[attr-defined]
    assert [tick.step for tick in ticks] == [1, 2, 3, 4, 5, 6]
    assert ticks[-1].share == 1.0


# ---- health ----


def checked(network: nn.Module, pairs: list[Pair], dataset: SegmentationDataset) -> Validation:
    """Score a network as the command does, with the counts that health is judged by."""
    counts, images = np.zeros((2, 2), np.int64), []
    for index in range(len(pairs)):
        layers = dataset.scaled(index)
        image = torch.from_numpy(normalise(layers.picture.numpy(), dataset.preprocessing))[None]
        with torch.no_grad():
            predicted = network(image)[0].argmax(0).to(torch.uint8).numpy()
        matrix = confusion(layers.target.numpy(), predicted, 2)
        counts, images = counts + matrix, [*images, scores(matrix).mean_iou]
    return Validation(scores(counts).mean_iou, {}, counts=counts, images=tuple(images))


def healed(pairs: list[Pair], folder: Path, **changes: Any) -> tuple[TrainingJob, list[str]]:
    """Train with changed settings; return the training, and the lines about its health."""
    arguments = {key: changes.pop(key) for key in ("class_weights", "compute", "network", "resume") if key in changes}
    settings = SETTINGS.model_copy(update={"steps": 60, "validations": 10, **changes})
    training = make(pairs, folder, settings, **arguments)
    training.scorer.validate = lambda network: checked(network, pairs, training.dataset)  # type: ignore[method-assign]
    try:
        train_loop(training)
    except TrainingError as error:
        training.display.notify(f"error: {error}")
    lines = training.display.lines  # type: ignore[attr-defined]
    return training, [line for line in lines if line.startswith(("health", "error"))]


@pytest.mark.slow
def test_a_healthy_training_is_said_to_be_one(pairs: list[Pair], tmp_path: Path) -> None:
    training, remarks = healed(pairs, tmp_path)
    assert remarks == []
    assert json.loads((tmp_path / "health.json").read_text()) == []
    assert not (tmp_path / "good.safetensors").exists(), "no state to go back to"
    assert training.state.returns == 0


@pytest.mark.slow
def test_a_rate_too_low_is_named(pairs: list[Pair], tmp_path: Path) -> None:
    _, remarks = healed(pairs, tmp_path, learning_rate=1e-7)
    assert len(remarks) == 1
    assert remarks[0].startswith("health: learning rate 1e-07 is too low: the loss has hardly fallen")


@pytest.mark.slow
def test_a_class_without_weight_is_never_predicted(pairs: list[Pair], tmp_path: Path) -> None:
    _, remarks = healed(pairs, tmp_path, class_weights=(1.0, 0.0), loss="ce", learning_rate=0.1)
    assert [line.split(";")[0] for line in remarks] == [
        "health: nearly every pixel is predicted as background, and hardly any as foreground (truly 11 %)"
    ]


@pytest.mark.slow
def test_an_exploding_loss_goes_back_with_half_the_rate_and_ends_after_some_tries(
    pairs: list[Pair], tmp_path: Path
) -> None:
    _, remarks = healed(pairs, tmp_path, learning_rate=1e6, optimizer="sgd", clip=1e9, steps=200)
    back = [line for line in remarks if "going on from the last good state" in line]
    assert len(back) == MOST_RETURNS
    assert back[0].endswith("with the learning rate halved to 5e+05")
    assert remarks[-1].startswith("error: ")
    assert "learning_rate" in remarks[-1] and remarks[-1].endswith("the model kept so far stays")
    saved = safetensors.torch.load_file(tmp_path / "last.safetensors")
    assert all(bool(torch.isfinite(tensor).all()) for tensor in saved.values())


class Overflowing(nn.Module):
    """Computes nothing but NaN in a shorter precision, once it has seen so many batches."""

    def __init__(self, network: nn.Module, after: int) -> None:
        super().__init__()
        self.network, self.after, self.batches = network, after, 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.batches += self.training
        logits: torch.Tensor = self.network(images)
        overflow = self.training and self.batches > self.after and torch.is_autocast_enabled("cpu")
        return logits * float("nan") if overflow else logits


@pytest.mark.slow
def test_overflow_in_a_shorter_precision_goes_on_in_float32(pairs: list[Pair], tmp_path: Path) -> None:
    network = Overflowing(build(), after=12)
    short = Compute(torch.device("cpu"), "bf16-mixed", False)
    training, remarks = healed(pairs, tmp_path, network=network, compute=short, steps=40)
    assert "step 13 had no finite loss or gradient and was left out (" in remarks[0]
    assert remarks[1].endswith("going on from the last good state in float32")
    assert len(remarks) == 2
    assert (training.engine.compute.precision, training.engine.rate_scale) == ("32-true", 1.0)
    assert training.state.step == 40


@pytest.mark.slow
def test_a_picture_with_huge_values_is_named_and_spoils_nothing(pairs: list[Pair], tmp_path: Path) -> None:
    huge = np.full((24, 32, 3), 1e30, np.float32)
    np.save(tmp_path / "huge.npy", huge)
    spoilt = [*pairs, replace(pairs[0], name="huge.npy", image=tmp_path / "huge.npy")]
    training, remarks = healed(spoilt, tmp_path / "run", steps=40, batch_size=1)
    assert "(huge.npy)" in remarks[0]
    assert "only huge.npy was in all of them; mend this picture" in remarks[1]
    assert len(remarks) == 2
    assert all(bool(torch.isfinite(tensor).all()) for tensor in training.engine.network.state_dict().values())


@pytest.mark.slow
def test_stopped_after_going_back_and_resumed_equals_uninterrupted(
    pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Few of them, so that a streak is under way at the stop and the next return comes after it.
    monkeypatch.setattr("unet.training.health.MOST_BAD_STEPS", 3)
    changes = {"learning_rate": 100, "optimizer": "sgd", "clip": 1e9, "steps": 40, "validations": 4}
    whole, _ = healed(pairs, tmp_path / "a", **changes)
    assert whole.state.returns >= 2
    at = next(
        remark["step"]
        for remark in json.loads((tmp_path / "a" / "health.json").read_text())
        if "back" in remark["kind"]
    )

    for stop in (at - 1, at + 1):
        folder = tmp_path / f"b{stop}"
        first = make(pairs, folder, SETTINGS.model_copy(update=changes))
        first.scorer.validate = lambda network: checked(network, pairs, whole.dataset)  # type: ignore[method-assign]

        class Stop(Log):
            def tick(self, tick: Tick, stop: int = stop) -> None:
                if tick.step == stop:
                    os.kill(os.getpid(), signal.SIGINT)

        first.display = Stop()
        assert not train_loop(first)
        second, _ = healed(pairs, folder, resume=True, **changes)
        assert second.state.step == whole.state.step
        assert same(weights(whole.engine.network), weights(second.engine.network))
        assert second.state.returns == whole.state.returns


@pytest.mark.slow
def test_slow_data_are_said_to_be_slow(pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unet.training.diagnosis.LEAST_WAITED", 0.01)
    real = SegmentationDataset.__getitem__

    def slow(self: SegmentationDataset, number: int) -> Any:
        time.sleep(0.02)
        return real(self, number)

    monkeypatch.setattr(SegmentationDataset, "__getitem__", slow)
    _, remarks = healed(pairs, tmp_path, steps=32, validations=4)
    assert len(remarks) == 1 and "of the time goes into preparing samples; save the pictures smaller" in remarks[0]


def test_training_pictures_are_scored_at_the_end(pairs: list[Pair], tmp_path: Path) -> None:
    calls: list[int] = []

    def trained(network: nn.Module) -> list[float]:
        calls.append(1)
        return [0.95, 0.96, 0.94]

    training = make(pairs, tmp_path, budget=TimeBudget(comparison_share=1.0))
    training.scorer.validate = lambda network: Validation(0.3, {}, images=(0.3, 0.31, 0.29))  # type: ignore[method-assign]
    training.scorer.score_trained = trained  # type: ignore[method-assign]
    train_loop(training)
    assert calls == [1]
    log = training.display
    assert isinstance(log, Log)
    assert (
        "health: mean IoU 0.95 on training pictures and 0.30 on validation pictures: it learns them by heart"
        in (log.lines[-1])
    )
