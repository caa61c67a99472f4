"""From a file to an array: pictures, masks and headers."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from unet.errors import RasterError
from unet.files import digest
from unet.raster import gdal
from unet.raster.arrays import as_mask, as_picture, bands_last, load_array, picture_dtype
from unet.raster.contents import MaskFile, Palette, PictureFile, PictureHeader, PictureInfo
from unet.raster.faults import naming
from unet.raster.limits import check_claim, check_room
from unet.raster.suffixes import ARRAY_SUFFIXES

# Map sheets are far beyond Pillow's limit against "decompression bombs"; `unet.raster.limits` asks the memory instead.
Image.MAX_IMAGE_PIXELS = None
# What Pillow mutters about bent files names no file; where it matters, an error of ours does. (Filters for a while,
# by catch_warnings, are not safe in threads.)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
logging.getLogger("PIL").setLevel(logging.CRITICAL)

_FORMATS = (
    *("JPEG", "PNG", "BMP", "DIB", "GIF", "TIFF", "WEBP", "AVIF"),
    *("JPEG2000", "PPM", "TGA", "PCX", "SGI"),
)
_ORIENTATION = 0x0112  # the EXIF tag
_NODATA = 42113  # the tag of GDAL
_GREY_MODES = {"1": "uint8", "L": "uint8", "LA": "uint8", "I;16": "uint16", "I": "float32", "F": "float32"}


def read(path: str | Path) -> NDArray[Any]:
    """Read a picture.

    Parameters
    ----------
    path : path
        Any format of Pillow, TIFF of any depth and number of bands, .npy, or a tensor in .pt or .pth.

    Returns
    -------
    array (H, W, C)
        uint8, uint16 or float32; C is 1 for grey, 3 for colour (also from a palette), any for TIFF and
        arrays. Turned upright by EXIF; alpha is dropped; the first frame of several; 1 bit as 0/255.

    Raises
    ------
    RasterError
        The file cannot be read whole.
    """
    path = Path(path)
    with naming(path):
        if path.suffix.lower() in ARRAY_SUFFIXES:
            return as_picture(_array(path), path)
        with _opened(path, whole=True) as picture:
            if picture is None:
                return as_picture(gdal.read_colours(path), path)
            return as_picture(upright(_pixels(picture), _orientation(picture)), path)


def read_mask(path: str | Path) -> NDArray[Any]:
    """Read a mask with the values that stand in the file.

    Returns
    -------
    array (H, W) of uint8, uint16 or int32, or (H, W, 3) of uint8
        A palette file gives its indices, a 1-bit file 0 and 1, a colour file whose bands are equal
        everywhere its grey values. Turned upright by EXIF as the picture is; alpha is dropped.

    Raises
    ------
    RasterError
        The file cannot be read whole, or does not hold whole numbers.
    """
    path = Path(path)
    with naming(path):
        if path.suffix.lower() in ARRAY_SUFFIXES:
            return as_mask(_array(path), path)
        with _opened(path, whole=True) as picture:
            if picture is None:
                return as_mask(gdal.read_colours(path), path)
            array = np.asarray(picture) if picture.mode == "P" else _pixels(picture)
            return as_mask(upright(array, _orientation(picture)), path)


def read_bands(path: str | Path) -> NDArray[Any]:
    """Read all bands of a file as they stand in it, (H, W, C), alpha and any other included; not turned by EXIF.

    Raises
    ------
    RasterError
        The file cannot be read whole.
    """
    path = Path(path)
    with naming(path):
        if path.suffix.lower() in ARRAY_SUFFIXES:
            return np.array(_array(path))
        with _opened(path, whole=True) as picture:
            return gdal.read_all_bands(path) if picture is None else np.atleast_3d(np.asarray(picture))


def mask_palette(path: str | Path) -> Palette | None:
    """Return the RGB colours of a palette file by index, None for any other kind of file."""
    return None if Path(path).suffix.lower() in ARRAY_SUFFIXES else read_header(path).palette


def read_header(path: str | Path) -> PictureHeader:
    """Read what a file says before its pixels, opened once (a .pt file has no header and is read whole).

    Raises
    ------
    RasterError
        The file is not a picture.
    """
    path = Path(path)
    with naming(path):
        if path.suffix.lower() in ARRAY_SUFFIXES:
            return PictureHeader(_array_info(load_array(path), path), {}, None)
        with _opened(path) as picture:
            if picture is None:
                return PictureHeader(gdal.read_info(path), {}, None)
            texts = {str(name): text for name, text in picture.info.items() if isinstance(text, str)}
            return PictureHeader(_image_info(picture), texts, palette_of(picture))


def read_picture_file(path: str | Path) -> PictureFile:
    """Read header, pixels and bytes of a picture, the file opened once.

    Raises
    ------
    RasterError
        The file cannot be read whole.
    """
    path = Path(path)
    with naming(path), path.open("rb") as file:
        content_hash = digest(file)
        if path.suffix.lower() in ARRAY_SUFFIXES:
            array = _array(path)
            return PictureFile(_array_info(array, path), as_picture(array, path), content_hash)
        picture = open_image(file, whole=True)
        if picture is None:
            pixels = as_picture(gdal.read_colours(path), path)
            return PictureFile(gdal.read_info(path), pixels, content_hash, gdal.is_tiff_with_void(path))
        info = _image_info(picture)
        void = info.format == "TIFF" and (info.alpha or _NODATA in picture.tag_v2)  # type: ignore[attr-defined]
        return PictureFile(info, as_picture(upright(_pixels(picture), info.orientation), path), content_hash, void)


def read_mask_file(path: str | Path) -> MaskFile:
    """Read header, pixels, palette and bytes of a mask, the file opened once.

    Raises
    ------
    RasterError
        The file cannot be read whole, or does not hold whole numbers.
    """
    path = Path(path)
    with naming(path), path.open("rb") as file:
        content_hash = digest(file)
        if path.suffix.lower() in ARRAY_SUFFIXES:
            stack = _array(path)
            return _mask_file(path, _array_info(stack, path), stack, lambda: np.array(stack), None, content_hash)
        picture = open_image(file, whole=True)
        if picture is None:
            info, stack = gdal.read_info(path), gdal.read_colours(path)
            return _mask_file(path, info, stack, lambda: gdal.read_all_bands(path), None, content_hash)
        info, palette = _image_info(picture), palette_of(picture)
        values = np.asarray(picture)
        stack = upright(values if picture.mode == "P" else _pixels(picture), info.orientation)
        return _mask_file(path, info, stack, lambda: np.atleast_3d(values), palette, content_hash)


def _mask_file(
    path: Path,
    info: PictureInfo,
    stack: NDArray[Any],
    all_bands: Callable[[], NDArray[Any]],
    palette: Palette | None,
    content_hash: str,
) -> MaskFile:
    pixels: NDArray[Any] | RasterError
    try:
        pixels = as_mask(stack, path)
    except RasterError as error:
        if error.kind != "mask-bands":
            raise
        pixels = error
    more = isinstance(pixels, RasterError) or info.bands == 4 or info.mode == "RGBA"
    return MaskFile(info, pixels, all_bands() if more else None, palette, content_hash)


def palette_of(picture: Image.Image) -> Palette | None:
    """Return the RGB colours of a palette picture by index, None for any other kind."""
    if picture.mode != "P":
        return None
    flat = picture.getpalette("RGB") or []
    return tuple((flat[i], flat[i + 1], flat[i + 2]) for i in range(0, len(flat) - 2, 3))


def probe(path: str | Path) -> PictureInfo:
    """Read the header of a picture only (a .pt file has none and is read whole).

    Raises
    ------
    RasterError
        The file is not a picture.
    """
    return read_header(path).info


def _array_info(array: NDArray[Any], path: Path) -> PictureInfo:
    height, width, bands = bands_last(array, path).shape
    kind = path.suffix[1:].upper()
    return PictureInfo(height, width, bands, picture_dtype(array.dtype), kind, 1, array.dtype.name, 1, False)


def _image_info(picture: Image.Image) -> PictureInfo:
    orientation = _orientation(picture)
    width, height = picture.size if orientation < 5 else picture.size[::-1]
    mode = picture.mode.partition(";")[0] if picture.mode not in ("I;16", "I;16B") else "I;16"
    return PictureInfo(
        height=height,
        width=width,
        bands=1 if mode in _GREY_MODES else 3,
        dtype=_GREY_MODES.get(mode, "uint8"),
        format=picture.format or "",
        frames=getattr(picture, "n_frames", 1),
        mode=picture.mode,
        orientation=orientation,
        alpha=picture.has_transparency_data,
    )


@cache
def _formats() -> tuple[str, ...]:
    """Return Pillow's names of the formats that count as pictures; others of its formats start programs."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _array(path: Path) -> NDArray[Any]:
    """Return what an array file holds, (H, W, C), where there is room for copies of it."""
    array = bands_last(load_array(path), path)
    check_room(path, array.shape[:2], array.shape[2], array.dtype, copies=2)
    return array


