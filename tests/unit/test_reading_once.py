"""A file that is scanned is opened once, and says then what it says when it is read in any other way."""

from __future__ import annotations

import hashlib
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning

from unet import raster
from unet.data.hashing import content_hash, stamp
from unet.data.pairs import Pair
from unet.data.scan import scan
from unet.errors import InputError, RasterError

RNG = np.random.default_rng(3)
RGB = RNG.integers(0, 256, (12, 17, 3), dtype=np.uint8)
GREY = RNG.integers(0, 4, (12, 17), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (12, 17), dtype=np.uint16)

Maker = Callable[[Path], Path]


def pillow(name: str, array: np.ndarray, mode: str = "", **options: object) -> Maker:
    def make(folder: Path) -> Path:
        image = Image.fromarray(array)
        (image.convert(mode) if mode else image).save(folder / name, **options)
        return folder / name

    return make


def frames(name: str, arrays: list[np.ndarray], mode: str = "") -> Maker:
    def make(folder: Path) -> Path:
        first, *others = (Image.fromarray(array) for array in arrays)
        first, *others = (image.convert(mode) if mode else image for image in (first, *others))
        first.save(folder / name, save_all=True, append_images=others)
        return folder / name

    return make


def turned(name: str, orientation: int) -> Maker:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return pillow(name, RGB, exif=exif)


def palette(folder: Path) -> Path:
    raster.write_mask(folder / "palette.png", GREY, [0, 0, 0, 200, 30, 30, 1, 2, 3, 9, 9, 9])
    return folder / "palette.png"


def with_rasterio(name: str, array: np.ndarray, driver: str) -> Maker:
    def make(folder: Path) -> Path:
        height, width, count = array.shape
        shape = {"height": height, "width": width, "count": count}
        with (
            pytest.warns(NotGeoreferencedWarning),
            rasterio.open(folder / name, "w", driver=driver, dtype=array.dtype.name, **shape) as target,
        ):
            target.write(array.transpose(2, 0, 1))
        return folder / name

    return make


def npy(name: str, array: np.ndarray) -> Maker:
    def make(folder: Path) -> Path:
        np.save(folder / name, array)
        return folder / name

    return make


def tensor(folder: Path) -> Path:
    torch.save(torch.from_numpy(GREY), folder / "a.pt")
    return folder / "a.pt"


ALPHA = np.dstack([RGB, GREY * 60])
OPENED_ONCE: dict[str, Maker] = {
    "rgb": pillow("a.png", RGB),
    "grey": pillow("a.bmp", GREY),
    "one bit": pillow("a.png", GREY > 1),
    "jpeg": pillow("a.jpg", RGB),
    "jpeg on its side": turned("a.jpg", 6),
    "png upside down": turned("a.png", 3),
    "tiff on its side": turned("a.tif", 8),
    "webp": pillow("a.webp", RGB, lossless=True),
    "cmyk": pillow("a.jpg", RGB, "CMYK"),
    "rgba": pillow("a.png", ALPHA),
    "grey and alpha": pillow("a.png", np.dstack([GREY, GREY * 50])),
    "palette": palette,
    "transparent palette": pillow("a.png", GREY, "P", transparency=1),
    "gif": pillow("a.gif", GREY),
    "animated": frames("a.gif", [GREY, GREY[::-1], GREY[:, ::-1]], "P"),
    "animated colours": frames("a.gif", [RGB, RGB[::-1]]),
    "pages": frames("a.tif", [RGB, RGB[::-1]]),
    "16 bits": pillow("a.png", DEEP),
    "16 bits in tiff": pillow("a.tif", DEEP),
}
OTHERS: dict[str, Maker] = {  # GDAL, numpy and torch open their files themselves
    "16-bit rgb": with_rasterio("a.png", np.dstack([DEEP] * 3), "PNG"),
    "five bands": with_rasterio("a.tif", np.dstack([GREY] * 5), "GTiff"),
    "two bands": with_rasterio("a.tif", np.dstack([GREY, GREY]), "GTiff"),
    "array": npy("a.npy", RGB),
    "one-hot array": npy("a.npy", np.eye(4, dtype=np.float32)[GREY]),
    "tensor": tensor,
}
ALL = {**OPENED_ONCE, **OTHERS}


