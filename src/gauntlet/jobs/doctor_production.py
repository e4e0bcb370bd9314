"""Production as the doctor looks at it: aliases against the ledger, and the champion's files. Changes nothing."""

from collections.abc import Callable

from gauntlet.domain.aliases import Alias
from gauntlet.domain.errors import Mendable
from gauntlet.jobs.doctor import Finding
from gauntlet.jobs.ports import Names, Production
from gauntlet.jobs.production import require_version
from gauntlet.jobs.run import Ports, Refused


def check_aliases(ports: Ports, spec: str, names: Names) -> list[Finding]:
    """Compare what MLflow shows as production with the ledger; changes neither."""
    production = ports.ledger.production(spec)
    check = f"aliases of {spec}"
    if production is not None and production.model != names.model:
        text = f"EXPERIMENT_NAME must keep a spec's model; {spec} is in production as {production.model}"
        return [Finding(check, f"{text}, not as {names.model}.", "Set EXPERIMENT_NAME back.")]
    truth = production.version if production else None
    shown = ports.registry.alias(names.model, Alias.PRODUCTION)
    if shown == truth:
        return _check_previous(ports, spec, names, check)
    if production is not None and not ports.registry.has_model(names.model):
        text = f"MLflow must have the model that the ledger says is in production, {names.model}; it has none."
        return [Finding(check, text, "Restore MLflow's database, or correct MLFLOW_TRACKING_URI.")]
    text = (
        f"MLflow's alias production must show what the ledger says, {_named(truth)} of {names.model}; "
        f"it shows {_named(shown)}"
    )
    projected = ports.ledger.projected(spec)
    if projected is not None and shown == projected[0]:
        remedy = "Unless a run is moving it right now: gauntlet up writes it again, as the spec's next run does."
        return [Finding(check, f"{text}, which was right before: the move was never shown.", remedy)]
    remedy = (
        f"If that was not meant, point the alias back at {_named(truth)} in MLflow. If it was: the next run, or "
        "gauntlet up, records it in the ledger as a move by hand."
    )
    return [Finding(check, f"{text}: it was moved by hand.", remedy)]


def check_champion(ports: Ports, production: Production) -> list[Finding]:
    """Read the champion's model, snapshot and drift profile, and compare their hashes with the ledger's."""
    check = f"champion of {production.spec}"
    try:
        version = require_version(ports, production.spec, production.version)
    except Refused as error:
        return [Finding.of(check, error)]
    reads: list[Callable[[], bytes]] = [
        lambda: ports.registry.model_bytes(version),
        lambda: ports.store.get(version.snapshot),
        lambda: ports.store.get(version.profile),
    ]
    return [finding for read in reads for finding in _unreadable(check, read)]


def _check_previous(ports: Ports, spec: str, names: Names, check: str) -> list[Finding]:
    expected = ports.ledger.previous(spec)
    if expected is not None and ports.registry.describe(names.model, expected) is None:
        expected = None  # deleted in the registry: an alias cannot name it
    shown = ports.registry.alias(names.model, Alias.PREVIOUS)
    if shown == expected:
        return []
    rule = "MLflow's alias previous must show the champion before the present one"
    text = f"{rule}, {_named(expected)} of {names.model}; "
    remedy = f"Set the alias previous to {_named(expected)} in MLflow." if expected else "Remove that alias in MLflow."
    return [Finding(check, f"{text}it shows {_named(shown)}.", remedy)]


def _unreadable(check: str, read: Callable[[], bytes]) -> list[Finding]:
    try:
        read()
    except Mendable as error:
        return [Finding.of(check, error)]
    return []


def _named(version: int | None) -> str:
    return "no version" if version is None else f"v{version}"
