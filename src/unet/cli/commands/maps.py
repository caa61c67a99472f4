"""Commands on map sheets: vectorize."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from unet.cli import values
from unet.cli.commands.arguments import Added, given_in, new_command

KINDS = ("epm", "mask", "probability", "labels", "edges")


def add_vectorize(commands: Any) -> Added:
    """Add `unet vectorize`."""
    parser = new_command(
        commands,
        "vectorize",
        "turn an edge map, a mask or a label map into polygons for a GIS",
        "Edge maps are closed (dynamic and area) and flooded, classes become their connected\n"
        "components. The polygons share their edges: no gap, no overlap, also when simplified.",
        "  unet vectorize EPM.png --kind epm --dynamic 7 --area 400 --labels LABELS.tif -o OUT.gpkg\n"
        "  unet vectorize EPM.png --kind epm --roi content.png --calibrate edge -o OUT.svg --over sheet.jpg\n"
        "  unet vectorize mask.tif --min-area 50 --fill-holes --simplify 1.5 -o OUT.geojson\n"
        "  unet vectorize LABELS.tif --simplify 0.5 --units map -o OUT.shp",
    )
    parser.add_argument("source", type=Path, metavar="IN", help="a raster: GeoTIFF, PNG, .npy, ...")
    parser.add_argument("--kind", choices=KINDS, help="what IN holds (default: what the file says of itself)")
    parser.add_argument("--crs", metavar="CRS", help="of IN, where it names none: EPSG:2154")
    parser.add_argument(
        "--roi", type=Path, metavar="FILE", help="what counts: a picture, 0 outside, or polygons in any CRS"
    )
    edges = parser.add_argument_group("edge maps")
    edges.add_argument("--dynamic", type=int, metavar="D", help="a basin stands if it is so deep (0..255) ... (7)")
    edges.add_argument("--area", type=int, metavar="A", help="... and so large, in pixels (400)")
    edges.add_argument(
        "--calibrate", choices=("zero", "edge"), help="no edge outside of --roi, or a sure edge on its border"
    )
    edges.add_argument(
        "--threshold",
        type=float,
        metavar="T",
        help="instead: 4-connected components up to T; for a probability above which is the class (0.5)",
    )
    edges.add_argument("--model", "-m", type=Path, metavar="MODEL", help="a model file that unet tune-shapes has tuned")
    masks = parser.add_argument_group("masks and probabilities")
    masks.add_argument(
        "--leave-out",
        action="append",
        metavar="CLASS",
        help="a class, by name or number, that is no shape; may be repeated (default: background, or 0)",
    )
    masks.add_argument("--all-classes", dest="leave_out", action="store_const", const=[], help="leave out none")
    shapes = parser.add_argument_group("shapes")
    shapes.add_argument("--min-area", type=values.natural, default=0, metavar="PX", help="smaller ones are left out")
    shapes.add_argument("--fill-holes", action="store_true", help="holes with one shape around them belong to it")
    shapes.add_argument(
        "--lines",
        choices=("fill", "gap"),
        help="pixels between shapes: to the nearest one, or free (default: fill for edge maps, else gap)",
    )
    shapes.add_argument(
        "--simplify", type=float, default=0.0, metavar="TOL", help="drop corners of triangles up to TOL x TOL in area"
    )
    shapes.add_argument("--units", choices=("pixels", "map"), default="pixels", help="of TOL (default: pixels)")
    results = parser.add_argument_group("the results")
    results.add_argument(
        "--output",
        "-o",
        dest="outputs",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help=".gpkg, .geojson (WGS 84), .shp, .fgb, .svg or .png; may be repeated",
    )
    results.add_argument("--labels", type=Path, metavar="FILE", help="the label map, a TIFF of 32 bits")
    results.add_argument("--preview", type=Path, metavar="FILE", help="a coloured picture of the shapes")
    results.add_argument("--over", type=Path, metavar="FILE", help="a picture to lie under the colours of drawings")
    results.add_argument("--overwrite", action="store_true", help="replace files that are already there")

    def run(args: argparse.Namespace) -> object:
        from unet.commands.vectorize import vectorize

        return vectorize(**given_in(args))

    return parser, run
