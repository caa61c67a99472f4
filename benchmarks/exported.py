"""What exported models reach and how long they take: float32 and int8, in ONNX Runtime and in OpenVINO.

Of trained runs whose pictures are still there: the mean IoU of the run's validation pictures, the size of the file, and
the shortest time for one picture of 512 x 512 px at the network's scale.

    python benchmarks/exported.py RUN [RUN ...] [--side 512] [--repeats 7] [--json FILE]

Needs `pip install "unet[export]"`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import facts
from numpy.typing import NDArray

import unet
from unet import bundle
from unet.export.runtimes import Session, package

Run = Callable[[], Any]


def ways(path: Path, image: NDArray[np.float32], int8: bool) -> Iterator[tuple[str, Run]]:
    """Give each way to run a file, and its name."""
    session = Session(path)
    yield "ONNX Runtime", lambda: session(image)
    core = package("openvino").Core()
    settings = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "NUM_STREAMS": 1}
    for hint in ("f32",) if int8 else ("f32", "bf16"):
        for fixed in (False, True):
            graph = core.read_model(path)
            if fixed:
                graph.reshape(list(image.shape))
            compiled = core.compile_model(graph, "CPU", {**settings, "INFERENCE_PRECISION_HINT": hint})
            name = f"OpenVINO {'int8' if int8 else hint}, {'one size' if fixed else 'any size'}"
            yield name, partial(compiled, image)


def measure(run: Path, side: int, repeats: int) -> dict[str, Any]:
    """Return what one run's model reaches and takes."""
    found: dict[str, Any] = {"run": run.name, "spec": bundle.load(run).spec.to_dict(), "files": []}
    reached = unet.evaluate(run, split="val")
    found["model"] = {"mean_iou": reached.mean_iou, "pictures": len(reached.pictures)}
    image = np.random.default_rng(0).integers(0, 255, (1, found["spec"]["bands"], side, side)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        for int8 in (False, True):
            path = Path(folder) / f"{'int8' if int8 else 'fp32'}.onnx"
            done = unet.export_model(run, out=path, int8=int8)
            timed = list(ways(path, image, int8))
            seconds = {name: float("inf") for name, _ in timed}
            for _ in range(repeats):
                for name, way in timed:
                    begin = time.perf_counter()
                    way()
                    seconds[name] = min(seconds[name], time.perf_counter() - begin)
            row = {"file": path.stem, "bytes": path.stat().st_size, "difference": done.parity.difference}
            row |= {"same_classes": done.parity.same_classes, "seconds": seconds}
            if done.int8 is not None:
                row["onnxruntime"] = {"fp32": done.int8.before, "int8": done.int8.after, "on": done.int8.measured_on}
                row["wide"] = done.int8.wide
            data = bundle.load(run).provenance["config"]["data"]["root"]
            row["openvino_on_all_val"] = unet.evaluate(path, data, split="val").mean_iou if has_val(data) else None
            found["files"].append(row)
    return found


def has_val(data: str) -> bool:
    """Tell whether a data set has a part to validate on, apart from what the run has held out."""
    return (Path(data) / "val").is_dir()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    found = {"machine": facts("onnxruntime", "openvino"), "runs": []}
    for run in args.runs:
        row = measure(run.resolve(), args.side, args.repeats)
        found["runs"].append(row)
        print(json.dumps(row, indent=1), flush=True)
    if args.json is not None:
        args.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
