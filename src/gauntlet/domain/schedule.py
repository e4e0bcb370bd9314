"""When a spec's pipeline runs by itself: the part of Airflow's schedules that a spec may name."""

import re

PRESETS = ("@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly", "@once", "@continuous")
"""Airflow's names for a schedule."""
RECURRING = tuple(preset for preset in PRESETS if preset not in ("@once", "@continuous"))
"""Those that cut time into intervals."""

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

# minute, hour, day of the month, month, weekday (0 and 7 are Sunday): lowest, highest, names from the lowest on
_FIELDS = ((0, 59, ()), (0, 23, ()), (1, 31, ()), (1, 12, MONTHS), (0, 7, WEEKDAYS))
_PART = re.compile(r"(?:\*|(?P<low>\w+)(?:-(?P<high>\w+))?)(?:/(?P<step>[0-9]{1,2}))?", re.ASCII)


def is_schedule(text: str) -> bool:
    """Whether `text` is empty (never), a preset, or five fields of cron that come true on some day.

    A field is a list of *, N, N-M, each of the last two also with names for months and weekdays, and steps: */S, N-M/S.
    """
    if text in ("", *PRESETS):
        return True
    fields = re.split(r"[ \t]+", text.strip(" \t").lower())
    if len(fields) != len(_FIELDS):
        return False
    values = [_values(field, *bounds) for field, bounds in zip(fields, _FIELDS, strict=True)]
    if not all(values):
        return False
    # A weekday comes in every month; where all seven are listed, the day of the month alone counts.
    days, months, weekdays = values[2], values[3], {day % 7 for day in values[4]}
    return len(weekdays) < len(WEEKDAYS) or any(min(days) <= LONGEST_MONTHS[month - 1] for month in months)


def _values(field: str, lowest: int, highest: int, names: tuple[str, ...]) -> set[int]:
    """Return the values that a field lists; none when a part of it is wrong."""
    values: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            return set()
        low, high, step = match["low"], match["high"], int(match["step"] or 1)
        first = lowest if low is None else _number(low, lowest, names)
        last = highest if low is None else first if high is None else _number(high, lowest, names)
        stepless = low is not None and high is None and match["step"] is not None
        if first is None or last is None or stepless or not (lowest <= first <= last <= highest and step > 0):
            return set()
        values.update(range(first, last + 1, step))
    return values


def _number(text: str, lowest: int, names: tuple[str, ...]) -> int | None:
    if text in names:
        return lowest + names.index(text)
    return int(text) if text.isdigit() and len(text) <= 2 else None
