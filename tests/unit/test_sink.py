"""Rasters written in windows: they come back as they were, as a whole or not at all, and unfinished ones go on."""

from __future__ import annotations

import doctest
import resource
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image

from unet import raster
from unet.errors import RasterError
from unet.raster import sink as sinks
from unet.raster.part_file import part_files

PALETTE = [0, 0, 0, 200, 30, 30, 20, 90, 250]
PLACE = {"crs": "EPSG:2154", "transform": (2.0, 0.5, 600000.0, 0.25, -2.0, 6860000.0)}


def noise(*shape: int, dtype: str = "uint8", top: int = 250) -> NDArray[Any]:
    return (np.random.default_rng(1).random(shape) * (1 if dtype.startswith("float") else top)).astype(dtype)


def write_in_parts(sink: raster.Sink, pixels: NDArray[Any], step: int = 200) -> None:
    for row in range(0, sink.height, step):
        for col in range(0, sink.width, step):
            part = pixels[row : row + step, col : col + step]
            sink.write((row, col, *part.shape[:2]), part)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("memory", [0, 1 << 26])
def test_a_mask_with_all_that_belongs_to_it(tmp_path: Path, memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "MEMORY_BYTES", memory)
    pixels, path = noise(1300, 701, top=3), tmp_path / "deep" / "mask.tif"
    labels = {"names": ["none", "street", "house"]}
    with raster.create(
        path, height=1300, width=701, kind="mask", palette=PALETTE, nodata=255, labels=labels, **PLACE
    ) as sink:
        write_in_parts(sink, pixels)
    assert names(path.parent) == ["mask.tif"]
    with rasterio.open(path) as file:
        assert file.profile["tiled"] and file.profile["compress"] == "deflate" and file.block_shapes == [(512, 512)]
        assert (file.crs.to_epsg(), file.nodata, file.overviews(1)) == (2154, 255, [2, 4])
        assert tuple(file.transform)[:6] == PLACE["transform"] and file.colormap(1)[2][:3] == (20, 90, 250)
        np.testing.assert_array_equal(file.read(1), pixels)
        np.testing.assert_array_equal(np.unique(file.read(1, out_shape=(325, 175))), [0, 1, 2])  # no mixed classes
    with raster.open(path) as source:
        assert (source.kind, source.labels, source.crs) == ("mask", labels, "EPSG:2154")
        np.testing.assert_array_equal(source.read_mask(), pixels)
    with Image.open(path) as picture:
        assert picture.mode == "P"


@pytest.mark.parametrize("compress", ["deflate", "zstd", "lzw"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "float16", "float32", "bool"])
def test_every_dtype(tmp_path: Path, dtype: str, compress: str) -> None:
    pixels = noise(130, 51, 2, dtype=dtype)
    kind = "probability" if dtype.startswith("float") else None
    with raster.create(
        tmp_path / "a.tif", height=130, width=51, bands=2, dtype=dtype, kind=kind, compress=compress
    ) as sink:
        write_in_parts(sink, pixels, 40)
    with rasterio.open(tmp_path / "a.tif") as file:
        np.testing.assert_array_equal(file.read().transpose(1, 2, 0).astype(dtype), pixels)


def test_an_average_is_the_overview_of_probabilities(tmp_path: Path) -> None:
    pixels = noise(1030, 1040, dtype="float32")
    with raster.create(tmp_path / "p.tif", height=1030, width=1040, dtype="float32", kind="probability") as sink:
        write_in_parts(sink, pixels)
    with rasterio.open(tmp_path / "p.tif") as file:
        half = file.read(1, out_shape=(515, 520))
    np.testing.assert_allclose(half, pixels.reshape(515, 2, 520, 2).mean(axis=(1, 3)), atol=1e-6)


def test_arrays(tmp_path: Path) -> None:
    pixels = noise(30, 20, 3, dtype="float16")
    with raster.create(tmp_path / "a.npy", height=30, width=20, bands=3, dtype="float16") as sink:
        write_in_parts(sink, pixels, 7)
    with raster.create(tmp_path / "b.npy", height=30, width=20, dtype="float16", resumable=True) as sink:
        write_in_parts(sink, pixels[..., 0], 7)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), pixels.transpose(2, 0, 1))
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), pixels[..., 0])
    assert names(tmp_path) == ["a.npy", "b.npy"]


def test_pictures(tmp_path: Path) -> None:
    pixels = noise(30, 20, 3)
    for name, part, more in (
        ("grey.png", pixels[..., 0], {"kind": "epm"}),
        ("deep.png", pixels[..., 0].astype(np.uint16) * 200, {"dtype": "uint16", "kind": "epm"}),
        ("mask.png", pixels[..., 0] % 3, {"palette": PALETTE, "kind": "mask"}),
        ("rgb.png", pixels, {"bands": 3}),
    ):
        with raster.create(tmp_path / name, height=30, width=20, **more) as sink:
            write_in_parts(sink, part, 9)
        with raster.open(tmp_path / name) as source:
            assert source.kind == more.get("kind")
            np.testing.assert_array_equal(source.read_mask() if part.ndim == 2 else source.read(), part)


def test_like_another(tmp_path: Path) -> None:
    with raster.create(tmp_path / "a.tif", height=9, width=8, **PLACE) as sink:
        sink.write((0, 0, 9, 8), noise(9, 8))
    with raster.open(tmp_path / "a.tif") as source, raster.create(tmp_path / "b.tif", like=source) as sink:
        sink.write((0, 0, 9, 8), noise(9, 8))
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


