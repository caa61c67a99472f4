"""The first screen: how good the model is, what it was trained on, what to know before believing the scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unet.labels import background_of
from unet.report import words
from unet.report.run_files import RunFiles

FEW = 5
"""With fewer pictures than this, scores are said to be uncertain."""


STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def headline(run_files: RunFiles) -> str:
    """Return the one line that says how good the model is."""
    scores = run_files.main_scores
    if scores is None:
        return "This run has not been scored yet"
    pictures = words.counted(len(scores["images"]), "picture")
    name, value = main_score(scores)
    if run_files.test is not None:
        return f"{name} {words.score(value)} on {pictures} that neither trained nor chose the weights"
    luck = ", the best of validations that swing" if run_files.swings else ""
    return f"{name} {words.score(value)} on {pictures} held back from training{luck}"


def main_score(scores: dict[str, Any]) -> tuple[str, float | None]:
    """Return the name and the value of the score that matters: of two classes the Dice of the one that is no
    background, the second if both are none; else mean IoU.
    """
    if len(scores["classes"]) == 2:
        background = background_of([of_class["name"] for of_class in scores["classes"]])
        other = scores["classes"][1 - (background or 0)]
        return f"Dice of {other['name']}", other["dice"]
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
    scores, validation = run_files.main_scores, run_files.scores
    names = [of_class["name"] for of_class in scores["classes"]] if scores else []
    if names:
        sentences[0] += f" to tell {words.listed(names)} apart"
    data = run_files.settings.data.root or run_files.settings.data.images
    if provenance.get("train_pictures"):
        sentences[0] += f", on {words.counted(provenance['train_pictures'], 'picture')}"
    if data:
        sentences[0] += f"{' of' if provenance.get('train_pictures') else ' on'} {data}"
    seconds = _last(run_files, "seconds")
    if run_files.outcome:
        sentences.append(f"It did {run_files.outcome.sentence()}")
    elif seconds:
        sentences[0] += f", for {words.duration(seconds)}"
    if run_files.test is None and validation:
        chose = "" if run_files.settings.training.keep_last else ", but chose which weights were kept"
        sentences.append(f"The pictures scored here were not trained on{chose}")
    elif validation:
        pictures = words.counted(len(validation["images"]), "validation picture")
        value = words.score(main_score(validation)[1])
        chose = "" if run_files.settings.training.keep_last else ", which chose the weights,"
        sentences.append(f"On the {pictures}{chose} this score is {value}")
    return ". ".join(sentences) + "."


def network_name(architecture: str) -> str:
    """Return what people call an architecture."""
    return {"unet": "U-Net"}.get(architecture, architecture)


def _last(run_files: RunFiles, key: str) -> float | None:
    return next((row[key] for row in reversed(run_files.rows) if key in row), None)


@dataclass(frozen=True)
class KeyFigure:
    """A figure of the first screen: what it is, the figure, what to know about it."""

    name: str
    value: str
    detail: str


def key_figures(run_files: RunFiles) -> list[KeyFigure]:
    """Return the figures of the first screen."""
    figures = []
    if scores := run_files.main_scores:
        intervals = scores.get("confidence") or {}
        names = [of_class["name"] for of_class in scores["classes"]]
        background = background_of(names)
        for key, name in (("mean_iou", "mean IoU"), ("mean_dice", "mean Dice")):
            without = f"mean of {words.counted(len(names), 'class', 'classes')}"
            if background is not None:
                without = f"{words.score(scores.get(f'{key}_foreground'))} without {names[background]}"
            figures.append(KeyFigure(name, words.score(scores[key]), _interval(intervals, key) or without))
        accuracy = words.percent(scores["pixel_accuracy"])
        detail = _interval(intervals, "pixel_accuracy") or "of all pixels right"
        figures.append(KeyFigure("pixel accuracy", accuracy, detail))
    steps, seconds = _last(run_files, "step"), _last(run_files, "seconds")
    if steps and seconds:
        speed = _last(run_files, "pictures_per_second")
        detail = words.counted(int(steps), "step") + (f", {speed:.3g} pictures per second" if speed else "")
        figures.append(KeyFigure("trained for", words.duration(seconds), detail))
    return figures


def _interval(intervals: dict[str, Any], key: str) -> str:
    """Return an interval in words, or nothing where there is none."""
    if not intervals.get(key):
        return ""
    low, high = map(words.score, intervals[key])
    return f"{low} to {high} ({intervals['level']:.0%} interval)"


def notes(run_files: RunFiles) -> list[str]:
    """Return what a reader of the scores has to know, in sentences."""
    scores = run_files.main_scores
    if scores is None:
        return ["Scores appear here once the run has been validated."]
    outcome = run_files.outcome
    sentences = [f"A short training: {outcome.sentence()}."] if outcome and outcome.is_short else []
    rows = scores["confusion"]
    predicted = [sum(row[index] for row in rows) for index in range(len(rows))]
    named = list(zip(scores["classes"], predicted, strict=True))
    never = [of_class["name"] for of_class, pixels in named if of_class["pixels"] and not pixels]
    absent = [of_class["name"] for of_class, _ in named if not of_class["pixels"]]
    only = [of_class["name"] for of_class, pixels in named if pixels]
    if len(only) == 1 and len([of_class for of_class, _ in named if of_class["pixels"]]) > 1:
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
    pictures = len(scores["images"])
    if pictures < FEW:
        sentences.append(
            f"{words.counted(pictures, 'picture')} {'is' if pictures == 1 else 'are'} few to score on: expect other "
            "pictures to score differently."
        )
    if run_files.swings:
        sentences.append(
            "Validations swing from one to the next. The weights kept are those of the best one, so its scores are "
            f"optimistic{'; those of the test pictures are not' if run_files.test is not None else ''}."
        )
    return sentences
