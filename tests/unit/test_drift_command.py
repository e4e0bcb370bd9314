"""gauntlet drift, as a program: its exit codes, its JSON, its table and its page."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from tests.unit.domain.conftest import HOUSES, house_rows

from gauntlet.cli import cli
from gauntlet.domain.drift import DriftPolicy, DriftProfile
from gauntlet.domain.spec import Spec

KEYS = ["column", "test", "statistic", "p_value", "effect", "threshold", "drifted", "reason"]


class Folder:
    """Files and the command run among them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, frame: pd.DataFrame) -> str:
        path = self.path / name
        if name.endswith(".csv"):
            frame.to_csv(path, index=False)
        else:
            frame.reset_index(drop=True).to_parquet(path)
        return name

    def drift(self, *words: str, **settings: str) -> Result:
        with contextlib.chdir(self.path):
            return CliRunner().invoke(cli, ["drift", *words], env=settings)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    folder = Folder(tmp_path_factory.mktemp("files"))
    reference, moved = house_rows(800), house_rows(800, seed=2)
    moved["area"] *= 1.2
    for name, frame in (("reference", reference), ("same", house_rows(800, seed=1)), ("moved", moved)):
        folder.write(f"{name}.csv", frame)
        folder.write(f"{name}.parquet", frame)
    folder.write("text.csv", moved.assign(price=[f"{price} EUR" for price in moved["price"]]))
    (folder.path / "houses.toml").write_text(HOUSES)
    (folder.path / "binary.csv").write_bytes(bytes(range(256)) * 10)
    (folder.path / "empty.csv").write_text("")
    (folder.path / "semicolons.csv").write_text("a;b\n1;2\n")
    (folder.path / "not.parquet").write_text("a,b\n1,2\n")
    return folder


@pytest.mark.parametrize(
    ("current", "code"), [("same.csv", 0), ("moved.csv", 1), ("same.parquet", 0), ("moved.parquet", 1)]
)
def test_the_exit_code_tells_drift(folder: Folder, current: str, code: int) -> None:
    done = folder.drift("reference.csv", current)
    assert (done.exit_code, done.stderr) == (code, "")


def test_json_is_what_the_report_says(folder: Folder) -> None:
    done = folder.drift("reference.parquet", "moved.csv", "--json")
    body: dict[str, Any] = json.loads(done.stdout)
    assert list(body) == ["drifted", "rows", "findings"]
    assert (body["drifted"], body["rows"]) == (True, {"reference": 800, "current": 800})
    assert all(list(finding) == KEYS for finding in body["findings"])
    assert [finding["column"] for finding in body["findings"] if finding["drifted"]] == ["area"]


def test_with_a_spec_the_findings_are_those_of_the_library(folder: Folder) -> None:
    done = folder.drift("reference.csv", "moved.csv", "--spec", "houses.toml", "--json")
    spec = Spec.parse("houses", HOUSES)
    frames = [pd.read_csv(folder.path / name) for name in ("reference.csv", "moved.csv")]
    report = DriftProfile.fit(frames[0], spec).compare(frames[1], DriftPolicy())
    assert json.loads(done.stdout) == json.loads(json.dumps(report.to_dict()))
    assert done.exit_code == 1


def test_a_spec_by_name_is_looked_up_where_the_settings_say(folder: Folder) -> None:
    done = folder.drift("reference.csv", "same.csv", "--spec", "houses", SPECS_DIR=str(folder.path))
    assert done.exit_code == 0
    assert "No drift in 3 columns (800 rows against 800)." in done.stdout


def test_the_table_has_drift_first_and_the_conclusion_last(folder: Folder) -> None:
    lines = folder.drift("reference.csv", "moved.csv").stdout.splitlines()
    assert lines[0].split() == ["column", "test", "statistic", "effect", "threshold", "p", "reason"]
    assert lines[1].startswith("DRIFT  area")
    hits = [line.startswith("DRIFT") for line in lines[1:-2]]
    assert "KS distance" in lines[1]
    assert sum(hits) >= 1
    assert lines[-2] == ""
    assert lines[-1].startswith("Drift in ")
    assert lines[-1].endswith("(800 rows against 800).")
    assert "\x1b" not in "".join(lines)  # no colour where nobody looks