@contextmanager
def _opened(path: Path, whole: bool = False) -> Iterator[Image.Image | None]:
    """Give the picture as Pillow opens it, None where only rasterio reads it, or reads all its bits."""
    # From an open file: a file that Pillow opens itself is mapped, and mapped TIFFs with an orientation
    # come out garbled.
    with path.open("rb") as file:
        yield open_image(file, whole=whole)


def open_image(file: BinaryIO, *, whole: bool = False) -> Image.Image | None:
    """Return the picture in an open file as Pillow opens it; None as in `_opened`.

    Raises
    ------
    RasterError
        The file is too short for what it declares, or, where all of it is going to be read, the memory too small.
    """
    file.seek(0)
    start = file.read(64)
    file.seek(0)
    try:
        picture = Image.open(file, formats=_formats())
    except (UnidentifiedImageError, SyntaxError):
        if not start.startswith(gdal.TIFF_STARTS):
            raise
        return None
    path, (width, height) = Path(file.name), picture.size
    check_claim(path, picture.format, height, width)
    if _holds_more(picture, start):
        return None
    if whole:
        check_room(path, (height, width), *_stored(picture))
    return picture


def _stored(picture: Image.Image) -> tuple[int, str]:
    """Return how many bands of which kind a picture is decoded into."""
    mode = picture.mode if not picture.mode.startswith("I;16") else "I;16"
    return (1, _GREY_MODES[mode]) if mode in _GREY_MODES else (3, "uint8")


