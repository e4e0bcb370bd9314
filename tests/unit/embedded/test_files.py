"""Configuration, secrets, logs and ports of the embedded stack, without starting it."""

import socket
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from gauntlet.embedded import logs, ports
from gauntlet.embedded.config import StackConfig, differences, load_config, save_config
from gauntlet.embedded.environment import service_environment, variables
from gauntlet.embedded.layout import SERVICES, Layout
from gauntlet.embedded.secrets import airflow_password_file, keep_given, load_given, load_or_create
from gauntlet.embedded.supervision import render
from gauntlet.jobs.stack import StackError

CONFIG = StackConfig(
    root=Path("/repo"),
    home=Path("/repo/.gauntlet"),
    airflow_port=8080,
    mlflow_port=5000,
    router_port=8000,
    postgres_port=15432,
    router_workers=2,
    specs_dir=Path("/repo/specs"),
    service_variables={"AB_POOL_SHARE": "0.3"},
)


def test_the_configuration_is_read_as_it_was_written(tmp_path: Path) -> None:
    config = replace(CONFIG, home=tmp_path)
    assert load_config(tmp_path) is None
    save_config(config)
    assert load_config(tmp_path) == config


def test_differences_name_the_variables() -> None:
    other = replace(CONFIG, mlflow_port=5001, service_variables={"AB_POOL_SHARE": "0.3", "DATA_FILE": "x.csv"})
    assert differences(CONFIG, other) == ["DATA_FILE is unset, asked for x.csv", "MLFLOW_PORT is 5000, asked for 5001"]


def test_secrets_are_kept_private_and_do_not_change(tmp_path: Path) -> None:
    first = load_or_create(tmp_path)
    assert load_or_create(tmp_path) == first
    assert len(first.airflow_jwt_secret) >= 64
    assert len(set(vars(first).values())) == len(vars(first))
    assert first.postgres not in repr(first)
    folder = tmp_path / "secrets"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert first.airflow_admin_password in airflow_password_file(tmp_path).read_text()


def test_everyone_at_once_gets_the_same_secrets(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)

    def load(_: int) -> str:
        barrier.wait()
        return load_or_create(tmp_path).postgres

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(load, range(8)))) == 1


def test_half_a_secrets_file_is_not_replaced(tmp_path: Path) -> None:
    load_or_create(tmp_path)
    (tmp_path / "secrets" / "secrets.json").write_text('{"postgres": ')
    with pytest.raises(StackError, match=r"must hold the stack's secrets as they were written; found JSONDecodeError"):
        load_or_create(tmp_path)


def test_addresses_are_those_of_the_ports(tmp_path: Path) -> None:
    secrets = load_or_create(tmp_path)
    found = variables(replace(CONFIG, home=tmp_path), secrets)
    assert found["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:5000"
    assert (
        found["GAUNTLET_DATABASE_URL"] == f"postgresql://gauntlet_app:{secrets.gauntlet_app}@127.0.0.1:15432/gauntlet"
    )
    assert found["OBJECT_STORE"] == tmp_path.joinpath("objects").as_uri()


def test_a_service_sees_nothing_of_the_shell_that_could_change_it(tmp_path: Path) -> None:
    shell = {
        "PATH": "/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": "/elsewhere",
        "AIRFLOW__CORE__PARALLELISM": "99",
        "MLFLOW_TRACKING_URI": "http://elsewhere",
    }
    config = replace(CONFIG, home=tmp_path)
    env = service_environment("airflow-scheduler", config, load_or_create(tmp_path), shell, {})
    assert env["PATH"] == "/bin"
    assert "AIRFLOW__CORE__PARALLELISM" not in env
    assert env["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:5000"
    assert env["AIRFLOW_CONFIG"] == str(config.root / "airflow" / "airflow.cfg")
    assert "PYTHONDONTWRITEBYTECODE" not in env
    assert "PYTHONPATH" not in env


def test_tasks_are_not_told_the_passwords_of_owners(tmp_path: Path) -> None:
    config, secrets = replace(CONFIG, home=tmp_path), load_or_create(tmp_path)
    env = service_environment("airflow-scheduler", config, secrets, {}, {})
    for secret in (secrets.gauntlet, secrets.router, secrets.postgres, secrets.airflow_admin_password):
        assert not [name for name, value in env.items() if secret in value]


def test_the_supervisor_is_told_of_every_service_and_no_secret() -> None:
    text = render(as_root=False)
    assert [line for line in text.splitlines() if line.startswith("[program:")] == [f"[program:{s}]" for s in SERVICES]
    assert "user=" not in text
    assert "user=root" in render(as_root=True)
    assert "password" not in text


def test_a_long_path_gets_its_socket_elsewhere(tmp_path: Path) -> None:
    assert Layout(Path("/short")).socket == Path("/short/run/supervisor.sock")
    long = Layout(tmp_path / ("x" * 100))
    assert len(str(long.socket)) < 95
    assert long.socket != Layout(tmp_path / ("y" * 100)).socket


def test_a_taken_port_is_named_with_its_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(StackError) as error:
            ports.check({"ROUTER_PORT": port})
    assert str(error.value).startswith(f"ROUTER_PORT must be a free port; {port} is taken by process ")
    assert str(error.value).endswith("Stop it, or set ROUTER_PORT to another port.")
    ports.check({"ROUTER_PORT": port})


def test_two_services_cannot_share_a_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(StackError) as error:
        ports.check({"MLFLOW_PORT": port, "ROUTER_PORT": port})
    assert (
        str(error.value)
        == f"Each service needs a port of its own; MLFLOW_PORT and ROUTER_PORT are both {port}. Change one."
    )


def test_following_a_log_survives_its_rotation(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("old\n")
    assert logs.tail(log, 5) == ["old"]
    lines = logs.follow(log, pause=0.01)
    timer = threading.Timer(0.05, lambda: log.open("a").write("one\n"))
    timer.start()
    assert next(lines) == "one"
    log.rename(tmp_path / "x.log.1")
    log.write_text("two\n")
    assert next(lines) == "two"


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert logs.tail(tmp_path / "none.log", 5) == []


def test_what_is_given_as_a_secret_reaches_the_tasks_and_no_other_service(tmp_path: Path) -> None:
    config, secrets = replace(CONFIG, home=tmp_path), load_or_create(tmp_path)
    assert load_given(tmp_path) == {}
    keep_given(tmp_path, {"NOTIFY_URLS": "json://hush"})
    assert (tmp_path / "secrets" / "given.json").stat().st_mode & 0o077 == 0
    given = load_given(tmp_path)
    told = [name for name in SERVICES if "NOTIFY_URLS" in service_environment(name, config, secrets, {}, given)]
    assert told == ["airflow-scheduler", "airflow-dag-processor"]


def test_a_file_of_given_secrets_that_holds_something_else_is_refused_without_showing_it(tmp_path: Path) -> None:
    load_or_create(tmp_path)
    keep_given(tmp_path, {})
    (tmp_path / "secrets" / "given.json").write_text("hush")
    with pytest.raises(StackError, match=r"given\.json must hold what `gauntlet up` wrote") as error:
        load_given(tmp_path)
    assert "hush" not in str(error.value)
