"""Shapes of a historical map by our edges and by the published ones, each tuned and scored in the same way.

    python benchmarks/atlas.py SHEET_FOLDER [--time 30m] [--out FOLDER]

SHEET_FOLDER holds `sheet.jpg` (the atlas of Paris, 1926, 5400 x 3000 px), `edges.png`, `content_mask.png`, and the
published edge maps `peer_unet.png` and `peer_bdcn.png`. Ours is trained by the recipe `atlas-best` on columns 0 to
2999; the dynamic and area of every edge map are chosen on columns 3000 to 3799, on which the weights are chosen too,
and scored on the rest. What is there already in FOLDER is kept, so that a stopped run goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import unet
from unet import raster

TRAINING, VALIDATION, TEST = slice(0, 3000), slice(3000, 3800), slice(3800, 5400)
BLOCK = 1000
DYNAMICS = (0, 2, 5, 10, 20, 40, 60, 80, 100, 115, 130, 145, 160, 175, 190)
AREAS = (30, 50, 100, 200, 300, 400)

DESCRIBED = """
images = "imgs"
masks = "masks"
roi = "content"
classes = [
    { name = "inside", value = 0, color = [255, 255, 255] },
    { name = "edge", value = 255, color = [200, 0, 0], dilate = 1 },
]
split = { val = "val.txt" }
"""


def cut(sheet: Path, out: Path) -> Path:
    """Write the blocks that are trained and validated on, with their description, and return that."""
    folders = {"imgs": "sheet.jpg", "masks": "edges.png", "content": "content_mask.png"}
    held_out = []
    for folder, name in folders.items():
        whole = raster.read(sheet / name)
        write = raster.write_picture if folder == "imgs" else raster.write_grey
        (out / folder).mkdir(parents=True, exist_ok=True)
        for part in (TRAINING, VALIDATION):
            for row in range(0, whole.shape[0], BLOCK):
                for column in range(part.start, part.stop, BLOCK):
                    block = whole[row : row + BLOCK, column : min(column + BLOCK, part.stop)]
                    block = np.broadcast_to(block, (*block.shape[:2], 3)) if folder == "imgs" else block[..., 0]
                    write(out / folder / f"r{row}c{column}.png", np.ascontiguousarray(block))
                    if part is VALIDATION and folder == "imgs":
                        held_out.append(f"r{row}c{column}")
    (out / "val.txt").write_text("\n".join(held_out))
    (out / "dataset.toml").write_text(DESCRIBED)
    return out / "dataset.toml"


def our_edges(sheet: Path, out: Path, time: str) -> Path:
    """Train, and return the edge map of the whole sheet."""
    run, edges = out / "run", out / "ours_epm.png"
    if not (run / "report.html").exists():
        unet.train(cut(sheet, out / "data"), out=run, recipe="atlas-best", time=time, verbose=True)
    if not edges.exists():
        unet.predict(
            run / "model.safetensors", sheet / "sheet.jpg", outputs=out / "ours.png", epm=8, tta="d4", verbose=True
        )
    return edges


def score(sheet: Path, edges: Path, out: Path) -> dict[str, Any]:
    """Choose dynamic and area on the validation columns, and return the scores of that setting on the others."""

    def best_of(window: slice, dynamics: Sequence[int], areas: Sequence[int], folder: Path) -> dict[str, Any]:
        tried = unet.tune_shapes(
            edges, sheet / "edges.png", folder, gt_kind="edges", mask=sheet / "content_mask.png", calibration="zero",
            window=(slice(None), window), dynamics=dynamics, areas=areas, thresholds=(), overwrite=True,
        )  # fmt: skip
        return dict(tried["best"])

    chosen = best_of(VALIDATION, DYNAMICS, AREAS, out / "validation")
    return best_of(TEST, [chosen["dynamic"]], [chosen["area"]], out / "test")


def main() -> None:
    """Print and write one row for each edge map."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--time", default="30m")
    parser.add_argument("--out", type=Path, default=Path("atlas"))
    wanted = parser.parse_args()
    peers = {name: wanted.sheet / f"{name}.png" for name in ("peer_unet", "peer_bdcn")}
    rows = {}
    for name, edges in {"ours": our_edges(wanted.sheet, wanted.out, wanted.time), **peers}.items():
        rows[name] = score(wanted.sheet, edges, wanted.out / name)
    (wanted.out / "scores.json").write_text(json.dumps(rows, indent=1, default=str))
    print(json.dumps(rows, indent=1, default=str))


if __name__ == "__main__":
    main()
