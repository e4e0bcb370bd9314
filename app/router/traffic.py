"""The traffic of one spec: how many rows are served, how they are split, and what drifts. Checked as a whole."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from router.dataset import Dataset
from router.drift import Drift
from router.drift import parse as parse_drift
from router.errors import bad
from router.strict_json import number_within, shown

START_SIZE = 5000
LARGEST_SEED = 2**63 - 1
SHARE_TOLERANCE = 1e-9
KEYS = ("a", "b", "data_size", "drift_cols", "drift", "seed")
REQUEST_KEYS = ("data_size", "drift_cols", "seed", "spec")
WHOLE = re.compile(r"-?[0-9]{1,20}")


@dataclass(frozen=True)
class TrafficConfig:
    """What /get_data and /ab_data answer with."""

    a: float
    b: float
    data_size: int
    drift_cols: tuple[str, ...] = ()
    drift: Mapping[str, Drift] = field(default_factory=dict)
    seed: int | None = None

    @classmethod
    def start(cls, dataset: Dataset) -> "TrafficConfig":
        """The traffic before anybody changed it."""
        return cls(0.5, 0.5, min(START_SIZE, dataset.smaller_pool))

    @classmethod
    def parse(cls, body: Mapping[str, object], dataset: Dataset) -> "TrafficConfig":
        """The traffic that `body` (whole, as `to_dict` gives it) describes; refused (400) when it cannot be served."""
        drift = body.get("drift")
        seed = body.get("seed")
        config = cls(
            _share("a", body.get("a")),
            _share("b", body.get("b")),
            parse_size(body.get("data_size"), dataset),
            parse_columns(body.get("drift_cols"), dataset),
            {} if drift is None else _drift(drift, dataset),
            None if seed is None else parse_seed(seed),
        )
        if abs(config.a + config.b - 1) > SHARE_TOLERANCE:
            raise bad("a + b must equal 1", f"{config.a} + {config.b}", "Send both shares, or one of them.")
        return config

    def to_dict(self) -> dict[str, object]:
        """The form it is answered and stored in; `drift` and `seed` only when set."""
        body: dict[str, object] = {
            "a": self.a,
            "b": self.b,
            "data_size": self.data_size,
            "drift_cols": list(self.drift_cols),
        }
        if self.drift:
            body["drift"] = {name: drift.to_dict() for name, drift in self.drift.items()}
        if self.seed is not None:
            body["seed"] = self.seed
        return body

    def to_json(self) -> str:
        """The same as one line of ASCII, for a header."""
        return json.dumps(self.to_dict(), separators=(",", ":"))


def merged(current: Mapping[str, object], body: Mapping[str, object]) -> dict[str, object]:
    """`current` with the keys of `body`; one share given alone sets the other. Refused (400): no or unknown keys."""
    refuse_unknown(body, KEYS, "The body")
    if not body:
        raise bad("The body must name what to change", "no key", f"Keys: {', '.join(KEYS)}.")
    result = {**current, **body}
    for given, other in (("a", "b"), ("b", "a")):
        if given in body and other not in body:
            # 12 digits, so that 1 - 0.7 is 0.3.
            result[other] = round(1 - _share(given, body[given]), 12)
    return result


def refuse_unknown(given: Iterable[str], known: tuple[str, ...], where: str) -> None:
    """Refuse (400) the first of `given` that is not known."""
    for name in given:
        if name not in known:
            raise bad(f"{where} must hold known keys only", name, f"Known: {', '.join(known) or 'none'}.")


def parse_size(value: object, dataset: Dataset) -> int:
    """How many rows: a whole number from 1 to the size of the smaller pool."""
    most = dataset.smaller_pool
    rule = f"data_size must be a whole number from 1 to {most} (the smaller pool of {dataset.spec.name})"
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise bad(rule, shown(value), f"Send {min(START_SIZE, most)}, for example.")
    return value


def parse_columns(value: object, dataset: Dataset) -> tuple[str, ...]:
    """The columns to drift: a list of names, each once."""
    known = dataset.driftable
    remedy = f"Columns: {', '.join(known)}."
    if not isinstance(value, list):
        raise bad("drift_cols must be a list of column names", shown(value), remedy)
    for place, name in enumerate(value):
        if not isinstance(name, str) or name not in known:
            raise bad("drift_cols must name columns of the data", shown(name), remedy)
        if name in value[:place]:
            raise bad("drift_cols must name a column once", name, "Send each column once.")
    return tuple(value)


def parse_seed(value: object) -> int:
    """What makes answers reproducible: a whole number from 0 to 2^63 - 1."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_SEED:
        raise bad("seed must be a whole number from 0 to 2^63 - 1", shown(value), "Send 42, or null for none.")
    return value


def _share(name: str, value: object) -> float:
    share = number_within(value, 0, 1)
    if share is None:
        raise bad(f"{name} must be a number from 0 to 1", shown(value), "Send 0.5, for example.")
    return share


def _drift(value: object, dataset: Dataset) -> dict[str, Drift]:
    known = dataset.driftable
    if not isinstance(value, dict):
        raise bad("drift must be an object: column, kind of drift", shown(value), "Send null for no drift.")
    for name in value:
        if name not in known:
            raise bad("drift must name columns of the data", name, f"Columns: {', '.join(known)}.")
    return {name: parse_drift(name, known[name], each) for name, each in value.items()}
