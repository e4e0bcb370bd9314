"""What the doctor asks Airflow, on a server that answers like one."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from gauntlet.adapters.http_checks import HttpService, check_airflow


@contextmanager
def airflow(dags: list[str], password: str = "right") -> Iterator[HttpService]:  # noqa: S107 - nobody's
    """An Airflow that has read these DAGs, and gives no more than 100 of them at once."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(201 if sent["password"] == password else 401, {"access_token": "token"})

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/api/v2/importErrors":
                return self._answer(200, {"import_errors": []})
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            first, limit = int(query.get("offset", 0)), min(int(query["limit"]), 100)
            page = [{"dag_id": dag} for dag in sorted(dags)[first : first + limit]]
            return self._answer(200, {"dags": page, "total_entries": len(dags)})

        def log_message(self, *_: Any) -> None:
            pass

        def _answer(self, status: int, body: Any) -> None:
            data = json.dumps(body).encode()
            self.send_response_only(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    http = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield HttpService("airflow", f"http://127.0.0.1:{http.server_port}")
    http.shutdown()
    http.server_close()


def missing(service: HttpService, dags: dict[str, str], password: str = "right") -> list[str]:  # noqa: S107
    return [finding.found for finding in check_airflow(service, "admin", password, dags, "put it back")]


def test_a_dag_that_is_missing_is_named() -> None:
    wanted = {"main_pipeline": "diamonds", "watch_production": "diamonds"}
    with airflow([*wanted]) as service:
        assert missing(service, wanted) == []
    with airflow(["main_pipeline"]) as service:
        assert missing(service, wanted) == [
            "Airflow must have a DAG for the spec diamonds; it has no watch_production."
        ]
    with airflow([]) as service:  # it has only just begun to read
        assert missing(service, wanted) == []


def test_more_dags_than_airflow_gives_at_once_are_all_seen() -> None:
    wanted = {f"main_pipeline__s{number:03}": f"s{number:03}" for number in range(250)}
    with airflow([*wanted]) as service:
        assert missing(service, wanted) == []
        assert len(missing(service, {**wanted, "other": "spec"})) == 1


def test_a_login_that_is_refused_is_all_there_is_to_say() -> None:
    with airflow(["main_pipeline"]) as service:
        assert missing(service, {"other": "spec"}, "wrong") == [
            "Airflow must know user admin by AIRFLOW_ADMIN_PASSWORD; it refused the login."
        ]
