"""The sections of the page below the first screen, each as data for the template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from unet.labels import Color, background_of
from unet.report import words
from unet.report.charts import Series, line_chart
from unet.report.panels import Panels, panels_of
from unet.report.run_files import RunFiles
from unet.report.summary import network_name

MOST_NUMBERED = 25
"""Confusion matrices of up to so many classes carry numbers ..."""

MOST_DRAWN = 64
"""... and those of more than so many are not drawn at all."""

# ---- pictures ----


@dataclass(frozen=True)
class SamplePanels:
    """A picture of the run with its scores, as far as they are known."""

    panels: Panels
    mean_iou: float | None
    pixel_accuracy: float | None
    rank: int | None


def samples(scores: dict[str, Any] | None, files: Sequence[Path]) -> list[SamplePanels]:
    """Return the samples that can be read, the worst first, with what is known of them from scores."""
    images = scores["images"] if scores else []
    known: dict[str, tuple[int | None, dict[str, Any]]] = {
        image["name"].replace("/", "_"): (rank, image) for rank, image in enumerate(images, start=1)
    }
    result = []
    for panels in filter(None, map(panels_of, files)):
        rank, image = known.get(panels.name, (None, {}))
        result.append(SamplePanels(panels, image.get("mean_iou"), image.get("pixel_accuracy"), rank))
    return result


# ---- classes ----


@dataclass(frozen=True)
class ClassRow:
    """A class: its scores, and its share of the true and of the predicted pixels."""

    name: str
    color: str
    iou: float | None
    dice: float | None
    precision: float | None
    recall: float | None
    pixels: int
    share: float
    predicted_share: float


def classes(scores: dict[str, Any] | None, colors: Sequence[Color]) -> list[ClassRow]:
    """Return the classes in the order of their indices."""
    if scores is None:
        return []
    rows = scores["confusion"]
    total = max(1, sum(map(sum, rows)))
    return [
        ClassRow(
            name=of_class["name"],
            color=css(color),
            iou=of_class["iou"],
            dice=of_class["dice"],
            precision=of_class["precision"],
            recall=of_class["recall"],
            pixels=of_class["pixels"],
            share=sum(rows[index]) / total,
            predicted_share=sum(row[index] for row in rows) / total,
        )
        for index, (of_class, color) in enumerate(zip(scores["classes"], colors, strict=True))
    ]


def css(color: Color) -> str:
    """Return a colour in the words of a style sheet."""
    return "#{:02x}{:02x}{:02x}".format(*color)


@dataclass(frozen=True)
class Matrix:
    """The confusion matrix by row: shares of each true class, None where the class does not occur."""

    rows: list[list[float] | None]
    numbered: bool

    @staticmethod
    def heat(share: float) -> float:
        """Return how strongly a share is coloured: rare mistakes are to be seen too."""
        return float(share**0.6)


def matrix(run_files: RunFiles) -> Matrix | None:
    """Return the row-normalised confusion matrix, or None where there is none or it is too large to be read."""
    if run_files.scores is None or len(run_files.scores["confusion"]) > MOST_DRAWN:
        return None
    rows = [[count / sum(row) for count in row] if sum(row) else None for row in run_files.scores["confusion"]]
    return Matrix(rows, len(rows) <= MOST_NUMBERED)


@dataclass(frozen=True)
class Confusion:
    """One class was taken for another: in this share of all pixels, and of the class's own."""

    truth: str
    prediction: str
    share: float
    own_share: float


def confusions(run_files: RunFiles, most: int = 6) -> list[Confusion]:
    """Return the most frequent mistakes by number of pixels."""
    if run_files.scores is None:
        return []
    rows, names = run_files.scores["confusion"], [scores["name"] for scores in run_files.scores["classes"]]
    total = sum(map(sum, rows))
    mistakes = [
        Confusion(names[i], names[j], row[j] / total, row[j] / sum(row))
        for i, row in enumerate(rows)
        for j in range(len(row))
        if i != j and row[j]
    ]
    return sorted(mistakes, key=lambda mistake: -mistake.share)[:most]


# ---- test ----

MEANS = {
    "mean_iou": "mean IoU",
    "mean_iou_foreground": "mean IoU without {background}",
    "mean_dice": "mean Dice",
    "mean_dice_foreground": "mean Dice without {background}",
    "pixel_accuracy": "pixel accuracy",
}
"""Scores of a set of pictures, and what they are called."""


@dataclass(frozen=True)
class Mean:
    """A score of the test pictures, its interval, and the same of the validation pictures."""

    name: str
    value: float | None
    interval: list[float] | None
    validation: float | None


@dataclass(frozen=True)
class TestScores:
    """What the page shows of the pictures that neither trained nor chose the weights."""

    level: str
    means: list[Mean]
    classes: list[ClassRow]
    samples: list[SamplePanels]
    images: list[dict[str, Any]]


