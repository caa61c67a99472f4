"""Several processes that train one network: who they are, and how they agree. With one process all of it is nothing.

Every process runs the same code with the same settings. What one of them must do or decide alone (files, time) is done
by the first; what is added up is added up as counts, so that the result is that of one process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from unet.errors import ProcessLost

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")

WAIT, STEP_WAIT = timedelta(hours=12), timedelta(hours=1)
"""How long a process waits for another: for its reading and its report, or in a step. A dead one is noticed at once."""

LOST = ("connection closed", "connection reset", "broken pipe", "timed out", "gloo", "nccl", "socket")
"""Parts of what torch.distributed says, in lower case, where another process is gone."""


@dataclass(frozen=True)
class Place:
    """Which process this is.

    Attributes
    ----------
    rank, count : int
        Among all.
    local_rank, local_count : int
        Among those of its machine.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1


ONE = Place()

_place = _among_all = ONE
_group: Any = None


def place() -> Place:
    """Return which process this is of those that work together now."""
    return _place


def among_all() -> Place:
    """Return which process this is of those that train together, also while it works alone."""
    return _among_all


def count() -> int:
    """Return how many processes work together now."""
    return _place.count


def is_first() -> bool:
    """Tell whether this process writes and decides."""
    return _place.rank == 0


# ---- to come together ----


def started_as() -> Place:
    """Return which process this is by what started it: torchrun, srun, or a program that joined processes itself."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():  # Ray Train
        rank, world = distributed.get_rank(), distributed.get_world_size()
        return Place(rank, world, _number("LOCAL_RANK", rank), _number("LOCAL_WORLD_SIZE", world))
    if "TORCHELASTIC_RUN_ID" in os.environ:
        size = _number("WORLD_SIZE", 1)
        return Place(_number("RANK", 0), size, _number("LOCAL_RANK", 0), _number("LOCAL_WORLD_SIZE", size))
    # Set for the processes of a step, not for the script that calls srun, which may have the other variables too.
    if (size := _number("SLURM_STEP_NUM_TASKS", 1)) > 1:
        per_node = os.environ.get("SLURM_STEP_TASKS_PER_NODE", str(size)).partition("(")[0].partition(",")[0]
        return Place(_number("SLURM_PROCID", 0), size, _number("SLURM_LOCALID", 0), int(per_node))
    return ONE


def _number(name: str, otherwise: int) -> int:
    return int(os.environ.get(name, otherwise))


@contextmanager
def joined(where: Place | None = None, store: Path | None = None) -> Iterator[None]:
    """Let this process be one of several in the block, if it was started as one.

    Parameters
    ----------
    where : Place, optional
        Found out if left out.
    store : Path, optional
        A file, which all processes know, for them to find each other; otherwise the first is asked, as its environment
        says.

    Raises
    ------
    ProcessLost
        The others cannot be reached.
    """
    global _place, _among_all, _group
    where = started_as() if where is None else where
    if where.count == 1 or _place.count > 1:
        yield
        return
    import torch
    from torch import distributed

    found = distributed.is_initialized()
    if torch.cuda.is_available():
        torch.cuda.set_device(where.local_rank % torch.cuda.device_count())
    with _noticing():
        if not found:
            backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
            if store is None:
                _take_slurm_address()
            method = "env://" if store is None else store.absolute().as_uri()
            distributed.init_process_group(
                backend, init_method=method, rank=where.rank, world_size=where.count, timeout=STEP_WAIT
            )
        _group = distributed.new_group(backend="gloo", timeout=WAIT)
    _place = _among_all = where
    try:
        yield
        if not found:  # after an error nobody answers any more
            distributed.destroy_process_group()
    finally:
        _place = _among_all = ONE
        _group = None


def _take_slurm_address() -> None:
    """Set the address of the first process from what Slurm says, where neither torchrun nor the user has set one."""
    nodes = os.environ.get("SLURM_STEP_NODELIST")
    if nodes is None or "TORCHELASTIC_RUN_ID" in os.environ:
        return
    if "MASTER_ADDR" not in os.environ:
        # Only this of Lightning's class, which refuses jobs that ask for tasks by --ntasks.
        from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

        os.environ["MASTER_ADDR"] = SLURMEnvironment.resolve_root_node_address(nodes)
    # All know the number of their job; of two jobs on one machine each has another port.
    os.environ.setdefault("MASTER_PORT", str(15000 + _number("SLURM_JOB_ID", 0) % 10000))


@contextmanager
def alone() -> Iterator[None]:
    """Let this process work by itself in the block: what is asked of all is asked of it alone."""
    global _place
    before = _place
    _place = ONE
    try:
        yield
    finally:
        _place = before


# ---- what the first one does ----


def from_first(task: Callable[[], T]) -> T:
    """Let the first process do something; return to all what it returned.

    Where it raises an error, the others end without a word.
    """
    if count() == 1:
        return task()
    if is_first():
        try:
            with alone():
                result = task()
        except BaseException:
            _broadcast((False, None))
            raise
        _broadcast((True, result))
        return result
    done, result = _broadcast(None)
    if not done:
        raise SystemExit(0)
    return cast("T", result)


@contextmanager
def by_first(context: AbstractContextManager[Any]) -> Iterator[None]:
    """Enter a context in the first process only."""
    if not is_first():
        yield
        return
    with context:
        yield


def left_to_first(error: BaseException) -> BaseException:
    """Return an error that all processes have come to: it is the first's to tell, and the others end without a word."""
    return error if is_first() else SystemExit(0)


def _broadcast(value: Any) -> Any:
    from torch import distributed

    held = [value]
    with _noticing():
        distributed.broadcast_object_list(held, src=0, group=_group)
    return held[0]


# ---- what all agree on ----


def first(value: float) -> float:
    """Return the number of the first process."""
    return value if count() == 1 else most(value if is_first() else -float("inf"))[0]


def most(*values: float) -> list[float]:
    """Return the largest of all processes for each number."""
    if count() == 1:
        return list(values)
    import torch
    from torch import distributed

    tensor = torch.tensor(values, dtype=torch.float64)
    with _noticing():
        distributed.all_reduce(tensor, distributed.ReduceOp.MAX, group=_group)
    return tensor.tolist()


def share_of(length: int, where: Place | None = None) -> range:
    """Return which of so many things are this process's: neighbours, and those of all processes together are all.

    Examples
    --------
    >>> share_of(5)
    range(0, 5)
    >>> share_of(5, Place(0, 2)), share_of(5, Place(1, 2))
    (range(0, 2), range(2, 5))
    """
    where = place() if where is None else where
    return range(length * where.rank // where.count, length * (where.rank + 1) // where.count)


def gathered(part: Sequence[T]) -> list[T]:
    """Return the things of all processes, in their order."""
    if count() == 1:
        return list(part)
    from torch import distributed

    parts: list[Any] = [None] * count()
    with _noticing():
        distributed.all_gather_object(parts, list(part), group=_group)
    return [thing for each in parts for thing in each]


def add_up(tensor: Tensor) -> None:
    """Replace a tensor by the sum of those of all processes; no gradient goes this way."""
    if count() > 1:
        from torch import distributed

        with _noticing():
            distributed.all_reduce(tensor)


# ---- the death of others ----


@contextmanager
def _noticing() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise (lost(error) or error) from None


def lost(error: BaseException) -> ProcessLost | None:
    """Return what an error of one of several processes means if another is gone, None if it is something else."""
    text = str(error).lower()
    return ProcessLost("another process of the training has ended") if any(sign in text for sign in LOST) else None
