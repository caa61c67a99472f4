"""The Carvana U-Net's prediction command: masks that hold the values of the training masks."""

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
    """Return the parser; names, short names and defaults are those of the original."""
    parser = Parser(prog="predict.py", description="Predict the masks of pictures.")
    add = parser.add_argument
    add("--model", "-m", type=Path, default=Path("MODEL.pth"), metavar="FILE", help="model file (MODEL.pth)")
    add("--input", "-i", nargs="+", required=True, metavar="INPUT", help="pictures")
    add("--output", "-o", nargs="+", metavar="OUTPUT", help="as many masks (NAME_OUT.png)")
    add("--viz", "-v", action="store_true", help="show each picture and its mask")
    add("--no-save", "-n", action="store_true", help="write no masks")
    add("--mask-threshold", "-t", type=float, metavar="T",
        help="least probability of the foreground, for models with one output (0.5)")  # fmt: skip
    add("--scale", "-s", type=float, help="factor on the pictures' size (0.5, or what the model file says)")
    # A .pth file says how it up-samples and how many classes it has; given here, it is checked against that.
    add("--bilinear", action="store_true", default=None, help="up-sample bilinearly (the model file says)")
    add("--classes", "-c", type=int, help="classes (the model file says)")
    add("--debug", action="store_true", help="show the traceback of an error")
    return parser


def run(args: argparse.Namespace) -> None:
    """Run the prediction that the arguments describe."""
    from unet import devices
    from unet.commands.checkpoints import existing_model
    from unet.commands.predict import predict

    model = existing_model(args.model)
    log.info("Loading model %s", model)
    log.info("Using device %s", devices.pick().type)
    written = predict(
        model,
        args.input,
        outputs=args.output,
        scale=args.scale,
        threshold=args.mask_threshold,
        viz=args.viz,
        save=not args.no_save,
        raw_values=True,
        legacy=True,
        overwrite=True,
        bilinear=args.bilinear,
        classes=args.classes,
    )
    for path in written:
        log.info("%s saved to %s", "View" if path.stem.endswith("_viz") else "Mask", path)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, predict, and return the exit code."""
    logging.basicConfig(format="%(levelname)s: %(message)s")
    log.setLevel(logging.INFO)
    args = build_parser().parse(sys.argv[1:] if argv is None else argv)
    return run_safely(lambda: run(args), "predict.py", debug=args.debug)


if __name__ == "__main__":
    sys.exit(main())
