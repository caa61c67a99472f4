"""`dataset.toml`: what a data set consists of, where the names of its folders do not say it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, ValidationError, field_validator

from unet.config import DataConfig, Section, faults_in, read_toml
from unet.data.class_table import ClassTable, Row, repeated
from unet.data.pairs import Pair
from unet.errors import ConfigError
from unet.labels import Labels, Value

FILE_NAME = "dataset.toml"

DEFAULT_VAL = 0.15
"""Share of the pictures that is held out where nothing says which."""

_Byte = Annotated[int, Field(ge=0, le=255)]
_Pixels = Annotated[int, Field(ge=32)]


class ClassEntry(Section):
    """A class: its name, what its pixels look like in the mask files, and by how much they are thickened."""

    name: str
    color: tuple[_Byte, _Byte, _Byte] | None = None
    value: int | None = None
    dilate: Annotated[int, Field(ge=0, le=100)] = 0


class SplitSection(Section):
    """What is trained on, validated on and left for a test: list files, for `val` also a share or a folder."""

    train: str | None = None
    val: str | None = None
    test: str | None = None


def _kind(classes: Any) -> str:
    return "(file)" if isinstance(classes, str) else "(entries)"


class Manifest(Section):
    """The file as it is written. Paths are relative to `root`, and `root` to the file's own folder."""

    root: str | None = None
    images: str | None = None
    masks: str | None = None
    mask_suffix: str | None = None
    classes: (
        Annotated[
            Annotated[str, Tag("(file)")] | Annotated[tuple[ClassEntry, ...], Tag("(entries)")], Discriminator(_kind)
        ]
        | None
    ) = None
    ignore: tuple[int | tuple[_Byte, _Byte, _Byte], ...] | None = None
    roi: str | None = None
    roi_suffix: str | None = None
    tile: tuple[_Pixels, _Pixels] | None = None
    class_field: str | None = None
    outline: Annotated[int, Field(ge=0, le=100)] | None = None
    group: str | None = None
    split: SplitSection = SplitSection()

    @field_validator("classes")
    @classmethod
    def _consistent(cls, classes: str | tuple[ClassEntry, ...] | None) -> str | tuple[ClassEntry, ...] | None:
        if isinstance(classes, tuple):
            faults = repeated([Row(**entry.model_dump()) for entry in classes])
            for key in ("color", "value"):
                lacking = [entry.name for entry in classes if getattr(entry, key) is None]
                if 0 < len(lacking) < len(classes):
                    faults.append(f"{', '.join(lacking)} without a {key}, which other classes have")
            if faults:
                raise ValueError(", ".join(faults))
        return classes


@dataclass(frozen=True)
class Description:
    """Where a data set is and how it is meant: `dataset.toml` where there is one, and the settings over it.

    Attributes
    ----------
    file : Path or None
        The `dataset.toml`.
    root : Path or None
        The folder whose sub-folders are looked for; None where `images` and `masks` say where the files are.
    images, masks : Path or None
        Folders, or one file each.
    mask_suffix, roi_suffix : str or None
        What a name has more than its picture's; None where that is to be found out.
    classes : Path, ClassTable or None
    ignore : tuple of int or of (int, int, int), or None
    roi : Path or None
        A folder with a region of interest for each picture, or a file with one for all: nothing counts where it is 0.
    tile : (int, int) or None
        Height and width of the blocks that pictures are cut into.
    class_field : str or None
        The attribute that names the class of each polygon, where the masks are polygons.
    outline : int
        The width in pixels of the polygons' outlines, where these are the truth; 0: the polygons are.
    group : str or None
        Regular expression; pictures (or blocks) with the same match stay together.
    train : Path or None
        A list file.
    val, test : Path, float or None
        A list file, a folder or a share.
    """

    file: Path | None = None
    root: Path | None = None
    images: Path | None = None
    masks: Path | None = None
    mask_suffix: str | None = None
    classes: Path | ClassTable | None = None
    ignore: tuple[Value, ...] | None = None
    roi: Path | None = None
    roi_suffix: str | None = None
    tile: tuple[int, int] | None = None
    class_field: str | None = None
    outline: int = 0
    group: str | None = None
    train: Path | None = None
    val: Path | float | None = None
    test: Path | float | None = None


def load(path: Path) -> Manifest:
    """Read a `dataset.toml`.

    Raises
    ------
    ConfigError
        No such file, not TOML, or every unknown key and every bad value in one message.
    """
    try:
        return Manifest.model_validate(read_toml(path, "a TOML file that describes a data set"))
    except ValidationError as error:
        keys = [key for part in (Manifest, SplitSection, ClassEntry) for key in part.model_fields]
        faults = faults_in(error, keys, skip=("(file)", "(entries)"))
        raise ConfigError(f"{path}: " + " | ".join(faults), remedy="see docs/dataset-toml.md") from None