def test_what_is_not_compared_is_said(folder: Folder) -> None:
    frame = house_rows(100).assign(id=[f"h{number}" for number in range(100)])
    lines = folder.drift(folder.write("ids.csv", frame), "ids.csv").stdout.splitlines()
    assert lines[-2] == "not compared: id (ids: each value once)"


def test_numbers_that_became_text_have_drifted(folder: Folder) -> None:
    done = folder.drift("reference.csv", "text.csv")
    assert done.exit_code == 1
    assert "numbers in the reference, text in the current table" in done.stdout
    with_spec = folder.drift("reference.csv", "text.csv", "--spec", "houses.toml")
    assert with_spec.exit_code == 1
    assert "800 of 800 values are no numbers" in with_spec.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["reference.csv"], "Missing argument 'CURRENT'"),
        (["reference.csv", "same.csv", "--loud"], "No such option"),
        (["reference.csv", "nowhere.csv"], "a table must exist; there is no nowhere.csv. Check the name."),
        (["reference.csv", "semicolons.csv"], "semicolons.csv has semicolons. Save it with commas."),
        (["reference.csv", "."], "a table must be a .csv, .csv.gz or .parquet file"),
        (["binary.csv", "same.csv"], "binary.csv must be a csv table"),
        (["empty.csv", "same.csv"], "empty.csv"),
        (["not.parquet", "same.csv"], "not.parquet must be a parquet table"),
        (["reference.csv", "same.csv", "--spec", "no_such_spec"], "A spec must be a file in"),
        (["reference.csv", "same.csv", "--spec", "nowhere.toml"], "must be a file that can be read"),
        (
            ["text.csv", "same.csv", "--html", "no/such/folder.html"],
            "no/such/folder.html must be readable and writable",
        ),
    ],
)
def test_errors_are_two_and_one_text(folder: Folder, words: list[str], told: str) -> None:
    done = folder.drift(*words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reference_without_the_columns_of_its_spec_is_an_error(folder: Folder) -> None:
    folder.write("narrow.csv", house_rows(50).drop(columns="town"))
    done = folder.drift("narrow.csv", "same.csv", "--spec", "houses.toml")
    assert done.exit_code == 2
    assert "every column of the spec must be there; missing: town." in done.stderr
    assert folder.drift("reference.csv", "narrow.csv", "--spec", "houses.toml").exit_code == 1


def test_only_settings_of_drift_count(folder: Folder) -> None:
    wrong = {"AIRFLOW_PORT": "many", "GAUNTLET_STACK": "moon", "PROMOTION_RULE": "luck"}
    assert folder.drift("reference.csv", "same.csv", **wrong).exit_code == 0
    done = folder.drift("reference.csv", "same.csv", KS_PVALUE_THRESHOLD="7")
    assert done.exit_code == 2
    assert "KS_PVALUE_THRESHOLD" in done.stderr


def test_the_rule_and_its_thresholds_come_from_the_environment(folder: Folder) -> None:
    found = json.loads(
        folder.drift("reference.csv", "same.csv", "--json", DRIFT_RULE="original", KS_PVALUE_THRESHOLD="0.9").stdout
    )
    limits = {(finding["test"], finding["threshold"]) for finding in found["findings"] if finding["column"] == "area"}
    assert ("ks", 0.9) in limits
    assert found["drifted"]
    loose = json.loads(folder.drift("reference.csv", "same.csv", "--json", PSI_THRESHOLD="7").stdout)
    assert {finding["threshold"] for finding in loose["findings"] if finding["column"] == "town"} == {7.0}


def test_rows_of_the_router_may_carry_its_own_columns(folder: Folder) -> None:
    with_arm = house_rows(300).reset_index().assign(arm="a")
    folder.write("arm.csv", with_arm)
    done = folder.drift("reference.csv", "arm.csv", "--spec", "houses.toml")
    assert (done.exit_code, done.stderr) == (0, "")


def test_a_column_that_neither_spec_nor_check_knows_is_drift_only_where_it_is_new(folder: Folder) -> None:
    folder.write("noted.csv", house_rows(300).assign(note="x"))
    both = folder.drift("noted.csv", "noted.csv", "--spec", "houses.toml")
    assert both.exit_code == 0
    assert both.stdout.splitlines()[-2] == "not compared: note (not in the spec)"
    new = folder.drift("reference.csv", "noted.csv", "--spec", "houses.toml")
    assert new.exit_code == 1
    assert "the column is not in the reference" in new.stdout


def test_the_page_is_written_and_says_the_same(folder: Folder) -> None:
    done = folder.drift("reference.csv", "moved.csv", "--html", "report.html")
    page = (folder.path / "report.html").read_text()
    assert done.exit_code == 1
    assert done.stdout.splitlines()[-1][:-1] in page
    assert "moved.csv against reference.csv" in page
    assert "Not compared" not in page


def test_the_page_names_what_was_not_compared(folder: Folder) -> None:
    frame = house_rows(50).assign(**{"<b>": [f"i{number}" for number in range(50)], "day": "2026-11-21"})
    folder.write("ids.csv", frame)
    folder.drift("ids.csv", "ids.csv", "--html", "ids.html")
    page = (folder.path / "ids.html").read_text()
    listed = page[page.index("<h3>Not compared</h3>") :]
    assert "<dt>&lt;b&gt;</dt><dd>ids: each value once</dd>" in listed
    assert "<dt>day</dt><dd>dates</dd>" in listed
    assert list(json.loads(folder.drift("ids.csv", "ids.csv", "--json").stdout)) == ["drifted", "rows", "findings"]


def test_names_in_files_cannot_drive_the_terminal(folder: Folder) -> None:
    rng = np.random.default_rng(0)
    ids = [f"i{number}" for number in range(50)]
    frame = pd.DataFrame({"\x1b[2Jx": rng.normal(0, 1, 50), "\x1b[2Jid": ids})
    evil = str(folder.path / folder.write("evil.csv", frame))
    done = CliRunner().invoke(cli, ["drift", evil, evil], color=True)
    assert done.exit_code == 0
    assert "not compared: \ufffd[2Jid (ids: each value once)" in done.stdout
    assert "\x1b[2J" not in done.stdout
    assert "\x1b[32m" in done.stdout  # colours are sent, so that the rest would have been


PROGRAM = [sys.executable, "-c", "from gauntlet.cli import main; main()", "drift"]


@pytest.mark.parametrize(("words", "code"), [(["same.csv"], 0), (["moved.csv"], 1), (["nowhere.csv"], 2), ([], 2)])
def test_the_program_ends_with_the_commands_code(folder: Folder, words: list[str], code: int) -> None:
    command = [*PROGRAM, "reference.csv", *words]
    done = subprocess.run(command, cwd=folder.path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code
    assert (done.stderr != "") is (code == 2)


def test_a_reader_that_leaves_is_no_drift(folder: Folder) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [*PROGRAM, "reference.csv", "same.csv"]
    done = subprocess.run(command, cwd=folder.path, stdout=writer, stderr=subprocess.PIPE, timeout=120, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (2, b"")


@pytest.mark.parametrize("read", ["reference.csv", "./same.csv", "houses.toml"])
def test_a_page_is_not_written_over_what_is_read(folder: Folder, read: str) -> None:
    before = (folder.path / read).read_bytes()
    done = folder.drift("reference.csv", "same.csv", "--spec", "houses.toml", "--html", read)
    assert done.exit_code == 2
    assert "--html must name a file of its own" in done.output
    assert (folder.path / read).read_bytes() == before


def test_no_error_output_is_no_error(folder: Folder) -> None:
    command = f"exec {sys.executable} -c 'from gauntlet.cli import main; main()' drift reference.csv same.csv 2>&-"
    done = subprocess.run(["sh", "-c", command], cwd=folder.path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, "Traceback" in done.stdout) == (0, False), done.stdout
