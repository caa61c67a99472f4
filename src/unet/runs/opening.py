"""A run on disk: begun, or opened again with the pictures that it was decided with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from unet import config, devices
from unet.bundle import Bundle
from unet.config import Config
from unet.data.finding import shortened
from unet.data.hashing import RecordedFile, content_hash, stamp
from unet.data.manifest import describe
from unet.data.pairs import Pair, pair_up
from unet.data.prepared import prepare_pairs
from unet.errors import DataError, InputError
from unet.plan.brief import brief
from unet.plan.record import PARTS, RecordedPair, RunRecord
from unet.runs.decide import decide_run
from unet.runs.folder import CONFIG, PLAN, RECORD, is_run_of_version_0_1
from unet.runs.record_files import read_record, reasons_of_page, write_record
from unet.runs.source import Source, read_source
from unet.terminal.display import Display

PREPARED = "prepared"
"""The folder, in that of the run, of masks and blocks that were made ready for training."""


@dataclass(frozen=True)
class Run:
    """A run and its pictures.

    Attributes
    ----------
    folder : Path
    record : RunRecord
    parts : mapping of str to tuple of Pair
        The pairs of "train", "val" and "test" that are there, as they are read.
    """

    folder: Path
    record: RunRecord
    parts: Mapping[str, tuple[Pair, ...]]


def begin_run(
    wanted: Config, folder: Path, display: Display, loaded: Bundle | None = None, started: float | None = None
) -> Run:
    """Read and check the data, decide the run and write that down; its time counts from `started`.

    Raises
    ------
    InputError
        Data or settings that cannot be used.
    """
    source = read_source(wanted.data, wanted.model.outputs, wanted.training.seed, display, folder / PREPARED)
    record = decide_run(wanted, source, loaded, started)
    write_record(folder, record)
    for line in brief(record.config, source.fingerprint):
        display.notify(line)
    return _run_of(folder, record, source)


def open_run(folder: Path, display: Display, moved_data: Path | None = None) -> Run:
    """Open a run with the pictures that it was decided with, and say what has become of them.

    Its record is not written: it may differ from that in the folder where the data were moved, files were touched or
    this machine computes otherwise.

    Parameters
    ----------
    folder : Path
    display : Display
    moved_data : Path, optional
        Where the folder of the data is now.

    Raises
    ------
    InputError
        It is no run, or its pictures are gone.
    """
    if is_run_of_version_0_1(folder):
        return _decide_again(folder, display, moved_data)
    if not (folder / RECORD).is_file():
        holds = f"holds no {RECORD}" if folder.is_dir() else "is no folder"
        raise InputError(f"{folder} {holds}", "the folder of a run")
    record = read_record(folder)
    if moved_data is not None:
        record = move_data(record, moved_data)
    record, gone = compare_files(record, display.notify)
    _report_new(record, display.notify)
    record = replace(record, compute=available_compute(record, display.notify))
    return Run(folder, record, _locate(folder, record, gone, display))


def _decide_again(folder: Path, display: Display, moved_data: Path | None) -> Run:
    """Open a run of version 0.1, which left nothing open in its config.toml but kept no record."""
    settings = config.load_toml(folder / CONFIG)
    if moved_data is not None:
        settings = settings.updated({"data": {"root": str(moved_data)}})
    data, seed = settings.data, settings.training.seed
    source = read_source(data, settings.model.outputs, seed, display, folder / PREPARED, stratified=False)
    record = decide_run(settings, source)
    reasons = reasons_of_page((folder / PLAN).read_text(encoding="utf-8", errors="replace"))
    return _run_of(folder, replace(record, reasons=reasons or record.reasons), source)


def _run_of(folder: Path, record: RunRecord, source: Source) -> Run:
    """Return a run that has just been decided."""
    if record.prepared:
        return Run(folder, record, dict(zip(PARTS, (source.train, source.val, source.test), strict=True)))
    return Run(folder, record, _by_part(record.pairs))  # the paths that a resumed run would give too


def move_data(record: RunRecord, folder: Path) -> RunRecord:
    """Return the record of a run whose data lie in another folder now.

    Raises
    ------
    InputError
        There is no such folder, or the data of the run were no folder.
    """
    if record.root is None:
        raise InputError("--data for a run whose pictures and masks were named one by one", "a run on one folder")
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder", f"the data that were in {record.root}")
    old, root = record.root, folder.absolute()

    def moved(path: Path) -> Path:
        return root / path.relative_to(old) if path.is_relative_to(old) else path

    pairs = tuple(
        replace(
            pair,
            image=replace(pair.image, path=moved(pair.image.path)),
            mask=replace(pair.mask, path=moved(pair.mask.path)),
            roi=None if pair.roi is None else moved(pair.roi),
        )
        for pair in record.pairs
    )
    settings = record.config.updated({"data": {"root": str(folder)}})
    return replace(record, root=root, pairs=pairs, config=settings)


def compare_files(record: RunRecord, notify: Callable[[str], None]) -> tuple[RunRecord, set[RecordedPair]]:
    """Say which of the recorded files are gone or hold something else; return the pairs that are gone.

    The record that is returned knows the new stamps of files that were only copied or touched.

    Raises
    ------
    InputError
        No picture of a part is left.
    """
    checked: dict[Path, tuple[str, RecordedFile]] = {}
    for pair in record.pairs:
        for file in (pair.image, pair.mask):
            if file.path not in checked:
                checked[file.path] = _compare(file)
    states = {
        pair: {checked[pair.image.path][0], checked[pair.mask.path][0]} | _state_of_region(pair)
        for pair in record.pairs
    }
    gone = {pair for pair, state in states.items() if "gone" in state}
    for part in ("train", "val"):
        if all(pair in gone for pair in record.part(part)):
            where = f" in {record.root}" if record.root is not None else ""
            raise InputError(
                f"all {len(record.part(part))} {part} pictures of the run are gone{where}",
                "the pictures that it was begun with",
                "say where they are now: --data DIR",
            )
    for word, what in {"gone": "gone, and left out", "different": "not what they were, and read as they are"}.items():
        names = sorted({pair.source_name for pair, state in states.items() if word in state})
        if names:
            notify(f"warning: {len(names)} pictures or masks of the run are {what}: {', '.join(shortened(names, 3))}")
    pairs = tuple(
        replace(pair, image=checked[pair.image.path][1], mask=checked[pair.mask.path][1]) for pair in record.pairs
    )
    renamed = dict(zip(record.pairs, pairs, strict=True))
    return replace(record, pairs=pairs), {renamed[pair] for pair in gone}


def _compare(file: RecordedFile) -> tuple[str, RecordedFile]:
    try:
        now = stamp(file.path)
        if now == file.stamp:
            return "same", file
        same = content_hash(file.path) == file.content_hash
    except (OSError, InputError):
        return "gone", file
    return ("same", replace(file, stamp=now)) if same else ("different", file)


def _state_of_region(pair: RecordedPair) -> set[str]:
    return {"gone"} if pair.roi is not None and not pair.roi.exists() else set()


def _report_new(record: RunRecord, notify: Callable[[str], None]) -> None:
    """Say how many pictures lie in the data's folders that the run does not know."""
    if record.root is None:
        return
    settings = record.config.data.model_copy(update={"root": str(record.root)})
    try:
        data = describe(settings)
        paired = pair_up(data.root, images=data.images, masks=data.masks, mask_suffix=data.mask_suffix)
    except InputError:  # a fault of files that the run does not need
        return
    known = {pair.image.path for pair in record.pairs}
    parts = [pairs for part, pairs in paired.parts.items() if part != "test" or record.part("test")]
    new = sorted(pair.name for pairs in parts for pair in pairs if pair.image.absolute() not in known)
    if new:
        notify(f"{len(new)} pictures are new, and no part of this run: {', '.join(shortened(new, 3))}")


