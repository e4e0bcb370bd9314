"""What a step is given and what it returns."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gauntlet.domain.drift import DriftPolicy
from gauntlet.domain.errors import Final
from gauntlet.domain.promotion import PromotionPolicy
from gauntlet.domain.spec import Spec
from gauntlet.jobs.flow import Outcome, Step
from gauntlet.jobs.ledger_port import Ledger
from gauntlet.jobs.people import Approver, Nobody, NoNotifier, Notifier
from gauntlet.jobs.ports import Names, ObjectStore, Registry, Tracking, Traffic


class Refused(Final):
    """The run must not go on, and trying again would not help."""


@dataclass(frozen=True)
class Ports:
    """The services a run works with, and the people behind it."""

    traffic: Traffic
    store: ObjectStore
    registry: Registry
    tracking: Tracking
    ledger: Ledger
    notifier: Notifier = field(default_factory=NoNotifier)
    approver: Approver = field(default_factory=Nobody)


@dataclass(frozen=True)
class Run:
    """One run of the flow for one spec; `key` identifies it in the ledger and makes each of its steps repeatable.

    `approval_hours` is how long a person has to approve a promotion, `mlflow_page` where people find MLflow.
    """

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
    require_approval: bool = False
    approval_hours: float = 24.0
    mlflow_page: str = ""
    clock: Callable[[], float] = time.perf_counter


@dataclass(frozen=True)
class StepResult:
    """How a step ended, and what later steps read of it (JSON values only)."""

    outcome: Outcome = Outcome.DONE
    data: Mapping[str, Any] = field(default_factory=dict)


Results = Mapping[Step, Mapping[str, Any]]
StepFunction = Callable[[Run, Ports, Results], StepResult]
