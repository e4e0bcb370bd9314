"""gauntlet decide: files in, a verdict out, no server."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from gauntlet.adapters.tables import TableError
from gauntlet.cli import cli
from gauntlet.domain.errors import Mendable
from gauntlet.domain.promotion import PolicyError, PromotionPolicy

ROWS = 3000


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    truth = rng.normal(100, 20, ROWS)
    shared = rng.normal(0, 5, ROWS)
    frame = pd.DataFrame(
        {
            "row_id": np.arange(ROWS),
            "truth": truth,
            "champion": truth + shared + rng.normal(0, 2, ROWS),
            "challenger": truth + 0.85 * (shared + rng.normal(0, 2, ROWS)),
            "town": np.array(["[red]Ulm", "[red]Bern", "[red]Graz"])[np.arange(ROWS) % 3],
            "weight": 1.0,
        }
    )
    frame.to_parquet(tmp_path / "rows.parquet")
    frame.to_csv(tmp_path / "rows.csv", index=False)
    return tmp_path / "rows.parquet"


def decide(*arguments: object) -> Result:
    result = CliRunner().invoke(cli, ["decide", *map(str, arguments)])
    if isinstance(result.exception, Mendable):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def test_the_json_has_these_keys_and_no_others(rows: Path) -> None:
    found = json.loads(decide(rows, "--json").output)
    assert list(found) == [
        "verdict", "reason", "effect", "interval", "rows", "rows_needed", "guardrails", "policy_sha256",
    ]  # fmt: skip
    assert (found["verdict"], found["rows"]) == ("PROMOTE", ROWS)
    assert found["interval"][0] < found["effect"] < found["interval"][1] < 0
    assert found["policy_sha256"] == PromotionPolicy().sha256()
    assert [set(each) for each in found["guardrails"]] == [{"name", "passed", "value", "limit", "reason"}] * 4


def test_csv_and_parquet_are_decided_alike(rows: Path) -> None:
    from_parquet, from_csv = (json.loads(decide(file, "--json").output) for file in (rows, rows.with_suffix(".csv")))
    assert from_parquet["effect"] == pytest.approx(from_csv["effect"])
    assert from_parquet["guardrails"][0]["reason"] == from_csv["guardrails"][0]["reason"]


def test_people_see_verdict_reason_figures_and_guardrails(rows: Path) -> None:
    output = decide(rows).output
    assert output.startswith("PROMOTE\nchallenger's MAE is ")
    assert "rows         3,000, 1," in output
    assert "segments     town" in output
    assert "not used     weight" in output
    table = "".join(output.replace("│", "").split())  # which breaks lines where it must
    assert "segmentspassesworstof3:town=[red]" in table
    assert PromotionPolicy().sha256() in output


def test_names_in_files_cannot_drive_the_terminal(rows: Path, tmp_path: Path) -> None:
    frame = pd.read_parquet(rows).rename(columns={"weight": "\x1b[2Jweight", "town": "\x1b[2Jtown"})
    frame["\x1b[2Jtown"] = frame["\x1b[2Jtown"].str.replace("[red]", "\x1b[2J")
    frame.to_parquet(tmp_path / "evil.parquet")
    result = CliRunner().invoke(cli, ["decide", str(tmp_path / "evil.parquet")], color=True)
    assert result.exit_code == 0
    assert "\ufffd[2Jtown" in result.output
    assert "\x1b[2J" not in result.output


def test_another_policy_may_come_to_another_verdict(rows: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("min_rows = 5000\n")
    found = json.loads(decide(rows, "--policy", policy, "--json").output)
    assert (found["verdict"], found["effect"], found["guardrails"]) == ("INVALID", None, [])
    assert found["reason"] == "the test needs 5,000 rows; there are 3,000"
    assert found["policy_sha256"] == PromotionPolicy(min_rows=5000).sha256()
    assert decide(rows, "--policy", policy).output.startswith("INVALID\n")


def test_classification_shows_accuracy_and_area(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    chance = rng.uniform(0.05, 0.95, ROWS)
    truth = (rng.uniform(size=ROWS) < chance).astype(int)
    noisy = np.clip(chance + rng.normal(0, 0.2, ROWS), 0.02, 0.98)
    pd.DataFrame({"truth": truth, "champion": noisy, "challenger": chance}).to_csv(tmp_path / "rows.csv")
    (tmp_path / "policy.toml").write_text('metric = "log_loss"\n')
    output = decide(tmp_path / "rows.csv", "--policy", tmp_path / "policy.toml").output
    assert "\n  log loss     champion 0." in output
    assert "\n  auc          champion 0." in output
    assert "\n  accuracy     champion 0." in output


def test_what_looks_like_probabilities_is_hinted_at(rows: Path, tmp_path: Path) -> None:
    hint = '\nhint: these look like probabilities; metric = "log_loss" in a policy judges them as such\n'
    frame = pd.DataFrame({"truth": np.arange(ROWS) % 2, "champion": 0.4, "challenger": 0.6})
    frame.to_csv(tmp_path / "chances.csv")
    (tmp_path / "policy.toml").write_text('metric = "log_loss"\n')
    assert hint in decide(tmp_path / "chances.csv").output
    assert "hint:" not in decide(tmp_path / "chances.csv", "--policy", tmp_path / "policy.toml").output
    assert "hint:" not in decide(rows).output
    for changed in ({"challenger": 1.2}, {"truth": 0.5}, {"champion": 0.0, "challenger": 1.0}):
        frame.assign(**changed).to_csv(tmp_path / "numbers.csv")
        assert "hint:" not in decide(tmp_path / "numbers.csv").output, changed


def test_an_arm_that_the_rule_does_not_read_is_hinted_at(rows: Path, tmp_path: Path) -> None:
    pd.read_parquet(rows).assign(arm=np.array(["a", "b"])[np.arange(ROWS) % 2]).to_csv(tmp_path / "arms.csv")
    (tmp_path / "policy.toml").write_text('rule = "split"\n')
    assert 'did you mean rule = "split"?' in decide(tmp_path / "arms.csv").output
    assert "hint:" not in decide(tmp_path / "arms.csv", "--policy", tmp_path / "policy.toml").output


def test_a_missing_anchor_is_told(rows: Path, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text('rule = "non_inferiority"\n')
    line = "  anchor       none in the file: held to the champion\n"
    assert line in decide(rows, "--policy", tmp_path / "policy.toml").output
    frame = pd.read_parquet(rows)
    frame.assign(anchor=frame["champion"]).to_csv(tmp_path / "anchor.csv")
    assert line not in decide(tmp_path / "anchor.csv", "--policy", tmp_path / "policy.toml").output
    assert line not in decide(rows).output


def test_a_wrong_policy_is_told_before_the_rows_are_read(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text("mdee = 0.1\n")
    with pytest.raises(PolicyError, match='Did you mean "mde"'):
        decide(tmp_path / "none.csv", "--policy", tmp_path / "policy.toml")
    with pytest.raises(TableError, match="there is no "):
        decide(tmp_path / "none.csv")


def test_an_error_is_one_text_and_exit_code_1(tmp_path: Path) -> None:
    run = "from gauntlet.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", run, "decide", tmp_path / "none.csv"], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"error: a table must exist; there is no {tmp_path / 'none.csv'}. Check the name.\n"


def test_columns_of_lists_are_no_segments_and_no_ids(rows: Path) -> None:
    frame = pd.read_parquet(rows)
    frame.assign(tags=pd.Series([["a"]] * ROWS, dtype=object)).to_parquet(rows)
    assert "tags" in decide(rows).output
    frame.assign(row_id=pd.Series([[1]] * ROWS, dtype=object)).to_parquet(rows)
    with pytest.raises(Mendable, match="a row_id must be a number or a text; lists are there"):
        decide(rows)


def test_times_below_zero_are_refused(rows: Path) -> None:
    frame = pd.read_parquet(rows)
    frame.assign(champion_seconds=0.1, challenger_seconds=-0.1).to_parquet(rows)
    with pytest.raises(Mendable, match="times must be seconds of at least 0"):
        decide(rows)
