"""A connection to an MLflow server, and the runs in it that belong to a run key."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import requests
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, ViewType
from mlflow.environment_variables import (
    MLFLOW_HTTP_REQUEST_MAX_RETRIES,
    MLFLOW_HTTP_REQUEST_TIMEOUT,
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT,
)
from mlflow.exceptions import MlflowException, RestException

from gauntlet.jobs.ports import ServiceAway, StoreError

RUN_KEY = "gauntlet.run_key"
KIND = "gauntlet.kind"
ABSENT = "RESOURCE_DOES_NOT_EXIST"
EXISTS = "RESOURCE_ALREADY_EXISTS"
PARENT = "mlflow.parentRunId"
# MLflow's words for trouble with its database, and its client's for an address at which something else answers.
NO_REFUSAL = ("BAD_REQUEST", "ENDPOINT_NOT_FOUND")

CLIENT_SETTINGS = (
    (MLFLOW_HTTP_REQUEST_MAX_RETRIES, 2),
    (MLFLOW_HTTP_REQUEST_TIMEOUT, 30),
    (MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT, True),
)


class MlflowServer:
    """An MLflow server by its URI; holds no state but that, so it may be shared by threads and forked children."""

    def __init__(self, uri: str) -> None:
        # MLflow's client takes these from its variables only, and waits four minutes for a server that is down.
        for variable, value in CLIENT_SETTINGS:
            if not variable.is_set():
                variable.set(value)
        self.uri = uri
        self.client = MlflowClient(tracking_uri=uri, registry_uri=uri)

    @contextmanager
    def asked(self) -> Iterator[MlflowClient]:
        """Hand over the client; what MLflow refuses inside becomes StoreError, any other failure ServiceAway."""
        try:
            yield self.client
        except (MlflowException, requests.RequestException) as error:
            if _is_refusal(error):
                said = " ".join(str(error).split())[:500]
                raise StoreError(
                    f'MLflow at {self.uri} must take what it is asked; it refused: "{said}". Correct what it names.'
                ) from error
            said = " ".join(str(_root(error)).split())[:200]
            remedy = "Start the stack, or correct MLFLOW_TRACKING_URI."
            raise ServiceAway(f'MLflow must answer at {self.uri}; found "{said}". {remedy}') from error

    def experiment(self, name: str) -> str:
        """Return the id of the experiment, made or restored when it is not there."""
        with self.asked() as client:
            found = client.get_experiment_by_name(name)
            if found is None:
                try:
                    created: str = client.create_experiment(name)
                except RestException as error:
                    if error.error_code != EXISTS:
                        raise
                    return self.experiment(name)
                return created
            if found.lifecycle_stage == "deleted":
                client.restore_experiment(found.experiment_id)
            return str(found.experiment_id)

    def runs(self, experiment_id: str, run_key: str, kind: str) -> list[Any]:
        """Return the runs of a kind that carry the run key, parents and children alike."""
        query = f"tags.`{RUN_KEY}` = {quoted(run_key)} and tags.`{KIND}` = {quoted(kind)}"
        with self.asked() as client:
            return list(client.search_runs([experiment_id], query, ViewType.ACTIVE_ONLY, max_results=1000))

    def kill(self, runs: list[Any]) -> None:
        """Close runs of an earlier try, so that none seems to go on for ever."""
        with self.asked() as client:
            for run in runs:
                if run.info.status != "KILLED":
                    client.set_terminated(run.info.run_id, status="KILLED")

    def start(self, experiment_id: str, name: str, tags: Mapping[str, str]) -> str:
        """Open a run and return its id."""
        with self.asked() as client:
            shown = {"mlflow.user": "gauntlet", "mlflow.source.name": "gauntlet", **tags}
            return str(client.create_run(experiment_id, tags=shown, run_name=name).info.run_id)

    def log(self, run_id: str, params: Mapping[str, object], metrics: Mapping[str, float]) -> None:
        """Log parameters and metrics in one request."""
        now = int(time.time() * 1000)
        with self.asked() as client:
            client.log_batch(
                run_id,
                params=[Param(key, str(value)) for key, value in params.items()],
                metrics=[Metric(key, float(value), now, 0) for key, value in metrics.items()],
            )

    def upload(self, run_id: str, files: Mapping[str, bytes]) -> None:
        """Store files beside a run, by name."""
        with self.asked() as client, TemporaryDirectory(prefix="gauntlet-") as folder:
            for name, data in files.items():
                Path(folder, name).write_bytes(data)
            client.log_artifacts(run_id, folder)

    def finish(self, run_id: str) -> None:
        """Close a run that went well."""
        with self.asked() as client:
            client.set_terminated(run_id, status="FINISHED")


def _is_refusal(error: Exception) -> bool:
    """Say whether MLflow is well and will not do it; the same request would be refused again."""
    if isinstance(error, MlflowException):
        return error.error_code not in NO_REFUSAL and _refuses(error.get_http_status_code())
    response = getattr(error, "response", None)  # an artifact's
    return response is not None and _refuses(response.status_code)


def _refuses(status: int) -> bool:
    return (
        HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.TOO_MANY_REQUESTS
    )


def _root(error: BaseException) -> BaseException:
    """Return what an error began with: the refused connection rather than five layers around it."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return error


def quoted(text: str) -> str:
    """Return text as a literal of MLflow's search language, which knows no escapes."""
    if "'" in text and '"' in text:
        raise ValueError(f"a run key may hold one kind of quotation mark; found {text}. Name the run otherwise.")
    return f'"{text}"' if "'" in text else f"'{text}'"
