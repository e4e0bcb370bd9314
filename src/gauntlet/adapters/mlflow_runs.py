"""MLflow's runs and logged models for pruning: what is ours, what the registry names, and removal for ever.

Not by `mlflow gc`: that removes whatever is marked as deleted, a model that an alias names as well, and leaves the
files of logged models.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException

from gauntlet.adapters.mlflow_registry import SOURCE
from gauntlet.adapters.mlflow_server import ABSENT, KIND, PARENT, MlflowServer
from gauntlet.jobs.prune import LoggedModel, Named, OldRun

log = logging.getLogger(__name__)
T = TypeVar("T")

SCHEMES = ("file:", "s3:")
ENDED = ("FINISHED", "FAILED", "KILLED")
PAGE = 1000


class MlflowRuns:
    """The runs of an MLflow server; rows are removed in its database, at `database_url`."""

    def __init__(self, uri: str, database_url: str) -> None:
        self._server = MlflowServer(uri)
        self._database_url = database_url.replace("postgresql://", "postgresql+psycopg2://", 1)

    def named(self) -> Named:
        """Return what registered versions name: their runs, their models, and the objects in their tags."""
        with self._server.asked() as client:
            versions = list(_pages(lambda token: client.search_model_versions(max_results=PAGE, page_token=token)))
            texts = [text for version in versions for text in _texts(client, version)]
        return Named(
            objects=frozenset(_file(text) for text in texts if text.startswith(SCHEMES)),
            runs=frozenset(version.run_id for version in versions if version.run_id),
            models=frozenset(_model_of(version) for version in versions),
        )

    def ours(self) -> Sequence[OldRun]:
        """Return every run that carries our tag, in whatever experiment, deleted ones as well."""
        with self._server.asked() as client:
            experiments = [each.experiment_id for each in self._experiments(client)]
            query = f"tags.`{KIND}` LIKE '%'"
            found = _pages(lambda token: client.search_runs(experiments, query, ViewType.ALL, PAGE, page_token=token))
            return [_old_run(run) for run in found]

    def models(self, runs: Collection[str]) -> Sequence[LoggedModel]:
        """Return the models that these runs logged."""
        with self._server.asked() as client:
            experiments = [each.experiment_id for each in self._experiments(client)]
            found = list(
                _pages(lambda token: client.search_logged_models(experiments, max_results=50, page_token=token))
            )
        return [
            LoggedModel(model.model_id, model.source_run_id, _folder(model.artifact_location))
            for model in found
            if model.source_run_id in runs
        ]

    def remove(self, runs: Sequence[OldRun], models: Sequence[LoggedModel]) -> None:
        """Remove rows for ever, but for what a registered version names by now."""
        if not runs and not models:
            return
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        store = SqlAlchemyStore(self._database_url, "mlflow-artifacts:/")
        named = self.named()
        for model in models:
            if model.model_id not in named.models:
                _gone_is_well(store._hard_delete_logged_model, model.model_id)
        for run in runs:
            if run.run_id not in named.runs:
                _gone_is_well(store._hard_delete_run, run.run_id)

    def _experiments(self, client: Any) -> Iterator[Any]:
        return _pages(lambda token: client.search_experiments(ViewType.ALL, max_results=PAGE, page_token=token))


def _pages(ask: Callable[[str | None], Any]) -> Iterator[Any]:
    token: str | None = None
    while True:
        page = ask(token)
        yield from page
        token = page.token
        if not token:
            return


def _texts(client: Any, version: Any) -> list[str]:
    """The texts in which a version may name objects: its tags, and the parameters of its run."""
    texts = list(version.tags.values())
    if version.run_id:
        try:
            texts += client.get_run(version.run_id).data.params.values()
        except MlflowException as error:
            if error.error_code != ABSENT:
                raise
    return texts


def _model_of(version: Any) -> str:
    return str(version.source or "").removeprefix(SOURCE).partition("/")[0]


def _file(uri: str) -> str:
    return uri.rpartition("/")[2]


def _old_run(run: Any) -> OldRun:
    done = run.info.status in ENDED and run.info.end_time is not None
    ended = datetime.fromtimestamp(run.info.end_time / 1000, UTC) if done else None
    return OldRun(run.info.run_id, run.data.tags.get(PARENT), ended, _folder(run.info.artifact_uri))


def _folder(uri: str) -> str | None:
    """Return the folder in MLflow's artifact store of EXPERIMENT/RUN/artifacts or EXPERIMENT/models/MODEL/artifacts."""
    path = urlsplit(uri)
    parts = path.path.strip("/").split("/")
    known = len(parts) >= 3 and parts[-1] == "artifacts" and not {"", ".", ".."} & set(parts)
    return "/".join(parts[:-1]) if path.scheme == "mlflow-artifacts" and known else None


def _gone_is_well(remove: Callable[[str], object], identity: str) -> None:
    try:
        remove(identity)
    except MlflowException as error:
        if error.error_code != ABSENT:
            raise
