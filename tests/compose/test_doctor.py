"""`gauntlet doctor` on the stack in containers; benchmarks/doctor_faults.py shows it many more faults."""

import json

from tests.driver import ComposeDriver


def test_a_healthy_stack_is_silent(compose: ComposeDriver) -> None:
    done = compose.run("doctor")
    assert (done.stdout, done.stderr) == ("", "")


def test_every_fault_is_named_with_its_remedy_and_what_only_follows_is_not(compose: ComposeDriver) -> None:
    wrong = {"GAUNTLET_APP_DB_PASSWORD": "wrong", "DATA_FILE": "nothing.csv"}
    try:
        compose.docker("compose", "stop", "mlflow")
        done = compose.run("doctor", "--json", ok=False, **wrong)
    finally:
        compose.docker("compose", "up", "--detach", "--wait")
    findings = json.loads(done.stdout)
    named = {finding["check"]: finding for finding in findings}
    assert done.returncode == 1
    assert list(named) == ["data file", "settings", "services", "logins"]
    assert named["services"]["found"].startswith("mlflow must be healthy; it has ended with exit code ")
    assert named["services"]["remedy"].startswith("Start it: docker compose up -d.")
    assert "The role gauntlet_app must be able to open " in named["logins"]["found"]
