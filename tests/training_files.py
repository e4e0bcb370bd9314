"""A store of files, marts and a registry, and runs that train from the files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from gauntlet.adapters.local_store import LocalStore
from gauntlet.domain.drift import DriftPolicy
from gauntlet.domain.promotion import PromotionPolicy
from gauntlet.domain.spec import Spec
from gauntlet.jobs.flow import TRAIN_FLOW, Step, start
from gauntlet.jobs.frames import from_parquet
from gauntlet.jobs.ledger_port import Ledger
from gauntlet.jobs.mart_port import Batch, BatchKind, BatchStatus, Mart
from gauntlet.jobs.pipeline import TRAIN_TASKS, run_train_pipeline
from gauntlet.jobs.ports import Entry, Names, Version
from gauntlet.jobs.run import StepResult
from gauntlet.jobs.train_files import TrainPorts, TrainRun
from tests.fakes import MemoryLedger, MemoryNotifier, MemoryRegistry, MemoryTracking, MemoryTraffic
from tests.memory_mart import MemoryMart
from tests.unit.test_pipeline import NAMES, SPEC

SHARE = 0.3


@dataclass
class Town:
    """A place where files arrive; `spec` and `names` may be a test's own."""

    root: Path
    mart: Mart = field(default_factory=MemoryMart)
    ledger: Ledger = field(default_factory=MemoryLedger)
    registry: MemoryRegistry = field(default_factory=MemoryRegistry)
    tracking: MemoryTracking = field(default_factory=MemoryTracking)
    notifier: MemoryNotifier = field(default_factory=MemoryNotifier)
    spec: Spec = SPEC
    names: Names = NAMES
    share: float = SHARE
    runs: int = 0

    @property
    def store(self) -> LocalStore:
        return LocalStore(self.root / "store")

    @property
    def ports(self) -> TrainPorts:
        return TrainPorts(
            MemoryTraffic({}, {}), self.store, self.registry, self.tracking, self.ledger, self.notifier,
            files=self.store, mart=self.mart, scratch=self.root / "scratch",
        )  # fmt: skip

    def put(self, name: str, frame: pd.DataFrame) -> str:
        """Write a training file and return its URI; the rows' ids only if their index has a name."""
        return self.put_bytes(name, parquet(frame))

    def put_bytes(self, name: str, data: bytes) -> str:
        key = f"data/{self.spec.name}/train/{name}"
        self.store.write(key, BytesIO(data))
        return f"{self.store.root}/{key}"

    def run(self, **changes: Any) -> TrainRun:
        self.runs += 1
        own: dict[str, Any] = {
            "key": f"train_pipeline/{self.runs}",
            "spec": self.spec,
            "names": self.names,
            "drift_policy": DriftPolicy(),
            "promotion_policy": PromotionPolicy(min_rows=300),
            "force_retrain": False,
            "simulate_drift": 0,
            "log_details": True,
            "threads": 1,
            "code_version": "test",
            "decided_by": "test",
            "rng": np.random.default_rng(self.runs),
            "share": self.share,
        }
        return TrainRun(**{**own, **changes})

    def go(self, **changes: Any) -> list[Step]:
        return run_train_pipeline(self.run(**changes), self.ports)[0]

    def until(self, run: TrainRun, last: Step) -> dict[Step, Mapping[str, Any]]:
        """Run the flow up to a step, that one left out, and return what it is given."""
        results: dict[Step, StepResult] = {}
        step = start(TRAIN_FLOW)
        while step is not last:
            earlier = {other: results[other].data for other in TRAIN_TASKS[step].reads if other in results}
            results[step] = TRAIN_TASKS[step].run(run, self.ports, earlier)
            step = TRAIN_FLOW[step][results[step].outcome]
        return {other: results[other].data for other in TRAIN_TASKS[last].reads if other in results}

    def line(self, **changes: Any) -> str:
        return str(run_train_pipeline(self.run(**changes), self.ports)[1][Step.SUMMARY].data["line"])

    def batches(self, status: BatchStatus = BatchStatus.DONE) -> list[Batch]:
        """The training batches of a status, oldest first."""
        found = self.mart.batches(self.spec.name, BatchKind.TRAIN, None)
        return [batch for batch in reversed(found) if batch.status is status]

    def version(self, number: int) -> Version:
        found = self.ledger.version(self.spec.name, number)
        assert found is not None
        return found

    def trained_on(self, number: int) -> pd.DataFrame:
        """The rows that a version was trained on."""
        return from_parquet(self.store.get(self.version(number).snapshot))

    def settled(self) -> Entry:
        """What the last run settled."""
        entry = self.ledger.settled(self.spec.name, f"train_pipeline/{self.runs}")
        assert entry is not None
        return entry

    @property
    def champion(self) -> int | None:
        production = self.ledger.production(self.spec.name)
        return production.version if production else None


def items(rows: int, seed: int, slope: float = 10.0) -> pd.DataFrame:
    """Toys without ids, as files have them."""
    rng = np.random.default_rng(seed)
    size = rng.uniform(1, 10, rows)
    colour = rng.choice(["red", "green", "blue"], rows)
    price = slope * size + 5.0 * (colour == "red") + rng.normal(0, 3, rows)
    return pd.DataFrame({"size": size, "price": price, "colour": colour})


def parquet(frame: pd.DataFrame) -> bytes:
    table = pa.Table.from_pandas(frame if frame.index.name is None else frame.reset_index(), preserve_index=False)
    sink = BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()
