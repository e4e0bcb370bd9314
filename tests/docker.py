"""Docker as a program that answers from files: what no test should need an engine for."""

import json
from pathlib import Path
from typing import Any

from gauntlet.compose.containers import Containers
from gauntlet.compose.docker import DockerCompose
from gauntlet.compose.engine import Engine

KEPT = {"restart": "unless-stopped"}
WITHOUT_MINIO: dict[str, Any] = {
    "postgres": {**KEPT, "image": "postgres", "ports": [{"published": "15432"}]},
    "databases": {"image": "ours", "depends_on": {"postgres": {}}},
    "mlflow": {**KEPT, "image": "ours", "depends_on": {"databases": {}}, "environment": {"A": "1"}},
    "router": {**KEPT, "image": "ours", "depends_on": {"databases": {}}},
}
SERVICES: dict[str, Any] = {**WITHOUT_MINIO, "minio": KEPT}


def container(service: str, status: str = "running", **changes: Any) -> dict[str, Any]:
    """A container as `docker inspect` shows it; `changes` are those of its state."""
    state = {"Status": status, "ExitCode": 0, "Error": "", "OOMKilled": False}
    return {
        "Name": f"/x-{service}-1",
        "Image": "sha256:1",
        "RestartCount": 0,
        "Config": {"Labels": {"com.docker.compose.service": service}, "Env": ["A=1"]},
        "HostConfig": {"Memory": 2**29},
        "NetworkSettings": {"Ports": {}},
        "State": {**state, **changes},
    }


def docker_program(folder: Path, services: dict[str, Any], *containers: dict[str, Any]) -> str:
    """Write a program `docker` that knows these, and return the PATH on which it is found."""
    listed = [
        {"Service": each["Config"]["Labels"]["com.docker.compose.service"], "Name": each["Name"]}
        | {"State": each["State"]["Status"], "ExitCode": each["State"]["ExitCode"]}
        for each in containers
    ]
    (folder / "config").write_text(json.dumps({"services": services}))
    (folder / "inspect").write_text(json.dumps(containers))
    (folder / "ps").write_text("".join(json.dumps(each) + "\n" for each in listed))
    program = folder / "docker"
    program.write_text(
        f"""#!/bin/sh
case "$*" in
"compose config"*) cat {folder}/config ;;
"compose ps"*json) cat {folder}/ps ;;
"compose ps"*) echo id ;;
"compose exec"*) echo "find: '/var/log': permission denied" >&2; exit 1 ;;
"compose logs"*databases) echo the log of databases ;;
inspect*) cat {folder}/inspect ;;
logs*) echo the last words ;;
*) echo "Cannot connect to the Docker daemon at unix:///x.sock. Is the docker daemon running?" >&2; exit 1 ;;
esac
"""
    )
    program.chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def docker(folder: Path, *containers: dict[str, Any], services: dict[str, Any] = SERVICES) -> Containers:
    """The containers as the doctor sees them through that program."""
    return Containers(Engine(DockerCompose(folder, {"PATH": docker_program(folder, services, *containers)})))
