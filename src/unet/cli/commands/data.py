"""Commands on data sets and pictures: inspect, repair, import, tile, stitch."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from unet.cli import values
from unet.cli.commands.arguments import (
    Added,
    add_data,
    add_mask_values,
    add_masks,
    add_split,
    given_in,
    new_command,
    require_data,
)


def add_inspect(commands: Any) -> Added:
    """Add `unet inspect`."""
    parser = new_command(
        commands,
        "inspect",
        "say what a data set holds and what is wrong with it",
        "The same checks as at the start of a training, with every fault, its files and\n"
        "its remedy; and pictures with their masks laid over them, the suspicious ones\n"
        "first. Ends with code 2 where something would stop a training.",
        "  unet inspect data\n  unet inspect data --group '^[^_]+' --json facts.json --out look",
    )
    add_data(parser)
    add_split(parser)
    add_masks(parser)
    results = parser.add_argument_group("the results")
    results.add_argument("--json", type=Path, metavar="FILE", help="write all facts and findings there")
    results.add_argument(
        "--out", "-o", type=Path, metavar="FOLDER", help="for contact.png and inspect.html (default: inspect-NAME)"
    )
    results.add_argument("--init", type=Path, metavar="FILE", help="write a dataset.toml there, to edit and train from")
    results.add_argument("--overwrite", action="store_true", help="replace files that are already there")

    def run(args: argparse.Namespace) -> object:
        require_data(parser, args)
        from unet.commands.inspect import inspect
        from unet.data.finding import errors_in
        from unet.errors import DataError

        survey = inspect(**given_in(args))
        errors = errors_in(survey.findings)
        if errors:
            kinds = ", ".join(finding.kind for finding in errors)
            raise DataError(f"the data cannot be trained on as they are ({kinds})", remedy="see what is said above")
        return survey

    return parser, run


def add_repair(commands: Any) -> Added:
    """Add `unet repair`."""
    parser = new_command(
        commands,
        "repair",
        "write a clean copy of a data set",
        "What `unet inspect` finds is mended where there is one way to do it: names, sizes,\n"
        "palettes, masks bent by JPEG or by blending, stacks of bands, numbers of objects.\n"
        "What cannot be mended is left out and listed. The original is not touched; every\n"
        "change is in repair.csv, and repair.md sums them up.",
        "  unet repair data --out clean --dry-run\n"
        "  unet repair data --out clean --mask-values '0,0,0;128,0,0'\n"
        "  unet repair cells --out clean --instances borders",
    )
    add_data(parser)
    masks = add_mask_values(parser)
    masks.add_argument(
        "--instances",
        choices=("objects", "borders"),
        help="values number objects: learn object or not, or also the borders between objects that touch",
    )
    result = parser.add_argument_group("the copy")
    result.add_argument("--out", "-o", type=Path, required=True, metavar="FOLDER", help="a new folder for it")
    result.add_argument(
        "--drop-duplicates", action="store_true", help="leave out pictures that are in another part too, or twice"
    )
    result.add_argument("--dry-run", action="store_true", help="only say what would be done")

    def run(args: argparse.Namespace) -> object:
        require_data(parser, args)
        from unet.commands.repair import repair

        return repair(**given_in(args))

    return parser, run


def add_import(commands: Any) -> Added:
    """Add `unet import`."""
    parser = new_command(
        commands,
        "import",
        "turn COCO, LabelMe, YOLO, Hugging Face or nnU-Net data into pictures and masks",
        "The format is recognised by what the files hold. Whatever is wrong with them is\n"
        "named at once, and then nothing is written.",
        "  unet import coco --out data\n"
        "  unet import instances_train2017.json --images train2017 --out data\n"
        "  unet import labelme-folder --out data --line-width 5\n"
        "  unet import yolo/data.yaml --out data\n"
        "  unet import sidewalk-semantic --out data\n"
        "  unet import nnUNet_raw/Dataset120_Roads --out data",
    )
    parser.add_argument("source", type=Path, metavar="SOURCE", help="a file or folder of annotations")
    parser.add_argument("--out", "-o", type=Path, required=True, metavar="DATA", help="a new or empty folder")
    parser.add_argument(
        "--format",
        dest="form",
        choices=("coco", "labelme", "yolo", "huggingface", "objects", "nnunet"),
        help="where it is not clear (default: found out)",
    )
    parser.add_argument("--link", action="store_true", help="hard links to the pictures instead of copies")
    parser.add_argument("--skip-empty", action="store_true", help="leave out pictures without any object")
    parser.add_argument("--skip-faulty", action="store_true", help="leave out pictures with faults, and list these")
    some = parser.add_argument_group("for some formats")
    some.add_argument("--images", type=Path, metavar="DIR", help="where the pictures are (COCO)")
    some.add_argument("--ignore-crowd", action="store_true", help="what is marked iscrowd does not count (COCO)")
    some.add_argument(
        "--line-width", type=values.positive_float, metavar="PX", help="of lines and points (LabelMe; default: 10)"
    )
    some.add_argument("--outside", action="store_true", help="pictures may lie outside of SOURCE (LabelMe, YOLO)")

    def run(args: argparse.Namespace) -> object:
        from unet.commands.import_ import import_data

        return import_data(**given_in(args))

    return parser, run


def add_tile(commands: Any) -> Added:
    """Add `unet tile`."""
    parser = new_command(
        commands,
        "tile",
        "cut pictures into tile files",
        "Tiles may overlap; what lies beyond the picture is mirrored, or its edge repeated.\n"
        "All bands are kept bit for bit, and `unet stitch` puts the picture, or whatever was\n"
        "made of its tiles, together again.",
        "  unet tile sheet.tif -o tiles --window 512 --step 256\n"
        "  unet tile sheet.tif -o tiles --window 500 --step 250 --pad 250 --border edge",
    )
    parser.add_argument("inputs", nargs="+", metavar="IN", help="pictures, folders, globs")
    parser.add_argument("--out", "-o", type=Path, required=True, metavar="TILES", help="a new or empty folder")
    parser.add_argument(
        "--window", type=values.positive, default=512, metavar="PX", help="side of a tile (default: 512)"
    )
    parser.add_argument(
        "--step", type=values.positive, metavar="PX", help="from one tile to the next (default: the window)"
    )
    parser.add_argument(
        "--pad", type=values.natural, metavar="PX", help="how far tiles reach beyond the picture (default: the overlap)"
    )
    parser.add_argument(
        "--border", choices=("mirror", "edge"), default="mirror", help="what is seen there (default: mirror)"
    )

    def run(args: argparse.Namespace) -> object:
        from unet.commands.tile import tile

        return tile(**given_in(args))

    return parser, run


def add_stitch(commands: Any) -> Added:
    """Add `unet stitch`."""
    parser = new_command(
        commands,
        "stitch",
        "put tile files together",
        "Takes the tiles that `unet tile` wrote, or masks and probabilities of the same names,\n"
        "and keeps of each the middle that no other tile keeps.",
        "  unet stitch tiles -o sheets\n"
        "  unet predict -m model.safetensors -i tiles -o masks && unet stitch masks --list tiles/tiles.json -o sheets",
    )
    parser.add_argument("tiles", type=Path, metavar="TILES", help="a folder of tiles")
    parser.add_argument("--out", "-o", type=Path, required=True, metavar="FOLDER", help="for NAME.png or NAME.npy")
    parser.add_argument(
        "--list", dest="listed", type=Path, metavar="FILE", help="the tiles.json (default: that in TILES)"
    )
    parser.add_argument("--suffix", metavar="S", help="what the names have more, such as _OUT (default: found out)")

    def run(args: argparse.Namespace) -> object:
        from unet.commands.stitch import stitch

        return stitch(**given_in(args))

    return parser, run
