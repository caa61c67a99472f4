"""`unet tile` and `unet stitch`: a round trip, and what they refuse."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from unet import cli, raster
from unet.commands.stitch import stitch
from unet.commands.tile import tile


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refused(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert cli.main(shlex.split(line)) == 2
    message = capsys.readouterr().err
    assert message.startswith("unet: error: ") and "Traceback" not in message
    return message


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    height=st.integers(1, 60), width=st.integers(1, 60), bands=st.integers(1, 5), window=st.integers(5, 30),
    kind=st.sampled_from(["uint8", "uint16", "int32", "float32", "float64", "bool"]),
    border=st.sampled_from(["mirror", "edge"]), data=st.data(),
)  # fmt: skip
@pytest.mark.slow
def test_a_round_trip_changes_no_bit(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int, bands: int, window: int, kind: str, border: str,
    data: st.DataObject,
) -> None:  # fmt: skip
    folder = tmp_path_factory.mktemp("tiles")
    # A band axis that is longer than picture or tile would be taken for the height.
    bands = min(bands, height, width)
    step = data.draw(st.integers(1, window))
    picture = (np.random.default_rng(0).random((height, width, bands)) * 300).astype(kind)
    np.save(folder / "sheet.npy", picture)
    made = tile([folder / "sheet.npy"], folder / "tiles", window=window, step=step, border=border)
    shapes = {raster.read_bands(path).shape[:2] for path in (folder / "tiles").iterdir() if path.suffix != ".json"}
    assert shapes == {(window, window)} and made.sizes == {"sheet": (height, width)}
    (written,) = stitch(folder / "tiles", folder / "out")
    back = raster.read_bands(written)
    assert back.dtype == picture.dtype and np.array_equal(back, picture)


@pytest.mark.parametrize("ending", [".png", ".tif", ".jpg", ".bmp"])
def test_pictures_come_back(ending: str) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (45, 70, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(f"a{ending}")
    assert cli.main(shlex.split(f"tile a{ending} -o tiles --window 32 --step 16 --border edge")) == 0
    assert cli.main(shlex.split("stitch tiles -o out")) == 0
    assert np.array_equal(raster.read("out/a.png"), raster.read(f"a{ending}"))


def test_palettes_and_rotation_are_kept() -> None:
    mask = Image.fromarray((np.arange(40 * 50).reshape(40, 50) % 3).astype(np.uint8))
    mask.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255])
    mask.save("m.png")
    photo = Image.fromarray(np.random.default_rng(2).integers(0, 256, (40, 50, 3), dtype=np.uint8))
    turned = photo.getexif()
    turned[0x0112] = 6
    photo.save("p.jpg", exif=turned)
    tile(["m.png", "p.jpg"], Path("tiles"), window=32, step=20)
    assert {path.name for path in stitch(Path("tiles"), Path("out"))} == {"m.png", "p.png"}
    back = Image.open("out/m.png")
    assert back.mode == "P" and back.getpalette()[:9] == [0, 0, 0, 255, 0, 0, 0, 0, 255]
    assert np.array_equal(np.asarray(back), np.asarray(mask))
    assert np.array_equal(raster.read("out/p.png"), raster.read("p.jpg"))


def test_what_was_made_of_the_tiles_is_stitched() -> None:
    values = np.random.default_rng(3).integers(0, 256, (30, 41), dtype=np.uint8)
    Image.fromarray(values).save("s.png")
    made = tile(["s.png"], Path("tiles"), window=16, step=10)
    Path("masks").mkdir()
    for name, _ in made.tiles("s"):
        pixels = raster.read_bands(f"tiles/{name}.png")[..., 0]
        raster.write_grey(f"masks/{name}_OUT.png", pixels > 99)
        np.save(f"masks/{name}_probabilities.npy", np.stack([pixels, 255 - pixels]).astype(np.float16))
    with pytest.raises(Exception, match="say --suffix"):
        stitch(Path("masks"), Path("out"), listed=Path("tiles/tiles.json"))
    stitch(Path("masks"), Path("out"), listed=Path("tiles/tiles.json"), suffix="_OUT")
    assert np.array_equal(raster.read_mask("out/s.png") != 0, values > 99)
    stitch(Path("masks"), Path("more"), listed=Path("tiles/tiles.json"), suffix="_probabilities")
    assert np.array_equal(np.load("more/s.npy")[..., 1], (255 - values).astype(np.float16))


def test_windows_of_the_map_system() -> None:
    """Windows of 500 every 250, the border padded by half a window with its edge value."""
    sheet = np.random.default_rng(4).integers(0, 256, (70, 110), dtype=np.uint8)
    Image.fromarray(sheet).save("sheet.png")
    made = tile(["sheet.png"], Path("tiles"), window=50, step=25, pad=25, border="edge")
    first = raster.read_bands(f"tiles/{made.tiles('sheet')[0][0]}.png")[..., 0]
    assert np.array_equal(first, np.pad(sheet, 25, "edge")[:50, :50])
    (written,) = stitch(Path("tiles"), Path("out"))
    assert np.array_equal(raster.read_bands(written)[..., 0], sheet)


def test_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("L", (40, 30)).save("a.png")
    assert "no such file" in refused("tile b.png -o tiles", capsys)
    assert "leave something out" in refused("tile a.png -o tiles --window 10 --step 11", capsys)
    assert "leave something out" in refused("tile a.png -o tiles --window 10 --step 4 --pad 1", capsys)
    assert "choose another --out" in refused("tile a.png -o .", capsys)
    Path("deep").mkdir()
    Image.new("L", (40, 30)).save("deep/a.bmp")
    assert "several pictures share" in refused("tile a.png deep/a.bmp -o tiles", capsys)
    assert not Path("tiles").exists()
    assert "no such folder" in refused("stitch tiles -o out", capsys)
    tile(["a.png"], Path("tiles"), window=16)
    assert "tiles.json" in refused("stitch deep -o out", capsys)
    kept = Path("tiles/tiles.json").read_text()
    for broken in ("[]", "{", '{"format": 2}', '{"format": 1}', kept.replace('"window": 16', '"window": 3')):
        Path("tiles/tiles.json").write_text(broken)
        assert "tiles.json" in refused("stitch tiles -o out", capsys)
    Path("tiles/tiles.json").write_text(kept)
    Path("tiles/a_00000_00016.png").rename("tiles/other.png")
    assert "1 of 6 tiles" in refused("stitch tiles -o out", capsys)
    Image.new("L", (16, 15)).save("tiles/a_00000_00016.png")
    assert "16 x 15 pixels of 1 uint8 band; expected 16 x 16" in refused("stitch tiles -o out", capsys)
    Image.new("L", (16, 16)).save("tiles/a_00000_00016.png")
    stitch(Path("tiles"), Path("out"))
    assert "exists already" in refused("stitch tiles -o out", capsys)
