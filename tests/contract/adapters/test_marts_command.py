"""gauntlet marts, on a real Postgres and a folder of files."""

import json
import os
from pathlib import Path

import psycopg2
import pytest
from click.testing import CliRunner
from tests.contract.adapters.conftest import make_database
from tests.contract.adapters.marts import load, make_spec, new_batch

from gauntlet.adapters.marts import PostgresMart
from gauntlet.cli import cli
from gauntlet.jobs.mart_port import Batch, BatchKind


@pytest.fixture
def marts(superuser_url: str, app_url: str, spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PostgresMart:
    """Marts in a database of their own, apart from the ledger's."""
    make_database(superuser_url, spec)
    own = f"{superuser_url.rpartition('/')[0]}/{spec}"
    named = {"GAUNTLET_DATABASE_URL": app_url, "MART_DATABASE_URL": own, "OBJECT_STORE": tmp_path.as_uri()}
    for name, value in {"GAUNTLET_SERVICE": "test", **named}.items():
        monkeypatch.setenv(name, value)
    return PostgresMart(own)


def scored(marts: PostgresMart, name: str, version: int) -> Batch:
    things = make_spec("things")
    marts.prepare(things)
    return load(marts, new_batch(things, BatchKind.PREDICT, name, version=version), 3)


def run(*arguments: str) -> str:
    found = CliRunner().invoke(cli, ["marts", *arguments], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def test_files_are_listed_newest_first(marts: PostgresMart) -> None:
    assert run("list") == "nothing yet: no file was taken in\n"
    first = scored(marts, "a", 1)
    refused = marts.refuse(new_batch(make_spec("things"), BatchKind.TRAIN, "b"), "it is no parquet")
    lines = run("list").splitlines()
    assert lines[0].split()[0] == f"#{refused.id}"
    assert lines[0].endswith(f"train  refused  {refused.uri}")
    assert lines[1].strip() == "it is no parquet"
    assert f"things       predict v1  done     {first.uri}" in lines[2]
    assert lines[3].strip() == f"3 rows → {first.output_uri}"
    assert run("list", "-n", "1").splitlines() == lines[:2]
    assert run("list", "--kind", "predict").splitlines() == lines[2:]


def test_as_json_a_batch_has_everything(marts: PostgresMart) -> None:
    batch = scored(marts, "a", 1)
    (found,) = json.loads(run("list", "--json"))
    assert (found["id"], found["accepted"], found["data_time"]) == (batch.id, 3, "2026-11-20T00:00:00+00:00")
    assert found["spec_json"]["key"] == "item"


def test_old_batches_are_pruned_after_they_were_shown(marts: PostgresMart) -> None:
    old, current = scored(marts, "a", 1), scored(marts, "b", 2)
    with psycopg2.connect(os.environ["MART_DATABASE_URL"]) as connection, connection.cursor() as cursor:
        cursor.execute("update mart.batch set ended_at = ended_at - interval '31 days' where id = %s", (old.id,))
    connection.close()
    dry = run("prune", "--older-than", "30", "--dry-run")
    assert dry.splitlines()[0] == "would go, older than 30 days:"
    assert dry.splitlines()[-1] == "1 batch, 3 rows, 0 bytes of score files"
    assert [each.id for each in marts.batches(None, None, None)] == [current.id, old.id]
    done = run("prune", "--older-than", "30")
    assert done.splitlines()[1:] == dry.splitlines()[1:]
    assert [each.id for each in marts.batches(None, None, None)] == [current.id]
    assert run("prune", "--older-than", "30").splitlines()[-1].startswith("0 batches, 0 rows")
