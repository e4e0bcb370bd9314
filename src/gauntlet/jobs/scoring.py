"""Scoring: a recorded version's predictions of rows, by its own spec and from the file its hash names."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from gauntlet.domain import training
from gauntlet.domain.spec import Spec
from gauntlet.jobs.ports import Registry, Version
from gauntlet.jobs.run import Refused

Floats = npt.NDArray[np.float64]
Scorer = Callable[[pd.DataFrame], Floats]


class ModelPorts(Protocol):
    """Whatever knows the registry."""

    @property
    def registry(self) -> Registry:
        """Where models lie."""
        ...


def predict(ports: ModelPorts, version: Version, spec: Spec, frame: pd.DataFrame) -> Floats:
    """Return predictions by the spec the version was trained by; Refused when it no longer fits the rows served."""
    return scorer(ports, version, spec)(frame)


def scorer(ports: ModelPorts, version: Version, spec: Spec) -> Scorer:
    """Load a version once and return what predicts with it, as `predict` does."""
    own = Spec.from_json(version.spec_json)
    require_same_problem(version, spec)
    model = training.load_model(ports.registry.model_bytes(version), spec.trusted_types)
    return lambda frame: training.predict(model, frame, own)


def require_same_problem(version: Version, spec: Spec) -> None:
    """Raise Refused when a version predicts something else than the spec now says, or reads what it no longer has."""
    own = Spec.from_json(version.spec_json)
    if (own.target, own.task, own.classes) != (spec.target, spec.task, spec.classes):
        raise Refused(
            f"Champion and challenger must predict the same target; version {version.version} predicts "
            f"{_problem(own)}, the spec now says {_problem(spec)}. Give the new problem a spec of its own."
        )
    gone = [*set(own.numeric_features) - set(spec.numeric), *set(own.categorical_features) - set(spec.categorical)]
    if gone:
        raise Refused(
            f"A spec must serve what its champion reads; version {version.version} reads {', '.join(sorted(gone))}, "
            "which the spec no longer has, or has as another kind. Put it back, or drop the alias `production` to "
            "train a first model."
        )


def _problem(spec: Spec) -> str:
    return f"{spec.target} ({spec.task}{': ' if spec.classes else ''}{', '.join(spec.classes)})"
