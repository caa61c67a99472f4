"""Whole commands against those of a clone of the original Carvana U-Net, start-up included, in turn.

    python benchmarks/commands.py CLONE CARVANA [--repeats 2] [--pictures 12]

CLONE is a checkout of the original program, CARVANA a folder with imgs and masks. Both train two epochs at scale 0.25
on the first pictures, once in float32 and once with mixed precision and a fifth held out, and predict two of them with
the same weights at scales 0.5 and 1. The original imports torchvision
without using it for this; where it is not installed an empty stand-in is put on its path.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from unet.models import UNet

OURS = Path(__file__).resolve().parents[1]


def workspace(folder: Path, program: Path, carvana: Path, count: int) -> Path:
    """Return a folder in which a program finds the first pictures and their masks and may write."""
    place = folder / program.name if program != OURS else folder / "ours"
    for part in ("imgs", "masks"):
        (place / "data" / part).mkdir(parents=True)
        for path in sorted((carvana / part).iterdir())[:count]:
            shutil.copy(path, place / "data" / part)
    return place


def run(program: Path, place: Path, script: str, *arguments: str, shims: Path) -> float:
    """Return the seconds that a script takes as a process of its own."""
    environment = {**os.environ, "WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    if program != OURS:
        environment["PYTHONPATH"] = str(shims)
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(program / script), *arguments], cwd=place, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{program / script} failed:\n{done.stderr[-2000:]}")
    return time.perf_counter() - start


def shim_folder(folder: Path) -> Path:
    """Return a folder with an empty torchvision where none is installed."""
    shims = folder / "shims"
    package = shims / "torchvision" / "transforms"
    package.mkdir(parents=True)
    try:
        import torchvision  # noqa: F401
    except ImportError:
        (shims / "torchvision" / "__init__.py").write_text("from . import transforms\n")
        (package / "__init__.py").write_text("from . import functional\n")
        (package / "functional.py").write_text("")
    return shims


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clone", type=Path)
    parser.add_argument("carvana", type=Path)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--pictures", type=int, default=12, help="how many to train on (12)")
    parser.add_argument("--only", choices=("train", "predict"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shims = shim_folder(folder)
        places = {
            program: workspace(folder, program, args.carvana, args.pictures) for program in (args.clone.resolve(), OURS)
        }
        pictures = sorted((args.carvana / "imgs").iterdir())[:2]
        torch.save({**UNet().state_dict(), "mask_values": [0, 1]}, folder / "MODEL.pth")
        inputs = ["-m", str(folder / "MODEL.pth"), "-i", *map(str, pictures), "-o", "a.png", "b.png"]
        tasks = {
            "train.py --epochs 2 --scale 0.25": ("train.py", "--epochs", "2", "--scale", "0.25"),
            "the same with -v 20 --amp": ("train.py", "--epochs", "2", "--scale", "0.25", "-v", "20", "--amp"),
            "predict.py, two pictures, scale 0.5": ("predict.py", *inputs, "-s", "0.5"),
            "predict.py, two pictures, scale 1": ("predict.py", *inputs, "-s", "1"),
        }
        for title, (script, *arguments) in tasks.items():
            if args.only and not script.startswith(args.only):
                continue
            pairs = []
            for _ in range(args.repeats):
                pairs.append([run(p, place, script, *arguments, shims=shims) for p, place in places.items()])
            plain, ours = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
            ratio = statistics.median(pair[0] / pair[1] for pair in pairs)
            every = ", ".join(f"{pair[0] / pair[1]:.2f}" for pair in pairs)
            print(f"{title}: original {plain:.1f} s, ours {ours:.1f} s, {ratio:.2f} times ({every})", flush=True)


if __name__ == "__main__":
    main()
