"""Figures as people read them."""


def percent(effect: float | None) -> str:
    """A relative effect as a signed percentage; "-" for none."""
    return "-" if effect is None else f"{effect:+.1%}"


def percent_interval(interval: tuple[float, float] | None) -> str:
    """An interval of relative effects; "-" for none."""
    return "-" if interval is None else f"{interval[0]:+.1%} to {interval[1]:+.1%}"
