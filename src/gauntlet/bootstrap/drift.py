"""Drift between two files, without a server and whatever is wrong with settings that have no part in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gauntlet.bootstrap.catalogue import load_spec, read_spec
from gauntlet.bootstrap.environment import settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

    from gauntlet.domain.drift import DriftFinding, DriftPolicy, DriftReport
    from gauntlet.domain.spec import Spec
    from gauntlet.settings import Settings

SETTINGS = ("drift_rule", "ks_pvalue_threshold", "psi_threshold", "specs_dir")
"""The only settings that count here."""
NAME_WIDTH = 40


@dataclass(frozen=True)
class FileDrift:
    """What two files differ in; `left_out`: columns that were not compared → what they hold."""

    report: DriftReport
    left_out: Mapping[str, str]

    @property
    def table(self) -> tuple[tuple[bool, tuple[str, ...]], ...]:
        """Whether it is drift, and the text of each finding (column, test, figures, reason), the worst column first."""
        from gauntlet.domain.report import by_column

        return tuple((finding.drifted, _cells(finding)) for each in by_column(self.report) for finding in each.findings)

    @property
    def not_compared(self) -> tuple[tuple[str, str], ...]:
        """The columns that were not compared, each with what it holds, as text."""
        from gauntlet.domain.report import short

        return tuple((short(column, NAME_WIDTH), what) for column, what in self.left_out.items())

    @property
    def line(self) -> str:
        """The conclusion in one sentence."""
        from gauntlet.domain.report import Report, key_line

        return key_line(Report("", drift=self.report))


def drift_between(reference: Path, current: Path, spec: str | None, doing: Callable[[str], None]) -> FileDrift:
    """Compare two CSV or parquet files, by a spec (its name, or a .toml file) or by the columns they have."""
    settings = settings_of(SETTINGS)
    chosen = _spec(settings, spec) if spec else None
    from gauntlet.adapters.tables import read_table
    from gauntlet.domain.infer import compare_frames

    frames = []
    for path in (reference, current):
        doing(f"reading {path}")
        frames.append(read_table(path))
    doing("comparing")
    policy = drift_policy(settings, chosen)
    if chosen is not None:
        return _by_spec(chosen, frames[0], frames[1], policy)
    found = compare_frames(frames[0], frames[1], policy)
    return FileDrift(found.report, found.left_out)


def write_page(path: Path, title: str, found: FileDrift) -> None:
    """Write the report, and what was not compared, as one HTML file: the whole of it, or none."""
    from gauntlet.adapters.report import Report, html
    from gauntlet.adapters.tables import write_whole

    write_whole(path, html(Report(title, drift=found.report, not_compared=found.left_out)))


def drift_policy(settings: Settings, spec: Spec | None) -> DriftPolicy:
    """Return when a difference is drift: as the spec says, else as the settings do."""
    from gauntlet.domain.drift import DriftPolicy, DriftRule

    own = spec.thresholds if spec else None
    return DriftPolicy(
        rule=DriftRule(settings.drift_rule),
        ks_pvalue=settings.ks_pvalue_threshold if own is None or own.ks_pvalue is None else own.ks_pvalue,
        psi=settings.psi_threshold if own is None or own.psi is None else own.psi,
        overrides=spec.drift if spec else None,
    )


def _cells(finding: DriftFinding) -> tuple[str, ...]:
    from gauntlet.domain.report import TESTS, plain, short

    figures = (f"{finding.statistic:.4g}", f"{finding.effect:.4g}", f"{finding.threshold:g}")
    p_value = "-" if finding.p_value is None else f"{finding.p_value:.3g}"
    return short(finding.column, NAME_WIDTH), TESTS[finding.test], *figures, p_value, plain(finding.reason)


def _spec(settings: Settings, name: str) -> Spec:
    path = Path(name).expanduser()
    return read_spec(path) if path.suffix == ".toml" else load_spec(settings, name)


def _by_spec(spec: Spec, reference: pd.DataFrame, current: pd.DataFrame, policy: DriftPolicy) -> FileDrift:
    """Compare the spec's variables; a further column is drift only where the reference does not have it."""
    from gauntlet.domain.drift import DriftProfile
    from gauntlet.domain.spec_rules import RESERVED_COLUMNS

    known = {*RESERVED_COLUMNS, spec.key}
    further = [name for name in reference.columns if name not in spec.variables]
    aside = {*known, *further}
    judged = spec.model_copy(update={"key": None})
    first, second = (frame.drop(columns=[name for name in aside if name in frame]) for frame in (reference, current))
    report = DriftProfile.fit(first, judged).compare(second, policy)
    return FileDrift(report, {str(name): "not in the spec" for name in further if name not in known})
