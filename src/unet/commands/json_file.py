"""JSON that a command writes where the user says."""

from __future__ import annotations

import json as json_format
import os
from pathlib import Path
from typing import Any

from unet.errors import InputError


def check_target(path: Path, overwrite: bool, flag: str = "--json") -> None:
    """Make sure, before anything is computed, that the file that was named by a flag can be written.

    Raises
    ------
    InputError
        It cannot, or would replace another.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder", "a file", f"give a name in it to {flag}")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists", "a new file", f"choose another {flag}, or allow --overwrite")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", "a place to write", f"choose another {flag}") from None


def write_json(path: Path, data: Any) -> None:
    """Write JSON whole or not at all."""
    draft = path.with_suffix(".json.part")
    draft.write_text(json_format.dumps(data, indent=1), encoding="utf-8")
    os.replace(draft, path)
