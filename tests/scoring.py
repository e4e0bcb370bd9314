"""A spec, versions that predict it, and a store with files to score, for the tests of scoring."""

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import skops.io

from gauntlet.adapters.local_store import LocalStore
from gauntlet.domain.recipes import pipeline
from gauntlet.domain.spec import Spec
from gauntlet.jobs.choice import Chosen
from gauntlet.jobs.inbox import named
from gauntlet.jobs.mart_port import Batch, BatchKind, Mart
from gauntlet.jobs.ports import Version
from gauntlet.jobs.score_files import ScorePorts, ScoreRun, score_file
from tests.contract.adapters.records import make_version
from tests.fakes import MemoryLedger, MemoryObjects, MemoryRegistry

Table = Callable[[int, int], pa.Table]

FOLDER = "data/{}/predict"


def things(rows: int, seed: int = 0, first: int = 0) -> pa.Table:
    """Rows that fulfil `tests.contract.adapters.marts.make_spec`, less the target, and a column of nobody's."""
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "kind": rng.choice(["good", "bad"], rows),
            "note": [f"note {number}" for number in range(rows)],
            "size": rng.uniform(0, 10, rows).round(6),
            "item": [f"item {number + first}" for number in range(rows)],
        }
    )


def parquet(table: pa.Table, **options: Any) -> bytes:
    """A table as the bytes of a file."""
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


class Scoring:
    """Ports with versions 1 and 2 of a spec, which differ in what they predict."""

    def __init__(self, spec: Spec, mart: Mart, folder: Path, rows: Table = things) -> None:
        self.spec, self.mart, self.scratch = spec, mart, folder / "scratch"
        self.files = LocalStore(folder / "store")
        self.registry, self.ledger = MemoryRegistry(), MemoryLedger()
        self.ports = ScorePorts(self.files, MemoryObjects(), self.registry, self.ledger, mart)
        for number in (1, 2):
            self.add_version(number, trained(spec, number, rows(60, number).to_pandas()))

    def add_version(self, number: int, model: Any) -> Version:
        """Record a model as a version."""
        data: bytes = skops.io.dumps(model)
        made = make_version(self.spec.name, number)
        made = replace(made, spec_json=self.spec.to_json(), model_sha256=hashlib.sha256(data).hexdigest())
        self.registry.versions[made.model, number], self.registry.files[made.model, number] = made, data
        return self.ledger.add_version(made)

    def put(self, name: str, data: bytes | pa.Table) -> str:
        """Put a file into the folder of files to predict; its URI."""
        key = f"{FOLDER.format(self.spec.name)}/{name}.parquet"
        self.files.write(key, io.BytesIO(data if isinstance(data, bytes) else parquet(data)))
        return f"{self.files.root}/{key}"

    def run(self, key: str = "run", **changes: Any) -> ScoreRun:
        """A run."""
        return replace(ScoreRun(key, self.spec, self.scratch, 2, "0.1.0", lambda _rows, _total: None), **changes)

    def chosen(self, version: int = 1) -> Chosen:
        """A version as a rule has chosen it."""
        found = self.ledger.version(self.spec.name, version)
        assert found is not None
        return Chosen(found, f"version:{version}", {})

    def score(self, name: str, version: int = 1, key: str = "run", ports: ScorePorts | None = None) -> Batch:
        """Score a file of the folder."""
        ports = ports or self.ports
        uri = f"{self.files.root}/{FOLDER.format(self.spec.name)}/{name}.parquet"
        return score_file(self.run(key), ports, named(ports.files, uri), self.chosen(version))

    def scores(self, batch: Batch) -> pa.Table:
        """The file of scores of a batch."""
        assert batch.output_uri is not None
        with self.files.open(named(self.files, batch.output_uri).key) as opened:
            assert opened is not None
            data = opened.stream.read()
        assert hashlib.sha256(data).hexdigest() == batch.output_sha256
        return pq.read_table(io.BytesIO(data))

    def rows(self, batch: Batch) -> pd.DataFrame:
        """The rows of a batch in the marts."""
        found = list(self.mart.rows(batch))
        return pa.Table.from_batches(found).to_pandas() if found else pd.DataFrame()

    def batches(self) -> Sequence[Batch]:
        """The batches of the spec, newest first."""
        return self.mart.batches(self.spec.name, BatchKind.PREDICT, None)

    def agree(self, batch: Batch) -> None:
        """Fail unless marts, file of scores and batch tell the same."""
        scores, rows = self.scores(batch).to_pandas(), self.rows(batch)
        assert (len(rows), batch.accepted + batch.rejected, len(scores)) == (batch.accepted, batch.read, batch.written)
        if len(rows):
            assert rows["row_id"].is_unique
            assert scores["row_id"].tolist() == rows["row_id"].tolist()
            assert scores["prediction"].tolist() == rows["prediction"].tolist()


def trained(spec: Spec, seed: int, table: pd.DataFrame) -> Any:
    """A model of a spec, trained on features; another one for another seed."""
    numbers = sum((1 + seed) * table[name] for name in spec.numeric if name in table)
    table["price"] = seed + numbers + sum(table[name].str.len() for name in spec.categorical)
    recipe = "logistic" if spec.classes else "ridge"
    return pipeline(recipe, spec).fit(table[list(spec.features)], table[spec.target])
