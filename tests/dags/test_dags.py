"""The DAG files: what they import, what Airflow reads in them, and runs by `dag.test()` on the ports in memory."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gauntlet.jobs.flow import FLOW, Step, edges
from gauntlet.jobs.run import Ports

DAGS = Path(__file__).parents[2] / "airflow" / "dags"


@pytest.mark.parametrize("path", sorted(DAGS.glob("*.py")), ids=lambda path: path.name)
def test_a_dag_file_imports_nothing_but_the_sdk_and_bootstrap(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported |= {
                f"{node.module}.{alias.name}" if node.module == "gauntlet" else str(node.module) for alias in node.names
            }
    approval = "airflow.providers.standard.operators.hitl"
    assert imported <= {"airflow.sdk", approval, "gauntlet.bootstrap", "datetime"}


def test_reading_the_specs_loads_nothing_heavy() -> None:
    code = (
        "import sys; from gauntlet import bootstrap; bootstrap.pipelines(); "
        "print([name for name in ('pandas', 'sklearn', 'mlflow', 'scipy', 'pyarrow') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_airflow_reads_every_file_without_an_error(dag_bag: Any) -> None:
    assert dag_bag.import_errors == {}
    others = {f"main_pipeline__{spec}" for spec in ("fair", "health", "randhie")}
    assert {"main_pipeline", *others} <= set(dag_bag.dags)


def test_the_dag_is_the_flow(dag_bag: Any) -> None:
    dag = dag_bag.dags["main_pipeline"]
    assert {(task.task_id, after) for task in dag.tasks for after in task.downstream_task_ids} == {
        (str(before), str(after)) for before, after in edges()
    }


def test_the_dag_keeps_its_promises(dag_bag: Any) -> None:
    dag = dag_bag.dags["main_pipeline"]
    assert dag.catchup is False
    assert dag.max_active_runs == 1
    assert dag.is_paused_upon_creation is True
    assert dict(dag.params) == {"force_retrain": False, "simulate_drift": 0}
    assert all(task.retries >= 1 and task.retry_delay.total_seconds() > 0 for task in dag.tasks)


def test_a_wrong_spec_is_an_import_error_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "good.toml").write_text((DAGS.parents[1] / "specs" / "diamonds.toml").read_text())
    (tmp_path / "bad.toml").write_text('title = "no more than this"')
    monkeypatch.setenv("SPECS_DIR", str(tmp_path))
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=str(DAGS))
    kinds = ("main_pipeline", "train_pipeline", "predict_pipeline", "watch_production")
    assert set(bag.dags) == {"watch_files", *(f"{kind}__good" for kind in kinds)}
    assert [Path(path).name for path in bag.import_errors] == ["spec_errors.py"]
    assert "spec bad: " in next(iter(bag.import_errors.values()))


def test_runs_of_the_dag_take_the_flows_way(dag_bag: Any, ports: Ports) -> None:
    dag = dag_bag.dags["main_pipeline"]
    first = _states(dag.test())
    assert _succeeded(first) == _way(Step.TRAIN_INITIAL_MODEL, Step.SET_INITIAL_MODEL)
    quiet = _states(dag.test())
    assert _succeeded(quiet) == _way(Step.COMPARE_DISTRIBUTIONS, Step.CHECK_DRIFT)
    forced = _states(dag.test(run_conf={"force_retrain": True}))
    assert Step.MODEL_TO_PROD in _succeeded(forced)

    assert {entry.run_key for entry in ports.ledger.history("diamonds", 9)} == {
        f"main_pipeline/{run_id}" for run_id in (first[0], forced[0])
    }


def _states(run: Any) -> tuple[str, dict[str, str]]:
    return run.run_id, {ti.task_id: str(ti.state) for ti in run.get_task_instances()}


def _succeeded(run: tuple[str, dict[str, str]]) -> set[str]:
    assert set(run[1]) == {str(step) for step in FLOW}
    assert set(run[1].values()) <= {"success", "skipped"}
    return {task for task, state in run[1].items() if state == "success"}


def _way(*steps: Step) -> set[str]:
    return {
        str(step)
        for step in (Step.TAKE_SNAPSHOT, Step.CHECK_PRODUCTION_VERSION, Step.TRAIN_COMPARE, *steps, Step.SUMMARY)
    }
