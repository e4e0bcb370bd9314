"""The marts' database, with its tables there before they are first used."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

import psycopg2
import psycopg2.errors
from psycopg2.extensions import make_dsn

from gauntlet.adapters.marts import chain
from gauntlet.adapters.postgres import Database, address
from gauntlet.domain.mart import MartError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gauntlet.adapters.postgres import Cursor

T = TypeVar("T")
DRIVER = re.compile(r"^postgres(ql)?(\+\w+)?://")
OPTIONS = {
    "connect_timeout": 5, "keepalives_idle": 30, "application_name": "gauntlet",
    "options": "-c timezone=UTC -c jit=off",
}  # fmt: skip


class MartTables:
    """The database at the URL of a role that may make tables in the schema mart, or the schema itself.

    Raises MartError for a URL that is none; whatever the URL, no error shows its password.
    """

    def __init__(self, url: str, patience: float = 5.0) -> None:
        self._url = DRIVER.sub("postgresql://", url)  # libpq does not know SQLAlchemy's names of drivers
        try:
            self._dsn = make_dsn(self._url, **OPTIONS)
            self._where = address(self._url)
        except (psycopg2.ProgrammingError, ValueError):  # what they say holds a part of the URL
            raise MartError(
                "MART_DATABASE_URL must be postgresql://ROLE:PASSWORD@HOST:PORT/DATABASE; found something else. Write "
                "characters of the password that have a meaning in a URL by their codes: %40 for @, %2F for /."
            ) from None
        self._database = Database(self._url, patience)
        self._is_ready = False

    def transact(self, work: Callable[[Cursor], T]) -> T:
        """Return what `work` returns, run in one transaction; the marts' own tables are made where they are not."""
        if not self._is_ready:
            if not self.look(chain.is_newest):
                chain.bring_up(self._url)
            self._is_ready = True
        return self.look(work)

    def look(self, work: Callable[[Cursor], T]) -> T:
        """Return what `work` returns, run in one transaction on the database as it is: no tables are made."""
        try:
            return self._database.transact(work)
        except psycopg2.errors.InsufficientPrivilege as error:
            raise chain.may_not(self._where, error) from error
