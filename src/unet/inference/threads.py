"""Reading ahead and writing behind: two threads with short queues, whose errors come out where they are waited for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from queue import Full, Queue
from threading import Event, Thread
from types import TracebackType
from typing import Any, TypeVar

Item = TypeVar("Item")

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
