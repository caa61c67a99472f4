"""A training that is stopped by the user or the system ends with a model and a report, and can be gone on with."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import TINY, Command, run, save_often, state_of

from unet import bundle, cli

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals are another matter there"),
]
LINE = f"train data --steps 100000 {TINY} --set validations=300 --out run"
RUN = Path("run")
LAST = RUN / "checkpoints/last.safetensors"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_data: Callable[..., Path]) -> None:
    monkeypatch.chdir(tmp_path)
    make_data(count=6)


@pytest.mark.parametrize(("number", "workers"), [(signal.SIGINT, 2), (signal.SIGTERM, 0)])
def test_a_stop_leaves_a_usable_model(number: signal.Signals, workers: int) -> None:
    process = Command(f"{LINE} --set workers={workers}", save_often)
    process.wait_until(LAST.exists)
    process.send(number)  # to those that prepare samples too, as a terminal does
    code, name = {signal.SIGINT: (130, "ctrl-C"), signal.SIGTERM: (143, "SIGTERM")}[number]
    printed = process.wait(code)
    assert printed.splitlines()[-1] == f"unet: stopped by {name}"
    assert printed.count("stopping after this step") == 1
    assert "foreground" in printed, "the scores of what was reached"
    model = bundle.load(RUN / "model.safetensors")
    assert model.provenance["step"] >= 1
    assert (RUN / "report.html").stat().st_size > 10_000 and (RUN / "evaluation.json").exists()
    assert cli.main("predict -m run/model.safetensors -i data/imgs -o masks".split()) == 0
    assert len(list(Path("masks").iterdir())) == 6
    assert not list(RUN.rglob("*.part"))
    # ... and a checkpoint to go on from.
    reached = state_of(RUN)["step"]
    settings = RUN / "config.toml"
    settings.write_text(settings.read_text().replace("steps = 100000", f"steps = {reached + 2}"))
    run("train --resume run")
    assert state_of(RUN)["step"] == reached + 2


def test_an_impatient_second_stop_ends_at_once() -> None:
    process = Command(LINE, save_often)
    process.wait_until(LAST.exists)
    process.send(signal.SIGINT)
    process.send(signal.SIGINT)
    time.sleep(0.05)
    process.send(signal.SIGINT)
    process.wait(130)
    assert state_of(RUN)["step"] >= 1
