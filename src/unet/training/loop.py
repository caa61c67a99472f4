"""The training loop: read `train_loop` from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing

from torch import nn

from unet import processes
from unet.data.dataset import Batch
from unet.data.loading import sample_batches
from unet.errors import ProcessLost, TrainingError
from unet.trackers.histograms import of_network
from unet.training.checkpoint import GOOD, LAST, link, load_state, save_state
from unet.training.diagnosis import Check, Remark
from unet.training.health import write_remarks
from unet.training.job import Tick, TrainingJob, Validation
from unet.training.step_log import StepLog
from unet.training.stopping import graceful_stop

SAVE_SECONDS = (10.0, 300.0)
"""A killed run loses at most so much work: the less, the faster a state is written ..."""

SAVE_SHARE = 0.01
"""... which takes at most this share of the time ..."""

SAVE_SPEED = 2e8
"""... and is taken to go at so many bytes per second before it was measured."""

MOST_RETURNS = 4
"""A run that is lost goes back to its last good state so often, each time with half the learning rate."""

COLD_SHARE = 0.25
"""The first epoch, in which files are read for the first time, does not tell how fast samples come, up to this share
of the training."""

VALIDATIONS = 10
"""As a rule, evenly spread over the run."""


def train_loop(job: TrainingJob) -> bool:
    """Train until the steps, the epochs or the time are used up; `job.state` tells how far it came.

    Returns
    -------
    bool
        False where the user stopped it; the last state then holds all that going on needs.

    Raises
    ------
    TrainingError
        The loss is not finite any more and going back does not help, or memory does not suffice.
    InputError
        A picture cannot be read, or the disk is full.
    ProcessLost
        Another of several processes has ended; the state is saved.
    """
    saver = _Saver(job)
    try:
        return _train(job, saver)
    except ProcessLost:
        saver.write()  # no step is half done
        raise


def _train(job: TrainingJob, saver: _Saver) -> bool:
    engine, state, settings = job.engine, job.state, job.engine.settings
    over = state.is_finished(job.total_steps, settings.seconds)
    if state.validated_at >= 1 and not over:  # finished, and given more since
        state.added_from = job.share_done
    state.validated_at = 1.0 if over else min(state.validated_at, job.share_done)
    clock, batch_size = _Clock(state.seconds), settings.batch_size or 1
    report_remarks(job, [])
    steps = StepLog(job.trackers, settings.log_every)
    batches = sample_batches(
        job.dataset,
        batch_size=batch_size,
        first=state.samples,
        workers=settings.workers or 0,
        pin_memory=engine.compute.device.type == "cuda",
        place=processes.place(),
    )
    with graceful_stop(job.display.notify) as stop, closing(batches):
        for batch, waited in timed(batches):
            share = job.share_done
            if over or (share >= 1 and state.step > 0):
                break
            begin = time.monotonic()
            loss = engine.step(batch, share, job.epochs, state.added_from)
            state.count(batch_size, loss)
            state.seconds = processes.first(clock.seconds())
            watch_step(job, batch, loss)
            steps.count(state.step, loss, engine.rate, batch_size, waited + time.monotonic() - begin)
            clock.count(batch_size)
            if is_warm(job) and clock.batches > 1:  # the first batch also waits for the processes to start
                state.health.count_seconds(waited, time.monotonic() - begin)
            show(job, clock)
            if validation_is_due(job):
                validate(job, clock, saver)
            if job.epoch_ended is not None and processes.is_first() and state.step % job.steps_per_epoch == 0:
                job.epoch_ended(engine.network, state.step // job.steps_per_epoch)
            stops, is_due = stop.agree(saver.is_due())
            if stops or is_due:
                saver.save()
            if stops:
                return False
        if state.validated_at < 1:
            validate(job, clock, saver, last=True)
        state.validated_at, state.finished_seconds = 1.0, settings.seconds or state.seconds
        saver.save()
        if processes.is_first():
            (job.checkpoints / GOOD).unlink(missing_ok=True)
    return True


# ---- after a step ----


def watch_step(job: TrainingJob, batch: Batch, loss: float | None) -> None:
    """Look at the loss of a step, None where it was not finite; go back to the last good state where all is lost.

    Raises
    ------
    TrainingError
        Going back does not help.
    """
    state = job.state
    if loss is None:
        names = processes.gathered(batch.names)
        report_remarks(job, state.health.leave_out(state.step, names, job.context))
    if why := state.health.count_loss(loss):
        go_back(job, f"{why}, the last with {', '.join(processes.gathered(batch.names))}")


def go_back(job: TrainingJob, why: str) -> None:
    """Go on from the last good state, in float32, or with half the learning rate if that is in use already.

    Steps, samples and time go on: the same pictures do not come again at once, and the run ends when it was to.

    Raises
    ------
    TrainingError
        It was tried often enough, or would change nothing.
    """
    engine, state = job.engine, job.state
    shorter = engine.compute.precision != "32-true"
    unchanged = not (shorter or state.health.updates)  # the weights are those of the last good state
    rate, rate_scale = engine.rate, engine.rate_scale  # a plateau may have lowered the rate since
    good = job.checkpoints / GOOD
    if processes.from_first(good.exists):
        load_state(good, engine)
    else:
        job.restart()
    engine.rate_scale = rate_scale
    if unchanged or state.returns >= MOST_RETURNS:
        lower = f"set learning_rate far below {engine.highest_rate:.3g}"
        mend = "look for values in these files that are huge or no numbers, or lower learning_rate"
        remedy = mend if unchanged and not state.returns else lower
        remark = Remark("lost", why, f"{remedy}; the model kept so far stays", state.step)
        report_remarks(job, state.health.go_on(remark))
        # Whoever resumes will have changed something: a new run from here.
        state.returns, engine.rate_scale = 0, 1.0
        if processes.is_first():
            save_state(job.checkpoints, engine, state)
        raise processes.left_to_first(TrainingError(why, remedy=remark.remedy))
    state.returns += 1
    if shorter:
        engine.use_float32()
        change = "in float32"
    else:
        engine.rate_scale, rate = rate_scale / 2, rate / 2
        change = f"with the learning rate halved to {engine.highest_rate:.3g}"
    engine.set_rate(rate)
    back = f"going on from the last good state {change}"
    report_remarks(job, state.health.go_on(Remark("went back", why, back, state.step)))


def report_remarks(job: TrainingJob, remarks: Sequence[Remark]) -> None:
    """Show what is new, and write all remarks down."""
    for remark in remarks:
        job.display.notify(str(remark))
    if processes.is_first():
        write_remarks(job.remarks, job.state.health.remarks)


def is_warm(job: TrainingJob) -> bool:
    """Tell whether samples come as fast now as they will."""
    return job.state.samples > len(job.dataset) or job.share_done > COLD_SHARE


def show(job: TrainingJob, clock: _Clock) -> None:
    """Show how far the training is."""
    state, share, elapsed = job.state, job.share_done, clock.elapsed()
    left = elapsed * (1 - share) / max(share, 1e-9)
    if job.budget.seconds is not None:
        left = max(0.0, job.budget.seconds - state.seconds)
    job.display.tick(
        Tick(
            step=state.step,
            epoch=job.epochs,
            share=share,
            loss=state.mean_loss,
            best=state.best if state.best >= 0 and not job.engine.settings.keep_last else None,
            rate=job.engine.rate,
            pictures_per_second=clock.samples / max(elapsed, 1e-9),
            seconds_left=left,
        )
    )


# ---- validations ----


def validation_is_due(job: TrainingJob) -> bool:
    """Tell whether to validate after this step; the validation that ends the run is not meant."""
    settings, state = job.engine.settings, job.state
    if settings.validations_per_epoch or settings.validate_every:
        every = settings.validate_every or job.steps_per_epoch // (settings.validations_per_epoch or 1)
        return every > 0 and state.step % every == 0
    gap = job.budget.validation_gap(1 / (settings.validations or VALIDATIONS), state.validation_seconds)
    share = job.share_done
    return share - state.validated_at >= gap - 1e-9 and share < 1 - gap / 2


def validate(job: TrainingJob, clock: _Clock, saver: _Saver, last: bool = False) -> None:
    """Score the validation pictures, keep the weights if they are the best so far or the last are wanted, log."""
    engine, state = job.engine, job.state
    keep_last = engine.settings.keep_last
    begin = time.monotonic()
    with engine.evaluating() as network:
        result = job.scorer.validate(network)
        state.validation_seconds = processes.first(time.monotonic() - begin)
        state.seconds, state.validated_at = processes.first(clock.seconds()), job.share_done
        loss = state.mean_loss
        engine.validated(result.score, loss, result.loss)
        is_best = result.score > state.best and not keep_last
        row = {
            "step": state.step,
            "epoch": job.epochs,
            "seconds": state.seconds,
            "lr": engine.rate,
            "train_loss": loss,
            "val_loss": result.loss,
            "pictures_per_second": clock.samples / max(clock.elapsed(), 1e-9),
            **result.values,
        }
        state.rows.append(row)
        state.loss_sum, state.loss_count = 0.0, 0
        if is_best or keep_last:
            state.best, state.best_step = result.score, state.step
            if processes.is_first():
                job.scorer.keep(network, state)
        log(job, row, result)
        job.display.notify(_line(row, is_best))
        diagnose(job, network, result, loss, last)
    if not last and state.health.is_good:
        saver.save_good()


def log(job: TrainingJob, row: dict[str, float], result: Validation) -> None:
    """Hand the numbers and pictures of a validation to the trackers."""
    values = {name: value for name, value in row.items() if name != "step"}
    values |= {f"iou/{name}": value for name, value in result.classes.items()}
    wanted = any(tracker.wants_histograms for tracker in job.trackers)
    histograms = of_network(job.engine.network) if wanted else {}
    for tracker in job.trackers:
        tracker.log(job.state.step, values)
        for name, picture in result.pictures.items():
            tracker.picture(job.state.step, name, picture)
        tracker.histograms(job.state.step, histograms)


def diagnose(job: TrainingJob, network: nn.Module, result: Validation, loss: float, last: bool) -> None:
    """Say what a validation shows of how the training goes."""
    state = job.state
    check = Check(
        step=state.step,
        share=1.0 if last else job.share_done,
        loss=loss,
        score=result.score,
        rate=job.engine.rate,
        peak=job.engine.highest_rate,
        counts=result.counts,
    )
    report_remarks(job, state.health.check(check, job.context))
    if last and job.budget.compares(state.validation_seconds):
        report_remarks(job, state.health.compare(state.step, job.scorer.score_trained(network), result.images))


# ---- helpers ----


class _Clock:
    """Times a session of a training, which goes on from earlier ones."""

    def __init__(self, before: float) -> None:
        self.before, self.started = before, time.monotonic()
        self.samples = self.batches = 0

    def elapsed(self) -> float:
        """Seconds of this session."""
        return time.monotonic() - self.started

    def seconds(self) -> float:
        """Seconds of all sessions."""
        return self.before + self.elapsed()

    def count(self, samples: int) -> None:
        """Take note of a batch."""
        self.samples += samples
        self.batches += 1


class _Saver:
    """Writes states, the more often the faster that goes."""

    def __init__(self, job: TrainingJob) -> None:
        # Most optimisers hold two more numbers for each weight.
        self.job, self.cost = job, 3 * _bytes_of_weights(job.engine.network) / SAVE_SPEED
        self.saved = self.good_saved = time.monotonic()

    def is_due(self) -> bool:
        """Tell whether to write a state."""
        least, most = SAVE_SECONDS
        return time.monotonic() - self.saved > min(most, max(least, self.cost / SAVE_SHARE))

    def save(self) -> None:
        """Write a state, which all processes have come to."""
        self.job.engine.synchronise()
        self.write()

    def write(self) -> None:
        """Write the state of this process, if it is the first."""
        begin = time.monotonic()
        if processes.is_first():
            save_state(self.job.checkpoints, self.job.engine, self.job.state)
        self.saved = time.monotonic()
        self.cost = self.saved - begin

    def save_good(self) -> None:
        """Keep a state to go back to, in a file, as a resumed run has to go back to the same one; not too often."""
        if processes.first(time.monotonic() - self.good_saved > self.cost / SAVE_SHARE):
            self.job.state.health.updates = 0
            self.save()
            self.good_saved = self.saved
            if processes.is_first():
                link(self.job.checkpoints / LAST, self.job.checkpoints / GOOD)


def timed(batches: Iterable[Batch]) -> Iterator[tuple[Batch, float]]:
    """Give each batch with the seconds that it was waited for."""
    begin = time.monotonic()
    for batch in batches:
        yield batch, time.monotonic() - begin
        begin = time.monotonic()


def _bytes_of_weights(network: nn.Module) -> int:
    return sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())


def _line(row: dict[str, float], is_best: bool) -> str:
    values = {name: value for name, value in row.items() if name.startswith("val_")}
    scores = {name.removeprefix("val_") if name != "val_loss" else name: value for name, value in values.items()}
    listing = "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
    return (
        f"step {row['step']:5d}  epoch {row['epoch']:.1f}  {row['seconds']:.0f} s  loss {row['train_loss']:.4f}  "
        f"{listing}{'  best so far' if is_best else ''}"
    )
