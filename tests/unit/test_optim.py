"""Optimisers by name, and the one-cycle rate as a function of progress."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from unet.config import TrainingConfig
from unet.training.optim import build_optimizer, set_rate


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "rmsprop"])
def test_every_optimizer_lowers_a_loss(name: str) -> None:
    torch.manual_seed(0)
    network = nn.Linear(4, 1)
    optimizer = build_optimizer(network.parameters(), TrainingConfig(optimizer=name, learning_rate=1e-2))
    x, y = torch.randn(32, 4), torch.randn(32, 1)
    before = (network(x) - y).square().mean().item()
    for _ in range(30):
        optimizer.zero_grad()
        loss = (network(x) - y).square().mean()
        loss.backward()
        optimizer.step()
    assert (network(x) - y).square().mean().item() < before


def test_adamw_does_not_decay_biases() -> None:
    optimizer = build_optimizer(nn.Linear(4, 1).parameters(), TrainingConfig(weight_decay=0.3))
    assert [(group["weight_decay"], len(group["params"])) for group in optimizer.param_groups] == [(0.3, 1), (0.0, 1)]


def test_the_carvana_settings_reach_rmsprop() -> None:
    settings = TrainingConfig(optimizer="rmsprop", learning_rate=1e-5, weight_decay=1e-8, momentum=0.999)
    group = build_optimizer(nn.Linear(4, 1).parameters(), settings).param_groups[0]
    assert (group["lr"], group["weight_decay"], group["momentum"]) == (1e-5, 1e-8, 0.999)


def test_the_rate_is_set_everywhere() -> None:
    optimizer = build_optimizer(nn.Linear(4, 1).parameters(), TrainingConfig())
    set_rate(optimizer, 0.5)
    assert {group["lr"] for group in optimizer.param_groups} == {0.5}


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "rmsprop"])
def test_an_encoder_learns_at_its_own_rate(name: str) -> None:
    encoder, decoder = nn.Linear(3, 4), nn.Linear(4, 2)
    settings = TrainingConfig(optimizer=name, learning_rate=0.1, encoder_rate=0.2, weight_decay=0.3)
    both = nn.Sequential(encoder, decoder)
    optimizer = build_optimizer(both.parameters(), settings, encoder.parameters())
    rates = {p: group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert len(rates) == 4 and optimizer.param_groups[0]["lr"] == 0.1
    assert {rates[p] for p in decoder.parameters()} == {0.1}
    assert {rates[p] for p in encoder.parameters()} == {0.1 * 0.2}
    set_rate(optimizer, 0.5)
    assert {group["lr"] for group in optimizer.param_groups} == {0.5, 0.1}
    if name == "adamw":
        decays = {p: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
        assert [decays[p] for p in both.parameters()] == [0.3, 0.0, 0.3, 0.0]
