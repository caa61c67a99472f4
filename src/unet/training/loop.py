"""The training loop: plain, for one recipe, on whatever device Lightning Fabric was told to use."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from unet import plan
from unet.data.dataset import Batch, Numbers, collate
from unet.errors import TrainingError
from unet.training.checkpoint import load_checkpoint, save_checkpoint
from unet.training.health import Check, Circumstances, Health, Remark, write_remarks
from unet.training.job import Tick, Training, Validation
from unet.training.optim import build_optimizer, set_rate
from unet.training.schedule import plateau, rate_factor
from unet.training.stopping import graceful_stop, leave_to_the_parent
from unet.training.update import Updater

CHECKPOINT_SECONDS = (10.0, 300.0)
"""A killed run loses at most so much work: the less, the faster a checkpoint is written ..."""

CHECKPOINT_SHARE = 0.03
"""... which takes at most this share of the time."""

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


def train_loop(training: Training) -> bool:
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
    with graceful_stop(training.display.say) as stop:
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
        self.training, self.settings = training, training.settings
        self.peak = training.settings.learning_rate or 1e-3
        compute = training.compute
        self.network = training.network.to(compute.device)
        self.network.to(memory_format=compute.memory_format)  # type: ignore[call-overload]
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
        compute = replace(compute, precision=self.progress.precision or compute.precision)
        weights, say = training.class_weights, training.display.say
        self.updater = Updater(self.network, self.optimizer, self.settings, compute, weights, say)
        self.updater.load_state_dict(scaler)
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
            device=compute.device.type,
        )
        self.good = training.checkpoint.with_name("good.safetensors")
        if not training.resume or not self.good.exists():
            self.save_good()
        self.tell([])
        self.network.train()

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
        loss = self.updater.update(batch)
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
        progress, shorter = self.progress, self.updater.compute.precision != "32-true"
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
        if shorter:
            self.updater.use_float32()
        back = f"going on from the last good state {remedy}"
        self.tell(self.health.go_on(Remark("went back", why, back, progress.step)))

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
        state = self.updater.state_dict()
        save_checkpoint(self.training.checkpoint, self.network, self.optimizer, self.progress, state)
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
        worker_init_fn=leave_to_the_parent,
        pin_memory=training.compute.device.type == "cuda",
        prefetch_factor=4 if workers else None,
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _line(step: int, values: dict[str, float], best: bool) -> str:
    scores = {name.removeprefix("val_"): value for name, value in values.items() if name.startswith("val_")}
    score = "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
    return (
        f"step {step:5d}  epoch {values['epoch']:.1f}  {values['seconds']:.0f} s  loss {values['train_loss']:.4f}  "
        f"{score}{'  best so far' if best else ''}"
    )
