"""nnU-Net's raw folders, where they hold 2-D pictures: dataset.json, imagesTr, labelsTr, imagesTs, labelsTs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet import raster
from unet.data.folders import pictures_in
from unet.data.importing.items import Annotations, Drawn, Item, clean_name, plural, read_object, safe_stem
from unet.errors import DataError, RasterError
from unet.labels import IGNORED

FILE_NAME = "dataset.json"
ENDINGS = (".png", ".bmp", ".tif", ".tiff")
"""Of 2-D pictures; nnU-Net allows no others, as labels have the same and must not be lossy."""

MAX_CHANNELS = 64
"""As many bands as a picture may have."""

_IGNORE = "ignore"
"""What nnU-Net calls the label that does not count."""

_CHANNEL = re.compile(r"(.+)_(\d{4})", re.DOTALL)


@dataclass(frozen=True)
class _Format:
    """What dataset.json says: how many channels, the class of each value in the label files, and the files' ending."""

    file: Path
    channels: int
    names: Mapping[int, str]
    ending: str


def read(source: Path) -> Annotations:
    """Read a raw folder of nnU-Net, of version 2 or 1.

    Parameters
    ----------
    source : Path
        The folder DatasetXXX_NAME, the one above if there is a single such folder in it, or its dataset.json.

    Raises
    ------
    DataError
        No such folder, volumes instead of pictures, regions instead of classes, or a dataset.json that does not hold.
    """
    file = source if source.is_file() else _file_in(source)
    form = _format(file)
    root = file.parent
    with_test = bool(_pictures(root / "labelsTs"))
    items: list[Item] = []
    faults: list[str] = []
    notes: list[str] = []
    for ending, part in (("Tr", "train" if with_test else "all"), ("Ts", "test")):
        cases = _cases(root / f"images{ending}", form, faults)
        if ending == "Ts" and not with_test:
            if cases:
                notes.append(f"{plural(len(cases), 'picture')} in imagesTs left out: there is no labelsTs")
            break
        labels = {path.stem: path for path in _files(root / f"labels{ending}", form, faults)}
        faults += [f"{path} has no picture in images{ending}" for name, path in labels.items() if name not in cases]
        for name, paths in cases.items():
            if name in labels:
                items.append(_item(part, name, paths, labels[name], form))
            else:
                faults.append(f"{paths[0]} has no labels{ending}/{name}{form.ending}")
    classes = {value: name for value, name in form.names.items() if value != IGNORED and name != _IGNORE}
    return Annotations(classes, items, len(items), tuple(faults), tuple(notes))


def _file_in(folder: Path) -> Path:
    files = [folder / FILE_NAME] if (folder / FILE_NAME).is_file() else sorted(folder.glob(f"*/{FILE_NAME}"))
    if len(files) != 1:
        raise DataError(
            f"{len(files) or 'no'} data sets of nnU-Net in {folder}",
            f"one folder with {FILE_NAME}, imagesTr and labelsTr",
            f"give one of them, such as {files[0].parent}" if files else "",
        )
    return files[0]


def _format(file: Path) -> _Format:
    content = read_object(file, "channel_names, labels and file_ending")
    channels = content.get("channel_names", content.get("modality"))
    if not isinstance(channels, dict) or set(channels) != {str(number) for number in range(len(channels))}:
        raise DataError(f"{file}: channel_names is {_shown(channels)}", '{"0": "red", "1": "green", ...}')
    if not 1 <= len(channels) <= MAX_CHANNELS:
        raise DataError(f"{file}: {len(channels)} channels", f"1 to {MAX_CHANNELS}")
    ending = content.get("file_ending", _ending_in(file.parent))
    if not isinstance(ending, str) or ending.lower() not in ENDINGS:
        raise DataError(
            f"{file}: files that end with {_shown(ending)}",
            f"2-D pictures: {', '.join(ENDINGS)}",
            "volumes are not read; write their slices as pictures",
        )
    return _Format(file, len(channels), _names(content.get("labels"), file), ending.lower())


def _ending_in(root: Path) -> str:
    """Return how the first file of imagesTr ends: version 1 did not say it, as there were volumes only."""
    folder = root / "imagesTr"
    first = min((path.name for path in folder.iterdir() if path.name[0] != "."), default="") if folder.is_dir() else ""
    return ".nii.gz" if first.endswith(".nii.gz") else Path(first).suffix


