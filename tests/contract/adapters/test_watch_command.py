"""`gauntlet watch` on a real ledger."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.contract.adapters.records import make_case, make_version

from gauntlet.adapters.ledger import PostgresLedger
from gauntlet.adapters.ledger_watch import PostgresWatch
from gauntlet.cli.watch import watch
from gauntlet.jobs.ledger_records import Rollback
from gauntlet.jobs.watch_ports import Look, WatchOutcome

DIAMONDS = Path(__file__).parents[3] / "specs" / "diamonds.toml"


@pytest.fixture
def ledger(app_url: str, spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PostgresLedger:
    (tmp_path / f"{spec}.toml").write_text(DIAMONDS.read_text())
    for name, value in {
        "GAUNTLET_STACK": "embedded",
        "GAUNTLET_HOME": str(tmp_path / "home"),
        "GAUNTLET_DATABASE_URL": app_url,
        "SPECS_DIR": str(tmp_path),
        "DEFAULT_SPEC": spec,
    }.items():
        monkeypatch.setenv(name, value)
    return PostgresLedger(app_url)


def shown(*arguments: str) -> list[str]:
    answer = CliRunner().invoke(watch, arguments, catch_exceptions=False)
    assert answer.exit_code == 0
    return answer.output.splitlines()


def promote(ledger: PostgresLedger, spec: str, number: int) -> int:
    ledger.add_version(make_version(spec, number))
    ledger.settle(make_case(spec, f"run {number}", number - 1 or None, number))
    return ledger.periods(spec)[0].event_id


def test_the_looks_of_the_present_promotion_and_the_way_back(
    ledger: PostgresLedger, app_url: str, spec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shown() == [f"{spec}: nothing is in production"]
    promote(ledger, spec, 1)
    assert shown()[1:] == ["there is no version before it to watch it by"]
    event = promote(ledger, spec, 2)
    assert shown("--spec", spec)[1:] == ["no look yet: switch the DAG watch_production on in Airflow"]

    monkeypatch.setenv("DEFAULT_SPEC", "diamonds")
    assert shown("--spec", spec)[1:] == [f"no look yet: switch the DAG watch_production__{spec} on in Airflow"]
    monkeypatch.setenv("DEFAULT_SPEC", spec)

    recorded, at = PostgresWatch(app_url), datetime(2026, 11, 21, 12, tzinfo=UTC)
    few = Look(at, spec, "one", event, 2, 1, 600, None, None, None, WatchOutcome.TOO_FEW_ROWS, "600 rows")
    recorded.add_look(few)
    assert shown()[1:] == ["2026-11-21 12:00:00  TOO_FEW_ROWS       600 rows"]
    bad = Look(at, spec, "two", event, 2, 1, 5000, 0.08, 0.03, 0.13, WatchOutcome.PROPOSE, "v2 is worse")
    recorded.add_look(bad)
    assert shown()[2:] == [
        "2026-11-21 12:00:00  PROPOSE          5,000 rows  +8.0% (+3.0% to +13.0%)",
        "v2 is worse",
        f'roll back: gauntlet rollback --spec {spec} --to 1 --reason "v2 is worse"',
    ]
    found = json.loads("\n".join(shown("--json")))
    assert (found["spec"], found["production"]) == (spec, 2)
    assert [(look["outcome"], look["rows"]) for look in found["looks"]] == [("TOO_FEW_ROWS", 600), ("PROPOSE", 5000)]

    ledger.rollback(Rollback(spec, f"Model-{spec}", "key", 2, make_version(spec, 1), "worse", "ann", "0.1.0"))
    assert shown()[1:] == ["it came back by a rollback: there is nothing to watch until a promotion"]
