"""The DAGs of files: what Airflow reads in them, and runs by `dag.test()` on a folder and the marts in memory."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.dags.test_dags import DAGS
from tests.training_files import Town, items, parquet
from tests.unit.test_pipeline import SPEC

from gauntlet.adapters.local_store import LocalStore
from gauntlet.bootstrap import file_dags, marts, scoring, training_files, wiring
from gauntlet.domain.aliases import Alias
from gauntlet.jobs import predict_run
from gauntlet.jobs.flow import TRAIN_FLOW, Step, edges
from gauntlet.jobs.mart_port import Batch, BatchKind
from gauntlet.jobs.score_files import ScorePorts, ScoreRun

DIAMONDS = SPEC.model_copy(update={"name": "diamonds"})
TOYS = items(300, 9).drop(columns="price")


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Town:
    """Files, marts and a registry of their own, behind the DAGs of the default spec."""
    town = Town(tmp_path, spec=DIAMONDS)
    ports = ScorePorts(town.store, town.store, town.registry, town.ledger, town.mart)
    scratch = tmp_path / "scratch"
    monkeypatch.setattr(wiring, "load_spec", lambda *_: DIAMONDS)
    monkeypatch.setattr(file_dags, "load_spec", lambda *_: DIAMONDS)
    monkeypatch.setattr(file_dags, "load_specs", lambda _: ({"diamonds": DIAMONDS}, []))
    monkeypatch.setattr(file_dags, "object_store", lambda _: town.store)
    monkeypatch.setattr(file_dags, "make_ports", lambda _: town.ports)
    monkeypatch.setattr(file_dags, "names", lambda *_: town.names)
    monkeypatch.setattr(marts, "mart", lambda _: town.mart)
    monkeypatch.setattr(training_files, "train_ports", lambda _: town.ports)
    monkeypatch.setattr(scoring, "score_ports", lambda _: ports)
    monkeypatch.setattr(
        scoring, "make_score_run", lambda _, __, key: ScoreRun(key, DIAMONDS, scratch, 1, "test", lambda *_: None)
    )
    return town


@pytest.fixture
def trained(town: Town) -> Town:
    """A town with a champion."""
    town.put("first.parquet", items(1500, 1))
    town.go()
    return town


@pytest.fixture
def predict(airflow_database: None) -> Any:  # noqa: ARG001 - the database must be there
    """The DAG, read anew: it keeps the parameters of a run by `test`."""
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(dag_folder=str(DAGS / "predict_pipeline.py")).dags["predict_pipeline"]


def put(town: Town, name: str, data: bytes | None = None) -> str:
    """Write a file to predict, and return its URI."""
    import io

    key = f"data/diamonds/predict/{name}"
    town.store.write(key, io.BytesIO(parquet(TOYS) if data is None else data))
    return f"{town.store.root}/{key}"


def scores(town: Town) -> list[Batch]:
    return list(reversed(town.mart.batches("diamonds", BatchKind.PREDICT, None)))


def states(run: Any) -> dict[str, list[str]]:
    """The states of a run's tasks, of a mapped one in the order of its files."""
    found: dict[str, list[str]] = {}
    for ti in sorted(run.get_task_instances(), key=lambda ti: ti.map_index):
        found.setdefault(ti.task_id, []).append(str(ti.state))
    return found


