"""People on the real stack: one approves, rejects or does not answer, and is told what happens."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.driver import ROOT, Driver
from tests.receiver import TOKEN, Receiver, receiving

from gauntlet import bootstrap
from gauntlet.jobs.flow import Step

PATIENCE = 15  # seconds for an answer
WAITING = "waiting for approval: "
DRIFT = ("--drift", "carat", "--drift", "clarity")


@dataclass(frozen=True)
class Asking:
    """A stack that asks a person before a promotion, and the receiver of its notifications."""

    driver: Driver
    receiver: Receiver

    def run(self, answer: str | None, *traffic: str) -> tuple[str, dict[str, Any]]:
        """Do a run in which the challenger is better; its whole output, and the question with its response."""
        self.driver.run("traffic", *traffic)
        self.receiver.posted.clear()
        run = self.driver.start("run", "--force-retrain")
        assert run.stdout is not None
        said = []
        for line in run.stdout:
            said.append(line)
            if WAITING in line:
                break
        assert WAITING in said[-1], "".join(said)
        path = said[-1].split(WAITING)[-1].strip().split("/dags/")[1].replace("/runs/", "/dagRuns/")
        path = path.replace("/tasks/", "/taskInstances/").replace("/required_actions", "/-1/hitlDetails")
        detail = self._respond(f"/api/v2/dags/{path}", answer, run)
        output = "".join(said) + run.communicate(timeout=120)[0]
        assert run.returncode == 0, output
        return output, detail

    def newest(self) -> Any:
        return self.driver.json("history", "--json", "--spec", "diamonds")[0]

    def _respond(self, path: str, answer: str | None, run: subprocess.Popen[str]) -> dict[str, Any]:
        """Answer until the run goes on: Airflow asks again what was answered before its scheduler saw it waiting."""
        settings = self.driver.settings
        login = {"username": settings.airflow_admin_user, "password": settings.secret("airflow_admin_password")}
        with httpx.Client(base_url=str(settings.airflow_url), trust_env=False) as client:
            token = client.post("/auth/token", json=login).json()["access_token"]
            client.headers["Authorization"] = f"Bearer {token}"
            detail: dict[str, Any] = client.get(path).raise_for_status().json()
            while answer is not None and run.poll() is None:
                if not client.get(path).json()["response_received"]:
                    client.patch(path, json={"chosen_options": [answer]})
                time.sleep(0.5)
            return detail


@pytest.fixture(scope="module")
def asking(driver: Driver, home: Path) -> Iterator[Asking]:
    """The stack, started again so that a person is asked and told; afterwards as it was.

    The time that a prediction takes, which a machine with other work makes long, forbids no promotion here.
    """
    if "diamonds" not in driver.json("status", "--json")["champions"]:
        driver.run("run")
    drifting = driver.json("traffic", "--json")["drift_cols"]
    specs = shutil.copytree(ROOT / "specs", home / "specs")
    with (specs / "diamonds.toml").open("a") as file:
        file.write("\n[thresholds]\nlatency_floor = 60.0\n")
    driver.run("down")
    with receiving() as receiver:
        own = {
            "SPECS_DIR": str(specs),
            "REQUIRE_APPROVAL": "true",
            "APPROVAL_TIMEOUT_HOURS": str(PATIENCE / 3600),
            "NOTIFY_URLS": receiver.url(),
        }
        other = replace(driver, env={**driver.env, **own})
        try:
            other.run("up")
            yield Asking(other, receiver)
            other.run("traffic", *[part for column in drifting for part in ("--drift", column)] or ["--no-drift"])
        finally:
            driver.run("down")
            driver.run("up")


def test_an_approved_challenger_goes_to_production(asking: Asking) -> None:
    before = asking.driver.champion()
    output, detail = asking.run("Approve", *DRIFT)

    entry = asking.newest()
    new = entry["challenger"]
    assert (entry["verdict"], entry["held"], entry["champion"]) == ("PROMOTE", None, before)
    assert entry["decided_by"].endswith(", approved by admin")
    assert asking.driver.champion() == new != before
    assert f"v{new} is in production" in output
    assert (detail["options"], detail["subject"]) == (
        ["Approve", "Reject"],
        f"diamonds: move production from v{before} to v{new}?",
    )
    assert "**PROMOTE**" in detail["body"]
    assert "- guardrails: " in detail["body"]
    assert asking.receiver.titles[0].startswith("diamonds: drift in ")
    assert set(asking.receiver.titles[1:]) == {detail["subject"], f"diamonds: v{new} is in production"}


def test_a_rejected_challenger_stays_out_and_the_run_ends_well(asking: Asking) -> None:
    before = asking.driver.champion()
    output, _ = asking.run("Reject", "--no-drift")

    entry = asking.newest()
    assert (entry["verdict"], entry["held"]) == ("PROMOTE", "rejected by admin")
    assert asking.driver.champion() == before
    assert f"held: rejected by admin; champion v{before} stays" in output


def test_without_an_answer_in_time_the_champion_stays(asking: Asking) -> None:
    before = asking.driver.champion()
    output, detail = asking.run(None, "--no-drift")

    entry = asking.newest()
    assert entry["verdict"] == "PROMOTE"
    assert entry["held"].startswith("nobody answered within ")
    assert asking.driver.champion() == before
    assert detail["responded_at"] is None  # while the run was waiting
    assert output.count(WAITING) == 1


def test_a_run_that_fails_is_told_once_and_no_secret_is_anywhere(asking: Asking) -> None:
    router = bootstrap.router(asking.driver.settings)
    router.set_traffic("diamonds", {"drift": {"carat": {"kind": "shift", "by": 50.0}}})
    asking.receiver.posted.clear()
    failed = asking.driver.run("run", ok=False)
    router.set_traffic("diamonds", {"drift": None})
    assert failed.returncode == 1
    assert Step.COMPARE_DISTRIBUTIONS in failed.stdout + failed.stderr

    deadline = time.monotonic() + 30
    while "main_pipeline has failed" not in asking.receiver.titles:
        assert time.monotonic() < deadline, asking.receiver.titles
        time.sleep(0.2)
    time.sleep(2)  # for a second one
    assert asking.receiver.titles == ["main_pipeline has failed"]
    text = asking.receiver.posted[0][1]["message"]
    assert f"in its step {Step.COMPARE_DISTRIBUTIONS}" in text
    home = asking.driver.settings.gauntlet_home
    logs = [path for path in (home / "logs").rglob("*") if path.is_file()]
    assert [str(path) for path in logs if TOKEN in path.read_text(errors="replace")] == []
    assert TOKEN not in (home / "stack.json").read_text()