def _pixels(picture: Image.Image) -> NDArray[Any]:
    """Return grey (H, W) or RGB (H, W, 3) pixels, alpha dropped, in native byte order."""
    if picture.mode == "LA":
        picture = picture.getchannel("L")
    elif picture.mode == "I" and picture.format == "PNG":  # how older Pillow opens 16-bit grey
        return np.asarray(picture).astype(np.uint16)
    elif picture.mode not in _GREY_MODES and not picture.mode.startswith("I;16"):
        picture.info.pop("transparency", None)  # or Pillow warns that it is lost
        picture = picture.convert("RGB")
    array = np.asarray(picture)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _holds_more(picture: Image.Image, start: bytes) -> bool:
    """Return True for files of which Pillow would lose something: bits beyond 8, a fourth band, blocks left out."""
    if picture.format == "PNG":
        depth, kind = start[24:26]
        return depth == 16 and kind in (2, 4, 6)  # RGB, grey + alpha, RGBA
    if picture.format == "TIFF":
        bits = picture.tag_v2.get(258, (1,))  # type: ignore[attr-defined]
        if picture.tag_v2.get(259) == 7 and picture.tag_v2.get(262) == 6:  # type: ignore[attr-defined]
            return True  # photographs, of which big sheets are read in windows: one decoder for both
        infrared = picture.mode == "RGBX" or len(bits) > len(picture.getbands())
        is_sparse = 0 in (_tag(picture, 325) or _tag(picture, 279))  # blocks that hold nothing are not in the file
        return infrared or is_sparse or (len(bits) > 1 and max(bits) > 8)
    return False


def _tag(picture: Image.Image, number: int) -> tuple[int, ...]:
    value = picture.tag_v2.get(number, ())  # type: ignore[attr-defined]
    return value if isinstance(value, tuple) else (value,)


def _orientation(picture: Image.Image) -> int:
    """Return the EXIF orientation that is still to be applied, 1 (none) to 8."""
    if picture.format == "TIFF":  # Pillow turns TIFF itself
        return 1
    if picture.format == "PNG" and "exif" not in picture.info:  # else all pixels are read in search of it
        return 1
    orientation = picture.getexif().get(_ORIENTATION, 1)
    return orientation if orientation in range(1, 9) else 1


def upright(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Undo an EXIF orientation (1..8, TIFF 6.0 page 36) of an array (H, W, ...)."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array
