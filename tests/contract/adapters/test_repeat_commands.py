"""gauntlet trace, reproduce and verify, on real marts, a real MLflow and files in a folder."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from click.testing import CliRunner
from tests.contract.adapters.test_repeat import TEXT, keyed
from tests.repeating import Checked, to_predict
from tests.training_files import Town, items

from gauntlet.adapters.ledger import PostgresLedger
from gauntlet.adapters.marts import PostgresMart
from gauntlet.adapters.marts.audit import PostgresAudit
from gauntlet.adapters.mlflow_registry import MlflowRegistry
from gauntlet.cli import cli
from gauntlet.domain.spec import Spec
from gauntlet.embedded.environment import SERVICE
from gauntlet.jobs.mart_port import Batch
from gauntlet.jobs.ports import Names

Call = Callable[..., str]


@pytest.fixture
def checked(app_url: str, mlflow_uri: str, spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checked:
    """A town on real services, and the settings by which a command finds them."""
    folder = tmp_path / "specs"
    folder.mkdir()
    (folder / f"{spec}.toml").write_text(TEXT)
    variables = {
        SERVICE: "1",
        "SPECS_DIR": str(folder),
        "DEFAULT_SPEC": spec,
        "GAUNTLET_DATABASE_URL": app_url,
        "MLFLOW_TRACKING_URI": mlflow_uri,
        "OBJECT_STORE": f"file://{tmp_path}/store",
        "SCRATCH_DIR": str(tmp_path / "scratch"),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    town = Town(
        tmp_path,
        mart=PostgresMart(app_url),
        ledger=PostgresLedger(app_url),
        registry=MlflowRegistry(mlflow_uri),  # type: ignore[arg-type]
        spec=Spec.parse(spec, TEXT),
        names=Names(spec, spec, spec),
    )
    town.put("2026-11-01/first.parquet", keyed(items(600, 1)))
    town.go(log_details=False)
    return Checked(town, PostgresAudit(app_url))


@pytest.fixture
def batch(checked: Checked) -> Batch:
    return checked.score("today.parquet", keyed(to_predict(50, 5)))


@pytest.fixture
def call() -> Call:
    def invoke(*arguments: object, code: int = 0) -> str:
        result = CliRunner().invoke(cli, [str(each) for each in arguments])
        assert result.exit_code == code, (result.output, result.exception)
        return result.stdout

    return invoke


def test_a_row_a_batch_and_the_marts_are_right_and_then_not(
    checked: Checked, batch: Batch, call: Call, app_url: str
) -> None:
    [first] = checked.town.batches()
    version = checked.town.version(1)

    lines = call("trace", "--batch", batch.id, "--row-number", 8).splitlines()
    shown = {line[:12].strip(): line[12:] for line in lines if not line.startswith(" ")}
    assert shown["row"].startswith("number 8, id ")
    assert shown["values"].startswith("toy number T7, size ")
    assert shown["file"] == f"{batch.uri}, of {batch.data_time.isoformat()}"
    assert shown["model"].startswith(f"{version.model} v1: linear, MLflow run {version.run_id}; rule production")
    assert shown["verdict"].startswith("PROMOTE, line ")
    assert f"            sha256 {version.model_sha256}" in lines
    assert f"            batch {first.id}: {first.uri}, 600 rows, sha256 {first.sha256}" in lines
    assert sum(line.startswith("ok ") for line in lines) == 5
    row_id = json.loads(call("trace", "--batch", batch.id, "--row-number", 8, "--json"))["chain"]["row"]["row_id"]
    traced = json.loads(call("trace", "--batch", batch.id, "--row", row_id, "--json"))
    assert (traced["ok"], traced["chain"]["row"]["row_number"]) == (True, 8)

    said = call("reproduce", batch.id).splitlines()
    assert said == [
        f"batch {batch.id}, {batch.uri}, v1: 45 rows compared, 0 differ",
        f"{batch.output_uri} has its SHA-256",
        "equal",
    ]
    assert json.loads(call("reproduce", first.id, "--json"))["equal"] is True
    assert json.loads(call("verify", "--spec", batch.spec, "--json"))["ok"] is True

    with closing(psycopg2.connect(app_url)) as connection, connection, connection.cursor() as cursor:
        name, where = f"mart.{batch.spec}_output", f"batch_id = {batch.id} and row_number"
        cursor.execute(f"update {name} set prediction = prediction + 0.5 where {where} = 8")  # noqa: S608
        cursor.execute(f"delete from {name} where {where} = 9")  # noqa: S608
    said = call("reproduce", batch.id, code=1).splitlines()
    assert said[0].endswith("44 rows compared, 1 differ")
    assert said[1] == "numbers differ by at most 0.5"
    assert said[2].startswith(f"  row 8 (id {row_id}), prediction: ")
    assert said[3] == "only in the mart: 0 rows; only now: 1 rows"
    assert said[-1] == "NOT EQUAL"
    found: dict[str, Any] = json.loads(call("reproduce", batch.id, "--json", code=1))
    assert (found["compared"], found["differing"], found["only_again"]) == (44, 1, 1)
    assert found["largest"] == pytest.approx(0.5)
    said = call("verify", "--spec", batch.spec, code=1).splitlines()
    assert said[:3] == [
        batch.spec,
        "WRONG  every batch has as many rows as it says",
        f"         batch {batch.id}: 44 output rows, 45 by its line in mart.batch",
    ]

    checked.path(f"inputs/{batch.spec}/{batch.sha256}.parquet").unlink()
    said = call("trace", "--batch", batch.id, "--row-number", 8, code=1).splitlines()
    assert "WRONG  the kept file has its SHA-256" in said
    assert json.loads(call("trace", "--batch", batch.id, "--row-number", 8, "--json", code=1))["ok"] is False


def test_a_training_row_is_shown_with_the_versions_made_of_it(checked: Checked, call: Call) -> None:
    [batch] = checked.town.batches()
    lines = call("trace", "--batch", batch.id, "--row-number", 1).splitlines()
    row = next(line for line in lines if line.startswith("row"))
    pool = "training" if row.endswith("of the training pool") else "ab"
    trained = next(line for line in lines if line.startswith("trained"))
    assert trained.endswith("the row is in its snapshot" if pool == "training" else "the row is not in its snapshot")


def test_a_row_is_named_in_one_way() -> None:
    for given in ((), ("--row", 1, "--row-number", 1)):
        result = CliRunner().invoke(cli, ["trace", "--batch", "1", *(str(each) for each in given)])
        assert result.exit_code == 2
        assert "Name the row either by --row ID or by --row-number N." in result.stderr
