"""Which process this is, as what has started it says."""

from __future__ import annotations

import os

import pytest

from unet import processes
from unet.processes import ONE, Place, started_as


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("SLURM_", "TORCHELASTIC_", "MASTER_", "LOCAL_")) or name in ("RANK", "WORLD_SIZE"):
            monkeypatch.delenv(name)


def test_nothing_around_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert started_as() == ONE
    monkeypatch.setenv("SLURM_NTASKS", "8")  # in the script of a job, which is no process of a step
    assert started_as() == ONE


@pytest.mark.parametrize("per_node", ["4(x2)", "4,4"])
def test_a_step_of_slurm_that_asked_for_tasks_in_any_way(monkeypatch: pytest.MonkeyPatch, per_node: str) -> None:
    step = {"STEP_NUM_TASKS": "8", "NTASKS": "8", "STEP_TASKS_PER_NODE": per_node, "PROCID": "5", "LOCALID": "1"}
    for name, value in {**step, "STEP_NODELIST": "node[07-08]", "JOB_ID": "1234567"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert started_as() == Place(rank=5, count=8, local_rank=1, local_count=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MASTER_ADDR", "chosen")
        processes._take_slurm_address()
        assert os.environ["MASTER_ADDR"] == "chosen"
        os.environ.pop("MASTER_PORT")
    try:
        processes._take_slurm_address()
        assert (os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]) == ("node07", "19567")
    finally:
        os.environ.pop("MASTER_ADDR", None)
        os.environ.pop("MASTER_PORT", None)


def test_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"TORCHELASTIC_RUN_ID": "x", "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    assert started_as() == Place(rank=3, count=4, local_rank=1, local_count=2)
