"""Where the folders of pictures and of masks are, and which files in them count."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from unet.errors import DataError, did_you_mean
from unet.raster import PICTURE_SUFFIXES

IMAGE_FOLDERS = ("imgs", "images", "img", "image", "jpegimages")
MASK_FOLDERS = (
    *("1stmanual", "segmentationclass"),  # beside these, of vessels and of VOC, lie others that mean something else
    *("masks", "mask", "labels", "label", "lab", "gt", "groundtruth", "annotations", "annotation", "annot", "manual"),
)
"""The names that count, in lower case and without signs, the first that is there and holds pictures before others."""

PARTS = {
    **{"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"},
    **{"test": "test", "testing": "test"},
}
"""Folder names that split a data set, and the keys they get."""

OUTPUT_ENDINGS = ("_OUT", "_overlay", "_viz", "_probabilities")
"""What prediction adds to the name of a picture, in the picture's folder as a rule."""

Layout = list[tuple[str, str, Path, Path]]
"""Part, prefix of the names, picture folder, mask folder."""


def layout(root: Path | None, images: Path | None, masks: Path | None) -> Layout:
    """Return the folders of a data set; see `find_pairs`.

    Raises
    ------
    DataError
        No such folders.
    """
    if images is not None or masks is not None:
        if root is not None:
            raise _fault(f"DATA ({root}) together with --images or --masks", "DATA, or both of the others")
        if images is None or masks is None:
            raise _fault("only one of the folders of pictures and masks", "both", "give --images and --masks")
        return [("all", "", _folder(images), _folder(masks))]
    if root is None:
        raise _fault("no data", "a folder", "give DATA, or --images and --masks")
    _folder(root)
    folders = _layout_here(root)
    if not folders:
        if objects := object_folders(root):
            raise DataError(
                f"{len(objects)} folders in {root} hold one picture and several masks each: one for each object",
                "one mask for each picture",
                f"unet import {root} --out NEW writes such masks",
                kind="layout",
            )
        nested = [(folder, _layout_here(folder)) for folder in subfolders(root)]
        nested = [(folder, inner) for folder, inner in nested if inner]
        for folder, inner in nested:
            prefix = f"{folder.name}/" if len(nested) > 1 else ""
            folders += [(part, prefix, image, mask) for part, _, image, mask in inner]
    if not folders and pictures_in(root, deep=False):
        folders = [("all", "", root, root)]
    if not folders:
        names = [folder.name for folder in subfolders(root)]
        raise _fault(
            f"{root} holds " + (f"the folders {', '.join(names[:8])}" if names else "no pictures and no folders"),
            "a folder imgs (or images) and a folder masks (or labels, gt, annotations)",
            "rename them, or give --images DIR --masks DIR",
        )
    return folders


def _fault(found: str, expected: str = "", remedy: str = "") -> DataError:
    return DataError(found, expected, remedy, kind="layout")


def _layout_here(root: Path) -> Layout:
    image_folder, mask_folder = _named(root, IMAGE_FOLDERS), _named(root, MASK_FOLDERS)
    if image_folder and mask_folder:
        return [("all", "", image_folder, mask_folder)]
    parts: Layout = []
    for folder in subfolders(root):
        image_folder, mask_folder = _named(folder, IMAGE_FOLDERS), _named(folder, MASK_FOLDERS)
        if folder.name.lower() in PARTS and image_folder and mask_folder:
            parts.append((PARTS[folder.name.lower()], "", image_folder, mask_folder))
    return parts or _flat_parts(root)


def _flat_parts(root: Path) -> Layout:
    """Return the folders of a data set whose parts lie side by side: train_images, train_masks; train, trainannot."""
    images, masks = {}, {}
    for folder in subfolders(root):
        part, word = _split_word(_plain(folder.name))
        if word in MASK_FOLDERS:
            masks[part] = folder
        elif word in IMAGE_FOLDERS or (part and not word):
            images[part] = folder
    if len(images) == len(masks) == 1 and ("" in images or "" in masks):  # Training_Images beside Ground_Truth
        return [("all", "", image, mask) for image, mask in zip(images.values(), masks.values(), strict=True)]
    return [(part, "", images[part], masks[part]) for part in images if part in masks]


def _split_word(name: str) -> tuple[str, str]:
    """Split the plain name of a folder into the part of the data that it names, or "", and the rest."""
    for word in sorted(PARTS, key=len, reverse=True):
        if name.startswith(word) or name.endswith(word):
            return PARTS[word], name.removeprefix(word) if name.startswith(word) else name.removesuffix(word)
    return "", name


