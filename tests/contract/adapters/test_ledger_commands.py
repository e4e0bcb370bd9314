"""gauntlet history, production, explain, rollback, freeze and unfreeze, on a real Postgres and a real MLflow."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.contract.adapters.records import SPEC_TEXT, make_candidate, make_case, make_version, stored

from gauntlet.adapters.ledger import PostgresLedger
from gauntlet.adapters.mlflow_registry import MlflowRegistry
from gauntlet.cli import cli
from gauntlet.domain.aliases import Alias
from gauntlet.embedded.environment import SERVICE
from gauntlet.jobs.ledger_records import Rollback
from gauntlet.jobs.ports import Names, Version


class Shop:
    """A spec, and the command line on its ledger; without a registry there are versions in the ledger alone."""

    def __init__(self, spec: str, ledger: PostgresLedger, registry: MlflowRegistry | None) -> None:
        self.spec, self.ledger, self.registry = spec, ledger, registry
        self.names = Names("gauntlet", "gauntlet", "gauntlet-comparison")

    def promote(self, number: int, evidence: dict[str, Any]) -> None:
        version = self.ledger.add_version(self._make(number))
        now = self.ledger.production(self.spec)
        champion = self.ledger.version(self.spec, now.version) if now else None
        case = make_case(self.spec, f"run {number}", None, 1, model=self.names.model, evidence=evidence)
        assert self.ledger.settle(replace(case, champion=champion, challenger=version)).promoted
        if self.registry is not None:
            self.registry.set_alias(self.names.model, Alias.PRODUCTION, version.version)
            self.ledger.mark_projected(self.spec, version.version)

    def _make(self, number: int) -> Version:
        if self.registry is None:
            return replace(make_version(self.spec, number), model=self.names.model)
        candidate = make_candidate(self.names, f"train {number} of {self.spec}")
        return replace(self.registry.publish(candidate, log_details=False), spec=self.spec)

    def call(self, *arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(cli, arguments, env={"LOGNAME": "ann"})
        assert result.exit_code == code, (result.output, result.exception)
        return result

    def json(self, *arguments: str) -> Any:
        return json.loads(self.call(*arguments, "--json").stdout)

    @property
    def versions(self) -> list[int]:
        """The numbers in MLflow of the three champions, oldest first."""
        return sorted({period.version for period in self.ledger.periods(self.spec)})


@pytest.fixture
def specs(spec: str, app_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the one spec that a command finds, with the ledger of this session and no other service."""
    folder = tmp_path / "specs"
    folder.mkdir()
    (folder / f"{spec}.toml").write_text(SPEC_TEXT)
    variables = {
        SERVICE: "1",
        "SPECS_DIR": str(folder),
        "DEFAULT_SPEC": spec,
        "GAUNTLET_DATABASE_URL": app_url,
        "FLASK_URL": "http://127.0.0.1:9",
        "OBJECT_STORE": f"file://{tmp_path}/objects",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return spec


@pytest.fixture
def shop(specs: str, app_url: str) -> Shop:
    """Three champions, in the ledger alone."""
    return filled(Shop(specs, PostgresLedger(app_url), None))


@pytest.fixture
def whole_shop(specs: str, app_url: str, mlflow_uri: str, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Three champions, with their models in MLflow."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_uri)
    return filled(Shop(specs, PostgresLedger(app_url), MlflowRegistry(mlflow_uri)))


def filled(shop: Shop) -> Shop:
    decision = {
        "rows_needed": 4000,
        "guardrails": [
            {"name": "bias", "passed": True, "value": 0.001, "limit": 0.02, "reason": "0.1 % of the mean"},
            {"name": "p95 error", "passed": False, "value": 0.3, "limit": 0.0, "reason": "30 % higher"},
        ],
    }
    for number in (1, 2, 3):
        shop.promote(number, {"decision": decision, "metrics": {"a_mae": 12.5}, "rows_uri": "file:///rows.parquet"})
    return shop


def test_a_rollback_says_what_moved_and_the_aliases_follow(whole_shop: Shop) -> None:
    shop, registry = whole_shop, whole_shop.registry
    assert registry is not None
    one, two, three = shop.versions
    said = shop.call("rollback", "--reason", "it is\n worse").stdout
    assert f"production of {shop.spec}: v{three} → v{two}" in said
    assert f"previous is v{one} now" in said
    assert registry.alias(shop.names.model, Alias.PRODUCTION) == two
    assert registry.alias(shop.names.model, Alias.PREVIOUS) == one
    entry = shop.ledger.history(shop.spec, 1)[0]
    assert (entry.reason, entry.decided_by) == ("it is worse", "ann on the command line")
    again = shop.json("rollback", "--reason", "it is worse")
    assert (again["id"], again["repeated"], again["previous"]) == (entry.id, True, one)
    assert "To go back further" in shop.call("rollback", "--reason", "it is worse").stdout
    assert "there is no previous version now" in shop.call("rollback", "--to", f"v{one}", "--reason", "x").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing option '--reason'"),
        (["--reason", " "], "must say why"),
        (["--reason", "x", "--to", "two"], "must be a version's number, such as 2; got 'two'"),
        (["--reason", "x", "--to", "0"], "got '0'"),
        (["--reason", "x", "--spec", "nothing"], "A spec must be a file"),
    ],
)
def test_a_rollback_that_makes_no_sense_says_why(shop: Shop, arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(cli, ["rollback", *arguments])
    assert result.exit_code
    assert said in result.output + str(result.exception)
    assert len(shop.ledger.history(shop.spec, 9)) == 3


def test_production_now_and_at_any_time(shop: Shop) -> None:
    _, two, three = shop.versions
    now = shop.json("production", "--spec", shop.spec)["production"]
    assert [(each["version"], each["until"]) for each in now] == [(three, None)]
    before = shop.ledger.periods(shop.spec)[1]
    at = (before.since + timedelta(microseconds=1)).isoformat()
    then = shop.json("production", "--spec", shop.spec, "--at", at)
    assert [(each["version"], each["kind"]) for each in then["production"]] == [(two, "promote")]
    assert f"gauntlet v{two}, since" in shop.call("production", "--at", at).stdout
    assert shop.json("production", "--at", "2020-01-01")["production"] == []
    said = shop.call("production", "--spec", shop.spec, "--at", "2020-01-01T10:00+02:00").stdout
    assert said == f"at 2020-01-01 08:00:00 UTC:\nnothing of {shop.spec} was in production\n"
    assert f"  {shop.spec} gauntlet v{three}" in shop.call("production").stdout


@pytest.mark.parametrize(("at", "said"), [("yesterday", "such as 2026-11-20"), ("2999-01-01", "in the future")])
def test_a_time_that_the_ledger_cannot_know_is_refused(shop: Shop, at: str, said: str) -> None:
    assert said in shop.call("production", "--at", at, code=2).output


def test_explain_tells_the_whole_case(shop: Shop) -> None:
    finding = {"column": "size", "test": "ks", "drifted": True, "reason": "D 0.4 > 0.1", "p_value": 0.0}
    calm = {**finding, "column": "kind", "drifted": False}
    report = {"drifted": True, "findings": [finding, calm]}
    shop.ledger.add_drift_report(shop.spec, "run 2", shop.versions[0], stored("snapshot"), report)
    entry = shop.ledger.settled(shop.spec, "run 2")
    assert entry is not None
    one, two, _ = (shop.ledger.version(shop.spec, number) for number in shop.versions)
    assert one
    assert two
    said = shop.call("explain", str(entry.id)).stdout
    for part in (
        f"#{entry.id}  {shop.spec}  PROMOTE v{one.version} → v{two.version}",
        f"gauntlet v{two.version}: ridge, seed 20, MLflow run {two.run_id}",
        two.snapshot.sha256,
        two.model_sha256,
        one.run_id,
        "drift, 1 of 2 checks",
        "size (ks): D 0.4 > 0.1",
        "-5.0% (-7.0% to -3.0%) on 5,000 rows",
        "about 4,000 rows",
        "a_mae 12.5",
        "passed  bias: 0.1 % of the mean",
        "FAILED  p95 error: 30 % higher",
        "mde 0.05",
        "a" * 64,
        "code           0.1.0",
        f"v{two.version} from {entry.at:%Y-%m-%d %H:%M:%S} UTC until",
    ):
        assert part in said
    assert "kind" not in said
    case = shop.json("explain", str(entry.id))
    assert case["drift"] == report
    assert case["champion_version"]["snapshot"]["sha256"] == one.snapshot.sha256
    assert case["production"]["version"] == two.version
    assert case["policy"] == {"mde": 0.05}
    assert "there is no 999999" in shop.call("explain", "999999", code=2).output


def test_explain_tells_of_lines_without_a_verdict(shop: Shop) -> None:
    _, two, three = shop.versions
    version = shop.ledger.version(shop.spec, two)
    assert version is not None
    shop.ledger.rollback(Rollback(shop.spec, "gauntlet", "key", three, version, "it is worse", "ann", "0.1.0"))
    shop.call("freeze", "--reason", "inventory")
    frozen, rolled = shop.ledger.history(shop.spec, 2)
    said = shop.call("explain", str(rolled.id)).stdout
    assert f"ROLLBACK v{three} → v{two}" in said
    assert f"v{two} from" in said
    assert "policy" not in said
    said = shop.call("explain", str(frozen.id)).stdout
    assert said.startswith(f"#{frozen.id}  {shop.spec}  FROZEN\n")
    assert "promotions are held back from here on" in said


def test_production_cites_the_line_of_the_history_that_brought_it(shop: Shop) -> None:
    _, two, three = shop.versions
    promoted = shop.ledger.history(shop.spec, 1)[0]
    assert shop.ledger.periods(shop.spec)[0].event_id != promoted.id  # the move has a number of its own
    assert f"(gauntlet explain {promoted.id})\n" in shop.call("production", "--spec", shop.spec).stdout
    assert shop.json("production", "--spec", shop.spec)["production"][0]["line"] == promoted.id
    version = shop.ledger.version(shop.spec, two)
    assert version is not None
    back = shop.ledger.rollback(Rollback(shop.spec, "gauntlet", "key", three, version, "it is worse", "ann", "0.1.0"))
    assert back is not None
    assert f"(gauntlet explain {back.id})\n" in shop.call("production", "--spec", shop.spec).stdout


def test_a_freeze_holds_promotions_and_history_shows_it(shop: Shop) -> None:
    way_out = f"to end it: gauntlet unfreeze --spec {shop.spec} --reason TEXT\n"
    said = shop.call("freeze", "--reason", "inventory").stdout
    assert said == f"{shop.spec} is frozen: no promotion until it ends\n{way_out}"
    said = shop.call("freeze", "--reason", "another").stdout
    assert said.startswith(f"{shop.spec} is frozen already, since 20")
    assert said.endswith(f"by ann on the command line: inventory\n{way_out}")
    three = shop.versions[-1]
    champion = shop.ledger.version(shop.spec, three)
    assert champion is not None
    challenger = shop.ledger.add_version(
        replace(champion, version=three + 1, run_key="train 4", run_id="run4", model_sha256="0" * 64)
    )
    case = make_case(shop.spec, "run 4", None, 1, model=shop.names.model)
    shop.ledger.settle(replace(case, champion=champion, challenger=challenger))
    assert "is no longer frozen" in shop.call("unfreeze", "--reason", "counted").stdout
    assert "is not frozen" in shop.call("unfreeze", "--reason", "counted").stdout
    shown = shop.call("history", "--spec", shop.spec).stdout
    assert "UNFROZEN" in shown
    assert "FROZEN" in shown
    assert "inventory (ann on the command line)" in shown
    assert "held, production was not moved: frozen since" in shown
    unfrozen, held, frozen, *_ = shop.json("history", "--spec", shop.spec)
    assert [unfrozen["kind"], held["kind"], frozen["kind"]] == ["unfreeze", "verdict", "freeze"]
    assert held["held"].endswith("UTC: inventory")
    assert shop.json("production", "--spec", shop.spec)["production"][0]["version"] == three
