"""Immutable objects in a folder or in an S3 bucket, named by their content."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from gauntlet.jobs.ports import ServiceAway, Stored, StoreError

GONE = ("NoSuchKey", "NoSuchBucket", "404")


class LocalStore:
    """Objects as files under one folder, with file:// URIs."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def put(self, folder: str, suffix: str, data: bytes) -> Stored:
        """Store bytes whole or not at all; raises StoreError when the disk does not take them."""
        sha256 = hashlib.sha256(data).hexdigest()
        path = self._root / _key(folder, sha256, suffix)
        try:
            if not _holds(path, data):
                _write(path, data)
        except OSError as error:
            found = f"{error.strerror} at {path}"
            raise StoreError(f"{len(data)} bytes must fit the object store; found {found}. Make room there.") from error
        return Stored(path.as_uri(), sha256)

    def get(self, stored: Stored) -> bytes:
        """Fetch an object; raises StoreError when it is gone, has changed, or lies outside the store."""
        path = self._path(stored.uri)
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise _gone(stored) from None
        except OSError as error:
            raise ServiceAway(f"{stored.uri} must be readable; found {error.strerror}. Give back access.") from error
        return _checked(stored, data)

    def _path(self, uri: str) -> Path:
        parts = urlsplit(uri)
        path = Path(unquote(parts.path)).resolve()
        if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not path.is_relative_to(self._root):
            raise _outside(uri, self._root.as_uri())
        return path


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
        key = str(PurePosixPath(self._prefix, _key(folder, sha256, suffix)))
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
            if error.response.get("Error", {}).get("Code") in GONE:
                raise _gone(stored) from error
            raise self._failure(stored.uri, error) from error
        except BotoCoreError as error:
            raise self._failure(stored.uri, error) from error
        return _checked(stored, data)

    def _key(self, uri: str) -> str:
        parts = urlsplit(uri)
        key = PurePosixPath(parts.path.lstrip("/"))
        inside = key.is_relative_to(PurePosixPath(self._prefix)) and ".." not in key.parts
        if parts.scheme != "s3" or parts.netloc != self._bucket or not inside:
            raise _outside(uri, f"s3://{self._bucket}/{self._prefix}")
        return str(key)

    def _s3(self) -> Any:
        # A forked child must not write on its parent's connections.
        if self._client is None or self._client[0] != os.getpid():
            self._client = (os.getpid(), self._connect())
        return self._client[1]

    def _failure(self, uri: str, error: Exception) -> ServiceAway:
        remedy = "Start it, or correct its address and keys."
        return ServiceAway(f'the object store must answer for {uri}; found "{error}". {remedy}')


def open_store(
    uri: str, *, endpoint: str | None = None, key_id: str | None = None, secret: str | None = None
) -> LocalStore | S3Store:
    """Return the store at file:///FOLDER or s3://BUCKET/PREFIX; endpoint and keys are for S3 only."""
    parts = urlsplit(uri)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path:
        return LocalStore(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        return S3Store(parts.netloc, parts.path, lambda: s3_client(endpoint, key_id, secret))
    raise ValueError(f'an object store must be file:///FOLDER or s3://BUCKET/PREFIX; found "{uri}". Correct it.')


def s3_client(endpoint: str | None, key_id: str | None, secret: str | None) -> Any:
    """Return a boto3 client that gives up within seconds; each None means boto3's own way to find it."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        region_name="us-east-1" if endpoint else None,
        config=Config(connect_timeout=3, read_timeout=30, retries={"total_max_attempts": 3, "mode": "standard"}),
    )


def _key(folder: str, sha256: str, suffix: str) -> PurePosixPath:
    key = PurePosixPath(folder, f"{sha256}.{suffix}")
    if key.is_absolute() or ".." in key.parts or "/" in suffix:
        raise ValueError(f'a folder must lie inside the store; found "{folder}" and "{suffix}". Use plain names.')
    return key


def _holds(path: Path, data: bytes) -> bool:
    """Say whether the file is there and whole: a damaged one is written again."""
    return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data


def _write(path: Path, data: bytes) -> None:
    """Write beside the place, then rename: nobody ever sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename outlast a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _checked(stored: Stored, data: bytes) -> bytes:
    found = hashlib.sha256(data).hexdigest()
    if found != stored.sha256:
        remedy = "Restore it from a backup."
        raise StoreError(f"{stored.uri} must have the SHA-256 {stored.sha256}; found {found}. {remedy}")
    return data


def _gone(stored: Stored) -> StoreError:
    return StoreError(f"{stored.uri} must be in the object store; found nothing. Restore it from a backup.")


def _outside(uri: str, root: str) -> StoreError:
    return StoreError(f"an object must lie in {root}; found {uri}. Was the store moved? Set its address back.")
