"""The registry's promises, on a real MLflow server and on the one in memory."""

import io
from dataclasses import replace

import pandas as pd
import pytest
import skops.io
from tests.contract.adapters.records import make_candidate
from tests.fakes import MemoryRegistry

from gauntlet.adapters.mlflow_registry import MlflowRegistry
from gauntlet.domain.spec import Spec
from gauntlet.jobs.ports import Names, Registry, StoreError


@pytest.fixture(params=["memory", "mlflow"])
def registry(request: pytest.FixtureRequest) -> Registry:
    if request.param == "memory":
        return MemoryRegistry()
    return MlflowRegistry(request.getfixturevalue("mlflow_uri"))


@pytest.fixture
def names(spec: str) -> Names:
    return Names(model=f"Model-{spec}", experiment=f"Experiment-{spec}", comparison=f"Comparison-{spec}")


def test_an_empty_registry_knows_nothing(registry: Registry, names: Names) -> None:
    assert not registry.has_model(names.model)
    assert registry.find(names.model, "run") is None
    assert registry.describe(names.model, 1) is None
    assert registry.alias(names.model, "production") is None
    registry.set_alias(names.model, "production", None)


def test_a_published_version_describes_itself(registry: Registry, names: Names) -> None:
    candidate = make_candidate(names, "manual__2026-11-21T00:00:00+00:00")
    version = registry.publish(candidate, log_details=False)
    assert (version.spec, version.model, version.version) == ("things", names.model, 1)
    assert (version.recipe, version.seed, version.run_key) == ("linear", 0, candidate.run_key)
    assert (version.snapshot, version.profile) == (candidate.snapshot, candidate.profile)
    assert Spec.from_json(version.spec_json) == candidate.spec
    assert registry.has_model(names.model)
    assert registry.find(names.model, candidate.run_key) == version
    assert registry.describe(names.model, 1) == version
    assert registry.find(names.model, "another") is None
    assert registry.describe(names.model, 2) is None


def test_a_run_key_with_a_quotation_mark(registry: Registry, names: Names) -> None:
    version = registry.publish(make_candidate(names, "it's"), log_details=False)
    assert registry.find(names.model, "it's") == version


def test_versions_are_numbered(registry: Registry, names: Names) -> None:
    numbers = [registry.publish(make_candidate(names, key), log_details=False).version for key in ("a", "b")]
    assert numbers == [1, 2]


def test_the_model_comes_back_and_predicts(registry: Registry, names: Names) -> None:
    candidate = make_candidate(names, "run")
    version = registry.publish(candidate, log_details=False)
    model = skops.io.loads(registry.model_bytes(version))
    frame = pd.DataFrame({"size": [1.0, 2.0], "kind": ["good", "bad"]})
    assert list(model.predict(frame)) == list(candidate.training.model.predict(frame))
    assert skops.io.load(io.BytesIO(registry.model_bytes(version)))


def test_a_model_with_another_hash_is_refused(registry: Registry, names: Names) -> None:
    version = registry.publish(make_candidate(names, "run"), log_details=False)
    with pytest.raises(StoreError, match=f"{names.model} v1"):
        registry.model_bytes(replace(version, model_sha256="0" * 64))


def test_a_model_that_is_gone_is_told(registry: Registry, names: Names) -> None:
    version = registry.publish(make_candidate(names, "run"), log_details=False)
    with pytest.raises(StoreError, match="is gone"):
        registry.model_bytes(replace(version, version=2))


def test_aliases_move_and_drop_as_often_as_asked(registry: Registry, names: Names) -> None:
    for key in ("a", "b"):
        registry.publish(make_candidate(names, key), log_details=False)
    for _ in range(2):
        registry.set_alias(names.model, "production", 1)
        assert registry.alias(names.model, "production") == 1
    registry.set_alias(names.model, "production", 2)
    registry.set_alias(names.model, "previous", 1)
    assert (registry.alias(names.model, "production"), registry.alias(names.model, "previous")) == (2, 1)
    for _ in range(2):
        registry.set_alias(names.model, "production", None)
        assert registry.alias(names.model, "production") is None
    assert registry.alias(names.model, "previous") == 1


def test_an_alias_names_a_version_that_exists(registry: Registry, names: Names) -> None:
    registry.publish(make_candidate(names, "run"), log_details=False)
    with pytest.raises(StoreError, match=f"must name a version that exists; {names.model} has no v7."):
        registry.set_alias(names.model, "production", 7)


def test_what_is_said_of_a_version_may_be_said_again(registry: Registry, names: Names) -> None:
    version = registry.publish(make_candidate(names, "run"), log_details=False)
    for text in ("first", "**PROMOTE** v1\n\n- drift"):
        registry.annotate(version, text)
    assert registry.describe(names.model, 1) == version


def test_only_a_version_that_exists_is_annotated(registry: Registry, names: Names) -> None:
    version = registry.publish(make_candidate(names, "run"), log_details=False)
    with pytest.raises(StoreError, match=f"must be in the registry; {names.model} v7 is not."):
        registry.annotate(replace(version, version=7), "text")
