"""The real diamonds that the benchmarks draw from."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pandas as pd

from gauntlet.domain.rows import check, typed
from gauntlet.domain.spec import Spec

SPECS = Path(__file__).resolve().parents[1] / "specs"


def diamonds_spec() -> Spec:
    """Return the spec."""
    return Spec.parse("diamonds", (SPECS / "diamonds.toml").read_bytes())


def all_diamonds(spec: Spec) -> pd.DataFrame:
    """Return every row of the spec's file."""
    package, _, file = spec.data.partition(":")
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.submodule_search_locations is not None
    return pd.read_csv(Path(found.submodule_search_locations[0]) / file)


def fitting(rows: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    """Return the rows that fulfil the spec, in their order."""
    return check(typed(rows, spec).frame, spec).kept
