"""What the jobs need of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from gauntlet.domain.lineage import Move
    from gauntlet.jobs.ledger_records import Dossier, Freeze, Period, Rollback
    from gauntlet.jobs.ports import Case, Entry, Production, Stored, Version


class Ledger(Protocol):
    """The truth about production (Postgres). Nothing in it is ever changed or removed."""

    def lock(self, spec: str, purpose: str) -> AbstractContextManager[None]:
        """Hold an advisory lock, one holder at a time for each (spec, purpose), until the block or the process ends."""
        ...

    def add_version(self, version: Version) -> Version:
        """Record a version; if its run key has one already, return that instead."""
        ...

    def version(self, spec: str, version: int) -> Version | None:
        """A recorded version by number."""
        ...

    def recorded(self, spec: str) -> Sequence[Version]:
        """Every recorded version, oldest first."""
        ...

    def moves(self, spec: str) -> Sequence[Move]:
        """Every move of production, oldest first."""
        ...

    def version_of_run(self, spec: str, run_key: str) -> Version | None:
        """The version that a run recorded."""
        ...

    def production(self, spec: str) -> Production | None:
        """What is in production now."""
        ...

    def previous(self, spec: str) -> int | None:
        """The version that was in production before the present one, when that one came by a promotion or by hand.

        Never one that was rolled back and has not been in production since.
        """
        ...

    def periods(self, spec: str | None, at: datetime | None = None) -> Sequence[Period]:
        """Every stay in production, or those that a time (with its zone) lies in; newest first."""
        ...

    def champions(self) -> Mapping[str, Production]:
        """Every spec that has a version in production."""
        ...

    def settle(self, case: Case) -> Entry:
        """Record a verdict and, for PROMOTE, move production, in one transaction under the spec's lock.

        If production no longer is `case.champion`, the verdict recorded is INVALID ("champion changed"), and so it is
        for a challenger that equals a version that was rolled back: by its model's hash, or by snapshot, recipe and
        seed. PROMOTE is held, with the reason, by `case.held` or while the spec is frozen.
        A run key that was settled before returns what was settled then.
        """
        ...

    def rollback(self, move: Rollback) -> Entry | None:
        """Move production back, in one transaction under the spec's lock; None when it no longer is `move.old`.

        A key that moved it before returns what was recorded then.
        """
        ...

    def rolled_back(self, spec: str, key: str) -> Entry | None:
        """The rollback that a key made."""
        ...

    def freeze(self, spec: str, frozen: bool, reason: str, by: str) -> bool:
        """Hold promotions back, or let them go on; False when that was so already, and nothing is recorded then."""
        ...

    def frozen(self, spec: str) -> Freeze | None:
        """The freeze that holds a spec's promotions back."""
        ...

    def freezes(self) -> Mapping[str, Freeze]:
        """Every spec that is frozen."""
        ...

    def settled(self, spec: str, run_key: str) -> Entry | None:
        """The verdict that a run settled."""
        ...

    def record_external(self, spec: str, model: str, old: int | None, new: int | None, run_id: str | None) -> None:
        """Record that production was moved outside (an alias set by hand), if production still is `old`."""
        ...

    def projected(self, spec: str) -> tuple[int | None] | None:
        """The version last written to the `production` alias, in a tuple; None when none ever was."""
        ...

    def mark_projected(self, spec: str, version: int | None) -> None:
        """Record that the aliases now show `version`."""
        ...

    def add_drift_report(
        self, spec: str, run_key: str, champion: int, snapshot: Stored, report: Mapping[str, Any]
    ) -> None:
        """Keep a drift report; a second one of the same run is ignored."""
        ...

    def drift_report(self, spec: str, run_key: str) -> Mapping[str, Any] | None:
        """The drift report of a run."""
        ...

    def history(self, spec: str | None, limit: int) -> Sequence[Entry]:
        """Entries, newest first."""
        ...

    def entry(self, number: int) -> Dossier | None:
        """A line with everything known of it; the number of a promotion's event stands for its verdict."""
        ...
