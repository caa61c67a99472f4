"""Commands on trained models: evaluate, predict, convert, export."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from unet.cli import values
from unet.cli.commands.arguments import (
    Added,
    add_backend,
    add_data,
    add_device,
    add_polygons,
    given_in,
    new_command,
    require_data,
)

MODEL_HELP = "a run, a model.safetensors, or a .pth of the Carvana U-Net"


def add_evaluate(commands: Any) -> Added:
    """Add `unet evaluate`."""
    parser = new_command(
        commands,
        "evaluate",
        "score a model on pictures with masks",
        "Scores are counted over the whole set at the pictures' own resolution: IoU,\n"
        "Dice, precision and recall of each class, and means over the classes that occur,\n"
        "with 95 % intervals from drawing the pictures again. Where MODEL is the folder of\n"
        "a run, DATA may be left out: a part of the run's own data is scored.",
        "  unet evaluate runs/cars --split test\n"
        "  unet evaluate runs/cars/model.safetensors data\n"
        "  unet evaluate model.safetensors data --split test --json scores.json\n"
        "  unet evaluate model.safetensors data --boundary --tolerance 2",
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help=MODEL_HELP)
    add_data(parser)
    add_polygons(parser, default=None)
    parser.add_argument(
        "--split",
        choices=("all", "train", "val", "test"),
        help="which part, where DATA has parts (default: all), or of the run's own data (default: val)",
    )
    parser.add_argument(
        "--roi", type=Path, metavar="PATH", help="what counts: masks, 0 outside, or polygons in a GeoJSON file"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all scores there")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it is already there")
    parser.add_argument(
        "--scale", "-s", type=values.scale, metavar="S", help="factor on the pictures' size (default: the model's)"
    )
    parser.add_argument("--exact", action="store_true", help="compute in fp32 with torch, the slow and exact way")
    parser.add_argument(
        "--boundary", action="store_true", help="score the outlines of classes too: F and 95 %% Hausdorff distance"
    )
    parser.add_argument(
        "--tolerance",
        metavar="T",
        help="outlines so near are the same: pixels, or a share of the diagonal (default: 0.75%%)",
    )
    add_backend(parser)
    add_device(parser)

    def run(args: argparse.Namespace) -> object:
        of_run = args.model.is_dir() and args.data is None and args.images is None and args.masks is None
        if not of_run:
            require_data(parser, args, "or the folder of a run as MODEL")
        from unet.commands.evaluate import evaluate

        return evaluate(**given_in(args))

    return parser, run


def add_predict(commands: Any) -> Added:
    """Add `unet predict`."""
    parser = new_command(
        commands,
        "predict",
        "write masks for pictures and for sheets of any size",
        "Masks are written at the pictures' own size, in colours that can be seen. The\n"
        "model file knows its classes, its scale and everything else. A sheet that is\n"
        "larger than the memory is read, predicted and written tile by tile; a GeoTIFF\n"
        "keeps its place on the map.",
        "  unet predict -m runs/cars -i car.jpg\n"
        "  unet predict -m model.safetensors -i photos -o masks --overlay\n"
        "  unet predict -m model.safetensors -i 'photos/*.jpg' --probabilities\n"
        "  unet predict -m model.safetensors -i town.tif -o blocks.tif --csv areas.csv\n"
        "  unet predict -m model.safetensors -i sheet.tif -o blocks.tif --roi town.geojson\n"
        "  unet predict -m model.safetensors -i sheet.tif -o blocks.tif --resume\n"
        "  unet predict -m a.safetensors -m b.safetensors -i sheet.tif -o out.tif --tta flips",
    )
    parser.add_argument(
        "--model", "-m", type=Path, required=True, action="append", metavar="MODEL",
        help=f"{MODEL_HELP}; of several the probabilities are averaged",
    )  # fmt: skip
    parser.add_argument(
        "--input",
        "-i",
        dest="inputs",
        nargs="+",
        required=True,
        metavar="IN",
        help="pictures, folders, globs",
    )
    parser.add_argument(
        "--output",
        "-o",
        dest="outputs",
        nargs="+",
        metavar="OUT",
        help="a folder, or a file for each picture: .tif for sheets (default: predicted/NAME_OUT.png)",
    )
    parser.add_argument(
        "--roi",
        type=Path,
        metavar="FILE",
        help="a mask or GeoJSON polygons: outside nothing is predicted, masks are 255",
    )
    what = parser.add_argument_group("what is written")
    what.add_argument("--overlay", action="store_true", help="also the picture with the mask over it")
    what.add_argument(
        "--probabilities", nargs="?", const=True, default=False, choices=("npy", "uint8", "float16", "float32"),
        help="also each class's probability, as .npy, or as a .tif of such numbers",
    )  # fmt: skip
    what.add_argument(
        "--epm", nargs="?", const=8, type=int, choices=(8, 16), metavar="BITS",
        help="also the probability of the edge (or the foreground) as a grey picture of 8 or 16 bits",
    )  # fmt: skip
    what.add_argument(
        "--class",
        dest="class_name",
        metavar="NAME",
        help="the class that --probabilities and --epm are of",
    )
    what.add_argument(
        "--csv", type=Path, metavar="FILE", help="also a table of pixels, share and, on maps, area of each class"
    )
    what.add_argument("--raw-values", action="store_true", help="write the values of the training masks")
    what.add_argument("--no-save", "-n", dest="save", action="store_false", help="write nothing")
    what.add_argument(
        "--viz", "-v", action="store_true", help="show each picture and its mask in a window (matplotlib)"
    )
    what.add_argument("--overwrite", action="store_true", help="replace files that are already there")
    what.add_argument(
        "--resume",
        action="store_true",
        help="leave out what is done, and go on where an earlier run was stopped",
    )
    what.add_argument(
        "--shard", type=values.shard, metavar="I/N",
        help="only every N-th picture, from the I-th on, as torchrun does by itself; what is done is left out",
    )  # fmt: skip
    how = parser.add_argument_group("how it is computed")
    how.add_argument(
        "--scale", "-s", type=values.scale, metavar="S", help="factor on the pictures' size (default: the model's)"
    )
    how.add_argument(
        "--mask-threshold",
        "-t",
        dest="threshold",
        type=values.probability,
        metavar="T",
        help="least probability of the foreground (default: the model's)",
    )
    how.add_argument("--exact", action="store_true", help="compute in fp32 with torch, the slow and exact way")
    how.add_argument(
        "--tile", type=values.positive, metavar="PX", help="side of what is computed at a time (default: what fits)"
    )
    how.add_argument(
        "--join",
        choices=("exact", "gaussian", "linear", "abut"),
        help="how tiles become one picture (default: exact where that costs little, else gaussian)",
    )
    how.add_argument(
        "--pad", choices=("mirror", "edge", "constant"),
        help="what is seen beyond the border (default: as in training; the mirror image where nothing is)",
    )  # fmt: skip
    how.add_argument(
        "--tta",
        choices=("flips", "d4"),
        help="average the probabilities of 4 mirrored, or of 8 mirrored and turned, views",
    )
    add_backend(how)
    add_device(how)
    old = parser.add_argument_group("checks on a .pth file, which says these itself")
    old.add_argument("--classes", "-c", type=values.positive, metavar="N", help="it must have this many classes")
    old.add_argument("--bilinear", action="store_true", default=None, help="it must use bilinear up-sampling")

    def run(args: argparse.Namespace) -> object:
        from unet.commands.predict import predict

        return predict(**{**given_in(args), "model": args.model if len(args.model) > 1 else args.model[0]})

    return parser, run


def add_convert(commands: Any) -> Added:
    """Add `unet convert`."""
    parser = new_command(
        commands,
        "convert",
        "turn a .pth of the Carvana U-Net into a model file, or back",
        "The suffix of TARGET says what is written.",
        "  unet convert MODEL.pth model.safetensors\n  unet convert model.safetensors MODEL.pth",
    )
    parser.add_argument("source", type=Path, metavar="SOURCE", help=MODEL_HELP)
    parser.add_argument("target", type=Path, metavar="TARGET", help="the file to write: .safetensors or .pth")
    parser.add_argument(
        "--scale", "-s", type=values.scale, metavar="S", help="the scale that a .pth was trained at (0.5)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace TARGET if it is already there")

    def run(args: argparse.Namespace) -> object:
        from unet.commands.convert import convert

        written = convert(**given_in(args))
        print(f"wrote: {written}")
        return written

    return parser, run


def add_export(commands: Any) -> Added:
    """Add `unet export`."""
    parser = new_command(
        commands,
        "export",
        "write a model for other programs: ONNX, OpenVINO, torch; int8 too",
        "The file takes pictures of any size in their own values and gives probabilities.\n"
        "It is compared with the model on pictures before it is written, and says of\n"
        "itself all that the model file says. docs/exporting.md shows how to run it.",
        "  unet export runs/cars\n"
        "  unet export runs/cars --int8\n"
        "  unet export model.safetensors --int8 --calibrate photos -o small.onnx\n"
        "  unet export runs/cars --to openvino -o cars.xml\n"
        "  unet export runs/cars --tile 512 -o for-qgis.onnx",
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help=MODEL_HELP)
    parser.add_argument(
        "--to", choices=("onnx", "openvino", "torch"), default="onnx",
        help="ONNX, OpenVINO's .xml and .bin, or a program of torch.export, .pt2 (default: onnx)",
    )  # fmt: skip
    parser.add_argument("--out", "-o", type=Path, metavar="FILE", help="the file (default: beside the model)")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it is already there")
    parser.add_argument(
        "--tile", type=values.positive, metavar="PX", help="take pictures of this height and width only"
    )
    parser.add_argument(
        "--check", type=Path, metavar="PICTURES", help="compare on these (default: the run's own, or drawn ones)"
    )
    small = parser.add_argument_group("8-bit numbers")
    small.add_argument("--int8", action="store_true", help="a quarter of the size, and faster where the CPU can")
    small.add_argument(
        "--calibrate", type=Path, metavar="DATA", help="pictures, or a data set with masks (default: the run's own)"
    )
    small.add_argument(
        "--max-drop", type=values.probability, default=0.005, metavar="D",
        help="what int8 may cost of the mean IoU; layers stay in fp32 until it holds (default: 0.005)",
    )  # fmt: skip

    def run(args: argparse.Namespace) -> object:
        from unet.commands.export import export_model

        done = export_model(**given_in(args))
        print(f"wrote: {done.path}")
        return done

    return parser, run
