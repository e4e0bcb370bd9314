"""Specs and rows that the domain's tests share."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gauntlet.domain.rows import check, typed
from gauntlet.domain.spec import Spec

REPOSITORY = Path(__file__).parents[3]

HOUSES = """
title = "Price of a house"
data = "houses.csv"
target = "price"
task = "regression"
metric = "mae"
segments = ["town"]
candidates = ["linear", "hist_gradient_boosting"]
seed = 7

[numeric]
area = { min = 10, max = 500.5 }
price = { min = 1, max = 10000 }

[categorical]
town = ["Ulm", "Bern", "Graz"]
"""

LOANS = """
title = "Whether a loan is paid back"
data = "loans.parquet"
target = "outcome"
task = "classification"
metric = "log_loss"
candidates = ["logistic", "random_forest", "hist_gradient_boosting"]

[numeric]
amount = { min = 0, max = 100 }

[categorical]
outcome = ["late", "paid", "lost"]
kind = ["1", "2"]
"""


@pytest.fixture
def houses() -> Spec:
    return Spec.parse("houses", HOUSES)


@pytest.fixture
def loans() -> Spec:
    return Spec.parse("loans", LOANS)


def house_rows(rows: int, seed: int = 0) -> pd.DataFrame:
    """Houses that fulfil their spec; `price` follows from area and town, with noise."""
    rng = np.random.default_rng(seed)
    area = rng.uniform(20, 400, rows)
    town = rng.choice(["Ulm", "Bern", "Graz"], rows, p=[0.5, 0.3, 0.2])
    price = 5 * area * np.where(town == "Bern", 2.0, 1.0) + rng.normal(0, 50, rows) + 200
    index = pd.Index(np.arange(rows), name="row_id")
    return pd.DataFrame({"area": area, "town": town, "price": price}, index=index)


def loan_rows(rows: int, seed: int = 0) -> pd.DataFrame:
    """Loans that fulfil their spec; large ones of kind 1 are paid back more often."""
    rng = np.random.default_rng(seed)
    amount, kind = rng.uniform(0, 100, rows), rng.choice(["1", "2"], rows)
    paid = rng.uniform(0, 100, rows) < np.where(kind == "1", amount, 40)
    outcome = np.where(paid, "paid", rng.choice(["late", "lost"], rows))
    index = pd.Index(np.arange(rows), name="row_id")
    return pd.DataFrame({"amount": amount, "kind": kind, "outcome": outcome}, index=index)


@pytest.fixture(scope="session")
def diamonds_spec() -> Spec:
    return Spec.parse("diamonds", (REPOSITORY / "specs" / "diamonds.toml").read_text())


@pytest.fixture(scope="session")
def diamonds(diamonds_spec: Spec) -> pd.DataFrame:
    """The real diamonds, shuffled, without rows that break their spec."""
    package, _, file = diamonds_spec.data.partition(":")
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.submodule_search_locations is not None
    frame = pd.read_csv(Path(found.submodule_search_locations[0]) / file)
    frame = frame.sample(frac=1, random_state=1).rename_axis("row_id")
    return check(typed(frame, diamonds_spec).frame, diamonds_spec).kept
