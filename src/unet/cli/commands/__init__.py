"""The commands, as the help lists them.

Their arguments are named as the parameters of the function that runs each, whose module is imported when it runs.
"""

from __future__ import annotations

import argparse

from unet import __version__
from unet.cli.commands.data import add_import, add_inspect, add_repair, add_stitch, add_tile
from unet.cli.commands.maps import add_map, add_vectorize
from unet.cli.commands.models import add_convert, add_evaluate, add_export, add_predict
from unet.cli.commands.runs import add_runs
from unet.cli.commands.shapes import add_evaluate_shapes, add_tune_shapes
from unet.cli.commands.training import add_augment_preview, add_demo, add_plan, add_train
from unet.cli.parser import Parser


def build_parser() -> Parser:
    """Return the parser of all commands."""
    parser = Parser(
        prog="unet",
        allow_abbrev=False,
        description="A folder of pictures and masks in, a trained, checked, portable segmentation model out.",
        epilog="See it work:          unet demo\nYour own data:        unet train DATA\n"
        "More on a command:    unet train --help",
    )
    parser.add_argument("--version", action="version", version=f"unet {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (
        add_demo, add_inspect, add_repair, add_import, add_plan, add_augment_preview, add_train, add_runs,
        add_evaluate, add_predict, add_map, add_tile, add_stitch, add_vectorize, add_evaluate_shapes,
        add_tune_shapes, add_convert, add_export,
    ):  # fmt: skip
        command, run = add(commands)
        # SUPPRESS: a --debug before the command's name must not be undone by the command's default.
        hidden = argparse.SUPPRESS
        command.add_argument("--debug", action="store_true", default=hidden, help=hidden)
        command.set_defaults(run=run, parser=command)
    return parser
