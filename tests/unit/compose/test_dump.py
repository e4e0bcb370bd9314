"""Upkeep of containers that a stand-in for Docker shows."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.docker import SERVICES, container, docker_program

from gauntlet.compose.docker import DockerCompose
from gauntlet.compose.dump import TaskLogs
from gauntlet.jobs.stack import StackError


@pytest.mark.parametrize("containers", [[], [container("airflow-scheduler", "exited")]])
def test_task_logs_need_a_scheduler_that_runs(tmp_path: Path, containers: list[dict[str, object]]) -> None:
    docker = DockerCompose(tmp_path, {"PATH": docker_program(tmp_path, SERVICES, *containers)})
    with pytest.raises(StackError, match=r"airflow-scheduler must run.*Start it: docker compose up -d"):
        TaskLogs(docker).old(datetime.now(UTC))
