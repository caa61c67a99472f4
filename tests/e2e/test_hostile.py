"""Nothing that was not named is written or lost, whatever the disk, the signals and the names of things are like."""

from __future__ import annotations

import csv
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch

from unet import __main__ as program
from unet import bundle, cli, files, models, raster
from unet.bundle import Bundle
from unet.errors import InputError, ModelFileError, RasterError
from unet.labels import Labels
from unet.models import ModelSpec
from unet.preprocessing import Preprocessing
from unet.runs.folder import RECORD_ENTRIES
from unet.training.stopping import graceful_stop

DataMaker = Callable[..., Path]
ESCAPING = "\x1b[31mroad\x1b[0m"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def data(make_data: DataMaker) -> Path:
    """Four good pairs, and a model beside them."""
    make_data(suffix="")
    torch.manual_seed(0)
    spec = ModelSpec(width=2, depth=1)
    state = models.build(spec).state_dict()
    bundle.save(Bundle(spec, Labels.numbered(2), Preprocessing(), None, {}, {}, state), Path("model.safetensors"))
    raster.write_grey("roi.png", np.full((24, 32), 255, np.uint8))
    return Path("data")


def contents() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


# --- what is read is not written


@pytest.mark.parametrize(
    "line",
    [
        "evaluate model.safetensors data --json model.safetensors",
        "evaluate model.safetensors data --json data/masks/p00.png",
        "evaluate model.safetensors data --json data/dataset.toml",
        "evaluate model.safetensors data --roi roi.png --json roi.png",
        "evaluate linked.safetensors data --json model.safetensors",
        "inspect data --out look --json data/imgs/p00.png",
        "inspect data --out look --init data/masks/p00.png",
        "predict -m model.safetensors -i data/imgs/p00.png -o roi.png --roi roi.png",
        "evaluate-shapes roi.png roi.png --gt-kind edges --pred-kind edges --json roi.png",
        "augment-preview data --config look.toml --out look.toml",
        "plan --config config.toml --out .",
    ],
)
def test_an_output_that_is_an_input(data: Path, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "dataset.toml").write_text('images = "imgs"\nmasks = "masks"\n')
    for name in ("config.toml", "look.toml"):
        Path(name).write_text("[data]\nroot = 'data'\n")
    Path("linked.safetensors").symlink_to("model.safetensors")
    before = contents()
    code = cli.main([*line.split(), "--overwrite"])
    printed = capsys.readouterr()
    assert code == 2 and "files that are read" in printed.err.replace("one of the pictures", "files that are read")
    assert printed.err.count("\n") == 1 and contents() == before


