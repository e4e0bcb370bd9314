"""Schedules: what a spec accepts, cron understands and comes true."""

from datetime import UTC, datetime

import pytest
from croniter import croniter  # type: ignore[import-untyped]
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gauntlet.domain.schedule import MONTHS, PRESETS, WEEKDAYS, is_schedule

FIELDS = ((0, 59, ()), (0, 23, ()), (1, 31, ()), (1, 12, MONTHS), (0, 7, WEEKDAYS))


@pytest.mark.parametrize(
    "text",
    ["", *PRESETS, "30 6 * * 1-5", "*/15 0,12 1-31/10 JAN,jul Sun", "  0\t0 * *  * ", "0 0 29 2 *", "0 0 31 2 mon"],
)
def test_schedules(text: str) -> None:
    assert is_schedule(text)


@pytest.mark.parametrize(
    "text",
    [
        "every tuesday", " ", "@dayly", "@daily ", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *",
        "* * * 13 *", "* * * * 8", "5-1 * * * *", "*/0 * * * *", "5/10 * * * *", "-1 * * * *", "mon * * * *",
        "* * * mon *", "1, * * * *", "1- * * * *", "1.5 * * * *", "٣ * * * *", "* * * * *\n", "0 0 30 2 *",
        "0 0 31 4,6 *", "0 0 31 4 0-6", "0\u00a00 * * *", "0" * 99 + " * * * *",
    ],
)  # fmt: skip
def test_no_schedules(text: str) -> None:
    assert not is_schedule(text)


@st.composite
def field(draw: st.DrawFn, lowest: int, highest: int, names: tuple[str, ...]) -> str:
    number = st.integers(lowest, highest + 1).map(str) | (st.sampled_from(names) if names else st.nothing())
    step = st.integers(0, highest + 9).map(lambda each: f"/{each}")
    ranges = st.tuples(number, st.just("-"), number).map("".join) | st.just("*")
    part = number | ranges | st.tuples(ranges, step).map("".join)
    return ",".join(draw(st.lists(part, min_size=1, max_size=2)))


# most texts are no schedule, and those that are not are not the point here
@settings(deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.tuples(*(field(*bounds) for bounds in FIELDS)).map(" ".join))
def test_what_is_accepted_airflows_cron_understands(text: str) -> None:
    assume(is_schedule(text))
    assert croniter(text, datetime(2026, 1, 1, tzinfo=UTC)).get_next(datetime) > datetime(2026, 1, 1, tzinfo=UTC)
