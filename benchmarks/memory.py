"""Peak memory of training each architecture at its usual size: one picture of 512 x 512, AdamW, float32.

    python benchmarks/memory.py [--only NAME] [--side 512] [--steps 3]

Every architecture has a process of its own, whose peak is that of the whole process (torch itself takes about
0.4 GB). Encoders have random weights: no downloads.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import Any

NETWORKS: dict[str, dict[str, Any]] = {
    "unet, width 64": {"width": 64},
    "unet, attention, deep supervision": {"width": 64, "attention": True, "deep_supervision": True},
    "paper, width 64": {"architecture": "paper", "width": 64},
    "resenc, width 32, depth 6": {"architecture": "resenc", "width": 32, "depth": 6},
    "resenc, width 64": {"architecture": "resenc", "width": 64},
    "backbone, ResNet-34": {"architecture": "backbone", "encoder": "resnet-34"},
    "backbone, ResNet-50": {"architecture": "backbone", "encoder": "resnet-50"},
    "backbone, ConvNeXt V2 tiny": {"architecture": "backbone", "encoder": "convnextv2-tiny"},
    "backbone, Swin tiny": {"architecture": "backbone", "encoder": "swin-tiny"},
    "backbone, MiT-b3": {"architecture": "backbone", "encoder": "mit-b3"},
    "segformer-b0": {"architecture": "segformer", "encoder": "mit-b0"},
    "segformer-b3": {"architecture": "segformer", "encoder": "mit-b3"},
}

ENCODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet-34": ("resnet", {"layer_type": "basic", "hidden_sizes": [64, 128, 256, 512], "depths": [3, 4, 6, 3]}),
    "resnet-50": ("resnet", {}),
    "convnextv2-tiny": ("convnextv2", {}),
    "swin-tiny": ("swin", {}),
    "mit-b0": ("segformer", {}),
    "mit-b3": (
        "segformer",
        {"hidden_sizes": [64, 128, 320, 512], "depths": [3, 4, 18, 3], "decoder_hidden_size": 768},
    ),
}
"""Type in transformers, and what differs from its defaults."""


def measure(name: str, side: int, steps: int) -> None:
    """Train one network and print parameters, peak memory and seconds per step."""
    import torch

    from unet import models
    from unet.config import TrainingConfig
    from unet.data.dataset import Batch
    from unet.devices import Compute
    from unet.training.engine import Engine

    about = {"architecture": "unet", "classes": 21, **NETWORKS[name]}
    about = {**models.SETTINGS[about["architecture"]], **about}
    if about.get("encoder"):
        import transformers

        kind, changes = ENCODERS[about["encoder"]]
        about["encoder"] = json.dumps(transformers.AutoConfig.for_model(kind, **changes).to_dict())
    spec = models.ModelSpec(**about)
    network = models.build(spec)
    side = models.geometry_of(spec).at_least(side)
    engine = Engine(network, TrainingConfig(optimizer="adamw"), Compute(torch.device("cpu")))
    for _ in range(steps):
        target = torch.randint(0, spec.classes, (1, side, side))
        batch = Batch(torch.randn(1, spec.bands, side, side), target, ())
        begin = time.perf_counter()
        engine.step(batch)
        seconds = time.perf_counter() - begin
    million = sum(parameter.numel() for parameter in network.parameters()) / 1e6
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(f"| {name} | {million:.1f} M | {side} x {side} | {gigabytes:.2f} | {seconds:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=NETWORKS, action="append", metavar="NAME", help="may be repeated")
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--measure", choices=NETWORKS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        measure(args.measure, args.side, args.steps)
        return
    print("| network | parameters | picture | peak memory, GB | seconds per step |\n|---|---|---|---|---|", flush=True)
    for name in args.only or NETWORKS:
        sizes = ["--side", str(args.side), "--steps", str(args.steps)]
        subprocess.run([sys.executable, __file__, "--measure", name, *sizes], check=True)


if __name__ == "__main__":
    main()
