"""Which picture belongs to which mask."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from unet.data.finding import shortened
from unet.data.folders import beside, layout, other_masks, pictures_in, split_part, subfolders
from unet.data.matching import count_suffixes, match_names, name_in, nearest_names
from unet.errors import DataError, InputError, did_you_mean
from unet.raster import PICTURE_SUFFIXES, Window
from unet.shapes.vector_files import DRIVERS


@dataclass(frozen=True, order=True)
class Drawing:
    """How polygons become a mask; see `unet.data.polygon_truth`.

    Attributes
    ----------
    values : tuple of (str, int)
        The mask value of each class by its name; empty where no attribute names classes.
    class_field : str or None
        The attribute that names the class of a polygon.
    outline : int
        Outlines so many pixels wide are drawn; 0: the polygons themselves.
    value : int
        That of all polygons where no attribute names classes.
    numbered : bool
        The polygons are objects, numbered by their order.
    """

    values: tuple[tuple[str, int], ...] = ()
    class_field: str | None = None
    outline: int = 0
    value: int = 1
    numbered: bool = False


@dataclass(frozen=True, order=True)
class Pair:
    """A picture file and its mask file.

    Attributes
    ----------
    name : str
        The picture's path below its folder without its ending, with "/": unique within a data set.
    image, mask : Path
        The mask may also be a file of polygons.
    roi : Path, optional
        A picture of the region of interest: where it is 0 nothing counts.
    window : (row, column, height, width), optional
        Of a sheet that is read in windows: the block of its files that this is. None: all of them.
    cut_mask : bool
        The mask's file holds that window only.
    drawing : Drawing, optional
        How the polygons of the mask's file are drawn.
    """

    name: str
    image: Path
    mask: Path
    roi: Path | None = None
    window: Window | None = None
    cut_mask: bool = False
    drawing: Drawing | None = None


@dataclass(frozen=True)
class Pairing:
    """Which files pair, and which do not.

    Attributes
    ----------
    parts : dict of str to tuple of Pair
        As `find_pairs` returns them.
    without_mask, without_picture : tuple of Path
        Pictures without a mask, and masks without a picture.
    nearly : dict of str to tuple of Pair
        By part, those of these files that are probably meant for each other.
    doubled : tuple of str
        A sentence for each file that is one too many, which begins with its path.
    rivals : dict of Path to Path
        Of the doubled files those that share a name, with the file that is paired.
    aside : dict of Path to Path
        Folders that could hold the masks too, each with the one beside it that was taken.
    """

    parts: dict[str, tuple[Pair, ...]]
    without_mask: tuple[Path, ...] = ()
    without_picture: tuple[Path, ...] = ()
    nearly: Mapping[str, tuple[Pair, ...]] = field(default_factory=dict)
    doubled: tuple[str, ...] = ()
    rivals: Mapping[Path, Path] = field(default_factory=dict)
    aside: Mapping[Path, Path] = field(default_factory=dict)

    @property
    def near(self) -> dict[Path, Path]:
        """The pictures and the masks of `nearly`."""
        return {pair.image: pair.mask for pairs in self.nearly.values() for pair in pairs}

    def faults(self) -> list[str]:
        """Return a sentence for each file that does not pair."""
        near = self.near
        nearest = {**near, **{mask: image for image, mask in near.items()}}
        faults = list(self.doubled)
        for files, lack in ((self.without_mask, "mask"), (self.without_picture, "picture")):
            for path in files:
                hint = f" (nearest name: {nearest[path].name})" if path in nearest else ""
                faults.append(f"{path} has no {lack}{hint}")
        return faults


def is_vector(path: Path) -> bool:
    """Tell whether a file holds polygons, by its ending."""
    return path.suffix.lower() in DRIVERS and not path.is_dir()


def find_pairs(
    root: Path | None = None,
    *,
    images: Path | None = None,
    masks: Path | None = None,
    mask_suffix: str | None = None,
) -> dict[str, tuple[Pair, ...]]:
    """Find the pairs of a data set.

    Parameters
    ----------
    root : Path, optional
        A folder that holds a folder of pictures and one of masks, with train, val and test above or below them
        (the names that count stand in `unet.data.folders`); or such folders one level down; or pictures and
        masks side by side.
    images, masks : Path, optional
        The two folders, in place of `root`; or one picture and its mask. The masks may be one file of polygons.
    mask_suffix : str, optional
        What a mask's name has more than its picture's, such as "_mask"; by default it is found out.

    Returns
    -------
    dict of str to tuple of Pair
        By part, "train", "val" and "test", or "all" in one piece; sorted by name.

    Raises
    ------
    DataError
        No such folder, no pictures, or files that do not pair; all of the latter at once.
    """
    pairing = pair_up(root, images=images, masks=masks, mask_suffix=mask_suffix)
    faults = pairing.faults()
    if faults:
        where = root if root is not None else images
        raise DataError(
            f"{len(faults)} file{'s' * (len(faults) != 1)} in {where} cannot be paired",
            "one mask for every picture, of the same name but for a suffix such as _mask",
            faults=shortened(faults),
            kind="unpaired",
        )
    return pairing.parts


def pair_up(
    root: Path | None = None,
    *,
    images: Path | None = None,
    masks: Path | None = None,
    mask_suffix: str | None = None,
) -> Pairing:
    """Find what pairs in a data set and what does not; the parameters are those of `find_pairs`.

    Raises
    ------
    DataError
        No such folder, or no pictures.
    """
    if root is None and images and masks and is_vector(masks):
        return _with_one_file(images, masks)
    if root is None and images and masks and images.is_file() and masks.is_file():
        return Pairing({"all": (Pair(images.stem, images, masks),)})
    loose = _Loose()
    parts: dict[str, list[Pair]] = {}
    nearly: dict[str, list[Pair]] = {}
    aside: dict[Path, Path] = {}
    for part, prefix, image_folder, mask_folder in layout(root, images, masks):
        if root is not None and mask_folder != root:
            aside.update(dict.fromkeys(other_masks(mask_folder), mask_folder))
        pairs = _pair_folders(image_folder, mask_folder, mask_suffix, loose)
        for kept, some in ((parts, pairs), (nearly, loose.nearly)):
            for pair in some:
                part_name, name = split_part(pair.name) if part == "all" else (part, pair.name)
                kept.setdefault(part_name, []).append(Pair(prefix + name, pair.image, pair.mask))
        loose.nearly.clear()
    if "all" in parts and len(parts) > 1:
        raise DataError(
            f"{parts['all'][0].image} lies beside the folders {', '.join(sorted(set(parts) - {'all'}))}",
            "all pictures in them",
            kind="layout",
        )
    return Pairing(
        {part: tuple(sorted(pairs)) for part, pairs in parts.items()},
        tuple(loose.images.values()),
        tuple(loose.masks.values()),
        {part: tuple(pairs) for part, pairs in nearly.items()},
        tuple(loose.doubled),
        loose.rivals,
        aside,
    )


def _with_one_file(images: Path, polygons: Path) -> Pairing:
    """Pair one picture, or each of a folder, with the same file of polygons."""
    if not polygons.is_file():
        raise DataError(f"no such file: {polygons}", "a file of polygons", kind="layout")
    if images.is_file():
        return Pairing({"all": (Pair(images.stem, images, polygons),)})
    loose = _Loose()
    pictures = pictures_in(images, deep=True) if images.is_dir() else []
    if not pictures:
        found = f"no pictures in {images}{beside(images)}" if images.is_dir() else f"no such file or folder: {images}"
        raise DataError(found, "a picture, or a folder of pictures", kind="layout")
    parts: dict[str, list[Pair]] = {}
    for key, image in _by_name(pictures, images, "pictures", loose).items():
        part, name = split_part(key)
        parts.setdefault(part, []).append(Pair(name, image, polygons))
    by_part = {part: tuple(sorted(pairs)) for part, pairs in parts.items()}
    return Pairing(by_part, doubled=tuple(loose.doubled), rivals=loose.rivals)


@dataclass
class _Loose:
    """What does not pair, by the key under which it would: filled folder by folder."""

    images: dict[tuple[Path, str], Path] = field(default_factory=dict)
    masks: dict[tuple[Path, str], Path] = field(default_factory=dict)
    nearly: list[Pair] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    rivals: dict[Path, Path] = field(default_factory=dict)


def _pair_folders(images: Path, masks: Path, suffix: str | None, loose: _Loose) -> list[Pair]:
    """Return the pairs of two folders, or of one folder that holds both; note what cannot be paired."""
    if images.resolve() == masks.resolve():
        return _pair_mixed(images, suffix, loose)
    image_files, mask_files = pictures_in(images, deep=True), pictures_in(masks, deep=True)
    for folder, files in ((images, image_files), (masks, mask_files)):
        if not files:
            raise DataError(
                f"no pictures in {folder}", f"files such as .jpg, .png, .tif, .npy{beside(folder)}", kind="layout"
            )
    image_of = _by_name(image_files, images, "pictures", loose)
    mask_of = _by_name(mask_files, masks, "masks", loose)
    key_of_image, key_of_mask = match_names(list(image_of), list(mask_of), suffix)
    if suffix is None:
        extra = next(iter(count_suffixes(list(mask_of), list(image_of)).most_common(1)), ("", 0))
        if re.search("mask|label|annot|seg|gt", extra[0], re.IGNORECASE) and extra[1] == len(image_of):
            raise DataError(
                f"the pictures in {images} are called like those in {masks} with {extra[0]} added",
                "that of the masks",
                "the two folders seem to be swapped",
                kind="swapped",
            )
    else:
        loose.doubled += [
            f"{mask_of[stem]}: the name does not end in {suffix}" for stem in mask_of if not stem.endswith(suffix)
        ]
    return _join(images, image_of, mask_of, key_of_image, key_of_mask, loose)


def _pair_mixed(folder: Path, suffix: str | None, loose: _Loose) -> list[Pair]:
    """Pair a.jpg with a_mask.png, or a.jpg with a.png, in one folder."""
    files = pictures_in(folder, deep=False)
    by_stem: dict[str, list[Path]] = {}
    for path in files:
        by_stem.setdefault(name_in(path, folder), []).append(path)
    stems = list(by_stem)
    if suffix is None:
        counted = count_suffixes(stems, stems)
        counted.pop("", None)
        suffix = max(counted, key=lambda key: (counted[key], -len(key)), default="")
        if counted[suffix] * 4 < len(stems):  # names that happen to begin alike: 1.png, 10.png
            suffix = ""
    mask_stems = [stem for stem in stems if suffix and stem.endswith(suffix) and stem.removesuffix(suffix) in by_stem]
    image_files = [path for stem in stems if stem not in mask_stems for path in by_stem[stem]]
    mask_files = [path for stem in mask_stems for path in by_stem[stem]]
    if not mask_files:
        lossy = [path for path in files if path.suffix.lower() in (".jpg", ".jpeg")]
        others = [path for path in files if path not in lossy]
        both = {name_in(path, folder) for path in lossy} & {name_in(path, folder) for path in others}
        if not both:
            raise DataError(
                f"{folder} holds pictures ({', '.join(path.name for path in files[:3])}, ...) but no masks",
                "folders imgs and masks, or masks called like NAME_mask.png beside the pictures",
                "or give --images DIR --masks DIR",
                kind="layout",
            )
        image_files, mask_files = lossy, others
    image_of = _by_name(image_files, folder, "pictures", loose)
    mask_of = _by_name(mask_files, folder, "masks", loose)
    key_of_mask = {stem: stem.removesuffix(suffix) for stem in mask_of}
    return _join(folder, image_of, mask_of, {stem: stem for stem in image_of}, key_of_mask, loose)


def _join(
    folder: Path,
    image_of: Mapping[str, Path],
    mask_of: Mapping[str, Path],
    key_of_image: Mapping[str, str],
    key_of_mask: Mapping[str, str],
    loose: _Loose,
) -> list[Pair]:
    mask_by_key: dict[str, str] = {}
    for stem, key in key_of_mask.items():
        if key in mask_by_key:
            both = f"{mask_of[mask_by_key[key]].name} and {mask_of[stem].name}"
            loose.doubled.append(f"{mask_of[stem]}: two masks for one picture, {both}; remove one")
            loose.rivals[mask_of[stem]] = mask_of[mask_by_key[key]]
        mask_by_key.setdefault(key, stem)
    image_keys = set(key_of_image.values())
    images = {key: image_of[stem] for stem, key in key_of_image.items() if key not in mask_by_key}
    masks = {key: mask_of[stem] for stem, key in key_of_mask.items() if key not in image_keys}
    loose.images.update({(folder, key): path for key, path in images.items()})
    loose.masks.update({(folder, key): path for key, path in masks.items()})
    near = nearest_names(images, masks)
    loose.nearly += [Pair(stem, image_of[stem], masks[near[key]]) for stem, key in key_of_image.items() if key in near]
    return [
        Pair(stem, image_of[stem], mask_of[mask_by_key[key]])
        for stem, key in key_of_image.items()
        if key in mask_by_key
    ]


def _by_name(files: Iterable[Path], folder: Path, kind: str, loose: _Loose) -> dict[str, Path]:
    by_name: dict[str, Path] = {}
    for path in files:
        stem = name_in(path, folder)
        if stem in by_name:
            loose.doubled.append(f"{path}: two {kind} of one name, {by_name[stem].name} and {path.name}; remove one")
            loose.rivals[path] = by_name[stem]
        by_name.setdefault(stem, path)
    return by_name


def find_images(paths: Sequence[str | Path]) -> list[Path]:
    """Return the picture files that are meant by files, folders and patterns such as "scans/*.jpg".

    A folder stands for the pictures directly in it. Patterns are expanded here; the Windows shell does not.

    Raises
    ------
    InputError
        A path that does not exist, or a folder or pattern without pictures.
    """
    images: list[Path] = []
    for given in paths:
        path = Path(given)
        if path.is_dir():
            files = pictures_in(path, deep=False)
            if not files:
                inner = [folder.name for folder in subfolders(path) if pictures_in(folder, deep=False)]
                raise InputError(
                    f"no pictures in {path}",
                    "files such as .jpg, .png, .tif",
                    f"give {path / inner[0]}" if inner else "",
                )
        elif path.exists():
            files = [path]
        elif glob.has_magic(str(given)):
            matches = (Path(match) for match in sorted(glob.glob(str(given), recursive=True)))
            files = [match for match in matches if match.suffix.lower() in PICTURE_SUFFIXES and match.is_file()]
            if not files:
                raise InputError(f"no pictures match {given}", "a pattern such as scans/*.jpg")
        else:
            names = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
            raise InputError(f"no such file or folder: {path}", remedy=did_you_mean(path.name, names))
        images += files
    return list(dict.fromkeys(images))