@pytest.mark.slow
def test_a_run_is_not_replaced_by_one_that_reads_from_it(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("run").mkdir()
    shutil.copy("model.safetensors", "run/model.safetensors")
    Path("run/config.toml").write_text("[data]\nroot = 'data'\n")
    Path("run/run.json").write_text(json.dumps(dict.fromkeys(RECORD_ENTRIES)))
    before = contents()
    assert cli.main("train data --out run --steps 1 --overwrite --load run/model.safetensors".split()) == 2
    assert "run/model.safetensors" in capsys.readouterr().err
    assert contents() == before


def test_what_is_no_file_is_not_replaced() -> None:
    os.mkfifo("pipe")  # as /dev/null, which root could replace
    with pytest.raises(InputError, match="something else than a file"):
        files.write_text(Path("pipe"), "x")
    assert Path("pipe").is_fifo() and len(list(Path().iterdir())) == 1


# --- files called *.part


@pytest.mark.parametrize("side", [40, 9000])  # held in memory, and in a part file
def test_part_files_of_others_stay(side: int) -> None:
    for name in (".a.tif.part", ".a.tif.part.json", "a.tif.part", "a.part"):
        Path(name).write_text("mine")
    options = {"height": side, "width": side, "overwrite": True}
    if side == 40:
        with raster.create("a.tif", **options) as sink:
            sink.write((0, 0, side, side), np.zeros((side, side), np.uint8))
    else:
        with pytest.raises(RasterError, match=r"\.a\.tif\.part is in the way"):
            raster.create("a.tif", **options)
    for name in (".a.tif.part", ".a.tif.part.json", "a.tif.part", "a.part"):
        assert Path(name).read_text() == "mine"


# --- full disks


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes, as a disk does that is nearly full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("line", "size"),
    [
        ("evaluate model.safetensors data --json out.json", 100),
        ("inspect data --out out", 1000),
        ("inspect data --out out --json out.json", 100),
        ("predict -m model.safetensors -i data/imgs -o out", 50),
        ("predict -m model.safetensors -i data/imgs/p00.png -o out.tif --probabilities", 300),
        ("convert model.safetensors out.pth", 500),
        ("convert model.safetensors out.safetensors", 500),
        ("repair data --out out", 50),
        ("tile data/imgs -o out --window 16", 50),
        ("plan data --out out --steps 1 --set width=2 --device cpu --precision fp32", 100),
    ],
)
def test_a_full_disk(data: Path, line: str, size: int, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents()
    with room_for(size):
        code = cli.main(line.split())
    printed = capsys.readouterr()
    complaints = [text for text in printed.err.splitlines() if text.startswith("unet: ")]
    assert code == 2 and len(complaints) == 1 and complaints[0].startswith("unet: error: "), printed.err
    assert "File too large" in complaints[0] or "cannot be written" in complaints[0]
    after = contents()
    assert all(after[name] == content for name, content in before.items())
    assert not list(Path().rglob("*.part"))


@pytest.mark.slow
@pytest.mark.parametrize("size", [300, 4000, 20_000])  # metrics.csv; a state; the report
def test_a_training_on_a_full_disk(data: Path, size: int, capsys: pytest.CaptureFixture[str]) -> None:
    line = "train data --out run --steps 2 --set width=2 --set depth=1 --set batch_size=2 --set workers=0 --device cpu"
    with room_for(size):
        assert cli.main([*line.split(), "--precision", "fp32"]) == 2
    printed = capsys.readouterr().err
    assert printed.splitlines()[-1].startswith("unet: error: ") and "cannot be written" in printed
    assert not list(Path("run").rglob("*.part"))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("line", ["--help", "inspect nowhere"])
def test_standard_output_on_a_full_disk(line: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "unet", *line.split()], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2 and "Traceback" not in done.stderr and done.stderr.count("\n") == 1


# --- names


def test_names_cannot_steer_the_terminal(
    make_data: DataMaker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_data(suffix="")
    with (data / "classes.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("name", "value"), ("ground", 0), (ESCAPING, 1)])
    (data / "imgs" / f"{ESCAPING}.png").write_bytes(b"hello")
    cli.main(["inspect", "data", "--out", "look", "--json", "facts.json"])
    printed = capsys.readouterr()
    page = Path("look/inspect.html").read_text()
    for text in (printed.out, printed.err, page):
        assert "\x1b" not in text
    assert r"\x1b[31mroad" in printed.out and r"\x1b[31mroad" in page
    names = [row["name"] for row in json.loads(Path("facts.json").read_text())["classes"]]
    assert names == ["ground", r"\x1b[31mroad\x1b[0m"]


# --- signals


def test_ctrl_c_before_the_command_line_is_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "main", interrupted)
    assert program.main() == 130
    assert capsys.readouterr().err == "unet: stopped by ctrl-C\n"


@pytest.mark.parametrize(("number", "code", "name"), [(signal.SIGINT, 130, "ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")])
@pytest.mark.parametrize("stops", [1, 2])
def test_an_interruption_that_a_library_turns_into_another_error(
    number: signal.Signals, code: int, name: str, stops: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """As torch does when it reads a file: "could not determine the shape of object type ..."."""

    def read() -> None:
        try:
            os.kill(os.getpid(), number)
        except KeyboardInterrupt:
            raise ModelFileError("model.safetensors: damaged") from None

    def train() -> None:
        with graceful_stop(lambda _: None) if stops == 2 else nullcontext():
            for _ in range(stops):
                read()

    before = signal.getsignal(number)
    assert cli.run_safely(train, "unet") == code
    assert capsys.readouterr().err == f"unet: stopped by {name}\n"
    assert signal.getsignal(number) == before


def test_sigterm_is_called_so(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert cli.run_safely(lambda: os.kill(os.getpid(), signal.SIGTERM), "unet") == 143
    assert capsys.readouterr().err == "unet: stopped by SIGTERM\n"
    assert signal.getsignal(signal.SIGTERM) == before
