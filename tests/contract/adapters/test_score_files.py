"""Files scored into marts, those of a real Postgres and those in memory: exactly once, whatever happens on the way."""

import multiprocessing
import os
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pytest
from tests.bad_parquet import BAD_FILES, good, spec_text
from tests.contract.adapters.marts import make_spec
from tests.killing import Fuse
from tests.memory_mart import MemoryMart
from tests.scoring import Scoring, parquet, things

from gauntlet.adapters.local_store import LocalStore
from gauntlet.adapters.marts import PostgresMart
from gauntlet.domain.intake import FileRefused
from gauntlet.domain.spec import Spec
from gauntlet.jobs import inbox
from gauntlet.jobs.mart_port import BatchStatus, Mart
from gauntlet.jobs.score_files import ScorePorts, new_files, score_file

KILLED = 9


@pytest.fixture(params=["memory", "postgres"])
def mart(request: pytest.FixtureRequest) -> Mart:
    return MemoryMart() if request.param == "memory" else PostgresMart(request.getfixturevalue("app_url"))


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "PIECE_ROWS", 100)


@pytest.fixture
def scoring(mart: Mart, spec: str, tmp_path: Path) -> Scoring:
    return Scoring(make_spec(spec), mart, tmp_path)


def counts(scoring: Scoring) -> list[tuple[int | None, int, int]]:
    """Of each batch that is done: the version, and its rows in the marts and in the file of scores."""
    done = [one for one in reversed(scoring.batches()) if one.status is BatchStatus.DONE]
    for batch in done:
        scoring.agree(batch)
    return [(one.version, len(scoring.rows(one)), scoring.scores(one).num_rows) for one in done]


def test_marts_file_and_batch_tell_the_same(scoring: Scoring) -> None:
    table = things(350)
    uri = scoring.put("x", table)
    batch = scoring.score("x")
    scoring.agree(batch)
    assert (batch.read, batch.accepted, batch.rejected, batch.written) == (350, 350, 0, 350)
    assert (batch.uri, batch.version, batch.rule, batch.run_key) == (uri, 1, "version:1", "run")
    assert batch.output_uri == f"{scoring.files.root}/data/{scoring.spec.name}/scores/v1/{batch.sha256}.parquet"
    scores = scoring.scores(batch)
    assert scores.select(table.column_names).equals(table)
    assert scores.column_names[len(table.column_names) :] == [
        "row_id", "prediction", "model_name", "model_version", "run_id", "input_uri", "input_sha256",
    ]  # fmt: skip
    first = scores.slice(0, 1).to_pylist()[0]
    assert (first["model_version"], first["run_id"], first["input_uri"]) == (1, "run1", uri)
    rows = scoring.rows(batch)
    assert rows["row_number"].tolist() == list(range(1, 351))
    assert rows["item"].tolist() == table["item"].to_pylist()
    traced = scoring.mart.trace(batch.id, int(rows["row_id"][7]))
    assert traced is not None
    assert (traced["row_number"], traced["run_id"], traced["kept_uri"]) == (8, "run1", batch.kept_uri)


def test_the_same_file_three_times_is_one_batch(scoring: Scoring) -> None:
    scoring.put("x", things(250))
    batches = [scoring.score("x", key=f"run {number}") for number in range(3)]
    assert batches == [batches[0]] * 3
    assert counts(scoring) == [(1, 250, 250)]


def test_two_at_once_load_it_once(scoring: Scoring) -> None:
    scoring.put("x", things(250))
    with ThreadPoolExecutor(4) as pool:
        batches = list(pool.map(lambda number: scoring.score("x", key=f"run {number}"), range(4)))
    assert batches == [batches[0]] * 4
    assert counts(scoring) == [(1, 250, 250)]


def test_a_content_under_two_names_is_one_batch_and_both_are_seen(scoring: Scoring) -> None:
    for name in ("x", "y"):
        scoring.put(name, things(150))
    assert len(new_files(scoring.ports, scoring.spec, 1)) == 2
    assert scoring.score("x") == scoring.score("y")
    assert counts(scoring) == [(1, 150, 150)]
    assert new_files(scoring.ports, scoring.spec, 1) == []


