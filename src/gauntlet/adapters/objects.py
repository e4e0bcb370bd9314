"""Immutable objects in a folder or in an S3 bucket, named by their content."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from gauntlet.jobs.ports import ServiceAway, Stored, StoreError
from gauntlet.jobs.upkeep import Item, Opened

GONE = ("NoSuchKey", "404")
REFUSED = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "Unauthorized", "401", "403")
PART = ".part"


class LocalStore:
    """Objects as files under one folder, with file:// URIs."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def put(self, folder: str, suffix: str, data: bytes) -> Stored:
        """Store bytes whole or not at all; raises StoreError when the disk does not take them."""
        sha256 = hashlib.sha256(data).hexdigest()
        path = self._root / _key(folder, sha256, suffix)
        try:
            if _holds(path, data):
                os.utime(path)  # in use again: the next prune must take it for new
            else:
                _write(path, lambda file: file.write(data))
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

    @property
    def root(self) -> str:
        """The URI of the folder."""
        return self._root.as_uri()

    def items(self, folder: str = "") -> Iterator[Item]:
        """Yield every file, or those in a folder; not those that are still being written."""
        for path in sorted(self._inside(folder).rglob("*")):
            try:
                if path.is_symlink() or not path.is_file() or (path.name.startswith(".") and path.suffix == PART):
                    continue
                found = path.stat()
            except FileNotFoundError:
                continue
            key = path.relative_to(self._root).as_posix()
            yield Item(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    @contextmanager
    def open(self, key: str) -> Iterator[Opened | None]:
        """Open a file for reading; None when it is gone."""
        try:
            file = self._inside(key).open("rb")
        except FileNotFoundError:
            yield None
            return
        with file:
            yield Opened(os.fstat(file.fileno()).st_size, file)

    def write(self, key: str, stream: BinaryIO) -> None:
        """Write a file whole or not at all; raises StoreError when the disk does not take it."""
        path = self._inside(key)
        try:
            _write(path, lambda file: shutil.copyfileobj(stream, file))
        except OSError as error:
            found = f"{error.strerror} at {path}"
            raise StoreError(f"{key} must fit the object store; found {found}. Make room there.") from error

    def delete(self, key: str, before: datetime) -> bool:
        """Delete a file unless it was put again meanwhile."""
        path = self._inside(key)
        with suppress(FileNotFoundError):
            if path.stat().st_mtime >= before.timestamp():
                return False
            path.unlink()
        return True

    def delete_folder(self, folder: str) -> None:
        """Delete everything in a folder."""
        if not folder.strip("/"):
            raise ValueError("a folder inside the store must be named; found its root. Name the folder.")
        with suppress(FileNotFoundError):
            shutil.rmtree(self._inside(folder))

    def _inside(self, key: str) -> Path:
        path = self._root / key
        if not path.resolve().is_relative_to(self._root):
            raise _outside(key, self._root.as_uri())
        return path

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
            if _code(error) in GONE:
                raise _gone(stored) from error
            raise self._failure(stored.uri, error) from error
        except BotoCoreError as error:
            raise self._failure(stored.uri, error) from error
        return _checked(stored, data)

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
                    yield Item(key, found["Size"], found["LastModified"])

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
            yield Opened(found["ContentLength"], body)

    def write(self, key: str, stream: BinaryIO) -> None:
        """Write an object in parts of a few megabytes; S3 shows it whole or not at all."""
        with self._answering(key):
            self._s3().upload_fileobj(stream, self._bucket, self._full(key))

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
            raise _outside(key, self.root)
        return str(PurePosixPath(self._prefix, key))

    @contextmanager
    def _answering(self, key: str) -> Iterator[None]:
        """Turn what boto3 raises into StoreError where the object is gone, else into ServiceAway."""
        try:
            yield
        except (BotoCoreError, Boto3Error, ClientError) as error:
            uri = f"{self.root}/{key}"
            if _code(error) in GONE:
                raise _gone(Stored(uri, "")) from error
            raise self._failure(uri, error) from error

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
        code = _code(error)
        if code in REFUSED:
            keys = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            return ServiceAway(f"{keys} must open {uri}; the store refused them: {code}. Correct them in .env.")
        if code == "NoSuchBucket":
            remedy = "Make it, which each start of the stack does, or correct its name."
            return ServiceAway(f"the bucket {self._bucket} must exist for {uri}; the store has none. {remedy}")
        remedy = "Start it, or correct its address and keys."
        return ServiceAway(f'the object store must answer for {uri}; found "{error}". {remedy}')


def _code(error: Exception) -> str:
    """What an S3 store calls the error; empty where it said nothing."""
    return str(error.response.get("Error", {}).get("Code")) if isinstance(error, ClientError) else ""


def open_store(
    uri: str,
    *,
    endpoint: str | None = None,
    key_id: str | None = None,
    secret: str | None = None,
    region: str | None = None,
) -> LocalStore | S3Store:
    """Return the store at file:///FOLDER or s3://BUCKET/PREFIX; endpoint, keys and region are for S3 only."""
    parts = urlsplit(uri)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path:
        return LocalStore(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        return S3Store(parts.netloc, parts.path, lambda: s3_client(endpoint, key_id, secret, region))
    raise ValueError(f'an object store must be file:///FOLDER or s3://BUCKET/PREFIX; found "{uri}". Correct it.')


def s3_client(endpoint: str | None, key_id: str | None, secret: str | None, region: str | None = None) -> Any:
    """Return a boto3 client that gives up within seconds; each None means boto3's own way to find it."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        region_name=region or ("us-east-1" if endpoint else None),
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


def _write(path: Path, fill: Callable[[BinaryIO], object]) -> None:
    """Write beside the place, then rename: nobody ever sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=PART)
    try:
        with os.fdopen(handle, "wb") as file:
            fill(file)
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
