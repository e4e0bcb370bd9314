"""The passwords and keys of the embedded stack: made at first start, kept in files that only their owner may read."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import secrets as random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gauntlet.embedded.files import create_private, write_private
from gauntlet.embedded.layout import Layout
from gauntlet.jobs.stack import ROLES, StackError


@dataclass(frozen=True)
class Secrets:
    """Passwords of the database roles, and Airflow's keys; not shown by repr."""

    postgres: str = field(repr=False)
    airflow: str = field(repr=False)
    mlflow: str = field(repr=False)
    gauntlet: str = field(repr=False)
    gauntlet_app: str = field(repr=False)
    router: str = field(repr=False)
    airflow_jwt_secret: str = field(repr=False)
    airflow_api_secret_key: str = field(repr=False)
    airflow_fernet_key: str = field(repr=False)
    airflow_admin_password: str = field(repr=False)

    def of_roles(self) -> dict[str, str]:
        """Return the passwords of the database roles, by role."""
        return {role: getattr(self, role) for role in ROLES}


def load_or_create(home: Path) -> Secrets:
    """Return the secrets of a state folder, made at the first call; two processes at once get the same ones.

    Raises StackError for a file that is not what this function wrote.
    """
    layout = Layout.of(home)
    layout.secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = layout.secrets / "secrets.json"
    if not file.exists():
        if layout.postgres_place.exists():
            raise StackError(
                f"{file} must hold the secrets that the databases of this stack were made with; it is gone. Put it "
                "back from a copy; without it the databases cannot be opened (make clean starts afresh)."
            )
        create_private(file, json.dumps(dataclasses.asdict(_fresh()), indent=2) + "\n")
    secrets = _read(file)
    _keep_password_file(airflow_password_file(home), secrets.airflow_admin_password)
    return secrets


def keep_given(home: Path, given: Mapping[str, str]) -> None:
    """Keep the secret settings that a stack is started with, by variable, for its services."""
    write_private(_given_file(home), json.dumps(dict(given)) + "\n")


def load_given(home: Path) -> dict[str, str]:
    """Return the secret settings that the stack was started with; none where it has not been started."""
    file = _given_file(home)
    if not file.exists():
        return {}
    try:
        given: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        raise StackError(
            f"{file} must hold what `gauntlet up` wrote; it holds no JSON. Remove it, then: gauntlet down, gauntlet up."
        ) from None
    return given


def airflow_password_file(home: Path) -> Path:
    """Return the file with the password of Airflow's user, {"admin": PASSWORD}."""
    return Layout.of(home).secrets / "airflow-users.json"


def _given_file(home: Path) -> Path:
    return Layout.of(home).secrets / "given.json"


def _read(file: Path) -> Secrets:
    try:
        return Secrets(**json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise StackError(
            f"{file} must hold the stack's secrets as they were written; found {type(error).__name__} on reading it. "
            "Put it back from a copy; without it the databases cannot be opened (make clean starts afresh)."
        ) from None


def _keep_password_file(file: Path, password: str) -> None:
    text = json.dumps({"admin": password}) + "\n"
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        write_private(file, text)


def _fresh() -> Secrets:
    return Secrets(
        postgres=random.token_urlsafe(24),
        airflow=random.token_urlsafe(24),
        mlflow=random.token_urlsafe(24),
        gauntlet=random.token_urlsafe(24),
        gauntlet_app=random.token_urlsafe(24),
        router=random.token_urlsafe(24),
        airflow_jwt_secret=random.token_urlsafe(64),
        airflow_api_secret_key=random.token_urlsafe(32),
        airflow_fernet_key=base64.urlsafe_b64encode(os.urandom(32)).decode(),
        airflow_admin_password=random.token_urlsafe(12),
    )
