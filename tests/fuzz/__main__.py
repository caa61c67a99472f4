"""Run cases for some minutes or some number of times: `python -m tests.fuzz --minutes 60 --seed 7`.

Prints how many cases of each kind there were, how they ended, and what failed. A case that fails is kept as a folder
with its files and its command line, and `--replay FOLDER` runs it again.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from . import children
from .cases import KINDS, Case, make_case
from .judging import faults_of, listing
from .world import make_world


def main() -> int:
    """Return 1 where a case has failed."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, help="how long (default: 1)")
    length.add_argument("--cases", type=int, help="or how many cases of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of all that is chosen (default: 0)")
    parser.add_argument("--kind", choices=sorted(KINDS), action="append", help="only this kind; may be repeated")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="folder for what fails")
    parser.add_argument("--replay", type=Path, metavar="FOLDER", help="run a case again that was kept")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="unet-fuzz-") as place:
        prepare(Path(place))
        if args.replay is not None:
            return replay(args.replay, Path(place))
        world = Path(place, "world")
        if children.run_in_fork(lambda: make_world(world)):
            print("the sound files could not be made", file=sys.stderr)
            return 1
        kinds = args.kind or list(KINDS)
        end = None if args.cases else time.monotonic() + 60 * (args.minutes or 1)
        return run(kinds, args.seed, args.cases, end, world, args.keep, Path(place))


def prepare(place: Path) -> None:
    """Import everything, and keep caches, temporary files and settings of the user out of it."""
    os.environ.update(
        UNET_CACHE=str(place / "cache"), TMPDIR=str(place / "cache"), HOME=str(place / "cache"), OMP_NUM_THREADS="1",
        HF_HUB_OFFLINE="1", COLUMNS="200",
    )  # fmt: skip
    (place / "cache").mkdir()
    tempfile.tempdir = None
    children.warm_up()


def run(kinds: list[str], seed: int, count: int | None, end: float | None, world: Path, keep: Path, place: Path) -> int:
    """Run case after case, one of each kind in turn, and print what came of it."""
    done: Counter[str] = Counter()
    codes: Counter[tuple[str, int]] = Counter()
    failed: Counter[str] = Counter()
    known: Counter[str] = Counter()
    number = 0
    while (count is None or number < count) and (end is None or time.monotonic() < end):
        for kind in kinds:
            if end is not None and time.monotonic() > end:
                break
            root = place / "root"
            (root / "case").mkdir(parents=True)
            case = make_case(kind, seed, number, world, root / "case")
            shutil.copytree(root / "case", place / "sound", symlinks=True)
            code, faults = attempt(case, root, place / "prints")
            done[kind] += 1
            codes[kind, code] += 1
            if faults:
                failed[kind] += 1
                known[faults[0]] += 1
                if known[faults[0]] == 1:  # the rest are the same, as a rule
                    target = keep_case(keep / f"{kind}-{seed}-{number}", case, faults, place)
                    print(f"FAILED {target}: unet {shlex.join(case.argv)}: {'; '.join(faults)}", flush=True)
            shutil.rmtree(root)
            shutil.rmtree(place / "sound")
        number += 1
    for kind in done:
        ends = ", ".join(f"{times} x {code}" for (of, code), times in sorted(codes.items()) if of == kind)
        print(f"{kind:14} {done[kind]:6} cases, exit codes {ends}; {failed[kind]} failed")
    print(f"{'all':14} {done.total():6} cases; {failed.total()} failed")
    for fault, times in known.most_common():
        print(f"{times:6} x {fault}")
    return int(bool(failed))


def attempt(case: Case, root: Path, prints: Path) -> tuple[int, list[str]]:
    """Run a case and judge it."""
    before = listing(root)
    ended = children.run_child(case.argv, root / "case", prints)
    return ended.code, faults_of(case, ended, before, listing(root))


def keep_case(target: Path, case: Case, faults: list[str], place: Path) -> Path:
    """Keep the files that a case began with, its command line, and what was printed."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(place / "sound", target / "case", symlinks=True)
    shutil.copytree(place / "prints", target / "prints")
    about = {"argv": case.argv, "may_change": case.may_change, "faults": faults}
    (target / "about.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
    return target


def replay(kept: Path, place: Path) -> int:
    """Run a case again, and print all that it prints."""
    about = json.loads((kept / "about.json").read_text(encoding="utf-8"))
    shutil.copytree(kept / "case", place / "root" / "case", symlinks=True)
    code, faults = attempt(Case(about["argv"], about["may_change"]), place / "root", place / "prints")
    for name in ("out", "err"):
        print((place / "prints" / name).read_text(encoding="utf-8", errors="replace"))
    print(f"exit code {code}; {'; '.join(faults) or 'as it should be'}")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