def test_a_file_changed_under_its_name_is_a_new_batch(scoring: Scoring) -> None:
    scoring.put("x", things(150))
    scoring.score("x")
    assert new_files(scoring.ports, scoring.spec, 1) == []
    scoring.put("x", things(120, seed=1))
    assert [file.uri for file in new_files(scoring.ports, scoring.spec, 1)] == [scoring.put("x", things(120, seed=1))]
    scoring.score("x")
    assert counts(scoring) == [(1, 150, 150), (1, 120, 120)]


def test_another_version_is_a_new_batch(scoring: Scoring) -> None:
    scoring.put("x", things(150))
    first, second = scoring.score("x", 1), scoring.score("x", 2)
    assert counts(scoring) == [(1, 150, 150), (2, 150, 150)]
    assert scoring.rows(first)["row_id"].equals(scoring.rows(second)["row_id"])
    assert not scoring.rows(first)["prediction"].equals(scoring.rows(second)["prediction"])


def test_bad_rows_are_left_out_and_kept_with_their_reasons(scoring: Scoring) -> None:
    table = things(250).to_pandas()
    table.loc[[3, 120, 121], "size"] = [99.0, np.nan, -1.0]
    table.loc[200, "kind"] = "ugly"
    table.loc[249, "item"] = "item 0"
    scoring.put("x", pa.Table.from_pandas(table))
    batch = scoring.score("x")
    assert (batch.read, batch.accepted, batch.rejected, batch.written) == (250, 245, 5, 245)
    scoring.agree(batch)
    assert set(range(1, 251)) - set(scoring.rows(batch)["row_number"]) == {4, 121, 122, 201, 250}
    assert scoring.scores(batch)["note"].to_pylist()[3] == "note 4"


def test_a_file_of_no_rows_is_a_batch_of_none(scoring: Scoring) -> None:
    scoring.put("x", things(150).slice(0, 0))
    batch = scoring.score("x")
    assert (batch.read, batch.accepted, batch.written) == (0, 0, 0)
    assert counts(scoring) == [(1, 0, 0)]


def test_a_refused_file_is_recorded_and_tried_again_by_hand_only(scoring: Scoring) -> None:
    scoring.put("x", b"PAR1 this is no parquet")
    uri = scoring.put("y", things(20).drop(["size"]))
    for name, rule in (("x", "a file must be parquet, and whole"), ("y", "missing: size")):
        with pytest.raises(FileRefused, match=rule):
            scoring.score(name)
        with pytest.raises(FileRefused, match=rule):
            scoring.score(name)
    refused = scoring.batches()
    assert [(one.status, one.accepted) for one in refused] == [(BatchStatus.REFUSED, 0)] * 2
    assert "missing: size" in str(refused[0].reason)
    assert new_files(scoring.ports, scoring.spec, 1) == []
    assert [file.uri for file in new_files(scoring.ports, scoring.spec, 2)] == [
        uri.replace("/y.", "/x."), uri,
    ]  # fmt: skip
    scoring.put("y", things(20))
    scoring.score("y")
    assert counts(scoring) == [(1, 20, 20)]


def test_rows_that_all_break_the_spec_are_refused_with_the_reasons(scoring: Scoring) -> None:
    table = things(150).to_pandas()
    table["size"] = 11.0
    table.loc[:9, "kind"] = "ugly"
    scoring.put("x", pa.Table.from_pandas(table))
    why = r"none of 150 does: size must lie in 0\.\.10 \(150\); kind must be one of good, bad \(10\)\."
    with pytest.raises(FileRefused, match=why):
        scoring.score("x")
    assert counts(scoring) == []


