"""What a person who checks the marts asks of them, beyond what a run needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from gauntlet.domain.errors import Final
from gauntlet.jobs.keys import kept_key, ready_key, scores_key
from gauntlet.jobs.mart_port import BatchKind, BatchStatus, InputFile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gauntlet.jobs.ledger_port import Ledger
    from gauntlet.jobs.mart_port import Batch, Mart, Predictor
    from gauntlet.jobs.ports import ObjectStore, Registry, Version
    from gauntlet.jobs.upkeep import Files


class AuditError(Final):
    """What is to be checked is not there, or cannot be."""


@dataclass(frozen=True)
class RowCounts:
    """How many rows the tables hold of a batch number, whether or not there is a batch of that number.

    `bare_inputs` have no output row and `bare_outputs` no input row; of `other_ids` both have another row id;
    `doubled` are rows whose row id another input row of the batch has.
    """

    batch: int
    inputs: int = 0
    outputs: int = 0
    rejected: int = 0
    bare_inputs: int = 0
    bare_outputs: int = 0
    other_ids: int = 0
    doubled: int = 0


class MartAudit(Protocol):
    """The marts, as they are read to be checked."""

    def specs(self) -> Sequence[str]:
        """Every spec that the marts know."""
        ...

    def counts(self, spec: str) -> Sequence[RowCounts]:
        """How many rows the tables hold, by batch number."""
        ...

    def predictors(self, spec: str) -> Sequence[Predictor]:
        """Every version that predicts, oldest first."""
        ...

    def input_row(self, batch: Batch, row_id: int | None, row_number: int | None) -> Mapping[str, Any] | None:
        """An accepted row by its id or its number: row_number, row_id, pool, then the columns of the spec."""
        ...

    def rejected_row(self, batch: Batch, row_number: int) -> str | None:
        """Why a row was rejected; None when it was not."""
        ...

    def trainings(self, batch: Batch) -> Sequence[int]:
        """The versions that a training batch went into, oldest first."""
        ...


@dataclass(frozen=True)
class Check:
    """Something that was looked at: what is `wrong` (nothing: all is right), and what to do about it."""

    name: str
    wrong: tuple[str, ...] = ()
    remedy: str = ""

    @property
    def ok(self) -> bool:
        """Say whether all is right."""
        return not self.wrong


@dataclass(frozen=True)
class AuditPorts:
    """The services that a check asks; none of them is changed."""

    files: Files
    store: ObjectStore
    registry: Registry
    ledger: Ledger
    mart: Mart
    audit: MartAudit


def require_batch(mart: Mart, number: int) -> Batch:
    """Return a batch that is done; AuditError for one that is not there or was refused."""
    batch = mart.batch(number)
    if batch is None:
        raise AuditError(f"a batch must be in the marts; there is no batch {number}. `gauntlet marts list` shows them.")
    if batch.status is BatchStatus.REFUSED:
        raise AuditError(
            f"a batch must have been loaded; batch {number}, {batch.uri}, was refused: {batch.reason}. Mend the file "
            "and score or train on it again."
        )
    return batch


def require_predictor(ledger: Ledger, batch: Batch) -> Version:
    """Return the version that scored a batch; AuditError when the ledger does not know it."""
    version = ledger.version(batch.spec, batch.version or 0)
    if version is None:
        raise AuditError(
            f"a version that predicts must be in the ledger; v{batch.version} of {batch.spec} is not. Was the ledger "
            "emptied under marts that were kept? Restore it from a backup."
        )
    return version


def kept_file(batch: Batch) -> InputFile:
    """Return the unchangeable copy of what a batch was made of; it lies under its hash also where a store was moved."""
    key = kept_key(batch.spec, batch.sha256)
    return InputFile(batch.kept_uri or batch.uri, key, batch.size, "", batch.data_time)


def output_key(batch: Batch) -> str:
    """Return the key of the file that was written of a batch: its scores, or its rows ready for training."""
    if batch.kind is BatchKind.TRAIN:
        return ready_key(batch.spec, batch.output_sha256 or "")
    return scores_key(batch.spec, batch.version or 0, batch.sha256)