def outcome(read: Callable[[], np.ndarray]) -> np.ndarray | str:
    try:
        return read()
    except RasterError as error:
        return str(error)


def same(first: object, second: object) -> bool:
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return first.dtype == second.dtype and np.array_equal(first, second)
    return str(first) == str(second)


@pytest.mark.parametrize("kind", ALL)
def test_pictures_are_the_same_in_all_ways(tmp_path: Path, kind: str) -> None:
    path = ALL[kind](tmp_path)
    file = raster.read_picture_file(path)
    assert same(file.pixels, raster.read(path)) and file.info == raster.probe(path)
    assert file.content_hash == content_hash(path)


@pytest.mark.parametrize("kind", ALL)
def test_masks_are_the_same_in_all_ways(tmp_path: Path, kind: str) -> None:
    path = ALL[kind](tmp_path)
    expected = outcome(lambda: raster.read_mask(path))
    if isinstance(expected, str) and "bands" not in expected:
        with pytest.raises(RasterError) as caught:
            raster.read_mask_file(path)
        assert str(caught.value) == expected
        return
    file = raster.read_mask_file(path)
    assert same(file.pixels, expected) and file.info == raster.probe(path)
    assert file.palette == raster.mask_palette(path)
    assert file.content_hash == content_hash(path)
    assert file.bands is None or same(file.bands, raster.read_bands(path))
    assert (file.bands is not None) == (isinstance(expected, str) or file.info.mode == "RGBA" or file.info.bands == 4)


_opened: Counter[str] = Counter()
_counting = False


def _count(event: str, arguments: tuple[object, ...]) -> None:
    if _counting and event == "open":
        _opened[os.fspath(arguments[0]) if isinstance(arguments[0], (str, Path)) else ""] += 1


sys.addaudithook(_count)  # for good: hooks cannot be taken away


@contextmanager
def opens() -> Iterator[Counter[str]]:
    global _counting
    _opened.clear()
    _counting = True
    try:
        yield _opened
    finally:
        _counting = False


@pytest.mark.parametrize("kind", OPENED_ONCE)
def test_each_file_is_opened_once_and_then_no_more(tmp_path: Path, kind: str) -> None:
    (tmp_path / "masks").mkdir()
    image, mask = OPENED_ONCE[kind](tmp_path), OPENED_ONCE[kind](tmp_path / "masks")
    pair = Pair("a", image, mask)
    with opens() as opened:
        first = scan([pair])
    assert (opened[str(image)], opened[str(mask)]) == (1, 1)
    with opens() as opened:
        assert scan([pair]) == first
    assert (opened[str(image)], opened[str(mask)]) == (0, 0)


# Hashes


def test_hashes_are_of_the_bytes(tmp_path: Path) -> None:
    path = pillow("a.png", RGB)(tmp_path)
    assert content_hash(path) == hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    (tmp_path / "empty").touch()
    assert content_hash(tmp_path / "empty") == hashlib.blake2b(digest_size=16).hexdigest()
    (tmp_path / "long").write_bytes(bytes(range(256)) * 5000)
    assert content_hash(tmp_path / "long") == hashlib.blake2b(bytes(range(256)) * 5000, digest_size=16).hexdigest()
    with pytest.raises(InputError, match="cannot be read"):
        content_hash(tmp_path / "nothing")


def test_a_scan_knows_the_hashes_also_from_its_cache(tmp_path: Path) -> None:
    image, mask = pillow("a.png", RGB)(tmp_path), palette(tmp_path)
    for _ in range(2):
        scanned = scan([Pair("a", image, mask)])
        hashes = scanned.pictures[0].content_hash, scanned.masks[0].content_hash
        assert hashes == (content_hash(image), content_hash(mask))


def test_stamps_change_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    first = stamp(path)
    assert first == (3, path.stat().st_mtime_ns)
    os.utime(path, ns=(0, first[1] + 1))
    assert stamp(path) == (3, first[1] + 1)
    with pytest.raises(OSError):
        stamp(tmp_path / "b")
