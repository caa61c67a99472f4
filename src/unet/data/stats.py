"""What one picture or one mask is like, in numbers."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet import raster
from unet.data.value_peaks import find_peaks
from unet.labels import Color, Value
from unet.raster import PictureInfo
from unet.shapes.components import is_single_component
from unet.shapes.measure import RegionProps, from_key, region_props

MOST_VALUES = 1024
"""So many different values of a mask are kept; more are never classes, only counted."""

_SAMPLE = 32768  # pixels of a picture that its statistics are taken from
_HASHED = 32  # side of the small picture that the perceptual hash is taken from
LOOK_CELLS = 64
"""Numbers that a picture's look is made of: 8 x 8 cells."""

_FLAT = 0.02  # contrast of that small picture, as a share of its brightness, below which a hash says nothing
_MAX_GREYS = 8  # more values than so many between dark and white are no classes but blends of some
_BLOB_PIXELS = 100_000  # pixels of a mask that are looked at for separate objects
_BLOB_VALUES = 8  # values of a mask that are looked at for separate objects


@dataclass(frozen=True)
class PictureStats:
    """What a picture is like; numbers per band in the file's own units, from a sample of its pixels.

    Attributes
    ----------
    height, width, bands : int
    dtype : str
        "uint8", "uint16" or "float32".
    mean, std, low, high : tuple of float
        `low` and `high` are the 1st and the 99.9th percentile.
    n_values : int
        How many different numbers there are in the sample: few in a mask that was given as a picture.
    format, mode : str
        As in `raster.PictureInfo`.
    frames, orientation : int
    alpha : bool
    constant : bool
        All pixels are alike.
    digest : int
        The same for pictures with the same pixels.
    phash : int or None
        A perceptual hash of 64 bits: few of them differ between pictures that look alike. None where there is
        hardly anything to see.
    lean : float
        How much brighter the lower half is than the upper one, in standard deviations.
    content_hash : str
        Of the file's bytes (`unet.data.hashing.content_hash`); empty where the pixels come from no file.
    void : float
        The share of the pixels that hold nothing, by the file's own word; the other numbers are without these.
    look : str
        The brightness of 8 x 8 cells, 0 to 255 from the darkest to the brightest, in base 64: nearly the same when a
        picture is saved anew. Empty where there is hardly anything to see.
    """

    height: int
    width: int
    bands: int
    dtype: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    n_values: int
    format: str = ""
    mode: str = ""
    frames: int = 1
    orientation: int = 1
    alpha: bool = False
    constant: bool = False
    digest: int = 0
    phash: int | None = None
    lean: float = 0.0
    content_hash: str = ""
    void: float = 0.0
    look: str = ""


@dataclass(frozen=True)
class MaskStats:
    """What a mask holds.

    Attributes
    ----------
    height, width : int
    dtype : str
        "uint8", "uint16" or "int32".
    values : tuple of (value, count of pixels)
        The most frequent first, at most `MOST_VALUES`; a value is an int or an RGB triple.
    n_values : int
        How many different ones there are.
    lossy : bool
        The file's format changes values (JPEG).
    palette : tuple of (int, int, int) or None
        Colours by index, up to the highest index in use.
    objects : float or None
        The share of the values other than 0 that are one connected blob, as numbers of objects are and class
        numbers seldom. None where the values cannot be numbers of objects.
    inner : tuple of int
        For each of `values` the count of its pixels whose four neighbours have it too: none for a blended edge.
    format, mode : str
        As in `raster.PictureInfo`.
    frames, orientation : int
    alpha : bool
    shapes : tuple of RegionProps
        How thick and how large the regions of each value are; empty where they were not measured.
    content_hash : str
        Of the file's bytes (`unet.data.hashing.content_hash`); empty where the pixels come from no file.
    """

    height: int
    width: int
    dtype: str
    values: tuple[tuple[Value, int], ...]
    n_values: int
    lossy: bool
    palette: tuple[Color, ...] | None
    objects: float | None
    inner: tuple[int, ...] = ()
    format: str = ""
    mode: str = ""
    frames: int = 1
    orientation: int = 1
    alpha: bool = False
    shapes: tuple[RegionProps, ...] = ()
    content_hash: str = ""

    @property
    def is_rgb(self) -> bool:
        """True where the values are colours."""
        return isinstance(self.values[0][0], tuple)


