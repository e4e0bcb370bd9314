"""Files in the object store's folders: times, names, fetching and pieces, in a folder of this machine."""

import errno
import hashlib
import io
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gauntlet.adapters.local_store import LocalStore
from gauntlet.domain.intake import FileRefused
from gauntlet.jobs import inbox as inbox_module
from gauntlet.jobs.inbox import PIECE_BYTES, PIECE_ROWS, fetched, file_time, inbox, keep, named, opened_parquet, pieces
from gauntlet.jobs.mart_port import BatchKind, InputFile
from gauntlet.jobs.ports import StoreError
from gauntlet.jobs.run import Refused

WRITTEN = datetime(2026, 11, 21, 5, tzinfo=UTC)


@pytest.fixture
def files(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "a store")


def put(files: LocalStore, key: str, data: bytes = b"bytes") -> None:
    files.write(key, io.BytesIO(data))


def parquet(table: pa.Table, **options: Any) -> io.BytesIO:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("data/s/predict/x.parquet", WRITTEN),
        ("data/s/predict/2026-11-20/x.parquet", datetime(2026, 11, 20, tzinfo=UTC)),
        ("data/s/predict/date=2026-11-20/x.parquet", datetime(2026, 11, 20, tzinfo=UTC)),
        ("data/s/predict/2026-11-20T06/x.parquet", datetime(2026, 11, 20, 6, tzinfo=UTC)),
        ("data/s/predict/day=2026-11-20T06/deeper/x.parquet", datetime(2026, 11, 20, 6, tzinfo=UTC)),
        ("data/s/predict/2026-11-19/2026-11-20/x.parquet", datetime(2026, 11, 20, tzinfo=UTC)),
        ("data/s/predict/2026-13-45/x.parquet", WRITTEN),
        ("data/s/predict/2026-11-20T25/x.parquet", WRITTEN),
        ("data/s/predict/2026-11-20.parquet", WRITTEN),
        ("data/s/predict/12026-11-200/x.parquet", WRITTEN),
    ],
)
def test_the_time_of_a_file(key: str, expected: datetime) -> None:
    assert file_time(key, WRITTEN) == expected


def test_the_folder_is_listed_oldest_first(files: LocalStore) -> None:
    put(files, "data/s/predict/late.parquet")
    put(files, "data/s/predict/2026-11-20/b.parquet")
    put(files, "data/s/predict/2026-11-20/a.PARQUET")
    put(files, "data/s/predict/2026-11-19/c.parquet")
    for other in (
        "data/s/predict/readme.txt",
        "data/s/predict/_temporary/half.parquet",
        "data/s/predict/.hidden.parquet",
        "data/s/train/x.parquet",
        "data/s/predictions/x.parquet",
        "data/another/predict/x.parquet",
    ):
        put(files, other)
    found = [file.key.removeprefix("data/s/predict/") for file in inbox(files, "s", BatchKind.PREDICT)]
    assert found == ["2026-11-19/c.parquet", "2026-11-20/a.PARQUET", "2026-11-20/b.parquet", "late.parquet"]
    assert inbox(files, "none", BatchKind.TRAIN) == []


def test_a_file_is_found_by_the_uri_that_the_listing_gives(files: LocalStore) -> None:
    for name in ("plain", "with a space", "50%25", "ünï#?"):
        put(files, f"data/s/train/{name}.parquet", name.encode())
    listed = inbox(files, "s", BatchKind.TRAIN)
    assert len(listed) == 4
    assert [named(files, file.uri) for file in listed] == listed


def test_a_file_outside_the_store_or_that_is_not_there(files: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "secret.parquet").write_bytes(b"secret")
    put(files, "data/s/train/x.parquet")
    (tmp_path / "a store" / "link.parquet").symlink_to(tmp_path / "secret.parquet")
    for uri in (
        (tmp_path / "secret.parquet").as_uri(),
        f"{files.root}/../secret.parquet",
        f"{files.root}/%2e%2e/secret.parquet",
        f"{files.root}/link.parquet",
        files.root,
        "s3://data/x.parquet",
        "file://elsewhere/x.parquet",
        "/etc/passwd",
        "",
    ):
        with pytest.raises(Refused, match=r"a file must lie in the object store, file:.*; found .*\. Copy it there\."):
            named(files, uri)
    for uri in (f"{files.root}/data/s/train/y.parquet", f"{files.root}/data/s/train", f"{files.root}/none"):
        with pytest.raises(Refused, match="a file must be there to be read; file:"):
            named(files, uri)


def test_what_is_fetched_is_what_was_read(files: LocalStore, tmp_path: Path) -> None:
    put(files, "data/s/train/x.parquet", b"before")
    (listed,) = inbox(files, "s", BatchKind.TRAIN)
    put(files, "data/s/train/x.parquet", b"changed meanwhile")
    scratch = tmp_path / "new" / "scratch"
    with fetched(files, listed, scratch) as found:
        assert found.data.read() == b"changed meanwhile"
        assert found.sha256 == hashlib.sha256(b"changed meanwhile").hexdigest()
        changed = inbox(files, "s", BatchKind.TRAIN)[0]
        assert (found.file.mark, found.file.size) == (changed.mark, changed.size)
        assert found.file.mark != listed.mark
        assert list(scratch.iterdir()) == []  # nothing that a kill would leave
    files.delete_folder("data")
    with pytest.raises(Refused, match="a file must be there to be read"), fetched(files, listed, scratch):
        pass


