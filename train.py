"""The Carvana U-Net's training command: from data/imgs and data/masks to checkpoints/*.pth."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))  # a clone works without being installed

from unet.cli import Parser, run_safely

log = logging.getLogger("unet")

TRACKERS = ("wandb", "tensorboard")


def build_parser() -> Parser:
    """Return the parser; names, short names and defaults are those of the original."""
    parser = Parser(prog="train.py", description="Train the U-Net on data/imgs and data/masks.")
    add = parser.add_argument
    add("--epochs", "-e", metavar="E", type=int, default=5, help="passes over the data (5)")
    add("--batch-size", "-b", metavar="B", type=int, default=1, help="pictures in a step (1)")
    add(
        "--learning-rate",
        "-l",
        dest="lr",
        metavar="LR",
        type=float,
        default=1e-5,
        help="learning rate (1e-5)",
    )
    add("--load", "-f", type=Path, help="start from this model file")
    add("--scale", "-s", type=float, default=0.5, help="factor on the pictures' size (0.5)")
    add("--validation", "-v", dest="val", metavar="VAL", type=float, default=10.0,
        help="percent of the pictures to validate on (10)")  # fmt: skip
    add("--amp", action="store_true", help="mixed precision")
    add("--bilinear", action="store_true", help="up-sample bilinearly, not by transposed convolution")
    add("--classes", "-c", type=int, default=2, help="classes (2)")
    add("--track", dest="trackers", action="append", choices=(*TRACKERS, "none"),
        help="log there too, may be repeated (UNET_TRACK, else wandb where WANDB_API_KEY or _MODE is set)")  # fmt: skip
    add("--debug", action="store_true", help="show the traceback of an error")
    return parser


def wanted_trackers(flags: Sequence[str] | None, environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return where to log: what the flags say, else UNET_TRACK (names, with commas), else W&B where it is set up.

    The original logs to W&B always. Who has set it up for a script of that name gets the same; a package that is
    missing is an error only where it was asked for by name.

    Raises
    ------
    ConfigError
        UNET_TRACK names something else.
    """
    from unet.errors import ConfigError

    named = environment.get("UNET_TRACK", "").replace(",", " ").split()
    if flags or named:
        wanted = tuple(flags or named)
        if unknown := [name for name in wanted if name not in (*TRACKERS, "none")]:
            raise ConfigError(f"UNET_TRACK = {unknown[0]}", "wandb, tensorboard or none")
        return () if "none" in wanted else wanted
    mode = environment.get("WANDB_MODE", "")
    if mode == "disabled" or not (mode or environment.get("WANDB_API_KEY")):
        return ()
    if find_spec("wandb") is None:
        log.warning("Weights & Biases is set up, but not installed; nothing is logged there: pip install wandb")
        return ()
    return ("wandb",)


def run(args: argparse.Namespace) -> None:
    """Run the training that the arguments describe."""
    from unet import devices
    from unet.commands.checkpoints import newest_checkpoint
    from unet.commands.train_legacy import train_legacy
    from unet.training.stopping import interruption

    trackers = wanted_trackers(args.trackers)
    log.info("Using device %s", devices.pick().type)
    log.info(
        "Network:\n\t3 input channels\n\t%d output channels (classes)\n\t%s upscaling",
        args.classes,
        "Bilinear" if args.bilinear else "Transposed conv",
    )
    result = train_legacy(
        epochs=args.epochs,
        batch_size=args.batch_size,
        lr=args.lr,
        load=args.load,
        scale=args.scale,
        val_percent=args.val,
        amp=args.amp,
        bilinear=args.bilinear,
        classes=args.classes,
        trackers=trackers,
    )
    if (checkpoint := newest_checkpoint()) is not None:
        scale = f" -s {args.scale:g}" if args.scale != 0.5 else ""  # which such a file does not say
        log.info("Predict with: python predict.py -m %s%s -i PICTURE -o MASK.png", checkpoint.as_posix(), scale)
        log.info("Score it with: python evaluate.py -m %s%s", checkpoint.as_posix(), scale)
    if not result.finished:
        raise interruption()


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, train, and return the exit code."""
    logging.basicConfig(format="%(levelname)s: %(message)s")
    log.setLevel(logging.INFO)
    args = build_parser().parse(sys.argv[1:] if argv is None else argv)
    return run_safely(lambda: run(args), "train.py", debug=args.debug)


if __name__ == "__main__":
    sys.exit(main())
