"""The router against the plain way (CSV read per request, `to_dict(orient="split")`, jsonify, development server), in one run.

    .venv/bin/python benchmarks/router.py [--url URL] [--seconds 4] [--rounds 3]

Without --url it starts a router of its own on a throwaway Postgres. The two take turns, so that other work on the machine
falls on both; use the ratios, since the figures depend on the machine.
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
from pathlib import Path
from urllib.parse import urlsplit

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
    parser.add_argument("--seconds", type=float, default=4.0, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side")
    parser.add_argument("--plain-server", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plain_server:
        plain_server(options.plain_server)
        return
    print(
        f"machine: {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; {CLIENTS} clients"
    )
    with own_router() if options.url is None else given(options.url) as port, plain_way() as plain_port:
        compare(port, plain_port, options.seconds, options.rounds)
        requests, _ = load(port, "/traffic", options.seconds)
        print(f"\nGET /traffic: {requests / options.seconds:,.0f} requests/s")
        for name, start in (("header", HALF_HEAD), ("body", HALF_BODY)):
            with half_sent(port, 20, start):
                requests, _ = load(port, "/traffic", 1.0)
            print(f"GET /traffic while 20 requests with half a {name} are held open: {requests:,.0f} requests/s")


def compare(port: int, plain_port: int, seconds: float, rounds: int) -> None:
    """Print requests per second of both sides for each case, and their ratio."""
    print(
        f"\n{'5,000 rows':<22} {'router/s':>9} {'p50 ms':>7} {'kB':>5} {'plain/s':>9} {'p50 ms':>7} {'kB':>5} {'ratio':>7} {'goal':>5}"
    )
    for path, name in CASES.items():
        totals = {port: [0, 0.0], plain_port: [0, 0.0]}
        for _ in range(rounds):
            for side, total in totals.items():
                requests, median = load(side, path, seconds)
                total[0] += requests
                total[1] += median / rounds
        rates = {side: requests / seconds / rounds for side, (requests, _) in totals.items()}
        line = f"{name:<22}"
        for side in totals:
            line += f" {rates[side]:>9,.1f} {totals[side][1] * 1000:>7.1f} {one(side, path) / 1000:>5.0f}"
        print(f"{line} {rates[port] / rates[plain_port]:>7.0f} {GOALS[name]:>5}")


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
def own_router() -> Iterator[int]:
    """A router of two workers on a throwaway Postgres."""
    with throwaway_postgres() as url, running_router(router_database(url), workers=2) as running:
        yield running.port


@contextmanager
def given(url: str) -> Iterator[int]:
    """The port of a router that runs on this machine."""
    yield urlsplit(url).port or 80


@contextmanager
def plain_way() -> Iterator[int]:
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
        yield port
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
