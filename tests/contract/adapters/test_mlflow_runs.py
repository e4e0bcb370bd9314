"""Pruning in a real MLflow: which runs are ours, what the registry names, and what is removed for ever."""

from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, Metric, ViewType
from mlflow.exceptions import MlflowException
from tests.contract.adapters.records import make_candidate

from gauntlet.adapters.mlflow_registry import SOURCE, MlflowRegistry
from gauntlet.adapters.mlflow_runs import MlflowRuns
from gauntlet.adapters.mlflow_server import KIND, PARENT
from gauntlet.jobs.ports import Names, Version


@pytest.fixture
def client(mlflow_uri: str) -> MlflowClient:
    return MlflowClient(tracking_uri=mlflow_uri, registry_uri=mlflow_uri)


@pytest.fixture
def registry(mlflow_uri: str) -> MlflowRegistry:
    return MlflowRegistry(mlflow_uri)


@pytest.fixture
def runs(mlflow_uri: str, tmp_path_factory: pytest.TempPathFactory) -> MlflowRuns:
    (database,) = tmp_path_factory.getbasetemp().glob("mlflow[0-9]*/mlflow.db")
    return MlflowRuns(mlflow_uri, f"sqlite:///{database}")


@pytest.fixture
def version(registry: MlflowRegistry, spec: str) -> Version:
    names = Names(model=f"Model-{spec}", experiment=f"Experiment-{spec}", comparison=f"Comparison-{spec}")
    return registry.publish(make_candidate(names, "run"), log_details=True)


@pytest.fixture
def failed(client: MlflowClient, version: Version, tmp_path: Path) -> tuple[str, str, str]:
    """A training that failed after it had logged its model: parent, child, model."""
    experiment = client.get_run(version.run_id).info.experiment_id
    parent = client.create_run(experiment, tags={KIND: "training"}).info.run_id
    child = client.create_run(experiment, tags={KIND: "training", PARENT: parent}).info.run_id
    model = client.create_logged_model(experiment, name="ridge", source_run_id=parent)
    (tmp_path / "model.skops").write_bytes(b"model")
    client.log_model_artifacts(model.model_id, str(tmp_path))
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(parent, [LoggedModelOutput(model.model_id, step=0)])
    client.log_batch(parent, metrics=[Metric("mae", 1.0, 1, 0, model_id=model.model_id)])
    client.set_terminated(parent, status="FAILED", end_time=1000)
    return parent, child, model.model_id


def test_the_registry_names_what_its_versions_need(client: MlflowClient, runs: MlflowRuns, version: Version) -> None:
    named = runs.named()
    source = client.get_model_version(version.model, str(version.version)).source
    assert version.run_id in named.runs
    assert source.removeprefix(SOURCE) in named.models
    assert {uri.rpartition("/")[2] for uri in (version.snapshot.uri, version.profile.uri)} <= named.objects


def test_our_runs_are_told_from_others(
    client: MlflowClient, runs: MlflowRuns, version: Version, failed: tuple[str, str, str]
) -> None:
    parent, child, model = failed
    foreign = client.create_run(client.get_run(version.run_id).info.experiment_id).info.run_id
    client.delete_run(child)
    found = {run.run_id: run for run in runs.ours()}
    assert foreign not in found
    assert found[child].parent == parent
    assert found[child].ended is None
    ended = found[parent].ended
    assert ended is not None
    assert ended.timestamp() == 1
    experiment = client.get_run(parent).info.experiment_id
    assert found[parent].folder == f"{experiment}/{parent}"
    (logged,) = runs.models({parent})
    assert (logged.model_id, logged.folder) == (model, f"{experiment}/models/{model}")


def test_what_is_removed_is_gone_and_what_is_registered_stays(
    client: MlflowClient, registry: MlflowRegistry, runs: MlflowRuns, version: Version, failed: tuple[str, str, str]
) -> None:
    parent, child, model = failed
    doomed = [run for run in runs.ours() if run.run_id in (parent, child, version.run_id)]
    models = runs.models({parent, version.run_id})
    assert len(doomed) == 3
    assert len(models) == 2
    for _ in range(2):
        runs.remove(doomed, models)
    everything = client.search_runs([client.get_run(version.run_id).info.experiment_id], "", ViewType.ALL)
    assert not {parent, child} & {run.info.run_id for run in everything}
    with pytest.raises(MlflowException, match="not found"):
        client.get_logged_model(model)
    assert registry.model_bytes(version)
