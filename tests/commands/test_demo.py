from __future__ import annotations

import json
from pathlib import Path

import pytest

from unet import bundle, raster
from unet.commands.demo import MARKER, DemoResult, demo, draw_sheets
from unet.demo import NAMES
from unet.errors import InputError
from unet.terminal.display import open_display

# With all of it given, nothing has to be measured.
TINY = {"width": "4", "depth": "2", "scale": "1.0", "precision": "32-true", "channels_last": "false"}


def small(folder: Path) -> DemoResult:
    return demo(folder, seconds=1, sheets=3, test_sheets=2, size=(64, 96), settings=TINY)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> DemoResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNET_CACHE", str(tmp_path_factory.mktemp("cache")))
        return small(tmp_path_factory.mktemp("demo") / "my demo")


@pytest.mark.slow
def test_everything_it_names_is_there(result: DemoResult) -> None:
    assert len(result.masks) == len(result.overlays) == 2
    for path in (result.model, result.report, *result.masks, *result.overlays):
        assert path.is_file()
    assert raster.probe(result.masks[0]).height == 64
    assert bundle.load(result.model).labels.names == NAMES


@pytest.mark.slow
def test_scores_are_of_the_sheets_kept_apart(result: DemoResult) -> None:
    folder = result.run.parent
    shown = {Path(image["image"]).resolve() for image in result.scores["images"]}

    assert shown == {path.resolve() for path in (folder / "test" / "imgs").iterdir()}
    assert json.loads((folder / "scores.json").read_text(encoding="utf-8")) == result.scores
    drawn = {path.read_bytes() for path in folder.glob("*/imgs/*.png")}
    assert len(drawn) == 5  # none of them twice


@pytest.mark.slow
def test_once_more_uses_the_sheets_again(
    result: DemoResult, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNET_CACHE", str(tmp_path))
    folder = result.run.parent
    sheet = folder / "data" / "imgs" / "sheet_00.png"
    before = sheet.stat().st_mtime_ns

    again = small(folder)

    assert sheet.stat().st_mtime_ns == before
    assert again.run == result.run and again.report.stat().st_mtime_ns > before
    output = capsys.readouterr().out
    assert "on 2 sheets that the network had never seen" in output
    for place in (
        again.model,
        again.report,
        folder / "masks" / "sheet_*_OUT.png",
        folder / "masks" / "sheet_*_overlay.jpg",
    ):
        assert str(place) in output


def test_sheets_are_drawn_anew_for_another_seed_and_where_they_were_not_finished(tmp_path: Path) -> None:
    folder, display = tmp_path / "demo", open_display()
    (folder / "data" / "imgs").mkdir(parents=True)
    left_over = folder / "data" / "imgs" / "sheet_07.png"
    left_over.write_bytes(b"half a pict")
    (folder / MARKER).write_text("{}", encoding="utf-8")

    data, test = draw_sheets(folder, 1, 1, (64, 64), 0, display)
    first = (data / "imgs" / "sheet_00.png").read_bytes()
    draw_sheets(folder, 1, 1, (64, 64), 1, display)
    second = (data / "imgs" / "sheet_00.png").read_bytes()

    assert not left_over.exists()
    assert len({first, second, (test / "imgs" / "sheet_00.png").read_bytes()}) == 3


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("ten years of work", encoding="utf-8")

    with pytest.raises(InputError, match="is not empty"):
        small(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
