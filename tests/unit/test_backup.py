"""Backup and restore over stores and databases in memory, and the file between them on disk."""

import gzip
import io
import os
import stat
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest

from gauntlet.adapters.archive import ArchiveReader, new_archive
from gauntlet.adapters.local_store import LocalStore
from gauntlet.jobs.backup import (
    DATABASES,
    BackupError,
    Manifest,
    Origin,
    State,
    back_up,
    is_member,
    readable,
    require_fit,
    restore,
)
from gauntlet.jobs.upkeep import Opened

KNOWN = frozenset({"0001", "0002"})
REMEDY = "empty it."
HERE = Origin(
    form="compose", product="0.1.0", postgres=17, revision="0002", airflow="3.3.2", mlflow="3.17.2",
    object_store="s3://data",
)  # fmt: skip


class Dumps:
    """Databases as texts; `loaded` are those that a restore filled."""

    def __init__(self) -> None:
        self.loaded: dict[str, bytes] = {}

    @contextmanager
    def dump(self, database: str) -> Iterator[Opened]:
        packed = gzip.compress(f"-- {database}".encode())
        yield Opened(len(packed), io.BytesIO(packed))

    def load(self, database: str, packed: BinaryIO) -> None:
        self.loaded[database] = gzip.decompress(packed.read())


class Standby:
    """Databases of a stack, empty until a restore has put its own in their place."""

    def __init__(self, found: State = State.EMPTY) -> None:
        self.found = found
        self.steps: list[str] = []

    def state(self, _: str) -> State:
        return self.found

    def prepare(self) -> Mapping[str, str]:
        self.steps.append("prepare")
        return {database: f"{database}_restored" for database in DATABASES}

    def move_root(self, old: str, new: str) -> int:
        self.steps.append(f"{old} -> {new}")
        return 1

    def swap(self, _: str) -> None:
        self.steps.append("swap")
        self.found = State.DONE

    def clean(self) -> None:
        self.steps.append("clean")
        self.found = State.OCCUPIED


