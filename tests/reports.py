"""Reports that the tests of pages and texts share."""

import numpy as np

from gauntlet.domain.comparison import Comparison, SegmentEffect
from gauntlet.domain.drift import DriftFinding, DriftReport, Overlay
from gauntlet.domain.promotion import Decision, Guardrail, PromotionPolicy
from gauntlet.domain.report import ComparisonPart
from gauntlet.domain.verdict import Verdict

HOSTILE = "<script>alert(1)</script>\"'&{{ 7*7 }}|`*_[x](http://evil.example)\u202e\x1b[31m"


def ks(column: str, distance: float, *, drifted: bool, p_value: float = 1e-9) -> DriftFinding:
    reason = f"KS distance {distance:g} is {'at least' if drifted else 'below'} 0.03"
    return DriftFinding(column, "ks", distance, p_value, distance, 0.03, drifted, reason)


def psi(column: str, value: float, *, drifted: bool, p_value: float | None = 1e-9) -> DriftFinding:
    return DriftFinding(column, "psi", value, p_value, value, 0.1, drifted, f"PSI {value:g} against 0.1")


def missing(column: str) -> DriftFinding:
    return DriftFinding(column, "schema", 1.0, None, 1.0, 1.0, True, "the column is missing")


def numbers(column: str, rng: np.random.Generator) -> Overlay:
    shares = [tuple(map(float, rng.dirichlet(np.ones(30)))) for _ in range(2)]
    return Overlay(column, tuple(map(float, np.linspace(0, 3, 31))), (), *shares)


def levels(column: str, rng: np.random.Generator, names: tuple[str, ...]) -> Overlay:
    shares = [tuple(map(float, rng.dirichlet(np.ones(len(names))))) for _ in range(2)]
    return Overlay(column, (), names, *shares)


def wide_report(columns: int, drifted: int, prefix: str = "column") -> DriftReport:
    """A report on many columns, half of them categories, each with its overlay."""
    rng = np.random.default_rng(0)
    findings: list[DriftFinding] = []
    overlays = []
    for number in range(columns):
        name, hit = f"{prefix} {number}", number < drifted
        if number % 2:
            findings.append(psi(name, 0.5 if hit else 0.01, drifted=hit))
            overlays.append(levels(name, rng, tuple(f"{prefix} level {level}" for level in range(30))))
        else:
            findings += [ks(name, 0.3 if hit else 0.01, drifted=hit), psi(name, 0.02, drifted=False, p_value=None)]
            overlays.append(numbers(name, rng))
    return DriftReport(tuple(findings), 4000, 5000, tuple(overlays))


def comparison_part(verdict: Verdict = Verdict.PROMOTE, name: str = "clarity") -> ComparisonPart:
    """A comparison of v4 with v3 on 5,000 rows, with a segment that fails its guardrail unless v4 is promoted."""
    passed = verdict is Verdict.PROMOTE
    comparison = Comparison(
        metric="mae",
        paired=True,
        rows_champion=5000,
        rows_challenger=5000,
        trained_rows=7,
        duplicate_ids=0,
        missing_labels=0,
        missing_champion=0,
        missing_challenger=0,
        champion_loss=303.1,
        challenger_loss=279.2,
        effect=-0.079,
        spread=0.43,
        segments=(
            SegmentEffect(name, "SI1", 3000, -0.12, 0.01),
            SegmentEffect(name, "IF", 1990, 0.15, 0.02),
            SegmentEffect(name, "I1", 10, None, None),
        ),
    )
    decision = Decision(
        verdict=verdict,
        reason="challenger's MAE is 7.9 % lower (95 % interval -9.1 % to -6.7 %) on 5,000 paired rows",
        effect=-0.079,
        interval=(-0.091, -0.067),
        rows=5000,
        rows_needed=1234,
        guardrails=(
            Guardrail("failures", True, 0.0, 0.005, "0 of 5,000 rows without a prediction"),
            Guardrail("segments", passed, 0.15, 0.05, f"{name} = IF: MAE +15.0 %"),
        ),
        detectable=0.021,
    )
    return ComparisonPart(3, 4, decision, comparison, PromotionPolicy())
