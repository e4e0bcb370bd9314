"""Airflow's REST interface."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx

from gauntlet.domain.errors import Mendable
from gauntlet.jobs.conductor import TaskState
from gauntlet.jobs.ports import ServiceAway

UNFINISHED = ("queued", "running")
PAUSE = 0.5


class AirflowError(Mendable):
    """Airflow answered, and refused."""


class AirflowClient:
    """A client of one Airflow; reads are tried again while the server restarts, starts of runs are not."""

    def __init__(
        self,
        url: str,
        user: str,
        password: str,
        patience: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self._login = {"username": user, "password": password}
        self._patience = patience
        self._http = httpx.Client(base_url=self._url, timeout=15.0, trust_env=False, transport=transport)

    def wait_for_dag(self, dag: str, seconds: float = 90.0) -> None:
        """Wait until Airflow has read the DAG; raises AirflowError with the import errors when it does not."""
        deadline = time.monotonic() + seconds
        while self._call("GET", f"/dags/{dag}", missing_ok=True) is None:
            if time.monotonic() > deadline:
                raise self._no_dag(dag)
            time.sleep(PAUSE)

    def paused(self, dag: str) -> bool:
        """Say whether a DAG is paused."""
        return bool(self._call("GET", f"/dags/{dag}")["is_paused"])

    def set_paused(self, dag: str, paused: bool) -> None:
        """Pause a DAG, or turn it on."""
        self._call("PATCH", f"/dags/{dag}", json={"is_paused": paused})

    def scheduled_run_due(self, dag: str) -> bool:
        """Say whether turning the DAG on would start a scheduled run at once."""
        after = self._call("GET", f"/dags/{dag}")["next_dagrun_run_after"]
        return after is not None and datetime.fromisoformat(after) <= datetime.now(UTC)

    def start(self, dag: str, conf: Mapping[str, Any]) -> str:
        """Start a run and return its id."""
        body = {"logical_date": None, "conf": dict(conf)}
        run = self._call("POST", f"/dags/{dag}/dagRuns", missing_ok=True, json=body)
        if run is None:
            raise self._no_dag(dag)
        return str(run["dag_run_id"])

    def stop_run(self, dag: str, run_id: str) -> None:
        """End a run as failed."""
        self._call("PATCH", f"/dags/{dag}/dagRuns/{run_id}", json={"state": "failed"})

    def unfinished_runs(self, dag: str) -> Sequence[str]:
        """The ids of the runs that have not ended, oldest first."""
        runs = self._call("GET", f"/dags/{dag}/dagRuns", params={"state": UNFINISHED, "order_by": "run_after"})
        return [run["dag_run_id"] for run in runs["dag_runs"]]

    def run_state(self, dag: str, run_id: str) -> str:
        """The state of a run: queued, running, success or failed."""
        return str(self._call("GET", f"/dags/{dag}/dagRuns/{run_id}")["state"])

    def task_states(self, dag: str, run_id: str) -> Sequence[TaskState]:
        """The tasks of a run, in the order in which they ended."""
        tasks = self._call("GET", f"/dags/{dag}/dagRuns/{run_id}/taskInstances")["task_instances"]
        ended = sorted(tasks, key=lambda task: task["end_date"] or "9")
        return [TaskState(task["task_id"], task["state"], task["duration"], task["try_number"]) for task in ended]

    def answer_page(self, dag: str, run_id: str, task: str) -> str:
        """Where a person answers what a task asks."""
        return f"{self._url}/dags/{dag}/runs/{quote(run_id, safe=':+')}/tasks/{task}/required_actions"

    def failure(self, dag: str, run_id: str) -> str:
        """The failed task of a run and the last lines of its log."""
        tasks = self._call("GET", f"/dags/{dag}/dagRuns/{run_id}/taskInstances")["task_instances"]
        failed = next((task for task in tasks if task["state"] == "failed"), None)
        if failed is None:
            return f"run {run_id} of {dag} failed; no task of it did"
        lines = self.task_log(dag, run_id, failed["task_id"], failed["try_number"])[-15:]
        return f"step {failed['task_id']} of run {run_id} failed; the end of its log:\n" + "\n".join(lines)

    def task_log(self, dag: str, run_id: str, task: str, try_number: int = 1) -> Sequence[str]:
        """The lines of a task's log."""
        path = f"/dags/{dag}/dagRuns/{run_id}/taskInstances/{task}/logs/{try_number}"
        content = self._call("GET", path, params={"full_content": True})["content"]
        return [line for line in map(_log_line, content) if "::group::" not in line and "::endgroup::" not in line]

    def run_seconds(self, dag: str, run_id: str) -> float:
        """How long a run that has ended took, from its start to its end."""
        run = self._call("GET", f"/dags/{dag}/dagRuns/{run_id}")
        return (datetime.fromisoformat(run["end_date"]) - datetime.fromisoformat(run["start_date"])).total_seconds()

    def result(self, dag: str, run_id: str, task: str) -> Any:
        """What a task returned; None when it returned nothing."""
        path = f"/dags/{dag}/dagRuns/{run_id}/taskInstances/{task}/xcomEntries/return_value"
        entry = self._call("GET", path, params={"deserialize": True}, missing_ok=True)
        return None if entry is None else entry["value"]

    def _no_dag(self, dag: str) -> AirflowError:
        errors = self._call("GET", "/importErrors")["import_errors"]
        found = "\n".join(error["stack_trace"] for error in errors) or "no import error: is there a spec of that name?"
        return AirflowError(f"Airflow must have read the DAG {dag}; it has not. Found: {found}")

    def _call(self, method: str, path: str, *, missing_ok: bool = False, **request: Any) -> Any:
        answer = self._authorised(method, f"/api/v2{path}", request)
        if answer.status_code == httpx.codes.NOT_FOUND and missing_ok:
            return None
        return _body(answer)

    def _authorised(self, method: str, path: str, request: Mapping[str, Any]) -> httpx.Response:
        """Send a request, with a new login before it where there is none or Airflow no longer takes it."""
        deadline = time.monotonic() + self._patience
        for _ in range(2):
            if "Authorization" not in self._http.headers:
                self._log_in(deadline)
            answer = self._patiently(method, path, request, deadline, repeatable=method != "POST")
            if answer.status_code != httpx.codes.UNAUTHORIZED:
                break
            del self._http.headers["Authorization"]  # the token has run out
        return answer

    def _log_in(self, deadline: float) -> None:
        answer = self._patiently("POST", "/auth/token", {"json": self._login}, deadline, repeatable=True)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise AirflowError(
                f"Airflow at {self._url} must know user {self._login['username']} by AIRFLOW_ADMIN_PASSWORD; it "
                "refused the login. Is this the Airflow of another stack, or is the variable an old one?"
            )
        self._http.headers["Authorization"] = f"Bearer {_body(answer)['access_token']}"

    def _patiently(
        self, method: str, path: str, request: Mapping[str, Any], deadline: float, *, repeatable: bool
    ) -> httpx.Response:
        """Return an answer, or raise ServiceAway; what is not repeatable is sent again only if it cannot have arrived.

        A start of a run that arrived and is sent again would be two runs; a login adds to nothing.
        """
        while True:
            try:
                answer = self._http.request(method, path, **request)
            except httpx.TransportError as error:
                unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                if not (repeatable or unsent) or time.monotonic() > deadline:
                    found = str(error) or type(error).__name__
                    raise ServiceAway(
                        f"Airflow must answer at {self._url}; found: {found}. See: gauntlet status"
                    ) from error
            else:
                # its database restarts
                if not (answer.is_server_error and repeatable) or time.monotonic() > deadline:
                    return answer
            time.sleep(PAUSE)


def _body(answer: httpx.Response) -> Any:
    """What Airflow answered; raises AirflowError for a refusal, and for an answer that is not Airflow's."""
    request = f"{answer.request.method} {answer.request.url.path}"
    if answer.is_error:
        raise AirflowError(f"Airflow refused {request}: {answer.status_code} {answer.text[:500]}")
    try:
        return answer.json()
    except ValueError as error:
        raise AirflowError(
            f"Airflow must answer {request} with JSON; found: {answer.text[:100]}. Is AIRFLOW_URL another program's?"
        ) from error


def _log_line(line: Any) -> str:
    if not isinstance(line, dict):
        return f"  {line}"
    details = "; ".join(f"{item.get('exc_type')}: {item.get('exc_value')}" for item in line.get("error_detail") or [])
    return f"  {line.get('event', '')}" + (f"  {details}" if details else "")
