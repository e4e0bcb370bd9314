"""The stack's MinIO as the object store: what every store must do, and what only a real one can show."""

import socket
import time
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.driver import ComposeDriver
from tests.object_stores import FilesContract, ObjectStoreContract

from gauntlet.adapters.objects import open_store
from gauntlet.adapters.s3_store import S3Store, s3_client
from gauntlet.jobs.ports import ObjectStore, ServiceAway, Stored
from gauntlet.jobs.upkeep import Files

PREFIX = "some/prefix"


@pytest.fixture(scope="module")
def access(driver: ComposeDriver) -> dict[str, str]:
    """How the host reaches MinIO."""
    settings = driver.settings
    assert settings.mlflow_s3_endpoint_url is not None
    assert settings.aws_access_key_id is not None
    return {
        "endpoint": settings.mlflow_s3_endpoint_url,
        "key_id": settings.aws_access_key_id,
        "secret": settings.secret("aws_secret_access_key"),
        "region": settings.aws_default_region,
    }


@pytest.fixture(scope="module")
def client(access: dict[str, str]) -> Any:
    """MinIO, asked directly."""
    return s3_client(*access.values())


@pytest.fixture
def bucket(client: Any) -> Iterator[str]:
    """An empty bucket of the test's own."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=name)
    yield name
    for found in client.list_objects_v2(Bucket=name).get("Contents", ()):
        client.delete_object(Bucket=name, Key=found["Key"])
    client.delete_bucket(Bucket=name)


@pytest.fixture
def store(bucket: str, access: dict[str, str]) -> ObjectStore:
    return open_store(f"s3://{bucket}/{PREFIX}", **access)


@pytest.fixture
def files(bucket: str, access: dict[str, str]) -> Files:
    return open_store(f"s3://{bucket}/{PREFIX}", **access)


class TestMinio(ObjectStoreContract):
    """What a folder and a stand-in for S3 do in tests/contract."""


class TestFilesOfMinio(FilesContract):
    """What a folder and a stand-in for S3 do in tests/contract."""


@pytest.mark.parametrize(
    ("wrong", "code"), [("secret", "SignatureDoesNotMatch"), ("key_id", "InvalidAccessKeyId"), ("both", "InvalidAcc")]
)
def test_wrong_keys_are_told(bucket: str, access: dict[str, str], client: Any, wrong: str, code: str) -> None:
    keys = ("key_id", "secret") if wrong == "both" else (wrong,)
    store = open_store(f"s3://{bucket}/{PREFIX}", **{**access, **dict.fromkeys(keys, "not-the-key")})
    rule = f"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must open s3://{bucket}/.*: {code}.*Correct them in .env"
    with pytest.raises(ServiceAway, match=rule):
        store.put("folder", "bin", b"rows")
    with pytest.raises(ServiceAway, match=rule):
        store.get(Stored(f"s3://{bucket}/{PREFIX}/x", "0" * 64))
    assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_bucket_that_is_missing_is_told(access: dict[str, str]) -> None:
    store = open_store("s3://no-such-bucket", **access)
    rule = "the bucket no-such-bucket must exist for s3://no-such-bucket/.*; the store has none"
    with pytest.raises(ServiceAway, match=rule):
        store.put("folder", "bin", b"rows")
    with pytest.raises(ServiceAway, match=rule):
        store.get(Stored("s3://no-such-bucket/x", "0" * 64))


def test_a_writer_that_dies_leaves_nothing_half(bucket: str, access: dict[str, str], client: Any) -> None:
    whole = open_store(f"s3://{bucket}/{PREFIX}", **access).put("folder", "bin", bytes(2**20))
    key = whole.uri.removeprefix(f"s3://{bucket}/")
    client.delete_object(Bucket=bucket, Key=key)
    address = urlsplit(client.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": key}))
    with socket.create_connection((str(address.hostname), int(address.port or 80)), timeout=10) as connection:
        head = (
            f"PUT {address.path}?{address.query} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {2**20}\r\n\r\n"
        )
        connection.sendall(head.encode() + bytes(2**19))
        time.sleep(1)
    time.sleep(1)
    assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_store_that_stops_is_away_within_seconds(compose: ComposeDriver, access: dict[str, str]) -> None:
    store = open_store("s3://data/contract", **access)
    stored = store.put("folder", "bin", b"rows")
    compose.docker("compose", "stop", "minio")
    try:
        began = time.monotonic()
        with pytest.raises(ServiceAway, match="the object store must answer for s3://data/contract/folder/"):
            store.get(stored)
        with pytest.raises(ServiceAway, match="the object store must answer for s3://data/contract/other/"):
            store.put("other", "bin", b"rows")
        assert time.monotonic() - began < 30
    finally:
        compose.docker("compose", "up", "--detach", "--no-deps", "--wait", "minio")
    assert store.get(stored) == b"rows"
    assert isinstance(store, S3Store)
    assert [item.key for item in store.items()] == [f"folder/{stored.sha256}.bin"]
    store.delete_folder("folder")
