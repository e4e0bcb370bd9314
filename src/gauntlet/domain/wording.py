"""Numbers as they stand in reasons and reports."""

METRIC_NAMES = {"mae": "MAE", "log_loss": "log loss"}


def percent(share: float, digits: int = 1) -> str:
    """Return a share as 7.9 %."""
    return f"{100 * share:.{digits}f} %"


def signed_percent(share: float) -> str:
    """Return a change as +7.9 % or -7.9 %."""
    return f"{100 * share:+.1f} %"
