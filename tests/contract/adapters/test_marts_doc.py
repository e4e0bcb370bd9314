"""Every SQL example of docs/marts.md on real marts, filled by runs that trained and scored."""

import importlib.resources
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg2
import pytest
from tests.contract.adapters.conftest import make_database
from tests.contract.adapters.marts import input_file
from tests.repeating import Checked
from tests.training_files import Town

from gauntlet.adapters.databases import migrate
from gauntlet.adapters.ledger import PostgresLedger
from gauntlet.adapters.marts import PostgresMart
from gauntlet.adapters.marts.audit import PostgresAudit
from gauntlet.domain.spec import Spec
from gauntlet.jobs.mart_port import BatchKind, NewBatch
from gauntlet.jobs.ports import Names

ROOT = Path(__file__).parents[3]
BLOCKS = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "marts.md").read_text(encoding="utf-8"), re.DOTALL)
READS = [block for block in BLOCKS if block.startswith("select")]
CHANGES = [block for block in BLOCKS if block not in READS]
DATABASE = "marts_doc"


@pytest.fixture(scope="module")
def database(superuser_url: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The superuser's URL of a database, so that the marts may be those of the spec that the page speaks of."""
    make_database(superuser_url, DATABASE)
    server = superuser_url.partition("@")[2].rpartition("/")[0]
    migrate(f"postgresql://gauntlet:gauntlet-secret@{server}/{DATABASE}")
    fill(f"postgresql://gauntlet_app:gauntlet_app-secret@{server}/{DATABASE}", tmp_path_factory.mktemp("town"))
    return superuser_url.rpartition("/")[0] + f"/{DATABASE}"


@pytest.fixture
def cursor(database: str) -> Iterator[Any]:
    """A cursor of the superuser, whose changes are undone."""
    with closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        yield cursor
        connection.rollback()


def fill(url: str, folder: Path) -> None:
    """Train twice on the shipped spec's own rows, score one file by both versions, refuse another one."""
    text = (ROOT / "specs" / "diamonds.toml").read_text(encoding="utf-8")
    spec = Spec.parse("diamonds", re.sub(r"candidates = .*", 'candidates = ["linear"]', text))
    with importlib.resources.as_file(importlib.resources.files("plotnine") / "data" / "diamonds.csv") as path:
        stones = pd.read_csv(path, nrows=3000)
    mart = PostgresMart(url)
    town = Town(folder, mart=mart, ledger=PostgresLedger(url), spec=spec, names=Names("d", "d", "d"))
    checked = Checked(town, PostgresAudit(url))
    for day, rows in enumerate((stones[:1000], stones[1000:2500]), 1):
        town.put(f"2026-11-0{day}/stones.parquet", rows.reset_index(drop=True))
        town.go()
    fresh = stones[2500:].drop(columns="price").reset_index(drop=True)
    fresh.loc[3, "carat"] = 99.0
    for version in (1, 2):
        checked.score("2026-11-20/fresh.parquet", fresh, f"version:{version}")
    new = NewBatch(spec, BatchKind.PREDICT, input_file("bad"), "0" * 64, "kept", 1, "production", "run", "test")
    mart.refuse(new, "a file must be parquet, and whole")


def test_the_page_has_examples_of_both_kinds() -> None:
    assert len(READS) >= 8
    assert len(CHANGES) >= 3


@pytest.mark.parametrize("block", READS, ids=lambda block: " ".join(block.split())[:60])
def test_a_query_of_the_page_returns_rows_with_something_in_every_column(cursor: Any, block: str) -> None:
    cursor.execute(block)
    rows = cursor.fetchall()
    assert rows
    empty = [column.name for place, column in enumerate(cursor.description) if all(row[place] is None for row in rows)]
    assert [name for name in empty if name != "price"] == []


def test_rejected_rows_are_counted_by_reason(cursor: Any) -> None:
    cursor.execute(next(block for block in READS if "rejected_row" in block))
    rows = [row[1:] for row in cursor.fetchall()]
    assert ("carat must lie in 0.02..10.02", 2, 4) in rows  # a row of the file that two versions scored
    assert not [reasons for reasons, *_ in rows if "found" in reasons]


def test_the_reader_of_the_page_may_read_and_nothing_else(cursor: Any) -> None:
    cursor.execute(f"revoke connect on database {DATABASE} from public")  # as the stack does
    block = next(block for block in CHANGES if "create role" in block)
    cursor.execute(block.replace("database gauntlet", f"database {DATABASE}"))
    cursor.execute("select has_database_privilege('mart_reader', current_database(), 'connect')")
    assert cursor.fetchone() == (True,)
    cursor.execute("set local role gauntlet_app; create table mart.made_later (a int); set local role mart_reader")
    for table in ("batch", "diamonds_input", "diamonds_prediction", "made_later"):
        cursor.execute(f"select count(*) from mart.{table}")  # noqa: S608 - named above
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        cursor.execute("delete from mart.diamonds_output")


def test_the_grants_of_another_database_are_enough_each(database: str) -> None:
    """Each line alone lets a role that had nothing make the marts of a spec."""
    spec = Spec.parse("diamonds", (ROOT / "specs" / "diamonds.toml").read_text(encoding="utf-8"))
    block = next(block for block in CHANGES if "create on database" in block)
    for number, line in enumerate(block.strip().splitlines()):
        name = f"marts_doc_{number}"
        with closing(psycopg2.connect(database)) as connection, connection.cursor() as own:
            connection.autocommit = True
            own.execute(f"create role {name} login password 'own'")
            own.execute(f"create database {name}")
        other = f"{database.rpartition('/')[0]}/{name}"
        with closing(psycopg2.connect(other)) as connection, connection.cursor() as own:
            connection.autocommit = True
            if "on schema" in line:
                own.execute("create schema mart")
            own.execute(line.replace("database marts", f"database {name}").replace("mart_writer", name))
        PostgresMart(f"postgresql://{name}:own@{other.partition('@')[2]}").prepare(spec)


def test_a_view_of_ones_own_is_made_as_the_page_says_and_a_new_column_does_not_mind_it(cursor: Any) -> None:
    cursor.execute(next(block for block in CHANGES if "create schema" in block))
    cursor.execute("select count(*) from reports.dear_stones")
    cursor.execute("alter table mart.diamonds_input add column shine double precision")
    cursor.execute("select count(*) from reports.dear_stones")
    assert cursor.fetchone() is not None
