"""`compile = true` on a machine without a C++ compiler."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import TINY, differences, run, state_of, stop_after_step


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the compiler is found by PATH")
def test_without_a_compiler_that_is_said_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_data: Callable[..., Path]
) -> None:
    monkeypatch.chdir(tmp_path)
    make_data(count=6)
    run(f"train data --steps 12 {TINY} --out plain")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    printed = run(f"train data --steps 12 {TINY} --set compile=true --out asked")
    said = [line for line in printed.splitlines() if "torch.compile" in line]
    assert len(said) == 1 and said[0].startswith("warning: going on without torch.compile: ")
    assert "compiler" in said[0]
    assert differences(Path("plain"), Path("asked")) == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="compiles")
def test_a_compiled_run_goes_on_without_a_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_data: Callable[..., Path]
) -> None:
    monkeypatch.chdir(tmp_path)
    make_data(count=6)
    line = f"train data --steps 12 {TINY} --set compile=true --set crop=32"
    assert "torch.compile" not in run(f"{line} --out run", stop_after_step, 6, code=130)
    assert 6 <= state_of(Path("run"))["step"] < 12
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert "going on without torch.compile" in run("train --resume run")
    assert state_of(Path("run"))["step"] == 12
    assert "Traceback" not in run("evaluate run")
