"""A program of somebody else that uses `unet`, checked by mypy in strict mode as it stands; it is not run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

import unet
from unet.data import Dataset


def train(data: Path) -> unet.TrainResult:
    """Every way to say a setting; a mistyped one is an error already here."""
    plan: unet.PlanResult = unet.make_plan(data, time="2m", keep=["road"])
    result = unet.train(str(data), loss="ce", width=32, time="2m", val=0.2, crop=(64, 64), keep="road", verbose=True)
    unet.train(data, config=plan.config, steps=5, learning_rate=1e-3, mask_values=[0, 255], trackers="tensorboard")
    unet.train(data, wdith=32)  # type: ignore[call-arg]
    unet.train(data, width="wide")  # type: ignore[arg-type]
    unet.train(resume=result.run)
    return result


def look(data: Path) -> list[str]:
    found: unet.InspectResult = unet.inspect_data(data, mask_suffix="_mask")
    repaired: unet.RepairResult = unet.repair(data, out="clean", ignore=255)
    return [f"{finding.kind}: {finding.remedy}" for finding in found.errors] + [str(repaired.folder)]


def scored(result: unet.TrainResult, data: str) -> float:
    report: unet.ScoreReport = unet.evaluate(result.model_path, data, boundary=True, tolerance=2)
    folds: unet.CrossValidateResult = unet.cross_validate(data, folds=3, epochs=2)
    written: list[Path] = [*unet.predict(folds.model_paths, Path("photos"), outputs="masks").files]
    assert report.mean_iou is not None and written
    low, high = report.intervals["mean_iou"]
    dice: float | None = report.of("road").dice
    return report.mean_iou + low - high + (dice or 0.0)


def predicted(path: str) -> tuple[NDArray[np.uint8], list[unet.Prediction]]:
    model: unet.Model = unet.load(path).to("cpu")
    one: unet.Prediction = model.predict(np.zeros((4, 4, 3), dtype=np.uint8))
    of_file: unet.Prediction = model.predict(Path("a.png"), probabilities=False)
    several: list[unet.Prediction] = model.predict(["a.png", "b.png"])
    more: list[unet.Prediction] = model.predict([np.zeros((4, 4)), np.ones((2, 2))])
    names: tuple[str, ...] = one.names
    assert of_file.mask(names[0]).any() and one.probability(names[0]).max() <= 1
    return one.labels, several + more


def own_loop(data: str) -> float:
    train, val = Dataset(data, crop=64, augment="light").split(val=0.2)
    network = unet.UNet(3, len(train.names), width=8)
    loss = unet.losses.parse("ce + dice")
    optimizer = torch.optim.AdamW(network.parameters())
    for images, targets in DataLoader(train, batch_size=2, shuffle=True):
        optimizer.zero_grad()
        loss(network(images), targets).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    image, target = val[0]
    seen = network(image[None]).argmax(dim=1)[0].numpy().astype(np.uint8)
    counts = unet.metrics.confusion_matrix(target.numpy().astype(np.uint8), seen, len(val.names))
    spans = unet.tiling.overlapping_spans(300, side=128, overlap=32, multiple=16)
    return unet.metrics.scores(counts).mean_iou + len(spans)


def shapes() -> int:
    found = unet.vectorize("mask.png", "shapes.geojson", simplify=0.5, verbose=False)
    scores = unet.evaluate_shapes("truth.png", Path("found.png"))
    return found.shapes + len(scores)
