"""What is needed to start runs from outside, and to see what becomes of them: Airflow, the router, the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gauntlet.domain.spec import Spec
    from gauntlet.jobs.ledger_port import Ledger
    from gauntlet.jobs.stack import Say


@dataclass(frozen=True)
class TaskState:
    """A task of a run: its state in Airflow's words, the seconds it took (None before its end), and which try it is."""

    task: str
    state: str | None
    seconds: float | None
    try_number: int


class Scheduler(Protocol):
    """Airflow, as seen from outside."""

    def wait_for_dag(self, dag: str) -> None:
        """Wait until Airflow has read the DAG."""
        ...

    def paused(self, dag: str) -> bool:
        """Say whether a DAG is paused."""
        ...

    def set_paused(self, dag: str, paused: bool) -> None:
        """Pause a DAG, or turn it on."""
        ...

    def start(self, dag: str, conf: Mapping[str, Any]) -> str:
        """Start a run and return its id."""
        ...

    def unfinished_runs(self, dag: str) -> Sequence[str]:
        """The ids of the runs that have not ended, oldest first."""
        ...

    def scheduled_run_due(self, dag: str) -> bool:
        """Say whether turning the DAG on would start a scheduled run at once."""
        ...

    def stop_run(self, dag: str, run_id: str) -> None:
        """End a run as failed."""
        ...

    def run_state(self, dag: str, run_id: str) -> str:
        """The state of a run: queued, running, success or failed."""
        ...

    def task_states(self, dag: str, run_id: str) -> Sequence[TaskState]:
        """The tasks of a run."""
        ...

    def answer_page(self, dag: str, run_id: str, task: str) -> str:
        """Where a person answers what a task asks."""
        ...

    def failure(self, dag: str, run_id: str) -> str:
        """The failed task of a run and the end of its log."""
        ...

    def result(self, dag: str, run_id: str, task: str) -> Any:
        """What a task returned; None when it returned nothing."""
        ...


class TrafficControl(Protocol):
    """The router's traffic, to look at and to change."""

    def get_traffic(self, spec: str) -> Mapping[str, Any]:
        """The traffic configuration."""
        ...

    def set_traffic(self, spec: str, changes: Mapping[str, Any]) -> Mapping[str, Any]:
        """Change some keys and return the whole."""
        ...


@dataclass(frozen=True)
class Conductor:
    """What is needed to start runs of one spec's DAG and to see what they came to.

    `say` gets lines to keep; `doing` gets what goes on right now, to be shown and forgotten.
    """

    scheduler: Scheduler
    traffic: TrafficControl
    ledger: Ledger
    spec: Spec
    dag: str
    run_key: Callable[[str, str], str]
    say: Say
    doing: Say
