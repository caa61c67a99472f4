"""Sheets that shapes are made of: edge maps, class masks, probabilities, label maps, line images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from unet import raster
from unet.errors import InputError, RasterError
from unet.labels import IGNORED, Labels
from unet.shapes.polygons import row_bands

Kind = Literal["epm", "mask", "probability", "labels", "edges"]
KINDS: tuple[str, ...] = get_args(Kind)

_WHAT = {
    "epm": "an edge probability map",
    "mask": "a class mask",
    "probability": "probabilities of classes",
    "labels": "a label map",
    "edges": "lines between shapes",
}


@dataclass(frozen=True)
class Sheet:
    """An open raster, and what its pixels mean.

    Attributes
    ----------
    source : unet.raster.Source
    kind : str
    classes : Labels or None
        Of a mask or of probabilities, as far as the file names them.
    crs : str or None
    """

    source: raster.Source
    kind: str
    classes: Labels | None
    crs: str | None

    def __enter__(self) -> Sheet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.source.close()

    @property
    def path(self) -> Path:
        """The file."""
        return self.source.path

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.source.height, self.source.width

    def windows(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield bands of rows that cover the sheet."""
        for first, last in row_bands(self.shape):
            yield first, 0, last - first, self.source.width


def open_sheet(path: Path, kind: str | None = None, crs: str | None = None) -> Sheet:
    """Open a raster to make shapes of it.

    Parameters
    ----------
    path : Path
    kind : {"epm", "mask", "probability", "labels", "edges"}, optional
        By default what the file says of itself: our own files do; a palette is that of a mask, numbers of 32 bits are
        labels, fractions probabilities.
    crs : str, optional
        Where the file has none.

    Raises
    ------
    InputError
        The file cannot be read, does not tell its kind, has a CRS already, or has bands that do not fit its kind.
    """
    if not path.is_file():
        raise InputError(f"no such file: {path}", "a raster")
    source = raster.open(path)
    if kind is None:
        kind = source.kind if source.kind in KINDS else _told_kind(source)
    elif kind not in KINDS:
        raise InputError(f"kind {kind!r}", ", ".join(KINDS))
    if crs is not None and source.crs is not None and crs != source.crs:
        raise InputError(f"{path} has the CRS {source.crs} already", "a raster without any", "leave out --crs")
    if kind in ("labels", "edges") and source.bands > 1 and source.palette is None:
        raise InputError(f"{path} has {source.bands} bands", f"one band for {_WHAT[kind]}")
    if source.transform is not None:
        a, b, _, d, e, _ = source.transform
        if not abs(a * e - b * d) > 0:
            raise InputError(f"{path}: its transform puts all pixels on one line", "one that spreads them over a plane")
    return Sheet(source, kind, _classes_of(source), source.crs or crs)


def _told_kind(source: raster.Source) -> str:
    if source.palette is not None:
        return "mask"
    if source.dtype == "float32" and source.bands == 1:
        return "labels" if _holds_labels(source) else "probability"
    if source.dtype == "float32":
        return "probability"
    choices = "; ".join(f"{kind}: {what}" for kind, what in _WHAT.items())
    raise InputError(f"{source.path} does not say what it holds", f"--kind, one of {choices}")


def _holds_labels(source: raster.Source) -> bool:
    """Tell whether a raster of many bits holds whole numbers, and others than 0 and 1."""
    highest = 0
    try:
        for first, last in row_bands((source.height, source.width)):
            highest = max(highest, int(source.read_mask((first, 0, last - first, source.width)).max()))
    except RasterError:  # fractions; what is wrong with the file shows when it is read
        return False
    return highest > 1


def _classes_of(source: raster.Source) -> Labels | None:
    """Return the classes that a file names."""
    if source.labels is not None:
        try:
            return Labels.from_dict(source.labels)
        except InputError as error:
            raise InputError(
                f"{source.path}: its class table cannot be read ({error})", "as `unet` writes it"
            ) from None
    return None


