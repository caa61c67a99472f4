"""`unet repair` from end to end: what it writes, says and refuses."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unet import cli, raster
from unet.commands import repair as repair_module
from unet.commands.repair import repair
from unet.data.pairs import find_pairs
from unet.errors import InputError

DataMaker = Callable[..., Path]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def data(make_data: DataMaker) -> Path:
    """Six pairs, one mask of which is a JPEG of 0 and 255, one of half its size, and one picture is lost."""
    root = make_data(count=7)
    mask = raster.read_mask(root / "masks/p01_mask.png")
    (root / "masks/p01_mask.png").unlink()
    Image.fromarray(mask * np.uint8(255)).save(root / "masks/p01_mask.jpg")
    Image.open(root / "masks/p02_mask.png").resize((16, 12), Image.Resampling.NEAREST).save(root / "masks/p02_mask.png")
    (root / "imgs/p06.png").unlink()
    for number in (0, 2, 3, 4, 5, 6):
        path = root / f"masks/p{number:02}_mask.png"
        Image.fromarray(raster.read_mask(path) * np.uint8(255)).save(path)
    return Path("data")


def listing(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*"))


def test_a_clean_copy_is_written(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = listing(data)
    assert cli.main(["repair", "data", "--out", "clean"]) == 0
    printed = capsys.readouterr()
    assert "1 file: snapped to 0, 255" in printed.out and "p06_mask.png: has no picture" in printed.out
    assert "6 pairs kept, 1 file left out" in printed.out and "foreground" in printed.out
    assert listing(data) == before
    clean = Path("clean")
    assert {path.name for path in clean.iterdir()} == {
        "images", "masks", "classes.csv", "dataset.toml", "repair.csv", "repair.md",
    }  # fmt: skip
    for number in range(6):
        assert (clean / f"images/p{number:02}.png").read_bytes() == (data / f"imgs/p{number:02}.png").read_bytes()
        assert raster.probe(clean / f"masks/p{number:02}.png").mode == "P"
    assert (clean / "classes.csv").read_text().splitlines()[:2] == ["name,value,r,g,b", "background,0,0,0,0"]
    rows = list(csv.DictReader((clean / "repair.csv").read_text().splitlines()))
    snapped = next(row for row in rows if row["what"].startswith("snapped"))
    assert Path(snapped["file"]).name == "p01_mask.jpg" and snapped["written as"] == "p01"
    jpeg = raster.read_mask(data / "masks/p01_mask.jpg")
    moved = int(((jpeg != 0) & (jpeg != 255)).sum())
    assert int(snapped["pixels"]) == moved and float(snapped["share"]) == pytest.approx(moved / jpeg.size, abs=1e-6)
    assert "p02_mask.png" in (clean / "repair.md").read_text()
    assert cli.main(["inspect", "clean"]) == 0


@pytest.mark.slow
def test_a_clean_copy_is_trained_on(data: Path) -> None:
    assert cli.main(["repair", "data", "--out", "clean"]) == 0
    assert cli.main("train clean --out run --steps 1 --set width=4 --set depth=1".split()) == 0


def test_a_dry_run_writes_nothing(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = listing(tmp_path)
    assert cli.main(["repair", "data", "--out", "clean", "--dry-run"]) == 0
    assert "1 file: snapped to 0, 255" in capsys.readouterr().out and listing(tmp_path) == before


@pytest.mark.parametrize(
    ("out", "message"), [("there", "there exists"), ("data/clean", "lies in data"), ("other", "other.part exists")]
)
def test_nothing_is_overwritten(data: Path, tmp_path: Path, out: str, message: str) -> None:
    Path("there").mkdir()
    Path("other.part").mkdir()
    before = listing(tmp_path)
    with pytest.raises(InputError, match=message):
        repair(data, out=Path(out))
    assert listing(tmp_path) == before


def test_what_a_stopped_call_left_is_replaced(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Path("kept")

    def stop(draft: Path, *rest: object) -> None:
        shutil.copytree(draft, kept)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(repair_module, "write_record", stop)
        repair(data, out=Path("clean"))
    assert not Path("clean").exists() and not Path("clean.part").exists()
    kept.rename("clean.part")  # as if the power had failed
    repair(data, out=Path("clean"))
    assert not Path("clean.part").exists() and not list(Path("clean").rglob("unfinished*"))


def test_parts_are_kept_and_copies_left_out_when_asked(
    make_data: DataMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, part in enumerate(("train", "val", "test")):
        make_data(f"data/{part}", count=3, seed=seed)
    shutil.copy("data/val/imgs/p01.png", "data/train/imgs/p02.png")
    shutil.copy("data/test/imgs/p01.png", "data/val/imgs/p00.png")
    repair(Path("data"), out=Path("clean"))
    assert {part: len(pairs) for part, pairs in find_pairs(Path("clean")).items()} == {"train": 3, "val": 3, "test": 3}
    assert "twice: data/train/imgs/p02.png is data/val/imgs/p01.png" in capsys.readouterr().out.replace("\\", "/")
    plan = repair(Path("data"), out=Path("unique"), drop_duplicates=True)
    assert [Path(left.file).parts[1:] for left in plan.left_out] == [
        ("val", "imgs", "p00.png"),
        ("train", "imgs", "p02.png"),
    ]
    assert {part: len(pairs) for part, pairs in find_pairs(Path("unique")).items()} == {"train": 2, "val": 2, "test": 3}


def test_copies_where_there_are_no_parts(make_data: DataMaker) -> None:
    data = make_data(count=4)
    shutil.copy(data / "imgs/p01.png", data / "imgs/p03.png")
    plan = repair(data, out=Path("clean"), drop_duplicates=True)
    assert [job.pair.name for job in plan.jobs] == ["p00", "p01", "p02"]


def test_objects_and_borders(make_data: DataMaker, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_data(count=3)
    for path in (data / "masks").iterdir():
        numbers = np.zeros((24, 32), np.uint16)
        for number, column in enumerate(range(2, 26, 6), start=1):  # all touch
            numbers[4:16, column : column + 6] = number
        Image.fromarray(numbers).save(path)
    assert cli.main(["repair", "data", "--out", "clean"]) == 2
    assert "--instances borders" in capsys.readouterr().err
    assert len(repair(data, out=Path("two"), instances="objects").labels) == 2
    assert cli.main(["repair", "data", "--out", "three", "--instances", "borders"]) == 0
    assert "4 pixels wide" in capsys.readouterr().out
    mask = raster.read_mask("three/masks/p00.png")
    assert mask[10].tolist() == [0] * 2 + [1] * 4 + ([2] * 4 + [1] * 2) * 3 + [1] * 2 + [0] * 6
    assert [row.split(",")[0] for row in Path("three/classes.csv").read_text().split()[1:]] == [
        "background", "object", "border",
    ]  # fmt: skip
    assert cli.main(["inspect", "three"]) == 0


def test_values_said_by_the_user_decide(make_data: DataMaker) -> None:
    data = make_data(count=3)
    for path in (data / "masks").iterdir():
        Image.fromarray(np.array([0, 3, 90, 252], np.uint8)[np.indices((24, 32)).sum(0) // 8 % 4]).save(path)
    plan = repair(data, out=Path("clean"), mask_values=[0, 90, 255], ignore=[90])
    mask = raster.read_mask("clean/masks/p00.png")
    assert mask[0, ::8].tolist() == [0, 0, 255, 1] and plan.labels.ignored == (255,) and len(plan.labels) == 2


def test_two_folders_and_names_in_capitals(make_data: DataMaker) -> None:
    data = make_data(count=3)
    if not (data / "imgs/P00.PNG").exists():  # a system that tells capitals apart
        shutil.copy(data / "imgs/p01.png", data / "imgs/P00.png")
        shutil.copy(data / "masks/p01_mask.png", data / "masks/P00_mask.png")
    plan = repair(images=data / "imgs", masks=data / "masks", mask_suffix="_mask", out=Path("clean"))
    names = [job.target for job in plan.jobs]
    assert len({name.casefold() for name in names}) == len(list(Path("clean/masks").iterdir())) == len(names)


def test_a_mask_on_its_side_and_a_picture_upside_down(make_data: DataMaker) -> None:
    data = make_data(count=4, ending=".jpg")
    truth = [raster.read_mask(data / f"masks/p{number:02}_mask.png") for number in range(4)]
    raster.write_mask(data / "masks/p01_mask.png", np.rot90(truth[1]).copy(), [0, 0, 0, 200, 30, 30])
    upside_down = Image.fromarray(raster.read(data / "imgs/p02.jpg")[::-1, ::-1])
    exif = Image.Exif()
    exif[0x0112] = 3
    upside_down.save(data / "imgs/p02.jpg", exif=exif)
    raster.write_mask(data / "masks/p02_mask.png", truth[2][::-1, ::-1].copy(), [0, 0, 0, 200, 30, 30])
    original = raster.read(data / "imgs/p02.jpg")
    repair(data, out=Path("clean"))
    for number in range(4):
        assert (raster.read_mask(f"clean/masks/p{number:02}.png") == truth[number]).all()
    assert (raster.read("clean/images/p02.png") == original).all()
    assert raster.probe("clean/images/p02.png").orientation == 1


# Real pictures


def test_masks_saved_as_jpeg_become_two_classes(shared_data: Path) -> None:
    plan = repair(shared_data / "isbi_em", out=Path("clean"))
    assert len(plan.labels) == 2 and len(plan.jobs) == 24 and not plan.left_out
    for job in plan.jobs[:3]:
        mask = raster.read_mask(f"clean/masks/{job.target}.png")
        assert set(np.unique(mask)) == {0, 1}
        assert (mask == (raster.read_mask(job.pair.mask) > 127)).all()


@pytest.mark.slow
def test_cells_become_three_classes(shared_data: Path) -> None:
    plan = repair(shared_data / "phc-c2dh-u373", out=Path("clean"), instances="borders")
    assert plan.labels.names == ("background", "object", "border") and not plan.left_out
    assert cli.main("train clean --out run --steps 2 --set width=4 --set depth=2".split()) == 0


def test_colours_and_void(shared_data: Path) -> None:
    plan = repair(shared_data / "msrc2_seg", out=Path("clean"), dry_run=True)
    assert len(plan.labels) == 21 and plan.labels.ignored == (255,) and len(plan.jobs) == 335
