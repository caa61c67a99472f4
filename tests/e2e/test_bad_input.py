"""Bad input through the real command line: one clear line (and one for each fault), exit code 2, nothing harmed."""

from __future__ import annotations

import os
import pickle
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unet import bundle, cli, models, raster
from unet.bundle import Bundle
from unet.labels import Labels
from unet.models import ModelSpec
from unet.preprocessing import Preprocessing

DataMaker = Callable[..., Path]
TRAIN = "train data --out run --steps 1 --set width=4 --set depth=2"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def data(make_data: DataMaker) -> Path:
    """Four good pairs to spoil, and a good model beside them."""
    make_data()
    torch.manual_seed(0)
    spec = ModelSpec(width=2, depth=1)
    state = models.build(spec).state_dict()
    bundle.save(Bundle(spec, Labels.numbered(2), Preprocessing(), None, {}, {}, state), Path("model.safetensors"))
    return Path("data")


def refusal(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command line that must be refused as all are; return what it printed."""
    before = listing()
    capsys.readouterr()
    try:
        code = cli.main(shlex.split(line))
    except SystemExit as stopped:  # argparse
        code = int(stopped.code or 0)
    printed = capsys.readouterr()
    assert code == 2, printed.err
    assert printed.out == ""
    check_lines(printed.err)
    assert listing() == before, "nothing is written"
    return printed.err


def check_lines(text: str) -> None:
    assert "Traceback" not in text and text.endswith("\n")
    first, *faults = text.splitlines()
    assert re.match(r"unet( \w+)?: error: \S", first)
    assert all(fault.startswith("  ") for fault in faults), text
    assert len(faults) != 1, "a single fault stands in the first line"


def listing() -> list[str]:
    return sorted(str(path) for path in Path().rglob("*"))


class Evil:
    """A pickle that makes a file when it is loaded carelessly."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return os.system, ("touch harmed",)


# --- folders and files


@pytest.mark.parametrize("command", [TRAIN, "evaluate model.safetensors data"])
@pytest.mark.parametrize(
    ("degrade", "message"),
    [
        (lambda data: shutil.rmtree(data), "no such folder: data"),
        (lambda data: [shutil.rmtree(data / name) for name in ("imgs", "masks")], "no pictures and no folders"),
        (lambda data: (shutil.rmtree(data), data.write_text("x")), "data is a file"),
        (lambda data: shutil.rmtree(data / "masks"), "a folder masks"),
        (lambda data: [path.unlink() for path in (data / "imgs").iterdir()], "no pictures in data/imgs"),
        (lambda data: (data / "imgs" / "p01.png").unlink(), "p01_mask.png has no picture"),
        (lambda data: (data / "imgs" / "p01.png").write_text("hello"), "p01.png is not a picture: it is a text file"),
        (lambda data: (data / "imgs" / "p01.png").write_bytes(b""), "p01.png is empty"),
        (lambda data: (data / "masks" / "p01_mask.png").write_text("hello"), "p01_mask.png is not a picture"),
        (lambda data: cut(data / "imgs" / "p01.png", ".jpg"), "p01.jpg is cut off"),
        (lambda data: cut(data / "masks" / "p01_mask.png", ".png"), "p01_mask.png is"),
        (lambda data: resized(data / "masks" / "p01_mask.png", (16, 12)), "0.5 times the size"),
        (lambda data: resized(data / "masks" / "p01_mask.png", (24, 32)), "lies on its side"),
        (lambda data: resized(data / "masks" / "p01_mask.png", (32, 23)), "pair the right files"),
    ],
)  # fmt: skip
def test_data_that_cannot_be_used(
    data: Path, command: str, degrade: Callable[[Path], object], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    degrade(data)
    assert message in refusal(command, capsys)


def cut(path: Path, suffix: str) -> None:
    """Keep the first half of a file, saved with another ending before."""
    pixels = np.asarray(Image.open(path))
    path.unlink()
    path = path.with_suffix(suffix)
    Image.fromarray(pixels).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def resized(path: Path, size: tuple[int, int]) -> None:
    Image.open(path).resize(size, Image.Resampling.NEAREST).save(path)


def test_every_fault_is_named_at_once(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "imgs" / "p00.png").write_text("hello")
    (data / "imgs" / "p01.png").write_bytes(b"")
    resized(data / "masks" / "p02_mask.png", (8, 8))
    first, *faults = refusal(TRAIN, capsys).splitlines()
    assert "3 kinds of fault in data" in first and len(faults) == 3
    assert all(f"p0{number}" in fault for number, fault in zip((1, 0, 2), faults, strict=True))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
@pytest.mark.parametrize("name", ["imgs/p01.png", "imgs", "masks/p01_mask.png", "."])
def test_what_may_not_be_read(data: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (data / name).chmod(0)
    try:
        capsys.readouterr()
        assert cli.main(TRAIN.split()) == 2
        check_lines(capsys.readouterr().err)
    finally:
        (data / name).chmod(0o755)


@pytest.mark.parametrize(
    ("degrade", "flags", "message"),
    [
        (lambda masks: masks * 0, "", "one value only"),
        (lambda masks: masks * 200 + 3, "--mask-values 0,255,9,9", "two or more different ones"),
        (lambda masks: masks, "--classes nowhere.csv", "no such file: nowhere.csv"),
        (lambda masks: masks, "--ignore 1", "one value only (0)"),
        (lambda masks: masks * 0, "--instances", "the value 0 only"),
        (lambda masks: masks, "--set outputs=300", "less than or equal to 255"),
    ],
)
def test_masks_that_hold_no_classes(
    data: Path,
    degrade: Callable[[np.ndarray], np.ndarray],
    flags: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for path in (data / "masks").iterdir():
        Image.fromarray(degrade(raster.read_mask(path).astype(np.uint8))).save(path)
    assert message in refusal(f"{TRAIN} {flags}", capsys)


# --- the split


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--val 0", "a share of 0"),
        ("--val 1", "a share of 1"),
        ("--val 1.5", "a share of 1.5"),
        ("--val=-0.5", "a share of -0.5"),
        ("--val nan", "a share of nan"),
        ("--val nowhere", "no such file or folder: nowhere"),
        ("--val names.txt", "2 lines of names.txt"),
        ("--val nothing.txt", "0 held out"),
        ("--val data", "0 pictures to train on"),
        ("--group '('", "regular expression"),
        ("--group '^x'", "does not match the name 'p00'"),
        ("--group '^p'", "one group of 4 pictures"),
    ],
)
def test_splits_that_leave_nothing(data: Path, flags: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("names.txt").write_text("this\nthat\n")
    Path("nothing.txt").write_text("# nothing\n")
    assert message in refusal(f"{TRAIN} {flags}", capsys)


def test_a_single_picture(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (*data.glob("imgs/*"), *data.glob("masks/*")):
        if not path.stem.startswith("p00"):
            path.unlink()
    assert "1 picture; expected at least two" in refusal(TRAIN, capsys)


def test_two_pictures_of_one_group(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (*data.glob("imgs/*"), *data.glob("masks/*")):
        if path.stem[:3] not in ("p00", "p01"):
            path.unlink()
    assert "one group of 2 pictures" in refusal(f"{TRAIN} --group '^p0'", capsys)


# --- words and numbers


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("trian data", "did you mean train?"),
        ("evalute m data", "did you mean evaluate?"),
        ("predit -m m -i a", "did you mean predict?"),
        ("convrt a b", "did you mean convert?"),
        ("dmeo", "did you mean demo?"),
        ("train data --epoch 3", "did you mean --epochs?"),
        ("evaluate m data --jsn x", "did you mean --json?"),
        ("predict -m m --inptu a", "did you mean --input?"),
        ("convert a b --overwite", "did you mean --overwrite?"),
        ("demo --secnods 3", "did you mean --seconds?"),
        ("train", "give DATA"),
        ("evaluate model.safetensors", "give DATA"),
        (f"{TRAIN} --set widht=3", "did you mean width"),
        (f"{TRAIN} --set nets.width=3", "nets.width"),
        (f"{TRAIN} --set width", "KEY=VALUE"),
        (f"{TRAIN} --set =3", "KEY=VALUE"),
        (f"{TRAIN} --set width=many", "model.width: 'many'"),
        (f"{TRAIN} --set width=", "model.width"),
        (f"{TRAIN} --set width=-1", "model.width: -1"),
        (f"{TRAIN} --set depth=0", "model.depth: 0"),
        (f"{TRAIN} --set depth=99", "model.depth: 99"),
        (f"{TRAIN} --set scale=0", "data.scale"),
        (f"{TRAIN} --set scale=nan", "data.scale"),
        (f"{TRAIN} --set crop=[8]", "data.crop"),
        (f"{TRAIN} --set crop=[8,-8]", "data.crop.1: -8"),
        (f"{TRAIN} --set batch_size=0", "training.batch_size"),
        (f"{TRAIN} --set learning_rate=-1", "training.learning_rate"),
        (f"{TRAIN} --set learning_rate=inf", "training.learning_rate"),
        (f"{TRAIN} --set optimizer=magic", "'adamw', 'adam', 'sgd' or 'rmsprop'"),
        (f"{TRAIN} --set schedule=linear", "onecycle"),
        (f"{TRAIN} --set schedule=plateau --set warm_up=0.1", "no warm_up"),
        (f"{TRAIN} --set validations=3 --set validate_every=2", "expected one of them"),
        (f"{TRAIN} --set augment=heavy", "light"),
        (f"{TRAIN} --set loss=ce+magic", "a sum of ce, dice, micro_dice"),
        (f"{TRAIN} --loss focal(gama=2)", "did you mean gamma?"),
        (f"{TRAIN} --loss ce*dice", "ce*dice"),
        (f"{TRAIN} --set architecture=vnet", "expected unet"),
        (f"{TRAIN} --set best_by=accuracy", "mean_iou"),
        (f"{TRAIN} --set resample=nearest", "area"),
        (f"{TRAIN} --set seed=-1", "training.seed"),
        (f"{TRAIN} --set seed=99999999999999999999", "training.seed"),
        (f"{TRAIN} --set trackers=tensorboard", "training.trackers"),
        (f"{TRAIN} --set outputs=1 --set width=4 --set outputs=0", "model.outputs: 0"),
        (f"{TRAIN} --device tpu", "device 'tpu'"),
        (f"{TRAIN} --device cuda:77", "cuda:77"),
        (f"{TRAIN} --device cpu --precision fp16", "on a CPU"),
        (f"{TRAIN} --precision fp8", "fp8"),
        (f"{TRAIN} --track mlflow", "mlflow"),
        ("train data --time soon", "a time like 90s"),
        ("train data --time=-5m", "a time like 90s"),
        ("train data --time 0", "a time like 90s"),
        ("train data --time 1m --steps 3", "not allowed with"),
        ("train data --time 1m --set steps=3", "given together"),
        ("train data --steps -3", "a whole number above 0"),
        ("train data --epochs 1.5", "a whole number above 0"),
        ("train data --images data/imgs", "DATA (data) together with"),
        ("train --images data/imgs", "give DATA"),
        ("train --images data/imgs --masks nowhere --steps 1", "no such folder: nowhere"),
        ("train --images nowhere --masks data/masks --steps 1", "no such folder: nowhere"),
        ("train --images data/imgs --masks data/masks --mask-suffix _GT --steps 1", "does not end in _GT"),
        ("evaluate model.safetensors data --split tets", "did you mean test?"),
        ("evaluate model.safetensors data --split val", "no part 'val'"),
        ("evaluate model.safetensors data --scale 2", "a factor"),
        ("evaluate model.safetensors data --device tpu", "device 'tpu'"),
        ("predict -m model.safetensors -i data/imgs -t 1.5", "a probability"),
        ("predict -m model.safetensors -i data/imgs --scale 0", "a factor"),
        ("predict -m model.safetensors -i data/imgs --classes 3", "has 2 classes"),
        ("predict -m model.safetensors -i data/imgs -o a.png", "1 outputs for 4 pictures"),
        ("predict -m model.safetensors -i data/imgs/p00.png -o a.docx", "no ending of a picture format"),
        ("predict -m model.safetensors -i data/imgs/p00.png -o data/imgs/p00.png --overwrite", "one of the pictures"),
        ("predict -m model.safetensors -i nowhere.png", "no such file or folder: nowhere.png"),
        ("predict -m model.safetensors -i data/imgs/p99.png", "did you mean p0"),
        ("predict -m model.safetensors -i 'data/*.tif'", "no pictures match"),
        ("predict -m model.safetensors -i data", "give data/imgs"),
        ("predict -m model.safetensors -i model.safetensors", "not a picture"),
        ("demo --seconds soon", "a number above 0"),
        ("convert model.safetensors model.onnx", ".safetensors or .pth"),
        ("convert model.safetensors model.safetensors", "the source itself"),
    ],
)
def test_words_and_numbers(data: Path, line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in refusal(line, capsys)


# --- settings files, runs, places


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[data]\nrot = 'data'\n[nets]\nx = 1\n[training]\nsteps = 'many'\n", ("data.rot", "nets", "training.steps")),
        ("data = 3", ("data: 3",)),
        ("[training]\nsteps = 3\nepochs = 3\n", ("steps", "epochs")),
        ("this is no toml", ("run.config",)),
        ("", ("give DATA",)),
        ("[data]\nroot = 'nowhere'\n", ("no such folder: nowhere",)),
    ],
)
def test_settings_files(data: Path, text: str, message: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    Path("run.config").write_text(text)
    printed = refusal("train --config run.config --out run", capsys)
    assert all(word in printed for word in message)


def test_no_settings_file(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("nowhere.toml", "data", "data/imgs/p00.png"):
        assert f"unet: error: {name}" in refusal(f"{TRAIN} --config {name}", capsys)


def test_runs_to_go_on_with(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is no folder" in refusal("train --resume nowhere", capsys)
    assert "holds no run to go on with" in refusal("train --resume data", capsys)
    Path("run").mkdir()
    Path("run/config.toml").write_text("[data]\nroot = 'data'\n")
    assert "holds no run to go on with" in refusal("train --resume run", capsys)
    assert "--resume RUN alone" in refusal("train data --resume run --steps 3", capsys)


def test_places_that_cannot_be_written(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = "--steps 1 --set width=4 --set depth=2"
    assert "is a file" in refusal(f"train data --out model.safetensors/run {line}", capsys)
    assert "is a file" in refusal(f"train data --out model.safetensors {line}", capsys)
    assert "holds no run" in refusal(f"train data --out data {line}", capsys)
    assert "holds no run" in refusal(f"train data --out data --overwrite {line}", capsys)
    assert "model.safetensors" in refusal("convert model.safetensors model.safetensors/x.pth", capsys)
    assert "model.safetensors" in refusal("evaluate model.safetensors data --json model.safetensors/x.json", capsys)


# --- models


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nowhere.pth", None, "does not exist"),
        ("empty.pth", b"", "is empty"),
        ("text.pth", b"hello, this is not a model at all", "text.pth"),
        ("noise.safetensors", bytes(range(256)) * 4, "noise.safetensors"),
        ("picture.pth", b"\x89PNG\r\n\x1a\n" + bytes(50), "picture.pth"),
        ("evil.pth", pickle.dumps(Evil()), "not a file of weights"),
        ("evil.safetensors", pickle.dumps({"outc.conv.weight": Evil()}), "evil.safetensors"),
    ],
)
def test_files_that_are_no_models(
    data: Path, name: str, content: bytes | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    for line in (
        f"evaluate {name} data",
        f"predict -m {name} -i data/imgs",
        f"convert {name} other.safetensors",
        f"{TRAIN} --load {name}",
    ):
        assert message in refusal(line, capsys)
    assert not Path("harmed").exists()


def test_a_torch_file_that_would_run_code(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"inc.double_conv.0.weight": torch.zeros(4, 3, 3, 3), "mask_values": Evil()}, "evil.pth")
    assert "evil.pth" in refusal("evaluate evil.pth data", capsys)
    (data / "imgs" / "p00.png").unlink()
    torch.save(Evil(), data / "imgs" / "p00.pt")  # a picture may be a tensor file too
    assert "p00.pt" in refusal(TRAIN, capsys)
    assert not Path("harmed").exists()


def test_models_that_do_not_fit(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = Path("model.safetensors").read_bytes()
    Path("half.safetensors").write_bytes(content[: len(content) // 2])
    assert "damaged or cut off" in refusal("evaluate half.safetensors data", capsys)
    torch.save({"fc.weight": torch.zeros(3)}, "other.pth")
    assert "not the weights of a U-Net" in refusal("evaluate other.pth data", capsys)
    load = "train data --out run --steps 1 --load model.safetensors"
    assert "width = 4; expected 2" in refusal(f"{load} --set width=4", capsys)
    assert "folder" in refusal("evaluate data data", capsys)


def test_a_mask_value_that_the_model_never_saw(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (data / "masks").iterdir():
        Image.fromarray(raster.read_mask(path).astype(np.uint8) * 5).save(path)
    first, *faults = refusal("evaluate model.safetensors data", capsys).splitlines()
    assert "4 of 4" in first and len(faults) == 4 and all("mask values 5" in fault for fault in faults)


# --- as a process of its own


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("trian data", "did you mean train?"),
        ("train nowhere", "no such folder: nowhere"),
        ("evaluate evil.pth data", "not a file of weights"),
        ("predict -m model.safetensors -i text.png", "text.png is not a picture"),
    ],
)
def test_processes(data: Path, line: str, message: str) -> None:
    Path("evil.pth").write_bytes(pickle.dumps(Evil()))
    Path("text.png").write_text("hello")
    done = subprocess.run([sys.executable, "-m", "unet", *line.split()], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    check_lines(done.stderr)
    assert message in done.stderr and done.stderr.count("\n") == 1
    assert not Path("harmed").exists()
