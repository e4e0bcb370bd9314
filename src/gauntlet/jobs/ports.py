"""What the jobs need of the world: records they exchange with it, and one Protocol for each service."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from gauntlet.domain.errors import Mendable

if TYPE_CHECKING:  # the records are passed around by commands that need none of the heavy libraries
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import pandas as pd

    from gauntlet.domain.drift import DriftReport
    from gauntlet.domain.promotion import Decision
    from gauntlet.domain.report import Report
    from gauntlet.domain.spec import Spec
    from gauntlet.domain.training import Training
    from gauntlet.domain.verdict import Verdict


class StoreError(Mendable):
    """A store answered, and what it holds is not what the caller was promised."""


class ServiceAway(Mendable):
    """A service did not answer; nothing may be concluded from that, so the step fails and is tried again."""


@dataclass(frozen=True)
class Names:
    """What one spec is called in MLflow."""

    model: str
    experiment: str
    comparison: str


@dataclass(frozen=True)
class Sample:
    """Rows served for training: a frame indexed by `row_id`, and the traffic configuration (JSON) that made them."""

    frame: pd.DataFrame
    traffic: str


@dataclass(frozen=True)
class ArmSample:
    """Rows served for a test: one frame for each arm, indexed by `row_id`, and the traffic configuration (JSON)."""

    a: pd.DataFrame
    b: pd.DataFrame
    traffic: str


@dataclass(frozen=True)
class Stored:
    """An immutable object: where it lies, and the SHA-256 (hex) of its bytes."""

    uri: str
    sha256: str


@dataclass(frozen=True)
class Version:
    """One registered model version and everything that made it; `spec_json` is the spec it was trained by."""

    spec: str
    model: str
    version: int
    run_id: str
    run_key: str
    spec_json: str
    recipe: str
    seed: int
    snapshot: Stored
    profile: Stored
    model_sha256: str


@dataclass(frozen=True)
class Candidate:
    """A trained model on its way into the registry."""

    spec: Spec
    names: Names
    run_key: str
    training: Training
    snapshot: Stored
    snapshot_bytes: bytes
    profile: Stored
    profile_bytes: bytes
    rows: int
    left_out: Mapping[str, int]
    traffic: str


@dataclass(frozen=True)
class Production:
    """What the ledger says is in production."""

    spec: str
    model: str
    version: int
    run_id: str
    since: datetime


@dataclass(frozen=True)
class Case:
    """A verdict and its evidence, to be settled in the ledger; `champion` is None for a first model.

    `held` says why a verdict PROMOTE does not move production: a person rejected it, or nobody answered.
    """

    spec: str
    model: str
    run_key: str
    champion: Version | None
    challenger: Version
    decision: Decision
    policy: Mapping[str, Any]
    policy_sha256: str
    evidence: Mapping[str, Any]
    code_version: str
    decided_by: str
    held: str | None = None


class Kind(StrEnum):
    """What a line of the ledger is; EXTERNAL is a move of production made by hand in the registry."""

    VERDICT = "verdict"
    EXTERNAL = "external"
    ROLLBACK = "rollback"
    FREEZE = "freeze"
    UNFREEZE = "unfreeze"


@dataclass(frozen=True)
class Entry:
    """A line of the ledger: a settled verdict, or something done without one (`verdict` is None then).

    A move of production from one version to another has them as `champion` and `challenger`. `held` says why a verdict
    PROMOTE did not move production.
    """

    id: int
    at: datetime
    spec: str
    run_key: str | None
    verdict: Verdict | None
    reason: str
    champion: int | None
    challenger: int | None
    effect: float | None
    interval: tuple[float, float] | None
    rows: int | None
    evidence: Mapping[str, Any]
    held: str | None = None
    kind: Kind = Kind.VERDICT
    decided_by: str = ""

    @property
    def promoted(self) -> bool:
        """Whether the verdict moved production."""
        return self.verdict == "PROMOTE" and self.held is None


@dataclass(frozen=True)
class ComparisonLog:
    """What a comparison run shows: its parameters, its metrics, both arms with both predictions, and the report."""

    run_name: str
    run_key: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    a_data: pd.DataFrame
    b_data: pd.DataFrame
    report: Report | None = None


class Traffic(Protocol):
    """The traffic router."""

    def training_rows(self, spec: str, drift_cols: Sequence[str]) -> Sample:
        """Rows of the training pool; `drift_cols` overrides the configured drift for this call unless empty."""
        ...

    def test_rows(self, spec: str, drift_cols: Sequence[str]) -> ArmSample:
        """Rows of the A/B pool, split into arms; `drift_cols` as in `training_rows`."""
        ...


class ObjectStore(Protocol):
    """Immutable objects, named by their content."""

    def put(self, folder: str, suffix: str, data: bytes) -> Stored:
        """Store bytes as FOLDER/SHA256.SUFFIX, whole or not at all; the same bytes again are the same object."""
        ...

    def get(self, stored: Stored) -> bytes:
        """Fetch an object; raises StoreError when it is gone or its hash differs, ServiceAway when nothing answers."""
        ...


class Registry(Protocol):
    """The model registry (MLflow): versions, their files, and the aliases that project the ledger."""

    def has_model(self, model: str) -> bool:
        """Say whether the registered model exists; raises ServiceAway when nothing answers."""
        ...

    def find(self, model: str, run_key: str) -> Version | None:
        """The version that a run registered, from its tags; None when it registered none."""
        ...

    def describe(self, model: str, version: int) -> Version | None:
        """A version from its tags; None when it does not exist or was not made by this product."""
        ...

    def publish(self, candidate: Candidate, *, log_details: bool) -> Version:
        """Log the training (candidate runs and plots only with `log_details`) and register the model."""
        ...

    def model_bytes(self, version: Version) -> bytes:
        """The version's skops file; raises StoreError when its hash is not the one kept at registration."""
        ...

    def alias(self, model: str, alias: str) -> int | None:
        """The version an alias names; None when the alias (or the model) does not exist."""
        ...

    def set_alias(self, model: str, alias: str, version: int | None) -> None:
        """Point an alias at a version, or drop it (None); the matching deprecated stage follows."""
        ...

    def annotate(self, version: Version, markdown: str) -> None:
        """Show Markdown below a version's first sentence, instead of what was shown there; StoreError without it."""
        ...


class Tracking(Protocol):
    """Experiment runs (MLflow) that show a drift report or a comparison; logging a run key twice logs it once."""

    def log_drift(
        self, names: Names, run_key: str, champion: int, report: DriftReport, left_out: Mapping[str, int]
    ) -> None:
        """Log a drift report: findings as metrics, as a table and as a page."""
        ...

    def log_comparison(self, names: Names, log: ComparisonLog) -> None:
        """Log a comparison run."""
        ...
