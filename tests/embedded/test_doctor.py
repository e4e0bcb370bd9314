"""`gauntlet doctor` on the stack without Docker; benchmarks/doctor_faults.py shows it more faults."""

import json
from pathlib import Path

from tests.driver import Driver, EmbeddedDriver

from gauntlet.embedded.config import StackConfig


def test_a_machine_that_is_ready_is_silent_before_the_first_start(tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = EmbeddedDriver.make(home).run("doctor")
    assert (done.stdout, done.stderr) == ("", "")
    assert not home.exists()


def test_a_healthy_stack_is_silent(driver: Driver) -> None:
    done = driver.run("doctor")
    assert (done.stdout, done.stderr) == ("", "")


def test_faults_are_named_with_their_remedies(driver: Driver, stack: StackConfig) -> None:
    secrets = stack.home.resolve() / "secrets" / "secrets.json"
    secrets.chmod(0o644)
    try:
        done = driver.run("doctor", "--json", ok=False, ROUTER_WORKERS="3")
    finally:
        secrets.chmod(0o600)
    assert done.returncode == 1
    assert json.loads(done.stdout) == [
        {
            "check": "secrets",
            "found": f"{secrets} holds secrets and must be readable by its owner alone; its mode is 644.",
            "remedy": f"chmod go= {secrets}",
        },
        {
            "check": "settings",
            "found": "The stack must run with the settings as they are now; ROUTER_WORKERS is 2, asked for 3.",
            "remedy": "Take the setting back, or start the stack with it: gauntlet down, then gauntlet up",
        },
    ]
