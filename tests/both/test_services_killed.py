"""kill -9 of each service's main process during a training: the service comes back, and the run ends well."""

import time
from collections.abc import Callable

import pytest
from tests.driver import Driver

from gauntlet.compose.stack import SERVICES as COMPOSE_SERVICES
from gauntlet.embedded.layout import SERVICES
from gauntlet.jobs.flow import Step


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    metafunc.parametrize("service", COMPOSE_SERVICES if metafunc.config.option.stack == "compose" else SERVICES)


def test_a_run_survives_the_kill_of_a_service(
    driver: Driver, service: str, record_property: Callable[[str, object], None]
) -> None:
    if "diamonds" not in driver.json("status", "--json")["champions"]:
        driver.run("run")
    before = driver.json("history", "--json", "--spec", "diamonds")
    run = driver.start("run", "--force-retrain")
    _wait_for_training(driver)
    seconds = driver.kill(service)
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
