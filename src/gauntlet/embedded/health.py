"""Whether a service does its work: asked at its own door, not read from a process table."""

from __future__ import annotations

import http.client

import psutil
import psycopg2

from gauntlet.embedded import databases
from gauntlet.embedded.config import StackConfig
from gauntlet.embedded.environment import HOST
from gauntlet.embedded.layout import API_SERVER, DAG_PROCESSOR, MLFLOW, POSTGRES, ROUTER, SCHEDULER
from gauntlet.embedded.secrets import Secrets
from gauntlet.embedded.supervision import Process
from gauntlet.jobs.stack import ServiceStatus

# seconds between heartbeats, with room for a busy machine: the scheduler's is 2, the dag-processor's 5
_HEARTBEATS = {SCHEDULER: ("SchedulerJob", 12.0), DAG_PROCESSOR: ("DagProcessorJob", 25.0)}


def status_of(
    service: str, process: Process | None, config: StackConfig, secrets: Secrets, patience: float
) -> ServiceStatus:
    """Return the state of a service, given what the supervisor knows of its process."""
    url = _url(service, config)
    if process is None:
        return ServiceStatus(False, url, None, "not running")
    if process.state not in ("STARTING", "RUNNING") or process.pid is None:
        return ServiceStatus(False, url, process.pid, f"{process.state.lower()} {process.reason}".strip())
    problem = _problem(service, process.pid, config, secrets, patience)
    return ServiceStatus(problem is None, url, process.pid, problem or "ok")


def _url(service: str, config: StackConfig) -> str | None:
    port = {MLFLOW: config.mlflow_port, API_SERVER: config.airflow_port, ROUTER: config.router_port}.get(service)
    return f"http://{HOST}:{port}" if port else None


def _problem(service: str, pid: int, config: StackConfig, secrets: Secrets, patience: float) -> str | None:
    if service == POSTGRES:
        return None if databases.answers(config, "postgres", secrets.postgres, "postgres") else "takes no connections"
    if service in _HEARTBEATS:
        return _heartbeat_problem(service, pid, config, secrets)
    if service == API_SERVER:
        # The second is built at its first call, which holds up the whole server for seconds: it belongs to starting.
        return _http_problem(config.airflow_port, "/api/v2/version", patience) or _http_problem(
            config.airflow_port, "/execution/health", patience
        )
    return _http_problem(config.mlflow_port if service == MLFLOW else config.router_port, "/health", patience)


def _heartbeat_problem(service: str, pid: int, config: StackConfig, secrets: Secrets) -> str | None:
    job_type, limit = _HEARTBEATS[service]
    try:
        age = databases.seconds_since_heartbeat(config, secrets, job_type, psutil.Process(pid).create_time())
    except (psycopg2.Error, psutil.Error) as error:
        return " ".join(str(error).split()) or type(error).__name__
    if age is None:
        return "no heartbeat yet"
    return None if age < limit else f"last heartbeat {age:.0f} s ago"


def _http_problem(port: int, path: str, patience: float) -> str | None:
    conn = http.client.HTTPConnection(HOST, port, timeout=patience)  # not urllib: a proxy of the user is not asked
    try:
        conn.request("GET", path)
        answer = conn.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException) as error:
        return f"{path}: {error or type(error).__name__}"
    finally:
        conn.close()
    return None if answer.status == http.client.OK else f"{path} answers {answer.status}"
