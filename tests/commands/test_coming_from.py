"""docs/coming-from: what stands in our column is run, on tiny data drawn here, or looked up."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
import shlex
import shutil
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from encoders import configuration
from PIL import Image

import unet
from unet import cli, config, losses, raster
from unet.runs.recipes import names as recipe_names

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(path for path in (ROOT / "docs" / "coming-from").glob("*.md") if path.name != "README.md")
SCRIPTS = ("train", "predict", "evaluate")


def cells(page: Path) -> list[str]:
    """Return the code in the right column of all tables of a page."""
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert all(row.count(" | ") == 1 for row in rows), "two columns"
    return [span for row in rows for span in re.findall(r"`([^`]+)`", row.split(" | ")[1])]


def lines(page: Path) -> list[str]:
    """Return the command lines of a page, in its tables and in its text."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    prose = "\n".join(line for line in text.splitlines() if not line.startswith("|"))
    spans = [*cells(page), *re.findall(r"`([^`]+)`", prose)]
    wanted = re.compile(r"(unet [a-z-]+ .+|python (train|predict|evaluate)\.py .+)", re.DOTALL)
    return [" ".join(span.split()) for span in spans if wanted.fullmatch(span)]


def parser_of(line: str) -> tuple[Any, list[str]]:
    """Return the parser of a command line, and its arguments."""
    program, *words = shlex.split(line)
    if program == "unet":
        return cli.build_parser(), words
    return script(words[0].removesuffix(".py")).build_parser(), words[1:]


