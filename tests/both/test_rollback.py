"""The way back on the real stack: rollback, a freeze, an alias moved by hand, and kills of the command."""

import hashlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from tests.driver import ROOT, Driver

from gauntlet import bootstrap

SPEC, MODEL = "fair", "gauntlet-fair"

# `gauntlet rollback`, gone by kill -9 right after its Nth call to the ledger or the registry
KILLED = """
import os, signal, sys
from gauntlet.bootstrap import rollback as door
from gauntlet.cli import main
from tests.killing import Fuse

last, make_ports = int(sys.argv.pop(1)), door.make_ports
end = lambda: os.kill(os.getpid(), signal.SIGKILL)
door.make_ports = lambda settings: Fuse(last, end).through(make_ports(settings))
main()
"""


@pytest.fixture
def two(driver: Driver) -> tuple[int, int]:
    """A version that was in production, and the one that is there now."""
    while len(_versions(driver)) < 2:
        driver.run("run", "--spec", SPEC, "--force-retrain")
    now = _production(driver)
    other = next(version for version in _versions(driver) if version != now)
    if other not in _ever(driver):
        _client(driver).set_registered_model_alias(MODEL, "production", str(other))
        driver.run("up")  # what was moved by hand is recorded
        now, other = other, now
    assert {now, other} <= _ever(driver)
    return other, now


def test_an_alias_moved_by_hand_is_recorded_and_rolled_back(
    driver: Driver, two: tuple[int, int], record_property: Callable[[str, object], None]
) -> None:
    other, now = two
    _client(driver).set_registered_model_alias(MODEL, "production", str(other))
    began = time.monotonic()
    words = ["--spec", SPEC, "--to", str(now), "--reason", "moved by mistake", "--json"]
    done = driver.json("rollback", *words)
    record_property("seconds of gauntlet rollback", f"{time.monotonic() - began:.1f}")

    assert (done["kind"], done["champion"], done["challenger"]) == ("rollback", other, now)
    rolled, by_hand, *_ = driver.json("history", "--spec", SPEC, "--json")
    assert (by_hand["kind"], by_hand["champion"], by_hand["challenger"]) == ("external", now, other)
    assert rolled["id"] == done["id"]
    assert rolled["decided_by"].endswith(" on the command line")
    _assert_agreement(driver, now)
    assert f"v{other} → v{now}" in driver.run("explain", str(done["id"])).stdout
    then = driver.json("production", "--spec", SPEC, "--at", by_hand["at"], "--json")["production"]
    assert [each["version"] for each in then] == [other]
    mlflow.set_tracking_uri(driver.settings.mlflow_tracking_uri)
    assert mlflow.sklearn.load_model(f"models:/{MODEL}@production") is not None


@pytest.mark.parametrize("last", [4, 12, 14, 16, 20])
def test_a_rollback_killed_on_its_way_is_done_by_the_next(driver: Driver, two: tuple[int, int], last: int) -> None:
    target, now = two
    words = ["rollback", "--spec", SPEC, "--to", str(target), "--reason", f"round {last}"]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(last), *words],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
    assert _production(driver) in (target, now)
    driver.run(*words)

    rounds = [each for each in driver.json("history", "--spec", SPEC, "--json") if each["reason"] == f"round {last}"]
    assert [(each["champion"], each["challenger"]) for each in rounds] == [(now, target)]
    _assert_agreement(driver, target)


def test_a_frozen_spec_is_shown_and_its_verdicts_go_on(driver: Driver, two: tuple[int, int]) -> None:
    _, now = two
    driver.run("freeze", "--spec", SPEC, "--reason", "inventory")
    assert "frozen already" in driver.run("freeze", "--spec", SPEC, "--reason", "inventory").stdout
    assert driver.json("status", "--json")["frozen"][SPEC]["reason"] == "inventory"
    assert f"{SPEC} is frozen, since " in driver.run("status").stdout
    try:
        driver.run("run", "--spec", SPEC, "--force-retrain")
    finally:
        driver.run("unfreeze", "--spec", SPEC, "--reason", "counted")
    unfrozen, verdict, frozen, *_ = driver.json("history", "--spec", SPEC, "--json")
    assert (unfrozen["kind"], verdict["kind"], frozen["kind"]) == ("unfreeze", "verdict", "freeze")
    assert (verdict["held"] is not None) == (verdict["verdict"] == "PROMOTE")
    assert _production(driver) == now
    assert SPEC not in driver.json("status", "--json")["frozen"]


def test_a_model_file_that_was_altered_is_not_put_back(driver: Driver, two: tuple[int, int], home: Path) -> None:
    target, now = two
    if driver.env["GAUNTLET_STACK"] != "embedded":
        pytest.skip("the files of the containers' store are not at hand")
    sha256 = _client(driver).get_model_version(MODEL, str(target)).tags["gauntlet.model_sha256"]
    file = next(path for path in home.rglob("*.skops") if _sha256(path) == sha256)
    whole = file.read_bytes()
    file.write_bytes(whole + b" ")
    try:
        done = driver.run("rollback", "--spec", SPEC, "--to", str(target), "--reason", "tampered", ok=False)
    finally:
        file.write_bytes(whole)
    assert done.returncode == 1
    assert f"the model file of {MODEL} v{target} must have the SHA-256 kept at registration" in done.stderr
    _assert_agreement(driver, now)


def _assert_agreement(driver: Driver, champion: int) -> None:
    """Ledger, aliases and the deprecated stage name one champion."""
    client = _client(driver)
    aliases = dict(client.get_registered_model(MODEL).aliases)
    staged = [v.version for v in client.search_model_versions(f"name = '{MODEL}'") if v.current_stage == "Production"]
    previous = bootstrap.ledger(driver.settings).previous(SPEC)
    assert _production(driver) == champion
    assert int(aliases["production"]) == champion
    assert [int(version) for version in staged] == [champion]
    assert aliases.get("previous") == (None if previous is None else str(previous))
    assert "staging" not in aliases


def _production(driver: Driver) -> int:
    (now,) = driver.json("production", "--spec", SPEC, "--json")["production"]
    return int(now["version"])


def _versions(driver: Driver) -> list[int]:
    found: list[Any] = _client(driver).search_model_versions(f"name = '{MODEL}'")
    return sorted(int(version.version) for version in found)


def _ever(driver: Driver) -> set[int]:
    moves = [e for e in driver.json("history", "--spec", SPEC, "-n", "999", "--json") if not e["held"]]
    promoted = [e for e in moves if e["verdict"] == "PROMOTE" or e["kind"] in ("external", "rollback")]
    return {e["challenger"] for e in promoted}


def _client(driver: Driver) -> MlflowClient:
    return MlflowClient(driver.settings.mlflow_tracking_uri)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
