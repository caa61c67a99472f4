"""The tables of docs/benchmarks.md are those of the results that were written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TABLES = Path(__file__).parents[2] / "benchmarks" / "tables.py"


def test_the_document_is_made_from_the_results() -> None:
    done = subprocess.run([sys.executable, str(TABLES), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
