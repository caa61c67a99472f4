"""Small old town maps with exact masks: a data set to try everything on without downloading anything.

A sheet is planned as convex polygons (`town`), drawn three times too large (`engraving`), averaged down and
put on old paper (`paper`): the picture is anti-aliased while the mask holds the class at each pixel's centre.

No class can be told by its grey value alone. The paper's tone is common to streets, courtyards and engraved
water; hatching, waterlines, stipple and lettering share one ink; and many sheets have no colour at all.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unet import raster
from unet.demo import engraving, lettering, paper
from unet.demo.grid import FINE, shrink
from unet.demo.town import SMALLEST, plan_town
from unet.errors import DataError

NAMES = ("street", "building", "water", "park")
"""The classes, in the order of the constants in `town`."""

COLORS = ((236, 228, 208), (196, 78, 62), (64, 132, 190), (104, 162, 86))
"""Their colours in the palette of the masks."""


def make_sheets(folder: str | Path, *, count: int = 24, size: tuple[int, int] = (320, 320), seed: int = 0) -> Path:
    """Write map-like pictures and their masks.

    Parameters
    ----------
    folder : path
        Receives imgs/sheet_00.png, masks/sheet_00_mask.png (palette, class indices) and classes.txt. Files of
        these names are overwritten, others are left alone.
    count : int
        Number of sheets.
    size : (int, int)
        Height and width in pixels.
    seed : int
        The same seed gives the same files; sheet i depends on nothing but `seed`, i and `size`.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    DataError
        No sheet, sheets that are too small, or a negative seed.
    RasterError
        The files cannot be written.
    """
    folder = Path(folder)
    if count < 1 or min(size) < SMALLEST or seed < 0:
        raise DataError(
            f"{count} sheets of {size[1]} x {size[0]} px with seed {seed}",
            f"at least one sheet, sides of at least {SMALLEST} px and a seed of 0 or more",
        )
    palette = [channel for color in COLORS for channel in color]
    for number in range(count):
        picture, target = draw_sheet(size, np.random.default_rng((seed, number)))
        raster.write_picture(folder / "imgs" / f"sheet_{number:02d}.png", picture)
        raster.write_mask(folder / "masks" / f"sheet_{number:02d}_mask.png", target, palette)
    (folder / "classes.txt").write_text("\n".join(NAMES) + "\n", encoding="utf-8")
    return folder


def draw_sheet(size: tuple[int, int], rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw one sheet.

    Parameters
    ----------
    size : (int, int)
        Height and width in pixels.
    rng : numpy.random.Generator

    Returns
    -------
    picture : uint8 array (H, W, 3)
    target : uint8 array (H, W)
        Class indices, positions in `NAMES`.
    """
    style = paper.random_style(rng)
    town = plan_town(size, rng)
    ids = engraving.rasterise(town, size)
    classes = town.kinds[ids]
    lines = engraving.linework(ids, classes, town, style.hatching, rng)
    black, red = lettering.write(town, size, rng)
    picture = paper.print_sheet(
        paper.washes(classes, town.fills[ids], style),
        shrink(np.maximum(lines, black)),
        shrink(red),
        style,
        rng,
    )
    middle = FINE // 2
    return picture, np.ascontiguousarray(classes[middle::FINE, middle::FINE])
