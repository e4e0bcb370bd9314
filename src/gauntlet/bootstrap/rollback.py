"""What a person does about production from the command line: roll back, freeze, unfreeze."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from gauntlet.bootstrap.catalogue import load_spec, names
from gauntlet.bootstrap.environment import person
from gauntlet.bootstrap.wiring import code_version, ledger, make_ports

if TYPE_CHECKING:
    from gauntlet.jobs.ledger_records import Freeze
    from gauntlet.jobs.rollback import RolledBack
    from gauntlet.settings import Settings


def roll_back(settings: Settings, spec: str | None, to: int | None, reason: str) -> RolledBack:
    """Put an earlier version of a spec back in production; raises Refused, StoreError or ServiceAway when it cannot."""
    from gauntlet.jobs.rollback import Wish, rollback

    chosen = load_spec(settings, spec)
    key = f"command line/{uuid.uuid4()}"
    wish = Wish(to=to, reason=reason, by=_who(), key=key, code_version=code_version())
    return rollback(make_ports(settings), chosen, names(settings, chosen.name), wish)


def freeze(settings: Settings, spec: str | None, reason: str, *, frozen: bool) -> tuple[str, bool, Freeze | None]:
    """Hold a spec's promotions back, or let them go on; returns its name, whether that is new, and the freeze."""
    chosen, kept = load_spec(settings, spec).name, ledger(settings)
    new = kept.freeze(chosen, frozen, reason, _who())
    return chosen, new, kept.frozen(chosen)


def _who() -> str:
    return f"{person()} on the command line"
