"""What a run makes of services that freeze, are away, are full or refuse: it ends well, or says clearly why not."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from tests.driver import ComposeDriver
from tests.postgres import free_port

from gauntlet.adapters.s3_store import S3Store, s3_client
from gauntlet.jobs.flow import Step
from gauntlet.jobs.ports import ServiceAway, Stored


@pytest.fixture(autouse=True)
def champion(compose: ComposeDriver) -> None:
    """A model in production, so that every run here is a test of a challenger."""
    if "diamonds" not in compose.json("status", "--json")["champions"]:
        compose.run("run")


def decisions(compose: ComposeDriver) -> int:
    """How many verdicts the ledger holds."""
    return len(compose.json("history", "--json", "--spec", "diamonds"))


def test_a_run_outlasts_a_postgres_that_is_frozen_for_half_a_minute(compose: ComposeDriver) -> None:
    before = decisions(compose)
    run = compose.start("run", "--force-retrain")
    wait_for(compose, Step.TRAIN_NEW_MODEL, "running")
    compose.docker("compose", "pause", "postgres")
    time.sleep(30)
    compose.docker("compose", "unpause", "postgres")
    output, _ = run.communicate(timeout=240)
    assert run.returncode == 0, output
    assert decisions(compose) == before + 1


def test_a_store_that_is_away_at_the_snapshot_is_waited_for(compose: ComposeDriver) -> None:
    before = decisions(compose)
    with stopped(compose, "minio"):
        run = compose.start("run", "--force-retrain")
        wait_for(compose, Step.TAKE_SNAPSHOT, "up_for_retry")
    output, _ = run.communicate(timeout=240)
    assert run.returncode == 0, output
    assert decisions(compose) == before + 1


def test_a_store_that_stays_away_ends_the_run_with_a_clear_error(compose: ComposeDriver) -> None:
    before = decisions(compose)
    with stopped(compose, "minio"):
        failed = compose.run("run", ok=False)
    assert failed.returncode == 1
    assert "the object store must answer for s3://data/" in failed.stderr
    assert decisions(compose) == before
    compose.run("run", "--force-retrain")


def test_a_wrong_s3_key_ends_the_run_with_a_clear_error(compose: ComposeDriver) -> None:
    objects = count_objects(compose)
    compose.docker(
        "compose", "up", "--detach", "--no-deps", "--wait", "airflow-scheduler", env={"AWS_SECRET_ACCESS_KEY": "wrong"}
    )
    try:
        failed = compose.run("run", ok=False)
    finally:
        compose.docker("compose", "up", "--detach", "--no-deps", "--wait", "airflow-scheduler")
    assert failed.returncode == 1
    assert "AWS_SECRET_ACCESS_KEY" in failed.stderr
    assert count_objects(compose) == objects


def test_a_full_store_takes_an_object_whole_or_not_at_all(compose: ComposeDriver) -> None:
    with small_minio(compose) as store:
        written: list[Stored] = []
        with pytest.raises(ServiceAway, match=r"must have room for s3://small/.* it is full"):
            written.extend(store.put("rows", "parquet", bytes([number]) * 2**20) for number in range(60))
        assert written
        assert [len(store.get(each)) for each in written] == [2**20] * len(written)


def wait_for(compose: ComposeDriver, step: Step, state: str) -> None:
    """Wait until a step of the run that goes on is in this state."""
    conductor = compose.conductor()
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for run_id in conductor.scheduler.unfinished_runs(conductor.dag):
            tasks = {task.task: task.state for task in conductor.scheduler.task_states(conductor.dag, run_id)}
            if tasks.get(step) == state:
                return
        time.sleep(0.2)
    pytest.fail(f"{step} was not {state} within two minutes")


@contextmanager
def stopped(compose: ComposeDriver, service: str) -> Iterator[None]:
    """Stop a service for a while."""
    compose.docker("compose", "stop", service)
    try:
        yield
    finally:
        compose.docker("compose", "start", service)


def count_objects(compose: ComposeDriver) -> int:
    """How many snapshots the store holds."""
    settings = compose.settings
    client = s3_client(
        settings.mlflow_s3_endpoint_url, settings.aws_access_key_id, settings.secret("aws_secret_access_key")
    )
    with closing(client):
        return int(client.list_objects_v2(Bucket="data").get("KeyCount", 0))


@contextmanager
def small_minio(compose: ComposeDriver) -> Iterator[S3Store]:
    """An S3 store in 32 MB of memory, from the image of the stack."""
    port, name = free_port(), f"{compose.env['COMPOSE_PROJECT_NAME']}-small"
    keys = {"MINIO_ROOT_USER": "small-user", "MINIO_ROOT_PASSWORD": "small-password"}
    subprocess.run(
        ["docker", "run", "--rm", "--detach", "--name", name, "--publish", f"127.0.0.1:{port}:9000",
         "--tmpfs", "/data:size=32m,uid=10001,gid=10001", *(f"--env={key}={value}" for key, value in keys.items()),
         "gauntlet-minio:2026-02-12"],
        check=True, capture_output=True,
    )  # fmt: skip
    try:
        client = s3_client(f"http://127.0.0.1:{port}", *keys.values())
        make_bucket(client)
        yield S3Store("small", "", lambda: client)
    finally:
        subprocess.run(["docker", "rm", "--force", name], check=True, capture_output=True)


def make_bucket(client: Any) -> None:
    """Make the bucket as soon as the store answers."""
    for _ in range(30):
        try:
            client.create_bucket(Bucket="small")
        except (BotoCoreError, ClientError):
            time.sleep(0.5)
        else:
            return
    pytest.fail("the small store did not start")
