"""A file made into a batch once: under whatever name it comes, however many runs try, wherever one was killed."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gauntlet.domain.intake import FileRefused
from gauntlet.jobs.inbox import Fetched, fetched, keep
from gauntlet.jobs.mart_port import NewBatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gauntlet.domain.spec import Spec
    from gauntlet.jobs.mart_port import Batch, BatchKind, InputFile, Mart
    from gauntlet.jobs.upkeep import Files

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BatchMaker:
    """Who makes batches: for which spec and run, by which version and rule (None for training), and where.

    `scratch` is a folder for passing files.
    """

    spec: Spec
    kind: BatchKind
    version: int | None
    rule: str | None
    run_key: str
    code_version: str
    files: Files
    mart: Mart
    scratch: Path

    def make(self, file: InputFile, load: Callable[[NewBatch, Fetched], Batch]) -> Batch:
        """Return the batch of a file's content: what was made before as it is, else what `load` makes of it.

        FileRefused, which the marts record, where `load` raises it.
        """
        name = self.spec.name
        with (
            fetched(self.files, file, self.scratch) as found,
            self.mart.lock(f"batch {name} {found.sha256} {self.version}"),
        ):
            known = self.mart.done(name, self.kind, found.sha256, self.version)
            if known is not None:
                if (known.uri, known.mark) != (found.file.uri, found.file.mark):
                    self.mart.also(known, found.file)
                log.info("%s was taken in before: batch %d", file.uri, known.id)
                return known
            batch = self._new_batch(found)
            try:
                return load(batch, found)
            except FileRefused as refused:
                self.mart.refuse(batch, str(refused))
                raise

    def _new_batch(self, found: Fetched) -> NewBatch:
        return NewBatch(
            spec=self.spec,
            kind=self.kind,
            file=found.file,
            sha256=found.sha256,
            kept_uri=keep(self.files, self.spec.name, found),
            version=self.version,
            rule=self.rule,
            run_key=self.run_key,
            code_version=self.code_version,
        )
