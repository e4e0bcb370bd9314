"""Databases as plain SQL by PostgreSQL's own programs, packed by gzip.

Plain SQL of pg_dump 18 loads into PostgreSQL 17 and the other way round, which its binary formats do not.
"""

from __future__ import annotations

import gzip
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO, cast

from gauntlet.adapters.disk import room_for
from gauntlet.adapters.plain_sql import plain_sql
from gauntlet.jobs.manifest import BackupError
from gauntlet.jobs.stack import SUPERUSER, StackError
from gauntlet.jobs.upkeep import Opened, Programs

LEVEL = 6
REMEDY = "Correct what it names, then give the command again."


class SqlDumps:
    """Dumps of the databases that `programs` reach; `spool` is a folder for dumps on their way into a file."""

    def __init__(self, programs: Programs, spool: Path) -> None:
        self._programs = programs
        self._spool = spool

    @contextmanager
    def dump(self, database: str) -> Iterator[Opened]:
        """Dump a database with its grants; the file has no name, so nothing of it stays after a kill."""
        with room_for(self._spool):
            file = tempfile.TemporaryFile(dir=self._spool)  # noqa: SIM115 - closed below
        try:
            with room_for(self._spool):
                with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=LEVEL, mtime=0) as packed:
                    self._run("pg_dump", ["--no-password", "--no-owner", database], None, cast("BinaryIO", packed))
                size = file.seek(0, os.SEEK_END)  # and writes what is buffered
            file.seek(0)
            yield Opened(size, cast("BinaryIO", file))
        finally:
            with suppress(OSError):  # what had no room before has none now
                file.close()

    def load(self, database: str, packed: BinaryIO, owner: str) -> None:
        """Load a dump in one transaction, with no more rights than the owner of the database has.

        Raises BackupError with what Postgres said when it does not take it.
        """
        options = ["--no-psqlrc", "--no-password", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1"]
        with gzip.GzipFile(fileobj=packed, mode="rb") as plain, Path(os.devnull).open("wb") as nowhere:
            given = _restricted(plain_sql(cast("BinaryIO", plain)))
            self._run("psql", [*options, f"--username={owner}", f"--dbname={database}"], given, nowhere, owner)

    def _run(
        self, program: str, arguments: list[str], given: Iterator[bytes] | None, taken: BinaryIO, role: str = SUPERUSER
    ) -> None:
        command = [*self._programs.commands[program], *arguments]
        with tempfile.TemporaryFile() as said:
            process = self._started(command, given=given is not None, said=said, role=role)
            try:
                _copy(process, given, taken)
                code = process.wait()
            except BaseException:
                process.kill()
                process.wait()
                raise
            if code != 0:
                said.seek(0)
                text = said.read().decode(errors="replace").strip()[-1500:]
                raise BackupError(f"{program} must succeed; it ended with {code}: {text}\n{REMEDY}")

    def _started(self, command: list[str], *, given: bool, said: IO[bytes], role: str) -> subprocess.Popen[bytes]:
        env = dict(self._programs.env)
        if role in self._programs.passwords:
            env["PGPASSWORD"] = self._programs.passwords[role]
        try:
            return subprocess.Popen(  # noqa: S603
                command, cwd=self._programs.cwd, env=env,
                stdin=subprocess.PIPE if given else subprocess.DEVNULL,
                stdout=subprocess.DEVNULL if given else subprocess.PIPE, stderr=said,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise StackError(
                f"The program {command[0]} must be there to reach the databases; found no {error.filename}. Install "
                "it; without Docker: make setup."
            ) from None


def _copy(process: subprocess.Popen[bytes], given: Iterator[bytes] | None, taken: BinaryIO) -> None:
    if given is None:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        with process.stdout:
            shutil.copyfileobj(process.stdout, taken)
        return
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    with suppress(BrokenPipeError), process.stdin:  # a program that ended early says itself why
        for piece in given:
            process.stdin.write(piece)


def _restricted(dump: Iterator[bytes]) -> Iterator[bytes]:
    """Let psql take no command until its end: it would run programs as the user who started it."""
    yield f"\\restrict {secrets.token_hex(32)}\n".encode()
    yield from dump
