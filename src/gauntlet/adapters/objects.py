"""The object store that an address names."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from gauntlet.adapters.local_store import LocalStore
from gauntlet.adapters.s3_store import S3Store, s3_client


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
