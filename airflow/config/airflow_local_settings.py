"""Loads the heavy libraries once, in the process that forks the tasks' workers, so that these have them already.

That is the scheduler with the LocalExecutor, and each Celery worker. Airflow imports this file in each of its
processes. A library that is not installed is left out.
"""

import importlib
import logging
import sys
import warnings
from pathlib import Path

from airflow.configuration import conf

PRELOADED = (
    "pandas",
    "pyarrow.parquet",
    "scipy.stats",
    "sklearn.compose",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.model_selection",
    "sklearn.pipeline",
    "sklearn.preprocessing",
    "skops.io",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "mlflow",
    "mlflow.sklearn",
    "psycopg2",
    "gauntlet.bootstrap",
    "gauntlet.jobs.pipeline",
    "gauntlet.jobs.arrivals",
    "gauntlet.jobs.score_files",
    "gauntlet.adapters.ledger",
    "gauntlet.adapters.marts",
    "gauntlet.adapters.mlflow_registry",
    "gauntlet.adapters.mlflow_tracking",
    "gauntlet.adapters.objects",
    "gauntlet.adapters.router_client",
)

# touched whenever the worker has told the queue that it lives, for its container's health check
CELERY_HEARTBEAT = Path("/tmp/celery-heartbeat")  # noqa: S108 - the container's own

log = logging.getLogger(__name__)


def preload() -> None:
    """Import what tasks need; a missing library costs a line in the log."""
    with warnings.catch_warnings():
        # skops looks at every attribute of every module, and so at hundreds of deprecated ones
        warnings.simplefilter("ignore")
        for name in PRELOADED:
            try:
                importlib.import_module(name)
            except ImportError as error:
                log.warning("not preloaded: %s (%s)", name, error)


def show_heartbeats() -> None:
    """Touch a file at each heartbeat; asking the worker itself would cost an interpreter each time."""
    from celery.signals import heartbeat_sent

    heartbeat_sent.connect(_touch, weak=False)


def _touch(**_: object) -> None:
    CELERY_HEARTBEAT.touch()


if sys.argv[1:2] == ["scheduler"] and conf.get("core", "executor") == "LocalExecutor":
    preload()
if sys.argv[1:3] == ["celery", "worker"]:
    preload()
    show_heartbeats()
