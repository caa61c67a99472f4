"""Which format a source is in, by what the files hold."""

from __future__ import annotations

import re
from pathlib import Path

from unet.data.folders import beside, object_folders
from unet.errors import DataError

FORMATS = ("coco", "labelme", "yolo", "huggingface", "objects", "nnunet")

_ENDS = 1 << 16
"""Bytes read from each end of a JSON file, which may be gigabytes."""


def recognise(source: Path) -> str:
    """Return the format of a file or folder, one of `FORMATS`.

    Raises
    ------
    DataError
        No such source, none of the formats, or several of them.
    """
    if not source.exists():
        raise DataError(f"no such file or folder: {source}", "annotations to import")
    files = [source] if source.is_file() else sorted(path for path in source.rglob("*") if _may_tell(path))
    formats = {kind for path in files if (kind := _kind(path))}
    if len(formats) > 1:
        raise DataError(
            f"{source} holds annotations of {len(formats)} formats: {', '.join(sorted(formats))}",
            "one",
            "say which by --format",
        )
    if not formats and source.is_dir() and object_folders(source):
        return "objects"
    if not formats:
        what = f"{source} holds no annotations that are known"
        raise DataError(
            what + ("" if source.is_file() else beside(source)),
            "COCO or LabelMe .json, data.yaml of YOLO, .parquet of Hugging Face, dataset.json of nnU-Net, "
            "or a mask for each object",
        )
    return formats.pop()


def _may_tell(path: Path) -> bool:
    return path.suffix.lower() in (".json", ".yaml", ".yml", ".parquet") and path.is_file()


def _kind(path: Path) -> str | None:
    match path.suffix.lower():
        case ".parquet":
            return "huggingface"
        case ".yaml" | ".yml":
            return "yolo" if is_yolo(path) else None
        case ".json":
            return kind_of_json(path)
    return None


def is_yolo(path: Path) -> bool:
    """Tell whether a YAML file names classes."""
    return re.search(rb"^names\s*:", path.read_bytes(), re.MULTILINE) is not None


def kind_of_json(path: Path) -> str | None:
    """Return "coco", "labelme" or "nnunet", or None for other JSON files."""
    with path.open("rb") as file:
        ends = file.read(_ENDS)
        file.seek(max(_ENDS, path.stat().st_size - _ENDS))
        ends += file.read()
    if re.search(rb'"(imagePath|imageHeight)"\s*:', ends) and re.search(rb'"(shapes|version)"\s*:', ends):
        return "labelme"
    if path.name == "dataset.json" and re.search(rb'"(channel_names|modality)"\s*:', ends):
        return "nnunet"
    if re.search(rb'"(images|annotations|categories)"\s*:\s*\[', ends):
        return "coco"
    return None