def _folder(path: Path) -> Path:
    if not path.exists():
        names = [folder.name for folder in subfolders(path.parent)]
        raise _fault(f"no such folder: {path}", remedy=did_you_mean(path.name, names))
    if not path.is_dir():
        raise _fault(f"{path} is a file", "a folder")
    return path


def picture_folder_around(place: Path) -> Path | None:
    """Return the folder of a data set's pictures in which a place lies, or that it is."""
    place = place.resolve()
    for folder in (place, *place.parents):
        if _plain(folder.name) in IMAGE_FOLDERS and _named(folder.parent, MASK_FOLDERS) is not None:
            return folder
    return None


def subfolders(root: Path) -> list[Path]:
    """Return the folders in a folder, sorted, without hidden ones; none where there is no such folder."""
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def object_folders(root: Path) -> list[tuple[Path, Path]]:
    """Return picture and folder of masks where there is a folder for each picture, and in it a mask for each object.

    Empty where the folder is laid out in another way.
    """
    folders = []
    for folder in subfolders(root):
        images, masks = _named(folder, IMAGE_FOLDERS), _named(folder, MASK_FOLDERS)
        pictures = pictures_in(images, deep=False) if images and masks else []
        if masks is None or len(pictures) != 1:
            return []
        folders.append((pictures[0], masks))
    return folders if any(len(pictures_in(masks, deep=False)) > 1 for _, masks in folders) else []


def other_masks(masks: Path) -> list[Path]:
    """Return the folders beside a folder of masks that are called like such ones too and hold pictures."""
    return [folder for folder in _all_named(masks.parent, MASK_FOLDERS) if folder != masks and _holds_pictures(folder)]


def _named(root: Path, names: Sequence[str]) -> Path | None:
    """Return the sub-folder with the first of these names; one that holds pictures where there are several."""
    folders = _all_named(root, names)
    return next((folder for folder in folders[:-1] if _holds_pictures(folder)), folders[-1] if folders else None)


def _all_named(root: Path, names: Sequence[str]) -> list[Path]:
    folders = {_plain(folder.name): folder for folder in subfolders(root)}
    return [folders[name] for name in names if name in folders]


def _plain(name: str) -> str:
    """Return a name in lower case and without signs."""
    return re.sub(r"[\W_]", "", name.lower())


def _holds_pictures(folder: Path) -> bool:
    return any(path.suffix.lower() in PICTURE_SUFFIXES for path in folder.rglob("*"))


def pictures_in(folder: Path, deep: bool) -> list[Path]:
    """Return the picture files of a folder, sorted; hidden ones, other kinds and our own output are left out."""
    pictures = list(_pictures_in(folder, deep))
    stems = {os.path.splitext(path)[0] for path in pictures}
    kept = [path for path in pictures if not _is_output(os.path.splitext(path)[0], stems)]
    return [Path(path) for path in sorted(kept, key=lambda path: path.split(os.sep))]


def _pictures_in(folder: Path | str, deep: bool) -> Iterator[str]:
    # With the system's own listing, which knows what is a file: there may be very many.
    with suppress(PermissionError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if deep and entry.is_dir(follow_symlinks=False):
                yield from _pictures_in(entry.path, deep)
            elif os.path.splitext(entry.name)[1].lower() in PICTURE_SUFFIXES and entry.is_file():
                yield entry.path


def _is_output(stem: str, stems: set[str]) -> bool:
    """Tell whether `unet predict` wrote a file: it lies beside the picture NAME and is called NAME_OUT or so."""
    ending = next((ending for ending in OUTPUT_ENDINGS if stem.endswith(ending)), "")
    return bool(ending) and stem.removesuffix(ending) in stems


def split_part(name: str) -> tuple[str, str]:
    """Split "train/a" into ("train", "a"); a name without a part is of "all"."""
    first, slash, rest = name.partition("/")
    return (PARTS[first.lower()], rest) if slash and first.lower() in PARTS else ("all", name)


def beside(folder: Path) -> str:
    """Return in words what kinds of files a folder holds."""
    kinds = Counter(path.suffix for path in folder.iterdir() if path.is_file() and path.suffix)
    return f" (it holds {', '.join(f'{count} {kind}' for kind, count in kinds.most_common(3))})" if kinds else ""
