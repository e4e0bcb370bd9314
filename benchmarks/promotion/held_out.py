"""Real diamonds that no model was trained on, and what models of one recipe say of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from benchmarks.diamonds import all_diamonds, diamonds_spec, fitting
from joblib import parallel_config
from threadpoolctl import threadpool_limits

from gauntlet.domain.recipes import pipeline
from gauntlet.domain.scores import Floats
from gauntlet.domain.spec import Spec
from gauntlet.domain.training import predict

TRAINING_POOL = 20_000
TRAINING_ROWS = 5_000
BOOSTING, FOREST = "hist_gradient_boosting", "random_forest"


@dataclass(frozen=True)
class HeldOut:
    """Rows to be judged on: `truth` and each of `segments` have shape (rows,)."""

    spec: Spec
    truth: Floats
    segments: Mapping[str, npt.NDArray[Any]]

    def take(self, chosen: npt.NDArray[np.intp]) -> "HeldOut":
        """Return the rows at some positions."""
        segments = {column: values[chosen] for column, values in self.segments.items()}
        return replace(self, truth=self.truth[chosen], segments=segments)

    def mean_error(self, predicted: Floats) -> float:
        """The true loss of a model: its mean |error| over all these rows."""
        return float(np.abs(predicted - self.truth).mean())


@dataclass(frozen=True)
class Pair:
    """Champion and challenger: what they predict of the held-out rows, both of shape (rows,)."""

    rows: HeldOut
    champion: Floats
    challenger: Floats

    @property
    def effect(self) -> float:
        """The true effect: r = mean |error| of the challenger / of the champion - 1, over all held-out rows."""
        return self.rows.mean_error(self.challenger) / self.rows.mean_error(self.champion) - 1

    def rescaled(self, effect: float) -> "Pair":
        """Return the pair with the challenger's residuals rescaled so that its true effect is `effect`."""
        return self._scaled(np.full(len(self.champion), (1 + effect) / (1 + self.effect)))

    def worse_in(self, column: str, category: str, segment: float, whole: float) -> "Pair":
        """Return the pair with the true effect `segment` in one category, and `whole` over all rows.

        The challenger's residuals are rescaled by one factor inside the category and by another outside.
        """
        inside = self.rows.segments[column] == category
        a, b = np.abs(self.champion - self.rows.truth), np.abs(self.challenger - self.rows.truth)
        wanted = (1 + segment) * a[inside].sum()
        others = (1 + whole) * a.sum() - wanted
        return self._scaled(np.where(inside, wanted / b[inside].sum(), others / b[~inside].sum()))

    def _scaled(self, factors: Floats) -> "Pair":
        return replace(self, challenger=self.rows.truth + factors * (self.challenger - self.rows.truth))


@dataclass(frozen=True)
class Diamonds:
    """The diamonds in two parts; equal rows never stand on both sides."""

    spec: Spec
    training: pd.DataFrame
    held_out: pd.DataFrame

    @classmethod
    def load(cls) -> "Diamonds":
        """Return the rows within the spec's ranges, shuffled."""
        spec = diamonds_spec()
        kept = fitting(all_diamonds(spec), spec).drop_duplicates(list(spec.variables))
        shuffled = kept.sample(frac=1, random_state=0)
        return cls(spec, shuffled[:TRAINING_POOL], shuffled[TRAINING_POOL:])

    def rows(self) -> HeldOut:
        """Return the held-out rows as arrays."""
        segments = {column: self.held_out[column].to_numpy(dtype=object) for column in self.spec.segments}
        return HeldOut(self.spec, self.held_out[self.spec.target].to_numpy(), segments)

    def models(self, recipe: str, count: int) -> list[Floats]:
        """Train `count` models of a recipe and return what each predicts of the held-out rows.

        They differ by their seed. It draws the training rows of boosting, which takes nothing else from it; forests
        all get the same rows.
        """
        return [self._model(recipe, seed) for seed in range(count)]

    def _model(self, recipe: str, seed: int) -> Floats:
        drawn = self.training.sample(TRAINING_ROWS, random_state=seed if recipe == BOOSTING else 0)
        features, target = list(self.spec.features), self.spec.target
        model = pipeline(recipe, self.spec.model_copy(update={"seed": seed}))
        # One thread: these models are small, and the figures must not depend on the number of cores.
        with threadpool_limits(1), parallel_config(backend="threading", n_jobs=1):
            model.fit(drawn[features], drawn[target].to_numpy())
            return predict(model, self.held_out, self.spec)


def in_pairs(rows: HeldOut, models: Sequence[Floats]) -> list[Pair]:
    """Return the models two by two, none in two pairs."""
    return [Pair(rows, *models[i : i + 2]) for i in range(0, len(models) - 1, 2)]
