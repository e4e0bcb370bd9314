"""The doctor: checks run side by side, that leave the stack as it is; what is wrong comes out with its remedy."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from queue import Empty, SimpleQueue

from gauntlet.domain.errors import Mendable

log = logging.getLogger(__name__)

AT_ONCE = 8
TICK = 0.25


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: the check that saw it, what must hold and what was found instead, and the remedy."""

    check: str
    found: str
    remedy: str

    @classmethod
    def of(cls, check: str, error: Mendable) -> Finding:
        """Return an error that a person can mend as a finding: its last sentences are the remedy."""
        return cls.from_text(check, str(error))

    @classmethod
    def from_text(cls, check: str, text: str) -> Finding:
        """Return a text of the form "rule; found. Remedy." as a finding."""
        found, _, remedy = re.sub(r"(?<=[.?])\s+(?=[A-Z])", "\0", text.strip(), count=1).partition("\0")
        return cls(check, found if found.endswith((".", "?")) else f"{found}.", remedy or "Correct what it names.")


@dataclass(frozen=True)
class Check:
    """One look at the world. It is left out while a check that it `needs` is not clean: that one names the cause."""

    name: str
    probe: Callable[[], Iterable[Finding]]
    needs: Sequence[str] = field(default=())


class _Round:
    """One run over all checks; `clean` holds the state of each that has ended."""

    def __init__(self, checks: Sequence[Check], limit: float) -> None:
        self._waiting = list(checks)
        self._limit = limit
        self._running: dict[str, float] = {}
        self._answers: SimpleQueue[tuple[str, list[Finding]]] = SimpleQueue()
        self._clean: dict[str, bool] = {}
        self.findings: dict[str, list[Finding]] = {check.name: [] for check in checks}

    @property
    def asked(self) -> list[str]:
        """The checks that have not answered yet."""
        return list(self._running)

    def step(self) -> bool:
        """Start what can be started and take in an answer; returns whether anything is left to do."""
        for check in list(self._waiting):
            if any(self._clean.get(need) is False for need in check.needs):
                self._end(check.name, None)
                self._waiting.remove(check)
            elif all(need in self._clean for need in check.needs) and len(self._running) < AT_ONCE:
                self._waiting.remove(check)
                self._begin(check)
        self._take_in()
        return bool(self._waiting or self._running)

    def _begin(self, check: Check) -> None:
        self._running[check.name] = time.monotonic() + self._limit
        # a daemon, so that one that hangs does not keep the program from ending
        threading.Thread(target=lambda: self._answers.put((check.name, _examine(check))), daemon=True).start()

    def _take_in(self) -> None:
        if self._running:
            try:
                name, found = self._answers.get(timeout=TICK)
                if name in self._running:  # else it was given up
                    self._end(name, found)
            except Empty:
                pass
        for name in [name for name, until in self._running.items() if time.monotonic() > until]:
            text = f"The check must end within {self._limit:g} s; it has not."
            self._end(
                name, [Finding(name, text, "See whether what it asks hangs: gauntlet status, gauntlet logs SERVICE.")]
            )

    def _end(self, name: str, found: list[Finding] | None) -> None:
        """None: left out, and so is what needs it."""
        self._running.pop(name, None)
        self._clean[name] = found == []
        self.findings[name] = found or []


def diagnose(
    checks: Sequence[Check], *, limit: float = 60.0, doing: Callable[[Sequence[str]], None] = lambda _: None
) -> list[Finding]:
    """Run every check and return what they found, in the order of the checks: causes stand before their effects.

    A check that raises, or does not answer within `limit` seconds, is a finding itself. `doing` is told every now and
    then which checks are still to answer. Raises ValueError for checks that need one another, or one that is not there.
    """
    _refuse_senseless_needs(checks)
    current = _Round(checks, limit)
    while current.step():
        doing(current.asked)
    return list(dict.fromkeys(finding for check in checks for finding in current.findings[check.name]))


def _refuse_senseless_needs(checks: Sequence[Check]) -> None:
    """A check with such a need would never begin."""
    unknown = sorted({need for check in checks for need in check.needs} - {check.name for check in checks})
    if unknown:
        raise ValueError(f"a check must need checks of the same round; there is no {', '.join(unknown)}.")
    TopologicalSorter({check.name: check.needs for check in checks}).prepare()  # raises CycleError, a ValueError


def _examine(check: Check) -> list[Finding]:
    try:
        return list(check.probe())
    except Mendable as error:
        return [Finding.of(check.name, error)]
    except Exception as error:
        log.debug("the check %s broke", check.name, exc_info=True)
        said = " ".join(str(error).split())[:300]
        text = f"The check must end by itself; it broke with {type(error).__name__}: {said}."
        return [Finding(check.name, text, "Mend what it names first; the other checks were made.")]
