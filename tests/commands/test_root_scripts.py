"""train.py, predict.py and evaluate.py in the root: the flags of the Carvana U-Net, to the letter."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


def script(name: str) -> ModuleType:
    """Return a script of the root as a module."""
    spec = importlib.util.spec_from_file_location(f"root_{name}", ROOT / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def parsed(name: str, line: str) -> dict[str, Any]:
    """Return what a script makes of a command line."""
    return vars(script(name).build_parser().parse(line.split()))


def ran(name: str, line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script of the root in a folder."""
    command = [sys.executable, str(ROOT / f"{name}.py"), *line.split()]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder)


def is_statistic(name: str) -> bool:
    return name.endswith(("running_mean", "running_var", "num_batches_tracked"))


def test_train_defaults() -> None:
    assert parsed("train", "") == {
        "epochs": 5,
        "batch_size": 1,
        "lr": 1e-5,
        "load": None,
        "scale": 0.5,
        "val": 10.0,
        "amp": False,
        "bilinear": False,
        "classes": 2,
        "trackers": None,
        "debug": False,
    }


@pytest.mark.parametrize(
    "line",
    [
        "--epochs 3 --batch-size 2 --learning-rate 1e-4 --load x.pth --scale 0.25 --validation 20 -c 4",
        "-e 3 -b 2 -l 1e-4 -f x.pth -s 0.25 -v 20 -c 4",
        "-e3 -b2 -l1e-4 -fx.pth -s.25 -v20 -c4",
        "--epoch 3 --batch 2 --learning 1e-4 --load=x.pth --sc 0.25 --val 20 --cl 4",
    ],
)
def test_train_names(line: str) -> None:
    args = parsed("train", line)
    assert (args["epochs"], args["batch_size"], args["lr"], args["load"]) == (3, 2, 1e-4, Path("x.pth"))
    assert (args["scale"], args["val"], args["classes"]) == (0.25, 20.0, 4)


@pytest.mark.parametrize("line", ["--epochs 1 --scale 0.25 --amp", "--amp", "--amp --bilinear"])
def test_train_switches(line: str) -> None:
    args = parsed("train", line)
    assert args["amp"] is True
    assert args["bilinear"] is ("--bilinear" in line)


@pytest.mark.parametrize(
    ("line", "environment", "expected"),
    [
        ("", {}, ()),
        ("--track wandb --track tensorboard", {}, ("wandb", "tensorboard")),
        ("", {"WANDB_API_KEY": "k"}, ("wandb",)),
        ("", {"WANDB_MODE": "offline"}, ("wandb",)),
        ("", {"WANDB_API_KEY": "k", "WANDB_MODE": "disabled"}, ()),
        ("", {"UNET_TRACK": "tensorboard, wandb"}, ("tensorboard", "wandb")),
        ("", {"UNET_TRACK": "none", "WANDB_API_KEY": "k"}, ()),
        ("--track none", {"UNET_TRACK": "wandb", "WANDB_API_KEY": "k"}, ()),
    ],
)
def test_trackers_by_flag_or_environment(
    line: str, environment: dict[str, str], expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(__spec__=True))
    assert script("train").wanted_trackers(parsed("train", line)["trackers"], environment) == expected


def test_a_tracker_that_is_set_up_but_not_installed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    train = script("train")
    monkeypatch.setattr(train, "find_spec", lambda name: None)
    assert train.wanted_trackers(None, {"WANDB_API_KEY": "k"}) == ()
    assert "pip install wandb" in caplog.text
    assert train.wanted_trackers(["wandb"], {}) == ("wandb",), "asked for by name: the recipe refuses it"
    with pytest.raises(Exception, match="UNET_TRACK = comet; expected wandb, tensorboard or none"):
        train.wanted_trackers(None, {"UNET_TRACK": "comet"})


def test_train_calls_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UNET_TRACK", "WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    calls: list[dict[str, Any]] = []

    def train_legacy(**kwargs: Any) -> SimpleNamespace:
        calls.append(kwargs)
        return SimpleNamespace(finished=len(calls) == 1)

    recipe = SimpleNamespace(train_legacy=train_legacy)
    monkeypatch.setitem(sys.modules, "unet.commands.train_legacy", recipe)
    assert script("train").main(["-e", "1", "--amp"]) == 0
    assert calls == [
        {
            "epochs": 1,
            "batch_size": 1,
            "lr": 1e-5,
            "load": None,
            "scale": 0.5,
            "val_percent": 10.0,
            "amp": True,
            "bilinear": False,
            "classes": 2,
            "trackers": (),
        }
    ]
    assert script("train").main([]) == 130, "the user stopped it"


