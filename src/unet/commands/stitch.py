"""`unet stitch`: tiles, or what was made of them, put together into pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet import raster
from unet.data.finding import shortened
from unet.data.folders import pictures_in
from unet.data.tile_files import TILE_LIST, TileList, read_tile_list, write_pixels
from unet.errors import DataError, InputError
from unet.terminal.display import open_display


def stitch(tiles: Path, out: Path, *, listed: Path | None = None, suffix: str | None = None) -> list[Path]:
    """Put the middles of tiles together.

    Parameters
    ----------
    tiles : Path
        The folder of the tiles: those that `unet tile` wrote, or others of the same names and size (masks,
        probabilities), of any bands and dtype.
    out : Path
        A folder for NAME.png, or NAME.npy for what PNG cannot hold.
    listed : Path, optional
        The `tiles.json`; by default that in `tiles`.
    suffix : str, optional
        What the names have more, such as "_OUT"; by default it is found out.

    Returns
    -------
    list of Path
        The files that were written.

    Raises
    ------
    InputError
        No such list, tiles that are missing or of another kind than the rest, files that are there already.
    """
    tiles, out = Path(tiles), Path(out)
    if not tiles.is_dir():
        raise InputError(f"no such folder: {tiles}", "the tiles")
    made = read_tile_list(Path(listed) if listed is not None else tiles / TILE_LIST)
    files = _files(made, tiles, suffix)
    existing = [path for name in made.sizes for path in (out / f"{name}.png", out / f"{name}.npy") if path.exists()]
    if existing:
        raise InputError(f"{existing[0]} exists already", "new files", "choose another --out")
    display = open_display()
    written = []
    with display.counting("stitching") as progress:
        for done, name in enumerate(made.sizes):
            progress(done, len(made.sizes))
            pixels, palette = _put_together(made, name, files)
            out.mkdir(parents=True, exist_ok=True)
            written.append(write_pixels(out / name, pixels, palette))
    for path in written:
        display.notify(f"wrote: {path}")
    return written


def _files(made: TileList, folder: Path, suffix: str | None) -> dict[str, Path]:
    """Return the file of each tile by the tile's name."""
    of_stem = {path.stem: path for path in sorted(folder.iterdir()) if path.is_file()}
    of_stem = {stem: path for stem, path in of_stem.items() if path.suffix.lower() in raster.PICTURE_SUFFIXES}
    names = [tile for name in made.sizes for tile, _ in made.tiles(name)]
    if suffix is None:
        endings = {stem.removeprefix(names[0]) for stem in of_stem if stem.startswith(names[0])}
        whole = sorted(ending for ending in endings if all(name + ending in of_stem for name in names))
        if len(whole) > 1 and whole[0]:
            raise InputError(f"tiles of {len(whole)} kinds in {folder}: {', '.join(whole)}", "one", "say --suffix")
        suffix = whole[0] if whole else min(endings, key=len, default="")
    missing = [f"{name}{suffix}" for name in names if name + suffix not in of_stem]
    if missing:
        beside = "" if pictures_in(folder, deep=False) else " (it holds no pictures)"
        raise DataError(
            f"{len(missing)} of {len(names)} tiles are not in {folder}{beside}",
            "all that the list names",
            faults=shortened(missing),
        )
    return {name: of_stem[name + suffix] for name in names}


def _put_together(
    made: TileList, name: str, files: dict[str, Path]
) -> tuple[NDArray[Any], tuple[tuple[int, int, int], ...] | None]:
    """Return a picture (H, W, C) from its tiles, and the palette of the first."""
    whole: NDArray[Any] | None = None
    palette = None
    for tile_name, place in made.tiles(name):
        path = files[tile_name]
        pixels = raster.read_bands(path)
        if whole is None:
            whole = np.empty((*made.sizes[name], pixels.shape[2]), pixels.dtype)
            palette = raster.mask_palette(path)
        kind, wanted = (pixels.shape, pixels.dtype), ((*place.shape, whole.shape[2]), whole.dtype)
        if kind != wanted:
            raise DataError(f"{path} holds {_kind(*kind)}", f"{_kind(*wanted)}, as the list and the first tile say")
        rows, cols = place.rows, place.cols
        whole[rows.first : rows.last, cols.first : cols.last] = pixels[
            rows.first - rows.start : rows.last - rows.start, cols.first - cols.start : cols.last - cols.start
        ]
    if whole is None:
        raise InputError(f"{name}: a picture without pixels", "some")
    return whole, palette


def _kind(shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    height, width, bands = shape
    return f"{width} x {height} pixels of {bands} {dtype} band{'s' * (bands != 1)}"
