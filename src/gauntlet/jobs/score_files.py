"""Files scored: rows that fulfil the spec into the marts, with their scores, and into a file of scores."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from gauntlet.jobs.batch_maker import BatchMaker
from gauntlet.jobs.inbox import inbox, scratch_file, sha256_of, uri_of, writing
from gauntlet.jobs.keys import scores_key
from gauntlet.jobs.mart_port import BatchKind, Loaded
from gauntlet.jobs.predictor import predictor
from gauntlet.jobs.score_pieces import Scored, load_model
from gauntlet.jobs.scores_file import Told, write_scores

if TYPE_CHECKING:
    from pathlib import Path

    from gauntlet.domain.spec import Spec
    from gauntlet.jobs.choice import Chosen
    from gauntlet.jobs.inbox import Fetched
    from gauntlet.jobs.ledger_port import Ledger
    from gauntlet.jobs.mart_port import Batch, InputFile, Mart, NewBatch
    from gauntlet.jobs.ports import ObjectStore, Registry, Version
    from gauntlet.jobs.upkeep import Files

log = logging.getLogger(__name__)


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
    ports.mart.prepare(run.spec)
    maker = BatchMaker(
        spec=run.spec,
        kind=BatchKind.PREDICT,
        version=chosen.version.version,
        rule=chosen.rule,
        run_key=run.key,
        code_version=run.code_version,
        files=ports.files,
        mart=ports.mart,
        scratch=run.scratch,
    )
    return maker.make(file, partial(_score, run, ports, chosen.version))


def _score(run: ScoreRun, ports: ScorePorts, version: Version, batch: NewBatch, found: Fetched) -> Batch:
    """Load the marts and write the scores; the scores lie in the store before the marts say that they do."""
    spec = run.spec
    model = load_model(ports, version, spec, run.threads)
    ports.mart.describe(predictor(ports.ledger, version))
    key = scores_key(spec.name, version.version, found.sha256)
    with scratch_file(run.scratch) as scores, ports.mart.load(batch) as loading:

        def load(piece: Scored) -> None:
            loading.add(piece.piece.rows(spec), piece.scores, piece.piece.rejected)

        with writing(run.scratch, "the scores"):
            tally, written = write_scores(spec, found, model, scores, load, run.told)
            sha256 = sha256_of(scores)
        ports.files.write(key, scores)
        uri = uri_of(ports.files.root, key)
        done = loading.commit(Loaded(tally.read, tally.accepted, tally.rejected, written, uri, sha256))
    log.info("%s by v%d: %s; %d scores in %s", found.file.uri, version.version, tally.line, written, uri)
    return done
