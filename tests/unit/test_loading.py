"""Batches from workers: those of one process, its errors too, and no worker left when they end."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest
import torch

from unet.data.augment import PRESETS
from unet.data.dataset import Batch, Borders, Sample, SegmentationDataset, collate
from unet.data.loading import sample_batches
from unet.data.pairs import find_pairs
from unet.data.sample_store import SampleStore
from unet.errors import DataError, RasterError, UnetError
from unet.labels import Labels
from unet.preprocessing import Preprocessing

DataMaker = Callable[..., Path]

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="signals are another matter there"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),  # Python 3.12 on Linux: our workers do not mind
]


def samples(folder: Path, store: SampleStore | None = None) -> SegmentationDataset:
    return SegmentationDataset(
        find_pairs(folder)["all"],
        Labels.numbered(2),
        Preprocessing(),
        crop=(16, 16),
        augmentation=PRESETS["strong"],
        borders=Borders(10, 5),
        store=store,
    )


def same(left: Batch, right: Batch) -> bool:
    pairs = zip(vars(left).values(), vars(right).values(), strict=True)
    return all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in pairs)


def take(batches: Iterator[Batch], count: int) -> list[Batch]:
    return [next(batches) for _ in range(count)]


@pytest.fixture
def workers() -> Iterator[Callable[[], list[psutil.Process]]]:
    """A function that returns the processes started in the test; none of them may be left at its end."""
    gc.collect()  # a loader of an earlier test would be finalized, with a complaint, in a worker that is forked
    before = psutil.Process().children(recursive=True)

    def started() -> list[psutil.Process]:
        return [child for child in psutil.Process().children(recursive=True) if child not in before]

    yield started
    assert not started()


Workers = Callable[[], list[psutil.Process]]


@pytest.mark.slow
def test_workers_change_nothing(make_data: DataMaker, tmp_path: Path, workers: Workers) -> None:
    data = samples(make_data(count=3))
    expected = [collate([data[first], data[first + 1]]) for first in range(5, 21, 2)]
    state = torch.get_rng_state()
    for count in (0, 1, 3):
        for store in (None, SampleStore(tmp_path / f"cache{count}", 1 << 20)):
            data.store = store
            with closing(sample_batches(data, batch_size=2, first=5, workers=count)) as batches:
                assert all(same(next(batches), batch) for batch in expected)
                assert len(workers()) == count
            assert not workers(), "gone once it is closed"
    assert torch.equal(torch.get_rng_state(), state), "a resumed training has the generator of its checkpoint"


@pytest.mark.slow
@pytest.mark.parametrize("count", [0, 2])
def test_an_error_is_the_same_from_a_worker(make_data: DataMaker, workers: Workers, count: int) -> None:
    folder = make_data(count=3)
    path = folder / "imgs" / "p01.png"
    data = samples(folder)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RasterError) as caught:
        take(sample_batches(data, batch_size=1, first=0, workers=count), 3)
    assert caught.value.exit_code == 2 and caught.value.kind == "truncated"
    assert str(caught.value).startswith(f"{path} is cut off") and "\n" not in str(caught.value)
    assert not workers()


class Failing(SegmentationDataset):
    """Raises an error for sample 3."""

    error: Exception

    def __getitem__(self, number: int) -> Sample:
        if number == 3:
            raise self.error
        return super().__getitem__(number)


class Unsendable(Exception):
    """Cannot be unpickled, as it wants two arguments."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def failing(folder: Path, error: Exception) -> SegmentationDataset:
    data = samples(folder)
    data.__class__ = Failing
    data.error = error  # type: ignore[attr-defined]
    return data


@pytest.mark.slow
def test_all_that_an_error_holds_comes_along(make_data: DataMaker, workers: Workers) -> None:
    error = DataError("two pairs", "none", "mend them", ["a.png", "b.png"], kind="truncated")
    with pytest.raises(DataError) as caught:
        take(sample_batches(failing(make_data(), error), batch_size=1, first=0, workers=1), 4)
    assert vars(caught.value) == vars(error) and str(caught.value) == str(error)
    assert "in __getitem__" in str(caught.value.__cause__), "where it was raised"


@pytest.mark.slow
def test_an_error_that_cannot_be_sent(make_data: DataMaker, workers: Workers) -> None:
    data = failing(make_data(), Unsendable("strange", "error"))
    with pytest.raises(Exception, match="strange error"):
        take(sample_batches(data, batch_size=1, first=0, workers=1), 4)


@pytest.mark.slow
def test_no_room_in_shared_memory(make_data: DataMaker, monkeypatch: pytest.MonkeyPatch, workers: Workers) -> None:
    def full(self: torch.Tensor) -> None:
        raise RuntimeError("unable to write to file </torch_1_2>: No space left on device (28)")

    monkeypatch.setattr(torch.Tensor, "share_memory_", full)
    with pytest.raises(UnetError, match=r"No space left on device.*; set workers=0, or allow more shared memory"):
        next(sample_batches(samples(make_data()), batch_size=1, first=0, workers=1))


@pytest.mark.slow
def test_a_worker_that_is_killed(make_data: DataMaker, workers: Workers) -> None:
    batches = sample_batches(samples(make_data()), batch_size=1, first=0, workers=2)
    next(batches)
    killed = workers()[0]
    os.kill(killed.pid, signal.SIGKILL)
    while killed.status() != psutil.STATUS_ZOMBIE:  # torch would raise its error here, in the midst of a step
        time.sleep(0.01)
    with pytest.raises(UnetError, match=r"worker process .* was killed by SIGKILL; .*set fewer workers") as caught:
        take(batches, 100)
    assert "\n" not in str(caught.value)
    assert not workers()


