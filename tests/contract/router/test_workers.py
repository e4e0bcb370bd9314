"""The router in its own processes: four workers that are one, and do not outlive their master."""

import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from tests.contract.router.harness import (
    HALF_BODY,
    HALF_HEAD,
    Running,
    environment,
    half_sent,
    router_database,
    running_router,
    wait_until_healthy,
)


def workers(running: Running) -> list[psutil.Process]:
    return psutil.Process(running.process.pid).children(recursive=True)


def alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:  # it went between two looks
        return False


def gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=5)[1]


def test_what_a_post_answered_every_worker_shows(four_workers: Running) -> None:
    for size in range(1, 41):
        assert four_workers.ask("/traffic", {"data_size": size})[0] == 200
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: four_workers.ask("/traffic")[1]["data_size"], range(8)))
        assert answers == [size] * 8


def test_posts_at_once_lose_nothing(four_workers: Running) -> None:
    bodies = [{"a": 0.25}, {"data_size": 77}, {"drift_cols": ["cut"]}, {"seed": 9}, {"drift": {"x": {"kind": "scale"}}}]
    for _ in range(10):
        four_workers.ask("/traffic", {"a": 0.5, "data_size": 5, "drift_cols": [], "drift": None, "seed": None})
        with ThreadPoolExecutor(len(bodies)) as pool:
            statuses = list(pool.map(lambda body: four_workers.ask("/traffic", body)[0], bodies))
        assert statuses == [200] * len(bodies)
        assert four_workers.ask("/traffic")[1] == {
            "a": 0.25,
            "b": 0.75,
            "data_size": 77,
            "drift_cols": ["cut"],
            "drift": {"x": {"kind": "scale", "factor": 1.5}},
            "seed": 9,
        }


def test_a_seed_gives_the_same_rows_on_every_worker(four_workers: Running) -> None:
    url = "/get_data?data_size=20&drift_cols=carat,cut&seed=3"
    answers = [four_workers.ask(url)[1] for _ in range(16)]
    assert all(answer == answers[0] for answer in answers)
    without = [tuple(four_workers.ask("/get_data?data_size=20&seed=3")[1]["index"]) for _ in range(2)]
    assert without[0] == tuple(answers[0]["index"])


def test_without_a_seed_no_two_workers_answer_alike(four_workers: Running) -> None:
    four_workers.ask("/traffic", {"seed": None})
    answers = {tuple(four_workers.ask("/get_data?data_size=20")[1]["index"]) for _ in range(32)}
    assert len(answers) == 32


def test_metrics_are_those_of_all_workers(four_workers: Running) -> None:
    def asked() -> float:
        text = urllib.request.urlopen(f"http://127.0.0.1:{four_workers.port}/metrics").read().decode()
        line = 'router_requests_total{endpoint="/health",method="GET",status="200"} '
        return float(text.partition(line)[2].partition("\n")[0])

    before = asked()
    for _ in range(20):
        four_workers.ask("/health")
    assert asked() == before + 20


@pytest.mark.parametrize("start", [HALF_HEAD, HALF_BODY], ids=["half a header", "half a body"])
def test_half_sent_requests_keep_nobody_waiting(four_workers: Running, start: bytes) -> None:
    with half_sent(four_workers.port, 20, start):
        time.sleep(0.2)
        for _ in range(20):
            assert four_workers.ask("/get_data?data_size=10", timeout=2)[0] == 200


def test_a_body_over_1_mb_is_answered_even_when_it_is_much_longer(four_workers: Running) -> None:
    assert four_workers.ask("/traffic", "x" * 20_000_000)[0] == 413


def test_a_killed_worker_is_replaced(four_workers: Running) -> None:
    four_workers.ask("/traffic", {"data_size": 31})
    first = workers(four_workers)
    assert len(first) == 4
    first[0].kill()
    deadline = time.monotonic() + 10
    while {each.pid for each in workers(four_workers) if alive(each)} <= {each.pid for each in first}:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    wait_until_healthy(four_workers)
    assert four_workers.ask("/traffic")[1]["data_size"] == 31


def test_a_restart_keeps_the_traffic_and_leaves_nothing(superuser: str) -> None:
    database = router_database(superuser, "restart")
    with running_router(database, workers=2) as running:
        running.ask("/traffic", {"data_size": 19})
        family = workers(running)
        folders = metrics_folders(running)
        assert len(folders) == 1
    assert gone(family)
    assert not folders[0].exists()
    with running_router(database, workers=2) as running:
        assert running.ask("/traffic")[1]["data_size"] == 19
        family = workers(running)
        running.process.kill()
        assert gone(family)


def metrics_folders(running: Running) -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob(f"gauntlet-router-{running.process.pid}-*"))


def test_it_stops_while_requests_are_half_sent(superuser: str) -> None:
    with (
        running_router(router_database(superuser, "stop"), workers=2) as running,
        half_sent(running.port, 5, HALF_BODY),
    ):
        family = workers(running)
        running.process.send_signal(signal.SIGTERM)
        running.process.wait(10)
        assert gone(family)


def start(env: dict[str, str]) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-m", "router"], env=env, capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout


def test_a_taken_port_is_said(four_workers: Running, database: str) -> None:
    status, text = start(environment(database, ROUTER_PORT=str(four_workers.port)))
    assert status == 2
    assert f"ROUTER_PORT must be free on 127.0.0.1; found {four_workers.port} in use" in text


def test_every_bad_variable_is_said_at_once() -> None:
    bad = {"ROUTER_PORT": "70000", "ROUTER_WORKERS": "0", "AB_POOL_SHARE": "1", "SPECS_DIR": "/nowhere"}
    status, text = start({**environment(""), **bad})
    assert status == 2
    for line in (
        "ROUTER_DATABASE_URL must be postgresql://USER:PASSWORD@HOST:PORT/DATABASE; found nothing.",
        "ROUTER_PORT must be a whole number from 1 to 65535; found 70000.",
        "ROUTER_WORKERS must be a whole number from 1 to 64; found 0.",
        "AB_POOL_SHARE must be a number between 0 and 1; found 1.",
        "SPECS_DIR must be a folder; found /nowhere.",
    ):
        assert line in text


def test_a_default_spec_that_cannot_be_served_is_said(database: str) -> None:
    status, text = start(environment(database, DEFAULT_SPEC="nowhere", ROUTER_PORT="1024"))
    assert status == 2
    assert "spec must name a spec that there is; found nowhere. Known: diamonds, fair, health, randhie." in text
