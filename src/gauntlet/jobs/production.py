"""Production: what the ledger says, and its projection into the registry's aliases."""

import logging

from gauntlet.domain.aliases import Alias
from gauntlet.jobs.ledger_port import Ledger
from gauntlet.jobs.ledger_records import Period
from gauntlet.jobs.ports import Names, Production, StoreError, Version
from gauntlet.jobs.run import Ports, Refused

log = logging.getLogger(__name__)


def reconcile(ports: Ports, spec: str, names: Names) -> Production | None:
    """Bring ledger and aliases together and return what is in production; idempotent.

    An alias that differs from the ledger is either a projection still owed (it shows what was last projected) or was
    moved by hand; the second is recorded as an external event and becomes the truth.
    """
    with ports.ledger.lock(spec, "aliases"):
        production = ports.ledger.production(spec)
        _require_same_store(ports, spec, names, production)
        truth = production.version if production else None
        shown = ports.registry.alias(names.model, Alias.PRODUCTION)
        projected = ports.ledger.projected(spec)
        if shown == truth and projected == (truth,):
            return production
        while shown not in (truth, projected[0] if projected else None):
            _adopt(ports, spec, names, truth, shown)
            truth = _version(ports, spec)  # a third one where a promotion came in between: then this was not recorded
        return _project(ports, spec, names)


def present_stay(ledger: Ledger, spec: str) -> Period | None:
    """What is in production, with what brought it there."""
    newest = next(iter(ledger.periods(spec)), None)
    return newest if newest is not None and newest.until is None else None


def require_version(ports: Ports, spec: str, number: int) -> Version:
    """The full record of a version, from the ledger alone: anyone may write the registry's tags. Else Refused."""
    version = ports.ledger.version(spec, number)
    if version is None:
        raise Refused(
            f"A champion needs the snapshot and drift profile it was trained with; version {number} of spec {spec} is "
            "not in the ledger, so this pipeline did not make it. Point the alias `production` at a version that it "
            "made, or drop the alias to train a first model."
        )
    return version


def _version(ports: Ports, spec: str) -> int | None:
    production = ports.ledger.production(spec)
    return production.version if production else None


def _project(ports: Ports, spec: str, names: Names) -> Production | None:
    production = ports.ledger.production(spec)
    version = production.version if production else None
    previous = ports.ledger.previous(spec)
    if previous is not None and ports.registry.describe(names.model, previous) is None:
        previous = None  # deleted in the registry: an alias cannot name it
    ports.registry.set_alias(names.model, Alias.PRODUCTION, version)  # also when it is right: its stage may not be
    ports.registry.set_alias(names.model, Alias.PREVIOUS, previous)
    ports.ledger.mark_projected(spec, version)
    return production


def _adopt(ports: Ports, spec: str, names: Names, old: int | None, new: int | None) -> None:
    log.warning("production of %s was moved by hand in the registry: version %s -> %s", spec, old, new)
    described = ports.registry.describe(names.model, new) if new is not None else None
    ports.ledger.record_external(spec, names.model, old, new, described.run_id if described else None)


def _require_same_store(ports: Ports, spec: str, names: Names, production: Production | None) -> None:
    if production is None:
        return
    if production.model != names.model:
        raise Refused(
            f"A spec keeps its registered model; {spec} is in production as {production.model}, and EXPERIMENT_NAME "
            f"now makes it {names.model}. Set EXPERIMENT_NAME back, or copy the spec under another name."
        )
    if not ports.registry.has_model(names.model):
        raise StoreError(
            f"The ledger says that version {production.version} of model {names.model} is in production, but the "
            "MLflow store has no such model. Check MLFLOW_TRACKING_URI, or restore the store."
        )