def events(asset: str, run: Any) -> list[dict[str, Any]]:
    """What a run's events of an Asset say."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    query = select(AssetEvent.extra).join(AssetModel, AssetModel.id == AssetEvent.asset_id)
    with create_session() as session:
        return list(session.scalars(query.where(AssetModel.name == asset, AssetEvent.source_run_id == run.run_id)))


def line(run: Any) -> str:
    return str(run.get_task_instance("summary").xcom_pull(task_ids="summary")["line"])


@pytest.mark.parametrize("kind", ["train_pipeline", "predict_pipeline"])
def test_each_spec_has_both_and_they_are_paused_one_at_a_time_and_try_again(dag_bag: Any, kind: str) -> None:
    names = {kind, *(f"{kind}__{spec}" for spec in ("fair", "health", "randhie"))}
    assert {name for name in dag_bag.dags if name.split("__")[0] == kind} == names
    for name in names:
        dag = dag_bag.dags[name]
        assert (dag.catchup, dag.max_active_runs, dag.is_paused_upon_creation) == (False, 1, True)
        assert dag.has_on_failure_callback
        assert all(task.retries >= 1 and task.doc_md for task in dag.tasks)


def test_training_is_the_flow_and_starts_by_the_clock_and_by_files(dag_bag: Any) -> None:
    dag = dag_bag.dags["train_pipeline"]
    assert {(task.task_id, after) for task in dag.tasks for after in task.downstream_task_ids} == {
        (str(before), str(after)) for before, after in edges(TRAIN_FLOW)
    }
    assert dict(dag.params) == {"uri": None, "force": False}
    assert starts(dag) == ("0 0 * * 0", {"diamonds_train_files"})
    assert starts(dag_bag.dags["train_pipeline__fair"]) == (None, {"fair_train_files"})


def test_prediction_starts_by_the_clock_by_files_and_after_a_promotion(dag_bag: Any) -> None:
    dag = dag_bag.dags["predict_pipeline"]
    assert dict(dag.params) == {"uri": None, "model": None}
    assert starts(dag) == ("0 0 * * *", {"diamonds_predict_files", "diamonds_production"})
    assert starts(dag_bag.dags["predict_pipeline__fair"]) == (None, {"fair_predict_files"})
    assert dag.get_task("score").max_active_tis_per_dagrun == 1
    assert dag.get_task("score").execution_timeout == timedelta(minutes=120)


@pytest.mark.parametrize("dag", ["main_pipeline", "train_pipeline"])
def test_the_tasks_that_move_production_say_so_and_no_others(dag_bag: Any, dag: str) -> None:
    told = {task.task_id: [outlet.name for outlet in task.outlets] for task in dag_bag.dags[dag].tasks if task.outlets}
    assert told == {task: ["diamonds_production"] for task in ("set_initial_model", "set_new_prod_model")}


def starts(dag: Any) -> tuple[str | None, set[str]]:
    """The cron line of a DAG, and the Assets of which any one starts it."""
    from airflow.sdk import AssetAny

    timetable = dag.timetable
    clock = getattr(timetable, "timetable", None)
    assert isinstance(timetable.asset_condition, AssetAny)
    return (clock.expression if clock else None), {asset.name for asset in timetable.asset_condition.objects}


def test_files_make_the_first_model_and_say_that_production_moved(dag_bag: Any, town: Town) -> None:
    dag = dag_bag.dags["train_pipeline"]
    town.put("first.parquet", items(1500, 1))
    run = dag.test()
    assert str(run.state) == "success"
    assert states(run)[Step.SET_INITIAL_MODEL] == ["success"]
    assert town.champion == 1
    assert events("diamonds_production", run) == [{}]
    [batch] = town.batches()
    assert batch.run_key == f"train_pipeline/{run.run_id}"

    again = dag.test()
    done = {task for task, found in states(again).items() if found == ["success"]}
    assert done == {str(step) for step in (Step.PREPARE_DATA, Step.CHECK_NEW_DATA, Step.SUMMARY)}
    assert events("diamonds_production", again) == []


def test_each_file_is_scored_by_a_task_of_its_name_and_the_scores_are_told(predict: Any, trained: Town) -> None:
    put(trained, "2026-11-19/b.parquet", parquet(TOYS[:200]))
    put(trained, "2026-11-18/a.parquet", parquet(TOYS[:100]))
    run = predict.test()
    assert str(run.state) == "success"
    assert [(batch.accepted, batch.version, batch.rule) for batch in scores(trained)] == [
        (100, 1, "production"),
        (200, 1, "production"),
    ]
    assert {batch.run_key for batch in scores(trained)} == {f"predict_pipeline/{run.run_id}"}
    named = {ti.rendered_map_index for ti in run.get_task_instances() if ti.task_id == "score"}
    assert named == {"2026-11-18/a.parquet", "2026-11-19/b.parquet"}
    assert line(run) == "v1 (production): 2 files scored, 300 rows."
    outputs = [batch.output_uri for batch in scores(trained)]
    assert events("diamonds_scores", run) == [{"version": 1, "batches": [2, 3], "rows": 300, "files": outputs}]
    assert events("diamonds_predict_files", run) == []

    again = predict.test()
    assert states(again) | {"choose_model": ["success"]} == {
        "choose_model": ["success"], "find_files": ["success"], "score": ["skipped"], "publish": ["skipped"],
        "summary": ["success"],
    }  # fmt: skip
    assert line(again) == "nothing new for v1 (production)."
    assert events("diamonds_scores", again) == []


def test_a_copy_of_a_file_is_scored_with_it(predict: Any, trained: Town) -> None:
    for name in ("a.parquet", "copy.parquet"):
        put(trained, name)
    run = predict.test()
    assert str(run.state) == "success"
    [batch] = scores(trained)
    assert line(run) == "v1 (production): 1 file scored, 1 scored before, 300 rows."
    assert [event["batches"] for event in events("diamonds_scores", run)] == [[batch.id]]


def test_a_bad_file_makes_the_run_red_and_the_others_are_scored_and_told(predict: Any, trained: Town) -> None:
    put(trained, "2026-11-18/bad.parquet", b"no parquet")
    put(trained, "2026-11-19/good.parquet")
    run = predict.test()
    assert str(run.state) == "failed"
    assert states(run) == {
        "choose_model": ["success"], "find_files": ["success"], "score": ["failed", "success"],
        "publish": ["success"], "summary": ["failed"],
    }  # fmt: skip
    assert len(events("diamonds_scores", run)) == 1
    assert sorted(str(batch.status) for batch in scores(trained)) == ["done", "refused"]

    assert str(predict.test().state) == "success"  # what was refused is not tried again by itself


def test_a_run_of_one_file_by_a_version_of_ones_own(predict: Any, trained: Town) -> None:
    put(trained, "other.parquet", parquet(TOYS[:100]))
    uri = put(trained, "wanted.parquet", parquet(TOYS[:50]))
    run = predict.test(run_conf={"uri": uri, "model": "version:1"})
    assert line(run) == "v1 (version:1): 1 file scored, 50 rows."
    assert [(batch.uri, batch.rule) for batch in scores(trained)] == [(uri, "version:1")]


def test_an_alias_that_was_moved_by_hand_counts_at_once(predict: Any, trained: Town) -> None:
    trained.put("second.parquet", items(4000, 2, slope=14.0))
    trained.go()
    assert trained.champion == 2
    trained.registry.aliases[trained.names.model, Alias.PRODUCTION] = 1
    put(trained, "a.parquet")
    assert line(predict.test()) == "v1 (production): 1 file scored, 300 rows."
    assert trained.champion == 1


@pytest.mark.parametrize(
    ("conf", "failed"), [({"model": "version:9"}, "choose_model"), ({"uri": "file:///etc/passwd"}, "find_files")]
)
def test_a_run_that_cannot_begin_fails_and_scores_nothing(
    predict: Any, trained: Town, conf: dict[str, str], failed: str
) -> None:
    put(trained, "a.parquet")
    run = predict.test(run_conf=conf)
    assert str(run.state) == "failed"
    found = states(run)
    assert found[failed] == found["summary"] == ["failed"]
    assert found["publish"] == ["skipped"]
    assert scores(trained) == []


def test_what_is_too_much_for_one_run_starts_another(
    predict: Any, trained: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict_run, "MAX_FILES", 1)
    for name, rows in (("a.parquet", 10), ("b.parquet", 20)):
        put(trained, name, parquet(TOYS[:rows]))
    run = predict.test()
    assert line(run) == "v1 (production): 1 file scored, 10 rows. For the next run: 1 file."
    assert events("diamonds_predict_files", run) == [{"rest": 1}]


def test_files_that_arrive_are_told_once_for_each_folder(dag_bag: Any, town: Town) -> None:
    look = dag_bag.dags["watch_files"]
    assert not any(events(name, look.test()) for name in ("diamonds_train_files", "diamonds_predict_files"))
    train, predict = town.put("a.parquet", items(500, 1)), put(town, "b.parquet")
    run = look.test()
    assert events("diamonds_train_files", run) == [{"count": 1, "files": [train]}]
    assert events("diamonds_predict_files", run) == [{"count": 1, "files": [predict]}]

    again = look.test()
    assert str(again.state) == "success"
    assert events("diamonds_train_files", again) == events("diamonds_predict_files", again) == []


def test_a_folder_that_cannot_be_looked_at_hides_no_other(
    dag_bag: Any, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gauntlet.jobs.ports import StoreError

    def unless_train(listed: Callable[..., Any]) -> Callable[..., Any]:
        def items_of(store: LocalStore, folder: str = "") -> Any:
            if folder.endswith("/train"):
                raise StoreError("the folder must be readable; found it is not. Give access.")
            return listed(store, folder)

        return items_of

    monkeypatch.setattr(LocalStore, "items", unless_train(LocalStore.items))
    put(town, "b.parquet")
    run = dag_bag.dags["watch_files"].test()
    assert str(run.state) == "success"
    assert len(events("diamonds_predict_files", run)) == 1

    assert str(dag_bag.dags["watch_files"].test().state) == "failed"  # nothing else to tell: the error is seen


def test_a_backfill_takes_the_files_of_its_data_interval() -> None:
    class DagRun:
        run_type = "backfill"
        data_interval_start = datetime(2026, 11, 18, tzinfo=UTC)
        data_interval_end = datetime(2026, 11, 19, tzinfo=UTC)

    assert file_dags.interval_of(DagRun()) == (DagRun.data_interval_start, DagRun.data_interval_end)
    DagRun.run_type = "scheduled"
    assert file_dags.interval_of(DagRun()) is None
