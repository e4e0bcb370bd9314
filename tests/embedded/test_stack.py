"""The embedded stack itself: up, down, status, and what happens when a part of it is killed."""

import json
import os
import signal
import stat
import subprocess
import urllib.request
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from tests.embedded.conftest import make_config

from gauntlet.adapters import databases
from gauntlet.embedded import stack as embedded
from gauntlet.embedded.config import StackConfig, load_config
from gauntlet.embedded.secrets import airflow_password_file, load_or_create


def processes(home: Path) -> list[psutil.Process]:
    """Every process that works below the state folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd().startswith(f"{home}/") and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_every_service_is_healthy_and_has_a_process(stack: StackConfig) -> None:
    found = embedded.status(stack)
    assert tuple(found) == embedded.SERVICES
    assert all(service.healthy for service in found.values()), found
    assert len({service.pid for service in found.values()}) == len(embedded.SERVICES)
    assert found["mlflow"].url == f"http://127.0.0.1:{stack.mlflow_port}"


def test_up_again_leaves_the_processes_alone(stack: StackConfig) -> None:
    before = {name: service.pid for name, service in embedded.status(stack).items()}
    embedded.up(stack, databases=databases, say=print)
    assert {name: service.pid for name, service in embedded.status(stack).items()} == before


def test_up_with_other_settings_is_refused(stack: StackConfig) -> None:
    other = replace(stack, router_workers=3)
    with pytest.raises(embedded.StackError) as error:
        embedded.up(other, databases=databases, say=print)
    assert str(error.value) == (
        "The stack keeps the settings it was started with; the running one has others: "
        "ROUTER_WORKERS is 2, asked for 3. Stop it (gauntlet down), then start it again."
    )


def test_the_configuration_says_where_the_stack_is(stack: StackConfig) -> None:
    assert load_config(stack.home) == stack


def test_another_stack_on_the_same_ports_is_refused_before_anything_changes(stack: StackConfig, tmp_path: Path) -> None:
    other = replace(stack, home=tmp_path / "home")
    with pytest.raises(embedded.StackError, match=r"^AIRFLOW_PORT must be a free port; \d+ is taken by process \d+ \("):
        embedded.up(other, databases=databases, say=print)
    assert not other.home.exists()


def test_nothing_listens_beyond_loopback(stack: StackConfig) -> None:
    listening = [
        (each.laddr.ip, each.laddr.port)
        for process in processes(stack.home)
        for each in process.net_connections("inet")
        if each.status == psutil.CONN_LISTEN
    ]
    assert {address for address, _ in listening} == {"127.0.0.1"}
    assert {port for _, port in listening} == set(stack.ports.values())


def test_no_command_line_and_no_readable_file_shows_a_secret(stack: StackConfig) -> None:
    secrets = set(vars(load_or_create(stack.home)).values())
    shown = subprocess.run(["ps", "-Aww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    assert not [secret for secret in secrets if secret in shown]
    assert not [secret for secret in secrets if secret in (stack.home / "stack.json").read_text()]
    assert not [secret for secret in secrets if secret in (stack.home / "run" / "supervisord.conf").read_text()]
    for file in (stack.home / "secrets").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((stack.home / "secrets").stat().st_mode) == 0o700


def test_the_password_file_opens_airflow(stack: StackConfig) -> None:
    password = json.loads(airflow_password_file(stack.home).read_text())["admin"]
    body = json.dumps({"username": "admin", "password": password}).encode()
    address = f"http://127.0.0.1:{stack.airflow_port}/auth/token"
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        assert answer.status == 201


def test_logs_end_with_the_newest_line(stack: StackConfig) -> None:
    assert any(
        "ready to accept connections" in line for line in embedded.logs(stack.home, "postgres", lines=500, follow=False)
    )
    with pytest.raises(embedded.StackError, match=r"^A service must be one of postgres, .*; got 'nginx'\.$"):
        embedded.log_path(stack.home, "nginx")


def test_a_killed_supervisor_takes_its_services_along(stack: StackConfig) -> None:
    """Last of the tests on the shared stack, which it starts again."""
    supervisor = int((stack.home / "run" / "supervisord.pid").read_text())
    os.kill(supervisor, signal.SIGKILL)
    embedded.down(stack.home, print)
    assert processes(stack.home) == []
    assert load_config(stack.home) is None
    assert not any(service.healthy for service in embedded.status(stack).values())
    embedded.up(stack, databases=databases, say=print)


def test_a_service_that_cannot_start_shows_the_end_of_its_log(home: Path) -> None:
    broken = make_config(home / "broken")
    data = broken.home / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(
        embedded.StackError, match=r"(?s)^postgres must become healthy; .* The end of its log .*postgresql\.conf"
    ):
        embedded.up(broken, databases=databases, say=print)
    assert processes(broken.home) == []