def scores_of_test(run_files: RunFiles) -> TestScores | None:
    """Return the scores and pictures of the test part, or None where the run has none."""
    scores, validation = run_files.test, run_files.scores or {}
    if scores is None:
        return None
    intervals = scores.get("confidence") or {}
    names = [of_class["name"] for of_class in scores["classes"]]
    background = background_of(names)
    means = [
        Mean(name.format(background=names[background or 0]), scores[key], intervals.get(key), validation.get(key))
        for key, name in MEANS.items()
        if key in scores and (background is not None or not key.endswith("_foreground"))
    ]
    return TestScores(
        level=f"{intervals['level']:.0%}" if any(mean.interval for mean in means) else "",
        means=means,
        classes=classes(scores, run_files.colors_of(scores)),
        samples=samples(scores, run_files.test_samples),
        images=scores["images"],
    )


# ---- curves ----

COLUMNS = {
    "step": "step",
    "epoch": "epoch",
    "seconds": "seconds",
    "lr": "learning rate",
    "train_loss": "training loss",
    "val_loss": "validation loss",
    "val_mean_iou": "mean IoU",
    "val_mean_dice": "mean Dice",
    "val_pixel_accuracy": "pixel accuracy",
    "pictures_per_second": "pictures/s",
}
"""Columns of metrics.csv and what they are called on the page."""

CHARTS = (
    ("Scores", ("val_mean_iou", "val_mean_dice", "val_pixel_accuracy")),
    ("Loss", ("train_loss", "val_loss")),
    ("Learning rate", ("lr",)),
)


@dataclass(frozen=True)
class Chart:
    """A figure with its title and the names of its lines."""

    title: str
    lines: list[str]
    svg: Markup


def charts(run_files: RunFiles) -> list[Chart]:
    """Return the curves that the run has numbers for."""
    kept = best_step(run_files)
    result = []
    for title, keys in CHARTS:
        lines = [
            Series(COLUMNS[key], tuple((row["step"], row[key]) for row in run_files.rows if key in row)) for key in keys
        ]
        lines = [line for line in lines if line.points]
        if lines:
            what = f"{title} by training step: " + "; ".join(
                f"{line.name} from {line.points[0][1]:.4g} to {line.points[-1][1]:.4g}" for line in lines
            )
            floor = 0.0 if title == "Learning rate" else None
            result.append(
                Chart(title, [line.name for line in lines], line_chart(lines, mark=kept, floor=floor, what=what))
            )
    return result


def best_step(run_files: RunFiles) -> float | None:
    """Return the step whose weights were kept."""
    if run_files.model and "step" in run_files.model.provenance:
        return float(run_files.model.provenance["step"])
    scored = [row for row in run_files.rows if "val_mean_iou" in row]
    return max(scored, key=lambda row: row["val_mean_iou"])["step"] if scored else None


# ---- what to do with it, and where it comes from ----


@dataclass(frozen=True)
class Command:
    """A line to be typed, and what it is for."""

    purpose: str
    line: str


def commands(run_files: RunFiles) -> list[Command]:
    """Return what can be done with the model now."""
    if not (run_files.run / "model.safetensors").exists():
        return []
    model, settings = str(run_files.run / "model.safetensors"), str(run_files.run / "config.toml")
    # The settings go along, as these weights fit a network of one width only.
    lines = [
        ("Masks for new pictures", ["predict", "-m", model, "-i", "PICTURES", "-o", "MASKS", "--overlay"]),
        ("Score it on other pictures with masks", ["evaluate", model, "DATA", "--json", "scores.json"]),
        ("Train on from these weights", ["train", "--config", settings, "--load", model, "--time", "1h"]),
    ]
    return [Command(purpose, words.command_line(["unet", *line])) for purpose, line in lines]


def plan_items(text: str) -> list[str]:
    """Return the list items of plan.md as plain text; other lines but headings stand for themselves."""
    lines = (line.strip() for line in text.splitlines())
    return [line.removeprefix("- ") for line in lines if line and not line.startswith("#")]


PROVENANCE = {
    "written": "written",
    "step": "weights of step",
    "train_pictures": "pictures trained on",
    "val_pictures": "pictures scored",
    "unet": "unet",
    "torch": "torch",
    "python": "python",
}
"""What is shown of a model's provenance, and under which name."""


def origin(run_files: RunFiles) -> dict[str, str]:
    """Return where the model comes from, by name."""
    result: dict[str, str] = {}
    if run_files.model:
        provenance, spec, input_ = run_files.model.provenance, run_files.model.spec, run_files.model.preprocessing
        result["network"] = (
            f"{network_name(spec.architecture)}, width {spec.width}, depth {spec.depth}, "
            f"{'bilinear' if spec.bilinear else 'transposed convolution'} up-sampling"
        )
        result["input"] = f"{words.counted(spec.bands, 'band')}, scale {input_.scale:g}, resampled by {input_.resample}"
        path = run_files.run / "model.safetensors"
        result["model file"] = f"{path.name}, {words.file_size(path.stat().st_size)}"
        result |= {title: str(provenance[key]) for key, title in PROVENANCE.items() if key in provenance}
    if run_files.part_sizes:
        result["pictures"] = ", ".join(f"{count:,} {part}" for part, count in run_files.part_sizes.items())
    settings = run_files.settings.training
    result["computed"] = f"{settings.precision} on {settings.device}"
    result["run folder"] = str(run_files.run)
    return result
