"""Loads the heavy libraries once, in the scheduler, so that the workers it forks for tasks have them already.

Airflow imports this file in each of its processes. A library that is not installed is left out.
"""

import importlib
import logging
import sys
import warnings

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
    "gauntlet.adapters.ledger",
    "gauntlet.adapters.mlflow_registry",
    "gauntlet.adapters.mlflow_tracking",
    "gauntlet.adapters.objects",
    "gauntlet.adapters.router_client",
)

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


if sys.argv[1:2] == ["scheduler"]:
    preload()
