"""What backup, restore and prune share: files of the stores by key, and programs that read and write databases."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

# The folder of the object store where Airflow puts its tasks' logs when they leave the machine (airflow/start.sh).
TASK_LOGS = "airflow-logs"
CHUNK = 4 * 2**20


# The folder of the object store that is the users': files to train on and to predict, and the scores of these.
USER_FILES = "data"


@dataclass(frozen=True)
class Item:
    """A file of a store: its key relative to the store's root, with slashes, its size in bytes, when it was written.

    `mark` changes whenever the file is written.
    """

    key: str
    size: int
    modified: datetime
    mark: str = ""


@dataclass(frozen=True)
class Opened:
    """A file that is being read, how many bytes it has, and its mark as `Item` has it."""

    size: int
    stream: BinaryIO
    mark: str = ""


@dataclass(frozen=True)
class Programs:
    """How PostgreSQL's own programs are run: the command of each up to its options; nothing secret is among them.

    `passwords` of the owners of the databases, by role; none where they need none.
    """

    commands: Mapping[str, Sequence[str]]
    env: Mapping[str, str]
    cwd: Path
    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)


class Files(Protocol):
    """The files of a store, in a folder or a bucket."""

    @property
    def root(self) -> str:
        """The URI of the store, without a slash at its end."""
        ...

    def items(self, folder: str = "") -> Iterator[Item]:
        """Every file, or those in a folder; none when there is no such folder."""
        ...

    def open(self, key: str) -> AbstractContextManager[Opened | None]:
        """Open a file for reading; None when it is gone."""
        ...

    def write(self, key: str, stream: BinaryIO) -> None:
        """Write a file whole or not at all, over one that is there; the stream stays open."""
        ...

    def delete(self, key: str, before: datetime) -> bool:
        """Delete a file unless it was written again at `before` or later; returns whether it is gone."""
        ...

    def delete_folder(self, folder: str) -> None:
        """Delete everything in a folder; nothing happens when there is none."""
        ...


def is_task_log(item: Item) -> bool:
    """Say whether a file of the object store is the log of a task, which nothing names."""
    return item.key.startswith(f"{TASK_LOGS}/")


def is_users_file(item: Item) -> bool:
    """Say whether a file of the object store is a person's, or the answer to one: only retention removes the latter."""
    return item.key.startswith(f"{USER_FILES}/")


def sha256_left(stream: BinaryIO) -> str:
    """Return the SHA-256 (hex) of what is left of a stream, read in pieces."""
    digest = hashlib.sha256()
    while chunk := stream.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def readable(size: int) -> str:
    """Return a number of bytes as people read it."""
    amount, unit = float(size), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
