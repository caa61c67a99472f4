"""The first screen: how good the model is, what it was trained on, what to know before believing the scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unet.report import words
from unet.report.run_files import RunFiles

FEW = 5
"""With fewer pictures than this, scores are said to be uncertain."""


STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def headline(run_files: RunFiles) -> str:
    """Return the one line that says how good the model is."""
    if run_files.scores is None:
        return "This run has not been scored yet"
    pictures = words.counted(len(run_files.scores["images"]), "picture")
    name, value = main_score(run_files.scores)
    return f"{name} {words.score(value)} on {pictures} held back from training"


def main_score(scores: dict[str, Any]) -> tuple[str, float | None]:
    """Return the name and the value of the score that matters: of two classes the second's Dice, else mean IoU."""
    if len(scores["classes"]) == 2:
        return f"Dice of {scores['classes'][1]['name']}", scores["classes"][1]["dice"]
    return "Mean IoU", scores["mean_iou"]


def story(run_files: RunFiles) -> str:
    """Return in plain sentences what was trained on what, and for how long."""
    provenance = run_files.model.provenance if run_files.model else {}
    if run_files.model:
        spec = run_files.model.spec
        # Batch norm's running statistics are state, but nothing that is learned.
        learned = (t for name, t in run_files.model.state.items() if not name.endswith(STATISTICS))
        size = words.large(sum(tensor.numel() for tensor in learned))
        network = f"A {network_name(spec.architecture)} with {size} parameters"
    else:
        network = f"A {network_name(run_files.settings.model.architecture)}"
    times = f" {len(run_files.folds)} times" if run_files.folds else ""
    sentences = [f"{network} was trained{times}"]
    names = [scores["name"] for scores in run_files.scores["classes"]] if run_files.scores else []
    if names:
        sentences[0] += f" to tell {words.listed(names)} apart"
    data = run_files.settings.data.root or run_files.settings.data.images
    if provenance.get("train_pictures"):
        sentences[0] += f", on {words.counted(provenance['train_pictures'], 'picture')}"
    if data:
        sentences[0] += f"{' of' if provenance.get('train_pictures') else ' on'} {data}"
    seconds = _last(run_files, "seconds")
    if seconds:
        sentences[0] += f", for {words.duration(seconds)}"
    if run_files.scores:
        sentences.append("The pictures scored here were not trained on, but chose which weights were kept")
    return ". ".join(sentences) + "."


def network_name(architecture: str) -> str:
    """Return what people call an architecture."""
    return {"unet": "U-Net"}.get(architecture, architecture)


def _last(run_files: RunFiles, key: str) -> float | None:
    return next((row[key] for row in reversed(run_files.rows) if key in row), None)


@dataclass(frozen=True)
class KeyFigure:
    """A figure of the first screen: what it is, the figure, what to know detail it."""

    name: str
    value: str
    detail: str


def key_figures(run_files: RunFiles) -> list[KeyFigure]:
    """Return the figures of the first screen."""
    figures = []
    if run_files.scores:
        scores = run_files.scores
        without = words.score(scores.get("mean_iou_foreground"))
        dice = words.score(scores.get("mean_dice_foreground"))
        first = scores["classes"][0]["name"]
        figures += [
            KeyFigure("mean IoU", words.score(scores["mean_iou"]), f"{without} without {first}"),
            KeyFigure("mean Dice", words.score(scores["mean_dice"]), f"{dice} without {first}"),
            KeyFigure("pixel accuracy", words.percent(scores["pixel_accuracy"]), "of all pixels right"),
        ]
    steps, seconds = _last(run_files, "step"), _last(run_files, "seconds")
    if steps and seconds:
        speed = _last(run_files, "pictures_per_second")
        detail = words.counted(int(steps), "step") + (f", {speed:.3g} pictures per second" if speed else "")
        figures.append(KeyFigure("trained for", words.duration(seconds), detail))
    return figures


def notes(run_files: RunFiles) -> list[str]:
    """Return what a reader of the scores has to know, in sentences."""
    if run_files.scores is None:
        return ["Scores appear here once the run has been validated."]
    sentences = []
    rows = run_files.scores["confusion"]
    predicted = [sum(row[index] for row in rows) for index in range(len(rows))]
    named = list(zip(run_files.scores["classes"], predicted, strict=True))
    never = [scores["name"] for scores, pixels in named if scores["pixels"] and not pixels]
    absent = [scores["name"] for scores, _ in named if not scores["pixels"]]
    only = [scores["name"] for scores, pixels in named if pixels]
    if len(only) == 1 and len([scores for scores, _ in named if scores["pixels"]]) > 1:
        sentences.append(
            f"The model has collapsed: it answers {only[0]} for every pixel. Train longer, lower the learning "
            "rate, or turn class_weights on."
        )
    elif never:
        sentences.append(f"Never predicted, though there: {words.listed(never)}. Their IoU, Dice and recall are 0.")
    if absent:
        sentences.append(
            f"Not in the pictures scored: {words.listed(absent)}. They have no scores ({words.DASH}) and do not "
            "enter the means."
        )
    pictures = len(run_files.scores["images"])
    if pictures < FEW:
        sentences.append(
            f"{words.counted(pictures, 'picture')} {'is' if pictures == 1 else 'are'} few to score on: expect other "
            "pictures to score differently."
        )
    return sentences
