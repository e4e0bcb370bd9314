"""Backup and restore over stores and databases in memory, and the file between them on disk."""

import errno
import gzip
import hashlib
import io
import os
import resource
import stat
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest
from click.testing import CliRunner

from gauntlet.adapters.archive import ArchiveReader, new_archive
from gauntlet.adapters.dumps import SqlDumps
from gauntlet.adapters.local_store import LocalStore
from gauntlet.adapters.plain_sql import PIECE, plain_sql
from gauntlet.cli.upkeep import prune
from gauntlet.jobs.backup import Parts, State, Target, back_up, restore
from gauntlet.jobs.manifest import DATABASES, MANIFEST_LIMIT, BackupError, Manifest, Origin, is_member, require_fit
from gauntlet.jobs.prune import Named
from gauntlet.jobs.stack import StackError
from gauntlet.jobs.upkeep import TASK_LOGS, Opened, Programs, readable

ROOT = Path(__file__).parents[2]
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

    def load(self, database: str, packed: BinaryIO, owner: str) -> None:
        assert database == f"{owner}_restored"
        self.loaded[database] = gzip.decompress(packed.read())


class Standby:
    """Databases of a stack, empty until a restore has put its own in their place."""

    def __init__(self, found: State = State.EMPTY) -> None:
        self.found = found
        self.at: str | None = HERE.revision
        self.steps: list[str] = []

    def state(self, _: str) -> State:
        return self.found

    def prepare(self) -> Mapping[str, str]:
        self.steps.append("prepare")
        return {database: f"{database}_restored" for database in DATABASES}

    def revision(self) -> str | None:
        return self.at

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
        self.parts = Parts(self.objects, self.artifacts, self.dumps)
        self.said: list[str] = []
        self.names: frozenset[str] = frozenset()
        self.origin = replace(HERE, object_store=self.objects.root)

    def named(self) -> Named:
        return Named(self.names, frozenset(), frozenset())

    def back_up(self, file: Path, still: AbstractContextManager[object] | None = None) -> Manifest:
        with new_archive(file, force=False) as archive:
            now = "2026-11-21T00:00:00+00:00"
            return back_up(archive, self.origin, self.parts, still or nullcontext(), self, now, self.said.append)

    def restore(self, file: Path) -> None:
        target = Target(self.origin, KNOWN, REMEDY)
        restore(ArchiveReader(file), target, self.parts, self.standby, self.services, lambda _: None)


@pytest.fixture
def old(tmp_path: Path) -> Stack:
    stack = Stack(tmp_path / "old")
    stack.objects.put("snapshots/diamonds", "parquet", b"rows")
    stack.artifacts.write("1/run/artifacts/model.skops", io.BytesIO(b"model" * 100_000))
    return stack


@pytest.fixture
def small_stack(tmp_path: Path) -> Stack:
    """One whose files are small, and whose backup is not."""
    stack = Stack(tmp_path / "small")
    for number in range(20):
        stack.objects.put("snapshots", "parquet", bytes([number]) * 10_000)
    return stack


@pytest.fixture
def file(old: Stack, tmp_path: Path) -> Path:
    file = tmp_path / "backup.tar"
    old.back_up(file)
    return file


def program_dumps(folder: Path, command: list[str]) -> SqlDumps:
    """Dumps by another program in pg_dump's place."""
    return SqlDumps(Programs({"pg_dump": command}, {"PATH": os.defpath}, folder), folder)


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


def test_logs_of_tasks_are_left_out(old: Stack, tmp_path: Path) -> None:
    old.objects.write(f"{TASK_LOGS}/dag_id=main/attempt=1.log", io.BytesIO(b"log"))
    old.artifacts.write(f"{TASK_LOGS}/not-one", io.BytesIO(b"artifact"))
    manifest = old.back_up(tmp_path / "other.tar")
    assert [name for name in manifest.sha256 if TASK_LOGS in name] == [f"artifacts/{TASK_LOGS}/not-one"]
    assert manifest.counts["objects"] == 1


