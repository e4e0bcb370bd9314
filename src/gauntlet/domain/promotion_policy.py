"""The promotion policy: every number that a verdict depends on, fixed before the test rows are read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

import numpy as np
from scipy import stats

from gauntlet.domain.errors import Final
from gauntlet.domain.spec_rules import did_you_mean, sentence
from gauntlet.domain.wording import METRIC_NAMES


class PolicyError(Final):
    """A policy breaks rules: `errors` holds (key, text) for each."""

    def __init__(self, errors: tuple[tuple[str, str], ...]) -> None:
        self.errors = errors
        lines = "".join(f"\n  {key}: {text}" for key, text in errors)
        super().__init__(f"policy: {len(errors)} error{'s' if len(errors) != 1 else ''}{lines}")

    def __reduce__(self) -> tuple[type[PolicyError], tuple[tuple[tuple[str, str], ...]]]:
        return PolicyError, (self.errors,)


class PromotionRule(StrEnum):
    """How two models are compared.

    PAIRED: both on the same rows, the challenger must be better. NON_INFERIORITY: both on the same rows, the
    challenger must not be worse than the anchor by the margin. SPLIT: each on an arm of its own, the challenger must
    be better. ORIGINAL: the lower mean loss of two arms, without an interval or guardrails.
    """

    PAIRED = "paired"
    NON_INFERIORITY = "non_inferiority"
    SPLIT = "split"
    ORIGINAL = "original"

    @property
    def paired(self) -> bool:
        """Whether both models score the same rows."""
        return self in (PromotionRule.PAIRED, PromotionRule.NON_INFERIORITY)


@dataclass(frozen=True)
class PromotionPolicy:
    """When a challenger is promoted.

    The test: `alpha` is the one-sided chance of promoting an equal one, shared among `challengers` (Bonferroni); `mde`
    the smallest relative gain worth finding; `power` the chance to find it with the rows that a decision says are
    needed; `margin` how much worse than the anchor a challenger may be under non-inferiority.

    What makes a test invalid: fewer than `min_rows` rows; arms whose sizes differ from their shares with a p-value
    below `sample_ratio`. `share_b` is arm b's where no traffic tells it, as in a file.

    Guardrails, each with intervals at 1 - `guardrail_alpha`: `segment_loss` is the relative loss that a segment of at
    least `segment_rows` rows may show; `tail` the quantile of the losses that may not rise (absolute errors only);
    `bias` the mean error allowed, as a share of the mean of the truth; `failures` the share of predictions that the
    challenger may lack beyond the champion's; `latency_ratio` how much slower its batches may be, once their p95 is
    above `latency_floor` seconds. `replicates` is the number of bootstrap samples.
    """

    rule: PromotionRule = PromotionRule.PAIRED
    metric: str = "mae"
    alpha: float = 0.025
    challengers: int = 1
    mde: float = 0.05
    power: float = 0.8
    margin: float = 0.02
    min_rows: int = 1000
    sample_ratio: float = 0.001
    share_b: float = 0.5
    guardrail_alpha: float = 0.05
    segment_rows: int = 100
    segment_loss: float = 0.05
    tail: float = 0.95
    bias: float = 0.02
    failures: float = 0.005
    latency_ratio: float = 1.2
    latency_floor: float = 0.5
    replicates: int = 1000

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PromotionPolicy:
        """Return the policy that a mapping (a TOML file, or `to_dict`) describes; what is not in it is the default.

        Raises PolicyError with every key that is unknown or wrong.
        """
        errors = tuple(_errors(values))
        if errors:
            raise PolicyError(errors)
        whole = {field.name for field in fields(cls) if field.type == "int"}
        given: dict[str, Any] = {
            key: value if key in whole or isinstance(value, str) else float(value) for key, value in values.items()
        }
        return cls(**{**given, "rule": PromotionRule(values.get("rule", PromotionRule.PAIRED))})

    def to_dict(self) -> dict[str, Any]:
        """Return the policy as JSON values."""
        return {**asdict(self), "rule": str(self.rule)}

    def sha256(self) -> str:
        """Return the hash of the policy's canonical JSON (sorted keys, no spaces), in hexadecimal."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def rng(self) -> np.random.Generator:
        """Return a generator seeded by the hash: equal rows and an equal policy give an equal verdict."""
        return np.random.default_rng(int(self.sha256()[:16], 16))

    @property
    def level(self) -> float:
        """The confidence of the effect's interval: 1 - 2 alpha / challengers."""
        return 1 - 2 * self.alpha / self.challengers

    def critical(self, degrees: float | None = None) -> float:
        """Return the half width of the effect's interval in standard errors, of Student's t when `degrees` is given."""
        upper = 1 - self.alpha / self.challengers
        return float(stats.norm.ppf(upper) if degrees is None else stats.t.ppf(upper, degrees))

    def guardrail_critical(self, of: int = 1) -> float:
        """Return the half width of one of `of` simultaneous guardrail intervals (Bonferroni), in standard errors."""
        return float(stats.norm.ppf(1 - self.guardrail_alpha / (2 * of)))

    def effort(self) -> float:
        """Return the sum of the critical value and that of the power: what n and detectable effects rest on."""
        return self.critical() + float(stats.norm.ppf(self.power))


