"""The Carvana U-Net's evaluation pass as a command: a model against data/imgs and data/masks."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))  # a clone works without being installed

from unet.cli import Parser, run_safely

log = logging.getLogger("unet")


def build_parser() -> Parser:
    """Return the parser; the flags mean what they mean to train.py and predict.py."""
    parser = Parser(prog="evaluate.py", description="Score a model on data/imgs and data/masks.")
    add = parser.add_argument
    add("--model", "-m", type=Path, default=Path("MODEL.pth"), metavar="FILE", help="model file (MODEL.pth)")
    add("--scale", "-s", type=float, help="factor on the pictures' size (0.5, or what the model file says)")
    # Taken so that the old commands run: each is measured, or read from the model file.
    add("--amp", action="store_true", help="mixed precision (measured, asked for or not)")
    add("--bilinear", action="store_true", help="up-sample bilinearly (the model file says)")
    add("--classes", "-c", type=int, help="classes (the model file says)")
    add("--batch-size", "-b", metavar="B", type=int, default=1, help="pictures at a time (always one)")
    add("--debug", action="store_true", help="show the traceback of an error")
    return parser


def run(args: argparse.Namespace) -> None:
    """Run the evaluation that the arguments describe."""
    from unet import devices
    from unet.commands.checkpoints import existing_model
    from unet.commands.evaluate import evaluate

    model = existing_model(args.model)
    log.info("Using device %s", devices.pick().type)
    scores = evaluate(model, Path("data"), scale=args.scale)
    # As there, without class 0, whatever it is.
    dice = [row["dice"] for row in scores["classes"][1:] if row["dice"] is not None]
    log.info("Validation Dice score: %s", sum(dice) / len(dice) if dice else None)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, evaluate, and return the exit code."""
    logging.basicConfig(format="%(levelname)s: %(message)s")
    log.setLevel(logging.INFO)
    args = build_parser().parse(sys.argv[1:] if argv is None else argv)
    return run_safely(lambda: run(args), "evaluate.py", debug=args.debug)


if __name__ == "__main__":
    sys.exit(main())