def test_airflow_puts_its_logs_where_backup_and_prune_look_for_them() -> None:
    assert f'="$OBJECT_STORE/{TASK_LOGS}"' in (ROOT / "airflow" / "start.sh").read_text()


@pytest.fixture
def small_disk() -> Iterator[None]:
    """A disk on which no file of this process grows past 50 kB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_disk")
def test_a_disk_that_is_full_is_told_and_left_as_it_was(small_stack: Stack, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match=r"must fit on the disk; found File too large at .*full\.tar\. Make room"):
        small_stack.back_up(tmp_path / "full.tar")
    assert list(tmp_path.glob("full.tar*")) == []


@pytest.mark.usefixtures("small_disk")
def test_a_dump_that_does_not_fit_is_told(tmp_path: Path) -> None:
    dumps = program_dumps(tmp_path, ["sh", "-c", "head --bytes=1000000 /dev/urandom"])
    with pytest.raises(BackupError, match="must fit on the disk; found File too large"), dumps.dump("gauntlet"):
        pass


def test_other_troubles_are_not_taken_for_a_full_disk(old: Stack, tmp_path: Path) -> None:
    @contextmanager
    def away() -> Iterator[None]:
        yield
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        old.back_up(tmp_path / "failed.tar", away())
    assert list(tmp_path.glob("failed.tar*")) == []


def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    dumps = program_dumps(tmp_path, ["no-such-docker", "compose"])
    with pytest.raises(StackError, match="The program no-such-docker must be there"), dumps.dump("gauntlet"):
        pass


def test_a_folder_that_is_missing_is_told(old: Stack, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match=r"must be able to write .*b\.tar\.part; found No such file"):
        old.back_up(tmp_path / "nowhere" / "b.tar")


def test_two_backups_do_not_write_one_file(old: Stack, tmp_path: Path) -> None:
    file = tmp_path / "both.tar"
    with new_archive(file, force=False) as first:
        for force in (False, True):
            with pytest.raises(BackupError, match=r"one is writing .*both\.tar\.part\. Wait"):
                new_archive(file, force=force).__enter__()
        back_up(first, old.origin, old.parts, nullcontext(), old, "", lambda _: None)
    ArchiveReader(file).check()
    assert list(tmp_path.glob("both.tar*")) == [file]


def test_what_a_killed_backup_left_is_written_over(old: Stack, tmp_path: Path) -> None:
    part = tmp_path / "b.tar.part"
    part.write_bytes(b"x" * 10_000_000)
    part.chmod(0o644)
    old.back_up(tmp_path / "b.tar")
    ArchiveReader(tmp_path / "b.tar").check()
    assert stat.S_IMODE((tmp_path / "b.tar").stat().st_mode) == 0o600
    assert (tmp_path / "b.tar").stat().st_size < 10_000_000


def test_a_link_in_the_place_of_the_file_is_not_followed(old: Stack, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "b.tar.part").symlink_to(tmp_path / "precious")
    with pytest.raises(BackupError, match="must be able to write"):
        old.back_up(tmp_path / "b.tar")
    assert (tmp_path / "precious").read_text() == "kept"


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
    def fails(*_: object, **__: object) -> None:
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


def test_services_that_stop_only_half_way_are_started_again(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = Stack(tmp_path / "new")

    def pause() -> None:
        new.services.seen.append("pause")
        raise StackError("the second service does not end")

    monkeypatch.setattr(new.services, "pause", pause)
    with pytest.raises(StackError, match="the second service does not end"):
        new.restore(file)
    assert (new.standby.steps, new.services.seen) == ([], ["pause", "resume"])


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


def rewritten(file: Path, change: Callable[[dict[str, bytes]], list[tuple[str, bytes]]]) -> Path:
    """Another backup of other members, with a manifest that has their hashes unless it is among them."""
    with tarfile.open(file) as tar:
        found = {name: member.read() for name in tar.getnames() if (member := tar.extractfile(name))}
    manifest = Manifest.from_json(found.pop("manifest.json"))
    members = change(found)
    if "manifest.json" not in dict(members):
        hashes = {name: hashlib.sha256(data).hexdigest() for name, data in members}
        members.append(("manifest.json", replace(manifest, sha256=hashes).to_json().encode()))
    other = file.with_name("other.tar")
    with tarfile.open(other, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return other


MLFLOW = "databases/mlflow.sql.gz"
TYPES = Manifest(1, "", replace(HERE, airflow=3), {}, {}).to_json().encode()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda all_: [each for each in all_.items() if each[0] != MLFLOW], f"it lacks {MLFLOW}"),
        (lambda all_: [*all_.items(), (MLFLOW, all_[MLFLOW])], f"it holds '{MLFLOW}' twice"),
        (lambda all_: [*{**all_, MLFLOW: b"select 1"}.items()], f"{MLFLOW} cannot be unpacked"),
        (
            lambda all_: [*{**all_, MLFLOW: gzip.compress(b"select 1;\n\\! id\n")}.items()],
            "line 2 is a command to",
        ),
        (lambda all_: [*all_.items(), ("manifest.json", b"[" * 200_000)], "manifest must be readable"),
        (lambda all_: [*all_.items(), ("manifest.json", TYPES)], "manifest must be readable; found TypeError"),
        (lambda all_: [*all_.items(), ("manifest.json", b" " * (MANIFEST_LIMIT + 1))], "its manifest has more than"),
    ],
)
def test_a_backup_that_nobody_wrote_so_changes_nothing(
    file: Path, tmp_path: Path, change: Callable[[dict[str, bytes]], list[tuple[str, bytes]]], said: str
) -> None:
    new = Stack(tmp_path / "new")
    with pytest.raises(BackupError, match=said):
        new.restore(rewritten(file, change))
    assert (new.standby.steps, new.services.seen, contents(new)) == ([], [], [{}, {}])


def test_tables_of_another_revision_are_not_put_in_place(file: Path, tmp_path: Path) -> None:
    new = Stack(tmp_path / "new")
    new.standby.at = None
    with pytest.raises(BackupError, match="that its manifest names, 0002; found None"):
        new.restore(file)
    assert "swap" not in new.standby.steps


def test_objects_that_the_ledger_names_and_the_store_lacks_are_told(old: Stack, tmp_path: Path) -> None:
    there = next(iter(old.objects.items())).key.rpartition("/")[2]
    old.names = frozenset({there})
    old.back_up(tmp_path / "one.tar")
    assert not [line for line in old.said if "warning" in line]
    old.names = frozenset({there, "b.parquet", "a.parquet"})
    old.back_up(tmp_path / "two.tar")
    assert "warning: the store lacks 2 objects that the ledger names, so this backup does: a.parquet" in old.said
    ArchiveReader(tmp_path / "two.tar").check()


def test_rows_of_a_dump_are_left_as_they_are() -> None:
    dump = b"\\restrict k3Y\nCOPY a.b (c) FROM stdin;\n\\N\n\\! id\n\\restrict abc\n\\.\nselect 1;\n\\unrestrict k3Y\n"
    rest = dump.removeprefix(b"\\restrict k3Y\n").removesuffix(b"\\unrestrict k3Y\n")
    assert b"".join(plain_sql(io.BytesIO(dump))) == rest


def test_a_line_of_any_length_is_read_in_pieces() -> None:
    line = b"-- " + b"\\" * (3 * PIECE) + b"\n"
    pieces = list(plain_sql(io.BytesIO(line)))
    assert b"".join(pieces) == line
    assert max(map(len, pieces)) == PIECE


@pytest.mark.parametrize("days", ["0", "36501", "999999"])
def test_an_age_without_sense_is_refused(days: str) -> None:
    done = CliRunner().invoke(prune, ["--older-than", days])
    assert done.exit_code == 2
    assert "is not in the range 1<=x<=36500" in done.output
