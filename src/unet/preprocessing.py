"""What a network must know of its pictures: bands, range, scale, normalisation; part of the model file."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from unet.errors import ConfigError, InputError
from unet.parsing import as_dataclass

MOST_SCALE = 4.0
"""Pictures are made smaller as a rule; sixteen times the pixels are all that makes sense the other way."""

Resample = Literal["area", "bicubic", "bilinear"]

BRIGHTER, DARKER = 8, 50
"""A picture may be so many times brighter or darker than the brightest that was trained on."""

BRIGHTER_THAN_8_BITS = 1.5
"""The same of a network that was trained on pictures of 8 bits, of which 255 is the brightest."""

LOWER = 4
"""Values may be negative if those trained on were so, too: so many standard deviations below their mean."""

FRACTION_OVER = 0.1
"""Fractions of 0 to 1 may be so much above and below, as resampling leaves them."""


@dataclass(frozen=True)
class Preprocessing:
    """What is done to a picture before the network sees it; part of the model file.

    Attributes
    ----------
    bands : int
        Bands the network takes: 1 (grey), 3 (RGB) or any other count.
    scale : float
        Factor on width and height, above 0; at most 1 as a rule, never above `MOST_SCALE`.
    data_range : float
        The value that becomes 1.0: something near the brightest for 16-bit and float pictures, 255 for a network
        that was trained on 8-bit ones only.
    mean, std : tuple of float
        Per band, subtracted and divided by after the division by `data_range`. Empty: left out.
    resample : {"area", "bicubic", "bilinear"}
        How the picture is reduced.

    Raises
    ------
    ConfigError
        Values that no picture can be treated by.
    """

    bands: int = 3
    scale: float = 1.0
    data_range: float = 255.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    resample: Resample = "area"

    def __post_init__(self) -> None:
        if self.bands < 1:
            raise ConfigError(f"{self.bands} bands", "1 or more")
        if not 0 < self.scale <= MOST_SCALE:
            raise ConfigError(f"scale {self.scale:g}", f"above 0 and at most {MOST_SCALE:g}")
        if not 0 < self.data_range < math.inf:
            raise ConfigError(f"data range {self.data_range:g}", "a number above 0")
        if len(self.mean) != len(self.std) or len(self.mean) not in (0, self.bands):
            counts = f"{len(self.mean)} means and {len(self.std)} deviations"
            raise ConfigError(counts, f"{self.bands} of each, or none")
        if not all(map(math.isfinite, self.mean)) or not all(0 < each < math.inf for each in self.std):
            raise ConfigError(f"means {self.mean} and deviations {self.std}", "finite ones, the deviations above 0")
        if self.resample not in get_args(Resample):
            raise ConfigError(f"resample {self.resample!r}", " or ".join(get_args(Resample)))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Preprocessing:
        """Read what `to_dict` wrote, also after a trip through JSON.

        Raises
        ------
        ConfigError
            It is something else.
        """
        if isinstance(data, dict) and "white" in data:  # its name in format 1
            data = {**data, "data_range": data["white"]}
            del data["white"]
        return as_dataclass(cls, data)


def scaled_size(height: int, width: int, scale: float) -> tuple[int, int]:
    """Return (height, width) after scaling, in whole pixels: cut off, never below 1."""
    return max(1, int(height * scale)), max(1, int(width * scale))


def match_bands(picture: NDArray[Any], bands: int) -> NDArray[Any]:
    """Return a picture (H, W, C) with the wanted number of bands.

    Grey becomes RGB by repetition, RGB becomes grey by the Rec. 601 weights that Pillow uses, alpha is dropped.

    Raises
    ------
    InputError
        Any other combination.
    """
    count = picture.shape[2]
    if count == bands:
        return picture
    if count == 4 and bands in (1, 3):
        picture, count = picture[..., :3], 3
    if count == 2 and bands in (1, 3):
        picture, count = picture[..., :1], 1
    if count == bands:
        return picture
    if count == 1 and bands == 3:
        return np.repeat(picture, 3, axis=2)
    if count == 3 and bands == 1:
        grey = picture @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
        return (np.rint(grey) if picture.dtype.kind == "u" else grey).astype(picture.dtype)[..., None]
    raise InputError(f"a picture with {count} bands", f"{bands}", "give pictures of the kind the model was trained on")


def value_factor(dtype: str, low: float, high: float, preprocessing: Preprocessing) -> float:
    """Return what the values of a picture are multiplied by to mean what those of the training pictures did.

    Pictures of 8 bits are stretched to `data_range`; fractions of 0 to 1 become 0 to 255 for a network that was trained
    on these.

    Parameters
    ----------
    dtype : str
        "uint8", "uint16", or some kind of float.
    low, high : float
        Between these nearly all of its values lie, such as the 1st and the 99.9th percentile.
    preprocessing : Preprocessing

    Raises
    ------
    InputError
        The values are of another range, and which is meant cannot be told. A network of the Carvana system, which
        standardises nothing, takes whole numbers as they are.

    Examples
    --------
    >>> known = Preprocessing(mean=(0.5,) * 3, std=(0.2,) * 3)
    >>> value_factor("float32", 0.0, 0.98, known), value_factor("float32", 3.0, 250.0, known)
    (255.0, 1.0)
    """
    data_range = preprocessing.data_range
    if dtype == "uint8":
        return data_range / 255
    of_8_bits = data_range == 255
    if of_8_bits and dtype.startswith("float") and low >= -FRACTION_OVER and high <= 1 + FRACTION_OVER:
        return 255.0
    too_bright = high > (BRIGHTER_THAN_8_BITS if of_8_bits else BRIGHTER) * data_range
    too_dark = low < high < data_range / DARKER
    lowest = (0.0, *(mean - LOWER * std for mean, std in zip(preprocessing.mean, preprocessing.std, strict=True)))
    too_low = low < (min(lowest) - FRACTION_OVER) * data_range
    if preprocessing.mean and (too_bright or too_dark or too_low):
        raise InputError(
            f"a picture of {dtype} with values of {low:.4g} to {high:.4g}",
            f"about 0 to {data_range:.4g}, as the model was trained on",
            "convert it as the training pictures were converted",
        )
    return 1.0


def conversions(bands: int, dtype: str, factor: float, preprocessing: Preprocessing) -> list[str]:
    """Return in words what a picture undergoes because the network was trained on others.

    Parameters
    ----------
    bands : int
    dtype : str
    factor : float
        As `value_factor` returns it.
    preprocessing : Preprocessing

    Examples
    --------
    >>> conversions(1, "uint8", 1.0, Preprocessing(bands=3))
    ['a grey picture, but the model takes 3 bands: each is given the grey']
    """
    words, wanted = [], preprocessing.bands
    if bands in (1, 2) and wanted == 3:
        words.append("a grey picture, but the model takes 3 bands: each is given the grey")
    elif bands in (3, 4) and wanted == 1:
        words.append("a colour picture, but the model takes grey ones: made grey, 0.299 R + 0.587 G + 0.114 B")
    elif bands == 4 and wanted == 3:
        words.append("a picture of 4 bands, but the model takes 3: the fourth is left out")
    if factor != 1:
        found, known = ("of 8 bits", 255.0) if dtype == "uint8" else ("of fractions from 0 to 1", 1.0)
        words.append(f"a picture {found}: stretched to 0 to {known * factor:.4g}, as the model was trained on")
    return words


def match_depth(picture: NDArray[Any], preprocessing: Preprocessing, factor: float | None = None) -> NDArray[Any]:
    """Return a picture whose bright parts are near `data_range`: an 8-bit picture is stretched where that is not 255.

    Parameters
    ----------
    picture : array (H, W, C)
    preprocessing : Preprocessing
    factor : float, optional
        As `value_factor` returns it; without it, pictures of more than 8 bits are taken to be as in training.

    Raises
    ------
    InputError
        The picture is brighter than 8-bit pictures can be, and those alone are known. A network of the Carvana
        system, which standardises nothing, takes it as it is.
    """
    data_range = preprocessing.data_range
    if factor is None:
        factor = data_range / 255 if picture.dtype == np.uint8 else 1.0
    if factor != 1:
        return picture.astype(np.float32) * np.float32(factor)
    if data_range == 255 and preprocessing.mean and picture.dtype == np.uint16 and picture.max(initial=0) > 255:
        raise InputError(
            f"a 16-bit picture with values up to {picture.max()}",
            "8 bits, as the model was trained on",
            "convert it as the training pictures were converted",
        )
    return picture


def normalise(image: NDArray[Any], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Return the network's input, float32 (C, h, w), from an image (C, h, w) in its file's values at the right size."""
    # Along the bands last, as files have them, numpy needs several times as long for the last two lines.
    normalised: NDArray[np.float32] = np.divide(
        image, np.float32(preprocessing.data_range), dtype=np.float32, order="C"
    )
    if preprocessing.mean:
        normalised -= np.array(preprocessing.mean, dtype=np.float32)[:, None, None]
        normalised /= np.array(preprocessing.std, dtype=np.float32)[:, None, None]
    return normalised
