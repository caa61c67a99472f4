"""A data set of the Hugging Face hub as a folder: parquet files with a column of pictures and one of masks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from unet import raster
from unet.data.importing.files import as_file
from unet.data.importing.items import Annotations, Drawn, Item, clean_name, part_of, safe_stem
from unet.errors import DataError
from unet.labels import IGNORED

PICTURES = ("pixel_values", "image", "images", "img", "picture")
MASKS = ("label", "mask", "annotation", "labels", "masks", "segmentation", "segmentation_mask", "seg", "gt")
"""Names of the columns, the most usual first."""

_ROWS = 4
"""Rows decoded at a time; a row of large pictures is megabytes."""


def read(source: Path) -> Annotations:
    """Read parquet files.

    Parameters
    ----------
    source : Path
        A file, or a folder with files in it and below, whose names begin with train, validation and test where
        there are parts. The names of the classes are in id2label.json, or under id2label in the head of README.md
        or in the files' own metadata.

    Raises
    ------
    DataError
        No such files, damaged ones, or no columns of pictures and masks.
    """
    root = source if source.is_dir() else source.parent
    paths = [source] if source.is_file() else sorted(root.rglob("*.parquet"))
    if not paths:
        raise DataError(f"no parquet files in {source}", "files such as data/train-00000-of-00001.parquet")
    files = {path: _Columns.of(path) for path in paths}
    classes = _classes(root, next(iter(files.values())))
    notes = () if classes else ("nothing names the classes: put an id2label.json beside the data for their names",)
    count = sum(columns.rows for columns in files.values())
    return Annotations(classes, _items(files, root, classes), count, notes=notes)


@dataclass(frozen=True)
class _Columns:
    """What the end of a parquet file says: two columns, how many rows, and what Hugging Face notes."""

    picture: str
    mask: str
    rows: int
    metadata: Any

    @classmethod
    def of(cls, path: Path) -> _Columns:
        try:
            with pq.ParquetFile(path) as file:
                schema, rows = file.schema_arrow, file.metadata.num_rows
        except (OSError, pa.ArrowException) as error:
            raise _damaged(path, error) from None
        holding = [field.name for field in schema if _holds_files(field.type)]
        picture = next((name for name in PICTURES if name in holding), None)
        mask = next((name for name in MASKS if name in holding), None)
        if picture is None or mask is None:
            kinds = ", ".join(
                f"{field.name} ({'pictures' if field.name in holding else field.type})" for field in schema
            )
            raise DataError(
                f"{path} has the columns {kinds}",
                f"pictures called {', '.join(PICTURES[:3])} or so, and their masks called {', '.join(MASKS[:3])} or so",
            )
        return cls(picture, mask, rows, _json((schema.metadata or {}).get(b"huggingface")))


def _holds_files(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} cannot be read as parquet ({' '.join(str(error).split())[:200]})", "a whole file")


def _json(text: bytes | None) -> Any:
    try:
        return json.loads(text or b"null")
    except ValueError:
        return None


def _classes(root: Path, columns: _Columns) -> dict[int, str] | None:
    """Return the name of each value, from the first place that says it.

    Raises
    ------
    DataError
        Names for something else than numbers from 0 to 254.
    """
    for file in sorted(root.rglob("*id2label*.json")):
        return _table(_json(file.read_bytes()), file)
    readme = root / "README.md"
    head = readme.read_text(encoding="utf-8", errors="replace").split("---", 2) if readme.is_file() else []
    try:
        head_data = yaml.safe_load(head[1]) if len(head) == 3 and not head[0].strip() else None
    except yaml.YAMLError:
        head_data = None
    for place, data in ((readme, head_data), (root, columns.metadata)):
        if (table := _find(data, "id2label")) is not None:
            return _table(table, place)
    return None


def _find(data: Any, key: str) -> Any:
    """Return what stands under a key at any depth, None where it does not occur."""
    if not isinstance(data, dict):
        return None
    if key in data:
        return data[key]
    return next((result for value in data.values() if (result := _find(value, key)) is not None), None)


def _table(table: Any, place: Path) -> dict[int, str]:
    try:
        names = {int(key): clean_name(str(name)) for key, name in table.items()}
    except (AttributeError, TypeError, ValueError):
        raise DataError(f"{place}: id2label is no table", '{"0": "road", "1": "sky", ...}') from None
    names.pop(IGNORED, None)
    if not names or not all(0 <= key < IGNORED for key in names):
        raise DataError(f"{place}: id2label has the numbers {sorted(names)[:3]} ...", f"numbers from 0 to {IGNORED}")
    twice = sorted({name for name in names.values() if list(names.values()).count(name) > 1})
    if twice:
        raise DataError(f"{place}: id2label has {', '.join(twice)} twice", "a name for each number")
    return names


def _items(files: Mapping[Path, _Columns], root: Path, classes: dict[int, str] | None) -> Iterator[Item]:
    numbers: dict[str, int] = {}
    for path, columns in files.items():
        part = part_of(path, root)
        for row, (picture, mask) in enumerate(_rows(path, columns)):
            number = numbers[part] = numbers.get(part, -1) + 1
            where = f"{path}: row {row}"
            file_name = picture.get("path") if isinstance(picture, dict) else None
            name = safe_stem(file_name).rpartition("/")[2] if file_name else ""
            yield Item(
                part=part,
                name=f"{number:06}_{name}" if name else f"{number:06}",
                picture=partial(_content, picture, root, f"{where}: {columns.picture}"),
                where=where,
                size=None,
                draw=partial(_draw, mask, root, classes, f"{where}: {columns.mask}"),
            )


def _rows(path: Path, columns: _Columns) -> Iterator[tuple[Any, Any]]:
    """Return picture and mask of each row, a few rows in memory at a time."""
    try:
        # With a buffer pyarrow reads page after page, not all of a row group at once; a page can be as large, though.
        with pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:
            for batch in file.iter_batches(_ROWS, columns=[columns.picture, columns.mask], use_threads=False):
                pictures, masks = batch.column(columns.picture), batch.column(columns.mask)
                yield from zip(pictures.to_pylist(), masks.to_pylist(), strict=True)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from None


def _content(cell: Any, root: Path, where: str) -> bytes:
    """Return the bytes of a file in a cell, or of the file beside the data that it names."""
    data, path = (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, None)
    if isinstance(data, bytes):
        return data
    if path and (file := Path(root, path)).is_file():
        return file.read_bytes()
    raise DataError(f"{where} is empty" + (f", and there is no file {path}" if path else ""))


def _draw(cell: Any, root: Path, classes: Mapping[int, str] | None, where: str, height: int, width: int) -> Drawn:
    with as_file(_content(cell, root, where), where) as path:
        mask = raster.read_mask(path)
    if mask.ndim == 3:
        raise DataError(f"{where} holds colours", "numbers of classes")
    if mask.shape != (height, width):
        raise DataError(f"{where} is {mask.shape[1]} x {mask.shape[0]} pixels, the picture {width} x {height}")
    values = np.unique(mask).tolist()
    known = set(range(IGNORED)) if classes is None else set(classes)
    strange = [value for value in values if value not in known and value != IGNORED]
    if strange:
        raise DataError(
            f"{where} holds the values {', '.join(map(str, strange[:8]))}",
            f"those in id2label and {IGNORED}" if classes else f"0 to {IGNORED}",
        )
    return Drawn(mask.astype(np.uint8))
