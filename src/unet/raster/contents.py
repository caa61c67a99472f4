"""What there is to know of a picture file: its header, and all that one reading of it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from unet.errors import RasterError


@dataclass(frozen=True)
class PictureInfo:
    """What a file's header says about the picture that `read` would give.

    Attributes
    ----------
    height, width : int
        In pixels, after EXIF orientation.
    bands : int
    dtype : str
        "uint8", "uint16" or "float32".
    format : str
        "JPEG", "PNG", "TIFF", ..., "NPY", "PT".
    frames : int
        More than 1 for animations and multi-page files, of which only the first is read.
    mode : str
        Pillow's name for the kind of pixel, or the stored dtype.
    orientation : int
        How EXIF turns or mirrors the stored pixels: 1 not at all, 5 to 8 onto their side.
    alpha : bool
        True where there is transparency, which `read` drops.
    """

    height: int
    width: int
    bands: int
    dtype: str
    format: str
    frames: int
    mode: str
    orientation: int
    alpha: bool


Palette = tuple[tuple[int, int, int], ...]
"""RGB colours by index."""


@dataclass(frozen=True)
class PictureHeader:
    """All that a file says before its pixels: the texts that it holds by name, such as the chunks of a PNG, too."""

    info: PictureInfo
    texts: dict[str, str]
    palette: Palette | None


@dataclass(frozen=True)
class PictureFile:
    """All that one reading of a picture file gives: what `probe` and `read` give, and the hash of the file's bytes.

    `may_be_void` is true of a TIFF that says that some of its pixels may hold nothing: `Source.read_valid` says which.
    """

    info: PictureInfo
    pixels: NDArray[Any]
    content_hash: str
    may_be_void: bool = False


@dataclass(frozen=True)
class MaskFile:
    """All that one reading of a mask file gives.

    Attributes
    ----------
    info : PictureInfo
    pixels : array or RasterError
        As `read_mask` gives them; the error where the file has bands that make no mask.
    bands : array (H, W, C) or None
        As `read_bands` gives them, where there are more than `pixels` can hold.
    palette : tuple of (int, int, int) or None
        The colours of a palette file by index.
    content_hash : str
        Of the file's bytes.
    """

    info: PictureInfo
    pixels: NDArray[Any] | RasterError
    bands: NDArray[Any] | None
    palette: Palette | None
    content_hash: str