@pytest.fixture(scope="module")
def diamonds(app_url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Scoring]:
    """Diamonds with a key and without one."""

    def rows(number: int, _seed: int) -> pa.Table:
        return pa.table(good(number))

    return {
        keyed: Scoring(
            Spec.parse(f"spec_{uuid.uuid4().hex[:12]}", spec_text(keyed=keyed)),
            PostgresMart(app_url),
            tmp_path_factory.mktemp("diamonds"),
            rows,
        )
        for keyed in (False, True)
    }


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_has_its_answer(
    name: str, diamonds: dict[bool, Scoring], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "PIECE_ROWS", 100_000)
    bad = BAD_FILES[name]
    scoring, path = diamonds[bad.keyed], tmp_path / "x.parquet"
    bad.write(path)
    scoring.put("x", path.read_bytes())
    if bad.refused is not None or not (bad.accepted or not bad.rejected):
        answer = re.escape(bad.refused or "rows must fulfil the spec to be scored")
        with pytest.raises(FileRefused, match=answer) as info:
            scoring.score("x")
        refused = scoring.batches()[0]
        assert (refused.status, refused.reason, refused.accepted) == (BatchStatus.REFUSED, str(info.value), 0)
        assert scoring.rows(refused).empty
        return
    batch = scoring.score("x")
    assert (batch.accepted, batch.rejected, batch.written) == (bad.accepted, bad.rejected, bad.accepted)
    scoring.agree(batch)


def test_a_file_may_break_off_in_its_middle(scoring: Scoring) -> None:
    whole = parquet(things(2_000), row_group_size=500, compression="none", use_dictionary=False)
    start = len(whole) // 2
    scoring.put("x", whole[:start] + b"\xff" * 3_000 + whole[start + 3_000 :])
    with pytest.raises(FileRefused):
        scoring.score("x")
    assert counts(scoring) == []


def counted(ports: ScorePorts, fuse: Fuse) -> ScorePorts:
    """The same ports, with every call counted."""
    names = ("files", "registry", "ledger", "mart")
    return replace(ports, **{name: fuse.around(getattr(ports, name)) for name in names})


def test_a_kill_after_any_call_and_once_more_is_one_batch(app_url: str, spec: str, tmp_path: Path) -> None:
    scoring = Scoring(make_spec(spec), PostgresMart(app_url), tmp_path)
    whole = None
    for last in range(1, 40):
        scoring.put(f"x{last}", things(150, seed=last))

        def work(last: int = last) -> None:
            scoring.score(f"x{last}", ports=counted(scoring.ports, Fuse(last, lambda: os._exit(KILLED))))

        child = multiprocessing.get_context("fork").Process(target=work)
        child.start()
        child.join(60)
        after = [one for one in scoring.batches() if one.uri.endswith(f"/x{last}.parquet")]
        assert len(after) <= 1
        for one in after:
            scoring.agree(one)
        batch = scoring.score(f"x{last}")
        scoring.agree(batch)
        assert (batch.read, batch.accepted) == (150, 150)
        if child.exitcode == 0:
            whole = last
            break
        assert child.exitcode == KILLED
    assert whole is not None
    assert whole > 12  # every kind of call was the last one once
    assert counts(scoring) == [(1, 150, 150)] * whole
    assert list(scoring.scratch.iterdir()) == []


def test_an_error_on_the_way_leaves_nothing_and_the_next_try_does_it(scoring: Scoring, tmp_path: Path) -> None:
    class Full(Exception):
        pass

    class NoRoom(LocalStore):
        def write(self, key: str, stream: BinaryIO) -> None:
            if "/scores/" in key:
                raise Full
            super().write(key, stream)

    scoring.put("x", things(250))
    ports = replace(scoring.ports, files=NoRoom(tmp_path / "store"))
    with pytest.raises(Full):
        scoring.score("x", ports=ports)
    assert counts(scoring) == []
    assert scoring.score("x").accepted == 250
    assert counts(scoring) == [(1, 250, 250)]


def test_progress_is_told_piece_by_piece(scoring: Scoring) -> None:
    scoring.put("x", things(250))
    told: list[tuple[int, int]] = []
    (file,) = new_files(scoring.ports, scoring.spec, 1)
    run = scoring.run(told=lambda rows, total: told.append((rows, total)))
    score_file(run, scoring.ports, file, scoring.chosen())
    assert told == [(100, 250), (200, 250), (250, 250)]
