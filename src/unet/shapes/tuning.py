"""Many ways to make shapes of one edge map, each scored against the true ones, in parallel.

What they share is made once: the edge map's tree of basins, the true shapes. The processes are forked, so that all of
them see the same memory.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import connection
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.errors import InputError, UnetError
from unet.shapes.closing import MinTree, min_tree
from unet.shapes.components import threshold_components
from unet.shapes.scores import ShapeScores, shape_scores
from unet.shapes.watershed import filtered_watershed

CURVE_IOUS = np.arange(101) / 100
"""Where the F of each candidate is kept for figures."""

WORKER_BYTES = 24
"""Of memory for each pixel that a process needs of its own, at most; measured on a sheet of 33 million pixels: 17."""


@dataclass(frozen=True)
class Candidate:
    """A way to make shapes: joint closing and watershed; with a threshold, components of what is at most so high."""

    dynamic: int = 0
    area: int = 0
    threshold: int | None = None

    def __str__(self) -> str:
        if self.threshold is not None:
            return f"components, threshold {self.threshold}"
        return f"dynamic {self.dynamic}, area {self.area}"


@dataclass(frozen=True, eq=False)
class Sheet:
    """An edge map with what its shapes should be.

    Attributes
    ----------
    epm : uint8 array (H, W)
        Calibrated, if it is to be.
    truth : integer array (H, W)
        The label map of the true shapes.
    content : bool array (H, W), optional
        What is outside counts nowhere.
    count_background : bool
    iou : float
        See `unet.shapes.scores.shape_scores`.
    """

    epm: NDArray[np.uint8]
    truth: NDArray[Any]
    content: NDArray[np.bool_] | None = None
    count_background: bool = False
    iou: float = 0.5

    def score(self, label_map: NDArray[Any]) -> ShapeScores:
        """Return the scores of a label map of this sheet."""
        return shape_scores(self.truth, label_map, self.content, self.count_background, self.iou)


def grid(dynamics: Sequence[int], areas: Sequence[int], thresholds: Sequence[int] = ()) -> list[Candidate]:
    """Return all pairs of a dynamic and an area, and the thresholds of components.

    Raises
    ------
    InputError
        There is none, or a negative number.

    Examples
    --------
    >>> [str(candidate) for candidate in grid([0, 5], [50], [1])]
    ['dynamic 0, area 50', 'dynamic 5, area 50', 'components, threshold 1']
    """
    for name, numbers in (("dynamic", dynamics), ("area", areas), ("threshold", thresholds)):
        if any(number < 0 for number in numbers):
            raise InputError(f"{name} {min(numbers)}", "0 or more", f"choose another {name}")
    if not dynamics or not areas:
        raise InputError("no setting to try", "one dynamic and one area at least")
    pairs = [Candidate(dynamic, area) for dynamic in dict.fromkeys(dynamics) for area in dict.fromkeys(areas)]
    return pairs + [Candidate(threshold=threshold) for threshold in dict.fromkeys(thresholds)]


def score_candidates(
    sheet: Sheet, candidates: Sequence[Candidate], workers: int | None = None
) -> Iterator[tuple[Candidate, dict[str, Any]]]:
    """Yield the candidates with their scores, as they are done.

    Parameters
    ----------
    sheet : Sheet
    candidates : sequence of Candidate
    workers : int, optional
        Processes (threads where processes cannot share memory, which is everywhere but on Linux); by default one for
        each processor, fewer where memory is short. With 1 everything is done by this process.

    Yields
    ------
    Candidate
    dict
        What `ShapeScores.to_dict` returns, `curve` (F at each of `CURVE_IOUS`) and `seconds`.

    Raises
    ------
    UnetError
        A process was killed.

    Examples
    --------
    >>> epm = np.array([[0, 3, 0, 9, 0, 3, 0, 0]], dtype=np.uint8)
    >>> sheet = Sheet(epm, truth=np.array([[1, 1, 1, 0, 2, 2, 2, 2]]))
    >>> candidates = grid(dynamics=[0, 3], areas=[1])
    >>> {str(candidate): found["tp"] for candidate, found in score_candidates(sheet, candidates, workers=1)}
    {'dynamic 0, area 1': 0, 'dynamic 3, area 1': 2}
    """
    tree = min_tree(sheet.epm) if any(candidate.threshold is None for candidate in candidates) else None
    workers = min(workers or _default_workers(sheet.epm.size), max(1, len(candidates)))
    if workers == 1:
        for candidate in candidates:
            yield candidate, _score(sheet, tree, candidate)
        return
    _SHARED.append((sheet, tree))
    executor = _executor(workers)
    try:
        # All at once: the processes start here, before whoever is called at each result starts threads.
        jobs = {executor.submit(_score_shared, candidate): candidate for candidate in candidates}
        for job in as_completed(jobs):
            yield jobs[job], job.result()
    except BrokenProcessPool:
        raise UnetError(
            "a process that filtered the edge map was killed", "", "if memory is short, say --workers 1"
        ) from None
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
        _SHARED.clear()


_SHARED: list[tuple[Sheet, MinTree | None]] = []
"""What forked processes find in their memory."""


def _score_shared(candidate: Candidate) -> dict[str, Any]:
    return _score(*_SHARED[0], candidate)


def _score(sheet: Sheet, tree: MinTree | None, candidate: Candidate) -> dict[str, Any]:
    start = perf_counter()
    if candidate.threshold is not None or tree is None:
        label_map = threshold_components(sheet.epm, candidate.threshold or 0)
    else:
        label_map = filtered_watershed(tree, candidate.dynamic, candidate.area)
    scores = sheet.score(label_map)
    curve = [None if np.isnan(f) else round(float(f), 6) for f in scores.at(CURVE_IOUS).f]
    return {**scores.to_dict(), "curve": curve, "seconds": round(perf_counter() - start, 3)}


def _default_workers(pixels: int) -> int:
    import psutil

    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(processors, int(psutil.virtual_memory().available // (WORKER_BYTES * pixels))))


def _executor(workers: int) -> Executor:
    if sys.platform != "linux":  # elsewhere processes do not fork, or not safely
        return ThreadPoolExecutor(workers)
    return ProcessPoolExecutor(workers, multiprocessing.get_context("fork"), _end_with_parent)


def _end_with_parent() -> None:
    """Make a worker end at ctrl-C without a word, and when the process that it works for is gone."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_watch, args=(parent.sentinel,), daemon=True).start()


def _watch(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
