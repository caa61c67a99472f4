"""`unet demo --map`, and the lines of docs/maps.md and the README on what it draws."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import shapely
from PIL import Image

from unet import bundle, cli, raster
from unet.commands.demo import MARKER
from unet.commands.demo_map import BLOCK, MapDemoResult, best_threshold, demo_map, draw_atlas, held_columns
from unet.errors import InputError
from unet.shapes.vector_files import read_polygons
from unet.terminal.display import open_display

ROOT = Path(__file__).parents[2]
SIZE, SECOND = (260, 600), (240, 300)
TINY = {
    "width": "4",
    "depth": "2",
    "crop": "[64, 64]",
    "batch_size": "4",
    "precision": "32-true",
    "channels_last": "false",
}

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNET_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> MapDemoResult:
    folder = tmp_path_factory.mktemp("demo") / "my map"
    return demo_map(folder, steps=5, size=SIZE, second_size=SECOND, settings=TINY)


@pytest.mark.slow
def test_the_way_is_whole(result: MapDemoResult) -> None:
    folder = result.shapes.parent
    read = read_polygons(result.shapes)
    assert read.crs == "EPSG:2154" and shapely.coverage_is_valid(read.geometries)
    tuned = bundle.load(result.model).shapes
    assert tuned is not None and tuned.calibrate == "edge"
    assert result.page.is_file() and (folder / "tuning" / "grid.csv").is_file()
    assert result.scores["labels_pred"] == len(read.geometries)
    with raster.open(folder / "atlas" / "second_edges.png") as truth:
        assert (truth.height, truth.width) == SECOND
    assert result.components["labels_gt"] == result.scores["labels_gt"] > 10


@pytest.mark.slow
def test_the_columns_held_out_are_not_trained_on(result: MapDemoResult) -> None:
    folder, first = result.shapes.parent, held_columns(SIZE)
    assert first == 400
    blocks = [path.stem for path in (folder / "run" / "prepared" / "masks").iterdir()]
    assert blocks
    for path in (folder / "run" / "prepared" / "masks").iterdir():
        column = int(re.findall(r"@\d+,(\d+)", path.name)[0])
        with Image.open(path) as mask:
            beyond = np.asarray(mask)[:, max(first - column, 0) :]
        assert (beyond == 255).all()
    held = raster.read_mask(folder / "tuning" / "held_epm.tif")
    assert not held[:, : first - 1].any()


def test_the_best_threshold_is_the_lower_of_equal_ones() -> None:
    rows = [(None, 0.9), (0, None), (5, 0.4), (10, 0.6), (20, 0.6)]
    assert best_threshold({"settings": [{"threshold": threshold, "pq": pq} for threshold, pq in rows]}) == 10


@pytest.mark.slow
def test_sheets_are_drawn_once(tmp_path: Path) -> None:
    display = open_display()
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="is not empty"):
        draw_atlas(tmp_path, SIZE, SECOND, 0, display)
    (tmp_path / "mine.txt").unlink()
    atlas = draw_atlas(tmp_path, (240, 400), (240, 240), 0, display)
    before = (atlas / "second.tif").stat().st_mtime_ns
    assert draw_atlas(tmp_path, (240, 400), (240, 240), 0, display) == atlas
    assert (atlas / "second.tif").stat().st_mtime_ns == before and (tmp_path / MARKER).is_file()
    train, held = (raster.read_mask(atlas / f"sheet_{name}.png") > 0 for name in ("train", "held"))
    content = raster.read_mask(atlas / "sheet_content.png") > 0
    assert np.array_equal(train ^ held, content) and not held[:, : held_columns((240, 400))].any()
    assert held_columns((240, 400)) % BLOCK == 0


def lines_of(document: str, heading: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    block = re.findall(r"```sh\n(.*?)```", text[text.index(heading) :], re.DOTALL)[0]
    return [line for line in block.splitlines() if line]


@pytest.mark.slow
def test_every_line_of_the_documents_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    atlas = draw_atlas(tmp_path / "demo", SIZE, SECOND, 0, open_display())
    shutil.copytree(atlas, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    page = (ROOT / "docs/maps.md").read_text(encoding="utf-8")
    six = lines_of("docs/maps.md", "# From one sheet")
    assert len(six) == 6
    readme = lines_of("README.md", "## Maps")
    assert set(shlex.split(readme[-1])) < set(shlex.split(six[4])) and set(readme[:-1]) < set(six)
    again = re.findall(r"`(unet map [^`]*--resume)`", page.replace("\n", " "))
    other = re.findall(r"`(unet vectorize [^`]*)`", page.replace("\n", " "))
    assert len(again) == len(other) == 1
    few = ["--steps", "3", *(word for name, value in TINY.items() for word in ("--set", f"{name}={value}"))]
    for line in [*six, *again, *other]:
        words = shlex.split(line)[1:]
        if "--time" in words:
            at = words.index("--time")
            words[at : at + 2] = few  # half an hour would be long
        assert cli.main(words) == 0, f"{line}\n{capsys.readouterr().err}"
    assert Path("blocks.gpkg").is_file() and Path("other.gpkg").is_file() and Path("blocks_map.html").is_file()


@pytest.mark.slow
def test_shapes_are_found_on_a_sheet_that_was_not_seen(tmp_path: Path) -> None:
    planned = {"width": "16", "crop": "[128, 128]", "batch_size": "2", "precision": "32-true", "channels_last": "false"}
    result = demo_map(tmp_path / "demo", steps=80, size=(600, 900), second_size=(450, 600), settings=planned)
    assert result.scores["pq"] > 0.5 and result.scores["pq"] > result.components["pq"]
