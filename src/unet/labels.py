"""The class table: names, colours, and how the values in mask files become class indices and back."""

from __future__ import annotations

import colorsys
import reprlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from unet.errors import DataError, printable
from unet.parsing import as_dataclass

IGNORED = 255
"""The index of pixels that count neither in the loss nor in a score."""

MAX_CLASSES = 255

MOST_DILATED = 1000
"""Pixels, by which no class is thickened more."""

_COLORS = (
    "000000 c44eff 278976 76ffb1 ffeb00 76b114 3b00b1 62629d c4b1ff 766200 762727 ff89b1 894e76 b1c489 "
    "00c4b1 ffc4eb 761476 ebc462 149dc4 c48962 004eeb 62763b d862b1 b17614 9d274e 9d00c4 764e27 899dff "
    "ff4e89 9dd8b1 b1ff89 62d800 4e3b00 c46276 00624e 3b3b9d 1400ff eb9dd8 27ffff c42789"
)
"""Of the first classes: found by benchmarks/class_colors.py, measured in docs/decisions/023-output.md."""

_BACKGROUNDS = ("background", "bg", "none", "nothing", "no object", "empty")
"""Names, in lower case and without underscores, of a class that is what no object covers."""

Value = int | tuple[int, int, int]
Color = tuple[int, int, int]
Rule = Literal["exact", "nearest"]
Kind = Literal["classes", "instances"]


