"""Trainings that are killed at random moments, again and again, beside one that nothing happens to: equal bit for bit?

Each killed training is gone on with by `unet train --resume` until it ends; where kills are left another one begins.

    python benchmarks/kills.py DATA [--kills 20] [--steps 40] [--set KEY=VALUE ...]
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

TIMES = ("seconds", "pictures_per_second")
"""Columns of metrics.csv that two equal trainings do not share."""


def start(*arguments: str, log: Path) -> subprocess.Popen[str]:
    """Start a command in a session of its own."""
    with log.open("a") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "unet", "train", *arguments],
            stdout=file, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip


def rows(run: Path) -> list[dict[str, str]]:
    """Return the history of a run but for what tells the time."""
    with (run / "metrics.csv").open(newline="") as file:
        return [{key: value for key, value in row.items() if key not in TIMES} for row in csv.DictReader(file)]


def differences(whole: Path, broken: Path) -> list[str]:
    """Return in which respects two finished runs differ."""
    differ = []
    for name in ("model.safetensors", "checkpoints/last.safetensors"):
        first, second = load_file(whole / name), load_file(broken / name)
        names = first.keys() ^ second.keys()
        differ += sorted(names | {key for key in first.keys() - names if not torch.equal(first[key], second[key])})
    if rows(whole) != rows(broken):
        differ.append("metrics.csv")
    if json.loads((whole / "evaluation.json").read_text()) != json.loads((broken / "evaluation.json").read_text()):
        differ.append("evaluation.json")
    return differ


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    line = [args.data, "--steps", str(args.steps), *(part for setting in args.set for part in ("--set", setting))]
    moments = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        folder, log = Path(name), Path(name) / "log.txt"
        begin = time.monotonic()
        if start(*line, "--out", str(folder / "whole"), log=log).wait():
            sys.exit(log.read_text())
        seconds = time.monotonic() - begin
        print(f"uninterrupted: {seconds:.0f} s", flush=True)
        kills, number, failed = 0, 0, False
        while kills < args.kills:
            number += 1
            broken, sessions = folder / f"broken{number}", 0
            while True:
                resumed = (broken / "run.json").exists()
                process = start(*(("--resume", str(broken)) if resumed else (*line, "--out", str(broken))), log=log)
                sessions += 1
                try:
                    # Early moments too: in the midst of reading, of planning, of writing.
                    if process.wait(moments.uniform(0, seconds) if kills < args.kills else None):
                        sys.exit(log.read_text())
                    break
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    kills += 1
            differ = differences(folder / "whole", broken)
            failed |= bool(differ)
            what = f"differs in {', '.join(differ[:5])}" if differ else "equal bit for bit"
            print(f"run {number}, {sessions} sessions: {what}", flush=True)
    print(f"{kills} kills, {number} runs")
    sys.exit(failed)


if __name__ == "__main__":
    main()
