"""The page: small, whole, by itself, readable in both colour schemes, and safe whatever the data says."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from tests.reports import HOSTILE, comparison_part, ks, levels, missing, numbers, psi, wide_report

from gauntlet.adapters.report import Report, html
from gauntlet.adapters.report.pictures import bars, steps
from gauntlet.domain.comparison import Figure
from gauntlet.domain.drift import ROWS, DriftFinding, DriftReport, Overlay
from gauntlet.domain.intervals import Estimate
from gauntlet.domain.promotion import PromotionRule
from gauntlet.domain.verdict import Verdict

LIMIT = 200_000
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """What a page holds: elements with attributes in order, and its text; every tag must be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def both() -> str:
    rng = np.random.default_rng(0)
    findings = (ks("price", 0.3, drifted=True), psi("cut", 0.9, drifted=True), ks("depth", 0.01, drifted=False))
    overlays = (numbers("price", rng), levels("cut", rng, ("Fair", "Ideal")), numbers("depth", rng))
    report = DriftReport((*findings, missing("x")), 4000, 5000, overlays)
    return html(Report("Diamonds", report, comparison_part(), {"run": "main_pipeline/run 1"}))


def test_the_answer_comes_first_and_then_the_worst_columns(both: str) -> None:
    text = " ".join(Page(both).text.split())
    answer = (
        "✓ PROMOTE v4 takes over from v3: challenger's MAE is 7.9 % lower (95 % interval -9.1 % to -6.7 %) on "
        "5,000 paired rows."
    )
    places = [text.index(part) for part in (answer, "3 of 4 columns drifted", "The comparison", "Drift by column")]
    assert places == sorted(places)
    worst = text[places[1] : places[2]]
    order = [worst.index(part) for part in ("x cannot be compared", "price 10x", "cut 9x")]
    assert order == sorted(order)


@pytest.mark.parametrize(
    ("verdict", "sentence"),
    [
        (Verdict.KEEP, "■ KEEP v3 stays in production: challenger's"),
        (Verdict.INCONCLUSIVE, "? INCONCLUSIVE v3 stays in production, for want of evidence: challenger's"),
        (Verdict.INVALID, "✕ INVALID v3 stays in production, and the test does not count: challenger's"),
    ],
)
def test_every_verdict_is_told_in_one_sentence(verdict: Verdict, sentence: str) -> None:
    assert sentence in " ".join(Page(html(Report("t", comparison=comparison_part(verdict)))).text.split())


def test_a_verdict_that_was_held_says_what_stays() -> None:
    held = replace(comparison_part(), held="rejected by ann: not before Monday")
    text = " ".join(Page(html(Report("t", comparison=held))).text.split())
    assert "v4 has earned production, but v3 stays in it: challenger's" in text
    assert "Not moved: rejected by ann: not before Monday" in text


def test_a_first_model_has_nobody_to_beat() -> None:
    part = comparison_part()
    decision = replace(part.decision, reason="first model", effect=None, interval=None, guardrails=())
    text = Page(html(Report("t", comparison=replace(part, champion=None, decision=decision)))).text
    assert "v4 goes into production: first model." in text
    assert "no effect can be told" in text


def test_the_comparison_is_whole(both: str) -> None:
    text = " ".join(Page(both).text.split())
    for part in (
        "-7.9 % effect", "5,000 rows", "1,234 needed", "2.1 % smallest gain these rows can show", "2 of 2 guardrails",
        "-MDE -5.0 %", "clarity = SI1", "-12.0 % (-14.2 % to -9.8 %)", "10 rows, too few to judge",
        "training rows dropped 7", "alpha 0.025", comparison_part().policy.sha256(), "run main_pipeline/run 1",
    ):  # fmt: skip
        assert part.replace(" ", "") in text.replace(" ", "").replace("\u00a0", ""), part


def test_without_an_interval_the_effect_stands_alone() -> None:
    part = comparison_part()
    bare = replace(part.decision, interval=None, guardrails=(), detectable=None)
    policy = replace(part.policy, rule=PromotionRule.ORIGINAL)
    page = html(Report("t", comparison=replace(part, decision=bare, policy=policy)))
    assert "no interval" in Page(page).text
    assert "<h3>Guardrails</h3>" not in page
    assert "Effect -7.9 %, against 0 and -MDE -5.0 %" in page


