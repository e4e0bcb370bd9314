"""What only a real MLflow server can show: runs, artifacts, stages, tampering, and a server that is wrong or away."""

import json
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import mlflow.artifacts
import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus
from sklearn.linear_model import LinearRegression
from tests.contract.adapters.records import SPEC_TEXT, make_candidate
from tests.postgres import free_port
from tests.reports import comparison_part, wide_report

from gauntlet.adapters.mlflow_registry import MlflowRegistry
from gauntlet.adapters.mlflow_tracking import MlflowTracking
from gauntlet.domain.drift import DriftFinding, DriftReport
from gauntlet.domain.report import Report, markdown
from gauntlet.domain.spec import Spec
from gauntlet.domain.training import load_model, predict, train
from gauntlet.jobs.ports import ComparisonLog, Names, ServiceAway, StoreError


@pytest.fixture
def client(mlflow_uri: str) -> MlflowClient:
    return MlflowClient(tracking_uri=mlflow_uri, registry_uri=mlflow_uri)


@pytest.fixture
def registry(mlflow_uri: str) -> MlflowRegistry:
    return MlflowRegistry(mlflow_uri)


@pytest.fixture
def names(spec: str) -> Names:
    return Names(model=f"Model-{spec}", experiment=f"Experiment-{spec}", comparison=f"Comparison-{spec}")


def runs_of(client: MlflowClient, experiment: str) -> list[Any]:
    found = client.get_experiment_by_name(experiment)
    return list(client.search_runs([found.experiment_id])) if found else []


def test_a_training_is_shown_whole(client: MlflowClient, registry: MlflowRegistry, names: Names) -> None:
    version = registry.publish(make_candidate(names, "run"), log_details=True)
    runs = {run.info.run_name: run for run in runs_of(client, names.experiment)}
    assert set(runs) == {"train things", "linear", "ridge"}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    parent, child = runs["train things"], runs["ridge"]
    assert parent.info.run_id == version.run_id
    assert parent.data.params["left_out"] == '{"size must lie in 0..10": 3}'
    assert parent.data.params["snapshot_sha256"] == version.snapshot.sha256
    assert parent.data.metrics == {"mae": 0.8, "rmse": 1.0, "r2": 0.99}
    files = {file.path for file in client.list_artifacts(version.run_id)}
    assert {"snapshot.parquet", "drift_profile.parquet", "spec.json"} <= files
    assert child.data.tags["mlflow.parentRunId"] == version.run_id
    assert child.data.params == {"alpha": "1.0"}
    assert child.data.metrics == {"mae": 0.8, "rmse": 1.0, "r2": 0.99, "seconds": 0.1}
    assert {file.path for file in client.list_artifacts(child.info.run_id)} == {"importances.png", "residuals.png"}


def test_without_details_only_the_parent_is_shown(client: MlflowClient, registry: MlflowRegistry, names: Names) -> None:
    registry.publish(make_candidate(names, "run"), log_details=False)
    assert [run.info.run_name for run in runs_of(client, names.experiment)] == ["train things"]


def test_the_logged_model_is_mlflows_own(client: MlflowClient, registry: MlflowRegistry, names: Names) -> None:
    version = registry.publish(make_candidate(names, "run"), log_details=False)
    found = client.get_model_version(names.model, "1")
    logged = client.get_logged_model(found.source.removeprefix("models:/"))
    assert logged.status == LoggedModelStatus.READY
    assert logged.source_run_id == version.run_id
    assert client.get_run(version.run_id).outputs.model_outputs[0].model_id == logged.model_id
    assert client.get_registered_model(names.model).description == "Price of a thing"


def test_a_notebook_loads_the_champion_by_alias(mlflow_uri: str, registry: MlflowRegistry, names: Names) -> None:
    registry.publish(make_candidate(names, "run"), log_details=False)
    registry.set_alias(names.model, "production", 1)
    mlflow.set_tracking_uri(mlflow_uri)
    model = mlflow.pyfunc.load_model(f"models:/{names.model}@production")
    inputs = {column.name: column.type.name for column in model.metadata.signature.inputs}
    assert inputs == {"size": "double", "kind": "string"}
    assert len(model.predict(pd.DataFrame({"size": [1.0], "kind": ["good"]}))) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert mlflow.pyfunc.load_model(f"models:/{names.model}/Production")


CLASSIFICATION = (
    SPEC_TEXT.replace('target = "price"', 'target = "kind"')
    .replace('task = "regression"', 'task = "classification"')
    .replace('metric = "mae"', 'metric = "log_loss"')
    .replace('["linear", "ridge"]', '["logistic", "hist_gradient_boosting"]')
)


