"""The router against the plain way (CSV read per request, to_dict, jsonify, development server), in one run.

    .venv/bin/python benchmarks/router.py [--url URL] [--seconds 1.5] [--rounds 6]

Without --url it starts a router of its own on a throwaway Postgres. The two take turns, so that other work on the
machine falls on both; use the ratios, since the figures depend on the machine.
"""

import argparse
import multiprocessing
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "app")]

from tests.contract.router.harness import HALF_BODY, HALF_HEAD, half_sent, router_database, running_router  # noqa: E402
from tests.postgres import free_port, throwaway_postgres  # noqa: E402

CLIENTS = 4
CASES = {
    "/get_data?data_size=5000": "no drift",
    "/get_data?data_size=5000&drift_cols=carat,clarity": "drift on two columns",
}
GOALS = {"no drift": 100, "drift on two columns": 40}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="a running router")
    parser.add_argument("--seconds", type=float, default=1.5, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=6, help="turns of each side")
    parser.add_argument("--plain-server", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plain_server:
        plain_server(options.plain_server)
        return
    print(
        f"machine: {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; {CLIENTS} clients"
    )
    with own_router() if options.url is None else given(options.url) as router, plain_way() as plain:
        compare(router, plain, options.seconds, options.rounds)
        requests, _ = load(router.port, "/traffic", options.seconds)
        print(f"\nGET /traffic: {requests / options.seconds:,.0f} requests/s")
        for name, start in (("header", HALF_HEAD), ("body", HALF_BODY)):
            with half_sent(router.port, 20, start):
                requests, _ = load(router.port, "/traffic", 1.0)
            print(f"GET /traffic while 20 requests with half a {name} are held open: {requests:,.0f} requests/s")


@dataclass
class Side:
    """One of the two servers, and what was measured of it in one case."""

    port: int
    pid: int | None
    requests: int = 0
    median: float = 0.0
    cpu: float = 0.0

    def cpu_seconds(self) -> float:
        """CPU that its processes have used so far; 0 when they are not ours."""
        if self.pid is None:
            return 0.0
        family = [psutil.Process(self.pid), *psutil.Process(self.pid).children(recursive=True)]
        return sum(sum(member.cpu_times()[:2]) for member in family)

    def measure(self, path: str, seconds: float) -> None:
        """Add one turn."""
        before = self.cpu_seconds()
        requests, self.median = load(self.port, path, seconds)
        self.requests += requests
        self.cpu += self.cpu_seconds() - before

    def line(self, path: str, seconds: float) -> str:
        """Requests/s, median and CPU in ms, size of an answer in kB."""
        rate, cpu = self.requests / seconds, 1000 * self.cpu / self.requests
        return f"{rate:>9,.1f} {self.median * 1000:>7.1f} {cpu:>7.2f} {one(self.port, path) / 1000:>5.0f}"


def compare(router: Side, plain: Side, seconds: float, rounds: int) -> None:
    """Print what each side does in each case, the ratio of requests, and that of CPU."""
    heads = f"{'p50 ms':>7} {'CPU ms':>7} {'kB':>5}"
    print(f"\n{'5,000 rows':<21} {'router/s':>9} {heads} {'plain/s':>9} {heads} {'ratio':>6} {'CPU':>5} {'goal':>5}")
    for path, name in CASES.items():
        sides = [Side(router.port, router.pid), Side(plain.port, plain.pid)]
        for _ in range(rounds):
            for side in sides:
                side.measure(path, seconds)
        ours, theirs = sides
        ratio = ours.requests / theirs.requests
        cpu = (theirs.cpu / theirs.requests) / (ours.cpu / ours.requests) if ours.cpu else float("nan")
        lines = " ".join(side.line(path, seconds * rounds) for side in sides)
        print(f"{name:<21} {lines} {ratio:>6.0f} {cpu:>5.0f} {GOALS[name]:>5}")


def load(port: int, path: str, seconds: float) -> tuple[int, float]:
    """Requests that the clients got answered in `seconds`, and the median seconds of one."""
    with ProcessPoolExecutor(CLIENTS, multiprocessing.get_context("fork")) as pool:
        times = [
            each for times in pool.map(client, *zip(*[(port, path, seconds)] * CLIENTS, strict=True)) for each in times
        ]
    return len(times), sorted(times)[len(times) // 2]


def client(port: int, path: str, seconds: float) -> list[float]:
    """Ask again and again on one connection; the seconds of each request.

    Plain sockets: an HTTP library would take more of the machine than the router does.
    """
    buffer = memoryview(bytearray(2**22))
    times = []
    end = time.perf_counter() + seconds
    connection = None
    while (began := time.perf_counter()) < end:
        connection = connection or socket.create_connection(("127.0.0.1", port))
        if ask(connection, path, buffer) is None:
            # The development server closes after each answer.
            connection.close()
            connection = None
        times.append(time.perf_counter() - began)
    return times


def ask(connection: socket.socket, path: str, buffer: memoryview) -> int | None:
    """The length of the body; None when the server closes the connection after it."""
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    received, end = 0, -1
    while end < 0:
        received += connection.recv_into(buffer[received:])
        end = bytes(buffer[:received]).find(b"\r\n\r\n")
    head = bytes(buffer[:end]).lower()
    assert head.split(b"\r\n")[0].endswith(b"200 ok"), head
    length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
    missing = end + 4 + length - received
    while missing > 0:
        missing -= connection.recv_into(buffer)
    return None if b"connection: close" in head else length


def one(port: int, path: str) -> int:
    """The bytes of one answer."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        return sum(map(len, iter(lambda: connection.recv(2**20), b"")))


@contextmanager
def own_router() -> Iterator[Side]:
    """A router of two workers on a throwaway Postgres."""
    with throwaway_postgres() as url, running_router(router_database(url), workers=2) as running:
        yield Side(running.port, running.process.pid)


@contextmanager
def given(url: str) -> Iterator[Side]:
    """A router that runs on this machine."""
    yield Side(urlsplit(url).port or 80, None)


@contextmanager
def plain_way() -> Iterator[Side]:
    """The plain way in a process of its own."""
    port = free_port()
    command = [sys.executable, __file__, "--plain-server", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)
        yield Side(port, server.pid)
    finally:
        server.terminate()
        server.wait()


def plain_server(port: int) -> None:
    """What is usually written: everything anew for every request."""
    import numpy as np
    import pandas as pd
    from flask import Flask, Response, jsonify, request

    from router.specs import data_path

    path = data_path("plotnine:data/diamonds.csv", ROOT)
    app = Flask("plain")

    @app.get("/get_data")
    def get_data() -> Response:
        frame = pd.read_csv(path).sample(int(request.args["data_size"]))
        for column in filter(None, request.args.get("drift_cols", "").split(",")):
            if frame[column].dtype.kind in "OTU" or not pd.api.types.is_numeric_dtype(frame[column]):
                frame[column] = np.random.choice(frame[column].unique(), len(frame))
            else:
                chosen = np.random.random(len(frame)) < 0.5
                frame[column] = frame[column].astype(float)
                frame.loc[chosen, column] *= np.random.uniform(0.1, 2.0, chosen.sum())
        return jsonify(frame.to_dict(orient="split"))

    app.run("127.0.0.1", port, threaded=True)


if __name__ == "__main__":
    main()
