"""Variants of the default training against it, in the same time, on pictures that did neither train nor choose weights.

    python benchmarks/quality.py DATA_ROOT VARIANTS.toml [--time 3m] [--only NAME] [--seeds 0 1 2] [--out FOLDER]
    python benchmarks/quality.py DATA_ROOT VARIANTS.toml --report --out FOLDER

DATA_ROOT holds the data sets below. VARIANTS.toml holds a table of settings for each variant:

    [crop128]
    crop = 128
    batch_size = 4

The held-out pictures of each set are parted in two: variants are chosen by the first half, which is scored at once;
the second is scored by `--report`, once, when all is chosen. Each variant runs right after the default of the same
seed. What is done stands in FOLDER/scores.jsonl and is not done again, so that a stopped series goes on.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import unet
from unet import config
from unet.data.pairs import find_pairs

DEFAULT = "default"
SCREENED, REPORTED = "screened", "reported"


@dataclass(frozen=True)
class DataSet:
    """A folder below DATA_ROOT, what its dataset.toml must say, and what of it is held out."""

    folder: str
    described: str = ""
    group: str = ""
    """Pictures with the same match in their name stay together."""
    held_out: Callable[[int, int], bool] = lambda place, count: place % 3 == 2
    """Whether a group is held out, by its place among so many."""
    settings: dict[str, Any] | None = None


SETS = {
    "carvana": DataSet("carvana", group="^[^_]+"),
    "camvid": DataSet("camvid", held_out=lambda place, count: place >= 367),
    "msrc": DataSet("msrc2_seg", 'mask_suffix = "_GT"\nclasses = "classes.csv"\nignore = [[0, 0, 0]]', r"^\d+_\d+"),
    "ultrasound": DataSet("ultrasound"),
    "isbi_em": DataSet("isbi_em", held_out=lambda place, count: place >= 16, settings={"mask_values": (0, 255)}),
    "phc": DataSet("phc-c2dh-u373/01", held_out=lambda place, count: place >= 10, settings={"instances": True}),
}


def parted(pictures: list[str], kind: DataSet) -> dict[str, list[str]]:
    """Return the names of the pictures of the two held-out halves."""
    key = {name: match.group() if (match := re.search(kind.group, name)) and kind.group else name for name in pictures}
    groups = sorted(set(key.values()))
    held = [group for place, group in enumerate(groups) if kind.held_out(place, len(groups))]
    half = len(held) // 2
    halves = {SCREENED: set(held[:half]), REPORTED: set(held[half:])}
    return {part: [name for name in pictures if key[name] in chosen] for part, chosen in halves.items()}


def linked(root: Path, kind: DataSet, out: Path) -> dict[str, Path]:
    """Return a description for each half, in which it is the test part and the other half is left out."""
    source = root / kind.folder
    suffix = found.group(1) if (found := re.search('mask_suffix = "(.*)"', kind.described)) else None
    names = []
    for part, pairs in sorted(find_pairs(source, mask_suffix=suffix).items()):
        for pair in pairs:
            name = pair.name.replace("/", "_") if part == "all" else f"{part}_{pair.name.replace('/', '_')}"
            names.append(name)
            for folder, file, ending in (("imgs", pair.image, ""), ("masks", pair.mask, suffix or "")):
                link = out / folder / f"{name}{ending}{file.suffix}"
                link.parent.mkdir(parents=True, exist_ok=True)
                if not link.exists():
                    link.symlink_to(file.resolve())
    for file in source.glob("classes.*"):
        shutil.copy(file, out)
    halves = parted(sorted(names), kind)
    training = [name for name in names if not any(name in half for half in halves.values())]
    (out / "training.txt").write_text("\n".join(training))
    descriptions = {}
    group = f"group = '{kind.group}'\n" if kind.group else ""
    for part, half in halves.items():
        (out / f"{part}.txt").write_text("\n".join(half))
        descriptions[part] = out / f"{part}.toml"
        descriptions[part].write_text(
            f'images = "imgs"\nmasks = "masks"\n{group}{kind.described}\n'
            f'[split]\ntrain = "training.txt"\ntest = "{part}.txt"\n'
        )
    return descriptions


def rows_of(file: Path) -> list[dict[str, Any]]:
    """Return what is done."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def table(rows: list[dict[str, Any]], half: str) -> str:
    """Return a line for each set and variant: mean and deviation over seeds, and the paired difference to the default.

    A difference counts where its mean over the seeds is beyond one pooled standard deviation of the two.
    """
    scores = {(row["set"], row["variant"], row["seed"]): row["mean_iou"] for row in rows if row["half"] == half}
    lines = [
        "| set | variant | seeds | mean IoU | deviation | against the default | |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, variant in dict.fromkeys((name, variant) for name, variant, _ in scores):
        seeds = sorted(seed for a, b, seed in scores if (a, b) == (name, variant))
        own = [scores[name, variant, seed] for seed in seeds]
        both = [(scores[name, variant, s], scores[name, DEFAULT, s]) for s in seeds if (name, DEFAULT, s) in scores]
        spread = f"{stdev(own):.4f}" if len(own) > 1 else ""
        difference, verdict = "", ""
        if variant != DEFAULT and both:
            gain = mean(new - old for new, old in both)
            difference = f"{gain:+.4f}"
            if len(both) > 1:
                pooled = ((stdev(new for new, _ in both) ** 2 + stdev(old for _, old in both) ** 2) / 2) ** 0.5
                verdict = "better" if gain > pooled else "worse" if gain < -pooled else "no difference"
        lines.append(f"| {name} | {variant} | {len(own)} | {mean(own):.4f} | {spread} | {difference} | {verdict} |")
    return "\n".join(lines)


def main() -> None:
    """Train what is missing, score it, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, metavar="DATA_ROOT")
    parser.add_argument("variants", type=Path, metavar="VARIANTS.toml")
    parser.add_argument("--time", default="3m")
    parser.add_argument("--only", choices=SETS, nargs="+", default=list(SETS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--report", action="store_true", help="score the second half, by the models that are there")
    parser.add_argument("--out", type=Path, default=Path("quality"))
    args = parser.parse_args()
    variants: dict[str, dict[str, Any]] = {
        DEFAULT: {},
        **config.read_toml(args.variants, "a table of settings for each variant"),
    }
    half = REPORTED if args.report else SCREENED
    done = args.out / "scores.jsonl"
    for seed in args.seeds:
        for name in args.only:
            kind = SETS[name]
            descriptions = linked(args.root, kind, args.out / "data" / name)
            for variant, settings in variants.items():
                key = {"set": name, "variant": variant, "seed": seed, "time": args.time, "half": half}
                if any(key.items() <= row.items() for row in rows_of(done)):
                    continue
                run = args.out / f"{name}-{variant}-{seed}"
                if not args.report:
                    unet.train(
                        descriptions[SCREENED], out=run, time=args.time, seed=seed, overwrite=run.exists(),
                        **{**(kind.settings or {}), **settings},
                    )  # fmt: skip
                scores = unet.evaluate(run, descriptions[half], split="test")
                row = {**key, "mean_iou": scores.mean_iou, "mean_dice": scores.mean_dice}
                with done.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(json.dumps(row), flush=True)
    print(table(rows_of(done), half))


if __name__ == "__main__":
    main()
