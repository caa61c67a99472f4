"""Time and peak memory of each loss, forwards and backwards, against the plain way on one-hot tensors.

The plain way is written as it usually is: soft-max, a one-hot tensor of the target, products of the two. Each case runs
in a process of its own, whose peak memory less that before the first call is given. Linux, or a CUDA device.

    python benchmarks/losses.py [--shape 8 21 256 256] [--ignored 0.2] [--device cpu] [--repeats 5] [TERM ...]
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from unet import losses
from unet.labels import IGNORED

Case = Callable[[Tensor, Tensor], Tensor]


def one_hot(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the truth and which pixels count, (N, K, H, W) and (N, 1, H, W)."""
    counts = (target != IGNORED).unsqueeze(1)
    truth = F.one_hot(target.where(target != IGNORED, 0), logits.shape[1]).permute(0, 3, 1, 2).float()
    return truth * counts, counts.float()


def entropies(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    truth, counts = one_hot(logits, target)
    return -(truth * logits.log_softmax(1)).sum(1), truth, counts


def plain_ce(logits: Tensor, target: Tensor) -> Tensor:
    values, _, counts = entropies(logits, target)
    return values.sum() / counts.sum()


def plain_bce(logits: Tensor, target: Tensor) -> Tensor:
    truth, counts = one_hot(logits, target)
    values = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    return (values * counts).sum() / (counts.sum() * logits.shape[1])


def plain_focal(logits: Tensor, target: Tensor) -> Tensor:
    truth, counts = one_hot(logits, target)
    shares = logits.softmax(1)
    return -(truth * (1 - shares) ** 2 * shares.clamp(min=1e-7).log()).sum() / counts.sum()


def plain_topk(logits: Tensor, target: Tensor) -> Tensor:
    values, _, counts = entropies(logits, target)
    return values.flatten().sort(descending=True).values[: int(counts.sum() / 4)].mean()


def counted(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    truth, counts = one_hot(logits, target)
    shares = logits.softmax(1) * counts
    return (shares * truth).sum((0, 2, 3)), shares.sum((0, 2, 3)), truth.sum((0, 2, 3))


def plain_dice(logits: Tensor, target: Tensor) -> Tensor:
    hits, predicted, true = counted(logits, target)
    return 1 - (2 * hits / (predicted + true)).mean()


def plain_micro_dice(logits: Tensor, target: Tensor) -> Tensor:
    hits, predicted, true = counted(logits, target)
    return 1 - 2 * hits.sum() / (predicted + true).sum()


def plain_generalised_dice(logits: Tensor, target: Tensor) -> Tensor:
    hits, predicted, true = counted(logits, target)
    weights = 1 / true**2
    return 1 - 2 * (weights * hits).sum() / (weights * (predicted + true)).sum()


def plain_fbeta(logits: Tensor, target: Tensor) -> Tensor:
    truth, counts = one_hot(logits, target)
    shares = logits.softmax(1) * counts
    tp = (shares * truth).sum((0, 2, 3))
    fp, fn = (shares * (1 - truth)).sum((0, 2, 3)), ((1 - shares) * truth).sum((0, 2, 3))
    return 1 - ((2 * tp + 1e-5) / (2 * tp + fn + fp + 1e-5)).mean()


def plain_lovasz(logits: Tensor, target: Tensor) -> Tensor:
    """Errors of all classes sorted as part of the graph."""
    truth, counts = one_hot(logits, target)
    chosen = counts.expand_as(truth).bool()
    errors = (truth - logits.softmax(1)).abs()
    values = []
    for k in range(logits.shape[1]):
        sorted_errors, order = errors[:, k][chosen[:, k]].sort(descending=True)
        true = truth[:, k][chosen[:, k]][order]
        jaccard = 1 - (true.sum() - true.cumsum(0)) / (true.sum() + (1 - true).cumsum(0))
        values.append(sorted_errors @ jaccard.diff(prepend=jaccard.new_zeros(1)))
    return torch.stack(values).mean()


def plain_boundary(logits: Tensor, target: Tensor) -> Tensor:
    values, truth, counts = entropies(logits, target)
    near = ((F.max_pool2d(truth, 5, 1, 2) > 0).sum(1) > 1).float() * counts[:, 0]
    return (values * near).sum() / near.sum()


def plain_cldice(logits: Tensor, target: Tensor) -> Tensor:
    """All classes at once, an erosion for each use of it."""
    truth, counts = one_hot(logits, target)

    def eroded(maps: Tensor) -> Tensor:
        return torch.min(-F.max_pool2d(-maps, (3, 1), 1, (1, 0)), -F.max_pool2d(-maps, (1, 3), 1, (0, 1)))

    def skeleton(maps: Tensor) -> Tensor:
        lines = F.relu(maps - F.max_pool2d(eroded(maps), 3, 1, 1))
        for _ in range(5):
            maps = eroded(maps)
            more = F.relu(maps - F.max_pool2d(eroded(maps), 3, 1, 1))
            lines = lines + F.relu(more - lines * more)
        return lines

    truth, shares = truth[:, 1:], (logits.softmax(1) * counts)[:, 1:]
    lines, true_lines = skeleton(shares), skeleton(truth)
    axes = (0, 2, 3)
    precision = ((lines * truth).sum(axes) + 1) / (lines.sum(axes) + 1)
    sensitivity = ((true_lines * shares).sum(axes) + 1) / (true_lines.sum(axes) + 1)
    return 1 - (2 * precision * sensitivity / (precision + sensitivity)).mean()


PLAIN: dict[str, Case] = {
    "ce": plain_ce, "bce": plain_bce, "focal": plain_focal, "topk": plain_topk, "boundary": plain_boundary,
    "dice": plain_dice, "micro_dice": plain_micro_dice, "generalised_dice": plain_generalised_dice,
    "fbeta": plain_fbeta, "lovasz": plain_lovasz, "cldice": plain_cldice,
}  # fmt: skip


def forget_peak(device: str) -> int:
    """Begin to look for the highest memory use of this process anew, and return the present one."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return peak_bytes(device)


def peak_bytes(device: str) -> int:
    """Return the highest memory use of this process since."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def measure(name: str, plain: bool, args: argparse.Namespace) -> tuple[float, int, float]:
    """Return median seconds, the peak of memory in bytes above that of the logits, and the value of a loss."""
    torch.manual_seed(0)
    case: Case = PLAIN[name] if plain else losses.TERMS[name]
    pictures, classes, *size = args.shape
    logits = torch.randn(args.shape, device=args.device).requires_grad_()
    target = torch.randint(0, classes, (pictures, *(-(-side // 16) for side in size)), device=args.device)
    target = target.repeat_interleave(16, 1).repeat_interleave(16, 2)[:, : size[0], : size[1]].contiguous()
    target[torch.rand(target.shape, device=args.device) < args.ignored] = IGNORED

    def step() -> float:
        logits.grad = None
        loss = case(logits, target)
        loss.backward()
        return loss.item()

    losses.TERMS[name](logits[:, :, :8, :8], target[:, :8, :8]).backward()  # loads what torch loads on first use
    before = forget_peak(args.device)
    value = step()
    peak = peak_bytes(args.device) - before
    seconds = []
    for _ in range(args.repeats):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), peak, value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("terms", nargs="*", metavar="TERM", default=list(PLAIN))
    parser.add_argument("--shape", type=int, nargs=4, default=(8, 21, 256, 256), metavar=("N", "K", "H", "W"))
    parser.add_argument("--ignored", type=float, default=0.2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    print("| term | plain, s | ours, s | plain, MB | ours, MB |\n|---|---|---|---|---|")
    for name in args.terms:
        found = []
        for plain in (True, False):
            with ProcessPoolExecutor(1, mp_context=context) as process:
                found.append(process.submit(measure, name, plain, args).result())
        (s1, m1, v1), (s2, m2, v2) = found
        if abs(v1 - v2) > 1e-3 * max(1, abs(v1)):
            raise SystemExit(f"{name}: {v1} the plain way, {v2} ours")
        print(f"| {name} | {s1:.2f} | {s2:.2f} | {m1 / 1e6:.0f} | {m2 / 1e6:.0f} |", flush=True)


if __name__ == "__main__":
    main()
