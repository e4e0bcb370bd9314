"""Where the files that are written of a user's files lie in the object store; each name follows from a content."""

from gauntlet.jobs.upkeep import USER_FILES


def kept_key(spec: str, sha256: str) -> str:
    """Return where our own, unchangeable copy of a content lies."""
    return f"inputs/{spec}/{sha256}.parquet"


def ready_key(spec: str, sha256: str) -> str:
    """Return where rows that are ready to train on lie; the hash is that of their own file."""
    return f"ready/{spec}/{sha256}.parquet"


def scores_key(spec: str, version: int, sha256: str) -> str:
    """Return where the scores lie that a version makes of a content."""
    return f"{USER_FILES}/{spec}/scores/v{version}/{sha256}.parquet"
