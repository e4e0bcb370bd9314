"""A town where files are trained on and scored, and what checks the results of it."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pandas as pd

from gauntlet.jobs.audit_port import AuditPorts, MartAudit
from gauntlet.jobs.choice import choose
from gauntlet.jobs.inbox import named
from gauntlet.jobs.mart_port import Batch
from gauntlet.jobs.reproduce import Again, Reproduced
from gauntlet.jobs.score_files import ScorePorts, ScoreRun, score_file
from gauntlet.jobs.trace import RowName, Traced, trace
from gauntlet.jobs.verify import verify
from tests.training_files import Town, items, parquet


@dataclass
class Checked:
    """A town and the audit of its marts."""

    town: Town
    audit: MartAudit

    @property
    def ports(self) -> AuditPorts:
        town = self.town
        return AuditPorts(town.store, town.store, town.registry, town.ledger, town.mart, self.audit)

    @property
    def scratch(self) -> Path:
        return self.town.root / "scratch"

    def train(self, name: str, rows: int, seed: int, slope: float = 10.0) -> Batch:
        """Train on a new file, which must be taken in, and return its batch."""
        self.town.put(name, items(rows, seed, slope))
        self.town.go()
        return self.town.batches()[-1]

    def score(self, name: str, frame: pd.DataFrame, rule: str = "production") -> Batch:
        """Score a new file and return its batch."""
        town = self.town
        key = f"data/{town.spec.name}/predict/{name}"
        town.store.write(key, BytesIO(parquet(frame)))
        ports = ScorePorts(town.store, town.store, town.registry, town.ledger, town.mart)
        run = ScoreRun(f"predict_pipeline/{name}", town.spec, self.scratch, 1, "test", lambda _, __: None)
        return score_file(run, ports, named(town.store, f"{town.store.root}/{key}"), choose(ports, town.spec, rule))

    def reproduce(self, batch: Batch) -> Reproduced:
        return Again(self.ports, self.scratch, 1, self.town.share, {}, lambda _: None).reproduce(batch.id)

    def trace(self, batch: Batch, row_id: int | None = None, row_number: int | None = None) -> Traced:
        return trace(self.ports, batch.id, RowName(row_id, row_number), self.scratch)

    def faults(self, spec: str | None = None) -> dict[str, tuple[str, ...]]:
        """What `verify` finds wrong, by check, over all specs."""
        found = verify(self.ports, spec, self.scratch, lambda _: None)
        return {check.name: check.wrong for checks in found.values() for check in checks if not check.ok}

    def row_ids(self, batch: Batch) -> list[int]:
        return [number for piece in self.town.mart.rows(batch) for number in piece["row_id"].to_pylist()]

    def path(self, key: str) -> Path:
        return self.town.root / "store" / key


def to_predict(rows: int, seed: int) -> pd.DataFrame:
    """Toys without prices; every tenth is too large, and every row has a note."""
    frame = items(rows, seed).drop(columns="price")
    frame.loc[frame.index % 10 == 4, "size"] = 31.0
    frame["note"] = [f"note {number}" for number in range(rows)]
    return frame
