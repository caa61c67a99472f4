"""Batches of samples, prepared in this process or by workers; no worker outlives what it works for."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import traceback
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from multiprocessing import connection, get_start_method, parent_process, resource_tracker
from multiprocessing.process import BaseProcess

import torch
from torch.utils.data import DataLoader, Dataset

from unet.data.dataset import Batch, SegmentationDataset, collate
from unet.errors import UnetError
from unet.processes import ONE, Place, share_of

PREFETCH = 4
"""Batches that each worker prepares ahead."""

_JOIN_SECONDS = 5.0  # until a worker that does not end is killed
_HELD_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def sample_batches(
    dataset: SegmentationDataset,
    *,
    batch_size: int,
    first: int,
    workers: int,
    pin_memory: bool = False,
    place: Place = ONE,
) -> Generator[Batch, None, None]:
    """Yield the samples `first`, `first + 1`, ... in batches without end, the same whatever the number of workers.

    Parameters
    ----------
    dataset : SegmentationDataset
    batch_size, first : int
    workers : int
        Processes that prepare batches; 0: this one does. They start with the first batch, and are gone when the
        generator ends or is closed, at an error or ctrl-C too. They ignore SIGINT, which ctrl-C sends to the whole
        process group, as the parent may still want some batches while it stops. They end by SIGTERM, and where it
        was meant for the whole group (as batch systems send it) this process prepares what it still wants itself.
    pin_memory : bool
        For a faster copy to a GPU.
    place : Place
        Of this process among those that share the samples of each batch.

    Raises
    ------
    UnetError
        What the dataset raises, in a worker as in this process; a worker was killed.
    """
    if workers > 0:
        first = yield from _from_workers(dataset, batch_size, first, workers, pin_memory, place)
    for number in count(first, batch_size):
        batch = make_batch(dataset, number, batch_size, place)
        yield batch.pin_memory() if pin_memory else batch


def make_batch(dataset: SegmentationDataset, first: int, batch_size: int, place: Place = ONE) -> Batch:
    """Return a batch of the samples from `first` on, or the part of it that one of several processes computes."""
    return collate([dataset[first + number] for number in share_of(batch_size, place)])


@dataclass(frozen=True)
class _Failure:
    error: Exception
    traceback: str


class _WorkerTraceback(Exception):
    """Where an error was raised in a worker: shown with --debug."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class _Batches(Dataset[Batch | _Failure]):
    """Batches in shared memory, by the number of their first sample."""

    def __init__(self, dataset: SegmentationDataset, batch_size: int, place: Place) -> None:
        self.dataset, self.batch_size, self.place = dataset, batch_size, place

    def __getitem__(self, first: int) -> Batch | _Failure:
        # An error is returned: of one that is raised, DataLoader hands on no more than the text.
        try:
            batch = make_batch(self.dataset, first, self.batch_size, self.place)
            _share(batch)
            return batch
        except Exception as error:
            pickle.loads(pickle.dumps(error))  # one that cannot be sent goes the other way
            return _Failure(error, traceback.format_exc())


def _share(batch: Batch) -> None:
    """Move a batch to shared memory."""
    # DataLoader would do it in a thread whose errors it prints only, and the parent would wait forever.
    try:
        for tensor in (batch.images, batch.targets, batch.weights):
            if tensor is not None:
                tensor.share_memory_()  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise UnetError(
            f"no room in shared memory for a batch ({error})",
            remedy="set workers=0, or allow more shared memory (docker run --shm-size=4g)",
        ) from error


def _from_workers(
    dataset: SegmentationDataset, batch_size: int, first: int, workers: int, pin_memory: bool, place: Place
) -> Generator[Batch, None, int]:
    """Yield batches as `sample_batches` does until the workers are ended by SIGTERM; return which sample is next."""
    loader = DataLoader(
        _Batches(dataset, batch_size, place),
        batch_size=None,
        sampler=range(first, 2**62, batch_size),
        num_workers=workers,
        generator=torch.Generator(),  # else it would draw from torch's own, whose state the checkpoint holds
        worker_init_fn=_start_worker,
        pin_memory=pin_memory,
        prefetch_factor=PREFETCH,
    )
    processes: Sequence[BaseProcess] = ()
    try:
        with _signals_held():
            batches = iter(loader)
            processes = batches._workers  # type: ignore[attr-defined]
        while all(process.is_alive() for process in processes):
            try:
                result = next(batches)
            except Exception:
                if not connection.wait([process.sentinel for process in processes], timeout=1):
                    raise
                break
            if isinstance(result, _Failure):
                raise result.error from _WorkerTraceback(result.traceback)
            yield result
            first += batch_size
        _check_exit_codes(processes)
        return first
    finally:
        _end(processes)


def _check_exit_codes(processes: Sequence[BaseProcess]) -> None:
    """Raise an error where a worker has ended otherwise than by SIGTERM."""
    ended = connection.wait([process.sentinel for process in processes], timeout=0)
    for process in processes:
        if process.sentinel in ended:
            process.join()  # the sentinel is ready a moment before the exit code is known
        code = process.exitcode
        if code is not None and code != -signal.SIGTERM:
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            raise UnetError(
                f"a worker process that prepares samples {how}",
                remedy="as a rule memory ran out: set fewer workers (workers=0: none) or a smaller batch_size or crop",
            )


@contextmanager
def _signals_held() -> Iterator[None]:
    """Keep signals from workers until `_start_worker` has run, and keep torch from raising errors at any place."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    if get_start_method() != "fork":
        resource_tracker.ensure_running()  # else it is started within, and unblocks the signals for what follows
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_SIGNALS)
    handler = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        # DataLoader's handler raises a RuntimeError in the midst of whatever runs when a worker is killed.
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _start_worker(worker: int) -> None:
    """Prepare this process, a worker: what it does with signals, and that it ends with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a forked process has inherited the parent's handler
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD_SIGNALS)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _end(processes: Sequence[BaseProcess]) -> None:
    """End processes and wait until they are gone."""
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(_JOIN_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()
