"""The files of a decided run: config.toml and plan.md for people to read and edit, pairs.csv, and run.json."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch

import unet
from unet import config, files
from unet.config import Config, DataConfig, ModelConfig
from unet.data.hashing import RecordedFile, Stamp
from unet.data.pairs import Drawing
from unet.data.seen import Seen
from unet.devices import Compute, describe
from unet.errors import ConfigError, InputError
from unet.labels import Labels
from unet.models import ModelSpec
from unet.plan.record import PARTS, RecordedPair, RunRecord
from unet.preprocessing import Preprocessing
from unet.raster import Window
from unet.runs.folder import CONFIG, PAIRS, PLAN, RECORD

FORMAT = 1

FIXED = (
    "optimizer", "weight_decay", "momentum", "encoder_rate", "best_by", "class_weights", "balance", "device",
    "precision", "channels_last",
)  # fmt: skip
"""Settings of training that a run keeps to: the state, the model file or the record hold what follows from them."""

COLUMNS = (
    "part",
    "name",
    "image",
    "mask",
    "roi",
    "image_hash",
    "mask_hash",
    "image_stamp",
    "mask_stamp",
    "window",
    "look",
)

T = TypeVar("T")


def write_record(folder: Path, record: RunRecord, *, settings: bool = True) -> None:
    """Write a decided run; run.json, by which the folder is known, comes last.

    Parameters
    ----------
    folder : Path
    record : RunRecord
    settings : bool
        Write config.toml too.

    Raises
    ------
    InputError
        The files cannot be written.
    """
    if settings:
        files.write_text(folder / CONFIG, config.to_toml(record.config), durable=True)
    files.write_text(folder / PLAN, plan_page(record))
    files.write_text(folder / PAIRS, _pairs_table(record), durable=True)
    files.write_json(folder / RECORD, _plain(record), durable=True)


def update_record(folder: Path, record: RunRecord) -> None:
    """Write a record where it is another than that in the folder; config.toml with the user's comments stays if it can.

    Raises
    ------
    InputError
        The files cannot be written.
    """
    held = read_record(folder) if (folder / RECORD).is_file() else None
    if held != record:
        write_record(folder, record, settings=held is None or held.config != record.config)


def read_record(folder: Path) -> RunRecord:
    """Read a decided run.

    Raises
    ------
    InputError
        A file is missing or not what its name says.
    ConfigError
        config.toml was changed in what a run that has begun cannot change.
    """
    settings = config.load_toml(folder / CONFIG)
    plain = _parsed(folder / RECORD, lambda: json.loads((folder / RECORD).read_text(encoding="utf-8")))
    if _parsed(folder / RECORD, lambda: int(plain["format"])) > FORMAT:
        raise InputError(f"{folder / RECORD}: written by a newer version of unet", remedy="upgrade unet")
    place = _parsed(folder / RECORD, lambda: None if plain.get("root") is None else Path(plain["root"]))
    begun = _parsed(folder / RECORD, lambda: {str(name): dict(plain["config"][name]) for name in Config.model_fields})
    drawing = _parsed(folder / RECORD, lambda: _drawing(plain.get("drawing")))
    pairs = _parsed(folder / PAIRS, lambda: tuple(_read_pairs(folder / PAIRS, place, drawing)))
    record = _parsed(folder / RECORD, lambda: _record(settings, plain, pairs))
    check_unchanged(begun, settings, folder / CONFIG)
    return record


def check_unchanged(begun: Mapping[str, Mapping[str, Any]], settings: Config, path: Path) -> None:
    """Make sure that settings, read from a file, leave as it was begun what a run cannot change.

    Raises
    ------
    ConfigError
        They do not.
    """
    now = _plain_settings(settings)
    keys = [
        *(("data", key) for key in DataConfig.model_fields if key not in ("crop", "whole")),
        *(("model", key) for key in ModelConfig.model_fields),
        *(("training", key) for key in FIXED),
    ]
    pairs = {key: (now[section].get(key), begun[section].get(key)) for section, key in keys}
    changed = {key: values for key, values in pairs.items() if values[0] != values[1]}
    if changed:
        raise ConfigError(
            f"{path}: " + ", ".join(_named(key, value) for key, (value, _) in changed.items()),
            ", ".join(_named(key, value) for key, (_, value) in changed.items()) + ", as the run was begun",
            "name moved data by --data DIR" if "root" in changed else "train anew for that: unet train --config",
        )


def _named(key: str, value: Any) -> str:
    return f"no {key}" if value is None else f"{key} = {str(value)[:200]}"


def _plain_settings(settings: Config) -> dict[str, dict[str, Any]]:
    plain: dict[str, dict[str, Any]] = settings.model_dump(mode="json", exclude_none=True)
    return plain


def plan_page(record: RunRecord) -> str:
    """Return what was decided, and why, as a page for people."""
    counts = Counter(pair.part for pair in record.pairs)
    shares = ", ".join(
        f"{name} ({share:.1%})" for name, share in zip(record.labels.names, record.class_shares, strict=True)
    )
    spec, preprocessing = record.spec, record.preprocessing
    lines = [
        "# Plan",
        "",
        *(f"- {reason}" for reason in record.reasons),
        "",
        "## Data",
        "",
        f"- Pictures: {', '.join(f'{counts[part]} {part}' for part in PARTS if counts[part])}; each in {PAIRS}.",
        f"- Classes: {shares}.",
        f"- Pictures as the network gets them: {preprocessing.bands} bands, scale {preprocessing.scale:g}, divided by "
        f"{preprocessing.data_range:g}{', standardised' if preprocessing.mean else ''}.",
        "",
        "## Model and machine",
        "",
        f"- Network: {spec.architecture}, {spec.bands} bands in, {spec.classes} classes out.",
        f"- Computed on {record.compute.device}, {describe(record.compute)}"
        + (f", {record.compute.threads} threads." if record.compute.threads else "."),
    ]
    return "\n".join(lines) + "\n"


def reasons_of_page(text: str) -> tuple[str, ...]:
    """Return the reasons on a plan.md."""
    reasons = text.partition("\n## ")[0].splitlines()
    return tuple(line.removeprefix("- ") for line in reasons if line.startswith("- "))


# ---- plain data ----


def _plain(record: RunRecord) -> dict[str, Any]:
    compute = record.compute
    return {
        "format": FORMAT,
        "unet": unet.__version__,
        "torch": torch.__version__,
        "config": _plain_settings(record.config),
        "root": None if record.root is None else record.root.as_posix(),
        "labels": record.labels.to_dict(),
        "file_labels": record.file_labels.to_dict(),
        "prepared": record.prepared,
        "tile": record.tile,
        "drawing": next((asdict(pair.drawing) for pair in record.pairs if pair.drawing is not None), None),
        "preprocessing": record.preprocessing.to_dict(),
        "spec": record.spec.to_dict(),
        "compute": {
            "device": str(compute.device),
            "precision": compute.precision,
            "channels_last": compute.channels_last,
            "threads": compute.threads,
            "why": compute.why,
        },
        "class_shares": record.class_shares,
        "class_weights": record.class_weights,
        "rare_pictures": {str(index): names for index, names in record.rare_pictures.items()},
        "reasons": record.reasons,
        "expected_steps": record.expected_steps,
        "seen_before": None if record.seen_before is None else record.seen_before.to_dict(),
    }


def _record(settings: Config, plain: Mapping[str, Any], pairs: tuple[RecordedPair, ...]) -> RunRecord:
    compute = plain["compute"]
    tile = plain["tile"]
    return RunRecord(
        config=settings,
        reasons=tuple(plain["reasons"]),
        pairs=pairs,
        root=None if plain["root"] is None else Path(plain["root"]),
        labels=Labels.from_dict(plain["labels"]),
        file_labels=Labels.from_dict(plain["file_labels"]),
        tile=None if tile is None else (int(tile[0]), int(tile[1])),
        prepared=str(plain["prepared"]),
        preprocessing=Preprocessing.from_dict(plain["preprocessing"]),
        spec=ModelSpec.from_dict(plain["spec"]),
        compute=Compute(
            torch.device(compute["device"]),
            str(compute["precision"]),
            bool(compute["channels_last"]),
            int(compute["threads"]),
            str(compute["why"]),
        ),
        class_shares=tuple(float(share) for share in plain["class_shares"]),
        class_weights=tuple(float(weight) for weight in plain["class_weights"]),
        rare_pictures={int(index): tuple(names) for index, names in plain["rare_pictures"].items()},
        expected_steps=float(plain.get("expected_steps") or 0.0),
        seen_before=Seen.from_dict(plain.get("seen_before")),
    )


def _pairs_table(record: RunRecord) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for pair in record.pairs:
        image, mask = pair.image, pair.mask
        paths = (_relative(path, record.root) for path in (image.path, mask.path, pair.roi))
        hashes, stamps = (image.content_hash, mask.content_hash), (_stamp_text(image.stamp), _stamp_text(mask.stamp))
        window = "" if pair.window is None else " ".join(map(str, pair.window))
        writer.writerow((pair.part, pair.name, *paths, *hashes, *stamps, window, pair.look))
    return text.getvalue()


def _read_pairs(path: Path, root: Path | None, drawing: Drawing | None) -> Iterable[RecordedPair]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            image, mask = (
                RecordedFile(_absolute(row[kind], root), row[f"{kind}_hash"], _stamp_of(row[f"{kind}_stamp"]))
                for kind in ("image", "mask")
            )
            if row["part"] not in PARTS:
                raise ValueError(f"part {row['part']!r}")
            roi = _absolute(row["roi"], root) if row["roi"] else None
            window, look = _window_of(row.get("window") or ""), row.get("look") or ""  # earlier versions had none
            yield RecordedPair(row["part"], row["name"], image, mask, roi, window, drawing, look)


def _relative(path: Path | None, root: Path | None) -> str:
    """Return a path as the table has it: below the data's folder without that, so that the folder can move."""
    if path is None:
        return ""
    text = path.absolute().as_posix()
    return text if root is None else text.removeprefix(f"{root.as_posix()}/")


