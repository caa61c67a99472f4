"""`unet demo`: the whole path on a small data set that is drawn on the spot. Read `demo` from top to bottom."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from unet.commands.evaluate import evaluate
from unet.commands.predict import predict
from unet.commands.train import train
from unet.demo import make_sheets
from unet.errors import InputError
from unet.files import write_json
from unet.terminal.display import Display, open_display
from unet.terminal.speech import open_console

MARKER = "demo.json"
"""Says that a folder is a demo's own, which may be replaced, and with which settings its sheets were drawn."""

TEST_SEED = 1_000_000
"""Added to the seed for the sheets that are kept from training, so that none is drawn twice."""

VAL = "0.2"
"""Share of the sheets to train on that choose the weights to keep."""


@dataclass(frozen=True)
class DemoResult:
    """Where everything is.

    Attributes
    ----------
    run, model, report : Path
        The run folder, the model file and the HTML page in it.
    masks, overlays : tuple of Path
        One of each per test sheet.
    scores : dict
        Of the test sheets, as in evaluation.json.
    """

    run: Path
    model: Path
    report: Path
    masks: tuple[Path, ...]
    overlays: tuple[Path, ...]
    scores: dict[str, Any]


def demo(
    folder: Path,
    *,
    seconds: float = 60,
    seed: int = 0,
    sheets: int = 24,
    test_sheets: int = 6,
    size: tuple[int, int] = (320, 320),
    settings: Mapping[str, str] | None = None,
) -> DemoResult:
    """Draw sheets, train on them, score and predict sheets that were kept apart, and say where all of it is.

    Parameters
    ----------
    folder : Path
        Receives data, test, run, masks and scores.json. A second demo in the same folder uses the sheets again
        and replaces the rest.
    seconds : float
        Length of the training, its validation and report included.
    seed : int
        Another seed draws other sheets.
    sheets, test_sheets : int
        How many to train on, and to keep apart.
    size : (int, int)
        Height and width of a sheet in pixels.
    settings : mapping of str to str, optional
        Settings of the training, as in `train`.

    Raises
    ------
    InputError
        The folder holds something that is not a demo's.
    """
    folder = Path(folder)
    display = open_display()
    data, test = draw_sheets(folder, sheets, test_sheets, size, seed, display)
    wanted = {"seed": str(seed), **(settings or {})}
    trained = train(data, out=folder / "run", time=seconds, val=VAL, settings=wanted, overwrite=True)
    scores_file = folder / "scores.json"
    scores = evaluate(trained.model, test, json=scores_file, overwrite=True)
    written = predict(trained.model, [test / "imgs"], outputs=[folder / "masks"], overlay=True, overwrite=True)
    overlays = tuple(path for path in written if path.stem.endswith("_overlay"))
    masks = tuple(path for path in written if path not in overlays)
    result = DemoResult(trained.run, trained.model, trained.report, masks, overlays, scores)
    print_result(result, scores_file)
    return result


def draw_sheets(
    folder: Path, sheets: int, test_sheets: int, size: tuple[int, int], seed: int, display: Display
) -> tuple[Path, Path]:
    """Return the folders of the sheets to train on and to test on; drawn unless they are there already.

    Raises
    ------
    InputError
        The folder holds something that is not a demo's.
    """
    data, test, marker = folder / "data", folder / "test", folder / MARKER
    check_folder(folder)
    wanted = {"sheets": sheets, "test_sheets": test_sheets, "size": list(size), "seed": seed}
    parts = ((data, sheets, seed), (test, test_sheets, seed + TEST_SEED))
    if noted(marker) == wanted and all(_complete(part, count) for part, count, _ in parts):
        display.notify(f"sheets of an earlier demo in {data} and {test}")
        return data, test
    folder.mkdir(parents=True, exist_ok=True)
    write_json(marker, {})  # the folder is ours from here on, and its sheets are not complete
    for part, count, part_seed in parts:
        for old in [*part.glob("imgs/sheet_*.png"), *part.glob("masks/sheet_*_mask.png")]:
            old.unlink()
        make_sheets(part, count=count, size=size, seed=part_seed)
        display.notify(f"{count} sheets of {size[1]} x {size[0]} px drawn in {part}")
    write_json(marker, wanted)
    return data, test


def print_result(result: DemoResult, scores_file: Path) -> None:
    """Print where everything is, and what was reached."""
    scores, count = result.scores, len(result.scores["images"])
    lines = {
        "model": result.model,
        "masks": _pattern(result.masks),
        "overlays": _pattern(result.overlays),
        "scores": scores_file,
        "report": result.report,
    }
    console = open_console()
    console.print()
    console.print(
        f"[bold]Mean IoU {scores['mean_iou']:.3f}, pixel accuracy {scores['pixel_accuracy']:.1%}[/bold] "
        f"on {count} sheets that the network had never seen"
    )
    for name, where in lines.items():
        console.print(Text.assemble(f"  {name:<10}", (str(where), "bold" if name == "report" else "")))
    console.print(f"The report opens in any browser: {result.report.resolve().as_uri()}", markup=False)
    console.print("Your own pictures: unet train DATA")


def check_folder(folder: Path) -> None:
    """Make sure that a folder is a demo's or new.

    Raises
    ------
    InputError
        It holds something else.
    """
    if folder.exists() and not (folder / MARKER).exists() and (folder.is_file() or any(folder.iterdir())):
        raise InputError(f"{folder} is not empty", "a new folder, or that of an earlier demo", "choose another FOLDER")


def noted(marker: Path) -> Any:
    """Return how the sheets of a folder were drawn; None if that is not known."""
    try:
        return json.loads(marker.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def _complete(part: Path, count: int) -> bool:
    names = [f"imgs/sheet_{number:02d}.png" for number in range(count)]
    names += [f"masks/sheet_{number:02d}_mask.png" for number in range(count)]
    return all((part / name).is_file() for name in [*names, "classes.txt"])


def _pattern(paths: tuple[Path, ...]) -> Path:
    """Return sheet_*_OUT.png for sheet_00_OUT.png and its like."""
    first = paths[0]
    number = first.stem.split("_")[1]
    return first.with_name(first.name.replace(number, "*", 1))