def test_a_disk_that_is_full_is_named(files: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(files, "data/s/train/x.parquet", b"x" * 5_000)
    (listed,) = inbox(files, "s", BatchKind.TRAIN)

    class Full(io.BytesIO):
        def write(self, _: Any) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: Full())
    with pytest.raises(StoreError) as info, fetched(files, listed, tmp_path / "scratch"):
        pass
    assert str(info.value) == (
        f"{tmp_path / 'scratch'} must have room for 5,000 bytes (5.0 kB); found: No space left on device. Make room "
        "there, or set SCRATCH_DIR to a larger disk."
    )


def test_a_copy_is_kept_under_its_content_and_is_new_again_each_time(files: LocalStore, tmp_path: Path) -> None:
    put(files, "data/s/train/x.parquet", b"rows")
    (listed,) = inbox(files, "s", BatchKind.TRAIN)
    with fetched(files, listed, tmp_path) as found:
        uri = keep(files, "s", found)
        assert found.data.read() == b"rows"
        copy = Path(named(files, uri).uri.removeprefix("file://").replace("%20", " "))
        assert copy.name == f"{found.sha256}.parquet"
        assert copy.read_bytes() == b"rows"
        long_ago = datetime(2020, 1, 1, tzinfo=UTC)
        os.utime(copy, (long_ago.timestamp(), long_ago.timestamp()))
        assert keep(files, "s", found) == uri
        assert not files.delete(f"inputs/s/{copy.name}", before=long_ago + timedelta(days=1))
        copy.write_bytes(b"half")
        keep(files, "s", found)
        assert copy.read_bytes() == b"rows"


def test_pieces_are_the_file_in_order_and_in_bounds() -> None:
    table = pa.table({"number": list(range(300_000))})
    data = parquet(table, row_group_size=70_000)
    with opened_parquet(data, "x") as opened:
        found = list(pieces(opened, "x"))
    assert pa.Table.from_batches(found).equals(table)
    assert max(batch.num_rows for batch in found) <= PIECE_ROWS


def test_pieces_of_long_rows_have_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "PIECE_BYTES", PIECE_BYTES // 256)
    table = pa.table({"text": ["x" * 10_000] * 1_000})  # a kilobyte in the file, ten megabytes when read
    with opened_parquet(parquet(table), "x") as opened:
        found = list(pieces(opened, "x"))
    assert max(batch.nbytes for batch in found) <= PIECE_BYTES // 256 + 10_000
    assert sum(batch.num_rows for batch in found) == 1_000


def test_an_empty_table_has_no_rows() -> None:
    with opened_parquet(parquet(pa.table({"number": pa.array([], pa.int64())})), "x") as opened:
        assert sum(batch.num_rows for batch in pieces(opened, "x")) == 0


def test_what_is_no_parquet_is_refused() -> None:
    whole = parquet(pa.table({"number": list(range(10_000))}), use_dictionary=False).getvalue()
    damaged = whole[:2000] + bytes(2000) + whole[4000:]
    for data in (b"", b"PAR1", b"a,b\n1,2\n", whole[:-5], whole[100:], damaged):
        with (
            pytest.raises(FileRefused, match=r"a file must be parquet, and whole; file:///x: .*\. Write it anew\."),
            opened_parquet(io.BytesIO(data), "file:///x") as opened,
        ):
            list(pieces(opened, "file:///x"))


def test_a_machine_without_memory_is_not_the_files_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_much(*_: Any, **__: Any) -> Any:
        raise pa.ArrowMemoryError("malloc of size 1 failed")

    with opened_parquet(parquet(pa.table({"number": [1]})), "x") as opened:
        monkeypatch.setattr(pq.ParquetFile, "iter_batches", too_much)
        with pytest.raises(MemoryError):
            list(pieces(opened, "x"))


def test_times_have_a_zone(files: LocalStore) -> None:
    put(files, "data/s/train/x.parquet")
    (listed,) = inbox(files, "s", BatchKind.TRAIN)
    assert isinstance(listed, InputFile)
    assert listed.time.tzinfo is UTC


@pytest.mark.parametrize(
    "uri", ["file://[bad", "file://{}/one.parquet%00", "file://{}/one.parquet?x=1", "file://{}/one.parquet#f"]
)
def test_a_uri_that_is_none_is_refused(tmp_path: Path, uri: str) -> None:
    store = LocalStore(tmp_path)
    store.write("one.parquet", io.BytesIO(b"x"))
    with pytest.raises(Refused, match="must lie in the object store"):
        named(store, uri.format(tmp_path))
