"""The client of Airflow against answers that Airflow gives on bad days."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from tests.postgres import free_port

from gauntlet.adapters import airflow_api
from gauntlet.adapters.airflow_api import AirflowClient, AirflowError
from gauntlet.jobs.conductor import TaskState
from gauntlet.jobs.ports import ServiceAway

URL = "http://127.0.0.1:8080"
RUNS = "/api/v2/dags/main_pipeline/dagRuns"
Answer = httpx.Response | Exception


@dataclass
class Airflow:
    """A server that gives each address its answers in turn, the last one for ever, and keeps what it was asked."""

    answers: Mapping[str, Sequence[Answer]]
    asked: list[str] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        answers = {"POST /auth/token": [token("first")], **self.answers}
        self._left = {name: list(each) for name, each in answers.items()}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        name = f"{request.method} {request.url.path}"
        self.asked.append(name)
        self.tokens.append(request.headers.get("Authorization"))
        left = self._left[name]
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self, patience: float = 10.0) -> AirflowClient:
        return AirflowClient(URL, "admin", "secret", patience, httpx.MockTransport(self))


def token(name: str) -> httpx.Response:
    return httpx.Response(201, json={"access_token": name})


def found(**body: Any) -> httpx.Response:
    return httpx.Response(200, json=body)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airflow_api, "PAUSE", 0.001)


DAG = "GET /api/v2/dags/main_pipeline"
LOGIN = "POST /auth/token"
START = f"POST {RUNS}"


def test_it_logs_in_once() -> None:
    airflow = Airflow({DAG: [found(is_paused=True)]})
    client = airflow.client()
    assert client.paused("main_pipeline")
    assert client.paused("main_pipeline")
    assert airflow.asked == [LOGIN, DAG, DAG]
    assert airflow.tokens == [None, "Bearer first", "Bearer first"]


@pytest.mark.parametrize(
    ("name", "ask"),
    [(DAG, lambda client: client.paused("main_pipeline")), (START, lambda client: client.start("main_pipeline", {}))],
)
def test_a_token_that_has_run_out_is_renewed(name: str, ask: Callable[[AirflowClient], object]) -> None:
    airflow = Airflow(
        {
            LOGIN: [token("first"), token("second")],
            name: [httpx.Response(401), found(is_paused=False, dag_run_id="run")],
        }
    )
    ask(airflow.client())
    assert airflow.tokens == [None, "Bearer first", None, "Bearer second"]


def test_a_token_that_is_never_taken_is_a_refusal() -> None:
    airflow = Airflow({DAG: [httpx.Response(401, text="no")]})
    with pytest.raises(AirflowError, match=r"^Airflow refused GET /api/v2/dags/main_pipeline: 401 no$"):
        airflow.client().paused("main_pipeline")
    assert airflow.asked == [LOGIN, DAG, LOGIN, DAG]


@pytest.mark.parametrize("trouble", [httpx.Response(503), httpx.ConnectError("refused"), httpx.ReadError("reset")])
@pytest.mark.parametrize("where", [LOGIN, DAG])
def test_trouble_that_passes_is_waited_for(where: str, trouble: Answer) -> None:
    fine: dict[str, Answer] = {LOGIN: token("first"), DAG: found(is_paused=True)}
    airflow = Airflow({name: [answer] for name, answer in fine.items()} | {where: [trouble, trouble, fine[where]]})
    assert airflow.client().paused("main_pipeline")
    assert airflow.asked.count(where) == 3


@pytest.mark.parametrize(("where", "shown"), [(LOGIN, "POST /auth/token"), (DAG, DAG)])
def test_trouble_that_stays_is_told(where: str, shown: str) -> None:
    airflow = Airflow({DAG: [found(is_paused=True)]} | {where: [httpx.Response(500, text="no database")]})
    with pytest.raises(AirflowError, match=f"^Airflow refused {shown}: 500 no database$"):
        airflow.client(patience=0.01).paused("main_pipeline")


@pytest.mark.parametrize("where", [LOGIN, DAG])
def test_an_airflow_that_is_away_is_told(where: str) -> None:
    airflow = Airflow({DAG: [found(is_paused=True)]} | {where: [httpx.ConnectError("refused")]})
    with pytest.raises(
        ServiceAway, match=r"^Airflow must answer at http://127.0.0.1:8080; found: refused. See: gauntlet status$"
    ):
        airflow.client(patience=0.01).paused("main_pipeline")


def test_a_refused_login_is_told_at_once() -> None:
    airflow = Airflow({LOGIN: [httpx.Response(401)]})
    with pytest.raises(AirflowError) as info:
        airflow.client().paused("main_pipeline")
    assert str(info.value) == (
        "Airflow at http://127.0.0.1:8080 must know user admin by AIRFLOW_ADMIN_PASSWORD; it refused the login. "
        "Is this the Airflow of another stack, or is the variable an old one?"
    )
    assert airflow.asked == [LOGIN]


@pytest.mark.parametrize("answers", [{LOGIN: [httpx.Response(200, text="<html>")]}, {DAG: [httpx.Response(200)]}])
def test_another_program_at_the_address_is_told(answers: dict[str, list[Answer]]) -> None:
    with pytest.raises(AirflowError, match=r"Is AIRFLOW_URL another program's\?$"):
        Airflow(answers).client().paused("main_pipeline")


@pytest.mark.parametrize(
    ("trouble", "error"), [(httpx.Response(503), AirflowError), (httpx.ReadTimeout("timed out"), ServiceAway)]
)
def test_a_start_that_may_have_arrived_is_not_repeated(trouble: Answer, error: type[Exception]) -> None:
    airflow = Airflow({START: [trouble]})
    with pytest.raises(error):
        airflow.client().start("main_pipeline", {})
    assert airflow.asked == [LOGIN, START]


@pytest.mark.parametrize(
    ("where", "trouble"),
    [(LOGIN, httpx.Response(503)), (LOGIN, httpx.ReadError("reset")), (START, httpx.ConnectError("refused"))],
)
def test_a_start_that_cannot_have_arrived_is_made_later(where: str, trouble: Answer) -> None:
    fine: dict[str, Answer] = {LOGIN: token("first"), START: found(dag_run_id="manual__1")}
    airflow = Airflow({name: [answer] for name, answer in fine.items()} | {where: [trouble, fine[where]]})
    assert airflow.client().start("main_pipeline", {"force_retrain": True}) == "manual__1"


def test_a_start_carries_its_configuration() -> None:
    bodies: list[Any] = []

    def serve(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        return found(dag_run_id="manual__1") if "dagRuns" in request.url.path else token("first")

    AirflowClient(URL, "admin", "secret", transport=httpx.MockTransport(serve)).start("main_pipeline", {"x": 1})
    assert bodies == [{"username": "admin", "password": "secret"}, {"logical_date": None, "conf": {"x": 1}}]


def test_a_dag_that_comes_is_waited_for() -> None:
    airflow = Airflow({DAG: [httpx.Response(404), httpx.Response(404), found(is_paused=True)]})
    airflow.client().wait_for_dag("main_pipeline")
    assert airflow.asked.count(DAG) == 3


@pytest.mark.parametrize(
    ("errors", "shown"),
    [
        ([{"stack_trace": "SpecError: no target"}], "SpecError: no target"),
        ([], "no import error: is there a spec of that name\\?"),
    ],
)
def test_a_dag_that_never_comes_shows_the_import_errors(errors: list[dict[str, str]], shown: str) -> None:
    airflow = Airflow({DAG: [httpx.Response(404)], "GET /api/v2/importErrors": [found(import_errors=errors)]})
    told = f"^Airflow must have read the DAG main_pipeline; it has not. Found: {shown}$"
    with pytest.raises(AirflowError, match=told):
        airflow.client().wait_for_dag("main_pipeline", seconds=0.01)


def test_tasks_are_told_in_the_order_of_their_end_with_their_try() -> None:
    tasks = [
        {"task_id": "summary", "state": None, "duration": None, "end_date": None, "try_number": 0},
        {"task_id": "ab_test", "state": "success", "duration": 2.0, "end_date": "2026-01-02", "try_number": 2},
        {"task_id": "take_snapshot", "state": "success", "duration": 1.0, "end_date": "2026-01-01", "try_number": 1},
    ]
    airflow = Airflow({f"GET {RUNS}/run/taskInstances": [found(task_instances=tasks)]})
    assert airflow.client().task_states("main_pipeline", "run") == [
        TaskState("take_snapshot", "success", 1.0, 1),
        TaskState("ab_test", "success", 2.0, 2),
        TaskState("summary", None, None, 0),
    ]


def test_a_failure_shows_the_end_of_the_log_of_the_last_try() -> None:
    task = {"task_id": "ab_test", "state": "failed", "try_number": 2}
    detail = {"exc_type": "ServiceAway", "exc_value": "the router must answer"}
    content = [{"event": f"line {number}"} for number in range(20)] + [{"event": "failed", "error_detail": [detail]}]
    airflow = Airflow(
        {
            f"GET {RUNS}/run/taskInstances": [found(task_instances=[task])],
            f"GET {RUNS}/run/taskInstances/ab_test/logs/2": [found(content=content)],
        }
    )
    shown = airflow.client().failure("main_pipeline", "run").splitlines()
    assert shown[:2] == ["step ab_test of run run failed; the end of its log:", "  line 6"]
    assert shown[-1] == "  failed  ServiceAway: the router must answer"


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
def test_a_proxy_of_the_shell_does_not_catch_this_machine(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "http://proxy.invalid:3128")
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ServiceAway, match="Connection refused"):
        AirflowClient(url, "admin", "secret", patience=0).paused("main_pipeline")
