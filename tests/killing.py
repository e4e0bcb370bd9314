"""Ports that end the caller after a number of calls, to look at what a kill leaves behind."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

from gauntlet.jobs.run import Ports


class Fuse:
    """Counts calls, and calls `end` right after the one of number `last`."""

    def __init__(self, last: int, end: Callable[[], Any]) -> None:
        self.calls = 0
        self._last = last
        self._end = end

    def through(self, ports: Ports) -> Ports:
        """The same ports, with every call to the registry and the ledger counted."""
        return replace(ports, registry=self.around(ports.registry), ledger=self.around(ports.ledger))

    def around(self, port: Any) -> Any:
        """The same port, with every call counted, and every call to what its method `load` opens."""
        return _Counted(port, self._burn)

    def _burn(self) -> None:
        self.calls += 1
        if self.calls == self._last:
            self._end()


class _Counted:
    def __init__(self, port: Any, burn: Callable[[], None]) -> None:
        self._port = port
        self._burn = burn

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if not callable(method):
            return method

        def call(*arguments: Any, **options: Any) -> Any:
            result = method(*arguments, **options)
            self._burn()
            return _counted_within(result, self._burn) if name == "load" else result

        return call


@contextmanager
def _counted_within(opened: AbstractContextManager[Any], burn: Callable[[], None]) -> Iterator[Any]:
    with opened as inner:
        yield _Counted(inner, burn)
