"""kill -9 of each service while a run trains a challenger: the service comes back, and the run ends well."""

import os
import signal
import time
from collections.abc import Callable

import pytest
from tests.embedded.driver import Driver

from gauntlet.embedded.layout import SERVICES
from gauntlet.jobs.flow import Step


@pytest.mark.parametrize("service", SERVICES)
def test_a_run_survives_the_kill_of_a_service(
    driver: Driver, service: str, record_property: Callable[[str, object], None]
) -> None:
    if "diamonds" not in driver.json("status", "--json")["champions"]:
        driver.run("run")
    before = driver.json("history", "--json", "--spec", "diamonds")
    run = driver.start("run", "--force-retrain")
    _wait_for_training(driver)
    pid = driver.json("status", "--json")["services"][service]["pid"]
    os.kill(pid, signal.SIGKILL)
    seconds = _seconds_to_healthy(driver, service, pid)
    output, _ = run.communicate(timeout=240)

    assert run.returncode == 0, output
    after = driver.json("history", "--json", "--spec", "diamonds")
    assert len(after) == len(before) + 1  # one verdict, whatever was tried again
    assert after[0]["verdict"] in ("PROMOTE", "KEEP", "INCONCLUSIVE")
    record_property("healthy again after", f"{seconds:.1f} s")
    record_property("the run ended with", after[0]["verdict"])


def _wait_for_training(driver: Driver) -> None:
    conductor = driver.conductor()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for run_id in conductor.scheduler.unfinished_runs(conductor.dag):
            tasks = {task.task: task.state for task in conductor.scheduler.task_states(conductor.dag, run_id)}
            if tasks.get(Step.TRAIN_NEW_MODEL) == "running":
                return
        time.sleep(0.2)
    pytest.fail("the run did not reach its training within 60 s")


def _seconds_to_healthy(driver: Driver, service: str, killed_pid: int) -> float:
    killed = time.monotonic()
    while True:
        state = driver.json("status", "--json")["services"][service]
        if state["healthy"] and state["pid"] != killed_pid:
            return time.monotonic() - killed
        assert time.monotonic() < killed + 120, f"{service} is not healthy 120 s after its kill"
        time.sleep(0.2)
