"""Stages of work beside each other: each makes its items in a thread of its own, a few ahead of who takes them."""

from __future__ import annotations

import threading
from contextlib import closing, contextmanager, suppress
from queue import Empty, Queue
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

T = TypeVar("T")

PAUSE = 0.05  # seconds between two looks at a thread that is to end


class _End:
    """The last thing that a stage hands on: what it failed with, if it did."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


@contextmanager
def ahead(items: Generator[T], depth: int) -> Iterator[Iterator[T]]:
    """Yield an iterator over a generator that runs in a thread of its own, at most `depth` items ahead.

    What the generator raises is raised where its items are taken. When the block ends, for whatever reason, the
    generator is closed after the item that it is working on, and the thread has ended.
    """
    stage = _Stage(items, depth)
    stage.thread.start()
    try:
        yield stage.taken()
    finally:
        stage.end()


class _Stage(Generic[T]):
    def __init__(self, items: Generator[T], depth: int) -> None:
        self._items = items
        self._queue: Queue[T | _End] = Queue(depth)
        self._stopped = threading.Event()
        self.thread = threading.Thread(target=self._work, name="ahead", daemon=True)

    def taken(self) -> Iterator[T]:
        while not isinstance(item := self._queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error

    def end(self) -> None:
        self._stopped.set()
        while self.thread.is_alive():
            with suppress(Empty):  # whoever waits to hand something on must get on
                self._queue.get_nowait()
            self.thread.join(PAUSE)

    def _work(self) -> None:
        error: BaseException | None = None
        try:
            with closing(self._items):
                for item in self._items:
                    if self._stopped.is_set():
                        return
                    self._queue.put(item)
        except BaseException as raised:  # noqa: BLE001 - raised again where the items are taken
            error = raised
        self._queue.put(_End(error))
