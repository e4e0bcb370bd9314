"""What the watch over production needs of the ledger, and the records it keeps there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gauntlet.domain.confidence_sequence import PairedSums


class WatchStep(StrEnum):
    """A step of the watch, in their order; its value is the name of its Airflow task."""

    SCORE_FRESH_ROWS = "score_fresh_rows"
    JUDGE_PRODUCTION = "judge_production"
    ACT_ON_VERDICT = "act_on_verdict"


WATCH_LABELS = {
    WatchStep.SCORE_FRESH_ROWS: "score new A/B rows with production and the version before it",
    WatchStep.JUDGE_PRODUCTION: "is production worse?",
    WatchStep.ACT_ON_VERDICT: "propose a rollback, or do it",
}


class WatchOutcome(StrEnum):
    """What a look said: PROPOSE and ROLL_BACK are said once for each promotion, after that WORSE."""

    TOO_FEW_ROWS = "TOO_FEW_ROWS"
    NOT_WORSE = "NOT_WORSE"
    WORSE = "WORSE"
    PROPOSE = "PROPOSE"
    ROLL_BACK = "ROLL_BACK"

    @property
    def acts(self) -> bool:
        """Whether something is to be done."""
        return self in (WatchOutcome.PROPOSE, WatchOutcome.ROLL_BACK)

    @property
    def bad(self) -> bool:
        """Whether production is shown to be worse."""
        return self is WatchOutcome.WORSE or self.acts


class WatchedRow(NamedTuple):
    """A row's losses by production and by the version before it."""

    row_id: int
    champion_loss: float
    previous_loss: float


@dataclass(frozen=True)
class Look:
    """What one run saw in all rows of a promotion; effect and bounds are None where nothing can be said."""

    at: datetime
    spec: str
    run_key: str
    event: int
    champion: int
    previous: int
    rows: int
    effect: float | None
    lower: float | None
    upper: float | None
    outcome: WatchOutcome
    reason: str


def how_to_roll_back(look: Look) -> str:
    """Return the command that a person types to follow a proposal."""
    return f'gauntlet rollback --spec {look.spec} --to {look.previous} --reason "v{look.champion} is worse"'


class WatchLedger(Protocol):
    """The part of the ledger that the watch adds to. Nothing in it is ever changed or removed."""

    def seen(self, event: int, row_ids: Sequence[int]) -> set[int]:
        """Which of these rows count for a promotion already."""
        ...

    def add_rows(self, event: int, run_key: str, rows: Sequence[WatchedRow]) -> None:
        """Add rows, all or none; one that counts already is left as it is."""
        ...

    def rows_of_run(self, event: int, run_key: str) -> int:
        """How many rows a run has added."""
        ...

    def sums(self, event: int) -> PairedSums | None:
        """Means, squares and products of the losses of a promotion's rows; None when it has none."""
        ...

    def add_look(self, look: Look) -> Look:
        """Record a look and return it; if its run key has one already, return that instead.

        Raises StoreError when its outcome acts and the promotion has a look that acts.
        """
        ...

    def look(self, spec: str, run_key: str) -> Look | None:
        """The look of a run."""
        ...

    def looks(self, event: int) -> Sequence[Look]:
        """Every look at a promotion, oldest first."""
        ...

    def last_rollback(self, spec: str) -> Look | None:
        """The newest look that ordered a rollback, of any promotion."""
        ...
