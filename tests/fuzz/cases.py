"""Which files are broken, and which command meets them: everything follows from a seed, a kind and a number."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from . import mutators
from .models import ATTACKS

OUT = "out"
"""Everything that a command may write lies below a file or folder that is called so."""


@dataclass
class Case:
    """A command line in a folder of files.

    Attributes
    ----------
    argv : list of str
    may_change : list of str
        Beside `OUT`: folders that the command is asked to go on in.
    """

    argv: list[str]
    may_change: list[str] = field(default_factory=list)


TINY = (
    "--steps 1 --set width=2 --set depth=1 --set crop=[16,16] --set batch_size=1 --set workers=0 --set validations=1 "
    "--device cpu --precision fp32"
).split()
MODEL = "model.safetensors"


def _one_of(rng: random.Random, *lines: str) -> list[str]:
    return rng.choice(lines).split()


def _broken(folder: Path, rng: random.Random, patterns: tuple[str, ...], most: int = 2) -> None:
    """Break one file or more below a folder."""
    files = sorted(path for pattern in patterns for path in folder.glob(pattern) if path.is_file())
    for path in rng.sample(files, min(len(files), rng.randint(1, most))):
        mutators.mutated(path, rng)


def picture(folder: Path, rng: random.Random) -> Case:
    """A broken picture of any format, in every command that opens pictures; edges and labels in those of shapes."""
    if rng.random() < 0.4:
        return _shapes(folder, rng)
    name = rng.choice(sorted(path.name for path in (folder / "kinds").iterdir() if path.suffix != ".geojson"))
    mutators.mutated(folder / "kinds" / name, rng)
    path = f"kinds/{name}"
    argv = _one_of(
        rng,
        f"predict -m {MODEL} -i {path} -o out/x.png",
        f"predict -m {MODEL} -i {path} -o out/x.tif --overlay --probabilities --epm",
        f"predict -m {MODEL} -i data/imgs/p0.png -o out --roi {path}",
        f"tile {path} -o out --window 10 --step 7",
        f"map {path} -m {MODEL} -o out.geojson",
        f"map kinds/a.png -m {MODEL} -o out.gpkg --roi {path}",
    )
    return Case(argv)


def _shapes(folder: Path, rng: random.Random) -> Case:
    name = rng.choice(["edges.png", "labels.tif", "mask.png"])
    mutators.mutated(folder / "kinds" / name, rng)
    kinds = {"edges.png": "edges", "labels.tif": "labels", "mask.png": "mask"}
    path, kind = f"kinds/{name}", kinds[name]
    shapes = "labels" if kind == "mask" else kind
    argv = _one_of(
        rng,
        f"vectorize {path} --kind {kind} -o out.geojson --labels out_l.tif",
        f"vectorize {path} --kind {kind} -o out.svg --preview out.png --over kinds/a.png",
        f"vectorize kinds/edges.png --kind edges --roi {path} -o out.gpkg",
        f"evaluate-shapes {path} kinds/edges.png --gt-kind {shapes} --json out.json",
        f"evaluate-shapes kinds/edges.png {path} --pred-kind {shapes} --mask kinds/bits.png --out out",
    )
    return Case(argv)


def mask(folder: Path, rng: random.Random) -> Case:
    """A data set with broken pictures and masks of any format among the sound ones."""
    for place in (f"imgs/p{rng.randrange(4)}", f"masks/p{rng.randrange(4)}")[rng.randint(0, 1) :]:
        others = (folder / "kinds").iterdir() if place.startswith("imgs") else (folder / "masks").iterdir()
        other = rng.choice(sorted(path for path in others if path.suffix != ".geojson"))
        (folder / "data" / f"{place}.png").unlink()
        shutil.copy(other, folder / "data" / f"{place}{other.suffix}")
        if rng.random() < 0.8:
            mutators.mutated(folder / "data" / f"{place}{other.suffix}", rng)
    return Case(_reading(rng, "data"))


def _reading(rng: random.Random, data: str) -> list[str]:
    """Return a command that reads a data set."""
    if rng.random() < 0.25:
        return ["train", data, "--out", OUT, *TINY]
    return _one_of(
        rng,
        f"inspect {data} --out out --json out.json",
        f"inspect {data} --out out --init out.toml",
        f"evaluate {MODEL} {data} --json out.json",
        f"repair {data} --out out",
        f"plan {data} --out out --steps 1 --set width=2 --device cpu --precision fp32",
        f"augment-preview {data} --out out.png --steps 1 --set width=2 --device cpu --precision fp32",
    )


def data_set(folder: Path, rng: random.Random) -> Case:
    """A data set with files that are missing, doubled, renamed, folders, links or something else."""
    root = folder / "data"
    for _ in range(rng.randint(1, 3)):
        files = sorted(path for path in root.rglob("*") if not path.is_symlink())
        if not files:
            break
        path, other = rng.choice(files), rng.choice(files)
        match rng.randint(0, 8):
            case 0:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            case 1 if path.is_file():
                shutil.copy(path, path.with_name(f"{path.stem}_copy{path.suffix}"))
            case 2 if not path.is_dir():
                path.rename(
                    path.with_name(rng.choice(["é.png", "a b.png", "P0.PNG", "p0.jpg", "[x].png", "\x1b[31m.png"]))
                )
            case 3 if path.is_file():
                path.unlink()
                path.mkdir()
            case 4 if path.is_file():
                path.unlink()
                path.symlink_to(rng.choice([path.name, "nowhere", "/", "..", str(other)]))
            case 5 if path.is_file() and other.is_file():
                shutil.copy(path, other) if path != other else None
            case 6:
                (root / rng.choice(["train", "val", "imgs/deep", "masks/deep", "labels"])).mkdir(
                    parents=True, exist_ok=True
                )
            case 7:
                stray = root / rng.choice(["imgs/notes.txt", "masks/Thumbs.db", "imgs/.DS_Store", "classes.csv"])
                with suppress(OSError):  # its folder may be gone
                    stray.write_text("x")
            case _ if path.is_file():
                mutators.mutated(path, rng)
    return Case(_reading(rng, "data"))


def described(folder: Path, rng: random.Random) -> Case:
    """A broken `dataset.toml`, class table or list."""
    _broken(folder / "described", rng, ("*.toml", "*.toml", "*.csv", "*.txt"))
    return Case(_reading(rng, rng.choice(["described", "described/dataset.toml"])))


def annotations(folder: Path, rng: random.Random) -> Case:
    """Broken annotations of other programs."""
    form = rng.choice(["coco", "labelme", "yolo", "objects", "nnunet"])
    patterns = ("**/*.json", "**/*.yaml", "**/*.txt") if form != "objects" else ("**/*.png",)
    _broken(folder / form, rng, patterns)
    flags = rng.choice(["", "", f"--format {form}", "--skip-faulty", "--skip-empty", "--link"])
    return Case(["import", form, "--out", OUT, *flags.split()])


def polygons(folder: Path, rng: random.Random) -> Case:
    """Broken polygons."""
    mutators.mutated(folder / "sheet" / "roi.geojson", rng)
    argv = _one_of(
        rng,
        f"predict -m {MODEL} -i sheet/imgs/geo.tif -o out.tif --roi sheet/roi.geojson",
        f"map sheet/imgs/geo.tif -m {MODEL} -o out.gpkg --roi sheet/roi.geojson",
        "vectorize sheet/labels.tif --kind labels -o out.gpkg --roi sheet/roi.geojson",
        "evaluate-shapes sheet/labels.tif sheet/roi.geojson --json out.json",
        "inspect --images sheet/imgs --masks sheet/roi.geojson --out out",
        "inspect --images sheet/imgs --masks sheet/roi.geojson --outline 1 --out out",
        f"evaluate {MODEL} data --roi sheet/flat.geojson --json out.json",
    )
    return Case(argv)


def run(folder: Path, rng: random.Random) -> Case:
    """A run folder with broken files."""
    files = ("*.json", "*.toml", "*.csv", "*.md", "checkpoints/*", "*.safetensors")
    _broken(folder / "run", rng, files, most=3)
    if rng.random() < 0.3:
        victims = sorted(path for path in (folder / "run").rglob("*") if path.is_file())
        rng.choice(victims).unlink()
    argv = _one_of(
        rng,
        "train --resume run",
        "evaluate run --json out.json",
        "evaluate run --split train",
        "predict -m run/model.safetensors -i data/imgs -o out",
        "plan --config run/config.toml --out out",
    )
    return Case(argv, may_change=["run"])


def model(folder: Path, rng: random.Random) -> Case:
    """A model file that is broken, or lies."""
    if rng.random() < 0.2:
        name = rng.choice(sorted(ATTACKS))
        (folder / name).write_bytes(ATTACKS[name]())
    else:
        name = rng.choice([MODEL, "model.pth"])
        mutators.mutated(folder / name, rng)
    argv = _one_of(
        rng,
        f"predict -m {name} -i data/imgs/p0.png -o out",
        f"evaluate {name} data --json out.json",
        f"convert {name} out.safetensors",
        f"convert {name} out.pth",
        f"export {name} -o out.onnx",
        f"train data --out out --load {name} --steps 1 --device cpu --precision fp32 --set workers=0",
    )
    return Case(argv)


_FLAGS = (
    "--out --json --init --overwrite --split --roi --scale --exact --boundary --tolerance --device --classes "
    "--mask-values --ignore --val --test --group --steps --epochs --time --set --loss --config --recipe "
    "--keep --images --masks --mask-suffix --threshold --tile --join --pad --tta --shard --epm --class --probabilities "
    "--min-area --simplify --window --step --border --labels --preview --over --kind --dynamic --area --calibrate "
    "--resume --precision --folds --load --instances --class-field --outline --debugg --version"
).split()
_VALUES = (
    "0", "1", "-1", "2", "0.5", "1e9", "nan", "inf", "", " ", "a", "data", "data/imgs/p0.png", "data/masks",
    "kinds/mask.png", "kinds/a.npy", MODEL, "model.pth", "out", "out/x.png", "out.json", "out.tif", "out.gpkg",
    "nowhere", "out/nowhere/x.json", "*", "[", "(", "^p", "0,255", "0,0,0;1,1,1", "1/4", "9/4", "all",
    "train", "val", "mask", "epm", "auto", "cpu", "cuda", "fp16", "width=2", "scale=0", "x=y", "=", "ce", "ce+dice",
    "dice(", "background", "10s", "1m", ":,3:", "99999999999999999999", "é", "\x1b[31m", "--", "-", "a" * 300, "\udce4",
)  # fmt: skip
_STARTS = (
    "inspect data --out out", f"evaluate {MODEL} data", f"predict -m {MODEL} -i data/imgs -o out", "repair data -o out",
    f"convert {MODEL} out.pth", "tile data/imgs -o out", "stitch data/imgs -o out", "import coco --out out",
    "vectorize kinds/mask.png -o out.svg", "evaluate-shapes kinds/edges.png kinds/edges.png", "import data --out out",
    "augment-preview data -o out.png --steps 1", f"map kinds/a.tif -m {MODEL} -o out.gpkg", "train --resume",
    "plan data --out out --steps 1",
)  # fmt: skip


def arguments(folder: Path, rng: random.Random) -> Case:
    """Sound files, and flags and values that make no sense, or name what is read as what is written."""
    argv = rng.choice(_STARTS).split()
    if rng.random() < 0.1:
        argv = ["train", "data", "--out", OUT, *TINY]
    for _ in range(rng.choice([1, 1, 2, 3])):
        match rng.randint(0, 3):
            case 0 if argv:
                argv[rng.randrange(len(argv))] = rng.choice(_VALUES)
            case 1 if argv:
                del argv[rng.randrange(len(argv))]
            case _:
                argv += [rng.choice(_FLAGS), rng.choice(_VALUES)][: rng.randint(1, 2)]
    return Case(argv)


KINDS: dict[str, tuple[Callable[[Path, random.Random], Case], list[str]]] = {
    "picture": (picture, ["kinds", "data", MODEL]),
    "mask": (mask, ["data", "kinds", "masks", MODEL]),
    "data-set": (data_set, ["data", MODEL]),
    "dataset.toml": (described, ["described", MODEL]),
    "annotations": (annotations, ["coco", "labelme", "yolo", "objects"]),
    "polygons": (polygons, ["sheet", "data", MODEL]),
    "run": (run, ["run", "data"]),
    "model": (model, ["data", MODEL, "model.pth"]),
    "arguments": (arguments, ["data", "kinds", "coco", MODEL, "model.pth"]),
}
"""By name: what makes a case in a folder that holds copies of these parts of the world."""


def make_case(kind: str, seed: int, number: int, world: Path, folder: Path) -> Case:
    """Fill a folder with copies of sound files, break some of them, and return what is to be called there."""
    make, parts = KINDS[kind]
    for part in parts:
        source = world / part
        if source.is_dir():
            shutil.copytree(source, folder / part)
        else:
            shutil.copy(source, folder / part)
    return make(folder, random.Random(f"{seed} {kind} {number}"))
