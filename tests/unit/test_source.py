"""Windows of rasters: the same pixels as the whole file gives, and windows of scaled pictures to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from unet import raster
from unet.errors import RasterError
from unet.raster.scaled_windows import resized_window
from unet.raster.windows import Window

HOW = ("nearest", "area", "bilinear", "bicubic")


def noise(*shape: int, dtype: str = "uint8", seed: int = 0) -> NDArray[Any]:
    top = {"uint8": 256, "uint16": 65536}.get(dtype, 1000)
    return (np.random.default_rng(seed).random(shape) * top).astype(dtype)


def write_tiff(path: Path, pixels: NDArray[Any], **profile: Any) -> Path:
    height, width, bands = pixels.shape
    shape = {"height": height, "width": width, "count": bands, "dtype": pixels.dtype.name}
    with rasterio.open(path, "w", driver="GTiff", **{"transform": (2, 0, 10, 0, -2, 20), **shape, **profile}) as file:
        file.write(pixels.transpose(2, 0, 1))
    return path


def parts(height: int, width: int, step: int) -> list[Window]:
    return [
        (row, col, min(step, height - row), min(step, width - col))
        for row in range(0, height, step)
        for col in range(0, width, step)
    ]


def put_together(source: raster.Source, step: int) -> NDArray[Any]:
    rows = [
        np.concatenate([source.read((row, col, min(step, source.height - row), min(step, source.width - col)))
                        for col in range(0, source.width, step)], axis=1)
        for row in range(0, source.height, step)
    ]  # fmt: skip
    return np.concatenate(rows)


# --- scaled windows


@pytest.mark.slow
@settings(max_examples=150)
@given(st.data())
def test_a_scaled_window_is_that_of_the_scaled_whole(data: st.DataObject) -> None:
    height, width = data.draw(st.tuples(st.integers(1, 80), st.integers(1, 80)), "shape")
    if data.draw(st.booleans(), "by a scale"):
        scale = data.draw(st.sampled_from([0.05, 0.1, 0.25, 0.37, 0.5, 2 / 3, 0.75, 0.9, 1.0, 1.3]))
        size = (max(1, int(height * scale)), max(1, int(width * scale)))
    else:
        size = data.draw(st.tuples(st.integers(1, 90), st.integers(1, 90)), "size")
    row, col = (data.draw(st.integers(0, length - 1)) for length in size)
    window = (row, col, data.draw(st.integers(1, size[0] - row)), data.draw(st.integers(1, size[1] - col)))
    dtype = data.draw(st.sampled_from(["uint8", "uint16", "int32", "float32"]))
    picture = noise(height, width, data.draw(st.integers(1, 5)), dtype=dtype, seed=height)
    how = data.draw(st.sampled_from(HOW))

    def read(part: Window) -> NDArray[Any]:
        assert min(part) >= 0 and part[0] + part[2] <= height and part[1] + part[3] <= width
        return picture[part[0] : part[0] + part[2], part[1] : part[1] + part[3]]

    whole = raster.resize(picture, *size, how)
    result = resized_window(read, (height, width), size, window, how)
    assert result.dtype == whole.dtype
    np.testing.assert_array_equal(result, whole[row : row + window[2], col : col + window[3]])


@pytest.mark.parametrize("how", HOW)
def test_no_more_is_read_than_the_filter_reaches(how: str) -> None:
    picture, asked = noise(4000, 3000, 1), []

    def read(part: Window) -> NDArray[Any]:
        asked.append(part)
        return picture[part[0] : part[0] + part[2], part[1] : part[1] + part[3]]

    resized_window(read, (4000, 3000), (1480, 1110), (700, 500, 64, 32), how)
    ((_, _, height, width),) = asked
    assert height <= 64 / 0.37 + 12 and width <= 32 / 0.37 + 12


def test_an_unknown_filter() -> None:
    with pytest.raises(RasterError, match="cubic"):
        resized_window(lambda part: noise(4, 4, 1), (4, 4), (2, 2), (0, 0, 1, 1), "cubic")


# --- files: windows are those of the whole


def png_palette(path: Path) -> Path:
    raster.write_mask(path, noise(33, 47) % 5, [0, 0, 0, 9, 8, 7, 200, 30, 30, 1, 2, 3, 255, 255, 255])
    return path


def turned_jpeg(path: Path) -> Path:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(33, 47, 3)).save(path, exif=exif, quality=95)
    return path


def by_pillow(path: Path, mode: str, **options: Any) -> Path:
    Image.fromarray(noise(33, 47, 3)).convert(mode).save(path, **options)
    return path


FILES = {
    "rgb.png": lambda path: by_pillow(path, "RGB"),
    "alpha.png": lambda path: by_pillow(path, "RGBA"),
    "palette.png": png_palette,
    "bits.png": lambda path: by_pillow(path, "1"),
    "turned.jpg": turned_jpeg,
    "bmp.bmp": lambda path: by_pillow(path, "RGB"),
    "palette.tif": png_palette,
    "bits.tif": lambda path: by_pillow(path, "1", compression="group4"),
    "grey.tif": lambda path: by_pillow(path, "L"),
    "alpha.tif": lambda path: by_pillow(path, "RGBA"),
    "cmyk.tif": lambda path: by_pillow(path, "CMYK"),
    "jpeg.tif": lambda path: by_pillow(path, "RGB", compression="jpeg"),
    "float.tif": lambda path: by_pillow(path, "F"),
    "tiled.tif": lambda path: write_tiff(path, noise(333, 247, 3), tiled=True, blockxsize=64, blockysize=64),
    "strips.tif": lambda path: write_tiff(path, noise(333, 247, 3), compress="lzw", interleave="band"),
    "photo.tif": lambda path: write_tiff(
        path, noise(333, 247, 3), compress="jpeg", photometric="YCbCr", tiled=True, blockxsize=64, blockysize=64
    ),
    "infrared.tif": lambda path: write_tiff(path, noise(33, 47, 4, dtype="uint16"), photometric="RGB", alpha="NO"),
    "many.tif": lambda path: write_tiff(path, noise(33, 47, 7, dtype="float32")),
    "big.tif": lambda path: write_tiff(path, noise(33, 47, 1, dtype="uint16"), bigtiff="YES"),
    "signed.tif": lambda path: write_tiff(path, noise(33, 47, 2, dtype="int16")),
}


@pytest.mark.parametrize("name", FILES)
def test_windows_are_those_of_the_whole(tmp_path: Path, name: str) -> None:
    path = FILES[name](tmp_path / name)
    whole = raster.read(path)
    with raster.open(path) as source:
        assert (source.height, source.width, source.bands) == whole.shape and source.dtype == whole.dtype.name
        np.testing.assert_array_equal(source.read(), whole)
        np.testing.assert_array_equal(put_together(source, 31), whole)
        small = raster.resize(whole, whole.shape[0] // 2, whole.shape[1] // 2, "area")
        np.testing.assert_array_equal(source.read(scale=0.5), small)
        np.testing.assert_array_equal(source.read((3, 5, 9, 8), scale=0.5), small[3:12, 5:13])
        assert source.in_memory == (not name.endswith(".tif") or name == "cmyk.tif")


@pytest.mark.parametrize(
    "name", ["palette.png", "palette.tif", "bits.png", "bits.tif", "big.tif", "rgb.png", "tiled.tif"]
)
def test_masks_hold_what_stands_in_the_file(tmp_path: Path, name: str) -> None:
    path = FILES[name](tmp_path / name)
    whole = raster.read_mask(path)
    with raster.open(path) as source:
        for row, col, height, width in parts(33, 47, 20):
            part = source.read_mask((row, col, height, width))
            np.testing.assert_array_equal(part, whole[row : row + height, col : col + width])
            assert part.dtype == whole.dtype


def test_a_mask_is_of_colours_everywhere_or_nowhere(tmp_path: Path) -> None:
    pixels = np.repeat(noise(700, 20, 1), 3, axis=2)
    write_tiff(tmp_path / "grey.tif", pixels)
    pixels[699, 19] = (1, 2, 3)
    write_tiff(tmp_path / "colour.tif", pixels)
    with raster.open(tmp_path / "grey.tif") as source:
        np.testing.assert_array_equal(source.read_mask((0, 0, 5, 6)), pixels[:5, :6, 0])
    with raster.open(tmp_path / "colour.tif") as source:
        np.testing.assert_array_equal(source.read_mask((0, 0, 5, 6)), pixels[:5, :6])


def test_a_mapped_array(tmp_path: Path) -> None:
    pixels = noise(3, 40, 50, dtype="uint16")
    np.save(tmp_path / "bands.npy", pixels)
    with raster.open(tmp_path / "bands.npy") as source:
        assert (source.bands, source.height, source.width, source.in_memory) == (3, 40, 50, False)
        np.testing.assert_array_equal(source.read((1, 2, 30, 31)), pixels[:, 1:31, 2:33].transpose(1, 2, 0))


# --- what the file says of itself


def test_where_a_raster_lies(tmp_path: Path) -> None:
    turned = (1.5, 0.5, 600000.0, 0.25, -1.5, 6860000.0)
    write_tiff(tmp_path / "a.tif", noise(9, 8, 1), crs="EPSG:2154", transform=turned, nodata=7)
    local = 'LOCAL_CS["sheet",UNIT["metre",1]]'
    write_tiff(tmp_path / "b.tif", noise(9, 8, 1), crs=local)
    raster.write_grey(tmp_path / "c.tif", noise(9, 8))
    with raster.open(tmp_path / "a.tif") as source:
        assert (source.crs, source.transform, source.nodata) == ("EPSG:2154", turned, 7)
        assert source.has_invalid
    with raster.open(tmp_path / "b.tif") as source:
        assert source.crs is not None and "sheet" in source.crs and not source.has_invalid
    with raster.open(tmp_path / "c.tif") as source:
        assert source.crs is None and source.transform is None


def test_pixels_that_hold_nothing(tmp_path: Path) -> None:
    pixels = noise(20, 30, 1, dtype="float32") + 1
    pixels[:5, :6] = np.nan
    path = write_tiff(tmp_path / "nan.tif", pixels, nodata=np.nan)
    with raster.open(path) as source:
        np.testing.assert_array_equal(source.read_valid((2, 0, 10, 30)), ~np.isnan(pixels[2:12, :, 0]))
        with pytest.raises(RasterError, match="not finite"):
            source.read()
        filled = source.read(fill=[0.5])
        assert (filled[:5, :6] == 0.5).all() and (filled[5:] == pixels[5:]).all()
    pixels = noise(20, 30, 4)
    pixels[..., 3] = 255
    pixels[3:9, 4:8, 3] = 0
    path = write_tiff(tmp_path / "alpha.tif", pixels, photometric="RGB", alpha="YES")
    with raster.open(path) as source:
        assert source.bands == 3
        np.testing.assert_array_equal(source.read_valid(), pixels[..., 3] > 0)


# --- faults


def fault(path: Path) -> str:
    with pytest.raises(RasterError) as caught:
        raster.open(path)
    assert path.name in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "cut.tif", noise(600, 600, 3), tiled=True, blockxsize=256, blockysize=256)
    path.write_bytes(path.read_bytes()[:500_000])
    assert "cut off" in fault(path)
    write_tiff(tmp_path / "complex.tif", noise(9, 9, 1).astype("complex64"))
    assert "complex" in fault(tmp_path / "complex.tif")
    np.save(tmp_path / "none.npy", np.zeros((0, 5, 3)))
    assert "no 0" in fault(tmp_path / "none.npy")
    (tmp_path / "text.tif").write_text("I am no picture\n")
    assert "text" in fault(tmp_path / "text.tif")
    assert "does not exist" in fault(tmp_path / "nowhere.tif")


@pytest.mark.parametrize("window", [(-1, 0, 2, 2), (0, 0, 0, 2), (30, 0, 10, 2), (0, 40, 2, 8)])
def test_windows_that_are_not_there(tmp_path: Path, window: Window) -> None:
    with (
        raster.open(FILES["rgb.png"](tmp_path / "rgb.png")) as source,
        pytest.raises(RasterError, match="within 47 x 33"),
    ):
        source.read(window)
