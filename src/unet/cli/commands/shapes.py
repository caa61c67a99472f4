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


def add_tune_shapes(commands: Any) -> Added:
    """Add `unet tune-shapes`."""
    parser = new_command(
        commands,
        "tune-shapes",
        "find the filter that makes the best shapes of an edge map",
        "Every dynamic with every area is tried on an edge map whose true shapes are known,\n"
        "and connected components beside them. A search that was stopped goes on with\n"
        "--resume. Tune on a part that the model was not trained on.",
        "  unet tune-shapes epm.png edges.png --mask content.png --calibrate edge -o tuning\n"
        "  unet tune-shapes epm.png edges.png --window :,3000:3800 --model model.safetensors -o tuning\n"
        "  unet tune-shapes epm.png truth.gpkg --dynamic 0..30 --area 10,50,250 --by f_auc -o tuning",
    )
    parser.add_argument("epm", type=Path, metavar="EPM", help="an edge map, high on edges")
    parser.add_argument("truth", type=Path, metavar="GT", help="its true shapes: labels, edges or polygons")
    parser.add_argument("--gt-kind", choices=_KINDS, help="what GT holds (default: found out)")
    tried = parser.add_argument_group("what is tried")
    tried.add_argument(
        "--dynamic",
        dest="dynamics",
        type=values.number_range,
        default=argparse.SUPPRESS,
        metavar="D",
        help="such as 0..10 (the default) or 0,5,9",
    )
    tried.add_argument(
        "--area",
        dest="areas",
        type=values.number_range,
        default=argparse.SUPPRESS,
        metavar="A",
        help="pixels (default: 50,100,200,300,400,500)",
    )
    tried.add_argument(
        "--threshold",
        dest="thresholds",
        type=values.number_range,
        default=argparse.SUPPRESS,
        metavar="T",
        help="of components, for comparison (default: 0..10)",
    )
    tried.add_argument(
        "--calibrate",
        dest="calibration",
        choices=("zero", "edge"),
        help="outside of the mask is no edge for sure, or its inner boundary is one (default: neither)",
    )
    _add_scoring(parser)
    results = parser.add_argument_group("the results")
    results.add_argument("--by", choices=("pq", "f_auc"), default="pq", help="what the best is chosen by (default: pq)")
    results.add_argument("--out", "-o", type=Path, required=True, metavar="DIR", help="for tables and figures")
    results.add_argument("--model", type=Path, metavar="MODEL", help="a run, or a model file, that is to keep the best")
    results.add_argument("--resume", action="store_true", help="keep what an earlier search in DIR has scored")
    results.add_argument("--overwrite", action="store_true", help="replace files that are already there")
    results.add_argument(
        "--workers", type=values.positive, metavar="N", help="processes (default: as processors and memory allow)"
    )

    def run(args: argparse.Namespace) -> object:
        from unet.commands.tune_shapes import tune_shapes

        return tune_shapes(**given_in(args))

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