def read_epm(sheet: Sheet, notify: Callable[[str], None]) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
    """Return an edge map as 8 bits, and where it holds something (None: everywhere).

    Of several bands the first is taken, as the old program does; 16 bits are scaled to 8, fractions from 0 to 1 too.

    Raises
    ------
    InputError
        Fractions beyond 0 to 1, or a file that cannot be read.
    """
    source = sheet.source
    valid = source.read_valid() if source.has_invalid else None
    values = source.read(fill=[0.0] * source.bands if source.has_invalid else None)
    if values.shape[2] > 1:
        notify(f"{sheet.path}: of {values.shape[2]} bands the first (red) is taken as the edge map")
    epm = values[..., 0]
    if epm.dtype == np.uint16:
        notify(f"{sheet.path}: 16 bits are scaled to 8")
        epm = ((epm.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    elif epm.dtype != np.uint8:
        if epm.min() < 0 or epm.max() > 1:
            raise InputError(f"{sheet.path} holds values from {epm.min():g} to {epm.max():g}", "0 to 255, or 0 to 1")
        epm = np.rint(epm * 255).astype(np.uint8)
    return np.ascontiguousarray(epm), None if valid is None or valid.all() else valid


def read_numbers(sheet: Sheet) -> NDArray[Any]:
    """Return labels, or the values of a line image, (H, W), as they stand in the file; 0 where it holds nothing.

    Raises
    ------
    InputError
        Colours, negative numbers, or a file that cannot be read.
    """
    return np.concatenate([_numbers(sheet, window) for window in sheet.windows()])


def _numbers(sheet: Sheet, window: tuple[int, int, int, int]) -> NDArray[Any]:
    values = sheet.source.read_mask(window)
    if values.ndim != 2:
        raise InputError(f"{sheet.path} holds colours", f"one band of numbers for {_WHAT[sheet.kind]}")
    if sheet.source.has_invalid:
        values = np.where(sheet.source.read_valid(window), values, values.dtype.type(0))
    if values.dtype.kind == "i" and values.min() < 0:
        raise InputError(f"{sheet.path} holds {values.min()}", "numbers from 0 on")
    return values


def class_bands(
    sheet: Sheet, threshold: float | None = None
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.float32]]]:
    """Yield the class indices of each band of rows of a mask or of probabilities, and how probable these are.

    Parameters
    ----------
    threshold : float, optional
        For probabilities of one class, the foreground: above it is class 1. 0.5 by default.

    Yields
    ------
    int32 array (h, W)
        -1 where the sheet holds nothing, or a value that does not count.
    float32 array (h, W)
        Of that class, from 0 to 1; empty for masks.

    Raises
    ------
    InputError
        Colours without a table, probabilities beyond their range, or a file that cannot be read.
    """
    for window in sheet.windows():
        if sheet.kind == "mask":
            yield _indices(sheet, window), np.zeros((0, 0), np.float32)
        else:
            yield _likeliest(sheet, window, 0.5 if threshold is None else threshold)


def _indices(sheet: Sheet, window: tuple[int, int, int, int]) -> NDArray[np.int32]:
    values = sheet.source.read_mask(window)
    if values.ndim != 2:
        raise InputError(
            f"{sheet.path} holds colours", "a mask of class indices", "make it one: unet repair, or unet predict"
        )
    indices = values.astype(np.int32)
    indices[(values == IGNORED) | (indices < 0)] = -1
    if sheet.source.has_invalid:
        indices[~sheet.source.read_valid(window)] = -1
    return indices


def _likeliest(
    sheet: Sheet, window: tuple[int, int, int, int], threshold: float
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    source = sheet.source
    values = source.read(window, fill=[0.0] * source.bands if source.has_invalid else None)
    scale = {"uint8": 255, "uint16": 65535}.get(values.dtype.name, 1)
    values = values.astype(np.float32) / scale
    if values.min() < 0 or values.max() > 1.001:  # float16 may round a little above
        raise InputError(f"{sheet.path} holds {values.min():g} to {values.max():g}", "probabilities from 0 to 1")
    if values.shape[2] == 1:
        foreground = values[..., 0]
        indices = (foreground > threshold).astype(np.int32)
        probability = np.where(indices == 1, foreground, 1 - foreground)
    else:
        indices = values.argmax(axis=2).astype(np.int32)
        probability = values.max(axis=2)
    if source.has_invalid:
        indices[~source.read_valid(window)] = -1
    return indices, probability.astype(np.float32)
