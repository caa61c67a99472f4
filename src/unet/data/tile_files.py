"""Tile files: the list that says how pictures were cut, and the pixels of a tile or of a whole picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet import raster
from unet.errors import InputError
from unet.files import write_json
from unet.tiling import Tile, grid, window_spans

TILE_LIST = "tiles.json"
"""The list's name, beside the tiles."""

FORMAT = 1


@dataclass(frozen=True)
class TileList:
    """How pictures were cut: what `tiles.json` holds.

    Attributes
    ----------
    window, step, pad : int
        See `unet.tiling.window_spans`; the same across and down.
    border : {"mirror", "edge"}
        What the tiles show beyond the picture.
    sizes : dict of str to (int, int)
        Height and width of each picture, by name.
    """

    window: int
    step: int
    pad: int
    border: str
    sizes: dict[str, tuple[int, int]]

    def tiles(self, name: str) -> list[tuple[str, Tile]]:
        """Return the tiles of a picture, each with its name: the picture's, and the row and column kept first."""
        rows, cols = (window_spans(length, self.window, self.step, self.pad) for length in self.sizes[name])
        return [(f"{name}_{tile.rows.first:05}_{tile.cols.first:05}", tile) for tile in grid(rows, cols)]


def read_tile_list(path: Path) -> TileList:
    """Read a `tiles.json`.

    Raises
    ------
    InputError
        There is none, or it is not one.
    """
    expected = f"a {TILE_LIST} that unet tile wrote"
    try:
        held: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if held.pop("format") != FORMAT:
            raise InputError(f"{path}: of another version", expected)
        sizes = {str(name): (int(height), int(width)) for name, (height, width) in held.pop("sizes").items()}
        made = TileList(**held, sizes=sizes)
        for name in made.sizes:
            made.tiles(name)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}", expected) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} cannot be read ({error})", expected) from None
    return made


def write_tile_list(path: Path, tiles: TileList) -> None:
    """Write a `tiles.json`."""
    write_json(path, {"format": FORMAT, **asdict(tiles)})


def write_pixels(path: Path, pixels: NDArray[Any], palette: Sequence[tuple[int, int, int]] | None = None) -> Path:
    """Write pixels (H, W, C) so that `raster.read_bands` gives them back, with a palette where there is one.

    The path is without ending; what was written is returned.
    """
    target = path.with_name(f"{path.name}.png")
    if palette is not None:
        raster.write_mask(target, np.asarray(pixels[..., 0], dtype=np.uint8), list(chain.from_iterable(palette)))
    elif pixels.dtype == np.bool_ and pixels.shape[2] == 1:
        raster.write_grey(target, pixels[..., 0])
    else:
        target = raster.write_lossless(path, pixels)
    return target