class Services:
    """Services that say whether they run."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def pause(self) -> None:
        self.seen.append("pause")

    def resume(self) -> None:
        self.seen.append("resume")


class Stack:
    """A stack of which everything lies in one folder."""

    def __init__(self, folder: Path, found: State = State.EMPTY) -> None:
        self.objects, self.artifacts = LocalStore(folder / "objects"), LocalStore(folder / "artifacts")
        self.dumps, self.standby, self.services = Dumps(), Standby(found), Services()
        self.origin = replace(HERE, object_store=self.objects.root)

    def back_up(self, file: Path, still: AbstractContextManager[object] | None = None) -> Manifest:
        with new_archive(file, force=False) as archive:
            return back_up(
                archive, self.origin, self.dumps, self.objects, self.artifacts, still or nullcontext(),
                "2026-11-21T00:00:00+00:00", lambda _: None,
            )  # fmt: skip

    def restore(self, file: Path) -> None:
        restore(
            ArchiveReader(file), self.origin, KNOWN, self.dumps, self.objects, self.artifacts, self.standby,
            self.services, REMEDY, lambda _: None,
        )  # fmt: skip


@pytest.fixture
def old(tmp_path: Path) -> Stack:
    stack = Stack(tmp_path / "old")
    stack.objects.put("snapshots/diamonds", "parquet", b"rows")
    stack.artifacts.write("1/run/artifacts/model.skops", io.BytesIO(b"model" * 100_000))
    return stack


@pytest.fixture
def file(old: Stack, tmp_path: Path) -> Path:
    file = tmp_path / "backup.tar"
    old.back_up(file)
    return file


def contents(stack: Stack) -> list[dict[str, bytes]]:
    found: list[dict[str, bytes]] = []
    for files in (stack.objects, stack.artifacts):
        found.append({})
        for item in files.items():
            with files.open(item.key) as opened:
                assert opened is not None
                found[-1][item.key] = opened.stream.read()
    return found


def test_an_empty_stack_becomes_the_one_that_was_backed_up(old: Stack, file: Path, tmp_path: Path) -> None:
    new = Stack(tmp_path / "new")
    new.restore(file)
    assert contents(new) == contents(old)
    assert new.dumps.loaded == {f"{name}_restored": f"-- {name}".encode() for name in DATABASES}
    assert new.standby.steps == ["prepare", f"{old.objects.root} -> {new.objects.root}", "swap", "clean"]
    assert new.services.seen == ["pause", "resume"]


def test_a_backup_says_what_it_holds_and_is_its_owners_alone(old: Stack, tmp_path: Path) -> None:
    manifest = old.back_up(tmp_path / "other.tar")
    assert manifest.counts == {"databases": 3, "objects": 1, "artifacts": 1}
    assert manifest.origin == old.origin
    assert stat.S_IMODE((tmp_path / "other.tar").stat().st_mode) == 0o600
    with tarfile.open(tmp_path / "other.tar") as tar:
        assert tar.getnames()[:3] == [f"databases/{name}.sql.gz" for name in DATABASES]
        assert tar.getnames()[-1] == "manifest.json"


def test_no_alias_moves_while_databases_are_dumped(old: Stack, tmp_path: Path) -> None:
    seen: list[str] = []

    @contextmanager
    def still() -> Iterator[None]:
        seen.append("held")
        yield
        seen.append("let go")
        assert not (tmp_path / "b.tar").exists()

    old.back_up(tmp_path / "b.tar", still())
    assert seen == ["held", "let go"]


def test_another_file_is_not_overwritten(old: Stack, file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(BackupError, match="must not overwrite"):
        old.back_up(file)
    assert file.read_bytes() == before


def test_a_backup_that_fails_leaves_no_file(old: Stack, tmp_path: Path) -> None:
    @contextmanager
    def full() -> Iterator[None]:
        yield
        raise OSError(28, "No space left on device")

    with pytest.raises(BackupError, match="must fit on the disk; found No space left on device"):
        old.back_up(tmp_path / "full.tar", full())
    assert list(tmp_path.glob("full.tar*")) == []


@pytest.mark.parametrize("at", [0.1, 0.5, 0.97])
def test_a_file_that_was_cut_off_or_altered_changes_nothing(file: Path, tmp_path: Path, at: float) -> None:
    data = bytearray(file.read_bytes())
    cut = tmp_path / "cut.tar"
    cut.write_bytes(data[: int(len(data) * at)])
    data[int(len(data) * 0.5)] ^= 1  # inside the model
    altered = tmp_path / "altered.tar"
    altered.write_bytes(data)
    for bad in (cut, altered):
        new = Stack(tmp_path / "new")
        with pytest.raises(BackupError, match="must be a whole backup"):
            new.restore(bad)
        assert (new.standby.steps, new.services.seen, contents(new)) == ([], [], [{}, {}])


def test_a_stack_that_is_not_empty_is_left_as_it_is(file: Path, tmp_path: Path) -> None:
    new = Stack(tmp_path / "new", State.OCCUPIED)
    with pytest.raises(BackupError, match=r"into an empty stack only.*empty it"):
        new.restore(file)
    assert (new.standby.steps, new.services.seen) == ([], [])


def test_a_restore_that_was_killed_after_the_swap_is_ended(file: Path, tmp_path: Path) -> None:
    new = Stack(tmp_path / "new", State.DONE)
    new.restore(file)
    assert new.standby.steps == ["clean"]
    assert new.services.seen == ["pause", "resume"]


def test_a_restore_that_fails_starts_the_services_and_can_be_done_again(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise BackupError("psql must succeed")

    new = Stack(tmp_path / "new")
    with monkeypatch.context() as patch:
        patch.setattr(new.dumps, "load", fails)
        with pytest.raises(BackupError, match="psql must succeed"):
            new.restore(file)
    assert "swap" not in new.standby.steps
    assert new.services.seen == ["pause", "resume"]
    new.restore(file)
    assert new.standby.steps[-2:] == ["swap", "clean"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"revision": "0003"}, "Gauntlet's tables at revision 0003"),
        ({"airflow": "3.10.0"}, r"Airflow 3.10.0 \(here 3.3.2\)"),
        ({"mlflow": "4.0"}, "MLflow 4.0"),
    ],
)
def test_a_backup_of_a_newer_version_is_refused(change: dict[str, str], said: str) -> None:
    manifest = Manifest(1, "", replace(HERE, **change), {}, {})  # type: ignore[arg-type]
    with pytest.raises(BackupError, match=said):
        require_fit(manifest, HERE, KNOWN)


def test_a_backup_of_an_older_version_fits() -> None:
    older = replace(HERE, revision="0001", airflow="3.2.10", mlflow="3.9.0", postgres=18)
    require_fit(Manifest(1, "", older, {}, {}), HERE, KNOWN)


def test_a_manifest_of_another_format_is_refused() -> None:
    text = Manifest(2, "", HERE, {}, {}).to_json().encode()
    with pytest.raises(BackupError, match="must have format 1; this one has 2"):
        Manifest.from_json(text)


@pytest.mark.parametrize(
    "name", ["objects/../up", "objects//x", "/objects/x", "artifacts/./x", "databases/postgres.sql.gz", "x", "objects/"]
)
def test_no_member_leads_out_of_its_store(name: str, tmp_path: Path) -> None:
    assert not is_member(name)
    bad = tmp_path / "bad.tar"
    with tarfile.open(bad, "w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    with pytest.raises(BackupError, match="which no backup does"):
        ArchiveReader(bad).check()


def test_a_link_is_no_member(tmp_path: Path) -> None:
    bad = tmp_path / "bad.tar"
    link = tarfile.TarInfo("objects/link")
    link.type, link.linkname = tarfile.SYMTYPE, os.devnull
    with tarfile.open(bad, "w") as tar:
        tar.addfile(link)
    with pytest.raises(BackupError, match="which no backup does"):
        ArchiveReader(bad).check()


@pytest.mark.parametrize(("size", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (7e9, "7.0 GB")])
def test_bytes_as_people_read_them(size: float, text: str) -> None:
    assert readable(int(size)) == text
