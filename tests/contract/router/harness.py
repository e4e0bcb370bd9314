"""What the router's tests and benchmarks stand on: its table in a real Postgres, its processes, half-sent requests."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from tests.postgres import free_port

ROOT = Path(__file__).resolve().parents[3]
TABLE = """
    create schema router;
    create table router.traffic (
        spec text primary key, config jsonb not null, updated_at timestamptz not null default now()
    );
    grant usage on schema router to router;
    grant select, insert, update on router.traffic to router
"""


def router_database(superuser: str, name: str = "routing") -> str:
    """Make a database that holds the router's table, and return its URL for a role with the router's rights."""
    execute(superuser, f"create database {name}")
    server = superuser.rpartition("/")[0]
    with suppress(psycopg2.errors.DuplicateObject):
        execute(superuser, "create role router login password 'router-secret'")
    execute(f"{server}/{name}", TABLE)
    return f"postgresql://router:router-secret@{server.partition('@')[2]}/{name}"


def execute(url: str, statement: str) -> None:
    """Run one statement on a connection of its own."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)


@dataclass(frozen=True)
class Running:
    """A router that runs in processes of its own."""

    port: int
    process: "subprocess.Popen[bytes]"

    def ask(self, path: str, body: object = None, timeout: float = 10) -> tuple[int, Any]:
        """Status and JSON of one request on a new connection; POST when there is a body."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)) as connection:
            text = None if body is None else json.dumps(body)
            method = "GET" if body is None else "POST"
            connection.request(method, path, text, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())


def environment(database_url: str, **others: str) -> dict[str, str]:
    """The environment of a router of this checkout."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("ROUTER_", "PROMETHEUS_"))},
        "PYTHONPATH": str(ROOT / "app"),
        "ROUTER_DATABASE_URL": database_url,
        "SPECS_DIR": str(ROOT / "specs"),
        "DATA_ROOT": str(ROOT),
        **others,
    }


@contextmanager
def running_router(database_url: str, workers: int, **others: str) -> Iterator[Running]:
    """Start `python -m router`, wait until it answers, and stop it."""
    port = free_port()
    env = environment(database_url, ROUTER_PORT=str(port), ROUTER_WORKERS=str(workers), **others)
    process = subprocess.Popen([sys.executable, "-m", "router"], env=env, stdout=subprocess.DEVNULL)
    running = Running(port, process)
    try:
        wait_until_healthy(running)
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(15)


def wait_until_healthy(running: Running, seconds: float = 20) -> None:
    """Wait until the router answers that it is well."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and running.process.poll() is None:
        try:
            if running.ask("/health")[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise RuntimeError("the router did not become healthy")


HALF_HEAD = b"GET /get_data HT"
HALF_BODY = b"POST /traffic HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"


@contextmanager
def half_sent(port: int, count: int, start: bytes) -> Iterator[None]:
    """Hold `count` connections open on which a request has begun and never ends."""
    with ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            connection.sendall(start)
        yield
