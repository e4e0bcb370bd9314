"""Scoring of files, put together from the settings: in a run of predict_pipeline, and from the command line."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gauntlet.bootstrap.catalogue import load_spec
from gauntlet.bootstrap.environment import reach_loopback_directly
from gauntlet.bootstrap.wiring import code_version, ledger, object_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from gauntlet.jobs.score_files import ScorePorts, ScoreRun
    from gauntlet.jobs.score_local import LocalScores, Rows
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
    from gauntlet.adapters.tables import writing_whole
    from gauntlet.jobs.choice import choose
    from gauntlet.jobs.inbox import fetched
    from gauntlet.jobs.score_local import LocalRun, score_local

    _require_others(source, out, rejects)
    spec = load_spec(settings, spec_name)
    ports = _model_ports(settings)
    chosen = choose(ports, spec, rule or spec.predict.model)
    file = _local_file(source)
    with ExitStack() as stack:
        found = stack.enter_context(fetched(LocalStore(source.resolve().parent), file, settings.scratch_dir))
        sink = stack.enter_context(writing_whole(out))
        rejected = _rows_file(stack.enter_context(writing_whole(rejects)), rejects) if rejects else None
        run = LocalRun(spec, chosen, settings.training_threads, told)
        return score_local(run, ports, found, sink, rejected)
