"""The DAGs that watch production: what Airflow reads in them, and runs by `dag.test()` on the ports in memory."""

from datetime import timedelta
from typing import Any

import pytest
from tests.dags.test_dags import DAGS
from tests.memory_watch import MemoryWatch
from tests.unit.test_pipeline import SPEC, World

from gauntlet.bootstrap import watching
from gauntlet.domain.aliases import Alias
from gauntlet.jobs.watch_ports import WatchOutcome, WatchStep

STEPS = [str(step) for step in WatchStep]


@pytest.fixture(scope="module")
def dag(airflow_database: None) -> Any:  # noqa: ARG001 - the database must be there
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=str(DAGS / "watch_production.py"))
    assert bag.import_errors == {}
    others = {f"watch_production__{spec}" for spec in ("fair", "health", "randhie")}
    assert {"watch_production", *others} == set(bag.dags)
    return bag.dags["watch_production"]


def test_it_is_hourly_paused_one_at_a_time_and_tries_again(dag: Any) -> None:
    assert dag.schedule == "@hourly"
    assert dag.catchup is False
    assert dag.max_active_runs == 1
    assert dag.is_paused_upon_creation is True
    assert all(task.retries >= 1 and task.retry_delay > timedelta(0) for task in dag.tasks)


def test_its_tasks_are_the_steps_in_their_order(dag: Any) -> None:
    assert [task.task_id for task in dag.topological_sort()] == STEPS
    assert [task.downstream_task_ids for task in dag.topological_sort()] == [{STEPS[1]}, {STEPS[2]}, set()]
    assert all(task.doc_md for task in dag.tasks)


@pytest.fixture
def worse(monkeypatch: pytest.MonkeyPatch) -> tuple[World, MemoryWatch]:
    """v2 in production that fits other prices than those that are served now."""
    world, watch = World(), MemoryWatch()
    world.go()
    before = world.traffic.training, world.traffic.test
    world.prices_rise()
    world.go()
    world.traffic.training, world.traffic.test = before
    assert world.champion == 2
    monkeypatch.setattr(watching, "make_ports", lambda _: world.ports)
    monkeypatch.setattr(watching, "watch_ledger", lambda _: watch)
    monkeypatch.setattr(watching, "load_spec", lambda *_: SPEC)
    monkeypatch.setattr(watching, "names", lambda *_: World().run().names)
    return world, watch


def test_a_run_rolls_back_where_that_is_set_and_the_next_one_stops(
    dag: Any, worse: tuple[World, MemoryWatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, watch = worse
    monkeypatch.setenv("AUTO_ROLLBACK", "true")
    run = dag.test()
    assert {ti.task_id: str(ti.state) for ti in run.get_task_instances()} == dict.fromkeys(STEPS, "success")
    (look,) = watch.taken
    assert (look.run_key, look.outcome) == (f"watch_production/{run.run_id}", WatchOutcome.ROLL_BACK)
    assert world.champion == 1
    assert world.aliases == {Alias.PRODUCTION: 1}

    after = dag.test()
    assert str(after.state) == "success"
    assert watch.taken == [look]


def test_a_run_only_proposes_as_it_is(dag: Any, worse: tuple[World, MemoryWatch]) -> None:
    world, watch = worse
    dag.test()
    assert [look.outcome for look in watch.taken] == [WatchOutcome.PROPOSE]
    assert world.champion == 2
