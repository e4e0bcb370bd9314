"""Files scored: rows that fulfil the spec into the marts, with their scores, and into a file of scores."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from gauntlet.domain.intake import FileRefused
from gauntlet.jobs.ahead import ahead
from gauntlet.jobs.inbox import DATA, Fetched, fetched, inbox, keep, scratch_file, sha256_of, uri_of, writing
from gauntlet.jobs.mart_port import Batch, BatchKind, Loaded, Loading, NewBatch, Predictor
from gauntlet.jobs.score_pieces import DEPTH, Model, Scored, Tally, opened_for, scored
from gauntlet.jobs.scores_file import Origin, ScoresFile, scores_file
from gauntlet.jobs.scoring import scorer

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from gauntlet.domain.spec import Spec
    from gauntlet.jobs.choice import Chosen
    from gauntlet.jobs.ledger_port import Ledger
    from gauntlet.jobs.mart_port import InputFile, Mart
    from gauntlet.jobs.ports import ObjectStore, Registry, Version
    from gauntlet.jobs.upkeep import Files

log = logging.getLogger(__name__)

Told = Callable[[int, int], None]
"""What is told how many rows of how many have been done."""


@dataclass(frozen=True)
class ScorePorts:
    """The services that scoring works with; `files` are those of the store where the users' files lie."""

    files: Files
    store: ObjectStore
    registry: Registry
    ledger: Ledger
    mart: Mart


@dataclass(frozen=True)
class ScoreRun:
    """One run of scoring for one spec; `key` identifies it in the marts, `scratch` is a folder for passing files."""

    key: str
    spec: Spec
    scratch: Path
    threads: int
    code_version: str
    told: Told


def new_files(ports: ScorePorts, spec: Spec, version: int) -> list[InputFile]:
    """Return the files to predict that a version has neither scored nor refused, oldest first."""
    ports.mart.prepare(spec)
    seen = ports.mart.seen(spec.name, BatchKind.PREDICT, version)
    return [file for file in inbox(ports.files, spec.name, BatchKind.PREDICT) if (file.uri, file.mark) not in seen]


def score_file(run: ScoreRun, ports: ScorePorts, file: InputFile, chosen: Chosen) -> Batch:
    """Score a file with a version, once: what was scored before, under whatever name, is returned as it is.

    Raises FileRefused, which the marts record, for a file that cannot be scored; Refused when the model fails.
    """
    name, number = run.spec.name, chosen.version.version
    ports.mart.prepare(run.spec)
    with (
        fetched(ports.files, file, run.scratch) as found,
        ports.mart.lock(f"batch {name} {found.sha256} {number}"),
    ):
        known = ports.mart.done(name, BatchKind.PREDICT, found.sha256, number)
        if known is not None:
            if (known.uri, known.mark) != (found.file.uri, found.file.mark):
                ports.mart.also(known, found.file)
            log.info("%s was scored by v%d before: batch %d", file.uri, number, known.id)
            return known
        batch = _new_batch(run, ports, found, chosen)
        try:
            return _score(run, ports, found, batch, chosen.version)
        except FileRefused as refused:
            ports.mart.refuse(batch, str(refused))
            raise


def scores_key(spec: str, version: int, sha256: str) -> str:
    """Return where the scores lie that a version makes of a content."""
    return f"{DATA}/{spec}/scores/v{version}/{sha256}.parquet"


def predictor(ledger: Ledger, version: Version) -> Predictor:
    """Return what the ledger knows of a version, with the verdict on the run that made it."""
    settled = ledger.settled(version.spec, version.run_key)
    return Predictor(
        spec=version.spec,
        version=version.version,
        model=version.model,
        run_id=version.run_id,
        recipe=version.recipe,
        model_sha256=version.model_sha256,
        snapshot_uri=version.snapshot.uri,
        snapshot_sha256=version.snapshot.sha256,
        decision_id=settled.id if settled else None,
        verdict=str(settled.verdict) if settled and settled.verdict else None,
        reason=settled.reason if settled else None,
        decided_at=settled.at if settled else None,
    )


def _new_batch(run: ScoreRun, ports: ScorePorts, found: Fetched, chosen: Chosen) -> NewBatch:
    return NewBatch(
        spec=run.spec,
        kind=BatchKind.PREDICT,
        file=found.file,
        sha256=found.sha256,
        kept_uri=keep(ports.files, run.spec.name, found),
        version=chosen.version.version,
        rule=chosen.rule,
        run_key=run.key,
        code_version=run.code_version,
    )


def _score(run: ScoreRun, ports: ScorePorts, found: Fetched, batch: NewBatch, version: Version) -> Batch:
    """Load the marts and write the scores; the scores lie in the store before the marts say that they do."""
    model = Model(version.version, scorer(ports, version, run.spec), run.threads)
    ports.mart.describe(predictor(ports.ledger, version))
    key = scores_key(run.spec.name, version.version, found.sha256)
    with scratch_file(run.scratch) as scores, ports.mart.load(batch) as loading:
        tally, written = _fill(run, found, model, Origin(version, found.file.uri, found.sha256), scores, loading)
        sha256 = sha256_of(scores)
        ports.files.write(key, scores)
        uri = uri_of(ports.files.root, key)
        done = loading.commit(Loaded(tally.read, tally.accepted, tally.rejected, written, uri, sha256))
    log.info("%s by v%d: %s; %d scores in %s", found.file.uri, version.version, tally.line, written, uri)
    return done


def _fill(
    run: ScoreRun, found: Fetched, model: Model, origin: Origin, sink: BinaryIO, loading: Loading
) -> tuple[Tally, int]:
    """Pass every piece on to the marts and to the file of scores; returns what was read, and the rows written."""
    name, spec, tally = found.file.uri, run.spec, Tally()
    with opened_for(spec, found.data, name) as (parquet, intake):
        total = parquet.metadata.num_rows
        with (
            writing(run.scratch, "the scores"),
            scores_file(sink, parquet.schema_arrow, spec, origin) as file,
            scored(parquet, name, intake, spec, model) as pieces,
            ahead(_written(pieces, file), DEPTH) as written,
        ):
            for piece in written:
                loading.add(piece.piece.rows(spec), piece.scores, piece.piece.rejected)
                tally.add(piece)
                run.told(tally.read, total)
    tally.require_rows(name)
    return tally, file.written


def _written(pieces: Iterator[Scored], file: ScoresFile) -> Generator[Scored]:
    """Pass pieces on once they are in the file of scores."""
    for piece in pieces:
        file.add(piece)
        yield piece
