"""The model registry in MLflow: versions that describe themselves by tags, aliases, and the stages that follow them."""

import hashlib
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow.artifacts
import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException, RestException

from gauntlet.adapters.mlflow_server import ABSENT, EXISTS, RUN_KEY, MlflowServer, quoted
from gauntlet.adapters.mlflow_training import MODEL_FILE, LoggedTraining, log_training
from gauntlet.domain.aliases import Alias
from gauntlet.jobs.ports import Candidate, Stored, StoreError, Version

PREFIX = "gauntlet."
SOURCE = "models:/"

STAGES = {Alias.PRODUCTION: "Production", Alias.STAGING: "Staging"}
"""MLflow's deprecated stage for an alias; `previous` never had one."""

ARCHIVED = "Archived"
NOT_FOUND = re.compile(r"\b404\b|NoSuchKey|No such artifact")
PARAGRAPH = "\n\n"


class MlflowRegistry:
    """The registry of an MLflow server."""

    def __init__(self, uri: str) -> None:
        self._server = MlflowServer(uri)

    def has_model(self, model: str) -> bool:
        """Say whether the registered model exists."""
        with self._server.asked() as client:
            return _or_none(client.get_registered_model, model) is not None

    def find(self, model: str, run_key: str) -> Version | None:
        """Return the version that a run registered, from its tags."""
        query = f"name = {quoted(model)} and tags.`{RUN_KEY}` = {quoted(run_key)}"
        with self._server.asked() as client:
            found = sorted(client.search_model_versions(query), key=lambda version: int(version.version))
        return _version(found[0]) if found else None

    def describe(self, model: str, version: int) -> Version | None:
        """Return a version from its tags."""
        with self._server.asked() as client:
            found = _or_none(client.get_model_version, model, str(version))
        return _version(found) if found else None

    def publish(self, candidate: Candidate, *, log_details: bool) -> Version:
        """Log the training and register its model; the caller has asked `find`, under the ledger's lock."""
        logged = log_training(self._server, candidate, log_details=log_details)
        with self._server.asked() as client:
            _make_model(client, candidate)
            created = client.create_model_version(
                candidate.names.model,
                source=f"{SOURCE}{logged.model_id}",
                run_id=logged.run_id,
                model_id=logged.model_id,
                description=_description(candidate),
                tags=_tags(candidate, logged),
                await_creation_for=0,
            )
        version = _version(created)
        if version is None:
            raise StoreError(f"MLflow must keep a version's tags; {created.name} v{created.version} lost them.")
        return version

    def model_bytes(self, version: Version) -> bytes:
        """Return the version's skops file; raises StoreError when it is gone or its hash is not the one kept."""
        name = f"{version.model} v{version.version}"
        with self._server.asked() as client:
            found = _or_none(client.get_model_version, version.model, str(version.version))
            logged = _or_none(client.get_logged_model, found.source.removeprefix(SOURCE)) if found else None
            data = self._download(f"{logged.artifact_location}/{MODEL_FILE}") if logged else None
        if data is None:
            raise StoreError(f"{name} must be in the registry; its file is gone. Restore it from a backup.")
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 != version.model_sha256:
            rule = f"the model file of {name} must have the SHA-256 kept at registration, {version.model_sha256}"
            raise StoreError(f"{rule}; found {sha256}. It was altered: restore it from a backup, and do not load it.")
        return data

    def alias(self, model: str, alias: str) -> int | None:
        """Return the version an alias names; None when the alias or the model does not exist."""
        with self._server.asked() as client:
            found = _or_none(client.get_model_version_by_alias, model, alias)
        return int(found.version) if found else None

    def set_alias(self, model: str, alias: str, version: int | None) -> None:
        """Point an alias at a version, or drop it; raises StoreError for a version that does not exist."""
        stage = STAGES.get(Alias(alias))
        with self._server.asked() as client, _without_warnings():
            if version is None:
                _drop(client, model, alias, stage)
            else:
                _point(client, model, alias, stage, version)

    def annotate(self, version: Version, markdown: str) -> None:
        """Put Markdown below the first paragraph of a version's description, instead of what stood there."""
        number = str(version.version)
        with self._server.asked() as client:
            found = _or_none(client.get_model_version, version.model, number)
            if found is None:
                raise StoreError(f"what is described must be in the registry; {version.model} v{number} is not.")
            first, _, _ = (found.description or "").partition(PARAGRAPH)
            client.update_model_version(version.model, number, PARAGRAPH.join(filter(None, [first, markdown])))

    def _download(self, uri: str) -> bytes | None:
        try:
            with TemporaryDirectory(prefix="gauntlet-") as folder:
                path = mlflow.artifacts.download_artifacts(uri, dst_path=folder, tracking_uri=self._server.uri)
                return Path(path).read_bytes()
        except requests.HTTPError as error:
            if error.response is not None and error.response.status_code == requests.codes.not_found:
                return None
            raise
        except MlflowException as error:  # what MLflow's own client makes of the same answer
            if NOT_FOUND.search(str(error)):
                return None
            raise


