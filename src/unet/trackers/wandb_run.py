"""Which run of Weights & Biases a run folder belongs to, and what that was told already."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unet import files
from unet.errors import ConfigError
from unet.parsing import as_dataclass

FILE = "wandb.json"

VALIDATED = "val_mean_iou"
"""By this number the step of a validation is known."""

BLOCK, HEAD, PREAMBLE = 32768, 7, 7
"""Bytes of a block of W&B's files, of what stands before a piece of a record, and before all."""


@dataclass(frozen=True)
class WandbNote:
    """The id of a W&B run, the last step that it was told, and the last one whose validation it was told.

    Written when a session begins and when it ends: W&B holds back up to 32 KiB, which are lost where it is killed.
    """

    id: str = ""
    step: int = 0
    validated: int = 0

    @classmethod
    def read(cls, folder: Path) -> WandbNote:
        """Return what a run folder knows; nothing, where it was not tracked there or the note cannot be read."""
        try:
            return as_dataclass(cls, json.loads((folder / FILE).read_text(encoding="utf-8")))
        except (OSError, ValueError, RecursionError, ConfigError):
            return cls()

    def write(self, folder: Path) -> None:
        """Write it down."""
        files.write_json(folder / FILE, asdict(self))


def told_in_files(folder: Path, run_id: str) -> tuple[int, int]:
    """Return the last step, and the last one with a validation, in what W&B wrote of a run into its folder.

    Files that cannot be read hold nothing: their steps are told twice rather than never.
    """
    step = validated = 0
    for path in (folder / "wandb").glob(f"*run-*-{run_id}/run-{run_id}.wandb"):
        with suppress(Exception):  # what W&B's own reader of its own format raises is not said anywhere
            for row in history(path):
                step = max(step, int(json.loads(row.get("_step", "0"))))
                if VALIDATED in row:
                    validated = max(validated, step)
    return step, validated


def history(path: Path) -> Iterator[dict[str, str]]:
    """Give the rows of the history in a file of W&B, JSON by name.

    It is a log as LevelDB writes it: after 7 bytes of its own, blocks of 32 KiB with records that are cut at the end of
    a block; before each piece a checksum, its length, and whether it is whole (1), the first, a middle or the last (4).
    """
    from wandb.proto import wandb_internal_pb2

    messages: Any = wandb_internal_pb2  # generated: type checkers see nothing in it
    data, place, whole = path.read_bytes(), PREAMBLE, b""
    while place + HEAD <= len(data):
        if BLOCK - place % BLOCK < HEAD:
            place += BLOCK - place % BLOCK
            continue
        size, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        if place + HEAD + size > len(data):
            return
        whole += data[place + HEAD : place + HEAD + size]
        place += HEAD + size
        if kind in (1, 4):
            record, whole = messages.Record.FromString(whole), b""
            if record.history.item:
                yield {each.key or "/".join(each.nested_key): each.value_json for each in record.history.item}
