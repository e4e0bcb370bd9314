"""Object stores: a folder, S3 and the one in memory. S3 is moto's HTTP server, a stand-in for MinIO or AWS."""

import errno
import io
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer
from tests.fakes import MemoryObjects
from tests.object_stores import FilesContract, ObjectStoreContract
from tests.postgres import free_port

from gauntlet.adapters.local_store import LocalStore
from gauntlet.adapters.objects import open_store
from gauntlet.adapters.s3_store import S3Store, s3_client
from gauntlet.jobs.ports import ObjectStore, ServiceAway, Stored, StoreError
from gauntlet.jobs.upkeep import Files

KEYS: dict[str, str] = {"key_id": "test", "secret": "test"}


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=free_port(), verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_uri(s3_endpoint: str) -> str:
    bucket = f"bucket-{uuid.uuid4().hex[:8]}"
    s3_client(s3_endpoint, **KEYS).create_bucket(Bucket=bucket)
    return f"s3://{bucket}/some/prefix"


@pytest.fixture(params=["memory", "local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "memory":
        return MemoryObjects()
    if request.param == "local":
        return open_store((tmp_path / "a store").as_uri())
    uri, endpoint = request.getfixturevalue("s3_uri"), request.getfixturevalue("s3_endpoint")
    return open_store(uri, endpoint=endpoint, **KEYS)


@pytest.fixture(params=["local", "s3"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    if request.param == "local":
        return LocalStore(tmp_path / "a store")
    uri, endpoint = request.getfixturevalue("s3_uri"), request.getfixturevalue("s3_endpoint")
    return open_store(uri, endpoint=endpoint, **KEYS)


class TestEveryStore(ObjectStoreContract):
    """Memory, a folder and S3; tests/compose runs the same against MinIO."""


class TestFilesOfEveryStore(FilesContract):
    """A folder and S3; tests/compose runs the same against MinIO."""


def test_a_changed_file_is_told_and_healed(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    stored = store.put("folder", "bin", b"here")
    path = tmp_path / "folder" / f"{stored.sha256}.bin"
    path.write_bytes(b"hers")
    with pytest.raises(StoreError) as info:
        store.get(stored)
    assert str(info.value).startswith(f"{stored.uri} must have the SHA-256 {stored.sha256}; found ")
    assert store.put("folder", "bin", b"here") == stored
    assert store.get(stored) == b"here"


OUTSIDE = ["file:///etc/passwd", "{root}/../secret", "{root}/%2e%2e/secret", "s3://x/y", "/secret"]


@pytest.mark.parametrize("uri", OUTSIDE)
def test_a_folder_reads_nothing_outside(tmp_path: Path, uri: str) -> None:
    (tmp_path / "secret").write_text("secret")
    store = LocalStore(tmp_path / "root")
    with pytest.raises(StoreError, match="an object must lie in"):
        store.get(Stored(uri.format(root=(tmp_path / "root").as_uri()), "0" * 64))


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    store = LocalStore(tmp_path / "root")
    stored = store.put("folder", "bin", b"here")
    (tmp_path / "root" / "folder" / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(StoreError, match="an object must lie in"):
        store.get(Stored(stored.uri.replace(f"{stored.sha256}.bin", "link"), "0" * 64))


def test_a_bucket_reads_nothing_outside_its_prefix(s3_uri: str, s3_endpoint: str) -> None:
    store = open_store(s3_uri, endpoint=s3_endpoint, **KEYS)
    for uri in ("s3://another/some/prefix/x", f"{s3_uri}/../x", f"{s3_uri}er/x", "file:///x"):
        with pytest.raises(StoreError, match="an object must lie in"):
            store.get(Stored(uri, "0" * 64))


@pytest.mark.parametrize(("folder", "suffix"), [("../up", "bin"), ("/abs", "bin"), ("folder", "bin/../../x")])
def test_nothing_is_put_outside(tmp_path: Path, folder: str, suffix: str) -> None:
    with pytest.raises(ValueError, match="a folder must lie inside the store"):
        LocalStore(tmp_path).put(folder, suffix, b"x")


def test_a_full_disk_leaves_nothing_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store = LocalStore(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match="4 bytes must fit the object store; found No space left on device"):
            store.put("folder", "bin", b"rows")
    assert list((tmp_path / "folder").iterdir()) == []
    assert store.get(store.put("folder", "bin", b"rows")) == b"rows"


def test_nothing_is_sent_that_older_stores_refuse(s3_uri: str, s3_endpoint: str) -> None:
    client = s3_client(s3_endpoint, **KEYS)
    sent: list[str] = []
    client.meta.events.register("before-send.s3", lambda request, **_: sent.extend(map(str.lower, request.headers)))
    store = S3Store(s3_uri.split("/")[2], "some/prefix", lambda: client)
    store.get(store.put("folder", "bin", b"rows"))
    store.write("folder/streamed", io.BytesIO(b"rows"))
    assert "authorization" in sent
    found = [name for name in sent if name.startswith(("x-amz-checksum", "x-amz-sdk-checksum", "x-amz-trailer"))]
    assert found == []


def test_s3_that_is_away() -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    store = open_store("s3://bucket/prefix", endpoint=endpoint, **KEYS)
    for call in (lambda: store.put("f", "bin", b"x"), lambda: store.get(Stored("s3://bucket/prefix/x", "0" * 64))):
        _raises_away(call, endpoint)


def test_a_bucket_that_is_missing(s3_endpoint: str) -> None:
    store = open_store("s3://no-such-bucket/prefix", endpoint=s3_endpoint, **KEYS)
    rule = "the bucket no-such-bucket must exist for s3://no-such-bucket/prefix/f/.*; the store has none"
    with pytest.raises(ServiceAway, match=rule):
        store.put("f", "bin", b"x")
    with pytest.raises(ServiceAway, match=rule):
        store.get(Stored("s3://no-such-bucket/prefix/f/x", "0" * 64))


def _raises_away(call: Any, endpoint: str) -> None:
    with pytest.raises(ServiceAway, match=endpoint):
        call()


@pytest.mark.parametrize("uri", ["ftp://x/y", "s3:///prefix", "relative/folder", "file://elsewhere/x"])
def test_an_address_must_be_one_of_two_kinds(uri: str) -> None:
    with pytest.raises(ValueError, match=r"an object store must be file:///FOLDER or s3://BUCKET/PREFIX; found"):
        open_store(uri)
