"""What the figures of a benchmark depend on: the machine, and the versions of what computes; and a file for both."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

UNITS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
"""Of a CPU, by which the speed of networks differs most."""


def facts(*packages: str) -> dict[str, Any]:
    """Return what CPU and GPU there are, threads, load, and the versions of Python, torch and more packages."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    named = {line.partition(":")[0].strip(): line.partition(":")[2].strip() for line in lines}
    flags = set(named.get("flags", "").split())
    return {
        "cpu": named.get("model name", platform.processor()),
        "units": [unit for unit in UNITS if unit in flags],
        "cores": os.cpu_count(),
        **({"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        **{package: _version(package) for package in ("torch", *packages)},
    }


def write(path: Path, machine: dict[str, Any], rows: Sequence[dict[str, Any]]) -> None:
    """Write rows with the same keys, and what they depend on, for benchmarks/tables.py."""
    command = shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    result = {"command": command, "machine": machine, "rows": list(rows)}
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"
