"""`dataset.toml` from training to evaluation and prediction: tiny data sets, and the real ones that it was made for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from unet import bundle, cli, raster
from unet.commands.evaluate import evaluate
from unet.config import DataConfig
from unet.runs.source import Source, read_source
from unet.terminal.display import open_display

TINY = "--steps 2 --set width=4 --set depth=2 --set precision=32-true --set channels_last=false"
RED, GREEN, BLACK = (200, 0, 0), (0, 200, 0), (0, 0, 0)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def unet(line: str) -> int:
    return cli.main(line.split())


def colored(count: int = 6, size: tuple[int, int] = (32, 40)) -> None:
    """Pictures in photos, masks of three colours in drawn, lists for all parts; black does not count."""
    rng = np.random.default_rng(2)
    for number in range(count):
        classes = rng.integers(0, 3, (size[0] // 8, size[1] // 8)).repeat(8, axis=0).repeat(8, axis=1)
        mask = np.array([BLACK, RED, GREEN], np.uint8)[classes]
        raster.write_picture(Path(f"data/photos/p{number}.png"), mask // 2 + rng.integers(0, 99, (*size, 3), np.uint8))
        raster.write_picture(Path(f"data/drawn/p{number}_GT.png"), mask)
    for part, names in {"Train": "p0\np1\np2", "Val": "p3\np4", "Test": "p5"}.items():
        Path(f"data/{part}.txt").write_text(names)


COLORED = f"""
images = "photos"
masks = "drawn"
mask_suffix = "_GT"
ignore = [{list(BLACK)}]
classes = [
    {{ name = "red", color = {list(RED)} }},
    {{ name = "green", color = {list(GREEN)} }},
]
[split]
train = "Train.txt"
val = "Val.txt"
test = "Test.txt"
"""


def sheet(inside: int = 90) -> None:
    """One sheet with lines every 16 pixels; the map ends at a column, and what lies beyond does not count."""
    rng = np.random.default_rng(3)
    lines = np.zeros((96, 128), np.uint8)
    lines[::16] = lines[:, ::16] = 255
    raster.write_picture(
        Path("map/sheet.png"), 255 - lines[..., None] // 2 - rng.integers(0, 99, (96, 128, 3), np.uint8)
    )
    raster.write_grey(Path("map/lines.png"), lines)
    raster.write_grey(Path("map/content.png"), np.broadcast_to(np.arange(128) < inside, (96, 128)))


SHEET = """
images = "sheet.png"
masks = "lines.png"
roi = "content.png"
tile = [32, 32]
classes = [{ name = "paper", value = 0, color = [255, 255, 255] }, { name = "line", value = 255, color = [200, 0, 0] }]
split = { val = 0.25 }
"""


@pytest.mark.slow
def test_colours_lists_and_an_ignored_one(capsys: pytest.CaptureFixture[str]) -> None:
    colored()
    Path("data/dataset.toml").write_text(COLORED)
    before = sorted(Path("data").rglob("*"))
    assert unet(f"train data --out run {TINY}") == 0
    assert "3 pairs to train on, 2 to validate on, 2 classes: red" in capsys.readouterr().err.replace("\n", " ")
    assert sorted(Path("data").rglob("*")) == before, "nothing of the user's changes"

    for part, number in (("train", 1), ("val", 4)):
        mask = raster.read_mask(Path(f"run/prepared/masks/{part}/p{number}.png"))
        colors = raster.read(Path(f"data/drawn/p{number}_GT.png"))
        for index, color in {0: RED, 1: GREEN, 255: BLACK}.items():
            assert np.array_equal(mask == index, (colors == color).all(axis=2))
    assert not Path("run/prepared/images").exists(), "pictures stay where they are"

    labels = bundle.load(Path("run/model.safetensors")).labels
    assert (labels.names, labels.values, labels.ignored) == (("red", "green"), (RED, GREEN), (BLACK,))
    scores = json.loads(Path("run/evaluation.json").read_text(encoding="utf-8"))
    again = evaluate(Path("run/model.safetensors"), Path("data"), split="val")
    assert again["confusion"] == scores["confusion"] and np.sum(scores["confusion"]) > 0
    assert len(evaluate(Path("run/model.safetensors"), Path("data"), split="test")["images"]) == 1

    assert unet("predict -m run/model.safetensors -i data/photos/p5.png -o out.png --raw-values") == 0
    predicted = raster.read(Path("out.png"))
    assert {tuple(color) for color in predicted.reshape(-1, 3).tolist()} <= {RED, GREEN}


@pytest.mark.slow
def test_a_sheet_in_blocks_with_a_region_of_interest(capsys: pytest.CaptureFixture[str]) -> None:
    sheet()
    Path("map/dataset.toml").write_text(SHEET)
    assert unet(f"train map --out run {TINY}") == 0
    printed = capsys.readouterr().err.replace("\n", " ")
    assert (
        "1 cut into 9 blocks of about 32 x 32 pixels, in run/prepared; 3 in which no pixel counts left out" in printed
    )
    assert "7 pairs to train on, 2 to validate on" in printed
    scores = json.loads(Path("run/evaluation.json").read_text(encoding="utf-8"))
    held = {image["name"] for image in scores["images"]}
    assert len(held) == 2 and held <= {f"sheet@{row},{column}" for row in (0, 32, 64) for column in (0, 32, 64)}
    assert sum(row["pixels"] for row in scores["classes"]) == sum(
        32 * (26 if name.endswith(",64") else 32) for name in held
    )
    assert bundle.load(Path("run/model.safetensors")).labels.values == (0, 255)
    whole = evaluate(Path("run/model.safetensors"), Path("map"))
    assert np.sum(whole["confusion"]) == 96 * 90, "what lies outside does not count here either"


@pytest.mark.slow
def test_lines_are_thickened_before_they_are_cut_into_blocks(capsys: pytest.CaptureFixture[str]) -> None:
    sheet()
    Path("map/dataset.toml").write_text(SHEET.replace("color = [200, 0, 0]", "color = [200, 0, 0], dilate = 1"))
    assert unet(f"train map --out run {TINY}") == 0
    block = raster.read_mask(Path("run/prepared/masks/sheet@32,32.png"))
    assert (block[[0, 1, 15, 16, 17, 31]] == 1).all() and (block[2:15, 2:15] == 0).all()
    labels = bundle.load(Path("run/model.safetensors")).labels
    assert labels.dilated == (0, 1), "the model is scored on what it learned"
    whole = evaluate(Path("run/model.safetensors"), Path("map"))
    rows, columns = 2 + 5 * 3, 2 + 5 * 3  # the first line has pixels on one side of it only
    assert whole["classes"][1]["pixels"] == 96 * 90 - (96 - rows) * (90 - columns)


@pytest.mark.slow
def test_going_on_uses_what_is_there_and_mends_what_has_changed() -> None:
    colored()
    Path("data/dataset.toml").write_text(COLORED)
    assert unet(f"train data --out run {TINY}") == 0
    made = {path: path.stat().st_mtime_ns for path in Path("run/prepared/masks").rglob("*.png")}
    for path in made:
        path.touch()
    made = {path: path.stat().st_mtime_ns for path in made}
    raster.write_picture(Path("data/drawn/p4_GT.png"), np.broadcast_to(np.array(RED, np.uint8), (32, 40, 3)))
    settings = Path("run/config.toml")
    settings.write_text(settings.read_text(encoding="utf-8").replace("steps = 2", "steps = 3"), encoding="utf-8")
    assert unet("train --resume run") == 0
    changed = {path.name for path, time in made.items() if path.stat().st_mtime_ns != time}
    assert changed == {"p4.png"} and (raster.read_mask(Path("run/prepared/masks/val/p4.png")) == 0).all()


@pytest.mark.slow
def test_flags_over_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    colored()
    Path("elsewhere.toml").write_text(COLORED.replace('images = "photos"', 'root = "data"\nimages = "photos"'))
    Path("data/Other.txt").write_text("p2")
    Path("data/names.csv").write_text("name,r,g,b\nvoid,0,0,0\nrouge,200,0,0\nvert,0,200,0\n")
    assert unet(f"train elsewhere.toml --val 0.4 --classes data/names.csv --out run {TINY}") == 0
    printed = capsys.readouterr().err.replace("\n", " ")
    assert "2 pairs to train on, 1 to validate on, 2 classes: rouge" in printed, "a share of what Train.txt names"
    assert unet("train elsewhere.toml --val data/Other.txt --out second " + TINY) == 2
    assert "p2 is in data/Train.txt and in data/Other.txt" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('masks = "drawn"', 'mask = "drawn"', "data/dataset.toml: mask: unknown key (did you mean masks"),
        ("Train.txt", "Trian.txt", "no such file or folder: data/Trian.txt"),
        ("photos", "fotos", "no such folder: data/fotos; did you mean photos"),
        ("classes = [", "tile = [32]\nclasses = [", "tile.1"),
        ("classes = [", 'roi = "roi.png"\nclasses = [', "no such file or folder: data/roi.png"),
        (f"ignore = [{list(BLACK)}]", "", "colours of the masks"),
        ('mask_suffix = "_GT"', 'mask_suffix = "_gt"', "kinds of fault in data"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(capsys: pytest.CaptureFixture[str], old: str, new: str, words: str) -> None:
    colored()
    Path("data/dataset.toml").write_text(COLORED.replace(old, new))
    assert unet(f"train data --out run {TINY}") == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("unet: error:")]
    assert len(errors) == 1 and words in errors[0]
    assert not Path("run").exists()


def test_names_that_are_of_no_picture_all_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    colored()
    Path("data/dataset.toml").write_text(COLORED)
    Path("data/Train.txt").write_text("p0\nq1\np22\n")
    Path("data/Val.txt").write_text("p3\nP4\n")
    assert unet(f"train data --out run {TINY}") == 2
    first, *faults = [line for line in capsys.readouterr().err.splitlines() if "dataset.toml says" not in line]
    assert "3 lines of data/Train.txt and data/Val.txt and data/Test.txt cannot be used" in first
    assert len(faults) == 3 and "p22 is the name of no pictures (did you mean p2" in faults[1]


def test_a_region_of_another_size(capsys: pytest.CaptureFixture[str]) -> None:
    sheet()
    raster.write_grey(Path("map/content.png"), np.ones((96, 127), bool))
    Path("map/dataset.toml").write_text(SHEET)
    assert unet(f"train map --out run {TINY}") == 2
    assert "map/content.png is 127 x 96 pixels, its picture map/sheet.png 128 x 96" in capsys.readouterr().err


@pytest.mark.slow
def test_a_region_that_leaves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    sheet(inside=0)
    Path("map/dataset.toml").write_text(SHEET)
    assert unet(f"train map --out run {TINY}") == 2
    assert "no pixel" in capsys.readouterr().err
    sheet()
    assert unet(f"train map --out run {TINY}") == 0, "the folder of a run that failed may be used again"


# Real data; the two files stand in docs/dataset-toml.md


def documented(name: str, root: Path, folder: Path) -> Path:
    """Return a file with an example of the page, for a data set that lies elsewhere."""
    page = (Path(__file__).parents[2] / "docs" / "dataset-toml.md").read_text(encoding="utf-8")
    (example,) = [block for block in page.split("```toml\n")[1:] if block.startswith(f"# {name}")]
    path = folder / f"{name}.toml"
    path.write_text(f"root = '{root / name}'\n{example.partition('```')[0]}", encoding="utf-8")
    return path


def source_of(path: Path) -> Source:
    return read_source(DataConfig(root=str(path)), None, 0, open_display(), Path("run/prepared"))


def test_msrc(shared_data: Path, tmp_path: Path) -> None:
    source = source_of(documented("msrc2_seg", shared_data, tmp_path))
    assert (len(source.train), len(source.val)) == (276, 59)
    assert len(source.labels) == 21 and source.labels.names[:2] == ("building", "grass")
    assert source.file_labels.ignored == ((0, 0, 0),) and source.file_labels.values[0] == (128, 0, 0)
    masks = [raster.read_mask(pair.mask) for pair in (*source.train, *source.val)]
    assert np.mean([np.mean(mask == 255) for mask in masks]) == pytest.approx(0.217, abs=0.001)
    assert sum(source.fingerprint.class_shares) == pytest.approx(1)


def test_paris(shared_data: Path, tmp_path: Path) -> None:
    source = source_of(documented("paris_atlas_1926", shared_data, tmp_path))
    assert source.labels.names == ("inside", "edge") and source.file_labels.values == (0, 255)
    content = raster.read(shared_data / "paris_atlas_1926" / "content_mask.png").any(axis=2)
    edges = raster.read_mask(shared_data / "paris_atlas_1926" / "edges.png") == 255
    edges = binary_dilation(edges, np.ones((3, 3)))
    counted = {"inside": 0, "edge": 0}
    for pair in (*source.train, *source.val):
        mask = raster.read_mask(pair.mask)
        counted["inside"] += int((mask == 0).sum())
        counted["edge"] += int((mask == 1).sum())
    assert counted == {"inside": (content & ~edges).sum(), "edge": (content & edges).sum()}
    assert not {pair.name for pair in source.train} & {pair.name for pair in source.val}
    assert len(source.val) == pytest.approx(0.2 * (len(source.train) + len(source.val)), abs=1)
