"""The arguments of each command, named as the parameters of the function that runs it.

A command is imported when it runs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from unet import __version__
from unet.cli import values
from unet.cli.parser import Parser

if TYPE_CHECKING:
    from unet.commands.folds import CrossValidation
    from unet.commands.train import TrainResult

MODEL_HELP = "a model.safetensors, or a .pth of the Carvana U-Net"


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
        _add_demo, _add_inspect, _add_repair, _add_import, _add_plan, _add_augment_preview, _add_train, _add_evaluate,
        _add_predict, _add_tile, _add_stitch, _add_convert,
    ):  # fmt: skip
        command, run = add(commands)
        # SUPPRESS: a --debug before the command's name must not be undone by the command's default.
        hidden = argparse.SUPPRESS
        command.add_argument("--debug", action="store_true", default=hidden, help=hidden)
        command.set_defaults(run=run, parser=command)
    return parser


Added = tuple[Parser, Callable[[argparse.Namespace], object]]


def _add_command(commands: Any, name: str, summary: str, description: str, examples: str) -> Parser:
    parser: Parser = commands.add_parser(
        name, help=summary, description=description, epilog="Examples:\n" + examples, allow_abbrev=False
    )
    return parser


def _add_demo(commands: Any) -> Added:
    parser = _add_command(
        commands,
        "demo",
        "make a small data set, train on it for a minute, evaluate, predict, report",
        "See the whole path in about two minutes: map-like sheets are drawn, a small\n"
        "network is trained on them and scored on sheets that it has not seen, and a\n"
        "report is written that any browser opens.",
        "  unet demo\n  unet demo elsewhere --seconds 20",
    )
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=Path("unet-demo"),
        metavar="FOLDER",
        help="where everything is written (default: unet-demo)",
    )
    parser.add_argument(
        "--seconds", type=values.positive_float, default=60.0, metavar="S", help="training time (default: 60)"
    )
    parser.add_argument("--seed", type=values.natural, default=0, metavar="N", help="another data set (default: 0)")

    def run(args: argparse.Namespace) -> object:
        from unet.commands.demo import demo

        return demo(**_given(args))

    return parser, run


def _add_inspect(commands: Any) -> Added:
    parser = _add_command(
        commands,
        "inspect",
        "say what a data set holds and what is wrong with it",
        "The same checks as at the start of a training, with every fault, its files and\n"
        "its remedy; and pictures with their masks laid over them, the suspicious ones\n"
        "first. Ends with code 2 where something would stop a training.",
        "  unet inspect data\n  unet inspect data --group '^[^_]+' --json facts.json --out look",
    )
    _add_data(parser)
    _add_split(parser)
    _add_masks(parser)
    results = parser.add_argument_group("the results")
    results.add_argument("--json", type=Path, metavar="FILE", help="write all facts and findings there")
    results.add_argument(
        "--out", "-o", type=Path, metavar="FOLDER", help="for contact.png and inspect.html (default: inspect-NAME)"
    )
    results.add_argument("--init", type=Path, metavar="FILE", help="write a dataset.toml there, to edit and train from")
    results.add_argument("--overwrite", action="store_true", help="replace files that are already there")

    def run(args: argparse.Namespace) -> object:
        _require_data(parser, args)
        from unet.commands.inspect import inspect
        from unet.data.finding import errors_in
        from unet.errors import DataError

        survey = inspect(**_given(args))
        errors = errors_in(survey.findings)
        if errors:
            kinds = ", ".join(finding.kind for finding in errors)
            raise DataError(f"the data cannot be trained on as they are ({kinds})", remedy="see what is said above")
        return survey

    return parser, run


def _add_repair(commands: Any) -> Added:
    parser = _add_command(
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
    _add_data(parser)
    masks = _add_mask_values(parser)
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
        _require_data(parser, args)
        from unet.commands.repair import repair

        return repair(**_given(args))

    return parser, run


def _add_plan(commands: Any) -> Added:
    parser = _add_command(
        commands,
        "plan",
        "say how a training would be set up, and why",
        "Looks at the data and at this machine, decides what `unet train` would decide,\n"
        "and writes it down: plan.md with a sentence for each choice, and config.toml to\n"
        "train from. What you set stays, and the rest follows from it.",
        "  unet plan data --time 30m\n"
        "  unet plan data --time 10m --set scale=0.5 --out plan-half\n"
        "  unet train data --config plan-half/config.toml",
    )
    _add_data(parser)
    _add_length(parser)
    _add_split(parser)
    _add_masks(parser)
    plan_group = parser.add_argument_group("the plan")
    plan_group.add_argument("--out", "-o", type=Path, metavar="FOLDER", help="for the two files (default: plan-NAME)")
    plan_group.add_argument("--overwrite", action="store_true", help="replace a plan that lies there")
    _add_settings(plan_group)
    _add_compute(plan_group)

    def run(args: argparse.Namespace) -> object:
        if args.config_file is None:
            _require_data(parser, args)
        from unet.commands.plan import plan

        return plan(**_given(args) | {"settings": dict(args.settings)})

    return parser, run


def _add_augment_preview(commands: Any) -> Added:
    parser = _add_command(
        commands,
        "augment-preview",
        "draw a sheet of augmented samples, as training would see them",
        "Each row shows a picture with its mask laid over it, then samples of it as they\n"
        "would be trained on: at the planned scale and crop, changed as the plan or your\n"
        "settings say. Pictures with rare classes come first.",
        "  unet augment-preview data\n"
        "  unet augment-preview data --set augment=strong --set elastic=10 --out strong.png\n"
        "  unet augment-preview --config runs/cars/config.toml",
    )
    _add_data(parser)
    _add_length(parser)
    _add_split(parser)
    _add_masks(parser)
    sheet = parser.add_argument_group("the sheet")
    sheet.add_argument("--out", "-o", type=Path, metavar="FILE", help="the picture (default: augment-NAME.png)")
    sheet.add_argument("--overwrite", action="store_true", help="replace it if it is already there")
    _add_settings(sheet)
    _add_compute(sheet)

    def run(args: argparse.Namespace) -> object:
        if args.config_file is None:
            _require_data(parser, args)
        from unet.commands.augment_preview import augment_preview

        return augment_preview(**_given(args) | {"settings": dict(args.settings)})

    return parser, run


def _add_train(commands: Any) -> Added:
    parser = _add_command(
        commands,
        "train",
        "train a model on a folder of pictures and masks",
        "DATA holds pictures in imgs, images or img, and masks in masks, labels, gt or\n"
        "annotations; train, val and test may stand above or below these. Everything is\n"
        "checked before training starts, and every fault is named at once. What is not\n"
        "said is decided from the data and the machine, and explained in plan.md.",
        "  unet train data\n"
        "  unet train data --time 10m --out runs/cars --group '^[^_]+'\n"
        "  unet train --images scans --masks drawn --mask-suffix _GT --val 0.2\n"
        "  unet train data --set learning_rate=0.001 --set model.width=48\n"
        "  unet train data --folds 5 --time 1h\n"
        "  unet train --resume runs/cars",
    )
    _add_data(parser)
    _add_length(parser)
    split = _add_split(parser)
    split.add_argument(
        "--folds", type=values.folds, metavar="K", help="cross-validate: hold each of K parts out once, in one report"
    )
    _add_masks(parser)
    run_group = parser.add_argument_group("the run")
    run_group.add_argument("--out", "-o", type=Path, metavar="RUN", help="its folder (default: a new one in runs)")
    run_group.add_argument("--overwrite", action="store_true", help="use the folder even if it holds a run")
    _add_settings(run_group)
    run_group.add_argument("--resume", type=Path, metavar="RUN", help="go on where that run stopped")
    run_group.add_argument("--load", type=Path, metavar="MODEL", help="start from the weights of a model")
    run_group.add_argument(
        "--track",
        dest="trackers",
        action="append",
        choices=("tensorboard", "wandb"),
        default=[],
        help="log there as well; may be repeated",
    )
    _add_compute(run_group)

    def run(args: argparse.Namespace) -> object:
        if args.resume is None and args.config_file is None:
            _require_data(parser, args)
        started = monotonic()  # importing torch is part of the user's time
        from unet.commands.run_folder import FOLDS

        given = _given(args) | {"settings": dict(args.settings), "started": started}
        result: TrainResult | CrossValidation
        if args.folds or (args.resume and (args.resume / FOLDS).exists()):
            from unet.commands.folds import cross_validate

            result = cross_validate(**given)
        else:
            from unet.commands.train import train

            result = train(**{name: value for name, value in given.items() if name != "folds"})
        if not result.finished:
            raise KeyboardInterrupt
        return result

    return parser, run


def _add_evaluate(commands: Any) -> Added:
    parser = _add_command(
        commands,
        "evaluate",
        "score a model on pictures with masks",
        "Scores are counted over the whole set at the pictures' own resolution: IoU,\n"
        "Dice, precision and recall of each class, and means over the classes that occur,\n"
        "with 95 % intervals from drawing the pictures again.",
        "  unet evaluate runs/cars/model.safetensors data\n"
        "  unet evaluate model.safetensors data --split test --json scores.json\n"
        "  unet evaluate model.safetensors data --boundary --tolerance 2",
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help=MODEL_HELP)
    _add_data(parser)
    parser.add_argument(
        "--split",
        choices=("all", "train", "val", "test"),
        default="all",
        help="which part, where DATA has parts (default: all)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all scores there")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it is already there")
    parser.add_argument(
        "--scale", "-s", type=values.scale, metavar="S", help="factor on the pictures' size (default: the model's)"
    )
    parser.add_argument("--exact", action="store_true", help="compute in fp32, the slow and exact way")
    parser.add_argument(
        "--boundary", action="store_true", help="score the outlines of classes too: F and 95 %% Hausdorff distance"
    )
    parser.add_argument(
        "--tolerance",
        metavar="T",
        help="outlines so near are the same: pixels, or a share of the diagonal (default: 0.75%%)",
    )
    _add_device(parser)

    def run(args: argparse.Namespace) -> object:
        _require_data(parser, args)
        from unet.commands.evaluate import evaluate

        return evaluate(**_given(args))

    return parser, run


def _add_predict(commands: Any) -> Added:
    parser = _add_command(
        commands,
        "predict",
        "write masks for pictures",
        "Masks are written at the pictures' own size, in colours that can be seen. The\n"
        "model file knows its classes, its scale and everything else.",
        "  unet predict -m runs/cars/model.safetensors -i car.jpg\n"
        "  unet predict -m model.safetensors -i photos -o masks --overlay\n"
        "  unet predict -m model.safetensors -i 'photos/*.jpg' --probabilities",
    )
    parser.add_argument("--model", "-m", type=Path, required=True, metavar="MODEL", help=MODEL_HELP)
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
        help="a folder, or a file for each picture (default: NAME_OUT.png)",
    )
    what = parser.add_argument_group("what is written")
    what.add_argument("--overlay", action="store_true", help="also the picture with the mask over it")
    what.add_argument("--probabilities", action="store_true", help="also each class's probability, as .npy")
    what.add_argument("--raw-values", action="store_true", help="write the values of the training masks")
    what.add_argument("--no-save", "-n", dest="save", action="store_false", help="write nothing")
    what.add_argument("--viz", "-v", action="store_true", help="show each picture and its mask in a window")
    what.add_argument("--overwrite", action="store_true", help="replace files that are already there")
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
    how.add_argument("--exact", action="store_true", help="compute in fp32, the slow and exact way")
    how.add_argument(
        "--tile", type=values.positive, metavar="PX", help="side of what is computed at a time (default: what fits)"
    )
    how.add_argument(
        "--join",
        choices=("exact", "gaussian", "linear", "abut"),
        help="how tiles become one picture (default: exact where that costs little, else gaussian)",
    )
    _add_device(how)
    old = parser.add_argument_group("checks on a .pth file, which says these itself")
    old.add_argument("--classes", "-c", type=values.positive, metavar="N", help="it must have this many classes")
    old.add_argument("--bilinear", action="store_true", default=None, help="it must use bilinear up-sampling")

    def run(args: argparse.Namespace) -> object:
        from unet.commands.predict import predict

        return predict(**_given(args))

    return parser, run


def _add_convert(commands: Any) -> Added:
    parser = _add_command(
        commands,
        "convert",
        "turn a .pth of the Carvana U-Net into a model file, or back",
        "The suffix of TARGET says what is written.",
        "  unet convert MODEL.pth model.safetensors\n  unet convert model.safetensors MODEL.pth",
    )
    parser.add_argument("source", type=Path, metavar="SOURCE", help="the model to read")
    parser.add_argument("target", type=Path, metavar="TARGET", help="the file to write: .safetensors or .pth")
    parser.add_argument(
        "--scale", "-s", type=values.scale, metavar="S", help="the scale that a .pth was trained at (0.5)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace TARGET if it is already there")

    def run(args: argparse.Namespace) -> object:
        from unet.commands.convert import convert

        written = convert(**_given(args))
        print(f"wrote {written}")
        return written

    return parser, run


def _add_import(commands: Any) -> Added:
    parser = _add_command(
        commands,
        "import",
        "turn COCO, LabelMe, YOLO or Hugging Face annotations into masks",
        "The format is recognised by what the files hold. Whatever is wrong with them is\n"
        "named at once, and then nothing is written.",
        "  unet import coco --out data\n"
        "  unet import instances_train2017.json --images train2017 --out data\n"
        "  unet import labelme-folder --out data --line-width 5\n"
        "  unet import yolo/data.yaml --out data\n"
        "  unet import sidewalk-semantic --out data",
    )
    parser.add_argument("source", type=Path, metavar="SOURCE", help="a file or folder of annotations")
    parser.add_argument("--out", "-o", type=Path, required=True, metavar="DATA", help="a new or empty folder")
    parser.add_argument(
        "--format",
        dest="form",
        choices=("coco", "labelme", "yolo", "huggingface", "objects"),
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

    def run(args: argparse.Namespace) -> object:
        from unet.commands.import_ import import_data

        return import_data(**_given(args))

    return parser, run


def _add_tile(commands: Any) -> Added:
    parser = _add_command(
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

        return tile(**_given(args))

    return parser, run


def _add_stitch(commands: Any) -> Added:
    parser = _add_command(
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

        return stitch(**_given(args))

    return parser, run


def _add_data(parser: Parser) -> None:
    group = parser.add_argument_group("the data")
    group.add_argument(
        "data", nargs="?", type=Path, metavar="DATA", help="folder with pictures and masks, or a dataset.toml"
    )
    group.add_argument("--images", type=Path, metavar="DIR", help="folder of the pictures, instead of DATA")
    group.add_argument("--masks", type=Path, metavar="DIR", help="folder of the masks, instead of DATA")
    group.add_argument(
        "--mask-suffix", metavar="S", help="end of the masks' names, as in car_mask.png (default: found out)"
    )


def _add_length(parser: Parser) -> None:
    length = parser.add_argument_group("how long (one of)")
    exclusive = length.add_mutually_exclusive_group()
    exclusive.add_argument(
        "--time", metavar="T", help="be done in this time, evaluation included: 90s, 10m, 1h30m (default: 30m)"
    )
    exclusive.add_argument("--epochs", type=values.positive, metavar="N", help="passes over the data")
    exclusive.add_argument("--steps", type=values.positive, metavar="N", help="steps of the optimiser")


def _add_split(parser: Parser) -> Any:
    split = parser.add_argument_group("what it is checked on")
    split.add_argument("--val", metavar="V", help="a share such as 0.1, a folder, or a file of names (default: 0.15)")
    split.add_argument(
        "--group", metavar="REGEX", help="pictures with the same match in their name stay together: '^[^_]+'"
    )
    return split


def _add_masks(parser: Parser) -> None:
    masks = _add_mask_values(parser)
    masks.add_argument("--instances", action="store_true", help="values number objects: learn object or not")


def _add_mask_values(parser: Parser) -> Any:
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


def _add_settings(group: Any) -> None:
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


def _add_compute(group: Any) -> None:
    _add_device(group, default=None)  # None: what --config says
    group.add_argument(
        "--precision",
        type=values.precision,
        metavar="P",
        help="auto (measured), fp32, bf16 or fp16 (default: auto)",
    )


def _add_device(parser: Any, default: str | None = "auto") -> None:
    parser.add_argument("--device", default=default, metavar="D", help="auto, cpu, cuda, cuda:1, mps (default: auto)")


def _require_data(parser: Parser, args: argparse.Namespace) -> None:
    if args.data is None and (args.images is None or args.masks is None):
        parser.error("no data; give DATA, or both --images and --masks")


def _given(args: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of a command by name, without what the parser keeps for itself."""
    return {name: value for name, value in vars(args).items() if name not in ("run", "parser", "debug")}
