"""Makes the tables of docs/benchmarks.md from what the benchmarks have written.

    python benchmarks/tables.py [--check]

A table stands between `<!-- NAME -->` and `<!-- end -->`, and is made from the files benchmarks/results/NAME*.json, one
for each machine. Such a file, which `--json` of a benchmark writes, holds the command, the facts of the machine and
rows: plain dictionaries with the same keys. `--check` writes nothing and fails where the document is behind.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"
BLOCK = re.compile(r"(<!-- ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def cell(value: Any) -> str:
    """Return a value as it stands in a table: numbers with three digits that count."""
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def lines_of(result: dict[str, Any]) -> Iterator[str]:
    """Give the lines of one result: command and machine, then its rows."""
    machine = dict(result["machine"])
    units = ", ".join(machine.pop("units")) or "none of the units that matter"
    yield f"`{result['command']}`, {machine.pop('cpu')} ({units}), " + ", ".join(
        f"{name} {value}" for name, value in machine.items() if value is not None
    )
    yield ""
    columns = list(result["rows"][0])
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"
    for row in result["rows"]:
        yield f"| {' | '.join(cell(row[column]) for column in columns)} |"
    yield ""


def filled(text: str) -> str:
    """Return the document with all of its tables made anew."""

    def table(block: re.Match[str]) -> str:
        paths = sorted(RESULTS.glob(f"{block[2]}*.json"))
        results = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
        return block[1] + "\n".join(line for result in results for line in lines_of(result)) + "\n" + block[3]

    return BLOCK.sub(table, text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    text = DOCUMENT.read_text(encoding="utf-8")
    made = filled(text)
    if check and made != text:
        sys.exit(f"{DOCUMENT} is behind {RESULTS}: run python benchmarks/tables.py")
    if not check:
        DOCUMENT.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
