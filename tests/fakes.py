"""The ports in memory, with the rules of the real services; the contract tests run on both."""

import hashlib
import itertools
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import skops.io

from gauntlet.domain.drift import DriftReport
from gauntlet.domain.verdict import Verdict
from gauntlet.jobs.ports import (
    ArmSample,
    Candidate,
    Case,
    ComparisonLog,
    Entry,
    Names,
    Production,
    Sample,
    Stored,
    StoreError,
    Version,
)


def _as_json(value: Mapping[str, Any]) -> Mapping[str, Any]:
    stored: Mapping[str, Any] = json.loads(json.dumps(dict(value), allow_nan=False))
    return stored


@dataclass
class MemoryTraffic:
    """A router that samples from given pools (spec → frame by `row_id`) and drifts columns as the real one does."""

    training: Mapping[str, pd.DataFrame]
    test: Mapping[str, pd.DataFrame]
    data_size: int = 1000
    share_a: float = 0.5
    drift_cols: tuple[str, ...] = ()
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def training_rows(self, spec: str, drift_cols: Sequence[str]) -> Sample:
        columns = tuple(drift_cols) or self.drift_cols
        return Sample(self._served(self.training[spec], columns), self._traffic(columns))

    def test_rows(self, spec: str, drift_cols: Sequence[str]) -> ArmSample:
        columns = tuple(drift_cols) or self.drift_cols
        rows = self._served(self.test[spec], columns)
        cut = round(len(rows) * self.share_a)
        return ArmSample(rows.iloc[:cut], rows.iloc[cut:], self._traffic(columns))

    def _traffic(self, columns: tuple[str, ...]) -> str:
        b = round(1 - self.share_a, 12)
        return json.dumps({"a": self.share_a, "b": b, "data_size": self.data_size, "drift_cols": list(columns)})

    def _served(self, pool: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
        rows = pool.iloc[self.rng.choice(len(pool), size=min(self.data_size, len(pool)), replace=False)].copy()
        for column in columns:
            values = rows[column]
            if pd.api.types.is_numeric_dtype(values):
                half = self.rng.permutation(len(rows)) < len(rows) // 2
                rows[column] = values.to_numpy(float) * np.where(half, self.rng.uniform(0.1, 2.0, len(rows)), 1.0)
            else:
                rows[column] = self.rng.choice(pool[column].dropna().unique(), len(rows))
        return rows


@dataclass
class MemoryObjects:
    """An object store in a dictionary."""

    objects: dict[str, bytes] = field(default_factory=dict)

    def put(self, folder: str, suffix: str, data: bytes) -> Stored:
        sha256 = hashlib.sha256(data).hexdigest()
        uri = f"memory:///{folder}/{sha256}.{suffix}"
        self.objects[uri] = data
        return Stored(uri, sha256)

    def get(self, stored: Stored) -> bytes:
        data = self.objects.get(stored.uri)
        if data is None:
            raise StoreError(f"an object that was stored must still be there; {stored.uri} is gone.")
        if hashlib.sha256(data).hexdigest() != stored.sha256:
            raise StoreError(f"an object must keep its content; {stored.uri} has another SHA-256.")
        return data


@dataclass
class MemoryRegistry:
    """A model registry; `versions`, `files` and `aliases` may be read, and changed as a person would by hand."""

    versions: dict[tuple[str, int], Version] = field(default_factory=dict)
    files: dict[tuple[str, int], bytes] = field(default_factory=dict)
    aliases: dict[tuple[str, str], int] = field(default_factory=dict)
    foreign: set[tuple[str, int]] = field(default_factory=set)
    """Versions that somebody else registered: they exist, and nothing is known of them."""

    def has_model(self, model: str) -> bool:
        return any(name == model for name, _ in self.versions)

    def find(self, model: str, run_key: str) -> Version | None:
        of_run = (v for v in self.versions.values() if (v.model, v.run_key) == (model, run_key))
        return next(of_run, None)

    def describe(self, model: str, version: int) -> Version | None:
        return self.versions.get((model, version))

    def publish(self, candidate: Candidate, *, log_details: bool) -> Version:  # noqa: ARG002 - nothing is shown here
        model = candidate.names.model
        number = 1 + max((version for name, version in self.versions if name == model), default=0)
        data: bytes = skops.io.dumps(candidate.training.model)
        version = Version(
            spec=candidate.spec.name,
            model=model,
            version=number,
            run_id=hashlib.md5(f"{model} {number}".encode(), usedforsecurity=False).hexdigest(),
            run_key=candidate.run_key,
            spec_json=candidate.spec.to_json(),
            recipe=candidate.training.best,
            seed=candidate.spec.seed,
            snapshot=candidate.snapshot,
            profile=candidate.profile,
            model_sha256=hashlib.sha256(data).hexdigest(),
        )
        self.versions[model, number] = version
        self.files[model, number] = data
        return version

    def model_bytes(self, version: Version) -> bytes:
        data = self.files.get((version.model, version.version))
        if data is None:
            raise StoreError(f"a registered model must still be there; {version.model} v{version.version} is gone.")
        if hashlib.sha256(data).hexdigest() != version.model_sha256:
            raise StoreError(f"a model's file must keep its content; {version.model} v{version.version} has changed.")
        return data

    def alias(self, model: str, alias: str) -> int | None:
        return self.aliases.get((model, alias))

    def set_alias(self, model: str, alias: str, version: int | None) -> None:
        if version is None:
            self.aliases.pop((model, alias), None)
        elif (model, version) in self.versions or (model, version) in self.foreign:
            self.aliases[model, alias] = version
        else:
            raise StoreError(f"an alias must name a version that exists; {model} has no v{version}.")


@dataclass
class MemoryTracking:
    """Experiment runs, by (experiment, run key)."""

    drifts: dict[tuple[str, str], DriftReport] = field(default_factory=dict)
    comparisons: dict[tuple[str, str], ComparisonLog] = field(default_factory=dict)

    def log_drift(
        self,
        names: Names,
        run_key: str,
        champion: int,  # noqa: ARG002
        report: DriftReport,
        left_out: Mapping[str, int],  # noqa: ARG002
    ) -> None:
        self.drifts.setdefault((names.experiment, run_key), report)

    def log_comparison(self, names: Names, log: ComparisonLog) -> None:
        self.comparisons.setdefault((names.comparison, log.run_key), log)


@dataclass(frozen=True)
class Event:
    """A move of production; `decision` is None for one made outside."""

    id: int
    at: datetime
    spec: str
    model: str
    old: int | None
    new: int | None
    run_id: str | None
    decision: int | None


class MemoryLedger:
    """The ledger in lists that only grow."""

    def __init__(self) -> None:
        self.versions: list[Version] = []
        self.entries: list[Entry] = []
        self.events: list[Event] = []
        self.projections: list[tuple[str, int | None]] = []
        self.reports: dict[tuple[str, str], Mapping[str, Any]] = {}
        self._ids = itertools.count(1)
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

    def version_of_run(self, spec: str, run_key: str) -> Version | None:
        return next((v for v in self.versions if (v.spec, v.run_key) == (spec, run_key)), None)

    def production(self, spec: str) -> Production | None:
        event = next((e for e in reversed(self.events) if e.spec == spec), None)
        if event is None or event.new is None:
            return None
        return Production(spec, event.model, event.new, event.run_id or "", event.at)

    def previous(self, spec: str) -> int | None:
        now = self._number(spec)
        olds = (e.old for e in reversed(self.events) if e.spec == spec and e.old is not None and e.old != now)
        return next(olds, None)

    def champions(self) -> Mapping[str, Production]:
        found = {spec: self.production(spec) for spec in sorted({e.spec for e in self.events})}
        return {spec: production for spec, production in found.items() if production is not None}

    def settle(self, case: Case) -> Entry:
        with self._inside:
            known = self.settled(case.spec, case.run_key)
            if known is not None:
                return known
            if self.version(case.spec, case.challenger.version) is None:
                raise StoreError(f"a challenger must be in the ledger; {case.spec} v{case.challenger.version} is not.")
            entry = self._entry(case)
            now = self._number(case.spec)
            named = case.champion.version if case.champion else None
            if now != named:
                test = f"the test named {f'v{named}' if named else 'none'} as champion"
                reason = f"champion changed: {test}, production is {f'v{now}' if now else 'none'} now"
                entry = replace(entry, verdict=Verdict.INVALID, reason=reason)
            self.entries.append(entry)
            if entry.verdict is Verdict.PROMOTE:
                new = case.challenger
                self._move(case.spec, case.model, named, new.version, new.run_id, entry.id)
            return entry

    def _entry(self, case: Case) -> Entry:
        return Entry(
            id=next(self._ids),
            at=datetime.now(UTC),
            spec=case.spec,
            run_key=case.run_key,
            verdict=case.decision.verdict,
            reason=case.decision.reason,
            champion=case.champion.version if case.champion else None,
            challenger=case.challenger.version,
            effect=case.decision.effect,
            interval=case.decision.interval,
            rows=case.decision.rows,
            evidence=_as_json(case.evidence),
        )

    def _number(self, spec: str) -> int | None:
        production = self.production(spec)
        return production.version if production else None

    def _move(
        self, spec: str, model: str, old: int | None, new: int | None, run_id: str | None, decision: int | None
    ) -> Event:
        event = Event(next(self._ids), datetime.now(UTC), spec, model, old, new, run_id, decision)
        self.events.append(event)
        return event

    def settled(self, spec: str, run_key: str) -> Entry | None:
        return next((e for e in self.entries if (e.spec, e.run_key) == (spec, run_key)), None)

    def record_external(self, spec: str, model: str, old: int | None, new: int | None, run_id: str | None) -> None:
        with self._inside:
            if self._number(spec) != old or old == new:
                return
            event = self._move(spec, model, old, new, run_id, None)
            moved = f"{f'v{old}' if old else 'none'} → {f'v{new}' if new else 'none'}"
            reason = f"production was moved outside: {moved}"
            self.entries.append(
                Entry(event.id, event.at, spec, None, None, reason, old, new, None, None, None, evidence={})
            )

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
        self.reports.setdefault((spec, run_key), _as_json(report))

    def drift_report(self, spec: str, run_key: str) -> Mapping[str, Any] | None:
        return self.reports.get((spec, run_key))

    def history(self, spec: str | None, limit: int) -> Sequence[Entry]:
        chosen = [e for e in self.entries if spec is None or e.spec == spec]
        return sorted(chosen, key=lambda e: -e.id)[:limit]
