"""The audit of the marts in memory; its `counts` come from the pieces that were loaded, as they are now."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from gauntlet.jobs.audit_port import RowCounts
from gauntlet.jobs.mart_port import Batch, Predictor
from tests.memory_mart import MemoryMart


class MemoryAudit:
    """Reads a `MemoryMart`."""

    def __init__(self, mart: MemoryMart) -> None:
        self._mart = mart

    def specs(self) -> Sequence[str]:
        return sorted({one.spec for one in self._mart.known} | {spec for spec, _ in self._mart.predictors})

    def counts(self, spec: str) -> Sequence[RowCounts]:
        of = {one.id: one.spec for one in self._mart.known}
        return [self._counts(number) for number in sorted(self._mart.pieces) if of.get(number, spec) == spec]

    def predictors(self, spec: str) -> Sequence[Predictor]:
        found = [one for (of, _), one in self._mart.predictors.items() if of == spec]
        return sorted(found, key=lambda one: one.version)

    def input_row(self, batch: Batch, row_id: int | None, row_number: int | None) -> Mapping[str, Any] | None:
        name, value = ("row_id", row_id) if row_number is None else ("row_number", row_number)
        rows = (row for piece in self._mart.pieces[batch.id].rows for row in piece.to_pylist())
        return next((row for row in rows if row[name] == value), None)

    def rejected_row(self, batch: Batch, row_number: int) -> str | None:
        rejected = self._mart.rejected(batch.id)
        return next((row["reasons"] for row in rejected if row["row_number"] == row_number), None)

    def trainings(self, batch: Batch) -> Sequence[int]:
        return sorted(
            version for spec, version, number in self._mart.trainings if (spec, number) == (batch.spec, batch.id)
        )

    def _counts(self, number: int) -> RowCounts:
        pieces = self._mart.pieces[number]
        inputs = sum(len(piece) for piece in pieces.rows)
        outputs = sum(len(piece) for piece in pieces.scores if piece is not None)
        ids = Counter(value for piece in pieces.rows for value in piece["row_id"].to_pylist())
        return RowCounts(
            batch=number,
            inputs=inputs,
            outputs=outputs,
            rejected=sum(len(piece) for piece in pieces.rejected),
            bare_inputs=max(0, inputs - outputs),
            bare_outputs=max(0, outputs - inputs),
            doubled=sum(count for count in ids.values() if count > 1),
        )