def script(name: str) -> ModuleType:
    """Return a script of the root as a module."""
    spec = importlib.util.spec_from_file_location(f"root_{name}", ROOT / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def known_options() -> set[str]:
    """Return all options of all commands and scripts."""
    parsers = [*cli.build_parser()._commands.values(), *(script(name).build_parser() for name in SCRIPTS)]
    return {option for parser in parsers for option in parser._option_string_actions}


def test_there_is_a_page_for_each_system() -> None:
    index = (ROOT / "docs" / "coming-from" / "README.md").read_text(encoding="utf-8")
    assert len(PAGES) == 8
    assert set(re.findall(r"\((\w+\.md)\)", index)) == {page.name for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_flags_settings_and_names_are_there(page: Path) -> None:
    known = known_options()
    seen = 0
    for span in cells(page):
        if span.startswith("-"):
            words = shlex.split(span)
            assert {word for word in words if re.fullmatch(r"--?[a-z][a-z-]*", word)} <= known, span
            given = dict(pairwise(words))
            assert given.get("--recipe", "atlas") in recipe_names(), span
            losses.parse(given.get("--loss", "ce"))
            assigned = [after for word, after in pairwise(words) if word == "--set"]
            pairs = dict(pair.split("=", 1) for pair in assigned if pair != "KEY=VALUE")
            config.parse(config.from_assignments(pairs))
        elif re.fullmatch(r"unet(\.\w+)+", span):
            value: Any = unet
            for name in span.split(".")[1:]:
                value = getattr(value, name)
        seen += 1
    assert seen > 10


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the pages name."""
    root = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(0)
    table = [("void", 0, 0, 0), ("grass", 0, 128, 0), ("cow", 0, 0, 128)]
    colors = np.array([row[1:] for row in table], np.uint8)
    for number in range(10):
        mask = np.zeros((40, 48), np.uint8)
        mask[10:25, 8 + number : 28 + number] = 1
        picture = rng.integers(0, 60, (40, 48, 3), dtype=np.uint8) + 150 * mask[..., None]
        raster.write_picture(root / "data" / "imgs" / f"p{number}.png", picture)
        raster.write_grey(root / "data" / "masks" / f"p{number}_mask.png", mask)
        raster.write_picture(root / "nnUNet_raw" / "Dataset120_Roads" / "imagesTr" / f"r{number}_0000.png", picture)
        raster.write_grey(root / "nnUNet_raw" / "Dataset120_Roads" / "labelsTr" / f"r{number}.png", mask)
        raster.write_picture(root / "msrc" / "images" / f"{number}_s.bmp", picture)
        raster.write_picture(root / "msrc" / "gt" / f"{number}_s_GT.bmp", colors[mask + (np.arange(48) > 6)])
        part = "train" if number < 8 else "val"
        raster.write_picture(root / "yolo" / "images" / part / f"{number}.png", picture)
        outline = root / "yolo" / "labels" / part / f"{number}.txt"
        outline.parent.mkdir(parents=True, exist_ok=True)
        outline.write_text("0 0.2 0.25 0.6 0.25 0.6 0.6 0.2 0.6\n")
        if number < 2:
            raster.write_picture(root / "photos" / f"{'ab'[number]}.png", picture)
            for name in ("a.jpg", "b.jpg", "image.jpg"):
                Image.fromarray(picture).save(root / name)
    (root / "yolo" / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [car]\n")
    described = {"channel_names": {"0": "R", "1": "G", "2": "B"}, "labels": {"background": 0, "road": 1}}
    (root / "nnUNet_raw" / "Dataset120_Roads" / "dataset.json").write_text(
        json.dumps({**described, "numTraining": 10, "file_ending": ".png"})
    )
    with (root / "msrc" / "classes.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("name", "r", "g", "b"), *table])
    for name, numbers in (("Train", range(6)), ("Validation", (6, 7)), ("Test", (8, 9))):
        (root / "msrc" / f"{name}.txt").write_text("".join(f"{number}_s\n" for number in numbers))
    state = unet.UNet(width=4, depth=2).state_dict()
    for path in (root / "MODEL.pth", root / "checkpoints" / "checkpoint_epoch5.pth"):
        path.parent.mkdir(exist_ok=True)
        torch.save({**state, "mask_values": [0, 1]}, path)
    edges = np.zeros((80, 120), np.uint8)
    edges[::20] = edges[:, ::24] = 255
    raster.write_picture(root / "sheet.png", np.repeat(255 - edges[..., None] // 2, 3, axis=2))
    raster.write_grey(root / "edges.png", edges)
    raster.write_grey(root / "epm.png", np.where(edges, np.uint8(220), np.uint8(3)))
    raster.write_grey(root / "content.png", np.pad(np.full((76, 116), 255, np.uint8), 2))
    for page in PAGES:
        for block in re.findall(r"^```toml\n# (\S+)\n(.*?)^```$", page.read_text(), flags=re.DOTALL | re.MULTILINE):
            (root / block[0]).write_text(block[1].replace("tile = [500, 500]", "tile = [40, 40]"))
    return root


def make_sidewalk(folder: Path) -> None:
    """Write the parquet files of a data set of Hugging Face."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pairs = [(folder / "data/imgs" / f"p{n}.png", folder / "data/masks" / f"p{n}_mask.png") for n in range(10)]
    rows = [{"pixel_values": image.read_bytes(), "label": mask.read_bytes()} for image, mask in pairs]
    (folder / "sidewalk-semantic" / "data").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "sidewalk-semantic/data/train-00000-of-00001.parquet")
    (folder / "sidewalk-semantic/id2label.json").write_text('{"0": "road", "1": "car"}')


def tiny(line: str) -> str:
    """Return a line of a page with tiny settings appended where it would take long."""
    command = line.split()[1]
    if command == "tune-shapes":
        return line + " --dynamic 0,7 --area 50,400 --threshold 0 --workers 1"
    if command not in ("train", "plan") or "--resume" in line:
        return line
    line = re.sub(r" --(time|epochs|steps) \S+", "", line).replace("--folds 5", "--folds 2")
    return line + " --steps 2 --set batch_size=2 --set crop=48 --set width=4 --set depth=2 --device cpu"


def run(line: str) -> None:
    """Run a line of a page."""
    words = shlex.split(tiny(line))
    if words[0] == "unet":
        assert cli.main(words[1:]) == 0, line
        return
    parser, arguments = parser_of(line)
    parser.parse(arguments)
    if words[1] != "train.py":  # whose network of 31 M parameters is trained in test_root_scripts.py
        assert script(words[1].removesuffix(".py")).main(arguments) == 0, line


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_line_runs(page: Path, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "here"
    shutil.copytree(world, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MPLBACKEND", "agg")
    if page.stem == "sidewalk":
        make_sidewalk(folder)
    if page.stem == "smp":
        transformers = pytest.importorskip("transformers")
        transformers.AutoModel.from_config(configuration("resnet")).save_pretrained("microsoft/resnet-34")
    todo = lines(page)
    assert len(todo) >= 3 or page.stem == "smp"
    for line in todo:
        run(line)
    known: dict[str, object] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", page.read_text(), flags=re.DOTALL | re.MULTILINE):
        exec(compile(block, str(page), "exec"), known)
