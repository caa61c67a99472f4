"""JSON that a command writes where the user says."""

from __future__ import annotations

import json as json_format
import os
from pathlib import Path
from typing import Any


def write_json(path: Path, data: Any) -> None:
    """Write JSON whole or not at all."""
    draft = path.with_suffix(".json.part")
    draft.write_text(json_format.dumps(data, indent=1), encoding="utf-8")
    os.replace(draft, path)
