"""The verdicts."""

from enum import StrEnum


class Verdict(StrEnum):
    """What a comparison means for the challenger."""

    PROMOTE = "PROMOTE"
    KEEP = "KEEP"
    INCONCLUSIVE = "INCONCLUSIVE"
    INVALID = "INVALID"
