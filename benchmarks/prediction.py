"""Prediction by torch and by OpenVINO: one picture and its memory, start-up, and a folder of many small pictures.

Random weights, drawn pictures; every way has a process of its own, so that its peak memory is its own. Seconds by the
clock and by processor time, which is what to compare where the machine does other work too; the best of several runs.

    python benchmarks/prediction.py [--side 1024] [--width 64] [--pictures 200] [--small 32] [--repeats 3]
                                    [--int8 FILE]

- plain: the torch network as it is built, float32, the whole picture at once.
- torch, openvino: as `unet predict --backend` has them.
- int8: the same for a model of that width made by `unet export MODEL --to onnx --int8`, which needs real pictures.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WAYS = ("plain", "torch", "openvino")


def save_model(path: Path, width: int, classes: int) -> None:
    """Write a U-Net of depth 4 with random weights."""
    import torch

    from unet import bundle, models
    from unet.labels import Labels
    from unet.preprocessing import Preprocessing

    torch.manual_seed(0)
    spec = models.ModelSpec(width=width, classes=classes)
    state = models.build(spec).state_dict()
    bundle.save(bundle.Bundle(spec, Labels.numbered(classes), Preprocessing(), None, {}, {}, state), path)


def draw(path: Path, height: int, width: int, seed: int) -> None:
    """Write a picture of patches of 40 x 40 px."""
    import numpy as np

    from unet import raster

    small = np.random.default_rng(seed).integers(0, 256, (height // 40 + 1, width // 40 + 1, 3), dtype=np.uint8)
    raster.write_picture(path, small.repeat(40, 0).repeat(40, 1)[:height, :width])


def timed(work: Callable[[], object], repeats: int) -> dict[str, float]:
    """Return the least seconds by the clock and by processor time."""
    rows = []
    for _ in range(repeats):
        clock, processor = time.perf_counter(), time.process_time()
        work()
        rows.append((time.perf_counter() - clock, time.process_time() - processor))
    return {"wall": min(row[0] for row in rows), "processor": min(row[1] for row in rows)}


def compute(way: str, model: Path, height: int, width: int, repeats: int, count: int = 1) -> dict[str, float]:
    """Compute a picture in memory `count` times; return seconds for all, and the peak memory of this process in MB."""
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")  # as the command line has it, before torch is loaded
    import numpy as np
    import torch

    from unet import bundle
    from unet.inference.predictor import Predictor

    image = np.random.default_rng(0).standard_normal((1, 3, height, width), dtype=np.float32)
    if way == "plain":
        network = bundle.load(model).network()
        with torch.inference_mode():
            found = timed(lambda: network(torch.from_numpy(image)), repeats)
    else:
        predictor = Predictor(bundle.load(model), device="cpu", backend=way)
        begin = time.perf_counter()
        predictor.whole_logits(image)
        first = time.perf_counter() - begin

        def work() -> None:
            for _ in range(count):
                predictor.whole_logits(image)

        found = {**timed(work, repeats), "first": first}
    return {**found, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6}


def in_process(*arguments: object) -> dict[str, Any]:
    """Return what this program prints as JSON in a process of its own."""
    command = [sys.executable, __file__, *map(str, arguments)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def of_command(command: list[str], repeats: int) -> dict[str, float]:
    """Return the least seconds of a whole command, and its peak memory in MB."""
    rows = []
    for _ in range(repeats):
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        assert status == 0, command
        rows.append((time.perf_counter() - begin, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6))
    return {"wall": min(row[0] for row in rows), "processor": min(row[1] for row in rows), "peak": rows[0][2]}


def shown(found: dict[str, float]) -> str:
    """Return a row for people."""
    peak = f", peak {found['peak']:.0f} MB" if "peak" in found else ""
    return f"{found['wall']:.2f} s, processors {found['processor']:.2f} s{peak}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=1024, help="of the one picture")
    parser.add_argument("--width", type=int, default=64, help="of its network, depth 4")
    parser.add_argument("--pictures", type=int, default=200, help="of 480 x 360 px in the folder")
    parser.add_argument("--small", type=int, default=32, help="width of the network for these, depth 4, 11 classes")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--int8", type=Path, metavar="FILE", help="an exported model to measure too")
    parser.add_argument(
        "--compute", nargs=5, metavar=("WAY", "MODEL", "HEIGHT", "WIDTH", "COUNT"), help=argparse.SUPPRESS
    )
    args = parser.parse_args()
    if args.compute:
        way, model, height, width, count = args.compute
        print(json.dumps(compute(way, Path(model), int(height), int(width), args.repeats, int(count))))
        return
    from machine import facts  # imports torch

    print(facts("openvino"), flush=True)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ["UNET_CACHE"] = str(folder / "cache")
        os.environ.pop("UNET_BACKEND", None)
        large, small = folder / "large.safetensors", folder / "small.safetensors"
        save_model(large, args.width, 2)
        save_model(small, args.small, 11)
        print(f"one picture of {args.side} x {args.side}, width {args.width}")
        ways = [(way, way, large) for way in WAYS] + [("int8", "openvino", args.int8)] * bool(args.int8)
        for name, way, model in ways:
            found = in_process("--repeats", args.repeats, "--compute", way, model, args.side, args.side, 1)
            first = f", the first time {found['first']:.2f} s" if "first" in found else ""
            print(f"  {name:9} {shown(found)}{first}", flush=True)
        one_picture(folder, large, args.side, args.repeats)
        many_pictures(folder, small, args.pictures, args.repeats)


def one_picture(folder: Path, model: Path, side: int, repeats: int) -> None:
    """Time whole commands on one picture, and what Python and the libraries alone take."""
    draw(folder / "one.png", side, side, 0)
    bare = [sys.executable, "-c", "import sys; sys.modules['openvino_telemetry'] = None; import torch, openvino"]
    print(f"the whole command\n  imports of torch and openvino alone {shown(of_command(bare, repeats))}", flush=True)
    start = [sys.executable, "-m", "unet", "predict", "-m", str(model), "-i", str(folder / "one.png"), "--overwrite"]
    start += ["-o", str(folder / "one_mask.png"), "--backend"]
    for way in WAYS[1:]:
        if way == "openvino":
            for kept in (folder / "cache").glob("networks/*"):
                kept.rename(folder / kept.name)  # away, so that the network is converted
            print(f"  openvino, never seen before {shown(of_command([*start, way], 1))}", flush=True)
        print(f"  {way:9} {shown(of_command([*start, way], repeats))}", flush=True)


def many_pictures(folder: Path, model: Path, count: int, repeats: int) -> None:
    """Compare the rate of a whole command on many small pictures with that of the bare backend."""
    for number in range(count):
        draw(folder / "many" / f"{number:04}.jpg", 360, 480, number)
    print(f"{count} pictures of 480 x 360", flush=True)
    command = [sys.executable, "-m", "unet", "predict", "-m", str(model), "--overwrite", "-o", str(folder / "masks")]
    pictures = [str(folder / "many")]
    few = [str(path) for path in sorted((folder / "many").iterdir())[: count // 10]]
    for way in WAYS[1:]:
        bare = in_process("--repeats", repeats, "--compute", way, model, 360, 480, count - len(few))
        part = of_command([*command, "--backend", way, "-i", *few], repeats)
        whole = of_command([*command, "--backend", way, "-i", *pictures], repeats)
        said = []
        for kind in ("wall", "processor"):  # what is not per picture cancels out
            seconds = whole[kind] - part[kind]
            rate = (count - len(few)) / seconds
            said.append(f"{rate:.1f} pictures/s by {kind} time, {bare[kind] / seconds:.0%} of the backend's")
        print(f"  {way:9} {'; '.join(said)}; in all {shown(whole)}", flush=True)


if __name__ == "__main__":
    main()
