"""Immutable objects in an S3 bucket, named by their content."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from gauntlet.adapters.object_names import checked, gone, key_of, outside
from gauntlet.jobs.ports import ServiceAway, Stored, StoreError
from gauntlet.jobs.upkeep import Item, Opened

GONE = ("NoSuchKey", "404")
REFUSED = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "Unauthorized", "401", "403")
FULL = ("XMinioStorageFull", "QuotaExceeded", "InsufficientCapacity")


class S3Store:
    """Objects under a prefix of a bucket, with s3:// URIs; `connect` makes the boto3 client when it is first needed."""

    def __init__(self, bucket: str, prefix: str, connect: Callable[[], Any]) -> None:
        self._bucket = bucket
        self._prefix = prefix.strip("/")
        self._connect = connect
        self._client: tuple[int, Any] | None = None

    def put(self, folder: str, suffix: str, data: bytes) -> Stored:
        """Store bytes; S3 shows an object whole or not at all."""
        sha256 = hashlib.sha256(data).hexdigest()
        key = str(PurePosixPath(self._prefix, key_of(folder, sha256, suffix)))
        uri = f"s3://{self._bucket}/{key}"
        try:
            self._s3().put_object(Bucket=self._bucket, Key=key, Body=data)
        except (BotoCoreError, ClientError) as error:
            raise self._failure(uri, error) from error
        return Stored(uri, sha256)

    def get(self, stored: Stored) -> bytes:
        """Fetch an object; raises StoreError when it is gone, has changed, or lies outside the store."""
        key = self._key(stored.uri)
        try:
            data: bytes = self._s3().get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except ClientError as error:
            if _code(error) in GONE:
                raise gone(stored) from error
            raise self._failure(stored.uri, error) from error
        except BotoCoreError as error:
            raise self._failure(stored.uri, error) from error
        return checked(stored, data)

    @property
    def root(self) -> str:
        """The URI of the bucket and prefix."""
        return f"s3://{PurePosixPath(self._bucket, self._prefix)}"

    def items(self, folder: str = "") -> Iterator[Item]:
        """Yield every object, or those in a folder."""
        prefix = self._full(folder) + "/" if folder or self._prefix else ""
        with self._answering(folder):
            pages = self._s3().get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
            for page in pages:
                for found in page.get("Contents", ()):
                    key = str(PurePosixPath(found["Key"]).relative_to(self._prefix))
                    yield Item(key, found["Size"], found["LastModified"], found["ETag"])

    @contextmanager
    def open(self, key: str) -> Iterator[Opened | None]:
        """Open an object for reading; None when it is gone."""
        try:
            with self._answering(key):
                found = self._s3().get_object(Bucket=self._bucket, Key=self._full(key))
        except StoreError:
            yield None
            return
        with found["Body"] as body, self._answering(key):
            yield Opened(found["ContentLength"], body, found["ETag"])

    def write(self, key: str, stream: BinaryIO) -> None:
        """Write an object in parts of a few megabytes; S3 shows it whole or not at all. The stream stays open."""
        with self._answering(key):
            self._s3().upload_fileobj(_Lent(stream), self._bucket, self._full(key))

    def delete(self, key: str, before: datetime) -> bool:
        """Delete an object unless it was put again meanwhile."""
        full = self._full(key)
        with suppress(StoreError), self._answering(key):
            if self._s3().head_object(Bucket=self._bucket, Key=full)["LastModified"] >= before:
                return False
            self._s3().delete_object(Bucket=self._bucket, Key=full)
        return True

    def delete_folder(self, folder: str) -> None:
        """Delete everything in a folder."""
        if not folder.strip("/"):
            raise ValueError("a folder inside the store must be named; found its root. Name the folder.")
        for item in list(self.items(folder)):
            with self._answering(item.key):
                self._s3().delete_object(Bucket=self._bucket, Key=self._full(item.key))

    def _full(self, key: str) -> str:
        if key.startswith("/") or ".." in PurePosixPath(key).parts:
            raise outside(key, self.root)
        return str(PurePosixPath(self._prefix, key))

    @contextmanager
    def _answering(self, key: str) -> Iterator[None]:
        """Turn what boto3 raises into StoreError where the object is gone, else into ServiceAway."""
        try:
            yield
        except (BotoCoreError, Boto3Error, ClientError) as error:
            uri = f"{self.root}/{key}"
            if _code(error) in GONE:
                raise gone(Stored(uri, "")) from error
            raise self._failure(uri, error) from error

    def _key(self, uri: str) -> str:
        parts = urlsplit(uri)
        key = PurePosixPath(parts.path.lstrip("/"))
        inside = key.is_relative_to(PurePosixPath(self._prefix)) and ".." not in key.parts
        if parts.scheme != "s3" or parts.netloc != self._bucket or not inside:
            raise outside(uri, f"s3://{self._bucket}/{self._prefix}")
        return str(key)

    def _s3(self) -> Any:
        # A forked child must not write on its parent's connections.
        if self._client is None or self._client[0] != os.getpid():
            self._client = (os.getpid(), self._connect())
        return self._client[1]

    def _failure(self, uri: str, error: Exception) -> ServiceAway:
        code = _code(error)
        if code in REFUSED:
            keys = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            return ServiceAway(f"{keys} must open {uri}; the store refused them: {code}. Correct them in .env.")
        if code == "NoSuchBucket":
            remedy = "Make it, which each start of the stack does, or correct its name."
            return ServiceAway(f"the bucket {self._bucket} must exist for {uri}; the store has none. {remedy}")
        if code in FULL or "no space left" in str(error):
            return ServiceAway(f"the object store must have room for {uri}; it is full: {code}. Make room there.")
        remedy = "Start it, or correct its address and keys."
        return ServiceAway(f'the object store must answer for {uri}; found "{error}". {remedy}')


class _Lent:
    """A stream that boto3 closes after the upload, and that its owner goes on reading."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def close(self) -> None:
        """Leave it open."""


def _code(error: Exception) -> str:
    """What an S3 store calls the error; empty where it said nothing."""
    return str(error.response.get("Error", {}).get("Code")) if isinstance(error, ClientError) else ""


def s3_client(endpoint: str | None, key_id: str | None, secret: str | None, region: str | None = None) -> Any:
    """Return a boto3 client that gives up within seconds; each None means boto3's own way to find it.

    Without the newer headers for checksums, which some stores refuse: what lies here is checked by its SHA-256.
    """
    config = Config(
        connect_timeout=3, read_timeout=30, retries={"total_max_attempts": 3, "mode": "standard"},
        request_checksum_calculation="when_required", response_checksum_validation="when_required",
    )  # fmt: skip
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        region_name=region or ("us-east-1" if endpoint else None),
        config=config,
    )
