"""Commands on shapes: evaluate-shapes, tune-shapes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from unet.cli import values
from unet.cli.commands.arguments import Added, given_in, new_command
from unet.cli.parser import Parser

_KINDS = ("labels", "edges", "polygons")


def add_evaluate_shapes(commands: Any) -> Added:
    """Add `unet evaluate-shapes`."""
    parser = new_command(
        commands,
        "evaluate-shapes",
        "score shapes against the true ones",
        "Each shape is matched with the one of which it shares most pixels; a match is true\n"
        "where its IoU is greater than 0.5. Precision, recall and F over the IoU, panoptic\n"
        "quality, and pictures of what was found. Files hold label maps, edges (the shapes\n"
        "are the 4-connected components of 0) or polygons.",
        "  unet evaluate-shapes truth.tif labels.tif\n"
        "  unet evaluate-shapes edges.png ours.tif theirs.tif --mask content.png -o scores\n"
        "  unet evaluate-shapes edges.png labels.tif --mask content.png --count-background --json scores.json",
    )
    parser.add_argument("truth", type=Path, metavar="GT", help="the true shapes")
    parser.add_argument("predictions", nargs="+", type=Path, metavar="PRED", help="what is scored, one or more")
    parser.add_argument("--gt-kind", choices=_KINDS, help="what GT holds (default: found out)")
    parser.add_argument("--pred-kind", choices=_KINDS, help="what PRED hold (default: found out)")
    _add_scoring(parser)
    results = parser.add_argument_group("the results")
    results.add_argument("--out", "-o", type=Path, metavar="DIR", help="for curves, figures and pictures")
    results.add_argument("--json", type=Path, metavar="FILE", help="write all scores there")
    results.add_argument("--overwrite", action="store_true", help="replace files that are already there")

    def run(args: argparse.Namespace) -> object:
        from unet.commands.evaluate_shapes import evaluate_shapes

        return evaluate_shapes(**given_in(args))

    return parser, run


def _add_scoring(parser: Parser) -> None:
    """Add how shapes are scored."""
    group = parser.add_argument_group("how it is scored")
    group.add_argument("--mask", "-m", type=Path, metavar="M", help="content mask: where it is 0, nothing counts")
    group.add_argument(
        "--window",
        type=values.window,
        default=values.window(":,:"),
        metavar="R0:R1,C0:C1",
        help="only these rows and columns, as if all files were cut to them: :,3800:5400 (default: all)",
    )
    group.add_argument(
        "--iou",
        "--iou-threshold",
        type=values.probability,
        default=0.5,
        metavar="T",
        help="a match is true above this IoU, 0.5 or more (default: 0.5)",
    )
    group.add_argument(
        "--count-background",
        action="store_true",
        help="what is in no shape (label 0) is one of the shapes, as in published figures",
    )
