"""The DAG that trains from files: runs by `dag.test()` on files in a folder and the other ports in memory."""

from pathlib import Path
from typing import Any

import pytest
from tests.training_files import Town, items
from tests.unit.test_pipeline import SPEC

from gauntlet.bootstrap import training_files, wiring
from gauntlet.jobs.flow import TRAIN_FLOW, Step
from gauntlet.jobs.ports import Names

SKIPPED = {Step.TRAIN_INITIAL_MODEL, Step.SET_INITIAL_MODEL, Step.APPROVE_PROMOTION}
TRAINED = set(TRAIN_FLOW) - SKIPPED


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Town:
    own = SPEC.model_copy(update={"name": "diamonds", "candidates": ("linear",)})
    made = Town(tmp_path, spec=own, names=Names("gauntlet", "gauntlet", "gauntlet-comparison"))
    monkeypatch.setattr(training_files, "train_ports", lambda _: made.ports)
    monkeypatch.setattr(wiring, "load_spec", lambda *_: own)
    return made


def test_a_run_of_the_dag_with_a_file_named_takes_the_flows_way(dag_bag: Any, town: Town) -> None:
    town.put("2026-11-01/first.parquet", items(600, 1))
    town.go()
    uri = town.put("2026-11-02/second.parquet", items(4000, 2, slope=14.0))
    town.put("2026-11-03/third.parquet", items(600, 3))

    assert _way(dag_bag.dags["train_pipeline"].test(run_conf={"uri": uri})) == TRAINED
    assert town.champion == 2
    assert [batch.uri for batch in town.mart.trained_on("diamonds", 2)] == [town.batches()[0].uri, uri]
    assert len(town.batches()) == 2


def _way(run: Any) -> set[str]:
    states = {ti.task_id: str(ti.state) for ti in run.get_task_instances()}
    assert set(states) == {str(step) for step in TRAIN_FLOW}
    assert set(states.values()) <= {"success", "skipped"}
    return {task for task, state in states.items() if state == "success"}
