"""Dumps as pg_dump writes them, read in pieces: SQL and the rows of COPY, and no command of psql."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from gauntlet.jobs.manifest import BackupError
from gauntlet.jobs.stack import ROLES

PIECE = 1 << 20
_COPY = re.compile(rb"COPY .+ FROM stdin;\r?\n")
# pg_dump's own: from one to the other psql takes no command
_RESTRICTION = re.compile(rb"\\(?:un)?restrict [0-9A-Za-z]+\r?\n?")
_RIGHTS = re.compile(rb"(?:GRANT|REVOKE) .+ (?:TO|FROM) (.+?)(?: WITH GRANT OPTION)?;\r?\n")
_DEFAULT_RIGHTS = re.compile(rb"ALTER DEFAULT PRIVILEGES .+;\r?\n")
_OUR_ROLES = {b"PUBLIC", *(role.encode() for role in ROLES)}


def plain_sql(stream: BinaryIO) -> Iterator[bytes]:
    r"""Yield a dump in pieces of at most 1 MB, without its lines \restrict and \unrestrict, and without foreign rights.

    Rights of roles that the stack does not make are left out: where the dump is loaded there may be no such roles.
    Raises BackupError for any other line outside the rows of a COPY that begins with a backslash. This is no protection
    by itself, as psql knows commands inside of a line as well: whoever loads the dump must restrict psql.
    """
    rows, begins, number = False, True, 1
    while piece := stream.readline(PIECE):
        whole = piece.endswith(b"\n")
        if begins and rows:
            rows = piece.rstrip(b"\r\n") != rb"\."
        elif begins and piece.startswith(b"\\"):
            if _RESTRICTION.fullmatch(piece):
                number += 1
                continue
            if piece.rstrip(b"\r\n") != rb"\.":
                raise BackupError(
                    "A dump in a backup must hold SQL and rows alone; line "
                    f"{number} is a command to psql: {piece[:80].decode(errors='replace').rstrip()!r}. "
                    "Take a backup that gauntlet backup made."
                )
        elif begins:
            rows = _COPY.fullmatch(piece) is not None
        if not (begins and not rows and _is_foreign_right(piece)):
            yield piece
        begins = whole
        number += whole


def _is_foreign_right(line: bytes) -> bool:
    """Say whether a line gives or takes a right of a role that is not the stack's; default rights are never its own."""
    found = _RIGHTS.fullmatch(line)
    return _DEFAULT_RIGHTS.fullmatch(line) is not None or (found is not None and found[1] not in _OUR_ROLES)