def available_compute(record: RunRecord, notify: Callable[[str], None]) -> devices.Compute:
    """Return how the run was computed, or what comes nearest on this machine."""
    compute = record.compute
    try:
        devices.pick(str(compute.device))
    except InputError as error:
        device = devices.pick("auto")
        precision = compute.precision if device.type != "cpu" or compute.precision != "16-mixed" else "auto"
        chosen = devices.choose(device, precision)
        notify(f"warning: the run was computed on {compute.device} ({error.found}); now {devices.describe(chosen)}")
        return chosen
    if compute.threads and compute.threads != torch.get_num_threads():
        if compute.threads <= (os.cpu_count() or 1):
            torch.set_num_threads(compute.threads)
        else:
            threads = torch.get_num_threads()
            notify(f"warning: the run was computed by {compute.threads} threads, this machine has {threads}")
            return replace(compute, threads=threads)
    return compute


def _by_part(pairs: Iterable[RecordedPair]) -> dict[str, tuple[Pair, ...]]:
    pairs = tuple(pairs)
    return {part: tuple(pair.source for pair in pairs if pair.part == part) for part in PARTS}


def _locate(folder: Path, record: RunRecord, gone: set[RecordedPair], display: Display) -> dict[str, tuple[Pair, ...]]:
    """Return the pairs that training reads, by part."""
    there = [pair for pair in record.pairs if pair not in gone]
    if not record.prepared:
        return _by_part(there)
    sources: dict[str, dict[Pair, None]] = {}
    for pair in there:
        sources.setdefault("all" if record.prepared == "all" else pair.part, {})[pair.source] = None
    with display.counting("preparing masks") as progress:
        made = prepare_pairs(
            {part: tuple(pairs) for part, pairs in sources.items()}, record.file_labels, folder / PREPARED,
            tile=record.tile, progress=progress,
        )  # fmt: skip
    by_name = {(part, pair.name): pair for part, pairs in made.parts.items() for pair in pairs}
    located: dict[str, list[Pair]] = {part: [] for part in PARTS}
    for pair in there:
        key = ("all" if record.prepared == "all" else pair.part, pair.name)
        if key not in by_name:
            raise DataError(f"{pair.name} is no longer made of {pair.image.path}", "the masks of the run's beginning")
        located[pair.part].append(by_name[key])
    return {part: tuple(pairs) for part, pairs in located.items()}