def _description(candidate: Candidate) -> str:
    best = next(result for result in candidate.training.candidates if result.name == candidate.training.best)
    metric = candidate.spec.metric
    return (
        f"{candidate.training.best}, {metric} {best.metrics[metric]:.4g} by cross-validation on {candidate.rows:,} "
        f"rows; made by {candidate.run_key}"
    )


def _point(client: MlflowClient, model: str, alias: str, stage: str | None, version: int) -> None:
    found = _or_none(client.get_model_version, model, str(version))
    if found is None:
        raise StoreError(f"the alias {alias} must name a version that exists; {model} has no v{version}.")
    if alias not in found.aliases:
        client.set_registered_model_alias(model, alias, str(version))
    # A version has one stage: what is in production keeps that one, whatever other alias it gets.
    keeps = alias != Alias.PRODUCTION and Alias.PRODUCTION in found.aliases
    if stage and found.current_stage != stage and not keeps:
        client.transition_model_version_stage(model, str(version), stage, archive_existing_versions=True)


def _drop(client: MlflowClient, model: str, alias: str, stage: str | None) -> None:
    # The stage by itself: a person may have dropped the alias alone.
    for found in (_or_none(client.get_latest_versions, model, [stage]) or []) if stage else []:
        client.transition_model_version_stage(model, found.version, ARCHIVED)
    if _or_none(client.get_model_version_by_alias, model, alias) is not None:
        client.delete_registered_model_alias(model, alias)


def _or_none(ask: Any, *arguments: Any) -> Any:
    """Return what MLflow answers, or None where it says in its own words that there is no such thing."""
    try:
        return ask(*arguments)
    except RestException as error:
        no_alias = error.error_code == "INVALID_PARAMETER_VALUE" and "not found" in str(error)
        if error.error_code == ABSENT or no_alias:
            return None
        raise


def _make_model(client: MlflowClient, candidate: Candidate) -> None:
    try:
        client.create_registered_model(candidate.names.model, description=candidate.spec.title)
    except MlflowException as error:
        if error.error_code != EXISTS:
            raise


def _tags(candidate: Candidate, logged: LoggedTraining) -> dict[str, str]:
    return {
        f"{PREFIX}spec": candidate.spec.name,
        RUN_KEY: candidate.run_key,
        f"{PREFIX}spec_json": candidate.spec.to_json(),
        f"{PREFIX}recipe": candidate.training.best,
        f"{PREFIX}seed": str(candidate.spec.seed),
        f"{PREFIX}snapshot_uri": candidate.snapshot.uri,
        f"{PREFIX}snapshot_sha256": candidate.snapshot.sha256,
        f"{PREFIX}profile_uri": candidate.profile.uri,
        f"{PREFIX}profile_sha256": candidate.profile.sha256,
        f"{PREFIX}model_sha256": logged.model_sha256,
    }


def _version(found: Any) -> Version | None:
    """Return the record that a version's tags hold, or None when another program made it."""
    tags = {key.removeprefix(PREFIX): value for key, value in found.tags.items() if key.startswith(PREFIX)}
    try:
        return Version(
            spec=tags["spec"],
            model=found.name,
            version=int(found.version),
            run_id=found.run_id,
            run_key=tags["run_key"],
            spec_json=tags["spec_json"],
            recipe=tags["recipe"],
            seed=int(tags["seed"]),
            snapshot=Stored(tags["snapshot_uri"], tags["snapshot_sha256"]),
            profile=Stored(tags["profile_uri"], tags["profile_sha256"]),
            model_sha256=tags["model_sha256"],
        )
    except KeyError:
        return None


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Silence MLflow's warning that stages are deprecated: they are set for clients that still ask for them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield
