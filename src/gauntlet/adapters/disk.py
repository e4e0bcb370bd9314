"""Disks that are full."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gauntlet.jobs.manifest import BackupError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def room_for(place: Path) -> Iterator[None]:
    """Tell that what is written inside has no room; `place` is the file, or the folder, as its user knows it."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise BackupError(
            f"A backup must fit on the disk; found {error.strerror} at {place}. Make room, or name another."
        ) from error
