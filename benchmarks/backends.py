"""What computes a network fastest on a CPU: torch as `unet predict` has it, ONNX Runtime, OpenVINO; float32 and int8.

Random weights, one drawn picture. All run in turn, in one process, and the shortest of several runs counts: by the
clock, and by processor time, which is what to compare where the machine does other work too.

    python benchmarks/backends.py [--widths 16 24 64] [--depths 4 5 4] [--side 512] [--repeats 5] [--json FILE]

Needs `pip install onnx onnxruntime openvino`; none of them is a dependency of ours.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import facts
from numpy.typing import NDArray

from unet import devices, models
from unet.inference.folding import fold_norms
from unet.models import ModelSpec

Run = Callable[[], NDArray[np.float32]]

CALIBRATION = 4
"""Pictures of 128 x 128 px that the ranges of int8 are taken from: speed does not depend on them."""


def quiet(package: str) -> Any:
    """Return a runtime that keeps its use to itself: both would write an identity into the home folder and report."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    return import_module(package)


def exported(spec: ModelSpec, path: Path) -> float:
    """Write a network as ONNX, of any size of picture, and return the seconds that takes.

    It is traced where every level has an odd size: only then is the filling up of odd sizes part of the graph.
    """
    down, across = (1 << (spec.depth + 1)) - 1, (1 << (spec.depth + 2)) - 1
    axes = {0: "pictures", 2: "height", 3: "width"}
    begin = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            fresh(spec), (torch.zeros(1, spec.bands, down, across),), str(path), dynamo=False, opset_version=17,
            input_names=["image"], output_names=["logits"], dynamic_axes={"image": axes, "logits": axes},
        )  # fmt: skip
    return time.perf_counter() - begin


def fresh(spec: ModelSpec) -> torch.nn.Module:
    """Return the network that all of them compute."""
    torch.manual_seed(0)
    return fold_norms(models.build(spec).eval())


class Drawn:
    """Pictures for a quantisation."""

    def __init__(self, bands: int) -> None:
        rng = np.random.default_rng(1)
        self.left = [rng.standard_normal((1, bands, 128, 128), dtype=np.float32) for _ in range(CALIBRATION)]

    def get_next(self) -> dict[str, Any] | None:
        """Return the next of them."""
        return {"image": self.left.pop()} if self.left else None


def quantised(path: Path, spec: ModelSpec) -> Path:
    """Write the network in int8, with nodes that quantise and dequantise, which both runtimes read."""
    target, quantization = path.with_name("int8.onnx"), quiet("onnxruntime.quantization")
    quantization.quantize_static(
        path, target, Drawn(spec.bands), quant_format=quantization.QuantFormat.QDQ, per_channel=True,
        activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8,
    )  # fmt: skip
    return target


def runs(spec: ModelSpec, image: NDArray[np.float32], folder: Path, threads: int) -> Iterator[tuple[str, Run, float]]:
    """Give each way to compute the network, its name, and the seconds that it takes to be ready."""
    network, onnxruntime, openvino = fresh(spec), quiet("onnxruntime"), quiet("openvino")
    x = torch.from_numpy(image)
    for name, layout in (("plain", torch.contiguous_format), ("ours", torch.channels_last)):
        placed, y = fresh(spec).to(memory_format=layout), x.to(memory_format=layout)  # type: ignore[call-overload]
        yield f"torch fp32, {name}", lambda placed=placed, y=y: placed(y).numpy(), 0.0
    if devices.cpu_has_bf16():
        half = network.to(torch.bfloat16).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        z = x.to(torch.bfloat16, memory_format=torch.channels_last)
        yield "torch bf16, ours", lambda: half(z).float().numpy(), 0.0
    path = folder / "fp32.onnx"
    print(f"  export to ONNX: {exported(spec, path):.2f} s, {path.stat().st_size / 1e6:.1f} MB")
    for kind, file in (("fp32", path), ("int8", quantised(path, spec))):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        begin = time.perf_counter()
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        ready = time.perf_counter() - begin
        yield f"onnxruntime {kind}", lambda session=session: session.run(None, {"image": image})[0], ready
        hints = ["f32", "bf16"] if kind == "fp32" and devices.cpu_has_bf16() else ["f32"]
        for hint in hints:
            for shape in ("any size", "one size"):
                core = openvino.Core()
                core.set_property("CPU", {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1})
                begin = time.perf_counter()
                graph = core.read_model(file)
                if shape == "one size":
                    graph.reshape(list(image.shape))
                compiled = core.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": hint})
                ready = time.perf_counter() - begin
                name = f"openvino {'bf16' if hint == 'bf16' else kind}, {shape}"
                yield name, lambda compiled=compiled: compiled({"image": image})[0], ready


def measure(spec: ModelSpec, side: int, repeats: int, threads: int) -> list[dict[str, Any]]:
    """Return for each way seconds by clock and processor, start, and the largest difference from plain torch."""
    image = np.random.default_rng(0).standard_normal((1, spec.bands, side, side), dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        ways = list(runs(spec, image, Path(folder), threads))
        times: dict[str, list[tuple[float, float]]] = {name: [] for name, _, _ in ways}
        results: dict[str, NDArray[np.float32]] = {}
        for _ in range(repeats):
            for name, run, _ in ways:
                clock, processor = time.perf_counter(), time.process_time()
                results[name] = run()
                times[name].append((time.perf_counter() - clock, time.process_time() - processor))
    truth = results[ways[0][0]]
    return [
        {
            "way": name,
            "wall": min(wall for wall, _ in times[name]),
            "processor": min(processor for _, processor in times[name]),
            "ready": ready,
            "difference": float(np.abs(results[name] - truth).max() / np.abs(truth).max()),
        }
        for name, _, ready in ways
    ]


def imported(package: str) -> float:
    """Return the seconds that a new Python takes to import a package, numpy being there."""
    hidden = "import sys; sys.modules['openvino_telemetry'] = None; "
    code = f"{hidden}import numpy, time; t = time.perf_counter(); import {package}; print(time.perf_counter() - t)"
    said = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    return min(float(each.stdout) for each in said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 24, 64])
    parser.add_argument("--depths", type=int, nargs="+", default=[4, 5, 4])
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(args.threads)
    found: dict[str, Any] = {"machine": facts("onnxruntime", "openvino"), "networks": [], "import": {}}
    print(found["machine"])
    for width, depth in zip(args.widths, args.depths, strict=True):
        print(f"width {width}, depth {depth}, {args.side} x {args.side}")
        rows = measure(ModelSpec(width=width, depth=depth), args.side, args.repeats, args.threads)
        ours = next(row for row in rows if row["way"] == "torch fp32, ours")
        for row in rows:
            print(
                f"  {row['way']:26} {row['wall']:7.3f} s ({ours['wall'] / row['wall']:.2f} x ours), processors "
                f"{row['processor']:7.3f} s ({ours['processor'] / row['processor']:.2f} x), ready in "
                f"{row['ready']:.2f} s, off by {row['difference']:.1e}",
                flush=True,
            )
        found["networks"].append({"width": width, "depth": depth, "side": args.side, "ways": rows})
    for package in ("torch", "onnxruntime", "openvino"):
        found["import"][package] = imported(package)
        print(f"import {package}: {found['import'][package]:.2f} s")
    if args.json is not None:
        args.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
