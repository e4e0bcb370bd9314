"""Which batches leave the marts, and which stay whatever their age."""

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.memory_mart import MemoryMart

from gauntlet.adapters.local_store import LocalStore
from gauntlet.domain.spec import Spec
from gauntlet.jobs.inbox import inbox, uri_of
from gauntlet.jobs.mart_port import Batch, BatchKind, BatchStatus, Loaded, NewBatch
from gauntlet.jobs.retention import Gone, OldBatch, retire

NOW = datetime(2026, 11, 21, tzinfo=UTC)
BEFORE = NOW - timedelta(days=30)
OLD = BEFORE - timedelta(days=1)
SPEC = Spec.parse(
    "things",
    'title = "T"\ndata = "t.csv"\ntarget = "price"\ntask = "regression"\nmetric = "mae"\ncandidates = ["ridge"]\n'
    "[numeric]\nprice = { min = 0, max = 1 }\nsize = { min = 0, max = 1 }",
)
CHAMPION = {"things": 2}


class Shelf:
    """Batches in memory, with what retention asks of them."""

    def __init__(self) -> None:
        self.mart = MemoryMart()

    def old(self, before: datetime, spec: str | None) -> Sequence[OldBatch]:
        used = {number for _, _, number in self.mart.trainings}
        known = [each for each in self.mart.known if each.ended_at < before and spec in (None, each.spec)]
        return [OldBatch(each, self._files(each), each.id in used, self._last(each.spec)) for each in known]

    def remove(self, batch: Batch) -> bool:
        self.mart.known.remove(batch)
        return True

    def _files(self, batch: Batch) -> frozenset[tuple[str, str]]:
        others = {(uri, mark) for number, uri, mark in self.mart.others if number == batch.id}
        return frozenset({(batch.uri, batch.mark), *others})

    def _last(self, spec: str) -> int | None:
        found = self.mart.batches(spec, BatchKind.PREDICT, 1)
        return found[0].version if found else None


