"""Our training step and our prediction against the plain way of the Carvana system, in one process.

The plain way: the same 31 M network in float32 and channels-last, RMSprop, cross-entropy plus Dice on one-hot tensors;
prediction is one forward pass of the trained network. Ours: what `unet train` and `unet predict` would choose here.

    python benchmarks/plain.py [--side 256] [--repeats 5]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unet import devices, losses
from unet.bundle import Bundle
from unet.config import TrainingConfig
from unet.inference.predictor import Predictor
from unet.labels import Labels
from unet.models import ModelSpec, build
from unet.preprocessing import Preprocessing
from unet.training import probe
from unet.training.optim import build_optimizer

SETTINGS = TrainingConfig(optimizer="rmsprop", learning_rate=1e-5, weight_decay=1e-8, momentum=0.999)
SPEC = ModelSpec()


def plain_dice(logits: Tensor, target: Tensor) -> Tensor:
    """Dice over one-hot tensors."""
    truth = F.one_hot(target, logits.shape[1]).permute(0, 3, 1, 2).float()
    probabilities = logits.softmax(1).float()
    return 1 - (2 * (probabilities * truth).sum() + 1e-6) / (probabilities.sum() + truth.sum() + 1e-6)


def plain_step(images: Tensor, target: Tensor) -> Callable[[], object]:
    """Return one training step of the plain way."""
    network = build(SPEC).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.RMSprop(network.parameters(), lr=1e-5, weight_decay=1e-8, momentum=0.999, foreach=True)

    def step() -> None:
        logits = network(images.to(memory_format=torch.channels_last))
        loss = F.cross_entropy(logits, target) + plain_dice(logits, target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()

    return step


def our_step(images: Tensor, target: Tensor) -> tuple[Callable[[], object], str]:
    """Return one training step of ours, and how it computes."""
    compute = probe.best_compute(SPEC, torch.device("cpu"), "auto", None)
    network = build(SPEC).to(memory_format=compute.memory_format).train()
    optimizer = build_optimizer(network.parameters(), SETTINGS)
    loss_of = losses.parse("ce + micro_dice")

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with compute.autocast():
            logits = network(images.to(memory_format=compute.memory_format))
        loss_of(logits, target, None).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()

    return step, devices.describe(compute)


def paired(plain: Callable[[], object], ours: Callable[[], object], repeats: int) -> tuple[float, float, float]:
    """Return the medians of both and of their ratio, measured in turn: plain, ours, plain, ours ..."""
    plain(), ours()
    pairs = []
    for _ in range(repeats):
        seconds = []
        for run in (plain, ours):
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
        pairs.append(seconds)
    return (
        statistics.median(pair[0] for pair in pairs),
        statistics.median(pair[1] for pair in pairs),
        statistics.median(pair[0] / pair[1] for pair in pairs),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    torch.manual_seed(0)
    picture = torch.randint(0, 256, (args.side, args.side, 3), dtype=torch.uint8)
    image = picture.permute(2, 0, 1)[None].float() / 255
    target = torch.randint(0, 2, (1, args.side, args.side))

    step, how = our_step(image, target)
    plain, ours, ratio = paired(plain_step(image, target), step, args.repeats)
    print(f"training step, {args.side} px: plain {plain:.3f} s, ours {ours:.3f} s ({how}), {ratio:.2f} times")

    network = build(SPEC).eval()
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    predictor = Predictor(Bundle(SPEC, Labels.numbered(2), Preprocessing(), None, {}, {}, state))
    network = network.to(memory_format=torch.channels_last)
    given = image.to(memory_format=torch.channels_last)

    def plain_prediction() -> None:
        with torch.no_grad():
            network(given).argmax(dim=1)

    plain, ours, ratio = paired(plain_prediction, lambda: predictor.predict(picture.numpy()), args.repeats)
    how = predictor.describe()
    print(f"prediction, {args.side} px: plain {plain:.3f} s, ours {ours:.3f} s ({how}), {ratio:.2f} times")


if __name__ == "__main__":
    main()
