"""What is pruned, and what never is."""

import os
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gauntlet.adapters.local_store import LocalStore
from gauntlet.jobs.prune import AllNames, LoggedModel, Named, OldRun, Stores, prune, removable
from gauntlet.jobs.upkeep import TASK_LOGS, Item

NOW = datetime(2026, 11, 21, tzinfo=UTC)
BEFORE = NOW - timedelta(days=90)
OLD, NEW = BEFORE - timedelta(days=1), BEFORE + timedelta(days=1)
NOTHING = Named(frozenset(), frozenset(), frozenset())


class Names:
    def __init__(self, named: Named = NOTHING) -> None:
        self.answer = named

    def named(self) -> Named:
        return self.answer


class Runs:
    def __init__(self, runs: Sequence[OldRun], models: Sequence[LoggedModel] = ()) -> None:
        self.known, self.logged = list(runs), list(models)

    def ours(self) -> Sequence[OldRun]:
        return list(self.known)

    def models(self, runs: Collection[str]) -> Sequence[LoggedModel]:
        return [model for model in self.logged if model.run_id in runs]

    def remove(self, runs: Sequence[OldRun], models: Sequence[LoggedModel]) -> None:
        self.known = [run for run in self.known if run not in runs]
        self.logged = [model for model in self.logged if model not in models]


class Logs:
    def __init__(self) -> None:
        self.items = [Item("old.log", 10, OLD), Item("new.log", 10, NEW)]

    def old(self, before: datetime) -> Sequence[Item]:
        return [item for item in self.items if item.modified < before]

    def delete(self, before: datetime) -> None:
        self.items = [item for item in self.items if item.modified >= before]


def write(store: Path, key: str, at: datetime) -> None:
    path = store / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"1234")
    os.utime(path, (at.timestamp(), at.timestamp()))


def keys(files: LocalStore) -> list[str]:
    return [item.key for item in files.items()]


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    for name, at in (("ledger", OLD), ("registry", OLD), ("loose", OLD), ("fresh", NEW)):
        write(tmp_path / "objects", f"snapshots/diamonds/{name}.parquet", at)
    for run in ("drift", "champion", "child", "running"):
        write(tmp_path / "artifacts", f"1/{run}/artifacts/file", OLD)
    for model in ("m-champion", "m-loose"):
        write(tmp_path / "artifacts", f"1/models/{model}/artifacts/model.skops", OLD)
    runs = Runs(
        [
            OldRun("drift", None, OLD, "1/drift"),
            OldRun("champion", None, OLD, "1/champion"),
            OldRun("child", "champion", OLD, "1/child"),
            OldRun("running", None, None, "1/running"),
        ],
        [
            LoggedModel("m-champion", "champion", "1/models/m-champion"),
            LoggedModel("m-loose", "drift", "1/models/m-loose"),
        ],
    )
    return Stores(
        LocalStore(tmp_path / "objects"),
        LocalStore(tmp_path / "artifacts"),
        Names(Named(frozenset({"ledger.parquet"}), frozenset({"champion"}), frozenset())),
        Names(Named(frozenset({"registry.parquet"}), frozenset(), frozenset({"m-champion"}))),
        AllNames([Names(), Names(Named(frozenset({"mart.parquet"}), frozenset(), frozenset()))]),
        runs,
        Logs(),
    )


def test_only_what_is_old_and_named_by_nobody_goes(stores: Stores) -> None:
    said: list[str] = []
    found = prune(stores, BEFORE, dry_run=False, say=said.append)
    assert found.things == {
        "objects": {"snapshots/diamonds/loose.parquet": 4},
        "runs": {"drift": 4},
        "models that no version names": {"m-loose": 4},
        "task logs": {"old.log": 10},
    }
    assert isinstance(stores.objects, LocalStore)
    assert isinstance(stores.artifacts, LocalStore)
    assert keys(stores.objects) == [f"snapshots/diamonds/{name}.parquet" for name in ("fresh", "ledger", "registry")]
    assert keys(stores.artifacts) == [
        "1/champion/artifacts/file", "1/child/artifacts/file", "1/models/m-champion/artifacts/model.skops",
        "1/running/artifacts/file",
    ]  # fmt: skip
    assert [run.run_id for run in stores.runs.ours()] == ["champion", "child", "running"]
    assert [item.key for item in stores.logs.old(NOW)] == ["new.log"]
    assert said[0].split() == ["objects", "1", "4", "bytes"]


