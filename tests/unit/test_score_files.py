"""Scoring without services: equal bytes, models that fail, what a spec's output keeps, threads, and the command."""

import json
import threading
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from joblib import Parallel
from tests.contract.adapters.marts import make_spec
from tests.contract.adapters.records import make_case
from tests.memory_mart import MemoryMart
from tests.scoring import Scoring, things

from gauntlet.adapters.tables import TableError
from gauntlet.bootstrap import scoring as bootstrap_scoring
from gauntlet.cli.score import score
from gauntlet.domain.spec import Predict, Spec
from gauntlet.jobs import inbox
from gauntlet.jobs.ahead import ahead
from gauntlet.jobs.predictor import predictor
from gauntlet.jobs.run import Refused
from gauntlet.jobs.score_files import score_file
from gauntlet.settings import Settings


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "PIECE_ROWS", 100)


def scoring_of(spec: Spec, folder: Path) -> Scoring:
    return Scoring(spec, MemoryMart(), folder)


@pytest.fixture
def scoring(tmp_path: Path) -> Scoring:
    return scoring_of(make_spec("things"), tmp_path)


class Failing:
    """A model that fails, or has no number, where `size` is above 9.9."""

    def __init__(self, raises: bool = False) -> None:
        self.raises = raises

    def predict(self, frame: pd.DataFrame) -> Any:
        bad = frame["size"].to_numpy() > 9.9
        if self.raises and bad.any():
            raise ValueError("too large")
        return np.where(bad, np.nan, 1.0)


def test_the_scores_written_again_are_the_same_bytes(scoring: Scoring) -> None:
    scoring.put("x", things(350))
    first = scoring.score("x")
    second = scoring.score("x", key="another run", ports=replace(scoring.ports, mart=MemoryMart()))
    assert second.run_key == "another run"
    assert (second.output_uri, second.output_sha256) == (first.output_uri, first.output_sha256)


class Threads:
    """A model that says how many threads joblib would give it."""

    def predict(self, frame: pd.DataFrame) -> Any:
        return np.full(len(frame), float(Parallel().n_jobs))


