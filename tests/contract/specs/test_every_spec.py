"""Every file in specs/, yours among them: its data can be read, drawn from, served, and learned from."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gauntlet.adapters.tables import read_table
from gauntlet.bootstrap.catalogue import read_spec
from gauntlet.bootstrap.environment import load_settings
from gauntlet.bootstrap.example_data import data_file
from gauntlet.domain.promotion_policy import PromotionPolicy
from gauntlet.domain.rows import check, typed
from gauntlet.domain.spec import Spec, Task
from gauntlet.domain.training import train
from router.catalogue import Catalogue
from router.settings import Settings

ROOT = Path(__file__).parents[3]
SPECS = sorted(path.stem for path in (ROOT / "specs").glob("*.toml"))
SHIPPED = ["diamonds", "fair", "health", "randhie"]
ROWS = 3000  # enough to see that something is learned, few enough to be quick
DRIFT = (0.1, 2.0)  # what the router multiplies numbers by


@pytest.fixture(params=SPECS)
def spec(request: pytest.FixtureRequest) -> Spec:
    return read_spec(ROOT / "specs" / f"{request.param}.toml")


@pytest.fixture
def kept(spec: Spec) -> pd.DataFrame:
    """Its rows that keep the spec; the pipelines refuse data of which more than a fifth does not."""
    frame = read_table(data_file(load_settings({}), spec))
    checked = typed(frame, spec)
    found = check(checked.frame, spec)
    assert len(found.kept) > 0.8 * len(frame), (checked.misfits, found.broken)
    return found.kept


def test_the_router_serves_it(spec: Spec) -> None:
    dataset = Catalogue(Settings("postgresql://", ROOT / "specs", ROOT)).get(spec.name)
    assert set(dataset.names) == set(spec.columns)
    assert dataset.smaller_pool >= (spec.thresholds.min_rows or PromotionPolicy().min_rows)


@pytest.mark.parametrize("spec", SHIPPED, indirect=True)
def test_the_ranges_of_ours_admit_drift(spec: Spec, kept: pd.DataFrame) -> None:
    for column, bounds in spec.numeric.items():
        drifted = np.outer(DRIFT, kept[column])
        assert bounds.min <= drifted.min(), column
        assert drifted.max() <= bounds.max, column


def test_the_best_candidate_beats_a_constant(spec: Spec, kept: pd.DataFrame) -> None:
    rows = kept.sample(min(ROWS, len(kept)), random_state=spec.seed).reset_index(drop=True)
    training = train(rows, spec, jobs=1)
    best = min(candidate.metrics[spec.metric] for candidate in training.candidates)
    assert best < _constant(rows[spec.target], spec)


def _constant(truth: pd.Series, spec: Spec) -> float:
    """The metric of predicting the mean, or the shares of the classes, for every row."""
    if spec.task is Task.REGRESSION:
        return float((truth - truth.mean()).abs().mean())
    shares = truth.value_counts(normalize=True)
    return float(-(shares * np.log(shares)).sum())
