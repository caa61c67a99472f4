"""The command on runs: runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from unet.cli.commands.arguments import Added, given_in, new_command


def add_runs(commands: Any) -> Added:
    """Add `unet runs`."""
    parser = new_command(
        commands,
        "runs",
        "list runs and compare them",
        "A line for each run, the best first: when it began, its data, whether it finished,\n"
        "steps, time, the best validation score, the test score, and the settings that are\n"
        "not the same in all of them. Folders without the record of a run are passed over.",
        "  unet runs\n"
        "  unet runs runs/cars-*\n"
        "  unet runs runs other/runs --csv runs.csv\n"
        "  unet runs --page runs.html",
    )
    parser.add_argument(
        "folders", nargs="*", type=Path, metavar="FOLDER", help="runs, or folders that hold runs (default: runs)"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table there")
    parser.add_argument(
        "--page", type=Path, metavar="FILE", help="write a page with the table and all curves there (.html)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace these files if they are already there")

    def run(args: argparse.Namespace) -> object:
        from unet.commands.runs import list_runs

        return list_runs(**given_in(args))

    return parser, run