def test_a_forest_adds_up_in_one_order_whatever_threads_there_are(
    scoring: Scoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gauntlet.domain.training.load_model", lambda _data, _trusted: Threads())
    scoring.put("x", things(250))
    uri = f"{scoring.files.root}/data/things/predict/x.parquet"
    batch = score_file(scoring.run(threads=4), scoring.ports, inbox.named(scoring.files, uri), scoring.chosen())
    assert set(scoring.rows(batch)["prediction"]) == {1.0}


@pytest.mark.parametrize("raises", [False, True])
def test_a_model_that_fails_is_named_with_the_rows(
    scoring: Scoring, raises: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gauntlet.domain.training.load_model", lambda _data, _trusted: Failing(raises))
    table = things(250).to_pandas()
    table["size"] = 5.0
    table.loc[[140, 171], "size"] = 9.95
    scoring.put("x", pa.Table.from_pandas(table))
    expected = (
        "a model must predict every row that fulfils the spec; version 1 of things raised ValueError from row 141 on: "
        "too large. Mend the model, or choose another version."
        if raises
        else "a prediction must be a finite number; version 1 of things has none for 2 of the rows 101 to 200, the "
        "first of them: 141, 172. Mend the model, or choose another version."
    )
    with pytest.raises(Refused) as info:
        scoring.score("x")
    assert str(info.value) == expected
    assert scoring.batches() == []  # the file is not to blame, and is tried again


def test_a_classification_has_its_class_and_all_probabilities(tmp_path: Path) -> None:
    scoring = scoring_of(make_spec("kinds", target="kind"), tmp_path)
    table = things(250).drop(["kind"]).append_column("price", pa.array(np.full(250, 7.0)))
    scoring.put("x", table)
    batch = scoring.score("x")
    scoring.agree(batch)
    scores = scoring.scores(batch).to_pandas()
    both = scores[["probability_good", "probability_bad"]]
    assert np.allclose(both.sum(axis=1), 1)
    assert set(scores["prediction"]) == {"good", "bad"}
    assert (scores["prediction"] == np.where(both.iloc[:, 0] >= both.iloc[:, 1], "good", "bad")).all()
    assert scoring.rows(batch)["probability_bad"].tolist() == scores["probability_bad"].tolist()


def test_the_spec_chooses_what_the_file_keeps_and_the_marts_keep_all(tmp_path: Path) -> None:
    keeps = Predict(columns=("item",), where=(("prediction", ">", 6.0), ("kind", "==", "good")))
    scoring = scoring_of(make_spec("things").model_copy(update={"predict": keeps}), tmp_path)
    table = things(350)
    scoring.put("x", table)
    batch = scoring.score("x")
    scores, rows = scoring.scores(batch), scoring.rows(batch)
    assert scores.column_names[:3] == ["item", "row_id", "prediction"]
    wanted = rows[(rows["prediction"] > 6.0) & (rows["kind"] == "good")]
    assert 0 < len(wanted) < 350
    assert scores["row_id"].to_pylist() == wanted["row_id"].tolist()
    assert (batch.accepted, batch.written, len(rows)) == (350, len(wanted), 350)


def test_columns_of_views_pass_through_beside_rejected_rows_and_a_filter(tmp_path: Path) -> None:
    keeps = Predict(where=(("prediction", ">", 6.0),))
    table, views = things(250).to_pandas(), {"text": pa.string_view(), "texts": pa.list_(pa.string_view())}
    table.loc[[0, 3, 4, 249], "size"] = 99.0
    texts = [f"a text of more than twelve letters, {number}" for number in range(250)]
    given: dict[str, list[Any]] = {"text": texts, "texts": [[text, None] for text in texts]}
    for predict in (Predict(), keeps):
        scoring = scoring_of(
            make_spec("things").model_copy(update={"predict": predict}), tmp_path / str(len(predict.where))
        )
        whole = pa.Table.from_pandas(table)
        for name, kind in views.items():
            whole = whole.append_column(name, pa.array(given[name], kind))
        scoring.put("x", whole)
        batch = scoring.score("x")
        scores, rows = scoring.scores(batch), scoring.rows(batch)
        wanted = rows[rows["prediction"] > 6.0] if predict.where else rows
        assert 0 < len(wanted) <= 246
        for name in views:
            assert scores[name].to_pylist() == [given[name][number - 1] for number in wanted["row_number"]]


def test_row_ids_of_the_file_and_a_target_pass_through(scoring: Scoring) -> None:
    table = things(150).append_column("row_id", pa.array(np.arange(150, dtype=np.int32) * 7))
    table = table.append_column("price", pa.array(["what it cost"] * 150))
    scoring.put("x", table)
    batch = scoring.score("x")
    scores = scoring.scores(batch)
    assert scores["row_id"].to_pylist() == [number * 7 for number in range(150)]
    assert pc.unique(scores["price"]).to_pylist() == ["what it cost"]
    assert scoring.rows(batch)["price"].isna().all()


def test_a_version_is_described_with_the_verdict_that_settled_it(scoring: Scoring) -> None:
    version = scoring.chosen().version
    assert predictor(scoring.ledger, version).verdict is None
    case = make_case("things", version.run_key, None, 1)
    entry = scoring.ledger.settle(replace(case, challenger=version))
    found = predictor(scoring.ledger, version)
    assert (found.decision_id, found.verdict, found.reason, found.decided_at) == (
        entry.id, "PROMOTE", entry.reason, entry.at,
    )  # fmt: skip


class TestAhead:
    """Stages in threads."""

    def test_items_come_in_order_and_not_far_ahead(self) -> None:
        made: list[int] = []

        def numbers() -> Generator[int]:
            for number in range(50):
                made.append(number)
                yield number

        with ahead(numbers(), 2) as found:
            for number in found:
                assert len(made) <= number + 2 + 3  # two wait, one is handed on, one is made
        assert made == list(range(50))

    def test_an_error_comes_out_and_threads_end(self) -> None:
        closed = threading.Event()

        def numbers() -> Generator[int]:
            try:
                yield from range(1000)
            finally:
                closed.set()

        def broken(numbers: Any) -> Generator[int]:
            for number in numbers:
                if number == 5:
                    raise ZeroDivisionError
                yield number

        taken: list[int] = []
        with pytest.raises(ZeroDivisionError), ahead(numbers(), 1) as first, ahead(broken(first), 1) as second:
            taken.extend(second)
        assert closed.wait(5)
        assert not [one for one in threading.enumerate() if one.name.startswith("ahead")]

    def test_who_takes_may_leave(self) -> None:
        def numbers() -> Generator[int]:
            number = 0
            while True:
                yield (number := number + 1)

        def same(numbers: Any) -> Generator[int]:
            yield from numbers

        with ahead(numbers(), 1) as first, ahead(same(first), 1) as second:
            assert next(second) == 1
        assert not [one for one in threading.enumerate() if one.name.startswith("ahead")]


class TestCommand:
    """gauntlet score, on versions in memory."""

    @pytest.fixture(autouse=True)
    def _services(self, scoring: Scoring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        scoring.ledger.record_external("things", "Model-things", None, 2, "run2")
        settings = Settings(scratch_dir=tmp_path / "scratch")
        monkeypatch.setattr("gauntlet.bootstrap.load_settings", lambda: settings)
        monkeypatch.setattr(bootstrap_scoring, "_model_ports", lambda _: scoring.ports)
        monkeypatch.setattr(bootstrap_scoring, "load_spec", lambda _settings, _name: scoring.spec)
        monkeypatch.chdir(tmp_path)

    def test_the_scores_are_those_of_the_pipeline(self, scoring: Scoring) -> None:
        pq.write_table(things(250), "x.parquet")
        done = CliRunner().invoke(score, ["x.parquet", "-o", "out.parquet"])
        assert done.exit_code == 0, done.output
        assert done.output == "out.parquet: 250 scores by Model-things v2 (production)\n"
        scoring.put("x", things(250))
        expected = scoring.scores(scoring.score("x", 2)).drop(["input_uri"])
        found = pq.read_table("out.parquet")
        assert found.drop(["input_uri"]).equals(expected)
        assert found["input_uri"][0].as_py() == Path("x.parquet").resolve().as_uri()

    @pytest.mark.parametrize("rejected", ["bad.csv", "bad.parquet"])
    def test_bad_rows_are_told_and_written(self, rejected: str) -> None:
        table = things(250).to_pandas()
        table.loc[[3, 220], "size"] = 99.0
        table.to_parquet("x.parquet")
        options = ["x.parquet", "-o", "out.parquet", "--model", "version:1", "--rejected", rejected, "--json"]
        done = CliRunner().invoke(score, options)
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout) == {
            "out": "out.parquet", "model": "Model-things", "version": 1, "rule": "version:1", "rows": 250,
            "accepted": 248, "rejected": 2, "reasons": {"size must lie in 0..10": 2}, "written": 248,
        }  # fmt: skip
        assert done.stderr == (
            "warning: 2 of 250 rows break the spec and have no score: size must lie in 0..10 (2). They are in "
            f"{rejected}.\n"
        )
        bad = pd.read_csv(rejected) if rejected.endswith("csv") else pd.read_parquet(rejected)
        assert bad["row_number"].tolist() == [4, 221]
        assert json.loads(bad["row"][0])["note"] == "note 3"

    def test_a_refusal_leaves_the_file_of_before(self) -> None:
        pq.write_table(things(20).drop(["size"]), "x.parquet")
        Path("out.parquet").write_text("of before")
        done = CliRunner().invoke(score, ["x.parquet", "-o", "out.parquet", "--rejected", "bad.csv"])
        assert done.exit_code == 1
        assert "missing: size" in str(done.exception)
        assert Path("out.parquet").read_text() == "of before"
        assert sorted(path.name for path in Path().iterdir() if path.is_file()) == ["out.parquet", "x.parquet"]

    def test_files_to_write_are_files_of_their_own(self) -> None:
        pq.write_table(things(20), "x.parquet")
        Path("link.parquet").symlink_to("x.parquet")
        Path("hard.parquet").hardlink_to("x.parquet")
        for given in (
            ["x.parquet", "-o", "x.parquet"],
            ["x.parquet", "-o", "link.parquet"],
            ["x.parquet", "-o", "hard.parquet"],
            ["x.parquet", "-o", "out.parquet", "--rejected", "./out.parquet"],
            ["x.parquet", "-o", "out.parquet", "--rejected", "x.parquet"],
            ["none.parquet", "-o", "out.parquet"],
            ["x.parquet", "-o", "none/out.parquet"],
            ["x.parquet", "-o", "."],
            ["x.parquet", "-o", "out.parquet", "--rejected", "bad.txt"],
        ):
            done = CliRunner().invoke(score, given)
            assert isinstance(done.exception, TableError), given
            assert not Path("out.parquet").exists()
        assert pq.read_table("x.parquet").num_rows == 20