@dataclass(frozen=True)
class Labels:
    """The classes of a data set.

    Attributes
    ----------
    names : tuple of str
        One name per class; the position is the class index. What steers a terminal is escaped, as in `printable`.
    colors : tuple of (int, int, int)
        RGB colour of each class in pictures made for people, 0..255.
    values : tuple of int or of (int, int, int)
        What the class looks like in the mask files: a grey or palette value, or an RGB colour.
    ignored : tuple of int or of (int, int, int)
        Values in the mask files that count neither in the loss nor in a score.
    rule : {"exact", "nearest"}
        How other values in masks of classes are treated: an error, or the nearest class value.
    kind : {"classes", "instances"}
        What the mask files hold: classes, or numbers of objects. Then 0 is class 0, and whatever else is not ignored
        is an object, class 1.
    dilated : tuple of int
        By how many pixels on each side the pixels of each class are thickened when masks are read, so that lines of a
        single pixel can be learned; later classes win. Empty: none is. What is ignored stays so.

    Examples
    --------
    >>> labels = Labels(("road", "house"), ((90, 90, 90), (200, 30, 30)), (0, 255), ignored=(100,))
    >>> labels.encode(np.array([[0, 255, 100]], dtype=np.uint8))
    array([[  0,   1, 255]], dtype=uint8)
    >>> Labels.numbered(3).names
    ('class_0', 'class_1', 'class_2')
    """

    names: tuple[str, ...]
    colors: tuple[Color, ...]
    values: tuple[Value, ...]
    ignored: tuple[Value, ...] = ()
    rule: Rule = "exact"
    kind: Kind = "classes"
    dilated: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.names) == len(self.colors) == len(self.values):
            raise DataError(
                f"a class table with {len(self.names)} names, {len(self.colors)} colours, {len(self.values)} values",
                "as many of each",
            )
        object.__setattr__(self, "names", tuple(printable(name) for name in self.names))
        if self.dilated and (
            len(self.dilated) != len(self.names) or not all(0 <= radius <= MOST_DILATED for radius in self.dilated)
        ):
            what = f"widths {_listed(self.dilated)} to thicken {len(self.names)} classes by"
            raise DataError(what, f"one for each, 0 to {MOST_DILATED}")
        if not 1 <= len(self.names) <= MAX_CLASSES:
            raise DataError(f"{len(self.names)} classes", f"1 to {MAX_CLASSES}")
        for name, value, known in (("rule", self.rule, Rule), ("kind", self.kind, Kind)):
            if value not in get_args(known):
                raise DataError(f"label {name} {value!r}", " or ".join(get_args(known)))
        for color in self.colors:
            if not _is_color(color):
                raise DataError(f"colour {color}", "three numbers from 0 to 255")
        if len({isinstance(value, tuple) for value in self.values}) > 1:
            raise DataError(f"grey values and colours for one mask: {_listed(self.values)}", "all of one kind")
        for held in self.values + self.ignored:
            if not (_is_color(held) if isinstance(held, tuple) else -(1 << 31) <= held < 1 << 31):
                raise DataError(f"mask value {held}"[:80], "a whole number of 32 bits, or a colour of 0 to 255 each")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def is_rgb(self) -> bool:
        """True where the mask files hold colours."""
        return isinstance(self.values[0], tuple)

    @property
    def background(self) -> int | None:
        """The class that is what no object covers, by its name; None where all classes are something."""
        return background_of(self.names)

    @classmethod
    def numbered(cls, count: int) -> Labels:
        """Return a table for mask values 0..count-1, with names and colours made up."""
        return cls(default_names(count), default_colors(count), tuple(range(count)))

    def encode(self, mask: NDArray[Any]) -> NDArray[np.uint8]:
        """Turn a mask as read from its file into class indices.

        Parameters
        ----------
        mask : integer array (H, W), or uint8 array (H, W, 3)

        Returns
        -------
        uint8 array (H, W)
            Class indices, `IGNORED` where the mask holds an ignored value; thickened as `dilated` says.

        Raises
        ------
        DataError
            A value that is in neither `values` nor `ignored` (rule "exact"), or a grey mask where colours
            are expected, or the reverse.
        """
        target = self._encode(mask)
        if any(self.dilated):
            counted = target != IGNORED
            originals = {index: target == index for index, radius in enumerate(self.dilated) if radius}
            for index, original in originals.items():
                target[_dilated(original, self.dilated[index]) & counted] = index
        return target

    def _encode(self, mask: NDArray[Any]) -> NDArray[np.uint8]:
        if mask.ndim == 2 and self.is_rgb:  # a colour mask that happens to hold greys only
            mask = np.repeat(mask[..., None], 3, axis=2)
        if mask.ndim == 3 and not self.is_rgb:
            raise DataError("a colour mask", f"grey values {_listed(self.values)}", "give all masks the same kind")
        if self.kind == "instances":
            target = np.asarray(mask != 0, dtype=np.uint8)
            if self.ignored:
                target[np.isin(mask, self.ignored)] = IGNORED
            return target
        codes = _codes(mask)
        if codes.dtype == np.uint8:
            table = self._table(np.arange(256))
            target = table[codes]
            if not (target < 0).any():
                return np.asarray(target, dtype=np.uint8)
        if self.is_rgb and self.rule == "exact":  # several times faster than sorting all pixels, as below
            known = np.unique(_codes_of(self.values + self.ignored))
            places = np.searchsorted(known, codes).clip(max=known.size - 1)
            if np.array_equal(known[places], codes):
                return np.asarray(self._table(known).astype(np.uint8)[places])
        present, inverse = np.unique(codes, return_inverse=True)
        table = self._table(present)
        if (table < 0).any():
            unknown = present[table < 0]
            counts = np.bincount(inverse.ravel(), minlength=present.size)[table < 0]
            raise DataError(
                f"mask values {_listed([_value(code, self.is_rgb) for code in unknown])} ({counts.sum()} pixels)",
                f"only {_listed(self.values + self.ignored)}",
                "mend the mask, or name the true values with --mask-values",
            )
        return np.asarray(table[inverse].reshape(codes.shape), dtype=np.uint8)

    def _table(self, codes: NDArray[Any]) -> NDArray[np.int64]:
        """Class index of each code, -1 where the code is unknown."""
        known = _codes_of(self.values)
        table: NDArray[np.int64]
        if self.rule == "nearest":
            wanted = np.array([np.atleast_1d(v) for v in self.values], dtype=np.int64)
            given = np.array([np.atleast_1d(_value(c, self.is_rgb)) for c in codes], dtype=np.int64)
            table = ((given[:, None] - wanted[None]) ** 2).sum(axis=2).argmin(axis=1)
        else:
            table = np.full(codes.shape, -1)
            for index, code in enumerate(known):
                table[codes == code] = index
        for code in _codes_of(self.ignored):
            table[codes == code] = IGNORED
        return table

    def decode(self, target: NDArray[np.uint8]) -> NDArray[Any]:
        """Turn class indices back into the values of the mask files.

        Parameters
        ----------
        target : uint8 array (H, W)
            Class indices; ignored pixels take the first ignored value, or 0 where there is none.

        Returns
        -------
        array (H, W) or (H, W, 3)
            bool where the values are exactly 0 and 1 and none is ignored, uint8 where they fit, else uint16 or int32.
        """
        values, every = np.array(self.values), np.array(self.values + self.ignored)
        dtype: Any = np.int32
        if every.min() >= 0 and every.max() < 65536:
            dtype = np.uint8 if every.max() < 256 else np.uint16
        if self.values == (0, 1) and not self.ignored:
            dtype = bool
        lookup = np.zeros((256, *values.shape[1:]), dtype=dtype)
        lookup[: len(values)] = values
        if self.ignored:
            lookup[IGNORED] = self.ignored[0]
        decoded: NDArray[Any] = lookup[target]
        return decoded

    def colorize(self, target: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the colours (H, W, 3) of class indices (H, W); ignored pixels are white."""
        lookup = np.array(self.palette(), dtype=np.uint8).reshape(256, 3)
        colored: NDArray[np.uint8] = lookup[target]
        return colored

    def palette(self) -> list[int]:
        """Return 768 numbers for a palette picture: class colours first, white at `IGNORED`."""
        flat = [channel for color in self.colors for channel in color]
        flat += [0] * (768 - len(flat))
        flat[765:] = [255, 255, 255]
        return flat

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and strings, for JSON and TOML."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Labels:
        """Read what `to_dict` wrote, also after a trip through JSON, and in files of the versions before.

        Raises
        ------
        ConfigError, DataError
            It is something else.
        """
        if isinstance(data, dict) and data.get("rule") == "nonzero":  # what version 0.1 called masks of instances
            data = {**data, "rule": "exact", "kind": "instances"}
        return as_dataclass(cls, data)


def as_value(value: Any) -> Value:
    """Return a mask value as int or as a triple of ints.

    Raises
    ------
    DataError
        It is something else.
    """
    parts = value if isinstance(value, (list, tuple)) else [value]
    if len(parts) not in (1, 3) or not all(isinstance(part, (int, float)) and part == part // 1 for part in parts):
        # Not str: what a .pth holds may be lists of the same list, over and over.
        raise DataError(f"mask value {reprlib.repr(value)}", "a whole number, or three")
    red, *others = map(int, parts)
    return (red, others[0], others[1]) if others else red


def _is_color(value: tuple[int, ...]) -> bool:
    return len(value) == 3 and all(0 <= part <= 255 for part in value)


def background_of(names: Sequence[str]) -> int | None:
    """Return the place of the first class that is called background or the like, None where there is none.

    Examples
    --------
    >>> background_of(["_background_", "house"]), background_of(["sky", "house"])
    (0, None)
    """
    plain = [name.replace("_", " ").strip().lower() for name in names]
    return next((place for place, name in enumerate(plain) if name in _BACKGROUNDS), None)


def default_names(count: int) -> tuple[str, ...]:
    """Return names for classes that have none."""
    if count <= 2:
        return ("background", "foreground")[:count]
    return tuple(f"class_{index}" for index in range(count))


def default_colors(count: int) -> tuple[Color, ...]:
    """Return colours that a person can tell apart, colour-blind or not: black first, and more alike the more there are.

    Notes
    -----
    The smallest CIEDE2000 distance between any two of the first 12 is 14.3, of the first 21 it is 8.6, also as eyes
    with protanopia, deuteranopia and tritanopia see them by the model of Machado et al. (2009).

    Examples
    --------
    >>> default_colors(3)
    ((0, 0, 0), (196, 78, 255), (39, 137, 118))
    """
    colors: list[Color] = [(int(text[:2], 16), int(text[2:4], 16), int(text[4:], 16)) for text in _COLORS.split()]
    for index in range(len(colors), count):  # hues at golden-angle steps
        hue = (0.02 + 0.618034 * (index - 1)) % 1.0
        red, green, blue = colorsys.hsv_to_rgb(hue, (0.85, 0.55)[index // 8 % 2], (0.95, 0.7)[index // 4 % 2])
        colors.append((round(red * 255), round(green * 255), round(blue * 255)))
    return tuple(colors[:count])


def _codes(mask: NDArray[Any]) -> NDArray[Any]:
    """One integer per pixel: the grey value, or the three bytes of a colour."""
    if mask.ndim == 2:
        return mask
    wide = mask.astype(np.int64)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def _codes_of(values: tuple[Value, ...]) -> list[int]:
    return [value if isinstance(value, int) else value[0] << 16 | value[1] << 8 | value[2] for value in values]


def _value(code: Any, is_rgb: bool) -> Value:
    code = int(code)
    return (code >> 16, code >> 8 & 255, code & 255) if is_rgb else code


def _dilated(pixels: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Return pixels (H, W) and all that lie at most `radius` rows and columns from one."""
    for axis in (0, 1):
        grown, lines = pixels.copy(), np.moveaxis(pixels, axis, 0)
        for step in range(1, min(radius + 1, len(lines))):
            moved = np.moveaxis(grown, axis, 0)
            moved[step:] |= lines[:-step]
            moved[:-step] |= lines[step:]
        pixels = grown
    return pixels


def _listed(values: Any, most: int = 8) -> str:
    values = list(values)
    more = f" and {len(values) - most} more" if len(values) > most else ""
    return ", ".join(str(value) for value in values[:most]) + more
