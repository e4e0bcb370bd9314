"""The ledger in memory, with the rules of the one in Postgres; the contract tests run on both."""

import itertools
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from gauntlet.domain import lineage
from gauntlet.domain.verdict import Verdict
from gauntlet.jobs.ledger_records import Dossier, Freeze, Period, Rollback
from gauntlet.jobs.ports import Case, Entry, Kind, Production, Stored, StoreError, Version
from gauntlet.jobs.settling import ruled, shown


def as_json(value: Mapping[str, Any]) -> Mapping[str, Any]:
    stored: Mapping[str, Any] = json.loads(json.dumps(dict(value), allow_nan=False))
    return stored


@dataclass(frozen=True)
class Event:
    """A move of production; `decision` is None for one without a verdict."""

    id: int
    at: datetime
    kind: str
    spec: str
    model: str
    old: int | None
    new: int | None
    run_id: str | None
    decision: int | None
    reason: str
    decided_by: str


class MemoryLedger:
    """The ledger in lists that only grow."""

    def __init__(self) -> None:
        self.versions: list[Version] = []
        self.entries: list[Entry] = []
        self.events: list[Event] = []
        self.cases: dict[int, Case | Rollback] = {}
        self.freezings: list[tuple[bool, Freeze]] = []
        self.projections: list[tuple[str, int | None]] = []
        self.reports: dict[tuple[str, str], Mapping[str, Any]] = {}
        self._ids = itertools.count(1)
        self._last = datetime.min.replace(tzinfo=UTC)
        self._inside = threading.RLock()
        self._locks: dict[tuple[str, str], threading.Lock] = {}

    @contextmanager
    def lock(self, spec: str, purpose: str) -> Iterator[None]:
        with self._inside:
            lock = self._locks.setdefault((spec, purpose), threading.Lock())
        if not lock.acquire(timeout=30):
            raise TimeoutError(f"the lock {purpose} of {spec} was held for 30 s")
        try:
            yield
        finally:
            lock.release()

    def add_version(self, version: Version) -> Version:
        with self._inside:
            known = self.version_of_run(version.spec, version.run_key)
            if known is not None:
                return known
            if self.version(version.spec, version.version) is not None:
                raise StoreError(f"a version's number must be new; {version.spec} has v{version.version} already.")
            self.versions.append(version)
            return version

    def version(self, spec: str, version: int) -> Version | None:
        return next((v for v in self.versions if (v.spec, v.version) == (spec, version)), None)

    def recorded(self, spec: str) -> Sequence[Version]:
        return sorted((v for v in self.versions if v.spec == spec), key=lambda v: v.version)

    def moves(self, spec: str) -> Sequence[lineage.Move]:
        return self._moves(spec)

    def version_of_run(self, spec: str, run_key: str) -> Version | None:
        return next((v for v in self.versions if (v.spec, v.run_key) == (spec, run_key)), None)

    def production(self, spec: str) -> Production | None:
        event = next((e for e in reversed(self.events) if e.spec == spec), None)
        if event is None or event.new is None:
            return None
        return Production(spec, event.model, event.new, event.run_id or "", event.at)

    def previous(self, spec: str) -> int | None:
        return lineage.previous(self._moves(spec))

    def champions(self) -> Mapping[str, Production]:
        found = {spec: self.production(spec) for spec in sorted({e.spec for e in self.events})}
        return {spec: production for spec, production in found.items() if production is not None}

    def periods(self, spec: str | None, at: datetime | None = None) -> Sequence[Period]:
        found = [self._period(event) for event in reversed(self.events) if spec in (None, event.spec)]
        return [p for p in found if p and (at is None or (p.since <= at and (p.until is None or at < p.until)))]

    def settle(self, case: Case) -> Entry:
        with self._inside:
            known = self.settled(case.spec, case.run_key)
            if known is not None:
                return known
            if self.version(case.spec, case.challenger.version) is None:
                raise StoreError(f"a challenger must be in the ledger; {case.spec} v{case.challenger.version} is not.")
            now = self.production(case.spec)
            barred = [
                v
                for v in self.versions
                if v.spec == case.spec and v.version in lineage.rolled_back(self._moves(case.spec))
            ]
            verdict, reason, held = ruled(case, now.version if now else None, barred, self.frozen(case.spec))
            entry = replace(self._entry(case), verdict=verdict, reason=reason, held=held)
            self.entries.append(entry)
            self.cases[entry.id] = case
            if verdict is Verdict.PROMOTE and held is None:
                new = case.challenger
                kind = "promote" if case.champion else "first"
                move = (kind, case.spec, case.model, entry.champion, new.version, new.run_id, entry.id)
                self._move(*move, reason=reason, by=case.decided_by)
            return entry

    def rollback(self, move: Rollback) -> Entry | None:
        with self._inside:
            known = self.rolled_back(move.spec, move.key)
            if known is not None:
                return known
            now = self.production(move.spec)
            if now is None or now.version != move.old:
                return None
            new, evidence = move.new, as_json(move.evidence)
            moved = ("rollback", move.spec, move.model, move.old, new.version, new.run_id, None)
            event = self._move(*moved, reason=move.reason, by=move.decided_by)
            entry = self._shown(event, Kind.ROLLBACK, move.key, evidence)
            self.cases[entry.id] = move
            return entry

    def rolled_back(self, spec: str, key: str) -> Entry | None:
        made = (e for e in self.entries if e.kind is Kind.ROLLBACK)
        return next((e for e in made if (e.spec, e.run_key) == (spec, key)), None)

    def settled(self, spec: str, run_key: str) -> Entry | None:
        verdicts = (e for e in self.entries if e.kind is Kind.VERDICT)
        return next((e for e in verdicts if (e.spec, e.run_key) == (spec, run_key)), None)

    def record_external(self, spec: str, model: str, old: int | None, new: int | None, run_id: str | None) -> None:
        with self._inside:
            now = self.production(spec)
            if (now.version if now else None) != old or old == new:
                return
            reason = f"production was moved outside: {shown(old)} → {shown(new)}"
            event = self._move("external", spec, model, old, new, run_id, None, reason=reason, by="outside")
            self._shown(event, Kind.EXTERNAL, None, {})

    def freeze(self, spec: str, frozen: bool, reason: str, by: str) -> bool:
        with self._inside:
            if (self.frozen(spec) is not None) == frozen:
                return False
            row = Freeze(spec, self._now(), reason, by)
            self.freezings.append((frozen, row))
            kind = Kind.FREEZE if frozen else Kind.UNFREEZE
            self.entries.append(
                Entry(
                    next(self._ids), row.since, spec, None, None, reason, None, None, None, None, None, {},
                    kind=kind, decided_by=by,
                )
            )  # fmt: skip
            return True

    def frozen(self, spec: str) -> Freeze | None:
        newest = next(((on, row) for on, row in reversed(self.freezings) if row.spec == spec), None)
        return newest[1] if newest and newest[0] else None

    def freezes(self) -> Mapping[str, Freeze]:
        found = {row.spec: self.frozen(row.spec) for _, row in self.freezings}
        return {spec: row for spec, row in found.items() if row is not None}

    def projected(self, spec: str) -> tuple[int | None] | None:
        return next(((version,) for name, version in reversed(self.projections) if name == spec), None)

    def mark_projected(self, spec: str, version: int | None) -> None:
        with self._inside:
            if self.projected(spec) != (version,):
                self.projections.append((spec, version))

    def add_drift_report(
        self,
        spec: str,
        run_key: str,
        champion: int,  # noqa: ARG002
        snapshot: Stored,  # noqa: ARG002
        report: Mapping[str, Any],
    ) -> None:
        self.reports.setdefault((spec, run_key), as_json(report))

    def drift_report(self, spec: str, run_key: str) -> Mapping[str, Any] | None:
        return self.reports.get((spec, run_key))

    def history(self, spec: str | None, limit: int) -> Sequence[Entry]:
        chosen = [e for e in self.entries if spec is None or e.spec == spec]
        return sorted(chosen, key=lambda e: -e.id)[:limit]

    def entry(self, number: int) -> Dossier | None:
        event = next((e for e in self.events if number in (e.id, e.decision)), None)
        wanted = number if event is None or event.decision is None else event.decision
        entry = next((e for e in self.entries if e.id == wanted), None)
        if entry is None:
            return None
        case = self.cases.get(entry.id)
        verdict = case if isinstance(case, Case) else None
        return Dossier(
            entry=entry,
            model=case.model if case else event.model if event else None,
            champion=self.version(entry.spec, entry.champion or 0),
            challenger=self.version(entry.spec, entry.challenger or 0),
            policy=as_json(verdict.policy) if verdict else None,
            policy_sha256=verdict.policy_sha256 if verdict else None,
            code_version=case.code_version if case else None,
            drift=self.reports.get((entry.spec, entry.run_key or "")) if verdict else None,
            period=self._period(event) if event else None,
        )

    def _now(self) -> datetime:
        self._last = max(datetime.now(UTC), self._last + timedelta(microseconds=1))
        return self._last

    def _moves(self, spec: str) -> list[lineage.Move]:
        return [lineage.Move(e.old, e.new, e.kind == "rollback") for e in self.events if e.spec == spec]

    def _period(self, event: Event) -> Period | None:
        if event.new is None:
            return None
        after = next((e for e in self.events if e.spec == event.spec and e.id > event.id), None)
        return Period(
            event.spec, event.model, event.new, event.run_id or "", event.at, after.at if after else None,
            event.id, event.id if event.decision is None else event.decision,
            event.kind, event.reason, event.decided_by,
        )  # fmt: skip

    def _entry(self, case: Case) -> Entry:
        return Entry(
            id=next(self._ids),
            at=self._now(),
            spec=case.spec,
            run_key=case.run_key,
            verdict=case.decision.verdict,
            reason=case.decision.reason,
            champion=case.champion.version if case.champion else None,
            challenger=case.challenger.version,
            effect=case.decision.effect,
            interval=case.decision.interval,
            rows=case.decision.rows,
            evidence=as_json(case.evidence),
            decided_by=case.decided_by,
        )

    def _move(
        self,
        kind: str,
        spec: str,
        model: str,
        old: int | None,
        new: int | None,
        run_id: str | None,
        decision: int | None,
        *,
        reason: str,
        by: str,
    ) -> Event:
        event = Event(next(self._ids), self._now(), kind, spec, model, old, new, run_id, decision, reason, by)
        self.events.append(event)
        return event

    def _shown(self, event: Event, kind: Kind, run_key: str | None, evidence: Mapping[str, Any]) -> Entry:
        entry = Entry(
            event.id, event.at, event.spec, run_key, None, event.reason, event.old, event.new, None, None, None,
            evidence, kind=kind, decided_by=event.decided_by,
        )  # fmt: skip
        self.entries.append(entry)
        return entry
