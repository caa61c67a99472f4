"""Where a command may write: told before anything is computed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from unet.config import DataConfig
from unet.errors import InputError
from unet.raster import PICTURE_SUFFIXES
from unet.runs.folder import RECORD

READ_SUFFIXES = PICTURE_SUFFIXES | {
    ".toml", ".csv", ".txt", ".yaml", ".safetensors", ".pth", ".gpkg", ".geojson", ".fgb", ".shp", ".dbf", ".parquet",
}  # fmt: skip
"""Endings of files in a folder of data that are read, and of those that a run lives from."""


def check_target(path: Path, overwrite: bool, flag: str = "--json", inputs: Iterable[Path | None] = ()) -> None:
    """Make sure, before anything is computed, that the file that was named by a flag can be written.

    Parameters
    ----------
    path : Path
    overwrite : bool
        It may replace another: but none of the inputs, nor a file below an input folder that could be read.
    flag : str
    inputs : iterable of Path or None
        Files and folders that the command reads.

    Raises
    ------
    InputError
        It cannot, or would replace another.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder", "a file", f"give a name in it to {flag}")
    check_not_read([path], inputs, flag)
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is no file", "a name of one", f"choose another {flag}")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists", "a new file", f"choose another {flag}, or allow --overwrite")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", "a place to write", f"choose another {flag}") from None


def check_not_read(targets: Iterable[Path], inputs: Iterable[Path | None], flag: str) -> None:
    """Make sure that no file that is going to be written is one that the command reads.

    Raises
    ------
    InputError
        One is.
    """
    read = [given.resolve() for given in inputs if given is not None and given.exists()]
    for target in targets:
        place = target.resolve()
        if not place.exists():
            continue
        within = {place, *place.parents}
        is_data = target.suffix.lower() in READ_SUFFIXES or (place.parent / RECORD).is_file()
        if place in read or (is_data and any(given.is_dir() and given in within for given in read)):
            raise InputError(
                f"{target} is one of the files that are read", "a file of its own", f"choose another {flag}"
            )


def check_folder(
    folder: Path,
    names: Sequence[str],
    overwrite: bool,
    remedy: str = "choose another --out, or allow --overwrite",
    inputs: Iterable[Path | None] = (),
) -> None:
    """Make sure, before anything is computed, that files of these names can be written into the folder --out.

    Raises
    ------
    InputError
        They cannot, or would replace others.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file", "a folder", "choose another --out")
    check_not_read([folder / name for name in names], inputs, "--out")
    existing = [folder / name for name in names if (folder / name).exists()]
    if existing and not overwrite:
        raise InputError(f"{existing[0]} exists", "new files", remedy)
    check_target(folder / names[0], True, "--out")


def inputs_of(data: DataConfig) -> list[Path]:
    """Return the files and folders that data settings name."""
    return [Path(place) for place in (data.root, data.images, data.masks, data.classes) if place is not None]


def check_outside(path: Path, data: DataConfig) -> None:
    """Make sure that what is written does not lie among the data.

    Raises
    ------
    InputError
        It does.
    """
    places = {path.resolve(), *path.resolve().parents}
    for folder in (data.root, data.images, data.masks):
        if folder is not None and Path(folder).resolve() in places:
            raise InputError(f"{path} lies in {folder}", "a place outside of the data", "choose another --out")
