"""What both object stores share: how objects are named and checked, and the errors they answer with."""

import hashlib
from pathlib import PurePosixPath

from gauntlet.jobs.ports import Stored, StoreError


def key_of(folder: str, sha256: str, suffix: str) -> PurePosixPath:
    """Return FOLDER/SHA256.SUFFIX; raises ValueError for a folder that leads out of the store."""
    key = PurePosixPath(folder, f"{sha256}.{suffix}")
    if key.is_absolute() or ".." in key.parts or "/" in suffix:
        raise ValueError(f'a folder must lie inside the store; found "{folder}" and "{suffix}". Use plain names.')
    return key


def checked(stored: Stored, data: bytes) -> bytes:
    """Return the bytes; raises StoreError when their SHA-256 is another one."""
    found = hashlib.sha256(data).hexdigest()
    if found != stored.sha256:
        remedy = "Restore it from a backup."
        raise StoreError(f"{stored.uri} must have the SHA-256 {stored.sha256}; found {found}. {remedy}")
    return data


def gone(stored: Stored) -> StoreError:
    """Return the error that an object is not there."""
    return StoreError(f"{stored.uri} must be in the object store; found nothing. Restore it from a backup.")


def outside(uri: str, root: str) -> StoreError:
    """Return the error that an address leads out of the store."""
    return StoreError(f"an object must lie in {root}; found {uri}. Was the store moved? Set its address back.")
