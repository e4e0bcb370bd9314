"""Predictions in batches: times, turns, and models that fail."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from gauntlet.jobs.measure import BATCH, PIECE, TIMED, measure


def rows(count: int) -> pd.DataFrame:
    return pd.DataFrame({"size": np.arange(count, dtype=float)})


class Clock:
    """A clock that a model moves on as it works."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 5000, 5001, 27_000])
def test_every_row_is_predicted_once_and_in_order(count: int) -> None:
    frame = rows(count)
    found = measure([lambda part: part["size"].to_numpy() * 2], frame, 0, Clock())[0]
    np.testing.assert_array_equal(found.predicted, frame["size"] * 2)
    assert len(found.seconds) == min(TIMED, -(-count // BATCH))


def test_batches_are_timed_in_turns() -> None:
    clock = Clock()
    calls: list[str] = []

    def model(name: str, seconds: float) -> Any:
        def predict(part: pd.DataFrame) -> Any:
            calls.append(name)
            clock.now += seconds
            return part["size"].to_numpy()

        return predict

    slow, quick = measure([model("slow", 3.0), model("quick", 1.0)], rows(1000), 0, clock)
    assert slow.seconds.tolist() == [3.0] * 10
    assert quick.seconds.tolist() == [1.0] * 10
    pairs = list(zip(calls[::2], calls[1::2], strict=True))
    assert all(set(pair) == {"slow", "quick"} for pair in pairs)
    assert {pair[0] for pair in pairs[1:]} == {"slow", "quick"}  # each goes first in half of the batches


def test_a_model_that_raises_fails_for_that_batch_alone() -> None:
    def broken(part: pd.DataFrame) -> Any:
        if (part["size"] == 7_777).any():
            raise ZeroDivisionError
        return part["size"].to_numpy()

    frame = rows(5000 + 2 * PIECE)
    found = measure([broken], frame, 0, Clock())[0]
    missing = np.flatnonzero(np.isnan(found.predicted))
    assert missing.tolist() == list(range(7_700, 7_800))
    assert np.array_equal(found.predicted[7_800:], frame["size"][7_800:])


def test_a_classifier_that_raises_has_no_probabilities() -> None:
    def broken(_: pd.DataFrame) -> Any:
        raise ValueError("no")

    found = measure([broken], rows(250), 3, Clock())[0]
    assert found.predicted.shape == (250, 3)
    assert np.isnan(found.predicted).all()


def test_a_machine_without_memory_is_not_the_models_failure() -> None:
    def hungry(_: pd.DataFrame) -> Any:
        raise MemoryError

    with pytest.raises(MemoryError):
        measure([hungry], rows(10), 0, Clock())
