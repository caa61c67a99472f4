"""A training that is killed, stopped or cut off goes on as if nothing had happened, bit for bit."""

from __future__ import annotations

import json
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import (
    KILLED,
    TINY,
    VARIANTS,
    Command,
    die_after_step,
    die_before_writing,
    differences,
    fill_disk,
    limit_file_size,
    rows_of,
    run,
    save_often,
    state_of,
    stop_after_step,
)

from unet import bundle
from unet.training.checkpoint import read_loop_state

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals are another matter there"),
]
DataMaker = Callable[..., Path]
STEPS = 24
LINE = f"train data --steps {STEPS} {TINY}"

BROKEN, WHOLE = Path("broken"), Path("whole")
LAST, BEFORE = BROKEN / "checkpoints/last.safetensors", BROKEN / "checkpoints/before.safetensors"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_data: DataMaker) -> None:
    monkeypatch.chdir(tmp_path)
    make_data(count=6)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A function that gives the finished, uninterrupted run of a variant, trained once for all tests."""
    runs: dict[str, Path] = {}

    def trained(variant: str = "") -> Path:
        if variant not in runs:
            run(f"{LINE} {VARIANTS.get(variant, '')} --out whole")
            runs[variant] = Path(shutil.move(WHOLE, tmp_path_factory.mktemp("uninterrupted")))
        return runs[variant]

    return trained


@pytest.mark.parametrize("variant", VARIANTS)
def test_killed_at_any_moment_equals_uninterrupted(variant: str, whole_run: Callable[..., Path]) -> None:
    process = Command(f"{LINE} {VARIANTS[variant]} --out broken", save_often)
    process.wait_until((BROKEN / "run.json").exists)
    time.sleep(random.Random(variant).uniform(0, 1))
    process.kill()
    run("train --resume broken")
    assert differences(whole_run(variant), BROKEN) == []


@pytest.mark.parametrize("variant", ["plain", "dropout"])
def test_killed_again_and_again_equals_uninterrupted(variant: str, whole_run: Callable[..., Path]) -> None:
    line = f"{LINE} {VARIANTS[variant]} --out broken"
    # Before the first step; then between validations, which come after steps 8, 16 and 24.
    for step in (0, 5, 13, 17):
        run(line, die_after_step, step, code=KILLED)
        assert LAST.exists() == (step > 0)
        line = "train --resume broken"
    assert [row["step"] for row in rows_of(BROKEN)] == ["8", "16"], "the history of all sessions"
    assert state_of(BROKEN)["loss_count"] == 1, "what the next train_loss is the mean of"
    run(line)
    assert differences(whole_run(variant), BROKEN) == []


def test_killed_between_the_model_and_its_scores(whole_run: Callable[..., Path]) -> None:
    run(f"{LINE} --out broken", die_before_writing, "evaluation.json", 2, code=KILLED)
    shown = json.loads((BROKEN / "evaluation.json").read_text(encoding="utf-8"))
    kept = bundle.load(BROKEN / "model.safetensors")
    assert kept.provenance["step"] == 16 and state_of(BROKEN)["step"] == 15
    assert kept.scores["mean_iou"] != shown["mean_iou"], "those of the model before"

    run("train --resume broken", stop_after_step, 16, code=130)
    shown = json.loads((BROKEN / "evaluation.json").read_text(encoding="utf-8"))
    assert kept.scores["mean_iou"] == shown["mean_iou"], "those of the model that is there"
    assert state_of(BROKEN)["best_step"] == 16

    run("train --resume broken")
    assert differences(whole_run(), BROKEN) == []


def test_a_model_to_start_from_is_started_from_again() -> None:
    run(f"{LINE} --out first")
    line = f"{LINE} --load first/model.safetensors --set learning_rate=0.0001"
    run(f"{line} --out whole")
    run(f"{line} --out broken", die_after_step, 0, code=KILLED)
    Path("first/model.safetensors").unlink()
    run("train --resume broken")
    assert differences(WHOLE, BROKEN) == []


def test_a_damaged_state_is_replaced_by_the_one_before(whole_run: Callable[..., Path]) -> None:
    run(f"{LINE} --out broken", die_after_step, 13, code=KILLED)
    LAST.write_bytes(LAST.read_bytes()[:-100])
    printed = run("train --resume broken", die_before_writing, "last.safetensors", 2, code=KILLED)
    assert printed.count("warning: ") == 1 and "last.safetensors" in printed and "the state before it" in printed
    assert read_loop_state(BEFORE).step == 12, "the damaged state must not replace the one before"
    assert "warning: " not in run("train --resume broken")
    assert differences(whole_run(), BROKEN) == []


def test_states_that_are_all_damaged_are_an_error() -> None:
    run(f"{LINE} --out broken", die_after_step, 13, code=KILLED)
    for path in (LAST, BEFORE):
        path.write_bytes(b"half")
    printed = run("train --resume broken", code=2)
    assert "last.safetensors" in printed.splitlines()[-1]
    assert LAST.read_bytes() == b"half"


def test_what_a_killed_process_left_is_gone_and_what_is_the_users_stays() -> None:
    run(f"{LINE} --out broken", die_after_step, 13, code=KILLED)
    drafts = [
        BROKEN / ".model.safetensors.0badc0de.part",
        BROKEN / "checkpoints/.last.safetensors.0badc0de.part",
        BROKEN / "samples/.00_p.png.0badc0de.part",
    ]
    mine = [BROKEN / "foo.part", BROKEN / "samples/.mine.part", BROKEN / "samples/mine.png"]
    stale = BROKEN / "samples/00_stale.png"
    stale.parent.mkdir()
    for path in (*drafts, *mine, stale):
        path.write_bytes(b"half")
    with (BROKEN / "metrics.csv").open("a", encoding="utf-8") as file:
        file.write("29")  # cut off within a line
    run("train --resume broken")
    assert not any(path.exists() for path in (*drafts, stale))
    assert all(path.read_bytes() == b"half" for path in mine)
    assert (BROKEN / "run.lock").exists(), "left, as when a process is killed, and no obstacle"
    assert not (BROKEN / "cache").exists()
    assert [row["step"] for row in rows_of(BROKEN)] == ["8", "16", "24"]


def test_a_run_that_was_killed_while_it_linked_states_leaves_nothing() -> None:
    run(f"{LINE} --out broken", die_before_writing, "before.safetensors", 3, code=KILLED)
    assert len(list(BROKEN.rglob(".*"))) == 1
    run("train --resume broken")
    assert not list(BROKEN.rglob(".*"))


def test_only_one_process_works_on_a_run() -> None:
    run(f"{LINE} --out broken", die_after_step, 3, code=KILLED)
    first = Command("train --resume broken", save_often)
    first.wait_until(lambda: state_of(BROKEN)["step"] > 3)
    first.send(signal.SIGSTOP)
    refused = run("train --resume broken", code=2)
    assert len(refused.splitlines()) == 1 and "in use by another process" in refused
    refused = run(f"{LINE} --out broken --overwrite", code=2)
    assert "in use by another process" in refused.splitlines()[-1]
    first.send(signal.SIGCONT)
    first.wait()
    assert rows_of(BROKEN)[-1]["step"] == "24"


def test_a_finished_run_may_go_on_for_longer_and_be_stopped() -> None:
    run(f"{LINE.replace('--val 0.2', '--val 0.2 --test 0.2')} --out broken")
    assert (BROKEN / "test.json").exists()
    settings = BROKEN / "config.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace("steps = 24", "steps = 48  # longer"), encoding="utf-8")
    run("train --resume broken", stop_after_step, 40, code=130)
    assert not (BROKEN / "test.json").exists(), "of the model before"
    assert not list(BROKEN.glob("samples/test/*.png"))
    assert "# longer" in settings.read_text(encoding="utf-8")
    run("train --resume broken")
    assert state_of(BROKEN)["step"] == 48 and (BROKEN / "test.json").exists()


# ---- a full disk ----


@pytest.mark.parametrize("name", ["last.safetensors", "model.safetensors", "metrics.csv"])
def test_a_full_disk_ends_a_training_that_can_be_gone_on_with(name: str, whole_run: Callable[..., Path]) -> None:
    printed = run(f"{LINE} --out broken", fill_disk, name, 2, code=2)
    assert printed.splitlines()[-1].startswith("unet: error: ") and "No space left" in printed.splitlines()[-1]
    assert not list(BROKEN.rglob(".*"))
    run("train --resume broken")
    assert differences(whole_run(), BROKEN) == []


def test_a_state_that_is_cut_off_by_a_full_disk_does_not_replace_the_last(whole_run: Callable[..., Path]) -> None:
    run(f"{LINE} --out broken", die_after_step, 3, code=KILLED)
    size = LAST.stat().st_size
    printed = run("train --resume broken", limit_file_size, size - 1000, code=2)
    assert "last.safetensors cannot be written" in printed.splitlines()[-1]
    assert state_of(BROKEN)["step"] == 3
    run("train --resume broken")
    assert differences(whole_run(), BROKEN) == []
