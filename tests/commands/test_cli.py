"""The command line: what each flag becomes, what each error prints, and how fast it answers."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from unet import cli
from unet.errors import ConfigError, DataError, InputError, MissingExtraError, Terminated, TrainingError


class Calls(list[tuple[str, tuple[Any, ...], dict[str, Any]]]):
    """The calls that commands got: (name, args, kwargs)."""


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Replace every command by one that only notes how it was called."""
    recorded = Calls()
    homes = {"map_sheet": "map_"}
    for name in ("demo", "demo_map", "train", "evaluate", "predict", "map_sheet", "convert"):

        def note(*args: Any, _name: str = name, **kwargs: Any) -> None:
            recorded.append((_name, args, kwargs))

        module = f"unet.commands.{homes.get(name, name)}"
        monkeypatch.setitem(sys.modules, module, SimpleNamespace(**{name: note}))
    return recorded


def refusal(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line that a refused command line prints."""
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert caught.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.endswith("\n") and printed.err.count("\n") == 1
    return printed.err


def failing(error: BaseException) -> Any:
    def command() -> None:
        raise error

    return command


# --- what each flag becomes


def test_demo(calls: Calls) -> None:
    assert cli.main(["demo"]) == 0
    assert cli.main(["demo", "here", "--seconds", "20", "--seed", "3"]) == 0
    assert calls == [
        ("demo", (), {"folder": Path("unet-demo"), "seconds": 60.0, "seed": 0}),
        ("demo", (), {"folder": Path("here"), "seconds": 20.0, "seed": 3}),
    ]


def test_demo_of_maps(calls: Calls) -> None:
    assert cli.main(["demo", "--map"]) == 0
    assert cli.main(["demo", "here", "--map", "--seconds", "20"]) == 0
    assert calls == [
        ("demo_map", (), {"folder": Path("unet-demo-map"), "seconds": 60.0, "seed": 0}),
        ("demo_map", (), {"folder": Path("here"), "seconds": 20.0, "seed": 0}),
    ]


def test_map(calls: Calls) -> None:
    cli.main("map sheet.tif -m m.safetensors -o a.gpkg -o b.svg --roi town.geojson --dynamic 3 --tta d4".split())
    (name, _, kwargs) = calls[0]
    assert name == "map_sheet" and kwargs["outputs"] == [Path("a.gpkg"), Path("b.svg")]
    given = {key for key, value in kwargs.items() if value}
    assert given == {"sheet", "model", "outputs", "roi", "dynamic", "tta", "units", "device"}


def test_train_with_nothing_said(calls: Calls) -> None:
    cli.main(["train", "data"])
    (name, _, kwargs) = calls[0]
    assert name == "train" and kwargs["data"] == Path("data")
    given = {key for key, value in kwargs.items() if value}
    assert given == {"data", "started"}, "what the user did not say is for the plan to decide"


def test_train_with_everything_said(calls: Calls) -> None:
    line = (
        "train --images a --masks b --mask-suffix _GT -o run --time 1h30m --val 0.2 --group ^[^_]+ "
        "--classes c.csv --mask-values 0,255 --ignore 11,255 --instances --config x.toml --set a=1 "
        "--set training.b=x=y --load m.pth --track wandb --track tensorboard "
        "--device cuda:1 --precision bf16 --overwrite"
    )
    cli.main(line.split())
    (_, _, kwargs) = calls[0]
    assert 0 <= time.monotonic() - kwargs.pop("started") < 60
    assert kwargs == {
        "data": None,
        "images": Path("a"),
        "masks": Path("b"),
        "mask_suffix": "_GT",
        "out": Path("run"),
        "time": "1h30m",
        "epochs": None,
        "steps": None,
        "val": "0.2",
        "group": "^[^_]+",
        "classes": Path("c.csv"),
        "mask_values": [0, 255],
        "ignore": [11, 255],
        "instances": True,
        "config_file": Path("x.toml"),
        "settings": {"a": "1", "training.b": "x=y"},
        "resume": None,
        "load": Path("m.pth"),
        "trackers": ["wandb", "tensorboard"],
        "device": "cuda:1",
        "precision": "bf16-mixed",
        "overwrite": True,
    }


def test_what_is_kept_from_training_and_what_a_scale_must_keep(calls: Calls) -> None:
    cli.main("train data --test 0.1 --keep hair --keep wire".split())
    cli.main("train data --test lists/test.txt".split())
    assert (calls[0][2]["test"], calls[0][2]["keep"]) == ("0.1", ("hair", "wire"))
    assert calls[1][2]["test"] == "lists/test.txt" and "keep" not in calls[1][2]


def test_data_that_were_moved(calls: Calls, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main("train --resume run --data /mnt/new".split())
    (_, _, kwargs) = calls[0]
    assert (kwargs["resume"], kwargs["moved_data"], kwargs["data"]) == (Path("run"), Path("/mnt/new"), None)
    capsys.readouterr()
    assert "--data says where the data of --resume RUN are" in refusal("train --data d".split(), capsys)


def test_a_part_of_a_run_is_evaluated(calls: Calls, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(tmp_path)
    for line in ([run], [run, "--split", "test"], [run, "data"], ["model.safetensors", "data"]):
        cli.main(["evaluate", *line])
    assert [(kwargs["data"], kwargs["split"]) for _, _, kwargs in calls] == [
        (None, None), (None, "test"), (Path("data"), None), (Path("data"), None),
    ]  # fmt: skip
    capsys.readouterr()
    assert "no data; give DATA" in refusal(["evaluate", "model.safetensors"], capsys)
    assert "no data; give DATA" in refusal(["evaluate", run, "--images", "here"], capsys)


def test_inspect(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: dict[str, Any] = {}

    def note(**kwargs: Any) -> SimpleNamespace:
        recorded.update(kwargs)
        return SimpleNamespace(findings=())

    monkeypatch.setitem(sys.modules, "unet.commands.inspect", SimpleNamespace(inspect=note))
    line = (
        "inspect data --mask-suffix _GT --val 0.2 --group ^[^_]+ --classes c.csv --mask-values 0,255 --ignore 11 "
        "--instances --json facts.json --out look --overwrite"
    )
    assert cli.main(line.split()) == 0
    assert recorded == {
        "data": Path("data"),
        "images": None,
        "masks": None,
        "mask_suffix": "_GT",
        "val": "0.2",
        "group": "^[^_]+",
        "classes": Path("c.csv"),
        "mask_values": [0, 255],
        "ignore": [11],
        "instances": True,
        "json": Path("facts.json"),
        "init": None,
        "out": Path("look"),
        "overwrite": True,
    }


def test_train_resumes_without_data(calls: Calls) -> None:
    cli.main(["train", "--resume", "run"])
    assert calls[0][2]["data"] is None and calls[0][2]["resume"] == Path("run")


@pytest.mark.parametrize(
    ("text", "values"),
    [("0,255", [0, 255]), ("7", [7]), ("0,0,0;128,0,64", [(0, 0, 0), (128, 0, 64)])],
)
def test_mask_values(calls: Calls, text: str, values: list[Any]) -> None:
    cli.main(["train", "data", "--mask-values", text])
    assert calls[0][2]["mask_values"] == values


def test_evaluate(calls: Calls) -> None:
    cli.main("evaluate m.safetensors data --split test --json s.json -s 0.5 --exact --overwrite".split())
    assert calls[0][2] == {
        "model": Path("m.safetensors"),
        "data": Path("data"),
        "images": None,
        "masks": None,
        "mask_suffix": None,
        "class_field": None,
        "outline": None,
        "split": "test",
        "roi": None,
        "json": Path("s.json"),
        "scale": 0.5,
        "exact": True,
        "backend": None,
        "boundary": False,
        "tolerance": None,
        "device": "auto",
        "overwrite": True,
    }


def test_predict_with_nothing_said(calls: Calls) -> None:
    cli.main(["predict", "-m", "m.pth", "-i", "a.jpg", "b.jpg"])
    given = {key: value for key, value in calls[0][2].items() if value}
    assert given == {"model": Path("m.pth"), "inputs": ["a.jpg", "b.jpg"], "save": True, "device": "auto"}


def test_predict_with_everything_said(calls: Calls) -> None:
    line = (
        "predict --model m --input a --output b --roi r.geojson --overlay --probabilities --epm 16 --class edge "
        "--raw-values --no-save --viz --overwrite --resume --shard 2/3 --pad edge --tta d4 "
        "--scale 0.25 --mask-threshold 0.7 --exact --backend torch --tile 512 --join gaussian "
        "--device cpu --classes 3 --bilinear --csv a.csv"
    )
    cli.main(line.split())
    assert calls[0][2] == {
        "model": Path("m"),
        "csv": Path("a.csv"),
        "inputs": ["a"],
        "outputs": ["b"],
        "scale": 0.25,
        "threshold": 0.7,
        "overlay": True,
        "probabilities": True,
        "raw_values": True,
        "viz": True,
        "save": False,
        "exact": True,
        "backend": "torch",
        "tile": 512,
        "join": "gaussian",
        "device": "cpu",
        "classes": 3,
        "bilinear": True,
        "overwrite": True,
        "roi": Path("r.geojson"),
        "epm": 16,
        "class_name": "edge",
        "resume": True,
        "shard": (2, 3),
        "pad": "edge",
        "tta": "d4",
    }


def test_predict_takes_several_models_and_kinds_of_probabilities(calls: Calls) -> None:
    cli.main("predict -m a -m b -i s.tif --probabilities uint8 --epm".split())
    given = {key: value for key, value in calls[0][2].items() if value}
    models = [Path("a"), Path("b")]
    more = {"probabilities": "uint8", "epm": 8, "save": True, "device": "auto"}
    assert given == {"model": models, "inputs": ["s.tif"], **more}


def test_predict_takes_the_short_names_of_the_carvana_unet(calls: Calls) -> None:
    cli.main("predict -m M.pth -i a.jpg b.jpg -o x.png y.png -v -n -t 0.4 -s 1 -c 2".split())
    (_, _, kwargs) = calls[0]
    assert (kwargs["model"], kwargs["inputs"]) == (Path("M.pth"), ["a.jpg", "b.jpg"])
    assert (kwargs["outputs"], kwargs["viz"], kwargs["save"]) == (["x.png", "y.png"], True, False)
    assert (kwargs["threshold"], kwargs["scale"], kwargs["classes"]) == (0.4, 1.0, 2)


def test_convert(calls: Calls) -> None:
    cli.main(["convert", "a.pth", "b.safetensors"])
    given = {"source": Path("a.pth"), "target": Path("b.safetensors"), "overwrite": False, "scale": None}
    assert calls == [("convert", (), given)]


@pytest.mark.parametrize(
    "line",
    ["demo", "inspect data", "train data", "evaluate m data", "predict -m m -i a", "convert a b"],
)
def test_the_commands_take_what_they_are_given(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command = line.split()[0]
    real = getattr(importlib.import_module(f"unet.commands.{command}"), command)
    calls: list[inspect.BoundArguments] = []

    def bind(*args: Any, **kwargs: Any) -> SimpleNamespace:
        calls.append(inspect.signature(real).bind(*args, **kwargs))
        return SimpleNamespace(finished=True, findings=())

    monkeypatch.setattr(sys.modules[f"unet.commands.{command}"], command, bind)
    assert cli.main(line.split()) == 0
    kept_for_tests = {"sheets", "test_sheets", "size", "settings"} if command == "demo" else set()
    with_resume = {"moved_data"} if command == "train" else set()
    of_root_script = {"legacy"} if command == "predict" else set()
    missing = set(inspect.signature(real).parameters) - set(calls[0].arguments) - kept_for_tests - with_resume
    assert missing == of_root_script, f"the command line cannot set {missing}"


def test_moved_data_go_with_resume(calls: Calls) -> None:
    cli.main("train --resume run --data /mnt/data".split())
    ((name, _, given),) = calls
    assert (name, given["resume"], given["moved_data"]) == ("train", Path("run"), Path("/mnt/data"))
    with pytest.raises(SystemExit):
        cli.main("train --data /mnt/data".split())


# --- command lines that cannot be used


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("trian data", "did you mean train?"),
        ("train data --epoch 3", "unknown option --epoch; did you mean --epochs?"),
        ("train data --leraning-rate=3", "unknown option --leraning-rate"),
        ("predict --modle m -i a", "did you mean --model?"),
        ("--debgu train data", "did you mean --debug?"),
        ("train data more", "unexpected argument 'more'"),
        ("train", "give DATA, or both --images and --masks"),
        ("train --images a", "give DATA, or both --images and --masks"),
        ("train data --time 1m --epochs 2", "not allowed with"),
        ("train data --epochs 0", "found '0', expected a whole number above 0"),
        ("train data --epochs many", "found 'many'"),
        ("train data --set width", "expected KEY=VALUE"),
        ("train data --mask-values 0,0;1,2", "expected a colour"),
        ("train data --ignore x", "expected whole numbers"),
        ("train data --precision fp8", "expected auto, fp32, bf16 or fp16"),
        ("train data --track wandbb", "did you mean wandb?"),
        ("predict -m m", "--input"),
        ("predict -m m -i a --scale 0", "expected a factor above 0 and at most 1"),
        ("predict -m m -i a --scale nan", "expected a factor"),
        ("predict -m m -i a -t 2", "expected a probability"),
        ("evaluate m data --split tset", "did you mean test?"),
        ("demo --seconds inf", "expected a number above 0"),
        ("convert a", "TARGET"),
    ],
)
def test_refused(line: str, expected: str, calls: Calls, capsys: pytest.CaptureFixture[str]) -> None:
    printed = refusal(line.split(), capsys)
    assert expected in printed
    assert printed.startswith("unet")
    assert not calls


def test_a_double_dash_ends_the_options(calls: Calls) -> None:
    cli.main(["train", "--", "--data"])
    assert calls[0][2]["data"] == Path("--data")


def test_nothing_said_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    assert "unet demo" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["demo", "augment-preview", "train", "evaluate", "predict", "convert"])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([command, "--help"])
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert "Examples:" in printed and f"unet {command}" in printed
    assert "==SUPPRESS==" not in printed


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == "unet 0.1.0\n"


# --- errors of commands


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("no such folder x", "a folder", "name another"), 2,
         "unet: error: no such folder x; expected a folder; name another"),
        (ConfigError("width: -1"), 2, "unet: error: width: -1"),
        (MissingExtraError("tracking", "track"), 2,
         'unet: error: tracking needs a package that is not installed; run: pip install "unet[track]"'),
        (DataError("1 of 9 pairs", faults=["a.png is empty"]), 2,
         "unet: error: 1 of 9 pairs: a.png is empty"),
        (TrainingError("loss is NaN"), 1, "unet: error: loss is NaN"),
        (FileNotFoundError(2, "No such file or directory", "x.png"), 2,
         "unet: error: x.png: No such file or directory"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), 2,
         "unet: error: the package torch is not installed; run: make setup, or pip install -e ."),
        (ValueError("two\nlines"), 1, "unet: unexpected ValueError: two lines (--debug shows where)"),
        (OSError("odd"), 1, "unet: unexpected OSError: odd (--debug shows where)"),
        (OSError(28, "No space left on device"), 2,
         "unet: error: a file cannot be read or written (No space left on device)"),
        (MemoryError(), 2, "unet: error: the memory does not suffice (--debug shows where)"),
        (InputError("\x1b[31mred\u202e.png"), 2, r"unet: error: \x1b[31mred\u202e.png"),
        (KeyboardInterrupt(), 130, "unet: stopped by ctrl-C"),
        (Terminated(), 143, "unet: stopped by SIGTERM"),
    ],
)  # fmt: skip
def test_an_error_is_one_line(error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_safely(failing(error), "unet") == code
    assert capsys.readouterr().err == line + "\n"


def test_each_fault_of_the_data_has_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    error = DataError("2 faults", faults=("a.png is empty", "b.png has no mask"))
    assert cli.run_safely(failing(error), "unet") == 2
    assert capsys.readouterr().err == "unet: error: 2 faults\n  a.png is empty\n  b.png has no mask\n"


@pytest.mark.parametrize("error", [InputError("x"), ValueError("x"), OSError(2, "gone", "x")])
def test_debug_lets_errors_through(error: Exception) -> None:
    with pytest.raises(type(error)):
        cli.run_safely(failing(error), "unet", debug=True)


@pytest.mark.parametrize("line", ["--debug convert a b", "convert a b --debug"])
def test_debug_may_stand_before_and_after_the_command(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command = SimpleNamespace(convert=lambda *_, **__: failing(InputError("x"))())
    monkeypatch.setitem(sys.modules, "unet.commands.convert", command)
    with pytest.raises(InputError):
        cli.main(line.split())
    assert cli.main(["convert", "a", "b"]) == 2


def test_a_reader_that_goes_away_is_no_error() -> None:
    program = (
        "import sys; from unet import cli\n"
        "def talk():\n    for _ in range(100_000): print('a line')\n"
        "sys.exit(cli.run_safely(talk, 'unet'))"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 1


# --- how fast it answers


def test_help_needs_none_of_the_heavy_packages() -> None:
    program = (
        "import json, sys; from unet import cli\n"
        "try:\n    cli.main(['train', '--help'])\n"
        "except SystemExit:\n    print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {
        "torch",
        "numpy",
        "scipy",
        "PIL",
        "rasterio",
        "pydantic",
        "matplotlib",
        "skimage",
        "lightning_fabric",
    }
    assert not heavy & set(json.loads(done.stderr))


def test_a_training_that_was_stopped_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    train = importlib.import_module("unet.commands.train")
    monkeypatch.setattr(train, "train", lambda *args, **kwargs: SimpleNamespace(finished=False))
    assert cli.main(["train", "data"]) == 130
