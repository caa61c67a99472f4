"""How many pixels each class takes of each picture, as a table for other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unet import files, raster
from unet.errors import InputError
from unet.labels import Labels
from unet.raster.map_units import pixel_area

COLUMNS = ("picture", "class", "pixels", "share", "area", "unit")

_BAND_PIXELS = 1 << 24  # of a mask, read at a time


def table_of_shard(path: Path, shard: tuple[int, int] | None) -> Path:
    """Return the table's file, one for each of the processes that share the pictures.

    Examples
    --------
    >>> table_of_shard(Path("areas.csv"), (2, 4)).name
    'areas-2of4.csv'
    """
    return path if shard is None else path.with_name(f"{path.stem}-{shard[0]}of{shard[1]}{path.suffix}")


def check_table(path: Path, kinds: Sequence[str], left_out: bool) -> None:
    """Make sure that a table can be made; `left_out`: pictures whose files are there are not predicted again.

    Raises
    ------
    InputError
        Its name is that of another kind of file, or it would lack the pictures that are left out.
    """
    if path.suffix.lower() != ".csv":
        raise InputError(f"--csv {path}", "a name that ends in .csv")
    if left_out and kinds and "mask" not in kinds:
        raise InputError(
            "--csv with --resume or --shard, without masks",
            "masks, in which the pixels of what is done already are counted",
            "leave out --no-save",
        )


def count_mask(path: Path, labels: Labels, raw_values: bool) -> NDArray[np.int64]:
    """Return how many pixels each class has in a mask that was predicted earlier, int64 (classes,).

    The mask is read in bands, never as a whole where its format allows that.

    Raises
    ------
    InputError
        It cannot be read, or holds other values.
    """
    counts = np.zeros(256, np.int64)
    with raster.open(path) as source:
        rows = max(1, _BAND_PIXELS // source.width)
        for first in range(0, source.height, rows):
            part = source.read_mask((first, 0, min(rows, source.height - first), source.width))
            indices = labels.encode(part) if raw_values else part
            counts += np.bincount(indices.ravel(), minlength=256)[:256]
    return counts[: len(labels)]


def write_areas(
    path: Path, found: Sequence[tuple[Path, NDArray[np.int64]]], labels: Labels, notify: Callable[[str], None]
) -> None:
    """Write a line for each class of each picture: pixels, share of those that count, and area where there is a map.

    Parameters
    ----------
    path : Path
    found : sequence of (Path, int64 array (classes,))
        Pictures and how many pixels each class takes, without those that do not count (nodata, outside of the region).
    labels : Labels
    notify : callable
        Told where areas are left out.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    in_degrees: list[Path] = []
    for image, counts in found:
        area: tuple[float, str] | None = None
        if image.suffix.lower() in raster.TIFF_SUFFIXES:  # no others have a place
            with raster.open(image) as source:
                area = pixel_area(source)
                if area is None and source.crs is not None:
                    in_degrees.append(image)
        total = max(int(counts.sum()), 1)
        for name, pixels in zip(labels.names, counts.tolist(), strict=True):
            size = ("", "") if area is None else (f"{pixels * area[0]:.12g}", area[1])
            writer.writerow((image.as_posix(), name, pixels, f"{pixels / total:.6f}", *size))
    files.write_text(path, text.getvalue())
    if in_degrees:
        more = f" and {len(in_degrees) - 1} more" if len(in_degrees) > 1 else ""
        notify(
            f"note: no areas for {in_degrees[0]}{more}: the coordinates are degrees; unet vectorize measures such maps"
        )
