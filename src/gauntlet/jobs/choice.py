"""Which version scores: by the spec's rule, chosen once for a run, and recorded with the reason."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from gauntlet.domain.errors import Final, Mendable
from gauntlet.domain.lineage import rolled_back
from gauntlet.domain.model_rule import ModelRule, RuleKind
from gauntlet.domain.scores import metrics
from gauntlet.domain.spec import Spec
from gauntlet.jobs.frames import from_parquet, row_ids
from gauntlet.jobs.ports import ServiceAway, Stored, StoreError, Version
from gauntlet.jobs.run import Refused
from gauntlet.jobs.scoring import require_same_problem, scorer

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    import pandas as pd

    from gauntlet.jobs.ledger_port import Ledger
    from gauntlet.jobs.ports import ObjectStore, Registry

log = logging.getLogger(__name__)

MIN_ROWS = 100
"""Fewer test rows than these say little of which version is best."""

ENTRIES = 1_000
"""How many lines of the ledger are looked through for the newest test; a daily pipeline writes some 400 a year."""


class ChoiceError(Final):
    """The rule names no version that can score."""


class ChoicePorts(Protocol):
    """The services that a choice asks."""

    @property
    def store(self) -> ObjectStore:
        """Where snapshots and test rows lie."""
        ...

    @property
    def registry(self) -> Registry:
        """Where models lie."""
        ...

    @property
    def ledger(self) -> Ledger:
        """What is in production, and what was."""
        ...


@dataclass(frozen=True)
class Chosen:
    """The version that scores, the rule that chose it, and what it went by (JSON values only)."""

    version: Version
    rule: str
    why: Mapping[str, Any]


@dataclass(frozen=True)
class _Test:
    """The rows of the newest test, and the line of the ledger that names them."""

    frame: pd.DataFrame
    stored: Stored
    line: int


def choose(ports: ChoicePorts, spec: Spec, rule: str) -> Chosen:
    """Return the version that a rule of `domain.model_rule` names now.

    Raises RuleError for a rule that cannot be read, ChoiceError when it names no version.
    """
    parsed = ModelRule.parse(rule, spec.task)
    if parsed.kind is RuleKind.PRODUCTION:
        version, why = _in_production(ports, spec.name)
    elif parsed.kind is RuleKind.VERSION:
        version, why = _pinned(ports, spec.name, parsed.version)
    else:
        version, why = _best(ports, spec, parsed)
    require_same_problem(version, spec)  # before anything is made for the spec as it is now
    log.info("%s chose %s v%d of %s", rule, version.model, version.version, spec.name)
    return Chosen(version, rule, why)


def _in_production(ports: ChoicePorts, spec: str) -> tuple[Version, dict[str, Any]]:
    production = ports.ledger.production(spec)
    if production is None:
        raise ChoiceError(
            f'the rule "production" needs a version in production; {spec} has none. Run its main_pipeline or '
            'train_pipeline, which put the first model there, or set the rule "version:N".'
        )
    version = ports.ledger.version(spec, production.version)
    if version is None:
        raise ChoiceError(
            f"a version that scores must be in the ledger; v{production.version} of {production.model} was put in "
            "production by hand and made by another program. Point the alias `production` at a version of this one."
        )
    return version, {"production_since": production.since.isoformat()}


def _pinned(ports: ChoicePorts, spec: str, number: int) -> tuple[Version, dict[str, Any]]:
    version = ports.ledger.version(spec, number)
    if version is None:
        known = ", ".join(f"v{one.version}" for one in ports.ledger.recorded(spec)) or "none"
        raise ChoiceError(
            f'"version:{number}" must name a recorded version; {spec} has {known}. Correct the rule, or train first.'
        )
    if ports.registry.describe(version.model, number) is None:
        raise ChoiceError(
            f'"version:{number}" must name a version that can be loaded; {version.model} v{number} was deleted in '
            "MLflow. Name another one, or restore it from a backup."
        )
    gone = number in rolled_back(ports.ledger.moves(spec))
    return version, {"rolled_back": gone}


def _best(ports: ChoicePorts, spec: Spec, rule: ModelRule) -> tuple[Version, dict[str, Any]]:
    out = rolled_back(ports.ledger.moves(spec.name))
    candidates = [version for version in ports.ledger.recorded(spec.name) if version.version not in out]
    test = _newest_test(ports, spec.name)
    if not candidates or test is None:
        found = "no rows of any test" if candidates else "no version that was not rolled back"
        raise ChoiceError(
            f'"best:{rule.metric}" compares versions on the rows of the newest test; {spec.name} has {found}. '
            'Let main_pipeline or train_pipeline test a challenger first, or set the rule "production".'
        )
    figures, why = _compared(ports, spec, rule.metric, candidates, test)
    if not figures:
        named = "; ".join(f"v{number}: {reason}" for number, reason in why["left_out"].items())
        raise ChoiceError(
            f'"best:{rule.metric}" needs a version that can score the rows of the newest test; found none ({named}). '
            'Test a challenger anew, or set the rule "production".'
        )
    production = ports.ledger.production(spec.name)
    present = production.version if production else None
    sign = -1 if rule.higher_is_better else 1
    best = min(figures, key=lambda number: (sign * figures[number], number != present, -number))
    return next(one for one in candidates if one.version == best), why


def _compared(
    ports: ChoicePorts, spec: Spec, metric: str, candidates: list[Version], test: _Test
) -> tuple[dict[int, float], dict[str, Any]]:
    """Return the metric of each version that could be compared, and all that the comparison went by."""
    left_out: dict[str, str] = {}
    fresh, known = _fresh_rows(ports, spec, candidates, test, left_out)
    figures = _figures(ports, spec, metric, [one for one in candidates if one.version in known], fresh, left_out)
    return figures, {
        "rows_uri": test.stored.uri,
        "rows_sha256": test.stored.sha256,
        "ledger_entry": test.line,
        "rows": len(fresh),
        "rows_trained_on": len(test.frame) - len(fresh),
        "metrics": {str(number): value for number, value in figures.items()},
        "left_out": left_out,
    }


def _newest_test(ports: ChoicePorts, spec: str) -> _Test | None:
    for entry in ports.ledger.history(spec, ENTRIES):
        uri, sha256 = entry.evidence.get("rows_uri"), entry.evidence.get("rows_sha256")
        if uri and sha256:
            stored = Stored(uri, sha256)
            return _Test(from_parquet(ports.store.get(stored)), stored, entry.id)
    return None


def _fresh_rows(
    ports: ChoicePorts, spec: Spec, candidates: list[Version], test: _Test, left_out: dict[str, str]
) -> tuple[pd.DataFrame, set[int]]:
    """Return the test rows that no version was trained on, and the versions whose training rows are known."""
    seen: list[npt.NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
    known: set[int] = set()
    for version in candidates:
        try:
            seen.append(row_ids(ports.store.get(version.snapshot)))
        except StoreError:
            left_out[str(version.version)] = "the rows that it was trained on are gone"
        else:
            known.add(version.version)
    fresh = test.frame[~np.isin(test.frame.index.to_numpy(dtype=np.int64), np.concatenate(seen))]
    if len(fresh) < MIN_ROWS:
        raise ChoiceError(
            f"versions must be compared on at least {MIN_ROWS} rows that none of them was trained on; the newest test "
            f"of {spec.name} (line {test.line} of the ledger) has {len(fresh):,} of {len(test.frame):,}. Let a "
            'challenger be tested on more rows, or set the rule "production".'
        )
    return fresh, known


def _figures(
    ports: ChoicePorts,
    spec: Spec,
    metric: str,
    versions: list[Version],
    frame: pd.DataFrame,
    left_out: dict[str, str],
) -> dict[int, float]:
    """Return each version's metric; of one that cannot score the rows, the reason goes to `left_out`."""
    found: dict[int, float] = {}
    for version in versions:
        try:
            figure = _figure(ports, spec, metric, version, frame)
        except ServiceAway:
            raise
        except Mendable as error:
            left_out[str(version.version)] = str(error)
            log.warning("v%d of %s is not compared: %s", version.version, spec.name, error)
        else:
            found[version.version] = figure
    return found


def _figure(ports: ChoicePorts, spec: Spec, metric: str, version: Version, frame: pd.DataFrame) -> float:
    own = Spec.from_json(version.spec_json)
    missing = [column for column in own.features if column not in frame]
    if missing:
        raise Refused(f"it reads {', '.join(missing)}, which the test rows do not have")
    predict = scorer(ports, version, spec)
    try:
        predicted = predict(frame)
    except MemoryError:
        raise  # the machine failed, not the model
    except Exception as error:
        raise Refused(f"it raised {type(error).__name__}: {error}") from error
    if not np.isfinite(predicted).all():
        raise Refused("it has no prediction for some of the rows")
    figures = metrics(frame["truth"], predicted, own)
    if metric not in figures:
        raise Refused(f"{metric} cannot be told from rows of a single class")
    return figures[metric]