def test_a_trained_classification_is_shown_and_loads(
    client: MlflowClient, registry: MlflowRegistry, names: Names
) -> None:
    spec = Spec.parse("kinds", CLASSIFICATION)
    rng = np.random.default_rng(0)
    size = rng.uniform(0, 10, 300)
    kind = np.where(size**2 % 7 > 3, "good", "bad")
    frame = pd.DataFrame({"price": rng.uniform(0, 100, 300), "size": size, "kind": kind})
    training = train(frame, spec, jobs=1)
    assert training.best == "hist_gradient_boosting"
    candidate = replace(make_candidate(names, "run"), spec=spec, training=training)
    version = registry.publish(candidate, log_details=True)
    model = load_model(registry.model_bytes(version), spec.trusted_types)
    assert (predict(model, frame, spec) == predict(training.model, frame, spec)).all()
    runs = {run.info.run_name: run.info.run_id for run in runs_of(client, names.experiment)}
    for recipe in spec.candidates:
        files = {file.path for file in client.list_artifacts(runs[recipe])}
        assert files == {"confusion.png", "importances.png"}


class Stranger(LinearRegression):  # type: ignore[misc]
    """A model of a type that skops does not know."""


def test_a_type_that_is_not_trusted_is_told_and_nothing_stays_open(
    client: MlflowClient, registry: MlflowRegistry, names: Names
) -> None:
    candidate = make_candidate(names, "run")
    stranger = replace(candidate.training, model=Stranger().fit([[0.0], [1.0]], [0.0, 1.0]))
    with pytest.raises(ValueError, match=r"the model of linear must be storable by skops; found .*Stranger"):
        registry.publish(replace(candidate, training=stranger), log_details=True)
    assert {run.info.status for run in runs_of(client, names.experiment)} == {"KILLED"}
    assert registry.find(names.model, "run") is None


def test_a_killed_try_is_closed_and_made_again(client: MlflowClient, registry: MlflowRegistry, names: Names) -> None:
    experiment = client.create_experiment(names.experiment)
    tags = {"gauntlet.run_key": "run", "gauntlet.kind": "training"}
    parent = client.create_run(experiment, tags=tags).info.run_id
    child = client.create_run(experiment, tags={**tags, "mlflow.parentRunId": parent}).info.run_id
    other = client.create_run(experiment, tags={**tags, "gauntlet.run_key": "other"}).info.run_id
    version = registry.publish(make_candidate(names, "run"), log_details=False)
    status = {run.info.run_id: run.info.status for run in runs_of(client, names.experiment)}
    assert status == {parent: "KILLED", child: "KILLED", other: "RUNNING", version.run_id: "FINISHED"}


def test_an_experiment_deleted_by_hand_comes_back(client: MlflowClient, registry: MlflowRegistry, names: Names) -> None:
    client.delete_experiment(client.create_experiment(names.experiment))
    registry.publish(make_candidate(names, "run"), log_details=False)
    assert len(runs_of(client, names.experiment)) == 1


def test_a_version_of_another_program_is_none(client: MlflowClient, registry: MlflowRegistry, names: Names) -> None:
    registry.publish(make_candidate(names, "run"), log_details=False)
    source = client.get_model_version(names.model, "1").source
    model_id = source.removeprefix("models:/")
    client.create_model_version(names.model, source=source, model_id=model_id, await_creation_for=0)
    assert registry.describe(names.model, 1) is not None
    assert registry.describe(names.model, 2) is None


def test_an_altered_model_is_not_loaded(
    client: MlflowClient, registry: MlflowRegistry, names: Names, tmp_path_factory: pytest.TempPathFactory
) -> None:
    version = registry.publish(make_candidate(names, "run"), log_details=False)
    model_id = client.get_model_version(names.model, "1").source.removeprefix("models:/")
    folder = tmp_path_factory.mktemp("altered")
    (folder / "model.skops").write_bytes(b"something else")
    client.log_model_artifacts(model_id, str(folder))
    with pytest.raises(StoreError) as info:
        registry.model_bytes(version)
    text = str(info.value)
    assert text.startswith(f"the model file of {names.model} v1 must have the SHA-256 kept at registration, ")
    assert version.model_sha256 in text
    assert text.endswith("It was altered: restore it from a backup, and do not load it.")


def test_a_file_that_is_gone_is_told(client: MlflowClient, registry: MlflowRegistry, names: Names) -> None:
    version = registry.publish(make_candidate(names, "run"), log_details=False)
    model_id = client.get_model_version(names.model, "1").source.removeprefix("models:/")
    client.delete_logged_model(model_id)
    with pytest.raises(StoreError, match=f"{names.model} v1 must be in the registry; its file is gone"):
        registry.model_bytes(version)