def test_logs_in_the_object_store_are_logs(stores: Stores, tmp_path: Path) -> None:
    for name, at in (("old", OLD), ("new", NEW)):
        write(tmp_path / "objects", f"{TASK_LOGS}/dag_id=main/{name}.log", at)
    found = prune(stores, BEFORE, dry_run=False, say=lambda _: None)
    assert found.things["objects"] == {"snapshots/diamonds/loose.parquet": 4}
    assert found.things["task logs"] == {"old.log": 10, f"{TASK_LOGS}/dag_id=main/old.log": 4}
    assert isinstance(stores.objects, LocalStore)
    assert [key for key in keys(stores.objects) if TASK_LOGS in key] == [f"{TASK_LOGS}/dag_id=main/new.log"]


def test_the_files_of_users_and_what_marts_name_stay(stores: Stores, tmp_path: Path) -> None:
    mine = ["data/diamonds/predict/loose.parquet", "data/diamonds/scores/v1/loose.parquet"]
    named = ["inputs/diamonds/mart.parquet", "ready/diamonds/mart.parquet"]
    for key in (*mine, *named, "inputs/diamonds/loose.parquet"):
        write(tmp_path / "objects", key, OLD)
    found = prune(stores, BEFORE, dry_run=False, say=lambda _: None)
    assert set(found.things["objects"]) == {"inputs/diamonds/loose.parquet", "snapshots/diamonds/loose.parquet"}
    assert isinstance(stores.objects, LocalStore)
    assert {*mine, *named} < set(keys(stores.objects))


def test_a_dry_run_says_the_same_and_removes_nothing(stores: Stores) -> None:
    assert isinstance(stores.objects, LocalStore)
    assert isinstance(stores.artifacts, LocalStore)
    before = keys(stores.objects) + keys(stores.artifacts)
    dry, wet = list[str](), list[str]()
    prune(stores, BEFORE, dry_run=True, say=dry.append)
    assert keys(stores.objects) + keys(stores.artifacts) == before
    prune(stores, BEFORE, dry_run=False, say=wet.append)
    assert dry == wet


def test_the_second_prune_finds_nothing(stores: Stores) -> None:
    prune(stores, BEFORE, dry_run=False, say=lambda _: None)
    again = prune(stores, BEFORE, dry_run=False, say=lambda _: None)
    assert not any(again.things.values())


def test_an_object_is_named_by_its_content_wherever_the_store_lay_before(stores: Stores, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    (tmp_path / "objects").rename(moved)
    prune(Stores(**{**vars(stores), "objects": LocalStore(moved)}), BEFORE, dry_run=False, say=lambda _: None)
    assert (moved / "snapshots/diamonds/ledger.parquet").exists()


def test_an_object_that_is_put_again_counts_as_new(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    stored = store.put("snapshots", "parquet", b"rows")
    path = tmp_path / "snapshots" / f"{stored.sha256}.parquet"
    os.utime(path, (OLD.timestamp(), OLD.timestamp()))
    store.put("snapshots", "parquet", b"rows")
    assert not store.delete(f"snapshots/{stored.sha256}.parquet", BEFORE)
    assert store.get(stored) == b"rows"


def test_a_model_registered_at_the_last_moment_stays(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [stores.registry.named(), Named(frozenset(), frozenset({"drift"}), frozenset({"m-loose"}))]
    monkeypatch.setattr(stores.registry, "named", lambda: answers.pop(0))
    prune(stores, BEFORE, dry_run=False, say=lambda _: None)
    assert isinstance(stores.artifacts, LocalStore)
    assert "1/models/m-loose/artifacts/model.skops" in keys(stores.artifacts)
    assert "drift" in {run.run_id for run in stores.runs.ours()}


@given(
    st.lists(
        st.tuples(st.integers(0, 7), st.one_of(st.none(), st.integers(0, 7)), st.sampled_from([OLD, NEW, None])),
        max_size=8,
        unique_by=lambda run: run[0],
    ),
    st.sets(st.integers(0, 7)),
)
def test_no_family_loses_a_member_while_another_stays(
    runs: list[tuple[int, int | None, datetime | None]], named: set[int]
) -> None:
    known = [OldRun(str(run), None if parent is None else str(parent), ended, None) for run, parent, ended in runs]
    gone = {run.run_id for run in removable(known, {str(name) for name in named}, BEFORE)}
    for run in known:
        if run.run_id in gone:
            assert run.run_id not in {str(name) for name in named}
            assert run.ended == OLD
        if run.parent in {other.run_id for other in known}:
            assert (run.run_id in gone) == (run.parent in gone)
