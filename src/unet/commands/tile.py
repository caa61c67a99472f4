"""`unet tile`: pictures cut into tile files, with a list from which `unet stitch` puts them together again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet import raster
from unet.data.pairs import find_images
from unet.errors import InputError
from unet.files import write_json
from unet.terminal.display import open_display
from unet.tiling import BORDERS, Tile, cut, grid, window_spans

LIST = "tiles.json"
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


def tile(
    inputs: Sequence[str | Path],
    out: Path,
    *,
    window: int = 512,
    step: int | None = None,
    pad: int | None = None,
    border: str = "mirror",
) -> TileList:
    """Cut pictures into windows of one size, which may overlap.

    Parameters
    ----------
    inputs : sequence of str or Path
        Pictures, folders of pictures, patterns. All bands are kept, as they stand in the file.
    out : Path
        A new or empty folder: NAME_ROW_COLUMN.png, or .npy for what PNG cannot hold, and tiles.json.
    window : int
        Height and width of a tile in pixels.
    step : int, optional
        From one tile to the next; by default the window, without overlap. Of a tile the middle, as large as a step,
        is kept by `unet stitch`.
    pad : int, optional
        How far the first tile reaches beyond the picture; by default as far as it is not kept.
    border : {"mirror", "edge"}
        What is seen there.

    Returns
    -------
    TileList

    Raises
    ------
    InputError
        Sizes that leave pixels out, pictures that cannot be read or share a name, a folder that holds something.
    """
    out = Path(out)
    if border not in BORDERS:
        raise InputError(f"border {border!r}", " or ".join(BORDERS))
    step = window if step is None else step
    pad = (window - step) // 2 if pad is None else pad
    images = find_images(inputs)
    doubled = [name for name, count in Counter(image.stem for image in images).items() if count > 1]
    if doubled:
        raise InputError(f"{len(doubled)} names that several pictures share ({doubled[0]}, ...)", "different names")
    headers = {image.stem: raster.probe(image) for image in images}
    made = TileList(window, step, pad, border, {name: (head.height, head.width) for name, head in headers.items()})
    try:
        count = sum(len(made.tiles(name)) for name in made.sizes)
    except ValueError as error:
        raise InputError(str(error), "a step of at most the window, and a pad from half the rest to a window") from None
    _open_folder(out)
    display = open_display()
    done = 0
    with display.counting("cutting") as progress:
        for image in images:
            picture = raster.upright(raster.read_bands(image), headers[image.stem].orientation)
            palette = raster.mask_palette(image)
            for name, place in made.tiles(image.stem):
                write_pixels(out / name, cut(picture, place, border), palette)
                done += 1
                progress(done, count)
    write_json(out / LIST, {"format": FORMAT, **asdict(made)})
    display.say(f"{count} tiles of {len(images)} picture{'s' * (len(images) != 1)} in {out}")
    return made


def read_list(path: Path) -> TileList:
    """Read a `tiles.json`.

    Raises
    ------
    InputError
        There is none, or it is not one.
    """
    expected = f"a {LIST} that unet tile wrote"
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


def _open_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        full = any(out.iterdir())
    except OSError as error:
        raise InputError(f"{out}: {error.strerror or error}", "a new or empty folder", "choose another --out") from None
    if full:
        raise InputError(f"{out} is not empty", "a new or empty folder", "choose another --out")
