"""What a step is given and what it returns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gauntlet.domain.drift import DriftPolicy
from gauntlet.domain.errors import Final
from gauntlet.domain.promotion import PromotionPolicy
from gauntlet.domain.spec import Spec
from gauntlet.jobs.flow import Outcome, Step
from gauntlet.jobs.ports import Ledger, Names, ObjectStore, Registry, Tracking, Traffic


class Refused(Final):
    """The run must not go on, and trying again would not help."""


@dataclass(frozen=True)
class Ports:
    """The services a run works with."""

    traffic: Traffic
    store: ObjectStore
    registry: Registry
    tracking: Tracking
    ledger: Ledger


@dataclass(frozen=True)
class Run:
    """One run of the flow for one spec; `key` identifies it in the ledger and makes each of its steps repeatable."""

    key: str
    spec: Spec
    names: Names
    drift_policy: DriftPolicy
    promotion_policy: PromotionPolicy
    force_retrain: bool
    simulate_drift: int
    log_details: bool
    threads: int
    code_version: str
    decided_by: str
    rng: np.random.Generator


@dataclass(frozen=True)
class StepResult:
    """How a step ended, and what later steps read of it (JSON values only)."""

    outcome: Outcome = Outcome.DONE
    data: Mapping[str, Any] = field(default_factory=dict)


Results = Mapping[Step, Mapping[str, Any]]
StepFunction = Callable[[Run, Ports, Results], StepResult]
