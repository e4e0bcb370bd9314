"""One modelling problem, as a file: data, target, features, their ranges, metric, candidates and thresholds."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError

from gauntlet.domain.errors import Final
from gauntlet.domain.spec_rules import BUILT_IN_CANDIDATES, METRICS, Task, broken_rules, did_you_mean, sentence

__all__ = [
    "BUILT_IN_CANDIDATES",
    "METRICS",
    "ColumnDrift",
    "Predict",
    "Range",
    "Spec",
    "SpecError",
    "Task",
    "Thresholds",
]

Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Share = Annotated[float, Strict(), Field(gt=0, lt=1)]
Text = Annotated[str, Field(min_length=1)]


class SpecError(Final):
    """A spec file breaks rules: `errors` holds (key, text) for each, `name` the spec."""

    def __init__(self, name: str, errors: tuple[tuple[str, str], ...]) -> None:
        self.name = name
        self.errors = errors
        lines = "".join(f"\n  {key}: {text}" for key, text in errors)
        super().__init__(f"spec {name}: {len(errors)} error{'s' if len(errors) != 1 else ''}{lines}")

    def __reduce__(self) -> tuple[type[SpecError], tuple[str, tuple[tuple[str, str], ...]]]:
        return SpecError, (self.name, self.errors)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Range(_Part):
    """The physical range of a numeric column, both ends included."""

    min: Number
    max: Number


class Thresholds(_Part):
    """What a spec sets otherwise than the settings; None = as the settings say."""

    ks_pvalue: Share | None = None
    psi: Annotated[float, Strict(), Field(gt=0, allow_inf_nan=False)] | None = None
    min_rows: Annotated[int, Strict(), Field(ge=2)] | None = None
    mde: Share | None = None
    margin: Share | None = None
    segment_loss: Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False)] | None = None
    bias: Annotated[float, Strict(), Field(gt=0, allow_inf_nan=False)] | None = None
    latency_floor: Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False)] | None = None


class ColumnDrift(_Part):
    """What one column's drift is judged by otherwise than the rest; None = as the rest.

    `distance`: least KS distance of a numeric column; `psi`: least PSI, which then decides for a numeric column too;
    `nulls`: least change in the share of missing values; `unseen`: least share of categories unseen, of values of a
    wrong type.
    """

    ignore: Annotated[bool, Strict()] = False
    distance: Share | None = None
    psi: Annotated[float, Strict(), Field(gt=0, allow_inf_nan=False)] | None = None
    nulls: Share | None = None
    unseen: Share | None = None


class Predict(_Part):
    """How files of a spec are scored.

    `schedule`: when the folder is looked at; `after_promotion`: also when production has moved; `model`: which version
    scores, "production", "best:METRIC" or "version:N"; `columns`: the columns of the input file that the output file
    keeps, all without it; `where`: which rows it keeps, each of the conditions [COLUMN, COMPARISON, VALUE] fulfilled.
    """

    schedule: str = ""
    after_promotion: Annotated[bool, Strict()] = False
    model: Text = "production"
    columns: tuple[Text, ...] | None = None
    where: tuple[tuple[Text, Text, Any], ...] = ()


class Spec(_Part):
    """One modelling problem. `numeric` and `categorical` name the columns (target included) in the file's order."""

    name: str
    title: Text
    data: Text
    target: Text
    task: Task
    metric: Text
    segments: tuple[Text, ...] = ()
    candidates: tuple[Text, ...] = Field(min_length=1)
    schedule: str = ""
    seed: Annotated[int, Strict(), Field(ge=0, lt=2**32)] = 0
    key: Text | None = None
    trusted_types: tuple[Text, ...] = ()
    numeric: dict[Text, Range] = {}
    categorical: dict[Text, Annotated[tuple[str, ...], Field(min_length=1)]] = {}
    thresholds: Thresholds = Thresholds()
    drift: dict[Text, ColumnDrift] = {}
    retrain: str = ""
    predict: Predict = Predict()

    @classmethod
    def parse(cls, name: str, text: str | bytes) -> Spec:
        """Return the spec in TOML, as text or as the file's bytes; raise SpecError with every error, by key."""
        try:
            raw = tomllib.loads(text if isinstance(text, str) else text.decode("utf-8"))
        except (ValueError, RecursionError) as error:  # not UTF-8, not TOML, a number too long, lists too deep
            found = sentence("must be TOML in UTF-8", f'"{error}"', "Mend the file at that place.")
            raise SpecError(name, (("(file)", found),)) from None
        return cls._checked(name, raw)

    @classmethod
    def from_json(cls, text: str) -> Spec:
        """Return the spec that `to_json` wrote; raise SpecError as `parse` does."""
        try:
            raw = json.loads(text)
            name = raw.pop("name")
        except (ValueError, AttributeError, TypeError, KeyError) as error:
            found = sentence("must be a spec as JSON, with its name", repr(error), "Save the spec anew.")
            raise SpecError("?", (("(file)", found),)) from None
        return cls._checked(name, raw)

    def to_json(self) -> str:
        """Return the spec as JSON, without what is not set."""
        return self.model_dump_json(exclude_none=True)

    @classmethod
    def _checked(cls, name: str, raw: dict[str, Any]) -> Spec:
        errors: list[tuple[str, str]] = []
        if "name" in raw:
            errors.append(
                ("name", sentence("is not a key of a spec", '"name"', "Remove it: the file's name is the name."))
            )
        try:
            spec = cls.model_validate({**raw, "name": name})
        except ValidationError as error:
            items = error.errors(include_url=False)
            # A list whose items are all wrong is reported as too short as well.
            errors += [_readable(dict(item)) for item in items if item["type"] != "too_short" or not item["input"]]
        errors += broken_rules(name, raw)
        if errors:
            raise SpecError(name, tuple(errors))
        return spec

    @property
    def variables(self) -> tuple[str, ...]:
        """The columns that are judged and modelled: numeric, then categorical, the target included, the key not."""
        return (*self.numeric, *self.categorical)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the router serves: the key, if any, then the variables."""
        return self.variables if self.key is None else (self.key, *self.variables)

    @property
    def features(self) -> tuple[str, ...]:
        """The columns that a model reads: the variables less the target."""
        return (*self.numeric_features, *self.categorical_features)

    @property
    def numeric_features(self) -> tuple[str, ...]:
        """The numeric columns less the target."""
        return tuple(column for column in self.numeric if column != self.target)

    @property
    def categorical_features(self) -> tuple[str, ...]:
        """The categorical columns less the target."""
        return tuple(column for column in self.categorical if column != self.target)

    @property
    def classes(self) -> tuple[str, ...]:
        """The target's categories in the file's order; empty for a regression."""
        return self.categorical.get(self.target, ())


_RULES: Mapping[str, tuple[str, str]] = {
    "string_type": ("must be text", "Write it in quotes."),
    "string_too_short": ("must not be empty", "Fill it in."),
    "float_type": ("must be a number", "Write it without quotes."),
    "int_type": ("must be a whole number", "Write it without quotes or fractions."),
    "finite_number": ("must be a finite number", "Write the widest value that can occur."),
    "tuple_type": ("must be a list", "Write it in square brackets."),
    "too_short": ("must not be empty", "List at least one."),
    "too_long": ("must have at most {max_length} items", "Remove the others."),
    "bool_type": ("must be true or false", "Write it without quotes."),
    "dict_type": ("must be a table", "Write it as [TABLE] with one line a column."),
    "model_type": ("must be a table", "Write it as { key = value, ... }."),
    "model_attributes_type": ("must be a table", "Write it as { key = value, ... }."),
    "enum": ("must be {expected}", "Choose one of them."),
    "greater_than": ("must be more than {gt:g}", "Raise it."),
    "greater_than_equal": ("must be at least {ge:g}", "Raise it."),
    "less_than": ("must be less than {lt:g}", "Lower it."),
}
_PARTS: Mapping[str, type[BaseModel]] = {
    "numeric": Range,
    "thresholds": Thresholds,
    "drift": ColumnDrift,
    "predict": Predict,
}


def _readable(item: Mapping[str, Any]) -> tuple[str, str]:
    """Return (key, text) of one of pydantic's errors."""
    where, kind, found = item["loc"], item["type"], item["input"]
    key = ".".join(str(part) for part in where if part != "[key]")
    if kind == "missing":
        return key, sentence("must be given", "nothing", "Add it.")
    if kind == "extra_forbidden":
        known = _PARTS[where[0]].model_fields if len(where) > 1 else Spec.model_fields
        names = [name for name in known if name != "name"]
        return key, sentence("is not a key of a spec", f'"{where[-1]}"', did_you_mean(str(where[-1]), names))
    rule, remedy = _RULES[kind] if kind in _RULES else (item["msg"], "Correct it.")
    shown = f'"{found}"' if isinstance(found, str) else str(found).lower() if isinstance(found, bool) else repr(found)
    return key, sentence(rule.format(**item.get("ctx", {})), shown, remedy)
