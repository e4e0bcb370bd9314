"""Tasks on two Celery workers: the four acts, logs that outlive their worker, and kills in mid-run."""

import os
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import psutil
import pytest
from tests.driver import ComposeDriver

from gauntlet.adapters.airflow_api import AirflowClient
from gauntlet.compose.stack import SERVICES
from gauntlet.jobs.flow import Step

Record = Callable[[str, object], None]
TRAINING = str(Step.TRAIN_NEW_MODEL)


def test_the_four_acts_run_on_both_workers(driver: ComposeDriver, record_property: Record) -> None:
    shown = driver.run("demo").stdout

    verdicts = [entry["verdict"] for entry in reversed(driver.json("history", "--json"))]
    # two in a hundred samples without drift look as if there were some, and then a fourth verdict is given
    assert len(verdicts) == 3 + ("=> drift in" in shown.split("\nAct ")[2])
    assert (verdicts[0], verdicts[-2]) == ("PROMOTE", "PROMOTE")
    ran_on = [task["hostname"] for run_id in run_ids(driver) for task in tasks(driver, run_id) if task["hostname"]]
    assert set(ran_on) == set(workers(driver))
    assert len(set(ran_on)) == 2
    record_property("tasks of each worker", ", ".join(str(ran_on.count(name)) for name in sorted(set(ran_on))))
    for line in shown.splitlines():
        if line.startswith("│"):
            record_property("act", " ".join(line.replace("│", " ").split()))


def test_a_worker_has_no_port_to_the_outside_and_valkey_asks_for_its_password(driver: ComposeDriver) -> None:
    for service in ("airflow-worker", "valkey"):
        assert driver.docker("compose", "ps", "--format", "{{.Publishers}}", service).strip("[]\n ") == ""
    refused = driver.docker("compose", "exec", "-T", "valkey", "valkey-cli", "llen", "default", ok=False)
    assert refused.startswith("NOAUTH")


def test_the_scheduler_does_not_load_what_only_tasks_need(driver: ComposeDriver, record_property: Record) -> None:
    memory = {service: memory_mb(driver, service) for service in (*SERVICES, "valkey", "airflow-worker")}
    assert memory["airflow-scheduler"] < 250  # with the libraries it is well above 400
    for service, used in memory.items():
        record_property(f"memory of {service}, PSS MB", f"{used:.0f}")
    record_property("memory in all, PSS MB", f"{sum(memory.values()):.0f}")


def test_logs_are_read_while_a_task_runs_and_after_its_worker_is_gone(driver: ComposeDriver) -> None:
    run = driver.start("run", "--force-retrain")
    run_id, worker = wait_for_training(driver)
    airflow, dag = driver.conductor().scheduler, driver.conductor().dag
    assert isinstance(airflow, AirflowClient)
    while_running = airflow.task_log(dag, run_id, TRAINING)
    assert any(f"http://{worker}:8793" in line for line in while_running), while_running
    output, _ = run.communicate(timeout=240)
    assert run.returncode == 0, output

    driver.docker("rm", "--force", "--volumes", worker)
    try:
        afterwards = airflow.task_log(dag, run_id, TRAINING)
    finally:
        driver.run("up")
    assert any("s3://" in line for line in afterwards)
    assert any("the work of train_new_model took" in line for line in afterwards), afterwards


@pytest.mark.parametrize(("killed", "tries"), [("airflow-worker", 2), ("airflow-scheduler", 1), ("valkey", 1)])
def test_a_kill_in_mid_run_ends_in_one_verdict(
    driver: ComposeDriver, killed: str, tries: int, record_property: Record
) -> None:
    before = driver.json("history", "--json", "--spec", "diamonds")
    began = time.monotonic()
    run = driver.start("run", "--force-retrain")
    run_id, worker = wait_for_training(driver)
    container = worker if killed == "airflow-worker" else driver.docker("compose", "ps", "--quiet", killed)
    os.kill(int(driver.docker("inspect", "--format", "{{.State.Pid}}", container)), signal.SIGKILL)
    output, _ = run.communicate(timeout=300)

    assert run.returncode == 0, output
    record_property(f"a run with {killed} killed, s", f"{time.monotonic() - began:.1f}")
    after = driver.json("history", "--json", "--spec", "diamonds")
    assert len(after) == len(before) + 1
    assert after[0]["verdict"] in ("PROMOTE", "KEEP", "INCONCLUSIVE")
    training = next(task for task in tasks(driver, run_id) if task["task_id"] == TRAINING)
    assert training["try_number"] == tries
    driver.docker("compose", "up", "--detach", "--wait")
    assert all(driver.healthy(service) for service in (killed, "airflow-worker"))


def workers(driver: ComposeDriver) -> list[str]:
    """The host names of the workers, which are the first digits of their containers' ids."""
    return [each[:12] for each in driver.docker("compose", "ps", "--quiet", "airflow-worker").split()]


def memory_mb(driver: ComposeDriver, service: str) -> float:
    """What all processes of a service use, with their share of what they have in common (PSS)."""
    total = 0
    for container in driver.docker("compose", "ps", "--quiet", service).split():
        head = psutil.Process(int(driver.docker("inspect", "--format", "{{.State.Pid}}", container)))
        total += sum(each.memory_full_info().pss for each in (head, *head.children(recursive=True)))
    return total / 2**20


def wait_for_training(driver: ComposeDriver) -> tuple[str, str]:
    """Wait until a challenger is trained; return the run and the worker that does it."""
    conductor = driver.conductor()
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        for run_id in conductor.scheduler.unfinished_runs(conductor.dag):
            for task in tasks(driver, run_id):
                if (task["task_id"], task["state"]) == (TRAINING, "running") and task["hostname"]:
                    return run_id, task["hostname"]
        time.sleep(0.2)
    pytest.fail("the run did not reach its training within 90 s")


def run_ids(driver: ComposeDriver) -> list[str]:
    """Every run of the default spec."""
    return [run["dag_run_id"] for run in ask(driver, "")["dag_runs"]]


def tasks(driver: ComposeDriver, run_id: str) -> list[dict[str, Any]]:
    """The tasks of a run as Airflow's REST interface has them; `hostname` is the worker's."""
    return list(ask(driver, f"/{run_id}/taskInstances")["task_instances"])


def ask(driver: ComposeDriver, path: str) -> Mapping[str, Any]:
    """Ask Airflow about the runs of the default spec."""
    settings = driver.settings
    with httpx.Client(base_url=str(settings.airflow_url), trust_env=False, timeout=30) as airflow:
        login = {"username": settings.airflow_admin_user, "password": settings.secret("airflow_admin_password")}
        token = airflow.post("/auth/token", json=login).raise_for_status().json()["access_token"]
        answer = airflow.get(f"/api/v2/dags/main_pipeline/dagRuns{path}", headers={"Authorization": f"Bearer {token}"})
        return dict(answer.raise_for_status().json())