def picture_stats(
    picture: NDArray[Any], info: PictureInfo | None = None, valid: NDArray[np.bool_] | None = None
) -> PictureStats:
    """Return the statistics of a picture (H, W, C), what its file's header says, and where it holds something (H, W).

    Of a picture that holds nothing at all they are those of its pixels as they are.
    """
    height, width, bands = picture.shape
    step = max(1, int(np.ceil(np.sqrt(height * width / _SAMPLE))))
    points = picture[::step, ::step].reshape(-1, bands)
    if valid is not None and (chosen := valid[::step, ::step].ravel()).any():
        points = points[chosen]
    sample = np.ascontiguousarray(points.T)
    upper, lower = np.array_split(sample, 2, axis=1)
    low, high = np.percentile(sample, (1, 99.9), axis=1)
    small = raster.resize(picture, _HASHED, _HASHED, "area").astype(np.float64).mean(axis=2)
    is_flat = bool(small.std() <= _FLAT * abs(small).mean())
    return PictureStats(
        height=height,
        width=width,
        bands=bands,
        dtype=picture.dtype.name,
        mean=_floats(sample.mean(axis=1, dtype=np.float64)),
        std=_floats(sample.std(axis=1, dtype=np.float64)),
        low=_floats(low),
        high=_floats(high),
        n_values=len(_count(sample)[0]) if picture.dtype.kind == "u" else len(np.unique(sample)),
        constant=bool(np.ptp(sample, axis=1).max() == 0 and (picture == picture[0, 0]).all()),
        digest=zlib.crc32(sample.tobytes(), zlib.crc32(repr(picture.shape).encode())),
        phash=None if is_flat else _perceptual_hash(small),
        lean=float(np.mean(lower) - np.mean(upper)) / max(float(np.std(sample)), 1e-6) if sample.shape[1] > 1 else 0.0,
        void=0.0 if valid is None else 1 - float(valid.mean()),
        look="" if is_flat else _look(small),
        **_header(info),
    )


def _header(info: PictureInfo | None) -> dict[str, Any]:
    names = ("format", "mode", "frames", "orientation", "alpha")
    return {} if info is None else {name: getattr(info, name) for name in names}


def _perceptual_hash(small: NDArray[np.float64]) -> int:
    """Return a perceptual hash: the signs of the lowest 64 frequencies, without the mean, about their median.

    As in C. Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010, section 3.2.1.
    """
    steps = np.arange(_HASHED)
    cosines = np.cos(np.pi / _HASHED * (steps + 0.5) * np.arange(1, 9)[:, None])
    waves = (cosines @ small @ cosines.T).ravel()
    return int.from_bytes(np.packbits(waves > np.median(waves)).tobytes(), "big")


