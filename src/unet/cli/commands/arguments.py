"""Arguments that several commands have, in groups."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unet.cli import values
from unet.cli.parser import Parser

Added = tuple[Parser, Callable[[argparse.Namespace], object]]
"""The parser of a command, and what runs it."""


def new_command(commands: Any, name: str, summary: str, description: str, examples: str) -> Parser:
    """Return the parser of a new command."""
    parser: Parser = commands.add_parser(
        name, help=summary, description=description, epilog="Examples:\n" + examples, allow_abbrev=False
    )
    return parser


def add_data(parser: Parser) -> None:
    """Add where pictures and masks are."""
    group = parser.add_argument_group("the data")
    group.add_argument(
        "data", nargs="?", type=Path, metavar="DATA", help="folder with pictures and masks, or a dataset.toml"
    )
    group.add_argument("--images", type=Path, metavar="DIR", help="folder of the pictures, instead of DATA")
    group.add_argument("--masks", type=Path, metavar="DIR", help="folder of the masks, or a file of polygons")
    group.add_argument(
        "--mask-suffix", metavar="S", help="end of the masks' names, as in car_mask.png (default: found out)"
    )


def add_length(parser: Parser) -> None:
    """Add how long a training takes."""
    length = parser.add_argument_group("how long (one of)")
    exclusive = length.add_mutually_exclusive_group()
    exclusive.add_argument(
        "--time", metavar="T", help="be done in this time, evaluation included: 90s, 10m, 1h30m (default: 30m)"
    )
    exclusive.add_argument("--epochs", type=values.positive, metavar="N", help="passes over the data")
    exclusive.add_argument("--steps", type=values.positive, metavar="N", help="steps of the optimiser")


def add_split(parser: Parser) -> Any:
    """Add what is held out, and return the group."""
    split = parser.add_argument_group("what it is checked on")
    split.add_argument("--val", metavar="V", help="a share such as 0.1, a folder, or a file of names (default: 0.15)")
    split.add_argument(
        "--test",
        metavar="V",
        default=argparse.SUPPRESS,
        help="the same, kept for one score at the end: neither trained on nor used to choose the weights",
    )
    split.add_argument(
        "--group", metavar="REGEX", help="pictures with the same match in their name stay together: '^[^_]+'"
    )
    return split


def add_masks(parser: Parser) -> None:
    """Add what the values of masks mean."""
    masks = add_mask_values(parser)
    masks.add_argument("--instances", action="store_true", help="values number objects: learn object or not")
    add_polygons(masks)


def add_polygons(group: Any, default: Any = argparse.SUPPRESS) -> None:
    """Add how polygons become masks."""
    group.add_argument(
        "--class-field",
        metavar="NAME",
        default=default,
        help="where masks are polygons: the attribute with their class",
    )
    group.add_argument(
        "--outline",
        type=values.natural,
        metavar="N",
        default=default,
        help="where masks are polygons: learn their outlines, N pixels wide",
    )


def add_mask_values(parser: Parser) -> Any:
    """Add what the values of masks mean but for objects, and return the group."""
    masks = parser.add_argument_group("what the masks mean")
    masks.add_argument(
        "--classes",
        type=Path,
        metavar="FILE",
        help="classes.csv (name,r,g,b) or classes.txt (a name per line)",
    )
    masks.add_argument(
        "--mask-values",
        type=values.mask_values,
        metavar="V",
        help="the true values, others go to the nearest: 0,255 or '0,0,0;128,0,0'",
    )
    masks.add_argument("--ignore", type=values.numbers, metavar="V", help="values that do not count: 255 or 11,255")
    return masks


def add_settings(group: Any) -> None:
    """Add settings: files, recipes, single ones, and what a plan must keep."""
    files = group.add_mutually_exclusive_group()
    files.add_argument(
        "--config", dest="config_file", type=Path, metavar="FILE", help="settings, such as a run's config.toml"
    )
    files.add_argument(
        "--recipe", dest="config_file", type=values.recipe, metavar="NAME", help="settings by name, such as carvana"
    )
    group.add_argument(
        "--set",
        dest="settings",
        action="append",
        type=values.assignment,
        default=[],
        metavar="KEY=VALUE",
        help="one setting; may be repeated",
    )
    group.add_argument(
        "--loss",
        dest="settings",
        action="append",
        type=lambda text: ("loss", text),
        metavar="SUM",
        help="the same as --set loss=SUM: 'ce + dice', '0.5*focal + tversky(beta=2)'",
    )
    group.add_argument(
        "--keep",
        action="append",
        default=argparse.SUPPRESS,
        metavar="NAME",
        help="a class whose finest detail the scale must not lose; may be repeated",
    )


def add_compute(group: Any) -> None:
    """Add device and precision of a training."""
    add_device(group, default=None)  # None: what --config says
    group.add_argument(
        "--precision",
        type=values.precision,
        metavar="P",
        help="auto (by the device), fp32, bf16 or fp16 (default: auto)",
    )


def add_device(parser: Any, default: str | None = "auto") -> None:
    """Add the device."""
    parser.add_argument("--device", default=default, metavar="D", help="auto, cpu, cuda, cuda:1, mps (default: auto)")


def add_backend(parser: Any) -> None:
    """Add what computes."""
    parser.add_argument(
        "--backend",
        choices=("auto", "torch", "openvino"),
        help="what computes on a CPU (default: UNET_BACKEND, or auto: openvino where it is faster)",
    )


def require_data(parser: Parser, args: argparse.Namespace, other: str = "") -> None:
    """Stop with an error where no data are named; `other` is what else may be given."""
    if args.data is None and (args.images is None or args.masks is None):
        parser.error(", ".join(filter(None, ["no data; give DATA", "or both --images and --masks", other])))


def given_with_settings(args: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of a command to which `add_settings` has added some, as `given_in` does."""
    given = given_in(args) | {"settings": dict(args.settings)}
    return given | {"keep": tuple(given["keep"])} if "keep" in given else given


def given_in(args: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of a command by name, without what the parser keeps for itself."""
    return {name: value for name, value in vars(args).items() if name not in ("run", "parser", "debug")}
