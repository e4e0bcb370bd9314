"""Scoring of files, put together from the settings: in a run of predict_pipeline, and from the command line."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gauntlet.bootstrap.catalogue import load_spec
from gauntlet.bootstrap.environment import reach_loopback_directly
from gauntlet.bootstrap.wiring import code_version, ledger, object_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gauntlet.jobs.ledger_port import Ledger
    from gauntlet.jobs.mart_port import InputFile
    from gauntlet.jobs.ports import ObjectStore, Registry
    from gauntlet.jobs.score_files import ScorePorts, ScoreRun
    from gauntlet.jobs.score_local import LocalScores
    from gauntlet.settings import Settings

log = logging.getLogger(__name__)

TOLD_EVERY = 5.0
"""Seconds between two lines of the log that say how far a file is."""


def score_ports(settings: Settings) -> ScorePorts:
    """Return the adapters that the settings name; raises SettingsError when an address is missing."""
    from gauntlet.adapters.mlflow_registry import MlflowRegistry
    from gauntlet.bootstrap.marts import mart
    from gauntlet.jobs.score_files import ScorePorts

    settings.require("mlflow_tracking_uri", "gauntlet_database_url", "object_store")
    reach_loopback_directly()
    store = object_store(settings)
    registry = MlflowRegistry(str(settings.mlflow_tracking_uri))
    return ScorePorts(files=store, store=store, registry=registry, ledger=ledger(settings), mart=mart(settings))


def make_score_run(settings: Settings, spec: str, key: str) -> ScoreRun:
    """Return the run that `key` names."""
    from gauntlet.jobs.score_files import ScoreRun

    return ScoreRun(
        key=key,
        spec=load_spec(settings, spec),
        scratch=settings.scratch_dir,
        threads=settings.training_threads,
        code_version=code_version(),
        told=_logged(time.monotonic),
    )


def score_path(
    settings: Settings,
    source: Path,
    spec_name: str | None,
    rule: str | None,
    out: Path,
    rejects: Path | None,
    told: Callable[[int, int], None],
) -> LocalScores:
    """Score a parquet file of this machine into another one, and its rejected rows into a third (parquet or CSV).

    Each file is written whole or not at all. Raises TableError when they are no files, or the same.
    """
    from gauntlet.adapters.local_store import LocalStore
    from gauntlet.adapters.whole_files import rows_file, writing_whole
    from gauntlet.domain.mart import REJECTED_SCHEMA
    from gauntlet.jobs.choice import choose
    from gauntlet.jobs.inbox import fetched
    from gauntlet.jobs.score_local import LocalRun, score_local

    _require_others(source, out, rejects)
    spec, ports = load_spec(settings, spec_name), _model_ports(settings)
    file = _local_file(source)
    chosen = choose(ports, spec, rule or spec.predict.model)
    with ExitStack() as stack:
        found = stack.enter_context(fetched(LocalStore(source.resolve().parent), file, settings.scratch_dir))
        sink = stack.enter_context(writing_whole(out))
        rejected = stack.enter_context(rows_file(rejects, REJECTED_SCHEMA)) if rejects else None
        return score_local(LocalRun(spec, chosen, settings.training_threads, told), ports, found, sink, rejected)


@dataclass(frozen=True)
class _ModelPorts:
    """The services that know models: those that score a file of this machine."""

    store: ObjectStore
    registry: Registry
    ledger: Ledger


def _model_ports(settings: Settings) -> _ModelPorts:
    from gauntlet.adapters.mlflow_registry import MlflowRegistry

    settings.require("mlflow_tracking_uri", "gauntlet_database_url", "object_store")
    reach_loopback_directly()
    return _ModelPorts(object_store(settings), MlflowRegistry(str(settings.mlflow_tracking_uri)), ledger(settings))


def _require_others(source: Path, out: Path, rejects: Path | None) -> None:
    """Raise TableError when a file to write is the one that is read, or two to write are one."""
    from gauntlet.adapters.tables import TableError

    if not source.is_file():
        raise TableError(f"a file to score must exist; {source} is none. Check the name.")
    written = [out, *([rejects] if rejects else [])]
    for number, path in enumerate(written):
        other = next((one for one in (source, *written[:number]) if _same(path, one)), None)
        if other is not None:
            raise TableError(f"a file to write must be one of its own; {path} is {other}. Name another one.")


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))


def _local_file(source: Path) -> InputFile:
    from gauntlet.jobs.mart_port import InputFile

    path = source.resolve()
    found = path.stat()
    return InputFile(path.as_uri(), path.name, found.st_size, "", datetime.fromtimestamp(found.st_mtime, UTC))


def _logged(clock: Callable[[], float]) -> Callable[[int, int], None]:
    """Return what logs how far a file is, every few seconds."""
    last = clock()

    def told(rows: int, total: int) -> None:
        nonlocal last
        if clock() - last >= TOLD_EVERY:
            last = clock()
            log.info("%s of %s rows scored", f"{rows:,}", f"{total:,}")

    return told
