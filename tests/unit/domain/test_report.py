"""What a person is told in a line, and in the Markdown of a version's description."""

import math
from dataclasses import replace

import pytest
from tests.reports import HOSTILE, comparison_part, ks, missing, psi, wide_report

from gauntlet.domain.drift import ROWS, DriftFinding, DriftReport
from gauntlet.domain.report import LIMIT, Report, by_column, excess, key_line, markdown, plain, short
from gauntlet.domain.verdict import Verdict

DRIFT = DriftReport(
    (ks("depth", 0.01, drifted=False), psi("cut", 0.5, drifted=True), ks("price", 0.3, drifted=True)), 4000, 5000
)
LEFT_OUT = DriftFinding(ROWS, "left_out", 0.2, None, 0.2, 0.05, True, "20.0 % of the rows served were left out")


def test_drift_in_one_line() -> None:
    line = "Drift in 2 of 3 columns, most in price: KS distance 0.3, threshold 0.03 (5,000 rows against 4,000)."
    assert key_line(Report("t", DRIFT)) == line


def test_no_drift_in_one_line() -> None:
    report = DriftReport((ks("depth", 0.01, drifted=False),), 4000, 5000)
    assert key_line(Report("t", report)) == "No drift in 1 column (5,000 rows against 4,000)."


def test_rows_left_out_are_no_column() -> None:
    alone = DriftReport((ks("depth", 0.01, drifted=False), LEFT_OUT), 1, 1)
    assert key_line(Report("t", alone)) == (
        "Drift in the rows left out: 20.0 % of the rows served were left out (1 rows against 1)."
    )
    both = replace(DRIFT, findings=(*DRIFT.findings, LEFT_OUT))
    assert key_line(Report("t", both)) == (
        "Drift in 2 of 3 columns, most in price: KS distance 0.3, threshold 0.03, and 20.0 % of rows left out "
        "(5,000 rows against 4,000)."
    )


def test_a_comparison_in_one_line() -> None:
    assert key_line(Report("t", DRIFT, comparison_part())) == (
        "PROMOTE v4 over v3: challenger's MAE is 7.9 % lower (95 % interval -9.1 % to -6.7 %) on 5,000 paired rows; "
        "drift in 2 of 3 columns, most in price: KS distance 0.3, threshold 0.03 (5,000 rows against 4,000)."
    )


def test_a_verdict_that_moved_nothing_says_so() -> None:
    held = replace(comparison_part(), held="production is frozen: holidays")
    assert key_line(Report("t", comparison=held)).startswith(
        "PROMOTE v4 over v3, but production stays (production is frozen: holidays): challenger's MAE"
    )


def test_a_p_value_that_is_judged_by_itself_is_named() -> None:
    finding = DriftFinding("price", "ks", 0.3, 1e-9, 1e-9, 0.05, True, "KS p = 1e-09 is below 0.05")
    assert "most in price: KS p-value 1e-09, threshold 0.05" in key_line(Report("t", DriftReport((finding,), 1, 1)))
    assert excess(finding) == pytest.approx(0.05 / 1e-9)
    assert excess(replace(finding, p_value=0.0, effect=0.0)) == math.inf


def test_columns_stand_by_how_far_they_are_over_their_thresholds() -> None:
    findings = (ks("a", 0.029, drifted=False), psi("b", 0.2, drifted=True), ks("c", 0.09, drifted=True), missing("d"))
    assert [(each.column, each.drifted) for each in by_column(DriftReport(findings, 1, 1))] == [
        ("d", True), ("c", True), ("b", True), ("a", False),
    ]  # fmt: skip


def test_a_finding_that_informs_is_not_what_a_column_is_sorted_by() -> None:
    findings = (ks("a", 0.06, drifted=True), psi("a", 5.0, drifted=False, p_value=None), ks("b", 0.09, drifted=True))
    columns = by_column(DriftReport(findings, 1, 1))
    assert [each.column for each in columns] == ["b", "a"]
    assert [finding.test for finding in columns[1].findings] == ["ks", "psi"]


def test_markdown_of_a_promotion() -> None:
    assert markdown(Report("t", DRIFT, comparison_part(), {"run": "main_pipeline/r1", "policy": "ab12"})) == (
        "**PROMOTE** v4 against v3: challenger's MAE is 7.9 % lower (95 % interval -9.1 % to -6.7 %) on 5,000 paired "
        "rows\n"
        "\n- run main\\_pipeline/r1, policy ab12"
        "\n- effect -7.9 % (-9.1 % to -6.7 %) on 5,000 rows"
        "\n- guardrails: 2 of 2 passed"
        "\n- drift in 2 of 3 columns, most in price: KS distance 0.3, threshold 0.03 (5,000 rows against 4,000)"
        "\n- drifted: price: KS distance 0.3, threshold 0.03"
        "\n- drifted: cut: PSI 0.5, threshold 0.1"
    )


def test_markdown_names_the_guardrail_that_failed() -> None:
    text = markdown(Report("t", comparison=comparison_part(Verdict.KEEP)))
    assert "\n- guardrails: 1 of 2 passed\n- failed: segments, clarity = IF: MAE +15.0 %" in text


def test_markdown_of_drift_alone() -> None:
    assert markdown(Report("t", DRIFT)).startswith("**Drift in 2 of 3 columns, most in price: KS distance 0.3")


@pytest.mark.parametrize("name", ["*", HOSTILE * 30, "<" * 5000, "語" * 500])
def test_markdown_stays_short_and_ends_whole(name: str) -> None:
    part = comparison_part(Verdict.KEEP, name)
    decision = replace(part.decision, reason=name * 20)
    text = markdown(
        Report(name, wide_report(300, 300, name), replace(part, decision=decision, held=name), {name: name})
    )
    assert len(text) < LIMIT
    assert text.startswith("**KEEP** v4 against v3: ")


def test_markdown_shows_data_as_it_is() -> None:
    report = DriftReport(
        (ks("<b>*a*</b> [x](http://e.example) www.e.example a@e.example\n# head", 0.3, drifted=True),), 1, 1
    )
    text = markdown(Report("t", report))
    assert "&lt;b&gt;\\*a\\*&lt;/b&gt; \\[x\\](http\\://" in text
    for markup in ("<", "http:", "[x]", "www.", "@", "\n#"):
        assert markup not in text.replace("\\[x\\]", "")


def test_texts_lose_what_misleads() -> None:
    assert plain("a\u202eb\x1b[2J\ud800\tc") == "a\ufffdb\ufffd[2J\ufffd\ufffdc"
    assert plain("Größe 尺寸 حجم") == "Größe 尺寸 حجم"


def test_short_texts_fit_their_width() -> None:
    assert short("abcdef", 6) == "abcdef"
    assert short("abcdefg", 6) == "abcde…"
    assert short("尺寸尺寸", 6) == "尺寸…"
