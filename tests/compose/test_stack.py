"""The stack in containers itself: what it may do, and how it takes up, down, restarts and changed passwords."""

import json
import re
from typing import Any

import psutil
import pytest
from tests.driver import ROOT, ComposeDriver

from gauntlet.adapters.airflow_api import AirflowError
from gauntlet.compose import environment
from gauntlet.compose.stack import SERVICES

ROOT_FREE = ("minio", "mlflow", "airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "router")


def inspected(compose: ComposeDriver) -> list[dict[str, Any]]:
    """Everything Docker says of the containers."""
    found = compose.docker("compose", "ps", "--all", "--quiet").split()
    return list(json.loads(compose.docker("inspect", *found)))


def test_every_container_is_hardened(compose: ComposeDriver) -> None:
    for container in inspected(compose):
        name, host = container["Name"], container["HostConfig"]
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert not host["CapAdd"] or "postgres" in name, name
        assert host["SecurityOpt"] == ["no-new-privileges:true"], name
        assert host["PidsLimit"] > 0, name
        assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}, name
        if container["Config"]["Labels"]["com.docker.compose.service"] in SERVICES:
            assert host["Memory"] > 0, name
            assert host["RestartPolicy"]["Name"] == "unless-stopped", name


@pytest.mark.parametrize("service", ROOT_FREE)
def test_no_process_of_ours_is_root(compose: ComposeDriver, service: str) -> None:
    process = psutil.Process(compose.process(service))
    assert {process.uids().real, *(child.uids().real for child in process.children(recursive=True))} == {10001}


def test_nothing_is_published_beyond_loopback(compose: ComposeDriver) -> None:
    published = {
        (binding["HostIp"], int(binding["HostPort"]))
        for container in inspected(compose)
        for bindings in (container["NetworkSettings"]["Ports"] or {}).values()
        for binding in bindings or ()
    }
    assert published == {("127.0.0.1", int(compose.env[name])) for name in environment.PORTS}
    listening = {
        (str(each.laddr[0]), int(each.laddr[1]))
        for each in psutil.net_connections("inet")
        if each.status == psutil.CONN_LISTEN and each.laddr
    }
    assert {each for each in listening if each[1] in {port for _, port in published}} == published


def test_no_command_line_shows_a_secret(compose: ComposeDriver) -> None:
    shown = "\n".join(" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))
    assert not [name for name in environment.SECRETS if compose.env[name] in shown]


def test_tasks_are_not_told_the_passwords_of_owners(compose: ComposeDriver) -> None:
    told = compose.docker("compose", "exec", "-T", "airflow-scheduler", "env")
    private = ("POSTGRES_PASSWORD", "GAUNTLET_DB_PASSWORD", "ROUTER_DB_PASSWORD", "AIRFLOW_ADMIN_PASSWORD")
    assert not [name for name in private if compose.env[name] in told]
    assert compose.env["GAUNTLET_APP_DB_PASSWORD"] in told


def test_what_env_says_for_the_host_changes_nothing_inside(compose: ComposeDriver) -> None:
    hosts = {"MLFLOW_S3_ENDPOINT_URL": "http://localhost:9000", "FLASK_URL": "http://localhost:8000"}
    config = json.loads(compose.docker("compose", "config", "--format", "json", env=hosts))
    inside = config["services"]["airflow-scheduler"]["environment"]
    assert inside["MLFLOW_S3_ENDPOINT_URL"] == "http://minio:9000"
    assert inside["FLASK_URL"] == "http://router:8000"


@pytest.mark.parametrize("name", environment.SECRETS)
def test_an_empty_secret_stops_up_with_its_name_and_the_command(compose: ComposeDriver, name: str) -> None:
    said = compose.docker("compose", "up", "--detach", ok=False, env={name: ""})
    assert re.search(rf"required variable {name} is missing a value: fill \.env by `make \.env`", said), said


def test_up_again_leaves_the_containers_alone(compose: ComposeDriver) -> None:
    compose.run("up")  # earlier tests made some with --no-deps, which Compose makes anew
    before = {service: compose.process(service) for service in SERVICES}
    compose.run("up")
    assert {service: compose.process(service) for service in SERVICES} == before


def test_another_password_of_postgres_is_told_with_its_remedy_and_nothing_loops(compose: ComposeDriver) -> None:
    said = compose.run("up", ok=False, POSTGRES_PASSWORD="another")
    assert said.returncode == 1
    assert "POSTGRES_PASSWORD must be the password that the database at postgres:5432/postgres was made with" in (
        said.stderr
    )
    assert "docker compose down -v" in said.stderr
    assert compose.docker("compose", "ps", "--all", "--status", "restarting", "--quiet") == ""
    compose.run("up")
    assert all(compose.healthy(service) for service in SERVICES)


def test_other_passwords_of_a_role_and_of_airflow_are_taken_over(compose: ComposeDriver) -> None:
    changed = ComposeDriver({**compose.env, "ROUTER_DB_PASSWORD": "another-one", "AIRFLOW_ADMIN_PASSWORD": "another"})
    changed.run("up")
    changed.run("traffic")
    assert not changed.conductor().scheduler.unfinished_runs("main_pipeline")
    with pytest.raises(AirflowError, match="it refused the login"):
        compose.conductor().scheduler.unfinished_runs("main_pipeline")
    compose.run("up")
    compose.run("traffic")


def test_down_and_up_keep_everything(compose: ComposeDriver) -> None:
    if "diamonds" not in compose.json("status", "--json")["champions"]:
        compose.run("run")
    before = compose.json("history", "--json")
    compose.run("down")
    compose.run("up")
    assert compose.json("history", "--json") == before
    compose.run("run", "--force-retrain")


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_can_be_restarted(compose: ComposeDriver, service: str) -> None:
    compose.docker("compose", "restart", "--timeout", "20", service)
    compose.docker("compose", "up", "--detach", "--wait")
    assert compose.healthy(service)


def test_specs_and_dags_are_seen_without_a_build(compose: ComposeDriver) -> None:
    spec, dag = ROOT / "specs" / "seen.toml", ROOT / "airflow" / "dags" / "seen.py"
    try:
        spec.write_text((ROOT / "specs" / "fair.toml").read_text())
        dag.write_text("from airflow.sdk import DAG\n\ndag = DAG('seen_on_the_host')\n")
        compose.conductor().scheduler.wait_for_dag("main_pipeline__seen")
        compose.conductor().scheduler.wait_for_dag("seen_on_the_host")
        compose.run("traffic", "--spec", "seen")
    finally:
        spec.unlink(missing_ok=True)
        dag.unlink(missing_ok=True)
