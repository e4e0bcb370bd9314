"""What a backup is: where it comes from, what it holds, and which stack can take it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gauntlet.domain.errors import Mendable

FORMAT = 1
# The ledger comes first: what it names of MLflow is then in MLflow's dump, which is younger.
DATABASES = ("gauntlet", "mlflow", "airflow")
OBJECTS, ARTIFACTS = "objects/", "artifacts/"
# in bytes; a member takes about 200, and the whole of it is held in memory
MANIFEST_LIMIT = 64_000_000


class BackupError(Mendable):
    """A backup cannot be made, read or restored; the text says why and what to do."""


@dataclass(frozen=True)
class Origin:
    """A stack as a backup must know it: `form` is embedded or compose, `revision` that of the product's tables.

    `object_store` is the URI of the store's root, by which rows name objects.
    """

    form: str
    product: str
    postgres: int
    revision: str
    airflow: str
    mlflow: str
    object_store: str


@dataclass(frozen=True)
class Manifest:
    """What a backup holds: where it comes from, how many files of each kind, and the SHA-256 (hex) of each member."""

    format: int
    made_at: str
    origin: Origin
    counts: Mapping[str, int]
    sha256: Mapping[str, str]

    def to_json(self) -> str:
        """Return the manifest as text."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: bytes) -> Manifest:
        """Return the manifest that a text holds; raises BackupError for another format."""
        try:
            plain: dict[str, Any] = json.loads(text)
            if plain["format"] != FORMAT:
                raise BackupError(
                    f"A backup must have format {FORMAT}; this one has {str(plain['format'])[:20]}. "
                    "Restore it with the version of Gauntlet that made it, or a newer one."
                )
            return _typed(cls(**{**plain, "origin": Origin(**plain["origin"])}))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            found = f"{type(error).__name__}: {str(error)[:200]}"
            raise BackupError(f"A backup's manifest must be readable; found {found}. Take another file.") from None


@dataclass(frozen=True)
class Checked:
    """A backup whose every member has been compared with its hash; `identity` is the manifest's own SHA-256."""

    manifest: Manifest
    identity: str


def require_fit(manifest: Manifest, here: Origin, known_revisions: frozenset[str]) -> None:
    """Raise BackupError for a backup that a newer version made: its tables are not known here."""
    there = manifest.origin
    newer = [
        f"{name} {old} (here {new})"
        for name, old, new in (("Airflow", there.airflow, here.airflow), ("MLflow", there.mlflow, here.mlflow))
        if _parts(old) > _parts(new)
    ]
    if there.revision not in known_revisions:
        newer.append(f"Gauntlet's tables at revision {there.revision} (here {here.revision})")
    if newer:
        raise BackupError(
            f"A backup must be of this version or an older one; this one is of {there.product}, with "
            f"{', '.join(newer)}. Restore it with that version of Gauntlet, or a newer one."
        )


def is_member(name: str) -> bool:
    """Say whether a backup may hold a member of that name: one of its databases, or a file inside one of its stores."""
    if name in {dump_name(database) for database in DATABASES}:
        return True
    kind, _, key = name.partition("/")
    parts = key.split("/")
    return f"{kind}/" in (OBJECTS, ARTIFACTS) and all(part not in ("", ".", "..") for part in parts)


def dump_name(database: str) -> str:
    """Return the name of the member that is the dump of a database."""
    return f"databases/{database}.sql.gz"


def _typed(manifest: Manifest) -> Manifest:
    """Return the manifest; raises TypeError unless each field is what it says, and each text can be shown."""
    origin = asdict(manifest.origin)
    if type(origin.pop("postgres")) is not int:
        raise TypeError("the version of Postgres is no number")
    if not (isinstance(manifest.counts, dict) and isinstance(manifest.sha256, dict)):
        raise TypeError("counts and hashes are no lists of names")
    if not all(type(count) is int for count in manifest.counts.values()):
        raise TypeError("a count is no number")
    texts = [manifest.made_at, *origin.values(), *manifest.sha256.values()]
    if not all(isinstance(text, str) and text.isprintable() for text in texts):
        raise TypeError("a version, an address or a hash is no text")
    return manifest


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d{1,9}", version)[:3])
