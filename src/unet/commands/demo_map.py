"""`unet demo --map`: from a drawn sheet with its edges to polygons of another. Read `demo_map` from top to bottom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.text import Text

from unet import raster
from unet.commands.demo import MARKER, check_folder, noted
from unet.commands.evaluate_shapes import evaluate_shapes
from unet.commands.map_ import map_sheet
from unet.commands.predict import predict
from unet.commands.train import train
from unet.commands.tune_shapes import tune_shapes
from unet.commands.vectorize import vectorize
from unet.demo.atlas import make_edge_sheet
from unet.files import write_json, write_text
from unet.terminal.display import Display, open_display
from unet.terminal.speech import open_console

SIZE, SECOND_SIZE = (1200, 1800), (900, 1200)
"""Height and width of the sheet to learn from, and of the one that is mapped."""

HELD_OUT = 1 / 3
"""Share of the columns, at the right, that are not trained on: the shapes are tuned there."""

BLOCK = 200
"""Side of the blocks that the rest is cut into, in pixels."""

PLACE = ("EPSG:2154", (0.4, 0.0, 651_000.0, 0.0, -0.4, 6_863_000.0))
"""Where the second sheet is said to lie: Lambert-93, four decimetres to the pixel."""

SETTINGS = {"scale": "1.0", "upright": "false", "rotate": "20"}
"""Of a training of a minute: lines are a pixel or two thin, and all towns of an atlas lie alike. The rest is planned:
the recipe `atlas-best` fixes more, and takes too few steps in so short a time."""

DYNAMICS, AREAS = (0, 3, 7, 12, 20, 30, 45, 60), (25, 50, 100, 200)
THRESHOLDS = (0, 2, 5, 10, 20, 40, 60, 80, 100, 128)
"""What is tried on the columns held out: of the watershed, and of the components that it is compared with."""

DATASET = """\
# A sheet of an atlas: lines of one pixel, learned three pixels wide; what lies outside of the region does not count.
images = "sheet.png"
masks = "sheet_edges.png"
roi = "sheet_train.png"
tile = [{block}, {block}]
classes = [
    {{ name = "inside", value = 0, color = [255, 255, 255] }},
    {{ name = "edge", value = 255, color = [200, 0, 0], dilate = 1 }},
]
"""


@dataclass(frozen=True)
class MapDemoResult:
    """Where everything is.

    Attributes
    ----------
    model, shapes, page : Path
        The model file, the polygons of the second sheet, and the page that shows them.
    scores : dict
        Of these shapes, as `unet.commands.evaluate_shapes` returns them.
    components : dict
        The same of the components of the same edge map, by the threshold that was best on the columns held out.
    """

    model: Path
    shapes: Path
    page: Path
    scores: dict[str, Any]
    components: dict[str, Any]


def demo_map(
    folder: Path,
    *,
    seconds: float = 60,
    steps: int | None = None,
    seed: int = 0,
    size: tuple[int, int] = SIZE,
    second_size: tuple[int, int] = SECOND_SIZE,
    settings: Mapping[str, str] | None = None,
) -> MapDemoResult:
    """Draw two sheets, learn the edges of one, tune the shapes, map the other, and say how good its shapes are.

    Parameters
    ----------
    folder : Path
        Receives atlas, run, tuning, blocks.gpkg with what belongs to it, and scores. A second demo in the same folder
        uses the sheets again and replaces the rest.
    seconds : float
        Length of the training, its validation and report included.
    steps : int, optional
        Steps of the training instead, for the same result however busy the machine is.
    seed : int
        Another seed draws another atlas.
    size, second_size : (int, int)
        Height and width of the sheets in pixels.
    settings : mapping of str to str, optional
        Settings of the training, as in `train`.

    Raises
    ------
    InputError
        The folder holds something that is not a demo's.
    MissingExtraError
        What writes polygons is not installed.
    """
    folder = Path(folder)
    display = open_display()
    atlas = draw_atlas(folder, size, second_size, seed, display)
    first_held = held_columns(size)
    wanted = {"seed": str(seed), **SETTINGS, **(settings or {})}
    length: Any = {"time": seconds} if steps is None else {"steps": steps}
    trained = train(
        atlas / "dataset.toml", out=folder / "run", settings=wanted, overwrite=True,
        **length,
    )  # fmt: skip
    model, tuning = trained.model, folder / "tuning"
    held, second = atlas / "sheet_held.png", atlas / "second.tif"
    content, truth = atlas / "second_content.png", atlas / "second_edges.png"

    predict(
        model, [str(atlas / "sheet.png")], outputs=[tuning / "held.tif"], save=False, epm=8, roi=held, overwrite=True
    )  # fmt: skip
    tuned = tune_shapes(
        tuning / "held_epm.tif", atlas / "sheet_edges.png", tuning, mask=held, calibration="edge", dynamics=DYNAMICS,
        areas=AREAS, thresholds=THRESHOLDS, window=(slice(None), slice(first_held, None)), model=model, overwrite=True,
    )  # fmt: skip
    mapped = map_sheet(second, model, [folder / "blocks.gpkg"], roi=content, overwrite=True)
    alone = folder / "scores" / "components.tif"
    vectorize(
        mapped.predicted, kind="epm", roi=content, calibrate="edge", threshold=best_threshold(tuned), labels=alone,
        overwrite=True,
    )  # fmt: skip
    found = evaluate_shapes(
        truth, [mapped.labels, alone], mask=content, gt_kind="edges", pred_kind="labels", out=folder / "scores",
        overwrite=True,
    )  # fmt: skip
    scores, components = found["contenders"]
    result = MapDemoResult(model, mapped.outputs[0], mapped.page, scores, components)
    print_result(result, mapped.shapes, folder)
    return result


def draw_atlas(
    folder: Path, size: tuple[int, int], second_size: tuple[int, int], seed: int, display: Display
) -> Path:  # fmt: skip
    """Return the folder of the two sheets; drawn unless they are there already.

    Raises
    ------
    InputError
        The folder holds something that is not a demo's.
    """
    atlas, marker = folder / "atlas", folder / MARKER
    check_folder(folder)
    wanted = {"atlas": seed, "sizes": [list(size), list(second_size)]}
    if noted(marker) == wanted:
        display.notify(f"sheets of an earlier demo in {atlas}")
        return atlas
    folder.mkdir(parents=True, exist_ok=True)
    write_json(marker, {})  # the folder is ours from here on, and its sheets are not complete
    sheet = make_edge_sheet(atlas, "sheet", size=size, seed=seed, number=0)
    columns = np.arange(size[1]) < held_columns(size)
    for name, part in (("train", columns), ("held", ~columns)):
        raster.write_grey(atlas / f"sheet_{name}.png", (sheet.content & part).astype(np.uint8) * np.uint8(255))
    write_text(atlas / "dataset.toml", DATASET.format(block=BLOCK))
    second = make_edge_sheet(atlas, "second", size=second_size, seed=seed, number=1)
    crs, transform = PLACE
    with raster.create(
        atlas / "second.tif", height=second_size[0], width=second_size[1], bands=3, dtype="uint8", crs=crs,
        transform=transform, overwrite=True,
    ) as sink:  # fmt: skip
        sink.write((0, 0, *second_size), second.picture)
    (atlas / "second.png").unlink()  # the same as the GeoTIFF
    display.notify(
        f"two sheets drawn in {atlas}: {sheet.shapes:,} shapes to learn from and to tune on, {second.shapes:,} to find"
    )
    write_json(marker, wanted)
    return atlas


def held_columns(size: tuple[int, int]) -> int:
    """Return the first column that is not trained on, at the end of a block."""
    return round(size[1] * (1 - HELD_OUT) / BLOCK) * BLOCK


def best_threshold(tuned: dict[str, Any]) -> int:
    """Return the threshold of components that was best in a search, the lower one of equal ones."""
    rows = [row for row in tuned["settings"] if row["threshold"] is not None]
    return int(max(rows, key=lambda row: (row["pq"] or 0.0, -row["threshold"]))["threshold"])


def print_result(result: MapDemoResult, shapes: int, folder: Path) -> None:
    """Print how good the shapes are, and where everything is."""
    scores, components = result.scores, result.components
    lines = {
        "polygons": result.shapes,
        "page": result.page,
        "model": result.model,
        "tuning": folder / "tuning",
        "scores": folder / "scores",
    }
    console = open_console()
    console.print()
    console.print(
        f"[bold]PQ {scores['pq'] or 0:.3f}[/bold] of {shapes:,} shapes on a sheet that the network had never seen "
        f"({scores['tp']:,} of {scores['labels_gt']:,} found), by closing and watershed"
    )
    console.print(f"PQ {components['pq'] or 0:.3f} by components of the same edge map, with their own best threshold")
    for name, where in lines.items():
        console.print(Text.assemble(f"  {name:<10}", (str(where), "bold" if name == "page" else "")))
    console.print(f"The page opens in any browser: {result.page.resolve().as_uri()}", markup=False)
    console.print("Your own sheet: unet map SHEET --model MODEL -o blocks.gpkg", markup=False)