def test_predict_defaults() -> None:
    args = parsed("predict", "-i a.jpg")
    assert args["model"] == Path("MODEL.pth")
    assert args["input"] == ["a.jpg"]
    assert args["output"] is None
    assert args["mask_threshold"] is args["scale"] is args["classes"] is None, "the model file says them"
    assert not (args["viz"] or args["no_save"] or args["bilinear"])


@pytest.mark.parametrize(
    "line",
    [
        "--model x.pth --input a.jpg b.jpg --output c.png d.png --viz --no-save --mask-threshold 0.7 "
        "--scale 1 --bilinear --classes 3",
        "-m x.pth -i a.jpg b.jpg -o c.png d.png -v -n -t 0.7 -s 1 --bilinear -c 3",
        "-i a.jpg b.jpg -vn -o c.png d.png -mx.pth -t.7 -s1 --bil -c3",
    ],
)
def test_predict_names(line: str) -> None:
    args = parsed("predict", line)
    assert (args["model"], args["input"]) == (Path("x.pth"), ["a.jpg", "b.jpg"])
    assert args["output"] == ["c.png", "d.png"]
    assert args["viz"] and args["no_save"] and args["bilinear"]
    assert (args["mask_threshold"], args["scale"], args["classes"]) == (0.7, 1.0, 3)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of the name that is looked for where none is given."""
    monkeypatch.chdir(tmp_path)
    Path("MODEL.pth").touch()
    return Path("MODEL.pth")


def predict_call(line: str, monkeypatch: pytest.MonkeyPatch) -> tuple[tuple[Any, ...], dict[str, Any]]:
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    command = SimpleNamespace(predict=lambda *args, **kwargs: calls.append((args, kwargs)) or [Path("a_OUT.png")])
    monkeypatch.setitem(sys.modules, "unet.commands.predict", command)
    assert script("predict").main(line.split()) == 0
    return calls[0]


def test_predict_calls_the_command(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    args, kwargs = predict_call("-i a.jpg b.jpg --viz --no-save", monkeypatch)
    assert args == (model, ["a.jpg", "b.jpg"])
    assert (kwargs["viz"], kwargs["save"]) == (True, False)
    assert (kwargs["raw_values"], kwargs["legacy"], kwargs["overwrite"]) == (True, True, True)


@pytest.mark.usefixtures("model")
def test_only_what_is_said_replaces_what_the_model_file_says(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = ("scale", "threshold", "classes", "bilinear")
    _, kwargs = predict_call("-i a.jpg", monkeypatch)
    assert [kwargs[name] for name in flags] == [None] * 4
    _, kwargs = predict_call("-i a.jpg -s 0.25 -t 0.7 -c 3 --bilinear", monkeypatch)
    assert [kwargs[name] for name in flags] == [0.25, 0.7, 3, True]


@pytest.mark.parametrize(("name", "line"), [("predict", "-i a.jpg"), ("evaluate", "")])
def test_without_a_model_the_newest_checkpoint_is_named(
    name: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert script(name).main(line.split()) == 2
    assert "MODEL.pth does not exist" in (printed := capsys.readouterr().err) and "python train.py" in printed
    Path("checkpoints").mkdir()
    for age, epoch in enumerate((10, 9, 2)):  # the last one is the newest
        path = Path(f"checkpoints/checkpoint_epoch{epoch}.pth")
        path.touch()
        os.utime(path, (1000 + age, 1000 + age))
    assert script(name).main(line.split()) == 2
    assert "give the newest checkpoint: -m checkpoints/checkpoint_epoch2.pth" in capsys.readouterr().err


def test_evaluate_names() -> None:
    args = parsed("evaluate", "-m x.pth -s 1 --amp --bilinear -c 3 --batch-size 4")
    assert (args["model"], args["scale"], args["classes"], args["batch_size"]) == (Path("x.pth"), 1.0, 3, 4)
    assert parsed("evaluate", "")["model"] == Path("MODEL.pth")


@pytest.mark.parametrize(
    ("name", "line", "expected"),
    [
        ("train", "--epochs many", "--epochs"),
        ("train", "--epoks 3", "did you mean --epochs?"),
        ("train", "data", "unexpected argument 'data'"),
        ("predict", "", "--input"),
        ("predict", "--imput a.jpg", "did you mean --input?"),
        ("evaluate", "--modle x", "did you mean --model?"),
    ],
)
def test_refused_in_one_line(name: str, line: str, expected: str, tmp_path: Path) -> None:
    done = ran(name, line, tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"{name}.py: error: ") and done.stderr.count("\n") == 1
    assert expected in done.stderr


def test_they_run_from_a_clone_that_is_not_installed(tmp_path: Path) -> None:
    # -S leaves out what an editable installation puts on the path: only the script itself can find `unet`.
    program = (
        f"import runpy, sys; sys.path += [{sysconfig.get_path('purelib')!r}]\n"
        f"runpy.run_path({str(ROOT / 'train.py')!r})\n"
        "import unet; print(unet.__file__)"
    )
    done = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == ROOT / "src" / "unet" / "__init__.py"


@pytest.mark.slow
def test_train_predict_evaluate(
    make_data: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_data("data", count=4, size=(64, 96))
    track = ""
    if all(importlib.util.find_spec(name) for name in ("wandb", "tensorboard")):
        track = " --track wandb --track tensorboard"
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))  # no account
    done = ran("train", f"--epochs 1 --scale 0.5 --amp{track}", tmp_path)
    assert done.returncode == 0, done.stderr
    if track:
        (offline,) = tmp_path.glob("runs/*/wandb/offline-run-*")
        assert f'wandb sync "{offline.relative_to(tmp_path)}"' in done.stderr
        assert list(offline.glob("*.wandb")) and list(tmp_path.glob("runs/*/tensorboard/events*"))
    assert "INFO: Using device" in done.stderr
    assert "INFO: Network:\n\t3 input channels\n\t2 output channels (classes)\n\tTransposed conv" in done.stderr

    assert "-m checkpoints/checkpoint_epoch1.pth -i PICTURE" in done.stderr, "the next command, as it is typed"

    # Nothing but weights and mask values, as the original writes it.
    state = torch.load(tmp_path / "checkpoints" / "checkpoint_epoch1.pth", weights_only=True)
    assert state.pop("mask_values") == [0, 1]
    assert sum(tensor.numel() for name, tensor in state.items() if not is_statistic(name)) == 31_037_698

    pictures = "data/imgs/p00.png data/imgs/p01.png"
    done = ran("predict", f"-m checkpoints/checkpoint_epoch1.pth -i {pictures} -o a.png b.png", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "INFO: Mask saved to a.png" in done.stderr
    for name in ("a.png", "b.png"):
        with Image.open(tmp_path / name) as mask:
            assert (mask.mode, mask.size) == ("1", (96, 64))

    done = ran("predict", f"-m checkpoints/checkpoint_epoch1.pth -i {pictures} --no-save", tmp_path)
    assert done.returncode == 0 and "saved to" not in done.stderr
    assert sorted(path.name for path in (tmp_path / "data" / "imgs").iterdir()) == [f"p0{n}.png" for n in range(4)]

    done = ran("evaluate", "-m checkpoints/checkpoint_epoch1.pth --amp", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "INFO: Validation Dice score: " in done.stderr
    assert "of which 3 the model was trained on and 1 chose its weights" in done.stdout

    done = ran("train", "-e 1 -f data/imgs/p00.png", tmp_path)
    assert done.returncode == 2 and done.stderr.splitlines()[-1].startswith("train.py: error: ")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are another matter there")
def test_a_training_that_is_stopped_leaves_its_weights(make_data: Callable[..., Path], tmp_path: Path) -> None:
    make_data("data", count=40, size=(64, 96))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "INTERRUPTED.pth").write_text("of an earlier run")
    process = subprocess.Popen(
        [sys.executable, ROOT / "train.py", "-e", "50"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("step "):
            break
    process.send_signal(signal.SIGINT)
    _, message = process.communicate(timeout=120)
    assert process.returncode == 130 and "Traceback" not in message, message
    state = torch.load(tmp_path / "checkpoints" / "INTERRUPTED.pth", weights_only=True)
    assert "mask_values" in state
    (old,) = (tmp_path / "checkpoints").glob("before-*/INTERRUPTED.pth")
    assert old.read_text() == "of an earlier run"


@pytest.mark.parametrize(
    ("name", "line", "expected"),
    [
        ("train", "", "data"),
        ("predict", "-i a.jpg", "MODEL.pth does not exist"),
        ("evaluate", "", "MODEL.pth does not exist"),
    ],
)
def test_files_that_are_missing(
    name: str,
    line: str,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert script(name).main(line.split()) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"{name}.py: error: ") and expected in last
