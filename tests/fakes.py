"""The ports in memory, with the rules of the real services; the contract tests run on both."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import skops.io

from gauntlet.domain.drift import DriftReport
from gauntlet.jobs.people import Answer, Question
from gauntlet.jobs.ports import (
    ArmSample,
    Candidate,
    ComparisonLog,
    Names,
    Sample,
    Stored,
    StoreError,
    Version,
)
from tests.memory_ledger import MemoryLedger as MemoryLedger  # a fake like the others


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
    notes: dict[tuple[str, int], str] = field(default_factory=dict)

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

    def annotate(self, version: Version, markdown: str) -> None:
        if (version.model, version.version) not in self.versions:
            raise StoreError(f"what is described must be in the registry; {version.model} v{version.version} is not.")
        self.notes[version.model, version.version] = markdown


@dataclass
class MemoryNotifier:
    """A notifier that keeps what it is told."""

    told: list[tuple[str, str]] = field(default_factory=list)

    def tell(self, title: str, text: str) -> None:
        self.told.append((title, text))


@dataclass
class MemoryApprover:
    """An approver who gives one answer to every question, and keeps the questions."""

    answer: Answer
    asked: list[Question] = field(default_factory=list)

    def ask(self, question: Question) -> Answer:
        self.asked.append(question)
        return self.answer


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
