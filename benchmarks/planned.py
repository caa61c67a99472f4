"""Training as planned from the data against a fixed default, in the same time on the same pictures.

    python benchmarks/planned.py DATA_ROOT [--time 10m] [--only NAME] [--seed 0] [--out FOLDER]

DATA_ROOT holds the data sets below. The default is that of the best known U-Net program: scale 0.5, width 64, no
crop, batch 1; its optimiser and all else are those of the plan. Scores are those of the best weights on the held-out
pictures at their own resolution.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from unet import config
from unet.commands.train import TrainResult, train
from unet.config import Config

SETS: dict[str, dict[str, Any]] = {
    "carvana": {"group": "^[^_]+"},
    "camvid": {},
    "msrc2_seg": {},
    "ultrasound": {},
    "isbi_em": {"mask_values": (0, 255)},
    "phc-c2dh-u373/01": {"instances": True},
    "paris_atlas_1926": {},
}
"""Folder below DATA_ROOT, and what `unet train` must be told of it."""

DESCRIBED = {
    "paris_atlas_1926": """
        images = "sheet.jpg"
        masks = "edges.png"
        roi = "content_mask.png"
        tile = [500, 500]
        classes = [
            { name = "inside", value = 0, color = [255, 255, 255] },
            { name = "edge", value = 255, color = [200, 0, 0] },
        ]
        split = { val = 0.2 }
    """,
}
"""What a `dataset.toml` must say where the folders do not."""

DEFAULT = {
    "scale": "0.5", "width": "64", "depth": "4", "bilinear": "false", "whole": "true", "batch_size": "1",
    "augment": "light", "upright": "true", "balance": "0", "class_weights": "false",
}  # fmt: skip


def data_of(root: Path, name: str, out: Path) -> Path:
    """Return what to train on: the folder, or a description of it, written to `out`."""
    if name not in DESCRIBED:
        return root / name
    out.mkdir(parents=True, exist_ok=True)
    described = out / f"{name}.toml"
    described.write_text(f"root = {json.dumps(str((root / name).resolve()))}\n{DESCRIBED[name]}", encoding="utf-8")
    return described


def row(name: str, how: str, seed: int, result: TrainResult) -> str:
    """Return a line of the table."""
    resolved: Config = config.load_toml(result.run / "config.toml")
    data, model, training = resolved.data, resolved.model, resolved.training
    crop = "whole" if data.whole or data.crop is None else f"{data.crop[1]} x {data.crop[0]}"
    what = f"width {model.width}, scale {data.scale:g}, {crop}, batch {training.batch_size}"
    with (result.run / "metrics.csv").open(encoding="utf-8") as file:
        steps = file.read().splitlines()[-1].split(",")[0]
    iou, dice = (result.scores[key] for key in ("mean_iou", "mean_dice"))
    return f"| {name} | {how} | {what} | {seed} | {steps} | {iou:.4f} | {dice:.4f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, metavar="DATA_ROOT")
    parser.add_argument("--time", default="10m")
    parser.add_argument("--only", choices=SETS, action="append", help="may be repeated")
    parser.add_argument("--seed", type=int, action="append", help="may be repeated (default: 0)")
    parser.add_argument("--out", type=Path, help="keep the run folders there")
    args = parser.parse_args()
    out = args.out or Path(tempfile.mkdtemp(prefix="planned-"))
    rows = []
    for name in args.only or SETS:
        for seed in args.seed or [0]:
            for how, settings in (("planned", {}), ("default", DEFAULT)):
                run = out / f"{name.replace('/', '-')}-{how}-{seed}"
                result = train(
                    data_of(args.root, name, out),
                    out=run,
                    time=args.time,
                    settings={**settings, "seed": str(seed)},
                    **SETS[name],
                )
                rows.append(row(name, how, seed, result))
                print(rows[-1], flush=True)
    print(f"\n`unet train DATA --time {args.time}`\n")
    print("| data | how | settings | seed | steps | mean IoU | mean Dice |\n|---|---|---|---|---|---|---|")
    print("\n".join(rows))
    if args.out is None:
        shutil.rmtree(out)


if __name__ == "__main__":
    main()
