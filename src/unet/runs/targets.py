"""Where a command may write: told before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unet.config import DataConfig
from unet.errors import InputError


def check_target(path: Path, overwrite: bool, flag: str = "--json") -> None:
    """Make sure, before anything is computed, that the file that was named by a flag can be written.

    Raises
    ------
    InputError
        It cannot, or would replace another.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder", "a file", f"give a name in it to {flag}")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists", "a new file", f"choose another {flag}, or allow --overwrite")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", "a place to write", f"choose another {flag}") from None


def check_folder(
    folder: Path, names: Sequence[str], overwrite: bool, remedy: str = "choose another --out, or allow --overwrite"
) -> None:
    """Make sure, before anything is computed, that files of these names can be written into the folder --out.

    Raises
    ------
    InputError
        They cannot, or would replace others.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file", "a folder", "choose another --out")
    existing = [folder / name for name in names if (folder / name).exists()]
    if existing and not overwrite:
        raise InputError(f"{existing[0]} exists", "new files", remedy)
    check_target(folder / names[0], True, "--out")


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