def describe(settings: DataConfig) -> Description:
    """Return what the settings and the `dataset.toml` of their folder say; the settings win.

    Raises
    ------
    ConfigError
        The file is wrong.
    """
    file, root = None, None if settings.root is None else Path(settings.root)
    if root is not None:
        file = root if root.suffix.lower() == ".toml" else root / FILE_NAME
        file = file if file.is_file() or file == root else None
    manifest = Manifest() if file is None else load(file)
    base = root if file is None else file.parent / (manifest.root or "")

    def place(flag: str | None, key: str | None) -> Path | None:
        if flag is not None:
            return Path(flag)
        return None if key is None or base is None else base / key

    images, masks = place(settings.images, manifest.images), place(settings.masks, manifest.masks)
    classes: Path | ClassTable | None
    if file is not None and settings.classes is None and isinstance(manifest.classes, tuple):
        classes = ClassTable(file, tuple(Row(**entry.model_dump()) for entry in manifest.classes))
    else:
        classes = place(settings.classes, manifest.classes if isinstance(manifest.classes, str) else None)
    val = settings.val if settings.val is not None else manifest.split.val
    test = settings.test if settings.test is not None else manifest.split.test
    share, test_share = (None if text is None else _share(text) for text in (val, test))
    return Description(
        file=file,
        root=None if file is not None and (images or masks) else base,
        images=images,
        masks=masks,
        mask_suffix=manifest.mask_suffix if settings.mask_suffix is None else settings.mask_suffix,
        classes=classes,
        ignore=manifest.ignore if settings.ignore is None else settings.ignore,
        roi=place(None, manifest.roi),
        roi_suffix=manifest.roi_suffix,
        tile=manifest.tile,
        class_field=manifest.class_field if settings.class_field is None else settings.class_field,
        outline=(manifest.outline or 0) if settings.outline is None else settings.outline,
        group=manifest.group if settings.group is None else settings.group,
        train=place(None, manifest.split.train),
        val=place(settings.val, manifest.split.val) if share is None else share,
        test=place(settings.test, manifest.split.test) if test_share is None else test_share,
    )


def _share(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def to_toml(pairs: Sequence[Pair], labels: Labels, split: Mapping[str, str | float], folder: Path) -> str:
    """Return a `dataset.toml` that says what has been found out about a data set.

    Parameters
    ----------
    pairs : sequence of Pair
        All of them, without regions of interest.
    labels : Labels
        The classes as they stand in the mask files.
    split : mapping of str to str or float
        The section `split`: a list file for "train", "val" or "test", or a share for "val".
    folder : Path
        Where the file will lie. Paths in it are relative; others stay absolute.
    """
    lines = []
    images = {_above(pair.image, pair.name) for pair in pairs}
    masks = {_above(pair.mask, pair.name) for pair in pairs}
    suffixes = {pair.mask.stem.removeprefix(pair.image.stem) for pair in pairs}
    alike = all(pair.mask.stem.startswith(pair.image.stem) for pair in pairs)
    if len(images) == len(masks) == 1:  # else the folders train, val and test are found by their names
        for key, path in {"images": images.pop(), "masks": masks.pop()}.items():
            near = path.resolve().is_relative_to(folder.resolve())
            shown = path.resolve().relative_to(folder.resolve()) if near else path.resolve()
            lines.append(f"{key} = {_plain(shown.as_posix())}")
    if alike and len(suffixes) == 1 and suffixes != {""}:
        lines.append(f"mask_suffix = {_plain(suffixes.pop())}")
    lines.append("classes = [")
    widths = labels.dilated or (0,) * len(labels)
    for name, color, value, width in zip(labels.names, labels.colors, labels.values, widths, strict=True):
        number = ("" if labels.is_rgb else f", value = {value}") + (f", dilate = {width}" if width else "")
        lines.append(f"    {{ name = {_plain(name)}, color = {_plain(color)}{number} }},")
    lines.append("]")
    if labels.ignored:
        lines.append(f"ignore = {_plain(labels.ignored)}")
    if split:
        lines += ["", "[split]", *(f"{key} = {_plain(value)}" for key, value in split.items())]
    return "\n".join(lines) + "\n"


def _above(path: Path, name: str) -> Path:
    """Return the folder below which a file has the name of its pair."""
    return path.parents[name.count("/")]


def _plain(value: Any) -> str:
    """Return text, numbers or lists of these as they stand in TOML, which is as in JSON."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
