"""A run folder is known by its own record: what other programs call the same is not ours to replace."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from unet.config import Config, to_toml
from unet.errors import InputError
from unet.runs.folder import choose_folder, is_cross_validation, is_resumable, is_run

SETTINGS = Config()
RECORD = {"format": 1, "unet": "0.1.0", "config": {}, "spec": {}}

THEIRS = {
    "config.toml": "lr = 0.1\n",
    "plan.md": "# Plan of my holidays\n",
    "report.html": "mine",
    "samples/cat.png": "mine",
    "metrics.csv": "mine",
    "checkpoints/checkpoint_epoch1.pth": "mine",
    "checkpoints/last.safetensors": "mine",
    "model.safetensors": "mine",
}
"""Of a clone of the Carvana U-Net, say."""


def folder_of(path: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"run.lock": ""},
        {"run.json": '{"experiment": "sacred", "config": {}}'},
        {"run.json": "[1]"},
        {"run.json": "{"},
        {"folds.json": "[[1, 2], [3]]"},
        {"prepared/sources.json": "{}", "run.lock": ""},
        {"config.toml": "", "plan.md": "# Plan\n"},
    ],
    ids=str,
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_the_users_is_no_run(tmp_path: Path, more: dict[str, str], overwrite: bool) -> None:
    folder = folder_of(tmp_path / "clone", {**THEIRS, **more})
    assert not is_run(folder) and not is_resumable(folder) and not is_cross_validation(folder)
    with pytest.raises(InputError, match="holds no run"):
        choose_folder(folder, SETTINGS, overwrite)


@pytest.mark.parametrize(
    "files",
    [
        {"run.json": json.dumps(RECORD)},
        {"folds.json": '{"folds": 3, "done": []}'},
        {"config.toml": to_toml(SETTINGS), "plan.md": "# Plan\n\n- Width 4.\n", "checkpoints/last.safetensors": "x"},
    ],
    ids=["of now", "of folds", "of version 0.1"],
)
def test_a_run_is_replaced_only_where_the_user_says_so(tmp_path: Path, files: dict[str, str]) -> None:
    folder = folder_of(tmp_path / "run", {**files, "notes.txt": "mine"})
    assert is_run(folder)
    with pytest.raises(InputError, match="go on with it by --resume"):
        choose_folder(folder, SETTINGS, overwrite=False)
    assert choose_folder(folder, SETTINGS, overwrite=True) == folder


def test_what_a_run_left_that_was_killed_before_it_was_decided_is_no_obstacle(tmp_path: Path) -> None:
    left = {
        "run.lock": "", "config.toml": to_toml(SETTINGS), "plan.md": "# Plan\n", "pairs.csv": "part,name,image,mask\n",
        "prepared/sources.json": "{}", ".run.json.01234567.part": "half",
    }  # fmt: skip
    folder = folder_of(tmp_path / "run", left)
    (folder / "checkpoints").mkdir()
    assert not is_run(folder) and choose_folder(folder, SETTINGS, overwrite=False) == folder
    for mine in ("notes.txt", "checkpoints/mine.pth", ".hidden"):
        folder_of(folder, {mine: "mine"})
        with pytest.raises(InputError, match="holds no run"):
            choose_folder(folder, SETTINGS, overwrite=False)
        (folder / mine).unlink()
