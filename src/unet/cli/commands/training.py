"""Commands that train, or say how: demo, plan, augment-preview, train."""

from __future__ import annotations

import argparse
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from unet.cli import values
from unet.cli.commands.arguments import (
    Added,
    add_compute,
    add_data,
    add_length,
    add_masks,
    add_settings,
    add_split,
    given_in,
    given_with_settings,
    new_command,
    require_data,
)

if TYPE_CHECKING:
    from unet.commands.folds import CrossValidation
    from unet.runs.train_run import TrainResult


def add_demo(commands: Any) -> Added:
    """Add `unet demo`."""
    parser = new_command(
        commands,
        "demo",
        "make a small data set, train on it for a minute, evaluate, predict, report",
        "See the whole path in about two minutes: map-like sheets are drawn, a small\n"
        "network is trained on them and scored on sheets that it has not seen, and a\n"
        "report is written that any browser opens. With --map: the edges of one large sheet\n"
        "are learned, and the shapes of another become polygons.",
        "  unet demo\n  unet demo elsewhere --seconds 20\n  unet demo --map",
    )
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        metavar="FOLDER",
        help="where everything is written (default: unet-demo, or unet-demo-map)",
    )
    parser.add_argument(
        "--map", action="store_true", help='draw map sheets with edges, and make polygons (pip install "unet[maps]")'
    )
    parser.add_argument(
        "--seconds", type=values.positive_float, default=60.0, metavar="S", help="training time (default: 60)"
    )
    parser.add_argument("--seed", type=values.natural, default=0, metavar="N", help="another data set (default: 0)")

    def run(args: argparse.Namespace) -> object:
        given = given_in(args)
        is_map = given.pop("map")
        folder = given.pop("folder") or Path("unet-demo-map" if is_map else "unet-demo")
        if is_map:
            from unet.commands.demo_map import demo_map

            return demo_map(folder=folder, **given)
        from unet.commands.demo import demo

        return demo(folder=folder, **given)

    return parser, run


def add_plan(commands: Any) -> Added:
    """Add `unet plan`."""
    parser = new_command(
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
    add_data(parser)
    add_length(parser)
    add_split(parser)
    add_masks(parser)
    plan_group = parser.add_argument_group("the plan")
    plan_group.add_argument("--out", "-o", type=Path, metavar="FOLDER", help="for the two files (default: plan-NAME)")
    plan_group.add_argument("--overwrite", action="store_true", help="replace a plan that lies there")
    add_settings(plan_group)
    add_compute(plan_group)

    def run(args: argparse.Namespace) -> object:
        if args.config_file is None:
            require_data(parser, args)
        from unet.commands.plan import plan

        return plan(**given_with_settings(args))

    return parser, run


def add_augment_preview(commands: Any) -> Added:
    """Add `unet augment-preview`."""
    parser = new_command(
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
    add_data(parser)
    add_length(parser)
    add_split(parser)
    add_masks(parser)
    sheet = parser.add_argument_group("the sheet")
    sheet.add_argument("--out", "-o", type=Path, metavar="FILE", help="the picture (default: augment-NAME.png)")
    sheet.add_argument("--overwrite", action="store_true", help="replace it if it is already there")
    add_settings(sheet)
    add_compute(sheet)

    def run(args: argparse.Namespace) -> object:
        if args.config_file is None:
            require_data(parser, args)
        from unet.commands.augment_preview import augment_preview

        return augment_preview(**given_with_settings(args))

    return parser, run


def add_train(commands: Any) -> Added:
    """Add `unet train`."""
    parser = new_command(
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
        "  unet train data --val 0.15 --test 0.15 --keep hairline\n"
        "  unet train --resume runs/cars\n"
        "  unet train --resume runs/cars --data /mnt/data",
    )
    add_data(parser)
    add_length(parser)
    split = add_split(parser)
    split.add_argument(
        "--folds", type=values.folds, metavar="K", help="cross-validate: hold each of K parts out once, in one report"
    )
    add_masks(parser)
    run_group = parser.add_argument_group("the run")
    run_group.add_argument("--out", "-o", type=Path, metavar="RUN", help="its folder (default: a new one in runs)")
    run_group.add_argument("--overwrite", action="store_true", help="use the folder even if it holds a run")
    add_settings(run_group)
    run_group.add_argument("--resume", type=Path, metavar="RUN", help="go on where that run stopped")
    run_group.add_argument(
        "--data",
        dest="moved_data",
        type=Path,
        metavar="DIR",
        default=argparse.SUPPRESS,
        help="with --resume: where its data are now, if they were moved",
    )
    run_group.add_argument("--load", type=Path, metavar="MODEL", help="start from the weights of a run or a model")
    run_group.add_argument(
        "--track",
        dest="trackers",
        action="append",
        choices=("tensorboard", "wandb"),
        help="log there as well; may be repeated",
    )
    add_compute(run_group)
    run_group.add_argument(
        "--devices",
        type=values.positive,
        metavar="N",
        default=argparse.SUPPRESS,
        help="train on N GPUs of this machine, or in N processes of its processor (several machines: torchrun)",
    )

    def run(args: argparse.Namespace) -> object:
        if args.resume is None and "moved_data" in args:
            parser.error("--data says where the data of --resume RUN are now; data to train on go without a flag")
        if args.resume is None and args.config_file is None:
            require_data(parser, args)
        started = monotonic()  # importing torch is part of the user's time
        from unet.runs.folder import is_cross_validation

        given = given_with_settings(args) | {"started": started}
        devices = given.pop("devices", 1)
        result: TrainResult | CrossValidation
        if args.folds or (args.resume and is_cross_validation(args.resume)):
            from unet.commands.folds import cross_validate

            result = cross_validate(**given, devices=devices)
        else:
            from unet.commands.launch import train_on_devices

            result = train_on_devices(devices, {name: value for name, value in given.items() if name != "folds"})
        if not result.finished:
            from unet.training.stopping import interruption

            raise interruption()
        return result

    return parser, run