def test_stages_follow_the_aliases_without_a_warning(
    client: MlflowClient, registry: MlflowRegistry, names: Names, recwarn: pytest.WarningsRecorder
) -> None:
    for key in ("a", "b"):
        registry.publish(make_candidate(names, key), log_details=False)

    def stages() -> list[str]:
        return [str(client.get_model_version(names.model, number).current_stage) for number in ("1", "2")]

    registry.set_alias(names.model, "production", 1)
    registry.set_alias(names.model, "staging", 2)
    assert stages() == ["Production", "Staging"]
    registry.set_alias(names.model, "production", 2)
    registry.set_alias(names.model, "staging", None)
    registry.set_alias(names.model, "previous", 1)
    assert stages() == ["Archived", "Production"]
    registry.set_alias(names.model, "staging", 2)
    assert stages() == ["Archived", "Production"]
    registry.set_alias(names.model, "production", None)
    assert stages() == ["Archived", "Archived"]
    assert not [warning for warning in recwarn if "stage" in str(warning.message).lower()]


def test_stages_follow_an_alias_that_a_person_moved_or_dropped(
    client: MlflowClient, registry: MlflowRegistry, names: Names
) -> None:
    for key in ("a", "b"):
        registry.publish(make_candidate(names, key), log_details=False)
    registry.set_alias(names.model, "production", 1)
    client.set_registered_model_alias(names.model, "production", "2")
    registry.set_alias(names.model, "production", 2)
    assert client.get_model_version(names.model, "2").current_stage == "Production"
    client.delete_registered_model_alias(names.model, "production")
    registry.set_alias(names.model, "production", None)
    assert client.get_model_version(names.model, "2").current_stage == "Archived"


def test_a_drift_report_is_logged_once(client: MlflowClient, mlflow_uri: str, names: Names) -> None:
    finding = DriftFinding(
        column="size (cm)",
        test="ks",
        statistic=0.2,
        p_value=1e-9,
        effect=0.2,
        threshold=0.05,
        drifted=True,
        reason="moved",
    )
    share = DriftFinding(
        column="kind", test="psi", statistic=0.01, p_value=None, effect=0.01, threshold=0.1, drifted=False, reason="no"
    )
    nulls = replace(finding, test="nulls", statistic=0.4, p_value=None, effect=0.4)
    report = DriftReport(findings=(finding, share, nulls), rows_reference=100, rows_current=50)
    mlflow.set_tracking_uri(mlflow_uri)
    tracking = MlflowTracking(mlflow_uri)
    for _ in range(2):
        tracking.log_drift(names, "run", 3, report, {"size must lie in 0..10": 2})
    (run,) = runs_of(client, names.experiment)
    assert run.info.run_name == "drift v3"
    assert run.info.status == "FINISHED"
    assert (run.data.params["drifted"], run.data.params["columns"]) == ("True", "size (cm)")
    assert run.data.metrics["size _cm_.p_value"] == 1e-9
    assert "kind.p_value" not in run.data.metrics
    assert (run.data.metrics["size _cm_.effect"], run.data.metrics["size _cm_.nulls.effect"]) == (0.2, 0.4)
    table = client.load_table(run.info.experiment_id, "drift_report.json", [run.info.run_id])
    assert list(table["column"]) == ["size (cm)", "kind", "size (cm)"]
    page = mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/report.html")
    assert "Drift in 1 of 2 columns, most in size (cm): moved (50 rows against 100)." in page
    assert f"{names.model}: drift since v3" in page


def test_a_comparison_is_logged_once_and_a_killed_one_again(
    client: MlflowClient, mlflow_uri: str, names: Names
) -> None:
    experiment = client.create_experiment(names.comparison)
    tags = {"gauntlet.run_key": "run", "gauntlet.kind": "comparison"}
    killed = client.create_run(experiment, tags=tags).info.run_id
    arm = pd.DataFrame({"price": [1.0, 2.0], "prediction_a": [1.5, 2.5]}, index=pd.Index([7, 8], name="row_id"))
    log = ComparisonLog(
        run_name="prod_v1_vs_stg_v2",
        run_key="run",
        params={"verdict": "KEEP"},
        metrics={"a_mae": 0.5, "effect": float("nan")},
        a_data=arm,
        b_data=arm.iloc[:0],
    )
    for _ in range(2):
        MlflowTracking(mlflow_uri).log_comparison(names, log)
    runs = {run.info.run_id: run for run in runs_of(client, names.comparison)}
    assert runs.pop(killed).info.status == "KILLED"
    ((run_id, run),) = runs.items()
    assert (run.info.run_name, run.info.status) == ("prod_v1_vs_stg_v2", "FINISHED")
    assert (run.data.params, run.data.metrics) == ({"verdict": "KEEP"}, {"a_mae": 0.5})
    table = client.load_table(experiment, "a_data.json", [run_id])
    assert list(table["row_id"]) == [7, 8]
    assert "b_data.json" in {file.path for file in client.list_artifacts(run_id)}
    assert "report.html" not in {file.path for file in client.list_artifacts(run_id)}