@pytest.fixture
def files(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def write(tmp_path: Path, key: str, text: bytes = b"1234") -> None:
    path = tmp_path / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
    os.utime(path, (OLD.timestamp(), OLD.timestamp()))


def add(
    shelf: Shelf, files: LocalStore, tmp_path: Path, name: str, *, kind: BatchKind = BatchKind.PREDICT,
    version: int | None = 1, ended: datetime = OLD, refused: bool = False,
) -> Batch:  # fmt: skip
    """A batch of a file that lies in its folder, with its score file."""
    version = None if kind is BatchKind.TRAIN else version
    write(tmp_path, f"data/things/{kind}/{name}.parquet")
    file = next(each for each in inbox(files, "things", kind) if each.key.endswith(f"/{name}.parquet"))
    new = NewBatch(SPEC, kind, file, f"{name}-sha", "kept", version, None, "run", "0")
    mart = shelf.mart
    if refused:
        made = mart.refuse(new, "no parquet")
    else:
        folder = f"data/things/scores/v{version}" if version else "ready/things"
        write(tmp_path, f"{folder}/{name}.parquet", b"12345678")
        with mart.load(new) as loading:
            output = uri_of(files.root, f"{folder}/{name}.parquet")
            made = loading.commit(Loaded(10, 9, 1, 9, output, "b"))
    mart.known[mart.known.index(made)] = made = replace(made, ended_at=ended)
    return made


def names(gone: Sequence[Gone]) -> list[str]:
    return [each.batch.sha256.removesuffix("-sha") for each in gone]


def test_a_batch_of_a_version_of_before_goes_with_its_scores(shelf: Shelf, files: LocalStore, tmp_path: Path) -> None:
    add(shelf, files, tmp_path, "old")
    add(shelf, files, tmp_path, "young", ended=NOW)
    add(shelf, files, tmp_path, "current", version=2)
    gone = retire(shelf, files, CHAMPION, BEFORE, None, dry_run=False)
    assert [(each.batch.sha256, each.rows, each.size) for each in gone] == [("old-sha", 10, 8)]
    assert [each.sha256 for each in shelf.mart.known] == ["young-sha", "current-sha"]
    kept = [item.key for item in files.items("data/things/scores")]
    assert kept == ["data/things/scores/v1/young.parquet", "data/things/scores/v2/current.parquet"]
    assert (tmp_path / "data/things/predict/old.parquet").exists()


def test_what_production_scored_goes_when_its_file_has_left(shelf: Shelf, files: LocalStore, tmp_path: Path) -> None:
    for name in ("left", "changed", "copied", "stays"):
        add(shelf, files, tmp_path, name, version=2)
    (tmp_path / "data/things/predict/left.parquet").unlink()
    write(tmp_path, "data/things/predict/changed.parquet", b"other bytes")
    (tmp_path / "data/things/predict/copied.parquet").unlink()
    write(tmp_path, "data/things/predict/copy.parquet")
    copy = next(each for each in inbox(files, "things", BatchKind.PREDICT) if "copy" in each.key)
    shelf.mart.also(shelf.mart.known[2], copy)
    assert names(retire(shelf, files, CHAMPION, BEFORE, None, dry_run=False)) == ["left", "changed"]


def test_what_the_version_that_scored_last_made_counts_as_current(
    shelf: Shelf, files: LocalStore, tmp_path: Path
) -> None:
    add(shelf, files, tmp_path, "champion", version=2)
    add(shelf, files, tmp_path, "pinned", version=1)
    assert not retire(shelf, files, CHAMPION, BEFORE, None, dry_run=False)
    assert names(retire(shelf, files, {}, BEFORE, None, dry_run=True)) == ["champion"]


def test_lineage_stays_and_training_files_that_are_not_used_go(shelf: Shelf, files: LocalStore, tmp_path: Path) -> None:
    for name in ("lineage", "waiting", "left"):
        add(shelf, files, tmp_path, name, kind=BatchKind.TRAIN)
    shelf.mart.record_training("things", 1, [shelf.mart.known[0].id])
    for name in ("lineage", "left"):
        (tmp_path / f"data/things/train/{name}.parquet").unlink()
    assert names(retire(shelf, files, CHAMPION, BEFORE, None, dry_run=False)) == ["left"]
    assert len(list(files.items("ready"))) == 3  # pruned as objects that nobody names


def test_a_refused_file_that_still_lies_there_is_not_forgotten(shelf: Shelf, files: LocalStore, tmp_path: Path) -> None:
    for name in ("lies", "left"):
        add(shelf, files, tmp_path, name, version=2, refused=True)
    (tmp_path / "data/things/predict/left.parquet").unlink()
    assert names(retire(shelf, files, CHAMPION, BEFORE, None, dry_run=False)) == ["left"]
    assert [each.status for each in shelf.mart.known] == [BatchStatus.REFUSED]


def test_a_dry_run_says_the_same_and_removes_nothing(shelf: Shelf, files: LocalStore, tmp_path: Path) -> None:
    add(shelf, files, tmp_path, "old")
    add(shelf, files, tmp_path, "current", version=2)
    before = [item.key for item in files.items()]
    dry = retire(shelf, files, CHAMPION, BEFORE, None, dry_run=True)
    assert ([item.key for item in files.items()], len(shelf.mart.known)) == (before, 2)
    assert names(dry) == ["old"]
    assert retire(shelf, files, CHAMPION, BEFORE, None, dry_run=False) == dry
    assert retire(shelf, files, CHAMPION, BEFORE, None, dry_run=False) == []


def test_only_the_spec_that_is_named(shelf: Shelf, files: LocalStore, tmp_path: Path) -> None:
    add(shelf, files, tmp_path, "old")
    add(shelf, files, tmp_path, "current", version=2)
    assert not retire(shelf, files, CHAMPION, BEFORE, "others", dry_run=True)
    assert len(retire(shelf, files, CHAMPION, BEFORE, "things", dry_run=True)) == 1


def test_killed_between_file_and_rows_it_ends_the_same(
    shelf: Shelf, files: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(shelf, files, tmp_path, "old")
    add(shelf, files, tmp_path, "current", version=2)

    def killed(_: Batch) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(shelf, "remove", killed)
        with pytest.raises(KeyboardInterrupt):
            retire(shelf, files, CHAMPION, BEFORE, None, dry_run=False)
    assert [item.key for item in files.items("data/things/scores")] == ["data/things/scores/v2/current.parquet"]
    assert names(retire(shelf, files, CHAMPION, BEFORE, None, dry_run=False)) == ["old"]
    assert [each.sha256 for each in shelf.mart.known] == ["current-sha"]


def test_scores_that_were_written_again_keep_their_batch(shelf: Shelf, files: LocalStore, tmp_path: Path) -> None:
    add(shelf, files, tmp_path, "old")
    add(shelf, files, tmp_path, "current", version=2)
    os.utime(tmp_path / "data/things/scores/v1/old.parquet", (NOW.timestamp(), NOW.timestamp()))
    assert retire(shelf, files, CHAMPION, BEFORE, None, dry_run=False) == []
    assert len(shelf.mart.known) == 2
