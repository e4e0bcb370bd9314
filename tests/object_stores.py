"""What every object store must do, told once and run against each: memory, a folder, a stand-in for S3, MinIO."""

import io
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gauntlet.jobs.ports import ObjectStore, Stored, StoreError
from gauntlet.jobs.upkeep import Files

PART = 8 * 2**20  # boto3 sends what is larger in parts of this size
LATER = datetime.now(UTC) + timedelta(days=1)


class ObjectStoreContract:
    """The cases of the port ObjectStore; `store` is a fixture of the module that subclasses this."""

    def test_what_was_put_is_got(self, store: ObjectStore) -> None:
        stored = store.put("diamonds/snapshots", "parquet", b"rows")
        assert stored.uri.endswith(f"diamonds/snapshots/{stored.sha256}.parquet")
        assert store.get(stored) == b"rows"

    @pytest.mark.parametrize("size", [0, 3 * PART + 1])
    def test_nothing_and_much_are_got_as_they_were_put(self, store: ObjectStore, size: int) -> None:
        data = bytes(size)
        assert store.get(store.put("folder", "bin", data)) == data

    def test_the_same_bytes_are_the_same_object(self, store: ObjectStore) -> None:
        with ThreadPoolExecutor(8) as pool:
            stored = list(pool.map(lambda _: store.put("folder", "bin", b"x" * 100_000), range(16)))
        assert len(set(stored)) == 1
        assert store.get(stored[0]) == b"x" * 100_000

    def test_an_object_that_is_gone(self, store: ObjectStore) -> None:
        stored = store.put("folder", "bin", b"here")
        gone = Stored(stored.uri.replace(stored.sha256, "0" * 64), "0" * 64)
        with pytest.raises(StoreError, match="0000"):
            store.get(gone)

    def test_an_object_whose_hash_differs(self, store: ObjectStore) -> None:
        stored = store.put("folder", "bin", b"here")
        with pytest.raises(StoreError, match="SHA-256"):
            store.get(Stored(stored.uri, "0" * 64))


class FilesContract:
    """The cases of the port Files; `files` is a fixture of the module that subclasses this, an empty store."""

    def test_what_was_written_is_listed_and_read(self, files: Files) -> None:
        files.write("a/b/one.bin", io.BytesIO(b"one"))
        files.write("a/b/one.bin", io.BytesIO(b"once more"))
        files.write("a/two.bin", io.BytesIO(b"2" * (2 * PART + 1)))
        files.write("ab/three.bin", io.BytesIO(b""))
        assert {item.key for item in files.items()} == {"a/b/one.bin", "a/two.bin", "ab/three.bin"}
        assert {(item.key, item.size) for item in files.items("a")} == {("a/b/one.bin", 9), ("a/two.bin", 2 * PART + 1)}
        with files.open("a/b/one.bin") as opened:
            assert opened is not None
            assert (opened.size, opened.stream.read()) == (9, b"once more")

    @pytest.mark.parametrize("size", [3, 2 * PART + 1])
    def test_what_is_written_stays_open(self, files: Files, size: int) -> None:
        stream = io.BytesIO(b"x" * size)
        files.write("a/one.bin", stream)
        stream.seek(0)
        files.write("a/two.bin", stream)
        assert [item.size for item in files.items("a")] == [size, size]

    def test_what_is_not_there_is_none(self, files: Files) -> None:
        with files.open("a/b/none.bin") as opened:
            assert opened is None
        assert list(files.items("none")) == []
        files.delete_folder("none")
        assert files.delete("a/b/none.bin", LATER)

    def test_a_file_is_deleted_unless_it_was_written_meanwhile(self, files: Files) -> None:
        files.write("a/one.bin", io.BytesIO(b"one"))
        assert not files.delete("a/one.bin", datetime.now(UTC) - timedelta(hours=1))
        assert [item.key for item in files.items()] == ["a/one.bin"]
        assert files.delete("a/one.bin", LATER)
        assert list(files.items()) == []

    def test_a_folder_is_deleted_and_its_neighbour_stays(self, files: Files) -> None:
        for key in ("a/one.bin", "a/b/two.bin", "ab/three.bin"):
            files.write(key, io.BytesIO(b"x"))
        files.delete_folder("a")
        assert [item.key for item in files.items()] == ["ab/three.bin"]

    def test_a_write_that_breaks_off_leaves_nothing(self, files: Files) -> None:
        with pytest.raises(ZeroDivisionError):
            files.write("a/half.bin", io.BufferedReader(BreaksOff(3 * PART)))
        assert list(files.items()) == []
        with files.open("a/half.bin") as opened:
            assert opened is None

    @pytest.mark.parametrize("key", ["../up.bin", "a/../../up.bin", "/abs.bin"])
    def test_nothing_outside_is_written(self, files: Files, key: str) -> None:
        with pytest.raises(StoreError, match="an object must lie in"):
            files.write(key, io.BytesIO(b"x"))


class BreaksOff(io.RawIOBase):
    """A stream that fails after some bytes."""

    def __init__(self, size: int) -> None:
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._left <= 0:
            raise ZeroDivisionError
        wanted = min(len(buffer), self._left)
        self._left -= wanted
        return wanted
