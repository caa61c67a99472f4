"""Reading and writing pictures."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image, ImageOps
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window

from unet import raster
from unet.errors import RasterError

RNG = np.random.default_rng(7)
RGB = RNG.integers(0, 256, (13, 17, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (13, 17), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (13, 17), dtype=np.uint16)


def save(path: Path, array: np.ndarray, **options: object) -> Path:
    Image.fromarray(array).save(path, **options)
    return path


def save_with_rasterio(path: Path, array: np.ndarray, driver: str = "GTiff", **options: str) -> Path:
    """Write (H, W, C) of any dtype."""
    height, width, count = array.shape
    with (
        pytest.warns(NotGeoreferencedWarning),
        rasterio.open(
            path, "w", driver=driver, height=height, width=width, count=count, dtype=array.dtype.name, **options
        ) as target,
    ):
        target.write(array.transpose(2, 0, 1))
    return path


def agrees_with_probe(path: Path) -> np.ndarray:
    picture, info = raster.read(path), raster.probe(path)
    assert (info.height, info.width, info.bands) == picture.shape
    assert info.dtype == picture.dtype.name
    assert picture.flags.writeable and picture.dtype.isnative
    return picture


# Reading pictures


@pytest.mark.parametrize("ending", [".png", ".bmp", ".tif", ".ppm", ".PNG"])
def test_rgb_comes_back_to_the_bit(tmp_path: Path, ending: str) -> None:
    assert (agrees_with_probe(save(tmp_path / f"ü ber{ending}", RGB)) == RGB).all()


@pytest.mark.parametrize("ending", [".png", ".bmp", ".tif", ".gif", ".pgm"])
def test_grey_has_one_band(tmp_path: Path, ending: str) -> None:
    path = save(tmp_path / f"a{ending}", GREY)
    picture = agrees_with_probe(path)
    assert (picture[..., :1] == GREY[..., None]).all()
    assert picture.shape[2] == (3 if ending == ".gif" and raster.mask_palette(path) else 1)


@pytest.mark.parametrize("ending", [".jpg", ".webp"])
def test_lossy_pictures_come_close(tmp_path: Path, ending: str) -> None:
    smooth = np.repeat(np.repeat(RGB[:4, :4], 16, axis=0), 16, axis=1)
    picture = agrees_with_probe(save(tmp_path / f"a{ending}", smooth, quality=98))
    assert np.abs(picture.astype(int) - smooth).mean() < 8


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_sixteen_bit_grey_stays(tmp_path: Path, ending: str) -> None:
    picture = agrees_with_probe(save(tmp_path / f"a{ending}", DEEP))
    assert picture.dtype == np.uint16 and (picture[..., 0] == DEEP).all()


@pytest.mark.parametrize("driver", ["GTiff", "PNG"])
@pytest.mark.parametrize("bands", [3, 4])
def test_sixteen_bit_rgb_stays_and_alpha_goes(tmp_path: Path, driver: str, bands: int) -> None:
    deep = RNG.integers(0, 65536, (9, 11, bands), dtype=np.uint16)
    options = {"photometric": "RGB", "alpha": "yes" if bands == 4 else "no"} if driver == "GTiff" else {}
    path = save_with_rasterio(tmp_path / ("a.tif" if driver == "GTiff" else "a.png"), deep, driver, **options)
    assert (agrees_with_probe(path) == deep[..., :3]).all()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "int16", "float64"])
def test_many_bands(tmp_path: Path, dtype: str) -> None:
    stack = (RNG.random((9, 11, 7)) * 100).astype(dtype)
    picture = agrees_with_probe(save_with_rasterio(tmp_path / "a.tif", stack))
    assert picture.dtype.name == (dtype if dtype in ("uint8", "uint16") else "float32")
    assert np.allclose(picture, stack)


@pytest.mark.parametrize("photometric", ["RGB", "MINISBLACK"])
def test_a_fourth_band_that_is_not_alpha_stays(tmp_path: Path, photometric: str) -> None:
    infrared = RNG.integers(0, 256, (9, 11, 4), dtype=np.uint8)
    options = {"photometric": photometric, "alpha": "no"}
    assert (agrees_with_probe(save_with_rasterio(tmp_path / "a.tif", infrared, **options)) == infrared).all()


def test_compressed_tiff(tmp_path: Path) -> None:
    assert (agrees_with_probe(save(tmp_path / "a.tif", RGB, compression="tiff_lzw")) == RGB).all()
    assert (agrees_with_probe(save(tmp_path / "b.tif", DEEP, compression="tiff_lzw"))[..., 0] == DEEP).all()


def test_big_endian_tiff(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.frombytes("I;16B", (17, 13), DEEP.astype(">u2").tobytes()).save(path)
    assert (agrees_with_probe(path)[..., 0] == DEEP).all()


def test_alpha_is_dropped(tmp_path: Path) -> None:
    alpha = np.dstack([RGB, GREY])
    assert (agrees_with_probe(save(tmp_path / "rgba.png", alpha)) == RGB).all()
    grey_alpha = Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(GREY.T.reshape(GREY.shape))])
    grey_alpha.save(tmp_path / "la.png")
    assert (agrees_with_probe(tmp_path / "la.png") == GREY[..., None]).all()


def test_palette_gives_colours(tmp_path: Path) -> None:
    image = Image.fromarray(GREY % 4)
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.save(tmp_path / "a.png", transparency=bytes([0, 255, 255, 255]))
    picture = agrees_with_probe(tmp_path / "a.png")
    assert (picture[GREY % 4 == 2] == (0, 255, 0)).all()


def test_one_bit_is_black_and_white(tmp_path: Path) -> None:
    picture = agrees_with_probe(save(tmp_path / "a.png", GREY > 100))
    assert (picture[..., 0] == np.where(GREY > 100, 255, 0)).all()


def test_first_frame_only(tmp_path: Path) -> None:
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    assert raster.probe(tmp_path / "a.tif").frames == 2
    assert (raster.read(tmp_path / "a.tif")[..., 0] == GREY).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_in_every_format(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    plain = save(tmp_path / "a.png", RGB, exif=exif)
    with Image.open(plain) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    files = [
        plain,
        save(tmp_path / "a.tif", RGB, tiffinfo={274: orientation}),
        save(tmp_path / "b.tif", RGB, tiffinfo={274: orientation}, compression="tiff_lzw"),
    ]
    for path in files:
        assert (agrees_with_probe(path) == upright).all(), path.name
        assert (raster.read_mask(path) == upright).all(), path.name
    jpeg = agrees_with_probe(save(tmp_path / "a.jpg", RGB, exif=exif))
    assert jpeg.shape == upright.shape
    assert raster.probe(tmp_path / "a.jpg").orientation == orientation


@pytest.mark.parametrize("shape", [(9, 11), (9, 11, 3), (3, 9, 11), (1, 9, 11), (9, 11, 5)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64", "int64", "bool"])
def test_arrays_and_tensors(tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
    array = (RNG.random(shape) * 100).astype(dtype)
    upright = array[..., None] if array.ndim == 2 else array.transpose(1, 2, 0) if shape[0] < 9 else array
    wanted = np.where(upright, 255, 0) if dtype == "bool" else upright
    np.save(tmp_path / "a.npy", array)
    torch.save(torch.from_numpy(array), tmp_path / "a.pt")
    for name in ("a.npy", "a.pt"):
        assert np.allclose(agrees_with_probe(tmp_path / name), wanted)


def test_brain_floats(tmp_path: Path) -> None:
    torch.save(torch.full((3, 8, 9), 0.5, dtype=torch.bfloat16, requires_grad=True), tmp_path / "a.pth")
    assert (agrees_with_probe(tmp_path / "a.pth") == np.full((8, 9, 3), 0.5, np.float32)).all()


def test_pictures_may_be_lower_than_they_have_bands(tmp_path: Path) -> None:
    assert agrees_with_probe(save(tmp_path / "a.png", RGB[:2])).shape == (2, 17, 3)


# Reading masks


def test_mask_keeps_indices_and_shows_palette(tmp_path: Path) -> None:
    raster.write_mask(tmp_path / "a.png", GREY % 3, [0, 0, 0, 9, 8, 7, 1, 2, 3])
    mask = raster.read_mask(tmp_path / "a.png")
    assert mask.dtype == np.uint8 and (mask == GREY % 3).all()
    assert raster.mask_palette(tmp_path / "a.png")[:3] == ((0, 0, 0), (9, 8, 7), (1, 2, 3))
    assert raster.mask_palette(save(tmp_path / "b.png", GREY)) is None


@pytest.mark.parametrize(
    ("array", "dtype", "shape"),
    [
        (GREY > 100, "uint8", (13, 17)),
        (GREY, "uint8", (13, 17)),
        (DEEP, "uint16", (13, 17)),
        (RGB, "uint8", (13, 17, 3)),
        (np.dstack([RGB, GREY]), "uint8", (13, 17, 3)),
        (np.dstack([GREY, GREY, GREY]), "uint8", (13, 17)),
    ],
)
def test_mask_kinds(tmp_path: Path, array: np.ndarray, dtype: str, shape: tuple[int, ...]) -> None:
    mask = raster.read_mask(save(tmp_path / "a.png", array))
    assert (mask.dtype.name, mask.shape) == (dtype, shape)
    wanted = array[..., :3] if len(shape) == 3 else array if array.ndim == 2 else array[..., 0]
    assert (mask == wanted).all()


def test_mask_arrays(tmp_path: Path) -> None:
    for array, dtype in [(GREY > 9, "uint8"), (GREY / 1.0, "int32"), (GREY.astype(np.int64) - 1, "int32")]:
        np.save(tmp_path / "a.npy", array)
        mask = raster.read_mask(tmp_path / "a.npy")
        assert mask.dtype.name == dtype and (mask == array).all()


@pytest.mark.parametrize(
    ("array", "word"),
    [
        (np.full((5, 6), 0.5), "fractions"),
        (np.full((5, 6), np.nan), "fractions"),
        (np.full((5, 6), 2**40), "32 bits"),
        (RNG.random((8, 9, 7)), "7 bands"),
        (np.full((5, 6), 1j), "complex"),
        (np.zeros((5, 0)), "shape"),
        (np.zeros((5,)), "shape"),
        (np.zeros((70, 80, 90)), "bands"),
        (np.array([[None, 1], [2, 3]], dtype=object), "can run code"),
    ],
)
def test_arrays_that_are_no_masks(tmp_path: Path, array: np.ndarray, word: str) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(RasterError, match=word):
        raster.read_mask(tmp_path / "a.npy")


def test_pictures_of_nan_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.full((5, 6), np.nan))
    with pytest.raises(RasterError, match="not finite"):
        raster.read(tmp_path / "a.npy")


# Files that are no pictures


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "none.png", "does not exist"),
        (lambda folder: folder / "none.npy", "does not exist"),
        (lambda folder: folder / "none.pt", "does not exist"),
        (lambda folder: folder, "is a folder"),
        (lambda folder: write(folder / "a.png", b""), "empty"),
        (lambda folder: write(folder / "a.npy", b""), "empty"),
        (lambda folder: write(folder / "a.pt", b""), "empty"),
        (lambda folder: write(folder / "a.png", "Ünsinn\n".encode() * 9), "it is a text file"),
        (lambda folder: write(folder / "a.jpg", b"\x00\x01\x02\xff" * 99), "not a picture: it begins with"),
        (lambda folder: write(folder / "a.tif", b"II*\0" + b"\xff" * 99), "damaged"),
        (lambda folder: write(folder / "a.npy", b"\x93NUMPY" + b"\xff" * 99), "damaged"),
        (lambda folder: write(folder / "a.pt", b"\x93" * 99), "code|damaged"),
        (lambda folder: write(folder / "a.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), "text"),
        (lambda folder: cut(save(folder / "a.jpg", np.tile(RGB, (20, 20, 1)))), "cut off"),
        (lambda folder: cut(save(folder / "a.png", np.tile(RGB, (20, 20, 1)))), "cut off|damaged"),
        (lambda folder: cut(save(folder / "a.bmp", RGB)), "cut off|damaged"),
        (lambda folder: cut(save(folder / "a.tif", np.tile(RGB, (20, 20, 1)))), "cut off|damaged"),
        (lambda folder: cut(save(folder / "a.gif", np.tile(GREY, (20, 20)))), "cut off|damaged"),
    ],
)
def test_unreadable_files_are_named_in_one_line(tmp_path: Path, make: object, words: str) -> None:
    path = make(tmp_path)  # type: ignore[operator]
    for reader in (raster.read, raster.read_mask):
        with pytest.raises(RasterError, match=words) as caught:
            reader(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_pickles_are_not_run(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    torch.save(Bomb(victim), tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Bomb(victim)))
    np.save(tmp_path / "c.npy", np.array([Bomb(victim)], dtype=object), allow_pickle=True)
    for name in ("a.pt", "b.pt", "c.npy"):
        for reader in (raster.read, raster.read_mask, raster.probe, raster.mask_palette):
            if reader is raster.mask_palette:
                assert reader(tmp_path / name) is None
                continue
            with pytest.raises(RasterError, match="run code"):
                reader(tmp_path / name)
    assert not victim.exists()


@pytest.mark.parametrize("content", [{"a": torch.zeros(3)}, torch.zeros(3), torch.eye(4).to_sparse()])
def test_tensor_files_without_a_picture(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(RasterError, match=r"a\.pt"):
        raster.read(tmp_path / "a.pt")


# Writing


def test_masks_are_written_with_their_palette(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.png"
    raster.write_mask(path, GREY % 3, [0, 0, 0, 200, 30, 30, 1, 2, 3])
    with Image.open(path) as image:
        assert image.mode == "P"
    assert (raster.read_mask(path) == GREY % 3).all()
    assert [child.name for child in path.parent.iterdir()] == ["a.png"]
    raster.write_mask(tmp_path / "a.jpg", np.ones((32, 32), np.uint8), [0, 0, 0, 200, 30, 30])
    assert np.abs(raster.read(tmp_path / "a.jpg").astype(int) - (200, 30, 30)).max() < 8


@pytest.mark.parametrize("array", [GREY > 100, GREY, DEEP])
def test_grey_comes_back(tmp_path: Path, array: np.ndarray) -> None:
    raster.write_grey(tmp_path / "a.png", array)
    assert (raster.read_mask(tmp_path / "a.png") == array).all()
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == {"bool": "1", "uint8": "L", "uint16": "I;16"}[array.dtype.name]


def test_pictures_come_back_and_replace_others(tmp_path: Path) -> None:
    for picture in (RGB, 255 - RGB):
        raster.write_picture(tmp_path / "ä b.png", picture)
        assert (raster.read(tmp_path / "ä b.png") == picture).all()


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "a.xyz", tmp_path / "a", tmp_path / "file" / "a.png"):
        with pytest.raises(RasterError, match="a"):
            raster.write_picture(path, RGB)
    with pytest.raises(RasterError, match="float64"):
        raster.write_grey(tmp_path / "a.png", GREY / 1.0)
    with pytest.raises(RasterError, match="cannot be written"):
        raster.write_grey(tmp_path / "a.jpg", DEEP)  # JPEG has no 16 bits
    assert [child.name for child in tmp_path.iterdir()] == ["file"]


# All bands, words, bytes


def test_all_bands_are_read_as_they_stand(tmp_path: Path) -> None:
    stack = np.random.default_rng(0).integers(0, 2, (9, 11, 5), dtype=np.uint8)
    np.save(tmp_path / "a.npy", stack.transpose(2, 0, 1))
    assert (raster.read_bands(tmp_path / "a.npy") == stack).all()
    Image.fromarray(stack[..., :4]).save(tmp_path / "a.png")
    assert (raster.read_bands(tmp_path / "a.png") == stack[..., :4]).all()
    assert raster.probe(tmp_path / "a.png").alpha and not raster.probe(tmp_path / "a.npy").alpha
    with pytest.raises(RasterError, match="5 bands") as caught:
        raster.read_mask(tmp_path / "a.npy")
    assert caught.value.kind == "mask-bands"


def test_captions_are_as_wide_as_they_should_be() -> None:
    words = raster.caption(["größe_01 日本", "x" * 500], 120)
    assert words.shape[1:] == (120, 3) and words.min() < 100 and raster.caption(["", ""], 120).min() == 255


def test_a_picture_as_jpeg(tmp_path: Path) -> None:
    picture = np.full((9, 11, 3), (200, 100, 50), np.uint8)
    (tmp_path / "a.jpg").write_bytes(raster.as_jpeg(picture))
    assert np.abs(raster.read(tmp_path / "a.jpg").astype(int) - picture).max() <= 3


def test_a_tiff_of_which_blocks_were_never_written(tmp_path: Path) -> None:
    path = tmp_path / "sparse.tif"
    options = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate", "SPARSE_OK": True}
    with (
        pytest.warns(NotGeoreferencedWarning),
        rasterio.open(path, "w", driver="GTiff", width=600, height=500, count=3, dtype="uint8", **options) as file,
    ):
        file.write(np.full((3, 256, 256), 200, np.uint8), window=Window(256, 0, 256, 256))
    picture = raster.read(path)
    assert (picture[:256, 256:512] == 200).all() and np.count_nonzero(picture) == 3 * 256**2
    assert np.array_equal(raster.read_mask(path), picture[..., 0])