# --- unfinished ones


def test_an_error_leaves_nothing_or_what_was_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "MEMORY_BYTES", 0)
    for resumable in (False, True):
        with pytest.raises(KeyError), raster.create(tmp_path / "a.tif", height=9, width=8, resumable=resumable) as sink:
            sink.write((0, 0, 5, 8), noise(5, 8))
            sink.mark(5)
            raise KeyError
        assert names(tmp_path) == ([".a.tif.part", ".a.tif.part.json"] if resumable else [])


def test_going_on_gives_the_same_bytes(tmp_path: Path) -> None:
    pixels, shape = noise(600, 530), {"height": 600, "width": 530, "resumable": True, "signature": "x"}
    with raster.create(tmp_path / "whole.tif", **shape, **PLACE) as sink:
        sink.write((0, 0, 600, 530), pixels)
    sink = raster.create(tmp_path / "cut.tif", **shape, **PLACE)
    sink.write((0, 0, 300, 530), pixels[:300])
    sink.mark(300)
    sink.write((300, 0, 100, 530), 255 - pixels[300:400])  # not recorded
    sink.abandon()
    with pytest.raises(RasterError, match="--resume"):
        raster.create(tmp_path / "cut.tif", **shape, **PLACE)
    with pytest.raises(RasterError, match="another input"):
        raster.create(tmp_path / "cut.tif", **{**shape, "signature": "y"}, resume=True, **PLACE)
    with raster.create(tmp_path / "cut.tif", **shape, resume=True, **PLACE) as sink:
        assert sink.rows_done == 300
        sink.write((300, 0, 300, 530), pixels[300:])
    assert names(tmp_path) == ["cut.tif", "whole.tif"]
    assert (tmp_path / "cut.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()


FULL = """
import resource, signal, sys
import numpy as np
from unet import raster
from unet.errors import RasterError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
pixels = np.random.default_rng(0).integers(0, 256, (600, 600), dtype=np.uint8)
try:
    with raster.create(sys.argv[1], height=600, width=600, resumable=sys.argv[3] == "1", resume=True) as sink:
        for row in range(sink.rows_done, 600, 100):
            sink.write((row, 0, 100, 600), pixels[row : row + 100])
            sink.mark(row + 100)
except RasterError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "resumable"), [(100_000, True), (361_000, True), (200_000, False)])
def test_a_full_disk(tmp_path: Path, limit: int, resumable: bool) -> None:
    def run(limit: int) -> str:
        command = [sys.executable, "-c", FULL, str(tmp_path / "a.tif"), str(limit), str(int(resumable))]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    message = run(limit)
    assert "a.tif cannot be written" in message and message.count("\n") == 1
    assert not (tmp_path / "a.tif").exists()
    assert (tmp_path / ".a.tif.part").exists() == resumable
    if resumable:
        assert "--resume" in message
        assert run(resource.RLIM_INFINITY if resource.RLIM_INFINITY > 0 else 1 << 40) == ""
        pixels = np.random.default_rng(0).integers(0, 256, (600, 600), dtype=np.uint8)
        np.testing.assert_array_equal(raster.read_mask(tmp_path / "a.tif"), pixels)
        assert not any(path.exists() for path in part_files(tmp_path / "a.tif"))


# --- refusals


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.tif", {"crs": "EPSG:999999"}, "is no CRS"),
        ("a.tif", {"crs": "somewhere"}, "is no CRS"),
        ("a.tif", {"height": 0}, "at least 1 x 1"),
        ("a.tif", {"kind": "map"}, "epm or mask"),
        ("a.tif", {"compress": "jpeg"}, "deflate or"),
        ("a.txt", {}, "no ending of a picture"),
        ("a.png", {"dtype": "float32"}, ".tif or .npy"),
        ("a.jpg", {"bands": 4}, ".tif or .npy"),
        ("a.tif", {"palette": PALETTE, "dtype": "uint16"}, "one band of uint8"),
        ("there.tif", {}, "exists already"),
    ],
)
def test_refusals(tmp_path: Path, name: str, options: dict[str, Any], message: str) -> None:
    (tmp_path / "there.tif").touch()
    with pytest.raises(RasterError, match=message) as caught:
        raster.create(tmp_path / name, **{"height": 9, "width": 8, **options})
    assert name in str(caught.value) or "kind" in options or "compress" in options
    assert names(tmp_path) == ["there.tif"]


def test_windows_that_do_not_fit(tmp_path: Path) -> None:
    sink = raster.create(tmp_path / "a.tif", height=9, width=8)
    for window, pixels in (
        ((0, 0, 9, 8), noise(9, 7)),
        ((0, 0, 9, 8), noise(9, 8, dtype="float32")),
        ((1, 0, 9, 8), noise(9, 8)),
    ):
        with pytest.raises(RasterError, match=r"a\.tif"):
            sink.write(window, pixels)
    sink.abandon()


@pytest.mark.parametrize(
    "name", ["raster.sink", "raster.source", "raster.scaled_windows", "raster.windows", "inference.threads"]
)
def test_examples(name: str, make_data: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_data()
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testmod(import_module(f"unet.{name}"))
    assert failed == 0 and tried
