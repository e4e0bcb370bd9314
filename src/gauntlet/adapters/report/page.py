"""The page: views of the parts, laid out by templates, as detailed as the size allows."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from gauntlet.adapters.report.comparison_view import comparison_view
from gauntlet.adapters.report.drift_view import Detail, drift_view
from gauntlet.domain.report import Report, drift_line, key_line, short

LIMIT = 190_000
"""Bytes of a page that is still shown in less detail."""

DETAILS = (
    Detail(cards=60, bins=30, levels=12, rows=400, row_bins=16),
    Detail(cards=30, bins=30, levels=8, rows=250, row_bins=10),
    Detail(cards=12, bins=16, levels=6, rows=220, row_bins=6),
    Detail(cards=6, bins=16, levels=6, rows=100, row_bins=0),
    Detail(cards=3, bins=10, levels=4, rows=20, row_bins=0),
)
"""The first that keeps the page below the limit is taken, the last one in any case."""


def html(report: Report) -> str:
    """Return the report as one HTML file of less than 200 KB: no script, nothing from elsewhere, both colour schemes.

    All of the report's texts are data and escaped. Of very many columns the drifted ones are shown in full, the others
    with smaller pictures, or counted.
    """
    page = ""
    for detail in DETAILS:
        page = _page(report, detail)
        if len(page.encode()) < LIMIT:
            break
    return page


def _page(report: Report, detail: Detail) -> str:
    line = drift_line(report.drift) if report.drift else ""
    template = _templates().get_template("page.html")
    return template.render(
        title=short(report.title, 80),
        key_line=short(key_line(report), 500),
        drift_line=short(f"{line[:1].upper()}{line[1:]}", 500),
        drift=drift_view(report.drift, detail, report.not_compared) if report.drift else None,
        comparison=comparison_view(report.comparison) if report.comparison else None,
        ids={short(name, 40): short(value, 128) for name, value in report.ids.items()},
    )


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("gauntlet.adapters.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