def _look(small: NDArray[np.float64]) -> str:
    cells = small.reshape(8, _HASHED // 8, 8, _HASHED // 8).mean(axis=(1, 3))
    low, high = cells.min(), cells.max()
    levels = np.rint((cells - low) / max(high - low, 1e-12) * 255).astype(np.uint8)
    return base64.b64encode(levels.tobytes()).decode("ascii")


def look_of_text(text: str) -> NDArray[np.uint8] | None:
    """Return the look of a picture as numbers (64,), None where it has none.

    Raises
    ------
    ValueError
        The text is none.
    """
    if not text:
        return None
    return np.frombuffer(base64.b64decode(text, validate=True), dtype=np.uint8).reshape(LOOK_CELLS)


def mask_stats(
    mask: NDArray[Any],
    info: PictureInfo | None = None,
    *,
    lossy: bool = False,
    palette: Sequence[Color] | None = None,
    shapes: bool = True,
) -> MaskStats:
    """Return what a mask (H, W) or (H, W, 3) holds and what its file's header says.

    Shapes of more than `MOST_VALUES` values are not measured.
    """
    codes = _codes(mask)
    values, counts = _count(codes)
    order = np.argsort(-counts, kind="stable")[:MOST_VALUES]
    inner = np.zeros(len(values), np.int64)
    inside, inside_counts = _count(_alike(codes))
    inner[np.searchsorted(values, inside)] = inside_counts
    objects = _objects(mask, values) if mask.ndim == 2 else None
    measured = shapes and len(values) <= MOST_VALUES
    return MaskStats(
        height=mask.shape[0],
        width=mask.shape[1],
        dtype=mask.dtype.name,
        values=tuple((from_key(int(values[index]), mask.ndim == 3), int(counts[index])) for index in order),
        n_values=len(values),
        lossy=lossy,
        palette=None if palette is None else tuple(palette[: int(values.max()) + 1]),
        objects=objects,
        inner=tuple(inner[order].tolist()),
        shapes=_shapes(codes, values, counts, inner, mask.ndim == 3, (objects or 0) > 0.5) if measured else (),
        **_header(info),
    )


def _shapes(
    codes: NDArray[Any],
    values: NDArray[Any],
    counts: NDArray[np.int64],
    inner: NDArray[np.int64],
    rgb: bool,
    instance_ids: bool,
) -> tuple[RegionProps, ...]:
    """Return the shapes of a mask; of one that was damaged those of its true values."""
    greys = np.count_nonzero((values > 64) & (values < 255))
    if codes.dtype == np.uint8 and greys > _MAX_GREYS and not instance_ids:
        places = sorted(find_peaks(values[:, None], counts, inner, codes.size).places) or [int(counts.argmax())]
        nearest = np.abs(values[:, None] - values[places]).argmin(axis=1)
        table = np.zeros(256, np.uint8)
        table[values] = values[places][nearest]
        codes, values = table[codes], values[places]
        counts = np.bincount(nearest, weights=counts).astype(np.int64)
    return region_props(codes, values, counts, rgb=rgb)


def _count(codes: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the values that occur, in rising order, and how many there are of each."""
    codes = codes.ravel()
    if codes.dtype.kind == "u":
        bins = np.bincount(codes)
        values = np.flatnonzero(bins)
        return values, bins[values]
    # Sorting runs of equal pixels instead of pixels: masks are mostly runs.
    starts = np.flatnonzero(np.diff(codes, prepend=codes[:1] - 1))
    lengths = np.diff(starts, append=codes.size)
    present, inverse = np.unique(codes[starts], return_inverse=True)
    return present, np.bincount(inverse, weights=lengths).astype(np.int64)


def _codes(mask: NDArray[Any]) -> NDArray[Any]:
    """Return one number (H, W) for each pixel of a mask, also of one of colours (H, W, 3)."""
    if mask.ndim == 2:
        return mask
    wide = mask.astype(np.int32)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def _alike(codes: NDArray[Any]) -> NDArray[Any]:
    """Return the pixels whose four neighbours are as they are."""
    middle = codes[1:-1, 1:-1]
    alike = (middle == codes[:-2, 1:-1]) & (middle == codes[2:, 1:-1])
    alike &= (middle == codes[1:-1, :-2]) & (middle == codes[1:-1, 2:])
    inside: NDArray[Any] = middle[alike]
    return inside


def _objects(mask: NDArray[Any], values: NDArray[Any]) -> float | None:
    """Return the share of values other than 0 that form one blob; see `MaskStats.objects`."""
    numbers = values[values > 0]
    numbered = mask.dtype != np.uint8 or numbers.size > 64 or (numbers.size and numbers[-1] == numbers.size)
    if numbers.size < 3 or not numbered or values[0] < 0:
        return None
    from scipy import ndimage  # slow to import, and needed for few masks

    step = max(1, int(np.ceil(np.sqrt(mask.size / _BLOB_PIXELS))))
    # 0 for the value 0, then 1, 2, ... in the order of the values.
    codes = np.searchsorted(values, mask[::step, ::step]) + (values[0] > 0)
    boxes = [(code, box) for code, box in enumerate(ndimage.find_objects(codes), start=1) if box is not None]
    single = 0
    looked = boxes[:: max(1, len(boxes) // _BLOB_VALUES)]
    for number, (code, box) in enumerate(looked, start=1):
        single += is_single_component(codes[box] == code)
        if number - single == 3:  # clearly not
            break
    return single / number if looked else None


def _floats(values: NDArray[Any]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
