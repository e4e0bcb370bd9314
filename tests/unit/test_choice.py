"""Which version scores: the three rules on runs of the whole flow."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from tests.unit.test_pipeline import NAMES, SPEC, World, toys

from gauntlet.domain import training
from gauntlet.domain.model_rule import RuleError
from gauntlet.domain.scores import metrics
from gauntlet.domain.spec import Spec
from gauntlet.jobs.choice import ChoiceError, Chosen, choose
from gauntlet.jobs.frames import from_parquet, to_parquet
from gauntlet.jobs.ledger_records import Rollback
from gauntlet.jobs.ports import ServiceAway, Stored, Version
from gauntlet.jobs.scoring import scorer


@pytest.fixture
def two() -> World:
    """Version 1 of cheap toys, and 2, in production, of dear ones."""
    world = World()
    world.go()
    world.prices_rise()
    world.go()
    assert world.champion == 2
    return world


def best(world: World, metric: str = "mae") -> Chosen:
    return choose(world.ports, SPEC, f"best:{metric}")


def test_production_is_what_the_ledger_says(two: World) -> None:
    chosen = choose(two.ports, SPEC, "production")
    assert (chosen.version, chosen.rule) == (two.ledger.version("toys", 2), "production")
    production = two.ledger.production("toys")
    assert production is not None
    assert chosen.why == {"production_since": production.since.isoformat()}


def test_without_production_it_is_said_how_to_get_there() -> None:
    with pytest.raises(ChoiceError) as error:
        choose(World().ports, SPEC, "production")
    assert str(error.value) == (
        'the rule "production" needs a version in production; toys has none. Run its main_pipeline or train_pipeline, '
        'which put the first model there, or set the rule "version:N".'
    )


def test_production_of_another_program_cannot_score(two: World) -> None:
    two.ledger.record_external("toys", "toys", 2, 9, None)
    with pytest.raises(ChoiceError, match="v9 of toys was put in production by hand and made by another program"):
        choose(two.ports, SPEC, "production")


def test_a_version_is_pinned_by_its_number_also_one_that_was_rolled_back(two: World) -> None:
    assert choose(two.ports, SPEC, "version:1").version.version == 1
    assert choose(two.ports, SPEC, "version:2").why == {"rolled_back": False}
    roll_back(two)
    assert choose(two.ports, SPEC, "version:2").why == {"rolled_back": True}


def test_a_pinned_version_must_be_there(two: World) -> None:
    with pytest.raises(ChoiceError) as error:
        choose(two.ports, SPEC, "version:7")
    assert str(error.value) == (
        '"version:7" must name a recorded version; toys has v1, v2. Correct the rule, or train first.'
    )
    del two.registry.versions["toys", 1]
    with pytest.raises(ChoiceError, match="toys v1 was deleted in MLflow"):
        choose(two.ports, SPEC, "version:1")


@pytest.mark.parametrize("metric", ["mae", "rmse", "r2"])
def test_the_best_version_has_the_best_metric_on_the_newest_test(two: World, metric: str) -> None:
    chosen = best(two, metric)
    entry = two.ledger.history("toys", 1)[0]
    frame = from_parquet(two.store.get(Stored(entry.evidence["rows_uri"], entry.evidence["rows_sha256"])))
    figures = {}
    for number in (1, 2):
        version = two.ledger.version("toys", number)
        assert version is not None
        figures[str(number)] = metrics(frame["truth"], scorer(two.ports, version, SPEC)(frame), SPEC)[metric]
    assert chosen.version.version == 2
    assert chosen.why == {
        "rows_uri": entry.evidence["rows_uri"],
        "rows_sha256": entry.evidence["rows_sha256"],
        "ledger_entry": entry.id,
        "rows": 2000,
        "rows_trained_on": 0,
        "metrics": figures,
        "left_out": {},
    }


def test_production_need_not_be_the_best(two: World) -> None:
    two.ledger.record_external("toys", "toys", 2, 1, None)
    assert choose(two.ports, SPEC, "production").version.version == 1
    assert best(two).version.version == 2


def test_a_version_that_was_rolled_back_is_never_the_best(two: World) -> None:
    roll_back(two)
    chosen = best(two)
    assert chosen.version.version == 1
    assert list(chosen.why["metrics"]) == ["1"]


def test_of_equal_versions_the_one_in_production_is_the_best_then_the_newest(two: World) -> None:
    twin(two, 3)
    twin(two, 4)
    assert best(two).version.version == 2
    two.ledger.record_external("toys", "toys", 2, None, None)
    assert best(two).version.version == 4


def test_rows_that_any_of_them_was_trained_on_do_not_count(two: World) -> None:
    test_ids = from_parquet(newest_rows(two)).index.to_numpy()
    retrained(two, 3, test_ids[:700])
    chosen = best(two)
    assert chosen.why["rows"] == 1300
    assert chosen.why["rows_trained_on"] == 700


def test_too_few_rows_are_refused(two: World) -> None:
    test_ids = from_parquet(newest_rows(two)).index.to_numpy()
    retrained(two, 3, test_ids[:1901])
    with pytest.raises(ChoiceError) as error:
        best(two)
    line = two.ledger.history("toys", 1)[0].id
    assert str(error.value) == (
        "versions must be compared on at least 100 rows that none of them was trained on; the newest test of toys "
        f"(line {line} of the ledger) has 99 of 2,000. Let a challenger be tested on more rows, or set the rule "
        '"production".'
    )


def test_without_a_test_nothing_is_best() -> None:
    world = World()
    with pytest.raises(ChoiceError, match="toys has no version that was not rolled back"):
        best(world)
    world.go()
    with pytest.raises(ChoiceError) as error:
        best(world)
    assert str(error.value) == (
        '"best:mae" compares versions on the rows of the newest test; toys has no rows of any test. Let main_pipeline '
        'or train_pipeline test a challenger first, or set the rule "production".'
    )


def test_versions_that_cannot_be_compared_are_left_out_with_the_reason(two: World) -> None:
    for number in (3, 4, 5):
        twin(two, number)
    two.registry.files["toys", 2] += b"x"
    changed(two, 3, snapshot=Stored("memory:///gone", "0" * 64))
    other = Spec.from_json(SPEC.to_json().replace('"size":', '"weight":'))
    changed(two, 4, spec_json=other.to_json())
    del two.registry.files["toys", 5]
    chosen = best(two)
    assert chosen.version.version == 1
    assert chosen.why["left_out"] == {
        "3": "the rows that it was trained on are gone",
        "2": "a model's file must keep its content; toys v2 has changed.",
        "4": "it reads weight, which the test rows do not have",
        "5": "a registered model must still be there; toys v5 is gone.",
    }
    del two.registry.files["toys", 1]
    with pytest.raises(
        ChoiceError, match=r"found none \(v3: the rows that it was trained on are gone; v1: a registered"
    ):
        best(two)


def test_a_model_that_fails_is_left_out_with_what_it_raised(two: World, monkeypatch: pytest.MonkeyPatch) -> None:
    load = training.load_model
    broken = two.registry.files["toys", 2]

    class Failing:
        def predict(self, _: object) -> object:
            raise ValueError("too large")

    monkeypatch.setattr(training, "load_model", lambda data, types: Failing() if data == broken else load(data, types))
    chosen = best(two)
    assert chosen.version.version == 1
    assert chosen.why["left_out"] == {"2": "it raised ValueError: too large"}


def test_a_registry_that_is_away_is_no_reason_to_leave_a_version_out(
    two: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: object) -> bytes:
        raise ServiceAway("MLflow must answer")

    monkeypatch.setattr(two.registry, "model_bytes", away)
    with pytest.raises(ServiceAway):
        best(two)


def test_a_rule_that_cannot_be_read_is_refused(two: World) -> None:
    with pytest.raises(RuleError, match="the metric of a regression must be one of mae, rmse, r2"):
        best(two, "auc")


def newest_rows(world: World) -> bytes:
    evidence = world.ledger.history("toys", 1)[0].evidence
    return world.store.get(Stored(evidence["rows_uri"], evidence["rows_sha256"]))


def roll_back(world: World) -> None:
    first = world.ledger.version("toys", 1)
    assert first is not None
    move = Rollback("toys", NAMES.model, "back", 2, first, "worse", "test", "test")
    assert world.ledger.rollback(move) is not None


def twin(world: World, number: int) -> None:
    """Record version 2 once more under another number."""
    second = world.ledger.version("toys", 2)
    assert second is not None
    version = replace(second, version=number, run_key=f"twin {number}")
    world.ledger.add_version(version)
    world.registry.versions["toys", number] = version
    world.registry.files["toys", number] = world.registry.files["toys", 2]


def changed(world: World, number: int, **changes: object) -> Version:
    place = next(i for i, one in enumerate(world.ledger.versions) if one.version == number)
    version = replace(world.ledger.versions[place], **changes)  # type: ignore[arg-type]
    world.ledger.versions[place] = version
    return version


def retrained(world: World, number: int, ids: npt.NDArray[np.int64]) -> None:
    """Record a version whose snapshot holds these rows."""
    twin(world, number)
    frame = toys(len(ids), 1)
    frame.index = ids
    frame.index.name = "row_id"
    changed(world, number, snapshot=world.store.put("snapshots/toys", "parquet", to_parquet(frame)))