def test_a_comparison_with_its_evidence_has_a_page(client: MlflowClient, mlflow_uri: str, names: Names) -> None:
    arm = pd.DataFrame({"price": [1.0]}, index=pd.Index([7], name="row_id"))
    report = Report("Price of a thing", wide_report(3, 1), comparison_part(), {"run": "run 1"})
    MlflowTracking(mlflow_uri).log_comparison(
        names, ComparisonLog("prod_v3_vs_stg_v4", "run", {"verdict": "PROMOTE"}, {}, arm, arm, report)
    )
    (run,) = runs_of(client, names.comparison)
    mlflow.set_tracking_uri(mlflow_uri)
    page = mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/report.html")
    assert "v4 takes over from v3" in page
    assert "1 of 3 columns drifted" in page


def test_a_description_keeps_its_first_sentence(client: MlflowClient, registry: MlflowRegistry, names: Names) -> None:
    version = registry.publish(make_candidate(names, "run"), log_details=False)
    first = client.get_model_version(names.model, "1").description
    longest = markdown(Report("t", wide_report(300, 300, "<" * 5000), comparison_part(name="&" * 5000)))
    for text in ("**KEEP** v1\n\n- effect", longest):
        registry.annotate(version, text)
        assert client.get_model_version(names.model, "1").description == f"{first}\n\n{text}"
    client.update_model_version(names.model, "1", "")
    registry.annotate(version, "text")
    assert client.get_model_version(names.model, "1").description == "text"


@contextmanager
def answering(status: int, body: str) -> Iterator[str]:
    """Yield the URI of a server that gives everybody this answer."""

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def not_mlflow() -> Iterator[str]:
    with answering(404, "<h1>Not Found</h1>") as uri:
        yield uri


def test_what_mlflow_refuses_is_told_in_its_own_words(mlflow_uri: str, registry: MlflowRegistry) -> None:
    with pytest.raises(StoreError) as info:
        registry.has_model("")
    said = str(info.value)
    assert said.startswith(f'MLflow at {mlflow_uri} must take what it is asked; it refused: "INVALID_PARAMETER_VALUE: ')
    assert said.endswith('". Correct what it names.')


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (400, "INVALID_PARAMETER_VALUE", StoreError),
        (403, "PERMISSION_DENIED", StoreError),
        (400, "BAD_REQUEST", ServiceAway),  # how MLflow calls trouble with its database
        (429, "REQUEST_LIMIT_EXCEEDED", ServiceAway),
        (500, "INTERNAL_ERROR", ServiceAway),
        (503, "TEMPORARILY_UNAVAILABLE", ServiceAway),
    ],
)
def test_a_refusal_is_told_from_trouble_that_passes(
    monkeypatch: pytest.MonkeyPatch, status: int, code: str, error: type[Exception]
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    body = json.dumps({"error_code": code, "message": "so it is"})
    told = "found" if error is ServiceAway else f'it refused: "{code}: so it is". Correct what it names.'
    with answering(status, body) as uri, pytest.raises(error, match=f"^MLflow .*{uri}.*; {told}"):
        MlflowRegistry(uri).has_model("Model")


def test_a_wrong_server_is_not_an_empty_registry(not_mlflow: str) -> None:
    registry = MlflowRegistry(not_mlflow)
    told = f"MLflow must answer at {not_mlflow}; found .*404"
    with pytest.raises(ServiceAway, match=told):
        registry.has_model("Model")
    with pytest.raises(ServiceAway, match=told):
        registry.alias("Model", "production")
    with pytest.raises(ServiceAway, match=told):
        registry.find("Model", "run")


def test_a_server_that_is_away_is_not_an_empty_registry() -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    started = time.perf_counter()
    with pytest.raises(ServiceAway, match=f"MLflow must answer at {uri}; found .*refused"):
        MlflowRegistry(uri).alias("Model", "production")
    assert time.perf_counter() - started < 20