@pytest.mark.slow
def test_a_worker_that_is_killed_while_it_is_waited_for(make_data: DataMaker, workers: Workers) -> None:
    class Killed(SegmentationDataset):
        def __getitem__(self, number: int) -> Sample:
            if number == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__getitem__(number)

    data = samples(make_data())
    data.__class__ = Killed
    with pytest.raises(UnetError, match="was killed by SIGKILL"):
        take(sample_batches(data, batch_size=1, first=0, workers=1), 4)
    assert not workers()


@pytest.mark.slow
def test_ctrl_c_is_left_to_the_parent(make_data: DataMaker, workers: Workers) -> None:
    with closing(sample_batches(samples(make_data()), batch_size=1, first=0, workers=2)) as batches:
        next(batches)
        before = workers()
        for worker in before:
            os.kill(worker.pid, signal.SIGINT)
        take(batches, 30)
        assert workers() == before


@pytest.mark.slow
def test_a_sigterm_ends_workers_and_the_parent_goes_on(make_data: DataMaker, workers: Workers) -> None:
    data = samples(make_data())
    with closing(sample_batches(data, batch_size=2, first=4, workers=2)) as batches:
        assert same(next(batches), collate([data[4], data[5]]))
        for worker in workers():
            os.kill(worker.pid, signal.SIGTERM)
        for first in range(6, 46, 2):
            assert same(next(batches), collate([data[first], data[first + 1]]))
        assert not workers()


@pytest.mark.slow
def test_closed_while_workers_are_busy(make_data: DataMaker, workers: Workers) -> None:
    class Endless(SegmentationDataset):
        def __getitem__(self, number: int) -> Sample:
            while number > 0:
                time.sleep(1)
            return super().__getitem__(number)

    data = samples(make_data())
    data.__class__ = Endless
    batches = sample_batches(data, batch_size=1, first=0, workers=2)
    next(batches)
    assert len(workers()) == 2
    batches.close()
    assert not workers()


# --- processes of their own

ITERATE = """
import multiprocessing, sys, time
from pathlib import Path
import psutil
from unet.data.augment import Augmentation
from unet.data.dataset import SegmentationDataset
from unet.data.loading import sample_batches
from unet.data.pairs import find_pairs
from unet.labels import Labels
from unet.preprocessing import Preprocessing

def endless(folder):
    data = SegmentationDataset(find_pairs(Path(folder))["all"], Labels.numbered(2), Preprocessing(), crop=None,
                               augmentation=Augmentation())
    for batch in sample_batches(data, batch_size=1, first=0, workers=2):
        yield batch

if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[2])
    shown = False
    for batch in endless(sys.argv[1]):
        if not shown:
            print(*(child.pid for child in psutil.Process().children(recursive=True)), flush=True)
        shown = True
        time.sleep(0.01)
"""


def iterating(folder: Path, method: str) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """Start a process that takes batches for ever, and wait for the first; return also its children."""
    script = folder / "iterate.py"
    script.write_text(ITERATE)
    process = subprocess.Popen(
        [sys.executable, str(script), str(folder), method],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    children = [psutil.Process(int(pid)) for pid in process.stdout.readline().split()]
    assert len(children) >= 2, process.communicate()
    return process, children


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "number"),
    [("spawn", signal.SIGKILL), ("fork", signal.SIGKILL), ("fork", signal.SIGINT), ("fork", signal.SIGTERM)],
)
def test_no_worker_outlives_its_parent(make_data: DataMaker, method: str, number: signal.Signals) -> None:
    """Killed alone, or ended with its group as a terminal or a batch system does, with no handler of signals."""
    process, children = iterating(make_data(), method)
    if number == signal.SIGKILL:
        process.kill()
    else:
        os.killpg(process.pid, number)
    _, printed = process.communicate(timeout=120)
    assert process.returncode == -number
    _, left = psutil.wait_procs(children, timeout=120)
    assert not left
    # Of the parent alone. (A worker that is just handing over a batch may say that nobody takes it.)
    assert printed.count("KeyboardInterrupt") == (number == signal.SIGINT), printed


BROKEN_TRAINING = """
import sys
from unet import cli
from unet.data import dataset
from unet.errors import RasterError

def read_pair(pair, *details, read=dataset.read_pair):
    if pair.name == "p03":
        raise RasterError(f"{pair.image}: damaged since it was checked")
    return read(pair, *details)

dataset.read_pair = read_pair
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="workers that are not forked do not know of the damage")
@pytest.mark.parametrize("count", [0, 2])
def test_a_training_with_a_file_that_is_damaged_meanwhile(make_data: DataMaker, tmp_path: Path, count: int) -> None:
    folder = make_data(count=8)
    arguments = f"train {folder} --steps 50 --val 0.2 --out {tmp_path / 'run'} --set width=4 --set depth=2"
    process = subprocess.Popen(
        [sys.executable, "-c", BROKEN_TRAINING, *arguments.split(), "--set", f"workers={count}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    _, printed = process.communicate(timeout=300)
    assert process.returncode == 2
    assert printed.splitlines()[-1] == f"unet: error: {folder / 'imgs' / 'p03.png'}: damaged since it was checked"
    assert "Traceback" not in printed
    assert not [other.pid for other in psutil.process_iter() if _group(other.pid) == process.pid]
    assert not (tmp_path / "run" / "cache").exists()


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except OSError:
        return None
