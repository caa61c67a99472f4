"""`unet tile`: pictures cut into tile files, with a list from which `unet stitch` puts them together again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from unet import raster
from unet.data.pairs import find_images
from unet.data.tile_files import TILE_LIST, TileList, write_pixels, write_tile_list
from unet.errors import InputError
from unet.terminal.display import open_display
from unet.tiling import BORDERS, cut


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
    write_tile_list(out / TILE_LIST, made)
    display.notify(f"{count} tiles of {len(images)} picture{'s' * (len(images) != 1)} in {out}")
    return made


def _open_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        full = any(out.iterdir())
    except OSError as error:
        raise InputError(f"{out}: {error.strerror or error}", "a new or empty folder", "choose another --out") from None
    if full:
        raise InputError(f"{out} is not empty", "a new or empty folder", "choose another --out")
