"""JSON that a command writes where the user says."""

from __future__ import annotations

import json as json_format
import os
from pathlib import Path
from typing import Any

from unet.errors import InputError


def check_target(json: Path, overwrite: bool) -> None:
    """Make sure, before anything is computed, that the file can be written.

    Raises
    ------
    InputError
        It cannot, or would replace another.
    """
    if json.is_dir():
        raise InputError(f"{json} is a folder", "a file", f"give {json / 'result.json'}")
    if json.exists() and not overwrite:
        raise InputError(f"{json} exists", "a new file", "choose another --json, or allow --overwrite")
    try:
        json.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{json}: {error.strerror}", "a place to write", "choose another --json") from None


def write_json(path: Path, data: Any) -> None:
    """Write JSON whole or not at all."""
    draft = path.with_suffix(".json.part")
    draft.write_text(json_format.dumps(data, indent=1), encoding="utf-8")
    os.replace(draft, path)
