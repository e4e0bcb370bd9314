"""Rollback: production goes back to a version that was there before, by the ledger, and the aliases follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gauntlet.domain.aliases import Alias
from gauntlet.domain.spec import Spec
from gauntlet.domain.training import load_model
from gauntlet.jobs.ledger_records import Rollback
from gauntlet.jobs.ports import Entry, Kind, Names, Version
from gauntlet.jobs.production import present_stay, reconcile
from gauntlet.jobs.run import Ports, Refused


@dataclass(frozen=True)
class Wish:
    """What a person or a watcher asks for: the way back `to` a version, or to the previous one (None).

    `key` names the call: however often it is made, it moves production once. `out` is what must be in production for
    it; None for whatever is.
    """

    to: int | None
    reason: str
    by: str
    key: str
    code_version: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    out: int | None = None


@dataclass(frozen=True)
class RolledBack:
    """What the ledger says of a rollback, the champion before the restored one, and whether it was there already."""

    entry: Entry
    previous: int | None
    repeated: bool


def rollback(ports: Ports, spec: Spec, names: Names, wish: Wish) -> RolledBack:
    """Put an earlier version back in production: the ledger first, and from there the registry's aliases.

    The version's model is read, compared with its hash and loaded before anything is moved. Cut off at any point and
    called again it ends in the same state; without the same key, a call with the same words right after a rollback is
    taken for a second try of that one, not for a wish to go back one further. Raises Refused, with the remedy, when
    there is nothing to go back to or production was moved meanwhile; StoreError for a model that is gone or altered.
    """
    seen = ports.ledger.projected(spec.name)  # what the aliases showed when this call began
    reconcile(ports, spec.name, names)
    done = ports.ledger.rolled_back(spec.name, wish.key) or _same_wish(ports, spec.name, wish, seen)
    if done is not None:
        return _finish(ports, names, wish, done, repeated=True)
    now, target = _choose(ports, spec.name, wish.to)
    if wish.out not in (None, now):
        raise _moved_meanwhile(wish.out, spec.name)
    version = _require_loadable(ports, spec, target)
    move = Rollback(
        spec=spec.name,
        model=names.model,
        key=wish.key,
        old=now,
        new=version,
        reason=wish.reason,
        decided_by=wish.by,
        code_version=wish.code_version,
        evidence=wish.evidence,
    )
    entry = ports.ledger.rollback(move)
    if entry is None:
        raise _moved_meanwhile(now, spec.name)
    reconcile(ports, spec.name, names)
    return _finish(ports, names, wish, entry, repeated=False)


def _moved_meanwhile(seen: int | None, spec: str) -> Refused:
    return Refused(
        f"A rollback takes away what was in production when it began; that was v{seen} of {spec}, and production was "
        "moved meanwhile. Look at gauntlet history; roll back again if it is still needed."
    )


def _same_wish(ports: Ports, spec: str, wish: Wish, seen: tuple[int | None] | None) -> Entry | None:
    """The rollback that is the newest move, if this wish asks for it once more or the aliases had not followed it."""
    newest = present_stay(ports.ledger, spec)
    if newest is None or newest.kind != Kind.ROLLBACK:
        return None
    if wish.to is None:
        same = seen != (newest.version,) or (newest.reason, newest.decided_by) == (wish.reason, wish.by)
    else:
        same = wish.to == newest.version
    dossier = ports.ledger.entry(newest.event_id) if same else None
    return dossier.entry if dossier else None


def _choose(ports: Ports, spec: str, to: int | None) -> tuple[int, int]:
    """Return what is in production and what is to be."""
    production = ports.ledger.production(spec)
    if production is None:
        raise Refused(
            f"A rollback needs a version in production; {spec} has none. `gauntlet run` trains a first model."
        )
    now = production.version
    target = to or ports.ledger.previous(spec)
    past = sorted({period.version for period in ports.ledger.periods(spec)} - {now})
    choice = f"Choose one with --to: {', '.join(f'v{each}' for each in past)}." if past else "There is no other."
    if target is None and not past:
        raise Refused(f"v{now} is the first version of {spec}; there is nothing to go back to.")
    if target is None:
        raise Refused(
            f"A rollback goes to the version that was in production before; before v{now} of {spec} there was none "
            f"that was not rolled back itself. {choice}"
        )
    if target == now:
        raise Refused(f"A rollback goes to another version; v{now} of {spec} is in production already. {choice}")
    if target not in past:
        raise Refused(
            f"A rollback goes to a version that has been in production; v{target} of {spec} has not. {choice}"
        )
    return now, target


def _require_loadable(ports: Ports, spec: Spec, number: int) -> Version:
    """Return the version's record, after its model was read with the right hash, and loaded."""
    version = ports.ledger.version(spec.name, number)
    if version is None:
        raise Refused(
            f"A rollback goes to a version that this pipeline made; v{number} of {spec.name} is not in the ledger, so "
            "its model cannot be checked. Choose another with --to, or move the alias `production` in MLflow by hand."
        )
    load_model(ports.registry.model_bytes(version), spec.trusted_types)
    return version


def _finish(ports: Ports, names: Names, wish: Wish, entry: Entry, *, repeated: bool) -> RolledBack:
    """Drop `staging` and tell people, unless production has moved on since: then it is history.

    A second try by the same key tells again, for the first may have died before that; another wish that finds its
    rollback done by somebody else tells nobody.
    """
    done = RolledBack(entry, ports.ledger.previous(entry.spec), repeated)
    stay = present_stay(ports.ledger, entry.spec)
    if stay is None or stay.event_id != entry.id:
        return done
    if ports.registry.alias(names.model, Alias.STAGING) is not None:
        ports.registry.set_alias(names.model, Alias.STAGING, None)
    if entry.run_key == wish.key:
        title = f"{entry.spec}: production was rolled back, v{entry.champion} → v{entry.challenger}"
        ports.notifier.tell(title, f"{entry.reason} ({entry.decided_by})")
    return done
