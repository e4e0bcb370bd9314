"""What the ledger makes of a verdict: it may have come too late, be refused, or be held back."""

from collections.abc import Iterable

from gauntlet.domain.verdict import Verdict
from gauntlet.jobs.ledger_records import Freeze
from gauntlet.jobs.ports import Case, Version


def ruled(
    case: Case, production: int | None, barred: Iterable[Version], freeze: Freeze | None
) -> tuple[Verdict, str, str | None]:
    """Return the verdict to be recorded, its reason, and why a PROMOTE does not move production (None if it does).

    `barred` are the versions that were rolled back.
    """
    named = case.champion.version if case.champion else None
    if production != named:
        test = f"the test named {shown(named)} as champion"
        return Verdict.INVALID, f"champion changed: {test}, production is {shown(production)} now", None
    for old in barred:
        if (sameness := _sameness(case.challenger, old)) is not None:
            return Verdict.INVALID, f"a model that was rolled back is not tried again: {sameness}", None
    held = case.held or (freeze.text if freeze else None)
    verdict = case.decision.verdict
    return verdict, case.decision.reason, held if verdict is Verdict.PROMOTE else None


def shown(version: int | None) -> str:
    """Return a version as the ledger's reasons name it."""
    return "none" if version is None else f"v{version}"


def _sameness(challenger: Version, old: Version) -> str | None:
    if challenger.version == old.version:
        return f"v{old.version} was"
    if challenger.model_sha256 == old.model_sha256:
        return f"v{challenger.version} is the same file as v{old.version}"
    if _origin(challenger) == _origin(old):
        return f"v{challenger.version} was made like v{old.version}, by the same snapshot, recipe and seed"
    return None


def _origin(version: Version) -> tuple[str, str, int]:
    return version.snapshot.sha256, version.recipe, version.seed
