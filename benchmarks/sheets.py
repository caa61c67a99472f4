"""Sheets that are predicted tile by tile: peak memory by the operating system, the rate beside that of the bare
network, and a run that is killed half-way and resumed.

    python benchmarks/sheets.py [--sides 5000 20000] [--width 8] [--depth 3] [--kill 5000] [--folder DIR]

A sheet is drawn once as a tiled, compressed RGB GeoTIFF and is kept in the folder. `unet predict` runs in a process of
its own, in float32; its peak memory is VmHWM. The bare network is given as many tiles of the same sizes, from memory,
one after the other. Wall and processor time, since other work disturbs the first.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

CHILD = """
import json, resource, sys, time
from unet.cli import main
start = time.perf_counter()
code = main(sys.argv[2:])
usage = resource.getrusage(resource.RUSAGE_SELF)
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
with open(sys.argv[1], "w") as file:
    json.dump({"wall": time.perf_counter() - start, "cpu": usage.ru_utime + usage.ru_stime, "peak": peak}, file)
sys.exit(code)
"""


def draw(path: Path, side: int) -> None:
    """Draw a sheet: paper of slowly changing colour, a net of streets, and grain."""
    import rasterio
    from rasterio.windows import Window

    rng = np.random.default_rng(0)
    grain = rng.integers(0, 24, (512, side, 1), dtype=np.uint8)
    profile = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate", "photometric": "RGB"}
    columns = np.arange(side)
    with rasterio.open(
        path, "w", driver="GTiff", height=side, width=side, count=3, dtype="uint8", crs="EPSG:2154",
        transform=(1, 0, 650000, 0, -1, 6860000), **profile,
    ) as file:  # fmt: skip
        for top in range(0, side, 512):
            rows = np.arange(top, min(top + 512, side))[:, None]
            paper = 150 + 50 * np.sin(rows / 900)[..., None] * np.cos(columns / 1300)[None, :, None] + [40, 20, 0]
            street = ((rows + 40 * np.sin(columns / 300)) % 211 < 9) | ((columns + 30 * np.sin(rows / 200)) % 173 < 7)
            picture = np.where(street[..., None], 90, paper).astype(np.uint8) + grain[: len(rows)]
            file.write(picture.transpose(2, 0, 1), window=Window(0, top, side, len(rows)))


def make_model(path: Path, width: int, depth: int) -> None:
    """Write a network with random weights."""
    import torch

    from unet import bundle, models
    from unet.labels import Labels
    from unet.models import ModelSpec
    from unet.preprocessing import Preprocessing

    torch.manual_seed(0)
    spec = ModelSpec(classes=2, width=width, depth=depth)
    network = models.build(spec).eval()
    state = {name: tensor.detach() for name, tensor in network.state_dict().items()}
    with torch.no_grad():  # both classes are to come out
        logits = network(torch.randn(1, 3, 256, 256))
        state["outc.conv.bias"][1] -= (logits[0, 1] - logits[0, 0]).median()
    preprocessing = Preprocessing(mean=(0.6,) * 3, std=(0.2,) * 3)
    bundle.save(bundle.Bundle(spec, Labels.numbered(2), preprocessing, None, {}, {}, state), path)


def predict(folder: Path, model: Path, sheet: Path, out: Path, *more: str) -> dict[str, float]:
    """Run `unet predict` to its end in a process of its own."""
    figures = folder / "figures.json"
    command = [sys.executable, "-c", CHILD, str(figures), *arguments(model, sheet, out), *more]
    subprocess.run(command, check=True)
    measured: dict[str, float] = json.loads(figures.read_text())
    return measured


def arguments(model: Path, sheet: Path, out: Path) -> list[str]:
    return ["predict", "-m", str(model), "-i", str(sheet), "-o", str(out), "--exact", "--device", "cpu"]


def bare(model: Path, side: int) -> dict[str, float]:
    """Give the network tiles of the sizes that a sheet is cut into, from memory."""
    from unet import bundle
    from unet.inference.averaging import Ensemble
    from unet.inference.predictor import Predictor
    from unet.inference.streaming import plan_tiles

    ensemble = Ensemble([Predictor(bundle.load(model), device="cpu", exact=True)])
    plan = plan_tiles(ensemble, side, side)
    shapes = Counter((rows.length, cols.length) for rows in plan.rows for cols in plan.cols)
    image = np.random.default_rng(0).integers(0, 256, (1, 3, *max(shapes)), dtype=np.uint8)
    wall, cpu = time.perf_counter(), time.process_time()
    for (height, width), count in shapes.items():
        tile = image[:, :, :height, :width].astype(np.float32)
        for _ in range(count):
            ensemble.first.tile_logits(tile)
    seen = sum(height * width * count for (height, width), count in shapes.items())
    return {
        "wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "tiles": sum(shapes.values()),
        "seen twice": seen / side**2 - 1,
    }  # fmt: skip


def killed(folder: Path, model: Path, sheet: Path, whole: Path) -> tuple[float, bool]:
    """Kill a run after half of its rows, resume it, and compare with a whole one."""
    out = folder / "killed.tif"
    out.unlink(missing_ok=True)
    state = folder / ".killed.tif.part.json"
    process = subprocess.Popen([sys.executable, "-c", CHILD, os.devnull, *arguments(model, sheet, out)])
    half, rows = int(sheet.stem.removeprefix("sheet")) / 2, 0
    while process.poll() is None and rows < half:
        time.sleep(0.05)
        rows = json.loads(state.read_text())["rows"] if state.exists() else 0
    process.send_signal(signal.SIGKILL)
    process.wait()
    predict(folder, model, sheet, out, "--resume")
    same = [hashlib.sha256(path.read_bytes()).digest() for path in (whole, out)]
    return rows, same[0] == same[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[5000, 20000])
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--kill", type=int, default=5000, help="the sheet on which a run is killed; 0: none")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "unet-sheets")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    model = args.folder / "model.safetensors"
    make_model(model, args.width, args.depth)
    print("| side | tiles | seen twice | peak, MB | wall, s | cpu, s | bare: wall | cpu | rate by cpu | by wall |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for side in args.sides:
        sheet, out = args.folder / f"sheet{side}.tif", args.folder / f"out{side}.tif"
        if not sheet.exists():
            draw(sheet, side)
        found = predict(args.folder, model, sheet, out, "--overwrite")
        plain = bare(model, side)
        print(
            f"| {side} | {plain['tiles']} | {plain['seen twice']:.1%} | {found['peak']:.0f} | {found['wall']:.0f} | "
            f"{found['cpu']:.0f} | {plain['wall']:.0f} | {plain['cpu']:.0f} | {plain['cpu'] / found['cpu']:.0%} | "
            f"{plain['wall'] / found['wall']:.0%} |", flush=True,
        )  # fmt: skip
        if side == args.kill:
            rows, same = killed(args.folder, model, sheet, out)
            print(f"killed after {rows} rows and resumed: {'the same bytes' if same else 'OTHER BYTES'}", flush=True)


if __name__ == "__main__":
    main()
