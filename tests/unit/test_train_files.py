"""Training from files on fakes: what is new, what is trained on and tested on, and that any step may be done twice."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from tests.fakes import MemoryTraffic
from tests.killing import Fuse
from tests.memory_mart import MemoryMart
from tests.training_files import SHARE, Town, items
from tests.unit.test_pipeline import SPEC

from gauntlet.domain.aliases import Alias
from gauntlet.domain.identity import TrainingIds, contents, in_ab_pool
from gauntlet.domain.promotion import PromotionPolicy, PromotionRule
from gauntlet.domain.spec import Range
from gauntlet.domain.verdict import Verdict
from gauntlet.jobs.flow import TRAIN_FLOW, Step, branches, edges, start
from gauntlet.jobs.mart_port import BatchStatus
from gauntlet.jobs.pipeline import TRAIN_TASKS, run_pipeline, run_train_pipeline
from gauntlet.jobs.run import Ports, Refused
from gauntlet.jobs.train_files import TrainPorts, TrainRun

QUIET = [Step.PREPARE_DATA, Step.CHECK_NEW_DATA, Step.SUMMARY]


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return Town(tmp_path)


@pytest.fixture
def started(town: Town) -> Town:
    """A town with a champion, trained on one file."""
    town.put("2026-11-01/first.parquet", items(1500, 1))
    town.go()
    return town


def test_every_outcome_leads_to_a_step_and_every_step_is_reached_and_has_a_task() -> None:
    assert {start(TRAIN_FLOW)} | {after for _, after in edges(TRAIN_FLOW)} == set(TRAIN_FLOW) == set(TRAIN_TASKS)
    assert start(TRAIN_FLOW) is Step.PREPARE_DATA
    assert [step for step in TRAIN_FLOW if branches(step, TRAIN_FLOW)] == [
        Step.CHECK_NEW_DATA,
        Step.TRAIN_COMPARE,
        Step.NEEDS_APPROVAL,
        Step.MODEL_TO_PROD,
    ]


def test_a_step_reads_only_steps_that_may_have_run_before_it_and_no_branch() -> None:
    before: dict[Step, set[Step]] = {step: set() for step in TRAIN_FLOW}
    for step in TRAIN_FLOW:
        for after in TRAIN_FLOW[step].values():
            before[after] |= before[step] | {step}
    for step, task in TRAIN_TASKS.items():
        assert set(task.reads) <= before[step], step
        assert not any(branches(other, TRAIN_FLOW) for other in task.reads), step


def test_the_first_file_makes_the_first_model(town: Town) -> None:
    town.put("2026-11-01/first.parquet", items(1500, 1))
    steps = town.go()

    assert steps[-4:] == [Step.TRAIN_INITIAL_MODEL, Step.SET_INITIAL_MODEL, Step.RECORD_TRAINING, Step.SUMMARY]
    assert town.champion == 1
    [batch] = town.batches()
    assert (batch.read, batch.accepted, batch.rejected) == (1500, 1500, 0)
    assert town.mart.trained_on("toys", 1) == [batch]
    assert batch.output_uri is not None
    assert batch.output_uri.endswith(f"/ready/toys/{batch.output_sha256}.parquet")
    trained = town.trained_on(1)
    assert 0 < len(trained) < 1500
    assert not in_ab_pool(contents(trained, SPEC), SHARE).any()


def test_the_ready_file_has_every_accepted_row_typed_with_its_pool(town: Town) -> None:
    frame = items(200, 1).astype({"size": "float32"})
    frame.loc[3, "colour"] = None
    town.put("2026-11-01/first.parquet", frame)
    run = town.run()
    TRAIN_TASKS[Step.PREPARE_DATA].run(run, town.ports, {})

    [batch] = town.batches()
    ready = pq.read_table(town.root / "store" / "ready" / "toys" / f"{batch.output_sha256}.parquet")
    assert ready.column_names == ["row_number", "row_id", "pool", "size", "price", "colour"]
    assert [str(kind) for kind in ready.schema.types] == ["int64", "int64", "string", "double", "double", "string"]
    assert ready["row_number"].to_pylist() == [number for number in range(1, 201) if number != 4]
    assert set(ready["pool"].to_pylist()) == {"training", "ab"}
    assert sum(len(piece) for piece in town.mart.rows(batch)) == 199
    assert (batch.accepted, batch.rejected, batch.written) == (199, 1, 199)


def test_nothing_new_trains_nothing(started: Town) -> None:
    assert started.go() == QUIET
    assert started.line() == "nothing new: nothing was trained, v1 stays in production."
    assert len(started.registry.versions) == 1


def test_a_spec_that_predicts_something_else_is_refused_before_anything_is_made(started: Town) -> None:
    known = started.batches()
    started.spec = started.spec.model_copy(update={"target": started.spec.numeric_features[0]})
    started.put("other.parquet", items(500, 9))
    with pytest.raises(Refused, match="must predict the same target; version 1 predicts"):
        started.go()
    assert started.batches() == known


def test_without_any_file_nothing_is_trained(town: Town) -> None:
    assert town.line() == "nothing new: nothing was trained, nothing is in production."


def test_a_newer_file_is_what_the_gate_goes_by(started: Town) -> None:
    started.put("2026-11-02/second.parquet", items(3000, 2, slope=14.0))
    results = run_train_pipeline(started.run(), started.ports)[1]

    assert started.champion == 2
    entry = started.settled()
    assert entry.verdict is Verdict.PROMOTE
    newest = started.batches()[-1]
    tested = json.loads(entry.evidence["traffic"])
    assert tested["input_sha256"] == {str(newest.id): newest.sha256}
    pools = pq.read_table(started.root / "store" / "ready" / "toys" / f"{newest.output_sha256}.parquet")["pool"]
    assert entry.rows == pools.to_pylist().count("ab")
    assert [batch.id for batch in started.mart.trained_on("toys", 2)] == [1, 2]
    rows = len(started.trained_on(2)) - len(started.trained_on(1))
    line = str(results[Step.SUMMARY].data["line"])
    assert line.startswith(f"1 new file, {rows:,} new rows; PROMOTE: challenger's MAE is ")
    assert line.endswith("; v2 is in production, v1 is previous.")


def test_the_marts_know_who_was_trained_and_what_became_of_it(started: Town) -> None:
    started.put("2026-11-02/second.parquet", items(1500, 2, slope=14.0))
    started.go()
    assert isinstance(started.mart, MemoryMart)
    told = started.mart.predictors["toys", 2]
    entry, version = started.settled(), started.version(2)
    assert (told.decision_id, told.verdict, told.decided_at) == (entry.id, entry.verdict, entry.at)
    assert (told.run_id, told.model_sha256) == (version.run_id, version.model_sha256)


def test_a_file_that_comes_late_is_trained_on_and_not_tested_on(started: Town) -> None:
    started.put("2026-10-01/late.parquet", items(1500, 2))
    started.go()

    newest = next(batch for batch in started.batches() if "2026-11-01" in batch.uri)
    assert json.loads(started.settled().evidence["traffic"])["input_sha256"] == {str(newest.id): newest.sha256}
    assert len(started.mart.trained_on("toys", 2)) == 2


def test_an_equal_challenger_is_recorded_as_well(started: Town) -> None:
    started.put("2026-11-02/second.parquet", items(1500, 2))
    steps = started.go()

    assert Step.SET_NEW_PROD_MODEL not in steps
    assert started.champion == 1
    assert len(started.mart.trained_on("toys", 2)) == 2
    assert started.go() == QUIET


def test_the_same_file_under_another_name_is_one_batch_and_nothing_new(started: Town) -> None:
    started.put("2026-11-02/again.parquet", items(1500, 1))
    assert started.go() == QUIET
    assert len(started.batches()) == 1
    assert len(started.mart.seen("toys", started.batches()[0].kind, None)) == 2


def test_known_rows_in_a_new_file_are_nothing_new_and_the_summary_says_so(started: Town) -> None:
    started.put("2026-11-02/part.parquet", items(1500, 1).iloc[::-2])
    assert started.line() == "1 new file without a new training row: nothing was trained, v1 stays in production."
    assert len(started.batches()) == 2


def test_a_file_changed_under_its_name_is_a_batch_of_its_own(started: Town) -> None:
    started.put("2026-11-01/first.parquet", items(1500, 7))
    started.go()
    assert len(started.batches()) == 2
    assert len(started.registry.versions) == 2


def test_a_forced_run_trains_on_what_is_known(started: Town) -> None:
    line = started.line(force_retrain=True)
    assert line.startswith("nothing new, retrain forced; ")
    assert len(started.registry.versions) == 2


def test_a_forced_run_without_any_file_is_refused(town: Town) -> None:
    with pytest.raises(Refused, match=r"no file was ever taken in\. Put one into data/toys/train\."):
        town.go(force_retrain=True)


def test_a_file_that_is_refused_does_not_stop_the_others(town: Town) -> None:
    town.put_bytes("2026-11-01/bad.parquet", b"not parquet at all")
    town.put("2026-11-01/good.parquet", items(1500, 1))
    line = town.line()

    assert town.champion == 1
    assert " Refused bad.parquet: " in line
    [refused] = town.batches(BatchStatus.REFUSED)
    assert refused.kept_uri is not None
    assert town.go() == QUIET


def test_when_every_new_file_is_refused_the_step_fails_with_all_reasons(town: Town) -> None:
    town.put_bytes("2026-11-01/bad.parquet", b"not parquet at all")
    town.put("2026-11-01/other.parquet", items(100, 1).drop(columns="colour"))
    with pytest.raises(Refused, match=r"^every new file was refused:\n  .*bad.parquet: .*\n  .*missing: colour"):
        town.go()
    assert len(town.batches(BatchStatus.REFUSED)) == 2
    assert town.go() == QUIET


def test_a_refused_file_that_is_named_is_tried_again(town: Town) -> None:
    uri = town.put("2026-11-01/bad.parquet", items(100, 1).drop(columns="colour"))
    for _ in range(2):
        with pytest.raises(Refused, match="every new file was refused"):
            town.go(uri=uri)
    assert len(town.batches(BatchStatus.REFUSED)) == 1


def test_rows_that_wait_are_trained_on_although_every_new_file_was_refused(town: Town) -> None:
    town.put("2026-11-01/waits.parquet", items(1500, 1))
    town.until(town.run(), Step.TAKE_SNAPSHOT)  # the run failed after it had taken the file in
    uri = town.put_bytes("2026-11-02/bad.parquet", b"not parquet at all")
    assert " Refused bad.parquet: " in town.line()
    assert town.champion == 1

    town.put("2026-11-03/waits too.parquet", items(1500, 2))
    town.until(town.run(), Step.TAKE_SNAPSHOT)
    with pytest.raises(Refused, match="every new file was refused"):  # who names a file wants to hear of that one
        town.go(uri=uri)


def test_a_file_that_is_named_is_the_only_one_taken_in(town: Town) -> None:
    uri = town.put("2026-11-01/one.parquet", items(1500, 1))
    town.put("2026-11-02/two.parquet", items(1500, 2))
    town.go(uri=uri)
    assert [batch.uri for batch in town.batches()] == [uri]


def test_a_file_outside_the_store_is_refused(town: Town) -> None:
    with pytest.raises(Refused, match="must lie in the object store"):
        town.go(uri="file:///etc/passwd")


def test_a_file_of_which_more_than_a_fifth_breaks_the_spec_is_refused(town: Town) -> None:
    frame = items(1000, 1)
    frame.loc[:199, "size"] = np.arange(200) + 31.0
    town.put("2026-11-01/fifth.parquet", frame)
    frame.loc[200, "size"] = 31.0
    town.put("2026-11-02/more.parquet", frame)
    assert " Rejected 200 of 1,000 rows." in town.line()
    [refused] = town.batches(BatchStatus.REFUSED)
    assert refused.uri.endswith("more.parquet")
    assert refused.reason is not None
    assert refused.reason == (
        f"at most 20% of a training file's rows may break the spec; 20.1% of the 1,000 in {refused.uri} do: size must "
        "lie in 0..30 (201). Mend the file, or widen the ranges in the spec."
    )


def test_a_file_without_rows_is_nothing_new(started: Town) -> None:
    started.put("2026-11-02/empty.parquet", items(10, 1).iloc[:0])
    assert started.go() == QUIET
    assert started.batches()[-1].read == 0


def test_under_one_row_id_the_newest_file_is_right(town: Town) -> None:
    old, new = items(1500, 1), items(1500, 2)
    for frame in (old, new):
        frame.index = pd.Index(np.arange(1500), name="row_id")
    town.put("2026-11-02/new.parquet", new)
    town.put("2026-11-01/old.parquet", old)
    town.go()

    trained = town.trained_on(1)
    assert len(town.batches()) == 2
    pd.testing.assert_frame_equal(trained, new.loc[trained.index], check_dtype=False)
    tested_ever = in_ab_pool(contents(old, SPEC), SHARE) | in_ab_pool(contents(new, SPEC), SHARE)
    assert sorted(trained.index) == np.flatnonzero(~tested_ever).tolist()


@pytest.mark.parametrize("rule", list(PromotionRule))
@pytest.mark.parametrize("rows", [0, 1, 40])
def test_too_few_rows_to_test_on_end_in_a_verdict(started: Town, rows: int, rule: PromotionRule) -> None:
    frame = items(600, 2)
    in_ab = in_ab_pool(contents(frame, SPEC), SHARE)
    few = np.flatnonzero(in_ab)[:rows]
    started.put("2026-11-02/few.parquet", frame.iloc[np.sort(np.concatenate([np.flatnonzero(~in_ab), few]))])
    started.go(promotion_policy=PromotionPolicy(rule=rule))

    entry = started.settled()
    if rule is PromotionRule.ORIGINAL and rows == 40:
        assert entry.verdict in (Verdict.KEEP, Verdict.PROMOTE)  # it asks for no number of rows
        return
    assert entry.verdict is Verdict.INVALID
    assert "rows" in entry.reason
    assert started.champion == 1


def test_the_arms_are_halves_and_the_same_at_every_try(started: Town) -> None:
    started.put("2026-11-02/second.parquet", items(2000, 2))
    policy = PromotionPolicy(rule=PromotionRule.SPLIT, min_rows=300)
    started.go(promotion_policy=policy)
    comparison = started.settled().evidence["comparison"]
    assert abs(comparison["rows_champion"] - comparison["rows_challenger"]) <= 1


def test_a_champion_of_the_main_pipeline_was_not_trained_on_what_files_test(town: Town) -> None:
    frame = items(4000, 1)
    frame.index = pd.Index(TrainingIds().number(contents(frame, SPEC)), name="row_id")
    in_ab = in_ab_pool(contents(frame, SPEC), SHARE)
    traffic = MemoryTraffic({"toys": frame[~in_ab]}, {"toys": frame[in_ab]})
    ports = Ports(traffic, town.store, town.registry, town.tracking, town.ledger, town.notifier)
    run_pipeline(town.run(key="main_pipeline/1"), ports)
    assert town.champion == 1

    town.put("2026-11-01/all.parquet", frame.reset_index(drop=True))
    town.go()
    comparison = town.settled().evidence["comparison"]
    assert comparison["trained_rows"] == 0
    assert comparison["rows_champion"] == in_ab.sum()
    assert set(town.trained_on(1).index) < set(town.trained_on(2).index) == set(frame.index[~in_ab])


def test_a_spec_edited_during_a_run_stops_it(town: Town) -> None:
    town.put("2026-11-01/first.parquet", items(300, 1))
    run = town.run()
    edited = replace(run, spec=SPEC.model_copy(update={"segments": ()}))
    for step in (Step.TAKE_SNAPSHOT, Step.TRAIN_INITIAL_MODEL):
        given = town.until(run, step)
        with pytest.raises(Refused, match="A run must keep the spec it started with"):
            TRAIN_TASKS[step].run(edited, town.ports, given)


def test_files_that_lack_a_column_the_spec_got_are_not_used_any_more(started: Town) -> None:
    started.spec = SPEC.model_copy(update={"numeric": {**SPEC.numeric, "weight": Range(min=0, max=9)}})
    assert started.line() == (
        "nothing new: nothing was trained, v1 stays in production. "
        "Not used, since they lack columns that the spec has now: 1 file."
    )
    started.put("2026-11-02/second.parquet", items(1500, 2).assign(weight=1.0))
    started.go()
    assert [batch.id for batch in started.mart.trained_on("toys", 2)] == [2]


def test_a_run_that_is_begun_anew_with_other_files_records_nothing_of_them(started: Town) -> None:
    started.put("2026-11-02/second.parquet", items(1500, 2))
    run = started.run()
    started.until(run, Step.MODEL_TO_PROD)
    started.put("2026-11-03/third.parquet", items(1500, 3))
    run_train_pipeline(run, started.ports)
    assert len(started.registry.versions) == 2
    assert [batch.uri.rpartition("/")[2] for batch in started.mart.untrained("toys")] == [
        "second.parquet",
        "third.parquet",
    ]
    started.go()
    assert len(started.mart.trained_on("toys", 3)) == 3


def test_runs_killed_after_any_call_and_begun_again_end_as_if_they_had_not_been(tmp_path: Path) -> None:
    verdicts: set[Verdict | None] = set()
    for last in range(1, 400):
        if last % 6 == 1:
            town = Town(tmp_path / str(last), spec=SPEC.model_copy(update={"candidates": ("linear",)}))
        town.put(f"2026-11-01/{last:03}.parquet", items(100, last, slope=20.0 if last % 6 == 4 else 10.0))
        run = town.run(promotion_policy=PromotionPolicy(min_rows=10), log_details=False)
        killed = _is_killed(run, town.ports, last)
        run_train_pipeline(run, town.ports)  # as Airflow does: the run again

        made = len(town.batches())
        assert len(town.registry.versions) == len(town.ledger.history("toys", 99)) == made
        assert town.mart.trained_on("toys", made) == town.batches()
        assert town.registry.aliases["toys", Alias.PRODUCTION] == town.champion
        assert ("toys", Alias.STAGING) not in town.registry.aliases
        verdicts |= {entry.verdict for entry in town.ledger.history("toys", 99)}
        if made > 1 and not killed:
            break
    assert last > 15
    assert verdicts > {Verdict.PROMOTE}


def _is_killed(run: TrainRun, ports: TrainPorts, last: int) -> bool:
    """Run up to a call to the files or the marts; say whether there was one of that number."""
    fuse = Fuse(last, _end)
    counted = replace(ports, files=fuse.around(ports.files), mart=fuse.around(ports.mart))
    try:
        run_train_pipeline(run, counted)
    except KeyboardInterrupt:
        return True
    return False


def _end() -> None:
    raise KeyboardInterrupt
