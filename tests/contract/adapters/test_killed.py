"""A promotion and a rollback, killed after each call to a real Postgres and a real MLflow, and begun again."""

import itertools
import multiprocessing
import os
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from mlflow import MlflowClient
from tests.contract.adapters.records import SPEC_TEXT, make_candidate, make_case
from tests.fakes import MemoryObjects, MemoryTracking, MemoryTraffic
from tests.killing import Fuse

from gauntlet.adapters.ledger import PostgresLedger
from gauntlet.adapters.mlflow_registry import MlflowRegistry
from gauntlet.domain.aliases import Alias
from gauntlet.domain.comparison import Comparison, compare
from gauntlet.domain.drift import DriftPolicy
from gauntlet.domain.promotion import PromotionPolicy
from gauntlet.domain.spec import Spec
from gauntlet.domain.verdict import Verdict
from gauntlet.jobs.flow import Step
from gauntlet.jobs.pipeline import TASKS
from gauntlet.jobs.ports import Kind, Names, Version
from gauntlet.jobs.production import reconcile
from gauntlet.jobs.rollback import Wish, rollback
from gauntlet.jobs.run import Ports, Run

KILLED = 9
SPEC = Spec.parse("things", SPEC_TEXT)


class Place:
    """A model with three versions in MLflow, and for each test and kill a spec of its own in the ledger."""

    def __init__(self, name: str, ports: Ports, mlflow_uri: str) -> None:
        self.ports = ports
        self.names = Names(f"Model-{name}", name, f"{name}-comparison")
        self._client = MlflowClient(mlflow_uri)
        self._name = name
        self._published = [
            ports.registry.publish(make_candidate(self.names, f"train {number}"), log_details=False)
            for number in (1, 2, 3)
        ]

    def begin(self, last: int, promoted: int) -> str:
        """A new spec whose first versions have been promoted; the third one is staged if it is none of them."""
        spec = f"{self._name}_{last}"
        for alias in Alias:
            self.ports.registry.set_alias(self.names.model, alias, None)
        made: list[Version] = []
        for published in self._published:
            made.append(self.ports.ledger.add_version(replace(published, spec=spec)))
            if len(made) <= promoted:
                case = make_case(spec, f"run {len(made)}", None, 1, model=self.names.model)
                champion = made[-2] if len(made) > 1 else None
                self.ports.ledger.settle(replace(case, champion=champion, challenger=made[-1]))
                reconcile(self.ports, spec, self.names)
        self.ports.registry.set_alias(self.names.model, Alias.STAGING, 3)
        return spec

    def shown(self) -> tuple[dict[str, int], dict[int, str]]:
        """The aliases that MLflow shows, and the versions that have a deprecated stage."""
        found = self._client.search_model_versions(f"name = '{self.names.model}'")
        aliases = dict(self._client.get_registered_model(self.names.model).aliases)
        stages = {int(v.version): v.current_stage for v in found if v.current_stage in ("Production", "Staging")}
        return {name: int(version) for name, version in aliases.items()}, stages


@pytest.fixture
def place(spec: str, app_url: str, mlflow_uri: str) -> Place:
    ledger, registry = PostgresLedger(app_url), MlflowRegistry(mlflow_uri)
    return Place(spec, Ports(MemoryTraffic({}, {}), MemoryObjects(), registry, MemoryTracking(), ledger), mlflow_uri)


def in_a_child(work: Callable[[Ports], None], ports: Ports, last: int) -> int:
    """Run it in a process of its own that is gone, without a word, right after that many calls; its exit code."""

    def run() -> None:
        work(Fuse(last, lambda: os._exit(KILLED)).through(ports))

    child = multiprocessing.get_context("fork").Process(target=run)
    child.start()
    child.join(60)
    assert child.exitcode is not None
    return child.exitcode


def test_a_promotion_killed_after_any_call(place: Place, record_property: Callable[[str, object], None]) -> None:
    champions: list[int] = []
    for last in itertools.count(1):
        spec = place.begin(last, promoted=2)

        def promote(ports: Ports, spec: str = spec) -> None:
            run = _run(spec, place.names)
            for step in (Step.MODEL_TO_PROD, Step.SET_NEW_PROD_MODEL):
                TASKS[step].run(run, ports, _results(run))

        code = in_a_child(promote, place.ports, last)
        production = place.ports.ledger.production(spec)
        assert production is not None
        champions.append(production.version)
        promote(place.ports)  # as Airflow does: the tasks again

        assert [entry.verdict for entry in place.ports.ledger.history(spec, 99)] == [Verdict.PROMOTE] * 3
        assert place.shown() == ({Alias.PRODUCTION: 3, Alias.PREVIOUS: 2}, {3: "Production"})
        assert [period.version for period in place.ports.ledger.periods(spec)] == [3, 2, 1]
        if code == 0:
            break
        assert code == KILLED
    record_property("champion after the kill of a promotion, by call", champions)
    assert champions == sorted(champions)  # v2 until the ledger's transaction, v3 from then on
    assert champions.count(2) > 3 < champions.count(3)


def test_a_rollback_killed_after_any_call(place: Place, record_property: Callable[[str, object], None]) -> None:
    champions: list[int] = []
    for last in itertools.count(1):
        spec = place.begin(last, promoted=3)
        here = SPEC.model_copy(update={"name": spec})

        def back(ports: Ports, here: Spec = here, key: str = f"key {last}") -> None:
            rollback(ports, here, place.names, Wish(None, "it is worse", "ann", key, "0.1.0"))

        code = in_a_child(back, place.ports, last)
        production = place.ports.ledger.production(spec)
        assert production is not None
        champions.append(production.version)
        back(place.ports, key="another key")  # as a person does: the same words, and no key to go by

        assert [e.kind for e in place.ports.ledger.history(spec, 99)] == [Kind.ROLLBACK, *[Kind.VERDICT] * 3]
        assert place.shown() == ({Alias.PRODUCTION: 2, Alias.PREVIOUS: 1}, {2: "Production"})
        if code == 0:
            break
        assert code == KILLED
    record_property("champion after the kill of a rollback, by call", champions)
    assert champions == sorted(champions, reverse=True)
    assert champions.count(3) > 3 < champions.count(2)


def _run(spec: str, names: Names) -> Run:
    return Run(
        key="run 3",
        spec=SPEC.model_copy(update={"name": spec}),
        names=names,
        drift_policy=DriftPolicy(),
        promotion_policy=PromotionPolicy(),
        force_retrain=False,
        simulate_drift=0,
        log_details=False,
        threads=1,
        code_version="test",
        decided_by="test",
        rng=np.random.default_rng(0),
    )


def _results(run: Run) -> dict[Step, dict[str, object]]:
    decision = make_case(run.spec.name, run.key, 2, 3).decision.to_dict()
    policy = {"policy": run.promotion_policy.to_dict(), "policy_sha256": run.promotion_policy.sha256()}
    return {
        Step.CHECK_PRODUCTION_VERSION: {"version": 2},
        Step.TRAIN_NEW_MODEL: {"version": 3},
        Step.AB_TEST: {"decision": decision, "comparison": _comparison().to_dict(), **policy},
    }


def _comparison() -> Comparison:
    truth, ids = np.linspace(1, 2, 50), np.arange(50)
    champion, challenger = truth + 0.2, truth + 0.19
    none: npt.NDArray[np.int64] = np.array([], dtype=np.int64)
    return compare(
        spec=SPEC, truth=truth, champion=champion, challenger=challenger, row_ids=ids, trained_row_ids=none, segments={}
    )
