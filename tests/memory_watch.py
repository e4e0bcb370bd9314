"""The watch's part of the ledger in memory."""

import threading
from collections.abc import Sequence

import numpy as np

from gauntlet.domain.confidence_sequence import PairedSums
from gauntlet.jobs.ports import StoreError
from gauntlet.jobs.watch_ports import Look, WatchedRow, WatchOutcome


class MemoryWatch:
    """Rows and looks in collections that only grow."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, int], tuple[str, WatchedRow]] = {}
        self.taken: list[Look] = []
        self._inside = threading.RLock()

    def seen(self, event: int, row_ids: Sequence[int]) -> set[int]:
        return {row_id for row_id in row_ids if (event, row_id) in self.rows}

    def add_rows(self, event: int, run_key: str, rows: Sequence[WatchedRow]) -> None:
        if any(not 0 <= loss < float("inf") for row in rows for loss in row[1:]):
            raise ValueError("a loss must be finite and not below 0")
        with self._inside:
            for row in rows:
                self.rows.setdefault((event, row.row_id), (run_key, row))

    def rows_of_run(self, event: int, run_key: str) -> int:
        return sum(key == run_key for (of, _), (key, _row) in self.rows.items() if of == event)

    def sums(self, event: int) -> PairedSums | None:
        found = [row for (of, _), (_, row) in self.rows.items() if of == event]
        if not found:
            return None
        previous, production = (np.array([row[place] for row in found]) for place in (2, 1))
        return PairedSums.of(previous, production)

    def add_look(self, look: Look) -> Look:
        with self._inside:
            known = self.look(look.spec, look.run_key)
            if known is not None:
                return known
            if look.outcome.acts and any(other.outcome.acts for other in self.looks(look.event)):
                raise StoreError(f"a promotion must be acted on once; {look.spec} v{look.champion} was.")
            self.taken.append(look)
            return look

    def look(self, spec: str, run_key: str) -> Look | None:
        return next((look for look in self.taken if (look.spec, look.run_key) == (spec, run_key)), None)

    def looks(self, event: int) -> Sequence[Look]:
        return [look for look in self.taken if look.event == event]

    def last_rollback(self, spec: str) -> Look | None:
        ordered = [look for look in self.taken if (look.spec, look.outcome) == (spec, WatchOutcome.ROLL_BACK)]
        return ordered[-1] if ordered else None
