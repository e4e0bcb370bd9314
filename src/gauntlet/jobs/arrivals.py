"""Files that have arrived, and that nobody was told of yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gauntlet.jobs.inbox import inbox

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gauntlet.domain.spec import Spec
    from gauntlet.jobs.mart_port import BatchKind, InputFile, Mart
    from gauntlet.jobs.upkeep import Files


def arrived(files: Files, mart: Mart, spec: Spec, kind: BatchKind, now: datetime) -> Sequence[InputFile]:
    """Return the files of a folder that were never taken in and are to be told of now, oldest first.

    A file is told of once, and again after ten minutes in which nobody took it in: its DAG may have been paused.
    """
    listed = inbox(files, spec.name, kind)
    if not listed:
        return ()
    seen = set(mart.seen(spec.name, kind, None))
    new = [file for file in listed if (file.uri, file.mark) not in seen]
    return mart.announce(spec.name, kind, new, now) if new else ()
