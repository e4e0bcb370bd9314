"""The report as one HTML file: what was found in the data, and what came of the comparison."""

from gauntlet.adapters.report.page import html
from gauntlet.domain.report import ComparisonPart, Report, key_line, markdown

__all__ = ["ComparisonPart", "Report", "html", "key_line", "markdown"]
