"""From an array to a file, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from unet.errors import RasterError
from unet.files import replacing
from unet.raster.suffixes import TIFF_SUFFIXES


def write_mask(
    path: str | Path, indices: NDArray[np.uint8], palette: Sequence[int], *, tags: Mapping[str, str] | None = None
) -> None:
    """Write class indices as a palette picture, which shows colours and still holds the indices.

    Parameters
    ----------
    path : path
        Its ending chooses the format: PNG as a rule. Formats without a palette (JPEG) get the colours.
    indices : uint8 array (H, W)
    palette : sequence of up to 768 int
        Red, green, blue of index 0, of index 1, ...
    tags : mapping of str to str, optional
        What a PNG file is to say of itself.

    Raises
    ------
    RasterError
        The array is of another kind, or the file cannot be written.
    """
    _require(path, indices, "uint8 (H, W)", indices.ndim == 2 and indices.dtype == np.uint8)
    image = Image.fromarray(np.ascontiguousarray(indices))
    image.putpalette(list(palette))
    has_palette = Path(path).suffix.lower() in (".png", ".gif", ".bmp", *TIFF_SUFFIXES)
    _save(image if has_palette else image.convert("RGB"), path, tags)


def write_grey(path: str | Path, values: NDArray[Any], *, tags: Mapping[str, str] | None = None) -> None:
    """Write one band as it is: bool (a 1-bit picture), uint8 or uint16 (H, W); `tags` as in `write_mask`.

    Raises
    ------
    RasterError
        The array is of another kind, or the file cannot be written.
    """
    kinds = (np.bool_, np.uint8, np.uint16)
    _require(path, values, "bool, uint8 or uint16 (H, W)", values.ndim == 2 and values.dtype in kinds)
    _save(Image.fromarray(np.ascontiguousarray(values)), path, tags)


def write_picture(path: str | Path, picture: NDArray[np.uint8], *, tags: Mapping[str, str] | None = None) -> None:
    """Write an RGB picture, uint8 (H, W, 3); `tags` as in `write_mask`.

    Raises
    ------
    RasterError
        The array is of another kind, or the file cannot be written.
    """
    is_valid = picture.ndim == 3 and picture.shape[2] == 3 and picture.dtype == np.uint8
    _require(path, picture, "uint8 (H, W, 3)", is_valid)
    _save(Image.fromarray(np.ascontiguousarray(picture)), path, tags)


def write_lossless(path: str | Path, picture: NDArray[Any]) -> Path:
    """Write a picture so that `read` gives it back exactly.

    Parameters
    ----------
    path : path
        Without ending: .png is added, or .npy for what PNG cannot hold (more bands, more bits).
    picture : array (H, W, C)
        uint8, uint16 or float32.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    RasterError
        The file cannot be written.
    """
    path = Path(path)
    target = path.with_name(f"{path.name}.png")
    if picture.shape[2] == 3 and picture.dtype == np.uint8:
        write_picture(target, picture)
    elif picture.shape[2] == 1 and picture.dtype in (np.uint8, np.uint16):
        write_grey(target, picture[..., 0])
    else:
        target = path.with_name(f"{path.name}.npy")
        _replace(target, lambda file: np.save(file, picture))
    return target


def as_jpeg(picture: NDArray[np.uint8], quality: int = 85) -> bytes:
    """Return a picture for a web page, uint8 (H, W, 3), as the bytes of a JPEG file."""
    file = BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(file, format="JPEG", quality=quality)
    return file.getvalue()


def as_png(indices: NDArray[np.uint8], palette: Sequence[int]) -> bytes:
    """Return a layer for a web page, uint8 (H, W), as the bytes of a PNG file in which index 0 lets through.

    Parameters
    ----------
    indices : uint8 array (H, W)
    palette : sequence of up to 768 int
        Red, green, blue of index 0, of index 1, ...
    """
    image = Image.fromarray(np.ascontiguousarray(indices))
    image.putpalette(list(palette))
    file = BytesIO()
    image.save(file, format="PNG", transparency=0, optimize=True)
    return file.getvalue()


def through_jpeg(picture: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Return what JPEG of a quality from 1 to 100 leaves of a picture, uint8 (H, W, 1) or (H, W, 3)."""
    file = BytesIO()
    grey = picture.shape[2] == 1
    Image.fromarray(np.ascontiguousarray(picture[..., 0] if grey else picture)).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file)).reshape(picture.shape)


def _require(path: str | Path, array: NDArray[Any], expected: str, is_valid: bool) -> None:
    if not is_valid or 0 in array.shape:
        raise RasterError(f"an array of {array.dtype} {array.shape} to be written to {path}", expected)


def _save(image: Image.Image, path: str | Path, tags: Mapping[str, str] | None) -> None:
    path = Path(path)
    image_format = Image.registered_extensions().get(path.suffix.lower())
    if image_format is None or image_format not in Image.SAVE:
        raise RasterError(f"{path} has no ending of a picture format", ".png, .jpg, .tif or the like")
    options: dict[str, Any] = {"quality": 92} if image_format in ("JPEG", "WEBP") else {}
    if tags and image_format == "PNG":
        options["pnginfo"] = info = PngInfo()
        for name, text in tags.items():
            info.add_itxt(name, text)
    _replace(path, lambda file: image.save(file, format=image_format, **options))


def _replace(path: Path, write: Callable[[BinaryIO], None]) -> None:
    try:
        with replacing(path) as draft, draft.open("wb") as file:
            write(file)
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or error  # a full disk, or a format that cannot hold it
        raise RasterError(f"{path} cannot be written ({what})", remedy="choose another place or format") from error
