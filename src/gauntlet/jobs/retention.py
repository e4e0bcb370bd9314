"""Retention: batches past their age leave the marts, and with them the score files that were written of them.

A batch stays, whatever its age, when
- a version was trained on it: it is that version's lineage;
- the next run would only make it again: its file still lies in its folder as it was, and it was read for training, or
  scored by the version that is in production or that scored last.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gauntlet.jobs.inbox import DATA, inbox, uri_of
from gauntlet.jobs.mart_port import BatchKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from gauntlet.jobs.mart_port import Batch
    from gauntlet.jobs.upkeep import Files, Item

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OldBatch:
    """A batch, the (uri, mark) of every file with its content, and the version that scored last of its spec."""

    batch: Batch
    files: frozenset[tuple[str, str]]
    is_trained_on: bool
    last_version: int | None


@dataclass(frozen=True)
class Gone:
    """A batch that goes: its rows, kept or rejected, and the bytes of its score file."""

    batch: Batch
    rows: int
    size: int


class Shelf(Protocol):
    """The batches as far as retention needs them."""

    def old(self, before: datetime, spec: str | None) -> Sequence[OldBatch]:
        """The batches that ended before a time, oldest first."""
        ...

    def remove(self, batch: Batch) -> bool:
        """Remove a batch with its rows in one transaction; returns whether: not one that a version was trained on."""
        ...


def retire(
    shelf: Shelf, files: Files, champions: Mapping[str, int], before: datetime, spec: str | None, *, dry_run: bool
) -> list[Gone]:
    """Remove the batches that ended before a time, of one spec or all, and say which; with `dry_run` only say it.

    `champions` is the version in production, by spec. The file of a batch goes first: killed half way, the next try
    finds the batch again.
    """
    old = [each for each in shelf.old(before, spec) if not each.is_trained_on]
    waiting = {(each.batch.spec, each.batch.kind): set[tuple[str, str]]() for each in old}
    for name, kind in waiting:
        waiting[name, kind] = {(file.uri, file.mark) for file in inbox(files, name, kind)}
    written = _scores(files, {each.batch.spec for each in old})
    gone = []
    for each in old:
        batch = each.batch
        if _again(each, champions) and each.files & waiting[batch.spec, batch.kind]:
            continue
        item = written.get(batch.output_uri or "")
        if dry_run or _removed(shelf, files, batch, item, before):
            gone.append(Gone(batch, batch.accepted + batch.rejected, item.size if item else 0))
    return gone


def _again(old: OldBatch, champions: Mapping[str, int]) -> bool:
    """Whether a run would take the batch's file, if it found it."""
    batch = old.batch
    return batch.kind is BatchKind.TRAIN or batch.version in (champions.get(batch.spec), old.last_version)


def _scores(files: Files, specs: set[str]) -> dict[str, Item]:
    """The score files by their URI; rows ready for training are pruned as objects that nobody names."""
    return {uri_of(files.root, item.key): item for spec in specs for item in files.items(f"{DATA}/{spec}/scores")}


def _removed(shelf: Shelf, files: Files, batch: Batch, item: Item | None, before: datetime) -> bool:
    if item is not None and not files.delete(item.key, before):
        log.info("batch %d stays: its scores were written again", batch.id)
        return False
    return shelf.remove(batch)