def test_non_inferiority_is_held_against_its_margin() -> None:
    part = comparison_part()
    policy = replace(part.policy, rule=PromotionRule.NON_INFERIORITY, margin=0.03)
    text = Page(html(Report("t", comparison=replace(part, policy=policy)))).text
    assert "margin +3.0 %" in text
    assert "Margin: how much worse than the champion the challenger may be." in text
    assert "MDE" not in text


def test_figures_that_do_not_decide_are_shown_with_their_intervals() -> None:
    part = comparison_part()
    area = Figure("AUC", Estimate(0.8, 0.78, 0.82), Estimate(0.85, 0.83, 0.87), Estimate(0.05, 0.03, 0.07), 0.001)
    shown = replace(part, comparison=replace(part.comparison, figures=(area,)))
    text = Page(html(Report("t", comparison=shown))).text
    assert (
        "champion 0.8 (0.78 to 0.82); challenger 0.85 (0.83 to 0.87); difference 0.05 (0.03 to 0.07); p = 0.001" in text
    )


def test_a_failed_guardrail_stands_before_those_that_passed() -> None:
    text = Page(html(Report("t", comparison=comparison_part(Verdict.KEEP)))).text
    assert text.index("✕ failed") < text.index("✓ passed")
    assert "clarity = IF: MAE +15.0 %" in text


def test_segments_stand_with_the_worst_first(both: str) -> None:
    text = Page(both).text
    assert text.index("clarity = IF") < text.index("clarity = SI1")


def test_every_finding_is_told_with_its_figures(both: str) -> None:
    text = " ".join(Page(both).text.split())
    assert "▲ KS distance0.30.30.031e-09" in text  # test, statistic, effect, threshold, p
    assert "KS distance 0.3 is at least 0.03" in text
    assert "the column is missing" in text
    assert "1 column without drift" in text


def test_the_rows_left_out_are_no_column() -> None:
    rows = DriftFinding(ROWS, "left_out", 0.0, 1.0, 0.0, 0.05, False, "0 rows were left out")
    calm = ks("depth", 0.01, drifted=False)
    text = " ".join(
        Page(html(Report("t", DriftReport((ks("price", 0.3, drifted=True), calm, rows), 9, 9)))).text.split()
    )
    assert "1 of 2 columns drifted" in text
    assert "1 column without drift" in text
    text = Page(html(Report("t", DriftReport((ks("price", 0.3, drifted=True), rows), 9, 9)))).text
    assert "Rows left out" in text
    assert "without drift" not in text


def test_of_many_columns_that_were_not_compared_the_rest_is_counted() -> None:
    aside = {f"{HOSTILE} {number}": "dates" for number in range(51)}
    page = html(Report("t", wide_report(2, 0), not_compared=aside))
    assert page.count("<dd>dates</dd>") == 50
    assert "1 more column was not compared." in page
    assert Page(page).of("script") == []


def test_no_drift_is_said_so() -> None:
    text = " ".join(Page(html(Report("t", wide_report(2, 0)))).text.split())
    assert "✓ NO DRIFT No drift in 2 columns (5,000 rows against 4,000)." in text


@pytest.mark.parametrize(("columns", "drifted"), [(200, 0), (200, 40), (200, 200), (2000, 900)])
def test_a_page_stays_below_200_kb(columns: int, drifted: int) -> None:
    page = html(Report("wide", wide_report(columns, drifted), comparison_part()))
    assert len(page.encode()) < LIMIT
    assert f"{drifted} of {columns} columns drifted" in " ".join(Page(page).text.split())


def test_two_hundred_columns_have_a_picture_each() -> None:
    page = Page(html(Report("wide", wide_report(200, 40))))
    pictures = [one for one in page.of("svg") if one.get("class") in ("steps", "bars")]
    assert len(pictures) == 200


def test_long_hostile_names_do_not_make_a_page_large() -> None:
    page = html(Report(HOSTILE * 50, wide_report(300, 150, HOSTILE * 20), comparison_part(name=HOSTILE * 50)))
    assert len(page.encode()) < LIMIT
    assert Page(page).of("script") == []