def _names(labels: Any, file: Path) -> dict[int, str]:
    """Return the name of each value; 255 for what is to be ignored, whatever its number, is left to `_draw`.

    Raises
    ------
    DataError
        Regions, numbers that a mask of bytes cannot hold, or names that come twice.
    """
    expected = '{"background": 0, "road": 1, ...}'
    if not isinstance(labels, dict) or not labels:
        raise DataError(f"{file}: labels is {_shown(labels)}", expected)
    if any(isinstance(value, list) for value in labels.values()):
        raise DataError(f"{file}: labels are regions (lists of numbers)", f"classes: {expected}", "name each number")
    pairs = list(labels.items())
    if all(isinstance(value, str) for _, value in pairs):  # as in version 1: {"0": "background", ...}
        pairs = [(name, int(number) if number.isdecimal() else number) for number, name in pairs]
    names: dict[int, str] = {}
    for name, value in pairs:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= IGNORED or value in names:
            raise DataError(f"{file}: labels has {_shown(value)} for {clean_name(name)!r}", f"0 to {IGNORED - 1}, once")
        if value == IGNORED and name != _IGNORE:
            raise DataError(f"{file}: label {value} is a class", f"0 to {IGNORED - 1}")
        names[value] = clean_name(name)
    if len(set(names.values())) < len(pairs) or "" in names.values():
        raise DataError(f"{file}: labels names a class twice or not at all", "a name for each number")
    return names


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]} ..."


def _pictures(folder: Path) -> list[Path]:
    return pictures_in(folder, deep=False) if folder.is_dir() else []


def _files(folder: Path, form: _Format, faults: list[str]) -> list[Path]:
    pictures = _pictures(folder)
    others = [path for path in pictures if path.suffix.lower() != form.ending]
    faults += [f"{path} does not end with {form.ending}, as {form.file} says" for path in others]
    return [path for path in pictures if path.suffix.lower() == form.ending]


def _cases(folder: Path, form: _Format, faults: list[str]) -> dict[str, list[Path]]:
    """Return the files of each case in the order of its channels: one for each, or a single one that holds them all."""
    found: dict[str, dict[int, Path]] = {}
    for path in _files(folder, form, faults):
        match = _CHANNEL.fullmatch(path.stem)
        if match is None:
            faults.append(f"{path} does not say its channel: expected a name like {path.stem}_0000{form.ending}")
        else:
            found.setdefault(match[1], {})[int(match[2])] = path
    cases: dict[str, list[Path]] = {}
    for name, channels in found.items():
        if set(channels) in ({0}, set(range(form.channels))):
            cases[name] = [channels[number] for number in sorted(channels)]
        else:
            numbers = ", ".join(f"{number:04}" for number in sorted(channels))
            faults.append(f"{folder / name}: the channels {numbers}, where {form.file} names {form.channels}")
    return cases


def _item(part: str, name: str, paths: Sequence[Path], label: Path, form: _Format) -> Item:
    picture = paths[0] if len(paths) == 1 else partial(_joined, paths)
    draw = partial(_draw, paths, label, form)
    return Item(part, safe_stem(f"{name}{form.ending}"), picture, str(label), None, draw)


def _joined(paths: Sequence[Path]) -> NDArray[Any]:
    """Return one picture (H, W, C) of channels in files of their own."""
    try:
        channels = [raster.read(path) for path in paths]
    except RasterError as error:
        raise DataError(str(error)) from None
    for path, channel in zip(paths, channels, strict=True):
        if channel.shape != (*channels[0].shape[:2], 1):
            rows, columns, bands = channel.shape
            height, width = channels[0].shape[:2]
            raise DataError(
                f"{path} is {columns} x {rows} pixels in {plural(bands, 'band')}",
                f"{width} x {height} in one, as {paths[0].name}" if path != paths[0] else "one, as there are others",
            )
    return np.concatenate(channels, axis=2)


def _draw(paths: Sequence[Path], label: Path, form: _Format, height: int, width: int) -> Drawn:
    try:
        info = raster.probe(paths[0])
        frames = max(info.frames, raster.probe(label).frames)
        mask = raster.read_mask(label)
    except RasterError as error:
        raise DataError(str(error)) from None
    if frames > 1:
        raise DataError(f"{label} or its picture has {frames} layers", "2-D pictures: one")
    if len(paths) == 1 and info.bands != form.channels:
        found = f"{plural(info.bands, 'band')}{' besides alpha' if info.alpha else ''}"
        raise DataError(f"{paths[0]} has {found}", f"{form.channels}, as {form.file} names channels")
    if mask.ndim == 3:
        raise DataError(f"{label} holds colours", "numbers of classes")
    if mask.shape != (height, width):
        raise DataError(f"{label} is {mask.shape[1]} x {mask.shape[0]} pixels, its picture {width} x {height}")
    values = np.unique(mask).tolist()
    if strange := [value for value in values if value not in form.names]:
        raise DataError(f"{label} holds the values {', '.join(map(str, strange[:8]))}", f"those that {form.file} names")
    target = mask.astype(np.uint8)
    for value, name in form.names.items():
        if name == _IGNORE:
            target[mask == value] = IGNORED
    return Drawn(target)
