"""The training loop: plain, for one recipe, on whatever device Lightning Fabric was told to use."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from unet import losses, plan
from unet.config import TrainingConfig
from unet.data.dataset import Batch, Numbers, SegmentationDataset, collate
from unet.devices import Compute
from unet.errors import ConfigError, TrainingError
from unet.trackers import Tracker
from unet.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from unet.training.health import Check, Circumstances, Health, Remark, write_remarks
from unet.training.optim import build_optimizer, set_rate
from unet.training.outputs import loss_of_outputs
from unet.training.schedule import plateau, rate_factor

CHECKPOINT_SECONDS = (10.0, 300.0)
"""A killed run loses at most so much work: the less, the faster a checkpoint is written ..."""

CHECKPOINT_SHARE = 0.03
"""... which takes at most this share of the time."""

LARGEST = 1e15
"""Batch statistics beyond are those of a picture with huge values. The loss looks fine then, as batch norm makes up
for them, but for hundreds of steps the running statistics would fit no other picture."""

MOST_RETURNS = 4
"""A run that is lost goes back to its last good state so often, each time with half the learning rate."""

COMPARISON_SHARE = 0.03
"""Training pictures are scored at the end if that takes at most this share of the time that a run was given."""

COLD_SHARE = 0.25
"""The first epoch, in which files are read for the first time, does not tell how fast samples come, up to this share
of the training."""

VALIDATIONS = 10
"""As a rule, evenly spread over the run."""

VALIDATION_SHARE = 0.1
"""Validations take at most this share of a run that was given a time."""


@dataclass(frozen=True)
class Tick:
    """What there is to say after a step, for progress displays."""

    step: int
    epoch: float
    share: float
    loss: float
    best: float | None
    rate: float
    pictures_per_second: float
    seconds_left: float | None


class Display(Protocol):
    """Shows a person how the training goes."""

    def tick(self, tick: Tick) -> None:
        """Show a step."""

    def say(self, text: str) -> None:
        """Show a line that stays."""


@dataclass(frozen=True)
class Validation:
    """The outcome of one validation: the score that decides, numbers for the log, pictures for trackers.

    `counts` is the confusion matrix (K, K), rows true, and `images` the mean IoU of each picture.
    """

    score: float
    values: dict[str, float]
    pictures: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    counts: NDArray[np.int64] | None = None
    images: tuple[float, ...] = ()


@dataclass
class Training:
    """What the loop needs, put together by the command.

    Attributes
    ----------
    network : nn.Module
    dataset : SegmentationDataset
    settings : TrainingConfig
        With nothing left open: batch size, learning rate and one of seconds, steps or epochs are set.
    compute : Compute
    validate : callable
        Scores the network as it is.
    keep : callable
        Keeps the network as it is, which has just been validated as the best.
    trackers : sequence of Tracker
    display : Display
    checkpoint : Path
        Where the state is kept; resumed from when `resume` is set.
    class_weights : float Tensor (K,) or None
    kept : float
        Score of the weights that an earlier session kept: later than its checkpoint, perhaps, and not to be replaced
        by something worse.
    seconds : float or None
        Time for the training, its validations included and earlier sessions counted in.
    epoch_ended : callable, optional
        Called with the network and the number of the epoch that has ended.
    class_shares : tuple of float
        Share of each class in the training pictures, where it is known.
    score_trained : callable, optional
        Returns the mean IoU of some training pictures, as `validate` does of validation pictures; called at the end.
    score_share : float
        How long that takes, as a share of a validation.
    remarks : Path, optional
        File for what does not go well.
    """

    network: nn.Module
    dataset: SegmentationDataset
    settings: TrainingConfig
    compute: Compute
    validate: Callable[[nn.Module], Validation]
    keep: Callable[[nn.Module, Progress], None]
    trackers: Sequence[Tracker]
    display: Display
    checkpoint: Path
    class_weights: Tensor | None = None
    seconds: float | None = None
    resume: bool = False
    kept: float = -1.0
    epoch_ended: Callable[[nn.Module, int], None] | None = None
    class_shares: tuple[float, ...] = ()
    score_trained: Callable[[nn.Module], Sequence[float]] | None = None
    score_share: float = 0.0
    remarks: Path | None = None
    progress: Progress = field(default_factory=Progress)
    validation_seconds: float = 0.0

    def total_steps(self) -> int | None:
        """Return the number of steps of the whole run, None where time decides."""
        if self.settings.steps is not None:
            return self.settings.steps
        if self.settings.epochs is not None:
            return self.settings.epochs * self.steps_per_epoch()
        return None

    def steps_per_epoch(self) -> int:
        """Return how many steps see every picture once."""
        return max(1, math.ceil(len(self.dataset) / (self.settings.batch_size or 1)))


@dataclass
class _Stop:
    requested: bool = False


@contextmanager
def _graceful_stop(display: Display) -> Iterator[_Stop]:
    """Turn the first Ctrl-C (or SIGTERM) into a request, so that the step under way ends and state is saved."""
    stop = _Stop()

    def ask(signum: int, frame: FrameType | None) -> None:
        if stop.requested:
            raise KeyboardInterrupt
        stop.requested = True
        display.say("stopping after this step and saving what was reached (once more: stop at once)")

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def fit(training: Training) -> bool:
    """Train until the steps, the epochs or the time are used up; `training.progress` tells how far it came.

    Returns
    -------
    bool
        False where the user stopped it; the checkpoint then holds all that going on needs.

    Raises
    ------
    TrainingError
        The loss is not finite any more and going back does not help, or memory does not suffice.
    """
    session = _Session(training)
    per_epoch = training.steps_per_epoch()
    progress = session.progress
    with _graceful_stop(training.display) as stop:
        for batch, waited in _timed(_batches(training)):
            if session.share_done() >= 1 and progress.step > 0:
                break
            session.step(batch, waited)
            if session.validation_is_due(per_epoch):
                session.validate()
            if training.epoch_ended is not None and progress.step % per_epoch == 0:
                training.epoch_ended(training.network, progress.step // per_epoch)
            if stop.requested:
                session.save()
                return False
            if session.save_is_due():
                session.save()
        if progress.validated_at < 1:
            session.validate(last=True)
        progress.validated_at = 1.0
        session.save()
        session.good.unlink(missing_ok=True)
    return True


class _Session:
    """A training under way: network, optimiser and schedule on their device, and the counts since the last line."""

    def __init__(self, training: Training) -> None:
        self.training, self.settings, self.compute = training, training.settings, training.compute
        self.peak = training.settings.learning_rate or 1e-3
        self.loss_of = losses.parse(training.settings.loss or losses.USUAL)
        device = self.compute.device
        self.network = training.network.to(device)
        self.network.to(memory_format=self.compute.memory_format)  # type: ignore[call-overload]
        encoder = getattr(self.network, "encoder", None)
        self.encoder: nn.Module = nn.Identity() if encoder is None else encoder
        self.optimizer = build_optimizer(self.network.parameters(), self.settings, self.encoder.parameters())
        self.plateau = plateau(self.optimizer, self.settings)
        scaler: dict[str, Any] = {}
        if training.resume:
            training.progress, scaler = load_checkpoint(training.checkpoint, self.network, self.optimizer)
            if training.progress.plateau:
                self.plateau.load_state_dict(training.progress.plateau)
        self.progress = training.progress
        self.progress.best = max(self.progress.best, training.kept)
        self.health = Health.of(self.progress.health)
        self.set_up()
        if scaler:
            self.fabric.strategy.precision.load_state_dict(scaler)
        weights = training.class_weights
        self.weights = None if weights is None else weights.to(device)
        self.total = training.total_steps()
        self.losses: list[float] = []  # since the last validation
        self.seen = 0
        self.started = time.monotonic()
        self.saved = self.good_saved = -math.inf
        self.save_seconds = 0.0
        self.before = self.progress.seconds
        # A finished run may have been given more time or steps since.
        self.progress.validated_at = min(self.progress.validated_at, self.share_done())
        self.about = Circumstances(
            names=training.dataset.labels.names,
            pictures=len(training.dataset),
            shares=training.class_shares,
            weighted=weights is not None or bool(training.settings.class_weights),
            usual_rate=plan.RATES[training.settings.optimizer],
            workers=training.settings.workers or 0,
            device=device.type,
        )
        self.good = training.checkpoint.with_name("good.safetensors")
        if not training.resume or not self.good.exists():
            self.save_good()
        self.tell([])
        self.network.train()

    def set_up(self) -> None:
        """Wrap network and optimiser for the precision that the settings name, or that the run had to change to."""
        device = self.compute.device
        self.compute = replace(self.compute, precision=self.progress.precision or self.compute.precision)
        self.fabric = Fabric(
            accelerator=device.type,
            devices=[device.index or 0] if device.type == "cuda" else 1,
            precision=self.compute.precision,  # type: ignore[arg-type]  # a Literal of Fabric's
        )
        self.model, self.wrapped = self.fabric.setup(self.network, self.optimizer)

    def share_done(self) -> float:
        """Return how much of the training is done, 0..1."""
        if self.total is not None:
            return min(1.0, self.progress.step / self.total)
        # The validation that ends the run is part of the time, and takes about as long as the last one.
        training = self.training
        last = 1.1 * (training.validation_seconds + self.comparison_seconds())
        return min(1.0, self.progress.seconds / max(1e-3, (training.seconds or 0) - last))

    def comparison_seconds(self) -> float:
        """Return how long it takes to score training pictures, 0 where it is not done."""
        seconds = self.training.score_share * self.training.validation_seconds
        dear = self.training.seconds is not None and seconds > COMPARISON_SHARE * self.training.seconds
        return 0.0 if dear else seconds

    def step(self, batch: Batch, waited: float) -> None:
        """Do one step, on a batch that took so many seconds to come, and tell of it.

        Raises
        ------
        TrainingError
            The loss is lost, and going back to the last good state does not help.
        """
        begin = time.monotonic()
        if self.settings.schedule != "plateau":  # which lowers the rate itself
            epochs = self.progress.samples / len(self.training.dataset)
            set_rate(self.optimizer, self.rate_peak() * rate_factor(self.settings, self.share_done(), epochs))
        self._freeze()
        loss = self._update(batch)
        self.progress.step += 1
        self.progress.samples += len(batch.names)
        self.seen += len(batch.names)
        self.progress.seconds = self.before + time.monotonic() - self.started
        if loss is None:
            self.tell(self.health.leave_out(self.progress.step, batch.names, self.about))
        else:
            self.losses.append(loss)
        if why := self.health.take(loss):
            self._go_back(f"{why}, the last with {', '.join(batch.names)}")
        warm = self.progress.samples > len(self.training.dataset) or self.share_done() > COLD_SHARE
        if warm and self.seen > len(batch.names):  # the first batch also waits for the processes to start
            self.health.time(waited, time.monotonic() - begin)
        share, elapsed = self.share_done(), time.monotonic() - self.started
        left = elapsed * (1 - share) / max(share, 1e-9)
        if self.training.seconds is not None:
            left = max(0.0, self.training.seconds - self.progress.seconds)
        self.training.display.tick(
            Tick(
                step=self.progress.step,
                epoch=self.progress.samples / len(self.training.dataset),
                share=share,
                loss=_mean(self.losses),
                best=self.progress.best if self.progress.best >= 0 else None,
                rate=self.optimizer.param_groups[0]["lr"],
                pictures_per_second=self.seen / max(elapsed, 1e-9),
                seconds_left=left,
            )
        )

    def _freeze(self) -> None:
        """Keep an encoder that was trained before as it is, its statistics too, in the first part of the training."""
        thawed = self.share_done() >= (self.settings.freeze or 0.0)
        self.encoder.train(thawed).requires_grad_(thawed)

    def rate_peak(self) -> float:
        """Return the highest learning rate, as the run had to change it."""
        return self.peak * self.progress.rate_factor

    def tell(self, remarks: Sequence[Remark]) -> None:
        """Say what is new, and write all remarks down."""
        for remark in remarks:
            self.training.display.say(str(remark))
        if self.training.remarks is not None:
            write_remarks(self.training.remarks, self.health.remarks)

    def _go_back(self, why: str) -> None:
        """Go on from the last good state, in float32, or with half the learning rate if that is in use already.

        Steps, samples and time go on: the same pictures do not come again at once, and the run ends when it was to.

        Raises
        ------
        TrainingError
            It was tried often enough, or would change nothing.
        """
        progress, shorter = self.progress, self.compute.precision != "32-true"
        useless = not (shorter or self.health.updates)  # the weights are those of the last good state
        rate = self.optimizer.param_groups[0]["lr"]  # a plateau may have lowered it since
        load_checkpoint(self.good, self.network, self.optimizer)
        if useless or progress.returns >= MOST_RETURNS:
            lower = f"set learning_rate far below {self.rate_peak():.3g}"
            files = "look for values in these files that are huge or no numbers, or lower learning_rate"
            remedy = files if useless and not progress.returns else lower
            remark = Remark("lost", why, f"{remedy}; the best model so far is kept", progress.step)
            self.tell(self.health.go_on(remark))
            # Whoever resumes will have changed something: a new run from here.
            progress.returns, progress.rate_factor, progress.precision = 0, 1.0, ""
            self.save()
            raise TrainingError(why, remedy=remark.remedy)
        progress.returns += 1
        if shorter:
            progress.precision, remedy = "32-true", "in float32"
        else:
            progress.rate_factor /= 2
            rate, remedy = rate / 2, f"with the learning rate halved to {self.rate_peak():.3g}"
        set_rate(self.optimizer, rate)
        self.set_up()
        back = f"going on from the last good state {remedy}"
        self.tell(self.health.go_on(Remark("went back", why, back, progress.step)))

    def _update(self, batch: Batch) -> float | None:
        """Update the weights; return the loss, or None where it was not finite and nothing was changed."""
        device = self.compute.device
        images = batch.images.to(device, memory_format=self.compute.memory_format, non_blocking=True)
        targets = batch.targets.to(device, non_blocking=True)
        pixels = None if batch.weights is None else batch.weights.to(device, non_blocking=True)
        buffers = list(self.network.buffers())
        before = [buffer.clone() for buffer in buffers]  # batch statistics; a bad batch would stay in them for good
        try:
            self.wrapped.zero_grad(set_to_none=True)
            loss = loss_of_outputs(self.loss_of, self.model(images), targets, self.weights, pixels)
            value, statistics = torch.stack([loss.detach(), _total(buffers, loss)]).tolist()
            if not (math.isfinite(value) and statistics < LARGEST):
                _restore(buffers, before)
                return None
            self.fabric.backward(loss)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise ConfigError(
                f"{images.shape[3]} x {images.shape[2]} px, batch of {images.shape[0]}: one pixel at the lowest level",
                "more, for batch norm to have something to average",
                "set a larger scale or batch_size, or a smaller depth",
            ) from None
        except torch.OutOfMemoryError:
            _restore(buffers, before)
            self._save_memory(images)
            return self._update(batch)
        norm = self.fabric.clip_gradients(
            self.model, self.wrapped, max_norm=self.settings.clip, error_if_nonfinite=False
        )
        # float16 has its own guard: the loss scaler leaves such steps out and lowers its factor.
        if self.compute.precision != "16-mixed" and norm is not None and not bool(torch.isfinite(norm)):
            _restore(buffers, before)
            return None
        self.wrapped.step()
        return float(value)

    def _save_memory(self, images: Tensor) -> None:
        """Turn gradient checkpointing on, once.

        Raises
        ------
        TrainingError
            It is on already, or the network has none.
        """
        if getattr(self.network, "checkpointing", True):
            raise TrainingError(
                f"out of memory with a batch of {images.shape[0]} of {images.shape[3]} x {images.shape[2]} px",
                remedy="set a smaller batch_size, crop, scale or width",
            ) from None
        self.training.display.say("out of memory: going on with gradient checkpointing (less memory, a third slower)")
        self.network.use_checkpointing()  # type: ignore[operator]
        self.wrapped.zero_grad(set_to_none=True)
        if images.device.type == "cuda":
            torch.cuda.empty_cache()

    def validation_is_due(self, per_epoch: int) -> bool:
        """Tell whether to validate after this step; the validation that ends the run is not meant."""
        if self.settings.validations_per_epoch or self.settings.validate_every:
            every = self.settings.validate_every or per_epoch // (self.settings.validations_per_epoch or 1)
            return every > 0 and self.progress.step % every == 0
        share, gap = self.share_done(), 1 / (self.settings.validations or VALIDATIONS)
        if self.training.seconds is not None:
            gap = max(gap, self.training.validation_seconds / (VALIDATION_SHARE * max(self.training.seconds, 1)))
        return share - self.progress.validated_at >= gap - 1e-9 and share < 1 - gap / 2

    def validate(self, last: bool = False) -> None:
        """Validate, keep the weights if they are the best so far, log, judge."""
        training, progress = self.training, self.progress
        begin = time.monotonic()
        self.network.eval()
        result = training.validate(self.network)
        training.validation_seconds = time.monotonic() - begin
        progress.seconds = self.before + time.monotonic() - self.started
        progress.validated_at = self.share_done()
        loss = _mean(self.losses)
        if self.settings.schedule == "plateau":
            self.plateau.step(result.score if self.settings.plateau_by == "score" else loss)
        best = result.score > progress.best
        if best:
            progress.best, progress.best_step = result.score, progress.step
            training.keep(self.network, progress)
        values = {
            "epoch": progress.samples / len(training.dataset),
            "seconds": progress.seconds,
            "lr": self.optimizer.param_groups[0]["lr"],
            "train_loss": loss,
            "pictures_per_second": self.seen / max(time.monotonic() - self.started, 1e-9),
            **result.values,
        }
        self.losses.clear()
        for tracker in training.trackers:
            tracker.log(progress.step, values)
            for name, picture in result.pictures.items():
                tracker.picture(progress.step, name, picture)
            tracker.histograms(progress.step, _distributions(self.network) if tracker.wants_histograms else {})
        training.display.say(_line(progress.step, values, best))
        self._check(result, loss, last)
        self.network.train()

    def _check(self, result: Validation, loss: float, last: bool) -> None:
        """Judge from a validation how the training goes, and keep the state if it is a good one."""
        now = Check(
            step=self.progress.step,
            share=1.0 if last else self.share_done(),
            loss=loss,
            score=result.score,
            rate=self.optimizer.param_groups[0]["lr"],
            peak=self.rate_peak(),
            counts=result.counts,
        )
        self.tell(self.health.check(now, self.about))
        if last and self.training.score_trained is not None and self.comparison_seconds():
            self.tell(self.health.compare(now.step, self.training.score_trained(self.network), result.images))
        since = time.monotonic() - self.good_saved
        if not last and self.health.is_good and since > self.save_seconds / CHECKPOINT_SHARE:
            self.save_good()

    def save_good(self) -> None:
        """Keep the state to go back to: in a file, as a resumed run has to go back to the same one."""
        save_checkpoint(self.good, self.network, self.optimizer, self.progress, {})
        self.good_saved = time.monotonic()
        self.health.updates = 0

    def save_is_due(self) -> bool:
        """Tell whether to write a checkpoint; the first one is due at once, and tells how long it takes."""
        least, most = CHECKPOINT_SECONDS
        return time.monotonic() - self.saved > min(most, max(least, self.save_seconds / CHECKPOINT_SHARE))

    def save(self) -> None:
        """Write the checkpoint."""
        begin = time.monotonic()
        self.progress.plateau = self.plateau.state_dict() if self.settings.schedule == "plateau" else {}
        self.progress.health = asdict(self.health)
        scaler = self.fabric.strategy.precision.state_dict()
        save_checkpoint(self.training.checkpoint, self.network, self.optimizer, self.progress, scaler)
        self.saved = time.monotonic()
        self.save_seconds = self.saved - begin


def _distributions(network: nn.Module) -> dict[str, Tensor]:
    """Return weights and gradients by name, for histograms."""
    found = {}
    for name, parameter in network.named_parameters():
        found[f"weights/{name}"] = parameter.detach().float().cpu()
        if parameter.grad is not None:
            found[f"gradients/{name}"] = parameter.grad.float().cpu()
    return {name: tensor for name, tensor in found.items() if bool(torch.isfinite(tensor).all())}


def _restore(tensors: list[Tensor], values: list[Tensor]) -> None:
    for tensor, value in zip(tensors, values, strict=True):
        tensor.copy_(value)


def _total(statistics: Sequence[Tensor], like: Tensor) -> Tensor:
    """Return the sum of all batch statistics, 0 for a network without."""
    floating = [tensor for tensor in statistics if tensor.is_floating_point()]
    return torch.cat(floating).sum() if floating else torch.zeros_like(like)


def _timed(batches: DataLoader[Any]) -> Iterator[tuple[Batch, float]]:
    """Give each batch with the seconds that it was waited for."""
    begin = time.monotonic()
    for batch in batches:
        yield batch, time.monotonic() - begin
        begin = time.monotonic()


def _batches(training: Training) -> DataLoader[Any]:
    workers = training.settings.workers or 0
    return DataLoader(
        training.dataset,
        batch_size=training.settings.batch_size or 1,
        sampler=Numbers(training.progress.samples, 2**62),
        num_workers=workers,
        collate_fn=collate,
        generator=torch.Generator(),  # or each session would draw from the one that the checkpoint holds
        worker_init_fn=_leave_stopping_to_the_parent,
        pin_memory=training.compute.device.type == "cuda",
        prefetch_factor=4 if workers else None,
    )


def _leave_stopping_to_the_parent(worker: int) -> None:
    # Ctrl-C reaches every process of the terminal; the parent still wants a few samples while it saves.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _line(step: int, values: dict[str, float], best: bool) -> str:
    scores = {name.removeprefix("val_"): value for name, value in values.items() if name.startswith("val_")}
    score = "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
    return (
        f"step {step:5d}  epoch {values['epoch']:.1f}  {values['seconds']:.0f} s  loss {values['train_loss']:.4f}  "
        f"{score}{'  best so far' if best else ''}"
    )
