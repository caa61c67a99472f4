"""The state of a training comes back whole, whatever the optimiser, and damaged files are told apart."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from unet import tensor_files
from unet.config import TrainingConfig
from unet.data.dataset import Batch
from unet.devices import Compute
from unet.errors import InputError, ModelFileError
from unet.training.checkpoint import BEFORE, LAST, find_state, link, load_state, read_loop_state, save_state
from unet.training.engine import Engine
from unet.training.state import LoopState

OLD = Path(__file__).parents[1] / "fixtures" / "before_runs" / "interrupted" / "checkpoints" / "last.safetensors"
STATE = LoopState(step=7, samples=14, seconds=3.5, validated_at=0.25, best=0.5, best_step=6, loss_sum=0.3, loss_count=2)


def network(width: int = 4) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.Dropout(0.3), nn.Conv2d(width, 2, 1)
    )


def engine(width: int = 4, channels_last: bool = False, **settings: object) -> Engine:
    config = TrainingConfig(learning_rate=1e-2, loss="ce", **settings)  # type: ignore[arg-type]
    return Engine(network(width), config, Compute(torch.device("cpu"), "32-true", channels_last))


def batch(seed: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(2, 3, 8, 8, generator=generator)
    return Batch(images, torch.randint(0, 2, (2, 8, 8), generator=generator), ("a", "b"))


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "adamw"},
        {"optimizer": "adam", "weight_decay": 0.1},
        {"optimizer": "sgd"},
        {"optimizer": "sgd", "momentum": 0.0},
        {"optimizer": "rmsprop", "momentum": 0.999},
        {"optimizer": "rmsprop", "schedule": "plateau", "plateau_by": "loss", "patience": 0},
    ],
    ids=str,
)
def test_every_optimizer_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, settings: dict[str, object], channels_last: bool
) -> None:
    torch.manual_seed(0)
    first = engine(channels_last=channels_last, **settings)
    for seed in range(3):
        first.step(batch(seed), share=seed / 6)
    first.validated(0.5, 0.7, 0.6)
    save_state(tmp_path, first, STATE)
    for seed in range(3, 6):  # dropout draws from the generator, which goes on too
        first.step(batch(seed), share=seed / 6)
        first.validated(0.5, 0.8, 0.6)

    torch.manual_seed(99)
    second = engine(channels_last=channels_last, **settings)
    assert load_state(tmp_path / LAST, second) == STATE == read_loop_state(tmp_path / LAST)
    for seed in range(3, 6):
        second.step(batch(seed), share=seed / 6)
        second.validated(0.5, 0.8, 0.6)
    assert first.rate == second.rate
    for name, tensor in first.network.state_dict().items():
        assert torch.equal(tensor, second.network.state_dict()[name]), name


@pytest.mark.parametrize(
    ("plateau_by", "better"), [("score", (0.6, 0.8, 0.7)), ("loss", (0.5, 0.6, 0.7)), ("val_loss", (0.5, 0.8, 0.5))]
)
def test_a_plateau_waits_for_what_was_chosen(plateau_by: str, better: tuple[float, float, float]) -> None:
    waiting = engine(schedule="plateau", plateau_by=plateau_by, patience=0, factor=0.5)
    rate = waiting.rate
    waiting.validated(0.5, 0.7, 0.6)
    waiting.validated(*better)  # than the first, in this one respect alone
    assert waiting.rate == rate
    waiting.validated(0.5, 0.8, 0.7)
    assert waiting.rate == rate / 2


def test_before_the_first_step(tmp_path: Path) -> None:
    save_state(tmp_path, engine(), LoopState())
    assert load_state(tmp_path / LAST, engine()) == LoopState()


def test_states_that_are_no_numbers_of_json(tmp_path: Path) -> None:
    """The plateau schedule begins with an infinite best score, and a mean loss may be none."""
    first = engine(schedule="plateau")
    save_state(tmp_path, first, LoopState(rows=[{"step": 1, "train_loss": math.nan}]))
    second = engine(schedule="plateau")
    assert math.isnan(load_state(tmp_path / LAST, second).rows[0]["train_loss"])
    assert second.plateau.best == first.plateau.best == -math.inf


def test_all_generators_come_back(tmp_path: Path) -> None:
    np.random.seed(3)
    save_state(tmp_path, engine(), LoopState())
    expected = np.random.random(3)
    np.random.seed(4)
    load_state(tmp_path / LAST, engine())
    assert (np.random.random(3) == expected).all()


def test_a_failed_save_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_state(tmp_path, engine(), STATE)
    before = (tmp_path / LAST).read_bytes()

    def full(*arguments: object) -> None:
        Path(str(arguments[1])).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tensor_files, "save_file", full)
    with pytest.raises(InputError, match="No space left"):
        save_state(tmp_path, engine(), LoopState(step=8))
    assert (tmp_path / LAST).read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {LAST, BEFORE}, "no half-written file"


def test_the_state_before_takes_the_place_of_a_damaged_one(tmp_path: Path) -> None:
    printed: list[str] = []
    assert find_state(tmp_path, printed.append) is None
    save_state(tmp_path, engine(), LoopState(step=1))
    save_state(tmp_path, engine(), LoopState(step=2))
    assert find_state(tmp_path, printed.append) == tmp_path / LAST and printed == []
    content = (tmp_path / LAST).read_bytes()
    (tmp_path / LAST).write_bytes(content[: len(content) // 2])
    path = find_state(tmp_path, printed.append)
    assert path == tmp_path / BEFORE and read_loop_state(path).step == 1
    assert len(printed) == 1 and "not a state" in printed[0] and "the state before it" in printed[0]
    (tmp_path / BEFORE).write_bytes(b"")
    with pytest.raises(ModelFileError, match="not a state"):
        find_state(tmp_path, printed.append)


def test_a_second_name_for_a_file(tmp_path: Path) -> None:
    link(tmp_path / "nothing", tmp_path / "other")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").write_bytes(b"1")
    link(tmp_path / "a", tmp_path / "b")
    (tmp_path / "a").unlink()
    (tmp_path / "a").write_bytes(b"2")
    assert (tmp_path / "b").read_bytes() == b"1"
    link(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"2"


@pytest.mark.parametrize("content", [None, b"", b"nonsense", b"\x80\x04\x95", bytes(500)])
def test_files_that_are_no_state(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / LAST
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"not a state.*the state of a training"):
        read_loop_state(path)


def test_truncated_states(tmp_path: Path) -> None:
    save_state(tmp_path, engine(), STATE)
    content = (tmp_path / LAST).read_bytes()
    for size in (4, 100, len(content) // 2, len(content) - 1):
        (tmp_path / LAST).write_bytes(content[:size])
        with pytest.raises(ModelFileError, match="not a state"):
            load_state(tmp_path / LAST, engine())


def test_other_safetensors_files(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ModelFileError, match="not a state"):
        read_loop_state(path)
    for plain in ({}, {"progress": {"strange": 1}}, {"progress": None}, [], {"loop": None}, {"loop": {"health": 3}}):
        save_file({"a": torch.zeros(1)}, path, {"checkpoint": json.dumps(plain)})
        with pytest.raises(ModelFileError, match="not a state"):
            read_loop_state(path)


def test_of_another_network_or_optimizer(tmp_path: Path) -> None:
    save_state(tmp_path, engine(), STATE)
    with pytest.raises(ModelFileError, match="of another network"):
        load_state(tmp_path / LAST, engine(width=8))
    with pytest.raises(ModelFileError, match="of another network"):  # AdamW has two groups
        load_state(tmp_path / LAST, engine(optimizer="sgd"))


def test_states_of_version_0_1() -> None:
    state = read_loop_state(OLD)
    assert (state.step, state.samples, state.best, state.best_step) == (6, 12, 0.421875, 3)
    assert len(state.health.losses) == 2 and state.rows == []
