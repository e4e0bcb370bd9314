"""A training in MLflow: a parent run with what made the model, the model itself, and a run for each candidate."""

import hashlib
import json
import platform
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow.sklearn
import numpy as np
from mlflow.entities import LoggedModelOutput
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, Schema

from gauntlet.adapters import plots
from gauntlet.adapters.mlflow_server import KIND, PARENT, RUN_KEY, MlflowServer
from gauntlet.domain.spec import Spec, Task
from gauntlet.domain.training import TRUSTED_TYPES, CandidateResult
from gauntlet.jobs.ports import Candidate, ServiceAway, StoreError

TRAINING = "training"
MODEL_FILE = "model.skops"
REQUIREMENTS = ("mlflow", "numpy", "pandas", "scikit-learn", "skops")


@dataclass(frozen=True)
class LoggedTraining:
    """Where a training stands in MLflow: its run, its model, and the SHA-256 (hex) of the model's skops file."""

    run_id: str
    model_id: str
    model_sha256: str


def log_training(server: MlflowServer, candidate: Candidate, *, log_details: bool) -> LoggedTraining:
    """Log a training whole; runs that an earlier try of the same run key left behind are closed as killed."""
    experiment = server.experiment(candidate.names.experiment)
    server.kill(server.runs(experiment, candidate.run_key, TRAINING))
    tags = {RUN_KEY: candidate.run_key, KIND: TRAINING}
    run_id = server.start(experiment, f"train {candidate.spec.name}", tags)
    try:
        model_id, sha256 = _log_all(server, experiment, run_id, tags, candidate, log_details)
    except Exception:
        with suppress(ServiceAway, StoreError):
            server.kill(server.runs(experiment, candidate.run_key, TRAINING))
        raise
    server.finish(run_id)
    return LoggedTraining(run_id, model_id, sha256)


def _log_all(
    server: MlflowServer, experiment: str, run_id: str, tags: dict[str, str], candidate: Candidate, details: bool
) -> tuple[str, str]:
    best = next(result for result in candidate.training.candidates if result.name == candidate.training.best)
    server.log(run_id, _params(candidate), _finite(best.metrics))
    server.upload(run_id, _files(candidate))
    if details:
        for result in candidate.training.candidates:
            _log_candidate(server, experiment, {**tags, PARENT: run_id}, candidate.spec, result)
    return _log_model(server, experiment, run_id, candidate)


def _params(candidate: Candidate) -> dict[str, object]:
    return {
        "spec": candidate.spec.name,
        "recipe": candidate.training.best,
        "seed": candidate.spec.seed,
        "rows": candidate.rows,
        "left_out": json.dumps(dict(candidate.left_out)),
        "traffic": candidate.traffic,
        "snapshot_uri": candidate.snapshot.uri,
        "snapshot_sha256": candidate.snapshot.sha256,
    }


def _files(candidate: Candidate) -> dict[str, bytes]:
    return {
        "snapshot.parquet": candidate.snapshot_bytes,
        "drift_profile.parquet": candidate.profile_bytes,
        "spec.json": candidate.spec.to_json().encode(),
    }


def _log_candidate(
    server: MlflowServer, experiment: str, tags: dict[str, str], spec: Spec, result: CandidateResult
) -> None:
    run_id = server.start(experiment, result.name, tags)
    server.log(run_id, result.params, {**_finite(result.metrics), "seconds": result.seconds})
    title = f"{result.name}: {spec.title}"
    if spec.task is Task.REGRESSION:
        files = {"residuals.png": plots.residuals(title, np.asarray(result.truth), np.asarray(result.predicted))}
    else:
        guessed = [spec.classes[index] for index in np.asarray(result.predicted).argmax(axis=1)]
        files = {"confusion.png": plots.confusion(title, list(result.truth), guessed, spec.classes)}
    if result.importances:
        files["importances.png"] = plots.importances(title, result.importances)
    server.upload(run_id, files)
    server.finish(run_id)


def _log_model(server: MlflowServer, experiment: str, run_id: str, candidate: Candidate) -> tuple[str, str]:
    """Log the model through the client alone: MLflow's `log_model` needs a tracking URI that is global to a process."""
    with server.asked() as client:
        logged = client.create_logged_model(experiment, name=candidate.training.best, source_run_id=run_id)
    with TemporaryDirectory(prefix="gauntlet-") as folder:
        path = Path(folder, "model")
        identity = logged.model_id
        _save(candidate, path, Model(logged.artifact_location, run_id, model_uuid=identity, model_id=identity))
        sha256 = hashlib.sha256((path / MODEL_FILE).read_bytes()).hexdigest()
        with server.asked() as client:
            client.log_model_artifacts(logged.model_id, str(path))
            client.finalize_logged_model(logged.model_id, "READY")
            client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    return logged.model_id, sha256


def _save(candidate: Candidate, path: Path, description: Model) -> None:
    spec, best = candidate.spec, candidate.training.best
    try:
        mlflow.sklearn.save_model(
            candidate.training.model,
            str(path),
            mlflow_model=description,
            serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_SKOPS,
            skops_trusted_types=[*TRUSTED_TYPES, *spec.trusted_types],
            conda_env=_environment(),
            signature=_signature(spec),
        )
    except MlflowException as error:
        remedy = f"List its types under trusted_types in specs/{spec.name}.toml if you trust them."
        raise ValueError(f'the model of {best} must be storable by skops; found "{error}". {remedy}') from error


def _environment() -> dict[str, object]:
    """Return the packages that load the model; MLflow takes seconds to find out by itself."""
    packages = [f"{package}=={installed(package)}" for package in REQUIREMENTS]
    python = f"python={platform.python_version()}"
    return {"name": "mlflow-env", "channels": ["conda-forge"], "dependencies": [python, "pip", {"pip": packages}]}


def _signature(spec: Spec) -> ModelSignature:
    """Return what the model reads and gives; whole numbers are floats, so that a missing value can be said."""
    numbers = [ColSpec(DataType.double, column) for column in spec.numeric_features]
    texts = [ColSpec(DataType.string, column) for column in spec.categorical_features]
    output = DataType.double if spec.task is Task.REGRESSION else DataType.string
    return ModelSignature(inputs=Schema([*numbers, *texts]), outputs=Schema([ColSpec(output)]))


def _finite(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if np.isfinite(value)}