def test_a_page_needs_nothing_else(both: str) -> None:
    page = Page(both)
    assert {tag for tag, _ in page.elements} & {"script", "link", "img", "iframe", "object", "use", "image"} == set()
    for tag, attributes in page.elements:
        assert not any(name.startswith("on") or name in ("src", "srcset", "style") for name in attributes), tag
        assert (attributes.get("href") or "#").startswith("#")
    assert "http" not in both
    assert "url(" not in both
    assert "@import" not in both


def test_links_lead_to_what_is_there(both: str) -> None:
    page = Page(both)
    names = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    links = [str(attributes["href"])[1:] for attributes in page.of("a")]
    assert links
    assert set(links) <= names


def test_pictures_are_told_to_those_who_do_not_see_them(both: str) -> None:
    page = Page(both)
    pictures = page.of("svg")
    assert pictures
    assert {picture["role"] for picture in pictures} == {"img"}
    assert both.count("<title>") == len(pictures) + 1
    assert page.of("html") == [{"lang": "en"}]


def test_both_colour_schemes_have_every_colour(both: str) -> None:
    style = both[both.index("<style>") : both.index("</style>")]
    light, dark = (set(re.findall(r"(--\w+):", part)) for part in style.split("prefers-color-scheme:dark")[:2])
    used = set(re.findall(r"var\((--\w+)\)", style))
    assert used <= light
    assert light == dark
    assert not re.search(r"#[0-9a-f]{3,6}", style[style.index("*{box-sizing") :])


def test_data_is_never_markup() -> None:
    rng = np.random.default_rng(0)
    finding = replace(ks(HOSTILE, 0.3, drifted=True), reason=HOSTILE)
    report = DriftReport(
        (finding, psi(f"{HOSTILE} 2", 0.3, drifted=True)), 1, 1, (levels(f"{HOSTILE} 2", rng, (HOSTILE, "b")),)
    )
    part = comparison_part(name=HOSTILE)
    page = html(Report(HOSTILE, report, replace(part, held=HOSTILE), {HOSTILE: HOSTILE}))
    parsed = Page(page)
    assert parsed.of("script") == []
    assert "{{ 7*7 }}" in parsed.text
    assert "\u202e" not in page
    assert "\x1b" not in page


def test_texts_that_are_no_unicode_are_shown_all_the_same() -> None:
    report = DriftReport((ks("lone \ud800 half", 0.3, drifted=True),), 1, 1)
    assert "lone \ufffd half" in html(Report("t", report)).encode().decode()


def test_equal_reports_give_equal_pages() -> None:
    report = Report("wide", wide_report(5, 2), comparison_part())
    assert html(report) == html(report)


def test_steps_draw_shares_to_their_greatest() -> None:
    overlay = Overlay("c", (0.0, 1.0, 2.0), (), (0.5, 0.5), (0.25, 0.75))
    drawn = steps(overlay, 30)
    assert (drawn.bins, drawn.foot) == (2, ("0", "1", "2"))
    assert drawn.reference == "M0 100V33h2V100"
    assert drawn.current == "M0 100V67h1V0h1V100"


def test_steps_join_neighbours_and_lose_nothing() -> None:
    shares = tuple([0.1] * 10)
    drawn = steps(Overlay("c", (), tuple("abcdefghij"), shares, shares), 4)
    assert drawn.bins == 4
    assert drawn.reference == "M0 100V0h3V67h1V100"  # three bins of three, one of one


def test_bars_keep_the_greatest_levels_and_sum_the_rest() -> None:
    overlay = Overlay("c", (), ("a", "b", "c", "d", "(other)"), (0.1, 0.5, 0.1, 0.2, 0.1), (0.1, 0.1, 0.1, 0.6, 0.1))
    drawn = bars(overlay, 3)
    assert [level.name for level in drawn.levels] == ["b", "d", "(other)"]
    assert [level.text for level in drawn.levels] == ["50 → 10\u00a0%", "20 → 60\u00a0%", "30 → 30\u00a0%"]


def test_an_overlay_without_values_is_flat() -> None:
    assert steps(Overlay("c", (0.0, 1.0), (), (0.0,), (0.0,)), 30).reference == "M0 100V100h1V100"
