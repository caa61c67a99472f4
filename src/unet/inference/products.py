"""What is made of a prediction: the mask, probabilities, an edge map; each a raster that is written in parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.errors import InputError
from unet.inference.streaming import Scored
from unet.labels import IGNORED, Labels
from unet.raster import TIFF_SUFFIXES, Sink, create

EDGE_NAMES = ("edge", "edges", "line", "lines", "border", "borders", "boundary", "boundaries", "contour", "contours")
"""Names of the class that an edge map is of, where none is said."""


class Product:
    """A raster in the making.

    Parameters
    ----------
    sink : Sink or None
        None: it stays in memory.
    make : callable
        Returns what a part becomes, (h, w) or (h, w, C).
    """

    def __init__(self, sink: Sink | None, make: Callable[[Scored], NDArray[Any]]) -> None:
        self.sink, self.make = sink, make
        self.array: NDArray[np.uint8] | None = None

    @property
    def rows_done(self) -> int:
        """Rows that an earlier run has finished."""
        return self.sink.rows_done if self.sink is not None else 0

    @property
    def note(self) -> dict[str, Any]:
        """What that run has noted."""
        return self.sink.note if self.sink is not None else {}

    def write(self, scored: Scored) -> None:
        """Take a finished part."""
        row, col, height, width = scored.window
        if self.sink is not None:
            self.sink.write(scored.window, self.make(scored))
        elif self.array is not None:
            self.array[row : row + height, col : col + width] = self.make(scored)

    def mark(self, rows: int, note: dict[str, Any]) -> None:
        """Record that so many rows are finished."""
        if self.sink is not None:
            self.sink.mark(rows, note)

    def close(self) -> None:
        """Put the file in place."""
        if self.sink is not None:
            self.sink.close()

    def abandon(self) -> None:
        """Let go of it; what can be gone on with stays."""
        if self.sink is not None:
            self.sink.abandon()


def in_memory(height: int, width: int) -> Product:
    """Return class indices that stay in memory; see `kept`."""
    product = Product(None, lambda scored: scored.classes)
    product.array = np.zeros((height, width), dtype=np.uint8)
    return product


def kept(product: Product) -> NDArray[np.uint8]:
    """Return what stayed in memory, uint8 (H, W)."""
    assert product.array is not None  # made by `in_memory`
    return product.array


def mask(path: Path, labels: Labels, raw_values: bool, options: Mapping[str, Any]) -> Product:
    """Begin a mask of class indices, with a palette, or of the values that the training masks had.

    Parameters
    ----------
    path : Path
    labels : Labels
    raw_values : bool
    options : mapping
        Of `unet.raster.create`.
    """
    if not raw_values:
        nodata = IGNORED if path.suffix.lower() in TIFF_SUFFIXES else None
        palette = labels.palette() if path.suffix.lower() != ".npy" else None
        sink = create(path, kind="mask", palette=palette, nodata=nodata, labels=labels.to_dict(), **options)
        return Product(sink, lambda scored: scored.classes)
    values = labels.decode(np.zeros((1, 1), dtype=np.uint8))
    bands = values.shape[2] if values.ndim == 3 else None
    sink = create(path, bands=bands, dtype=values.dtype.name, kind="mask", labels=labels.to_dict(), **options)
    return Product(sink, lambda scored: labels.decode(scored.classes))


def probabilities(
    path: Path, labels: Labels, channels: int, number: str, class_name: str | None, options: Mapping[str, Any]
) -> Product:
    """Begin a raster of probabilities: of all classes, or of one.

    Parameters
    ----------
    path : Path
    labels : Labels
    channels : int
        Probabilities of a pixel: one for each class, or that of class 1 alone.
    number : {"npy", "uint8", "float16", "float32"}
        "npy" is float16.
    class_name : str, optional
    options : mapping
        Of `unet.raster.create`.
    """
    dtype = "float16" if number == "npy" else number
    has_nodata = dtype != "uint8" and path.suffix.lower() in TIFF_SUFFIXES
    chosen = None if class_name is None else labels.names.index(class_name)
    sink = create(
        path,
        bands=channels if chosen is None else 1,
        dtype=dtype,
        kind="probability",
        labels=labels.to_dict(),
        nodata=np.nan if has_nodata else None,
        **options,
    )

    def make(scored: Scored) -> NDArray[Any]:
        values = scored.probabilities if chosen is None else _of_class(scored, chosen)[None]
        stored = np.rint(values * 255).astype(np.uint8) if dtype == "uint8" else values.astype(dtype)
        if scored.valid is not None:
            stored = np.where(scored.valid, stored, stored.dtype.type(np.nan if has_nodata else 0))
        return stored.transpose(1, 2, 0)

    return Product(sink, make)


def epm(path: Path, labels: Labels, bits: int, class_name: str | None, options: Mapping[str, Any]) -> Product:
    """Begin an edge probability map: 0 is surely none, 255 (or 65,535) surely one; 0 outside.

    Parameters
    ----------
    path : Path
    labels : Labels
    bits : {8, 16}
    class_name : str, optional
        The class that is the edge; else it is found by its name, or is the foreground.
    options : mapping
        Of `unet.raster.create`.
    """
    dtype: Any = np.uint8 if bits == 8 else np.uint16
    edge = edge_class(labels, class_name)
    sink = create(path, dtype=np.dtype(dtype).name, kind="epm", **options)

    def make(scored: Scored) -> NDArray[Any]:
        stored = np.rint(_of_class(scored, edge) * np.iinfo(dtype).max).astype(dtype)
        return stored if scored.valid is None else np.where(scored.valid, stored, dtype(0))

    return Product(sink, make)


def edge_class(labels: Labels, class_name: str | None) -> int:
    """Return the class that an edge map is of.

    Raises
    ------
    InputError
        There is no such class, or it cannot be told which it is.
    """
    if class_name is not None:
        if class_name not in labels.names:
            raise InputError(f"class {class_name!r}", " or ".join(labels.names))
        return labels.names.index(class_name)
    named = [index for index, name in enumerate(labels.names) if name.lower() in EDGE_NAMES]
    if len(named) == 1:
        return named[0]
    if len(labels) == 2:
        return 1
    raise InputError(f"an edge map of {len(labels)} classes", "the class of the edges", "name it with --class")


def check_class(labels: Labels, class_name: str | None, for_edges: bool) -> None:
    """Make sure that a class is there that was named, or that is needed for an edge map.

    Raises
    ------
    InputError
        It is not.
    """
    if class_name is not None or for_edges:
        edge_class(labels, class_name)


def _of_class(scored: Scored, index: int) -> NDArray[np.float32]:
    """Return the probability of a class, (h, w)."""
    values = scored.probabilities
    if len(values) > 1:
        return np.asarray(values[index])
    return np.asarray(values[0] if index == 1 else 1 - values[0])