SPEC_KEYS = ("min_rows", "mde", "margin", "segment_loss", "bias", "latency_floor")
"""What a spec may set otherwise, in its [thresholds]."""

_Check = tuple[Callable[[Any], bool], str]
_SHARE: _Check = (lambda value: 0 < value < 1, "must be a number more than 0 and less than 1")
_POSITIVE: _Check = (lambda value: value > 0, "must be a number more than 0")
_TAIL_SHARE: _Check = (lambda value: 0 < value < 0.5, "must be a number more than 0 and less than 0.5")
_NOT_NEGATIVE: _Check = (lambda value: value >= 0, "must be a number of at least 0")

_NUMBERS: Mapping[str, _Check] = {
    "alpha": _TAIL_SHARE,
    "mde": _SHARE,
    "power": _SHARE,
    "margin": _SHARE,
    "sample_ratio": _SHARE,
    "share_b": _SHARE,
    "guardrail_alpha": _SHARE,
    "segment_loss": _NOT_NEGATIVE,
    "tail": _SHARE,
    "bias": _POSITIVE,
    "failures": _NOT_NEGATIVE,
    "latency_ratio": _POSITIVE,
    "latency_floor": _NOT_NEGATIVE,
}
MOST = 1_000_000_000
"""No number of a policy may be greater."""
_WHOLE: Mapping[str, int] = {"challengers": 1, "min_rows": 2, "segment_rows": 2, "replicates": 100}
_WORDS: Mapping[str, tuple[str, ...]] = {"rule": tuple(PromotionRule), "metric": tuple(METRIC_NAMES)}


def _errors(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if key in _WORDS:
            if value not in _WORDS[key]:
                known = ", ".join(_WORDS[key])
                remedy = did_you_mean(value, _WORDS[key]) if isinstance(value, str) else "Choose one of them."
                yield key, sentence(f"must be one of {known}", repr(value), remedy)
        elif key in _WHOLE:
            if isinstance(value, bool) or not isinstance(value, int) or not _WHOLE[key] <= value <= MOST:
                rule = f"must be a whole number from {_WHOLE[key]} to {MOST:,}"
                yield key, sentence(rule, repr(value)[:40], "Correct it.")
        elif key in _NUMBERS:
            fits, rule = _NUMBERS[key]
            number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MOST
            if not number or not fits(value):
                yield key, sentence(rule, repr(value)[:40], "Correct it.")
        else:
            yield (
                key,
                sentence("is not a key of a policy", f'"{key}"', did_you_mean(key, [*_WORDS, *_WHOLE, *_NUMBERS])),
            )
