"""The pictures of a page that can be zoomed: what they show, and that they stay small."""

from __future__ import annotations

from base64 import b64decode
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from unet import raster
from unet.report.map_page import area_histogram
from unet.report.zoom import COLORS, TILE, Level, pyramid
from unet.shapes.colors import label_colors


def pieces(level: Level, kind: str) -> NDArray[np.uint8]:
    """Put a level together again, (H, W, 3) or (H, W, 4)."""
    mode = "RGB" if kind == "sheet" else "RGBA"
    whole = np.zeros((level.height, level.width, len(mode)), np.uint8)
    for key, text in getattr(level, kind).items():
        row, column = (int(part) * TILE for part in key.split("/"))
        picture = np.asarray(Image.open(BytesIO(b64decode(text))).convert(mode))
        whole[row : row + picture.shape[0], column : column + picture.shape[1]] = picture
    return whole


def write_labels(path: Path, labels: NDArray[np.generic]) -> Path:
    height, width = labels.shape
    with raster.create(path, height=height, width=width, dtype="int32", kind="labels") as sink:
        sink.write((0, 0, height, width), labels.astype(np.int32))
    return path


@pytest.fixture
def sheet(tmp_path: Path) -> tuple[Path, Path, NDArray[np.int64]]:
    rows, columns = np.mgrid[:600, :1100]
    picture = np.stack([rows * 255 // 600, columns * 255 // 1100, 0 * rows], axis=2).astype(np.uint8)
    labels = 1 + rows // 100 * 11 + columns // 100
    labels[:150, :150] = 0
    raster.write_picture(tmp_path / "sheet.png", picture)
    return tmp_path / "sheet.png", write_labels(tmp_path / "labels.tif", labels), labels


def test_the_largest_level_is_the_sheet_pixel_by_pixel(sheet: tuple[Path, Path, NDArray[np.int64]]) -> None:
    picture, path, labels = sheet
    made = pyramid(picture, path)
    assert made.scale == 1 and [level.width for level in made.levels] == [550, 1100]
    shown = pieces(made.levels[-1], "sheet").astype(int)
    assert np.abs(shown - raster.read(picture)).mean() < 3
    layer = pieces(made.levels[-1], "shapes")
    border = np.zeros(labels.shape, bool)
    border[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    border[:-1] |= labels[:-1] != labels[1:]
    assert np.array_equal(layer[..., 3] > 0, (labels > 0) | border)
    inside = (labels > 0) & ~border
    palette = label_colors(np.arange(1, COLORS + 1))
    assert np.array_equal(layer[inside][:, :3], palette[labels[inside] % COLORS])
    assert len(np.unique(layer[border], axis=0)) == 1


def test_smaller_levels_are_the_same_smaller(sheet: tuple[Path, Path, NDArray[np.int64]]) -> None:
    made = pyramid(*sheet[:2])
    small, large = made.levels
    halved = raster.resize(pieces(large, "sheet"), small.height, small.width).astype(int)
    assert np.abs(pieces(small, "sheet") - halved).mean() < 3
    borders = (pieces(small, "shapes")[..., :3] == (40, 30, 30)).all(axis=2)
    assert borders[250].sum() >= 10 and borders[:, 250].sum() >= 5, "borders of a pixel do not get lost"


def test_shapes_of_classes_have_their_colours(tmp_path: Path, sheet: tuple[Path, Path, NDArray[np.int64]]) -> None:
    classes = (sheet[2] > 30).astype(np.uint8)
    classes[-1, -1] = 255
    raster.write_mask(tmp_path / "mask.png", classes, [0, 0, 0, 9, 8, 7])
    made = pyramid(*sheet[:2], mask=tmp_path / "mask.png", palette=[200, 0, 0, 0, 200, 0])
    layer = pieces(made.levels[-1], "shapes")
    assert layer[170, 50, :3].tolist() == [200, 0, 0] and layer[550, 1050, :3].tolist() == [0, 200, 0]


def test_it_is_made_as_small_as_asked(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (500, 900, 3)).astype(np.uint8)
    raster.write_picture(tmp_path / "noise.png", noise)
    labels = write_labels(tmp_path / "labels.tif", np.arange(500 * 900).reshape(500, 900) % 50)
    large = pyramid(tmp_path / "noise.png", labels)
    small = pyramid(tmp_path / "noise.png", labels, most_bytes=100_000)
    assert large.bytes > 300_000 and 30_000 < small.bytes <= 100_000
    assert small.scale == pytest.approx(small.levels[-1].width / 900) and 0 < small.scale < 0.6
    few = pyramid(tmp_path / "noise.png", labels, most_pixels=50_000)
    assert few.levels[-1].height * few.levels[-1].width == pytest.approx(50_000, rel=0.02)


def test_sixteen_bits_and_pixels_that_hold_nothing(tmp_path: Path) -> None:
    pixels = np.full((40, 60, 1), 30_000, np.uint16)
    pixels[:20, :20] = 0
    with raster.create(tmp_path / "s.tif", height=40, width=60, dtype="uint16", nodata=0) as sink:
        sink.write((0, 0, 40, 60), pixels[..., 0])
    labels = write_labels(tmp_path / "labels.tif", np.ones((40, 60), int))
    shown = pieces(pyramid(tmp_path / "s.tif", labels, data_range=60_000).levels[-1], "sheet")
    assert abs(int(shown[30, 40, 0]) - 127) < 4 and shown[8, 8].max() < 4


@pytest.mark.parametrize("areas", [[5.0], [3.0] * 7, [1.0, 10.0, 100.0, 1e6], list(range(1, 400)), [0.001, 0.1]])
def test_every_shape_is_in_a_bar(areas: list[float]) -> None:
    text = area_histogram(np.array(areas), "pixels")
    counts = [int(part.split("</title>")[0].split(": ")[-1]) for part in text.split("<title>")[1:]]
    assert sum(counts) == len(areas)
    assert area_histogram(np.zeros(0), "pixels") == ""
