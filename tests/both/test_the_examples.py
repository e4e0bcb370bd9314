"""The programs in examples/, in the order of their README, on a real stack; and once more."""

import os
import re
import subprocess
import sys
from contextlib import closing
from typing import Any

import psycopg2
from tests.driver import ROOT, Driver

from gauntlet.bootstrap.marts import mart_url

EXAMPLES = ROOT / "examples"
ROWS, BAD = 5190, 2  # in the file to predict
LOADED = """
select read, accepted, rejected, (select count(*) from mart.health_output where batch_id = batch.id),
       (select count(*) from mart.rejected_row where batch_id = batch.id)
from mart.batch where spec = 'health' and kind = 'predict' and uri like '%/2026-11-20/answers.parquet'
"""


def shown(driver: Driver, name: str) -> str:
    """What an example prints."""
    own = {**os.environ, **driver.env}
    command = [sys.executable, str(EXAMPLES / name)]
    done = subprocess.run(command, cwd=ROOT, env=own, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{name}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def loaded(driver: Driver) -> list[tuple[Any, ...]]:
    """What the marts hold of the file to predict: read, accepted, rejected, rows with scores, rejected rows."""
    with closing(psycopg2.connect(mart_url(driver.settings))) as connection, connection.cursor() as cursor:
        cursor.execute(LOADED)
        return cursor.fetchall()


def test_the_readme_names_every_example() -> None:
    listed = re.findall(r"^\.venv/bin/python examples/(\w+\.py) ", (EXAMPLES / "README.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(path.name for path in EXAMPLES.glob("*.py"))


def test_every_example_runs(driver: Driver) -> None:
    made = shown(driver, "make_parquet.py")
    assert re.search(r"^15,000 rows: \S+/data/health/train/2026-11-20/answers\.parquet$", made, re.MULTILINE)

    started = shown(driver, "start_dags.py")
    assert "train_pipeline__health: success" in started
    assert "predict_pipeline__health: success" in started

    used = shown(driver, "use_mlflow.py")
    assert re.search(r"^v\d+ \[.*'production'.*\] run [0-9a-f]{32}: ", used, re.MULTILINE)
    table = used.splitlines()[-3:]
    assert all(0 < float(line.split()[-1]) < 1 and line.split()[-2] in "01" for line in table)

    read = shown(driver, "read_marts.py")
    assert (
        len(re.findall(r"row_number=\d+ .* model_name=gauntlet-health  model_version=\d+  verdict=PROMOTE", read)) == 3
    )
    assert re.search(r'row_number=1  reasons=.*disea.*  row=\{.*"answer"', read)
    assert re.search(r"row_number=2  reasons=.*mdvis.*  row=\{.*9999", read)
    assert loaded(driver) == [(ROWS, ROWS - BAD, BAD, ROWS - BAD, BAD)]


def test_a_second_time_nothing_is_taken_in_or_scored_again(driver: Driver) -> None:
    before = loaded(driver), shown(driver, "read_marts.py")
    shown(driver, "make_parquet.py")
    shown(driver, "start_dags.py")
    assert (loaded(driver), shown(driver, "read_marts.py")) == before
