"""Commands on map sheets: map, vectorize."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from unet.cli import values
from unet.cli.commands.arguments import Added, add_device, given_in, new_command

KINDS = ("epm", "mask", "probability", "labels", "edges")


def add_map(commands: Any) -> Added:
    """Add `unet map`."""
    parser = new_command(
        commands,
        "map",
        "predict a sheet and turn it into polygons for a GIS, in one go",
        "A model of edges gives an edge map, which is filtered and flooded as the model file\n"
        "says (unet tune-shapes); any other model gives a class mask, whose regions become\n"
        "shapes. NAME_map.html shows them on the sheet; edge map or mask, and label map, stay\n"
        "beside the output, so that --resume makes other shapes at once.",
        "  unet map sheet.tif --model model.safetensors -o blocks.gpkg\n"
        "  unet map sheet.tif -m model.safetensors --roi content.png --calibrate edge -o blocks.geojson\n"
        "  unet map sheet.tif -m model.safetensors --dynamic 10 --area 200 -o blocks.gpkg --resume",
    )
    parser.add_argument("sheet", type=Path, metavar="SHEET", help="a picture of any size; a GeoTIFF keeps its place")
    parser.add_argument(
        "--model", "-m", type=Path, required=True, metavar="MODEL", help="a run, or a model.safetensors"
    )
    parser.add_argument(
        "--roi", type=Path, metavar="FILE", help="what counts: a picture, 0 outside, or polygons in any CRS"
    )
    predicting = parser.add_argument_group("predicting")
    predicting.add_argument(
        "--tta", choices=("flips", "d4"), help="average 4 mirrored, or 8 mirrored and turned, views"
    )
    add_device(predicting)
    edges = parser.add_argument_group("shapes of an edge map (default: what the model file says)")
    edges.add_argument("--dynamic", type=int, metavar="D", help="a basin stands if it is so deep (0..255) ... (7)")
    edges.add_argument("--area", type=int, metavar="A", help="... and so large, in pixels (400)")
    edges.add_argument(
        "--calibrate", choices=("zero", "edge"), help="no edge outside of --roi, or a sure edge on its border"
    )
    shapes = parser.add_argument_group("shapes")
    shapes.add_argument("--min-area", type=values.natural, default=0, metavar="PX", help="smaller ones are left out")
    _add_simplify(shapes)
    results = parser.add_argument_group("the results")
    results.add_argument(
        "--output", "-o", dest="outputs", action="append", required=True, type=Path, metavar="FILE",
        help=".gpkg, .geojson (WGS 84), .shp, .fgb, .svg or .png; may be repeated",
    )  # fmt: skip
    results.add_argument("--labels", type=Path, metavar="FILE", help="the label map (default: NAME_labels.tif)")
    results.add_argument("--overwrite", action="store_true", help="replace files that are already there")
    results.add_argument(
        "--resume", action="store_true", help="go on from the edge map or mask of an earlier call, and replace the rest"
    )

    def run(args: argparse.Namespace) -> object:
        from unet.commands.map_ import map_sheet

        return map_sheet(**given_in(args))

    return parser, run


def _add_simplify(group: Any) -> None:
    group.add_argument(
        "--simplify", type=float, default=0.0, metavar="TOL", help="drop corners of triangles up to TOL x TOL in area"
    )
    group.add_argument("--units", choices=("pixels", "map"), default="pixels", help="of TOL (default: pixels)")


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
    edges.add_argument(
        "--model", "-m", type=Path, metavar="MODEL", help="a run or a model that unet tune-shapes has tuned"
    )
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
    _add_simplify(shapes)
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
