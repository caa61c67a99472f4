"""`unet inspect` from end to end: what it prints, draws and refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from unet import cli, raster
from unet.commands.inspect import inspect
from unet.errors import InputError

DataMaker = Callable[..., Path]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def listing(folder: Path) -> list[tuple[str, int]]:
    return sorted((path.name, path.stat().st_mtime_ns) for path in folder.rglob("*"))


def test_a_sound_set(make_data: DataMaker, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_data(count=6)
    before = listing(data)
    assert cli.main(["inspect", "data", "--json", "facts.json"]) == 0
    printed = capsys.readouterr()
    assert "0 errors" in printed.out and "foreground" in printed.out and "32 x 24" in printed.out
    assert listing(data) == before
    sheet = raster.read("inspect-data/contact.png")
    assert sheet.ndim == 3 and np.ptp(sheet) > 100
    page = Path("inspect-data/inspect.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 12 and "http" not in page
    assert all(f"p{number:02}" in page for number in range(6))
    box = (sheet[:24] == (200, 30, 30)).all(axis=2)
    assert box.sum() > 60, "of the foreground, in the color of the masks' own palette"
    header = page[page.index("<header>") : page.index("</header>")]
    assert "background (left clear)" in header and "background:rgb(200, 30, 30)" in header and "foreground" in header
    summary = json.loads(Path("facts.json").read_text())
    assert [row["pairs"] for row in summary["parts"]] == [5, 1]
    assert [row["name"] for row in summary["classes"]] == ["background", "foreground"]
    shares = [row["pixels"] for row in summary["classes"]]
    truth = np.mean([raster.read_mask(path) for path in (data / "masks").iterdir()])
    assert shares == pytest.approx([1 - truth, truth])


@pytest.mark.slow
def test_each_part_is_counted(make_data: DataMaker, capsys: pytest.CaptureFixture[str]) -> None:
    make_data(count=10)
    assert cli.main(["inspect", "data", "--val", "0.2", "--test", "0.3", "--json", "facts.json"]) == 0
    summary = json.loads(Path("facts.json").read_text())
    assert {row["name"]: row["pairs"] for row in summary["parts"]} == {"train": 5, "val": 2, "test": 3}
    for row in summary["classes"]:
        assert (row["train"], row["val"], row["test"]) == (5, 2, 3)
    assert capsys.readouterr().out.count("test") == 2, "a row of the parts, a column of the classes"


def test_a_broken_set_is_shown_and_ends_with_2(make_data: DataMaker, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_data(count=6, suffix="")
    for path in (data / "masks").iterdir():
        raster.write_grey(path, np.random.default_rng(0).integers(0, 256, (24, 32)).astype(np.uint8))
    (data / "imgs/p01.png").write_bytes(b"")
    assert cli.main(["inspect", "data", "--json", "facts.json"]) == 2
    printed = capsys.readouterr()
    assert re.search("(?m)^unet: error: .*empty-file, photo-mask", printed.err) and "Traceback" not in printed.err
    summary = json.loads(Path("facts.json").read_text())
    by_kind = {finding["kind"]: finding for finding in summary["findings"]}
    assert by_kind["photo-mask"]["count"] == len(by_kind["photo-mask"]["files"]) == 5
    assert summary["classes"] == [] and summary["values"]
    assert "photo-mask" in Path("inspect-data/inspect.html").read_text(encoding="utf-8")


def test_nothing_can_be_shown(make_data: DataMaker) -> None:
    data = make_data(count=2)
    for path in (data / "imgs").iterdir():
        path.write_bytes(b"")
    survey = inspect(Path("data"))
    assert survey.labels is None and [finding.kind for finding in survey.findings] == ["empty-file"]
    assert not Path("inspect-data/contact.png").exists()


def test_a_folder_of_nothing_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("data").mkdir()
    assert cli.main(["inspect", "data"]) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1 and "no pictures and no folders" in printed.err
    assert not Path("inspect-data").exists()


@pytest.mark.slow
def test_duplicates_are_shown_side_by_side(make_data: DataMaker) -> None:
    data = make_data(count=8)
    Path("val.txt").write_text("p03\np04\n", encoding="utf-8")  # a random split would keep them on one side
    survey = inspect(data, val="val.txt")
    train, val = survey.train[0], survey.val[0]
    val.image.write_bytes(train.image.read_bytes())
    inspect(data, val="val.txt")
    page = Path("inspect-data/inspect.html").read_text(encoding="utf-8")
    shown = re.findall(r'<figcaption>(\S+) <span class="why">([^<]+)', page)
    # The masks are those of different pictures.
    assert {name for name, _ in shown[:2]} == {val.name, train.name}
    first, second = sorted((train.image.name, val.image.name))
    assert re.fullmatch(rf"masks-differ: \d+\.\d\d% unlike {first}", shown[0][1])
    assert shown[1][1].endswith(f" unlike {second}") and "pixel for pixel" in page


@pytest.mark.slow
def test_our_own_page_is_replaced_and_nothing_else(make_data: DataMaker) -> None:
    data = make_data()
    inspect(data)
    inspect(data)
    Path("inspect-data/inspect.html").write_text("mine")
    with pytest.raises(InputError, match="holds other pages"):
        inspect(data)
    assert Path("inspect-data/inspect.html").read_text() == "mine"
    inspect(data, overwrite=True)
    Path("facts.json").write_text("mine")
    with pytest.raises(InputError, match=r"facts.json exists"):
        inspect(data, json=Path("facts.json"))


@pytest.mark.parametrize(("out", "words"), [("data/look", "lies in"), ("data", "lies in"), ("file", "is a file")])
def test_places_that_may_not_be_written(make_data: DataMaker, out: str, words: str) -> None:
    data = make_data()
    Path("file").write_text("x")
    before = listing(data)
    with pytest.raises(InputError, match=words):
        inspect(Path("data"), out=Path(out))
    assert listing(data) == before


# Real data


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("isbi_em", "lossy-mask", r"are 0, 255: JPEG"),
        ("phc-c2dh-u373/01", "instances", r"number objects"),
        ("ultrasound", "mixed-bands", r"170 of 3 bands, 34 of 1 band"),
        ("ultrasound", "masks-differ", r"^1 picture is there twice with different masks"),
        ("msrc2_seg", "ignored", r"\(0, 0, 0\) \(21.9% of the pixels\)"),
    ],
)
def test_real_sets(shared_data: Path, name: str, kind: str, words: str) -> None:
    survey = inspect(shared_data / name, out=Path("look"))
    (finding,) = (finding for finding in survey.findings if finding.kind == kind)
    assert re.search(words, finding.found)
    assert raster.probe("look/contact.png").width > 400


@pytest.mark.slow
def test_real_street_scenes(shared_data: Path) -> None:
    survey = inspect(shared_data / "camvid")
    assert survey.labels is not None and survey.labels.ignored == (11,) and len(survey.labels) == 11
    assert [finding.kind for finding in survey.findings] == ["ignored"]


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["data", "data/train and data/val"])
def test_what_was_found_as_a_dataset_toml(
    make_data: DataMaker, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in layout.split(" and "):
        make_data(folder, count=4)
    assert cli.main(["inspect", "data", "--init", "written/set.toml", "--val", "0.25"]) == 0
    assert cli.main(["inspect", "data", "--init", "written/set.toml"]) == 2
    assert "written/set.toml exists" in capsys.readouterr().err
    text = Path("written/set.toml").read_text(encoding="utf-8")
    assert 'name = "foreground"' in text and str(Path("data").resolve().as_posix()) in text
    tiny = "--steps 1 --set width=2 --set depth=1 --set batch_size=1"
    assert cli.main(f"train written/set.toml --out run {tiny}".split()) == 0
    assert "set.toml says" in capsys.readouterr().err
