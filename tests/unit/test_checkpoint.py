"""The state of a training comes back whole, whatever the optimiser, and damaged files are told apart."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from unet import bundle
from unet.config import TrainingConfig
from unet.errors import InputError, ModelFileError
from unet.training.checkpoint import Progress, load_checkpoint, read_progress, save_checkpoint
from unet.training.optim import build_optimizer

PROGRESS = Progress(
    step=7, samples=14, seconds=3.5, validated_at=0.25, best=0.5, best_step=6, plateau={"best": 0.5, "bad": 2}
)


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))


def step(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    model(images).square().mean().backward()
    optimizer.step()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "adamw"},
        {"optimizer": "adam", "weight_decay": 0.1},
        {"optimizer": "sgd"},
        {"optimizer": "sgd", "momentum": 0.0},
        {"optimizer": "rmsprop", "momentum": 0.999},
    ],
    ids=str,
)
def test_every_optimizer_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, settings: dict[str, object], layout: torch.memory_format
) -> None:
    config = TrainingConfig(learning_rate=1e-2, **settings)  # type: ignore[arg-type]
    torch.manual_seed(0)
    first = network().to(memory_format=layout)  # type: ignore[call-overload]
    optimizer = build_optimizer(first.parameters(), config)
    for seed in range(3):
        step(first, optimizer, seed)
    optimizer.param_groups[0]["lr"] = 3e-3
    save_checkpoint(tmp_path / "a.safetensors", first, optimizer, PROGRESS, {"scale": 1024.0})
    torch.manual_seed(12)
    expected = torch.randn(3)
    torch.manual_seed(12)
    save_checkpoint(tmp_path / "last.safetensors", first, optimizer, PROGRESS, {"scale": 1024.0})

    torch.manual_seed(99)
    second = network().to(memory_format=layout)  # type: ignore[call-overload]
    other = build_optimizer(second.parameters(), config)
    progress, scaler = load_checkpoint(tmp_path / "last.safetensors", second, other)
    assert progress == PROGRESS == read_progress(tmp_path / "last.safetensors")
    assert scaler == {"scale": 1024.0}
    assert torch.equal(torch.randn(3), expected), "the generator goes on too"
    assert other.param_groups[0]["lr"] == 3e-3
    for seed in range(3, 6):
        step(first, optimizer, seed)
        step(second, other, seed)
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name


def test_before_the_first_step(tmp_path: Path) -> None:
    model = network()
    optimizer = build_optimizer(model.parameters(), TrainingConfig())
    save_checkpoint(tmp_path / "last.safetensors", model, optimizer, Progress(), {})
    assert load_checkpoint(tmp_path / "last.safetensors", model, optimizer) == (Progress(), {})


def test_states_that_are_no_numbers_of_json(tmp_path: Path) -> None:
    """The plateau schedule begins with an infinite best score."""
    model = network()
    optimizer = build_optimizer(model.parameters(), TrainingConfig())
    save_checkpoint(tmp_path / "last.safetensors", model, optimizer, Progress(plateau={"best": -math.inf}), {})
    assert read_progress(tmp_path / "last.safetensors").plateau == {"best": -math.inf}


def test_a_failed_save_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    optimizer = build_optimizer(model.parameters(), TrainingConfig())
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, model, optimizer, PROGRESS, {})
    before = path.read_bytes()

    def full(*about: object) -> None:
        Path(str(about[1])).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle, "save_file", full)
    with pytest.raises(InputError, match="No space left"):
        save_checkpoint(path, model, optimizer, Progress(step=8), {})
    assert path.read_bytes() == before and [one.name for one in tmp_path.iterdir()] == ["last.safetensors"]


@pytest.mark.parametrize("content", [None, b"", b"nonsense", b"\x80\x04\x95", bytes(500)])
def test_files_that_are_no_checkpoint(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "last.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"not a checkpoint.*last\.safetensors of a run"):
        read_progress(path)


def test_a_truncated_checkpoint(tmp_path: Path) -> None:
    model = network()
    optimizer = build_optimizer(model.parameters(), TrainingConfig())
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, model, optimizer, PROGRESS, {})
    content = path.read_bytes()
    for size in (4, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(ModelFileError, match="not a checkpoint"):
            load_checkpoint(path, model, optimizer)


def test_other_safetensors_files(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ModelFileError, match="not a checkpoint"):
        read_progress(path)
    for about in ({}, {"progress": {"strange": 1}}, {"progress": None}, []):
        save_file({"a": torch.zeros(1)}, path, {"checkpoint": json.dumps(about)})
        with pytest.raises(ModelFileError, match="not a checkpoint"):
            read_progress(path)


def test_of_another_network_or_optimizer(tmp_path: Path) -> None:
    model = network()
    optimizer = build_optimizer(model.parameters(), TrainingConfig())
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, model, optimizer, PROGRESS, {})
    wider = nn.Sequential(nn.Conv2d(3, 8, 3))
    with pytest.raises(ModelFileError, match="of another network"):
        load_checkpoint(path, wider, build_optimizer(wider.parameters(), TrainingConfig()))
    with pytest.raises(ModelFileError, match="of another network"):  # AdamW has two groups
        load_checkpoint(path, model, build_optimizer(model.parameters(), TrainingConfig(optimizer="sgd")))
