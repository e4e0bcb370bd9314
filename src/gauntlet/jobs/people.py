"""What the jobs ask of people and tell them, and what there is of it where no adapter is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


APPROVE, REJECT = "Approve", "Reject"
"""The answers there are."""


@dataclass(frozen=True)
class Question:
    """A question to be approved or rejected: a headline, the evidence (Markdown), and the hours to wait."""

    subject: str
    body: str
    hours: float


@dataclass(frozen=True)
class Answer:
    """What was answered, and by whom; `by` is None when nobody answered in time, and then it is not approved."""

    approved: bool
    by: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON values."""
        return {"approved": self.approved, "by": self.by}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Answer:
        """Return the answer that `to_dict` wrote."""
        return cls(approved=values["approved"] is True, by=values["by"])


class Approver(Protocol):
    """Whoever puts a question to a person."""

    def ask(self, question: Question) -> Answer:
        """Wait for the answer, at most as long as the question says."""
        ...


class Notifier(Protocol):
    """Whoever tells people what has happened."""

    def tell(self, title: str, text: str) -> None:
        """Send a message; never raises, and says in the log what could not be sent."""
        ...


class Nobody:
    """An approver where no person can be reached."""

    def ask(self, _: Question) -> Answer:
        """Nobody answers."""
        return Answer(approved=False, by=None)


class NoNotifier:
    """A notifier that tells nobody."""

    def tell(self, title: str, text: str) -> None:
        """Do nothing."""
