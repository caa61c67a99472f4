"""Work in threads: reading ahead, writing behind, several items at once; errors come out where they are waited for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from queue import Full, Queue
from threading import Event, Thread
from types import TracebackType
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_PATIENCE = 0.1  # seconds between two looks at whether the other side is still there


def ahead(items: Callable[[], Iterator[Item]], depth: int) -> Iterator[Item]:
    """Give the items of an iterator that runs in a thread, so many of them in advance.

    Parameters
    ----------
    items : callable
        Makes the iterator, in the thread: what it opens belongs to that thread.
    depth : int

    Raises
    ------
    Exception
        What the iterator raises, after the items before.

    Examples
    --------
    >>> list(ahead(lambda: iter("abc"), depth=2))
    ['a', 'b', 'c']
    """
    queue: Queue[tuple[Any, BaseException | None, bool]] = Queue(depth)
    stopped = Event()

    def put(entry: tuple[Any, BaseException | None, bool]) -> bool:
        while not stopped.is_set():
            try:
                queue.put(entry, timeout=_PATIENCE)
                return True
            except Full:
                continue
        return False

    def run() -> None:
        try:
            for item in items():
                if not put((item, None, False)):
                    return
        except BaseException as error:
            put((None, error, True))
        else:
            put((None, None, True))

    thread = Thread(target=run, name="reading ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error, is_last = queue.get()
            if error is not None:
                raise error
            if is_last:
                return
            yield item
            del item  # or it stays until the next one is there
    finally:
        stopped.set()
        thread.join()


def overlapped(
    items: Iterable[Item], work: Callable[[Item], Result], alone: Callable[[Item], bool], workers: int
) -> Iterator[tuple[Item, Callable[[], Result]]]:
    """Do the same work on items in several threads, and give each, in order, with what returns its result.

    Parameters
    ----------
    items : iterable
    work : callable
        Takes an item; what it raises, the returned callable raises.
    alone : callable
        Tells of which items nothing else is to be done beside. They are worked on in the caller's thread, when their
        result is asked for.
    workers : int
        Threads. One item more is begun than there are, at most, before its result is asked for.

    Examples
    --------
    >>> [(item, result()) for item, result in overlapped("abc", str.upper, alone=lambda item: item == "b", workers=2)]
    [('a', 'A'), ('b', 'B'), ('c', 'C')]
    """
    waiting: deque[tuple[Item, Callable[[], Result]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="overlapped")
    try:
        for item in items:
            if alone(item):
                while waiting:
                    yield waiting.popleft()
                yield item, partial(work, item)
                continue
            if len(waiting) > workers:
                yield waiting.popleft()
            waiting.append((item, pool.submit(work, item).result))
        while waiting:
            yield waiting.popleft()
    finally:
        pool.shutdown(cancel_futures=True)


class AtOnce:
    """Does things where they are asked for, in the place of `Behind`."""

    def do(self, work: Callable[[], None]) -> None:
        """Have something done."""
        work()


class Behind:
    """Does things in a thread, one after the other; a context manager that waits for the last of them.

    After an error nothing more is done; it comes out of `do`, or at the end.

    Parameters
    ----------
    depth : int
        How many may wait.

    Examples
    --------
    >>> done = []
    >>> with Behind() as behind:
    ...     for number in range(3):
    ...         behind.do(lambda number=number: done.append(number))
    >>> done
    [0, 1, 2]
    """

    def __init__(self, depth: int = 2) -> None:
        self._queue: Queue[Callable[[], None] | None] = Queue(depth)
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="writing behind", daemon=True)

    def __enter__(self) -> Behind:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self._error is None:
            self._error = error  # what waits is not done any more
        self._queue.put(None)
        self._thread.join()
        if error is None and self._error is not None:
            raise self._error

    def do(self, work: Callable[[], None]) -> None:
        """Have something done; waits where much is waiting already.

        Raises
        ------
        Exception
            What an earlier work has raised.
        """
        if self._error is not None:
            raise self._error
        self._queue.put(work)

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            if self._error is None:
                try:
                    work()
                except BaseException as error:
                    self._error = error
            del work
