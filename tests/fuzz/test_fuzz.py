"""A short run of the fuzz, always of the same cases: `python -m tests.fuzz` does more."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from . import cases, judging
from .cases import KINDS, Case
from .children import Ended

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and forks are those of Linux")


@pytest.mark.slow
def test_a_few_cases_of_each_kind(tmp_path: Path) -> None:
    keep = Path(os.environ.get("UNET_FUZZ_KEEP", tmp_path / "failures"))
    done = subprocess.run(
        [sys.executable, "-m", "fuzz", "--cases", "3", "--seed", "12", "--keep", str(keep)],
        cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{3 * len(KINDS)} cases; 0 failed" in done.stdout
    assert all(re.search(rf"^{re.escape(kind)} +3 cases", done.stdout, re.MULTILINE) for kind in KINDS)


@pytest.mark.parametrize(
    ("ended", "after", "fault"),
    [
        (Ended(2, "", "unet: error: a.png is empty\n", 0, 0.1), {"case": "folder", "case/out.json": "1"}, ""),
        (Ended(0, "wrote: a", "", 0, 0.1), {}, ""),
        (Ended(1, "", "unet: unexpected KeyError: 'x' (--debug shows where)\n", 0, 0.1), {}, "exit code 1"),
        (Ended(2, "", "unet: error: a\nunet: error: b\n", 0, 0.1), {}, "2 lines of error"),
        (Ended(2, "", "", 0, 0.1), {}, "without a line"),
        (Ended(0, "", "Traceback (most recent call last)\nValueError: x\n", 0, 0.1), {}, "a traceback"),
        (Ended(-24, "", "", 0, 0.1), {}, "took more than"),
        (Ended(-11, "", "", 0, 0.1), {}, "died of SIGSEGV"),
        (Ended(0, "\x1b[31m", "", 0, 0.1), {}, "steer a terminal"),
        (Ended(0, "", "", 4 << 30, 0.1), {}, "took 4096 MiB"),
        (Ended(0, "", "", 0, 0.1), {"case/in.png": "2"}, "changed an input: case/in.png"),
        (Ended(0, "", "", 0, 0.1), {"case/harmed": "2"}, "wrote case/harmed"),
        (Ended(0, "", "", 0, 0.1), {"harmed": "2"}, "wrote harmed"),
    ],
)
def test_what_counts_as_a_failure(ended: Ended, after: dict[str, str], fault: str) -> None:
    before = {"case": "folder", "case/in.png": "1"}
    faults = judging.faults_of(Case(["inspect", "in.png", "--json", "out.json"]), ended, before, {**before, **after})
    assert (not faults) if not fault else any(fault in text for text in faults), faults


def test_the_same_numbers_make_the_same_case(tmp_path: Path) -> None:
    world = tmp_path / "world"
    for part in ("coco", "labelme", "yolo", "objects", "nnunet"):
        (world / part).mkdir(parents=True)
        (world / part / "a.json").write_text('{"shapes": [1, 2, 3], "b": "text"}')
        (world / part / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(60))
    made = []
    for name in ("one", "other"):
        case = cases.make_case("annotations", 5, 3, world, tmp_path / name)
        made.append((case, judging.listing(tmp_path / name)))
    assert made[0] == made[1] and made[0][1] != judging.listing(world)