def _absolute(text: str, root: Path | None) -> Path:
    return Path(text) if root is None else root / text  # of an absolute path the folder is ignored


def _stamp_text(stamp: Stamp) -> str:
    return f"{stamp[0]}:{stamp[1]}"


def _drawing(plain: Mapping[str, Any] | None) -> Drawing | None:
    """Return how polygons are drawn, as a record says it; earlier versions had none."""
    if plain is None:
        return None
    values = tuple((str(name), int(value)) for name, value in plain["values"])
    return Drawing(values, plain["class_field"], int(plain["outline"]), int(plain["value"]), bool(plain["numbered"]))


def _window_of(text: str) -> Window | None:
    """Return the window that a table names, if one."""
    if not text:
        return None
    row, column, height, width = map(int, text.split())
    return row, column, height, width


def _stamp_of(text: str) -> Stamp:
    size, _, time = text.partition(":")
    return int(size), int(time)


def _parsed(path: Path, parse: Callable[[], T]) -> T:
    """Return what a file of the run holds.

    Raises
    ------
    InputError
        It is missing or not what its name says.
    """
    try:
        return parse()
    except FileNotFoundError:
        raise InputError(f"{path} is missing", "the folder of a run") from None
    except (
        OSError,
        KeyError,
        TypeError,
        ValueError,
        IndexError,
        AttributeError,
        ArithmeticError,
        RuntimeError,
        InputError,
    ) as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(f"{path} cannot be read ({why})", "as unet train wrote it", "train anew") from None
