"""Example files: what stands in them, and that equal orders give equal bytes."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gauntlet.adapters.tables import read_table
from gauntlet.bootstrap.catalogue import read_spec
from gauntlet.bootstrap.environment import load_settings
from gauntlet.bootstrap.example_data import NoPackage, data_file
from gauntlet.domain.example_data import WORD, Example, ExampleError
from gauntlet.domain.intake import Intake
from gauntlet.domain.rows import check, typed
from gauntlet.domain.spec import Spec
from gauntlet.jobs.make_data import PIECE, Made, Order, write_example
from gauntlet.jobs.mart_port import BatchKind

SPECS = Path(__file__).parents[2] / "specs"
SHIPPED = sorted(path.stem for path in SPECS.glob("*.toml"))
TREES = Spec.parse(
    "trees",
    """
title = "Trees"
data = "trees.csv"
target = "height"
task = "regression"
metric = "mae"
key = "plot"
candidates = ["linear"]

[numeric]
height = { min = 0.0, max = 60.0 }
rings = { min = 1, max = 500 }
girth = { min = 0.1, max = 9.5 }

[categorical]
kind = ["oak", "ash"]
""",
)


def trees(**changed: object) -> pd.DataFrame:
    """Trees at both ends of every range, one of them of a kind that is not in the spec."""
    columns = {
        "plot": [7, 8, 9, 10],
        "rings": [1, 500, 30, 5],
        "girth": [0.1, 9.5, 2.5, 1.0],
        "height": [0.0, 60.0, 12.5, 3.0],
        "kind": ["oak", "ash", "oak", "elm"],
    }
    return pd.DataFrame({**columns, **changed})


def shipped(name: str) -> Example:
    spec = read_spec(SPECS / f"{name}.toml")
    return Example.of(read_table(data_file(load_settings({}), spec)), spec)


def written(example: Example, order: Order, kind: BatchKind = BatchKind.TRAIN) -> tuple[pd.DataFrame, Made]:
    sink = io.BytesIO()
    made = write_example(sink, example, order, kind, lambda _: None)
    assert sink.tell() == 0
    assert made.sha256 == hashlib.sha256(sink.getvalue()).hexdigest()
    assert made.size == len(sink.getvalue())
    return pq.read_table(sink).to_pandas(), made


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_spec_gives_rows_that_keep_it_and_are_mostly_distinct(name: str) -> None:
    example = shipped(name)
    frame, made = written(example, Order(20_000, seed=1))
    to_predict, _ = written(example, Order(20_000, seed=1), BatchKind.PREDICT)

    assert (len(frame), len(to_predict), made.bad_rows) == (20_000, 20_000, 0)
    assert set(frame.columns) == set(example.spec.columns)
    assert set(to_predict.columns) == set(example.spec.columns) - {example.spec.target}
    checked = typed(frame, example.spec)
    assert check(checked.frame, example.spec).share_left_out == len(checked.misfits) == 0
    assert frame.duplicated().mean() < 0.1
    assert not frame.drop(columns=example.spec.target).equals(to_predict)


def test_what_is_whole_stays_whole_and_what_is_predicted_stays_as_it_was() -> None:
    frame, _ = written(Example.of(trees(), TREES), Order(5000, seed=3))
    assert frame["rings"].dtype == np.int64
    assert set(frame["height"]) == {0.0, 60.0, 12.5}
    assert set(frame["kind"]) == {"oak", "ash"}  # the elm is not drawn
    assert frame["girth"].nunique() > 50
    assert frame["girth"].between(0.1, 9.5).all()
    assert frame["girth"].groupby(frame["height"]).agg(np.ptp).max() < 0.3


@pytest.mark.parametrize("keys", [[7, 8, 9, 10], ["a", "b", "c", "d"]])
def test_keys_are_distinct_across_pieces_and_of_the_kind_they_were(keys: list[object]) -> None:
    rows = PIECE + 10
    frame, _ = written(Example.of(trees(plot=keys), TREES), Order(rows, seed=3), BatchKind.PREDICT)
    wanted = range(1, rows + 1)
    assert frame["plot"].tolist() == (list(wanted) if isinstance(keys[0], int) else [str(key) for key in wanted])


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(30, 300), seed=st.integers(0, 2**40), bad=st.sampled_from([0.0, 0.1, 1.0]))
def test_equal_orders_give_equal_bytes_and_other_seeds_do_not(rows: int, seed: int, bad: float) -> None:
    example = Example.of(trees(), TREES)
    first, again, other = (written(example, Order(rows, each, bad))[1].sha256 for each in (seed, seed, seed + 1))
    assert first == again != other


def test_a_longer_file_begins_as_a_shorter_one_of_whole_pieces() -> None:
    example = Example.of(trees(), TREES)
    told: list[int] = []
    sink = io.BytesIO()
    write_example(sink, example, Order(PIECE + 1, seed=4), BatchKind.TRAIN, told.append)
    short, _ = written(example, Order(PIECE, seed=4))
    pd.testing.assert_frame_equal(pq.read_table(sink).to_pandas()[:PIECE], short)
    assert told == [PIECE, PIECE + 1]


@pytest.mark.parametrize("kind", BatchKind)
def test_bad_rows_break_the_spec_in_every_way(kind: BatchKind) -> None:
    frame, made = written(Example.of(trees(), TREES), Order(4000, seed=5, bad_share=0.2), kind)
    numbers = pd.to_numeric(frame["rings"], errors="coerce")
    broken = {
        "key": frame["plot"].isna(),
        "word": frame["rings"] == WORD,
        "no rings": frame["rings"].isna(),
        "rings beyond": numbers > 500,
        "girth beyond": frame["girth"] > 9.5,
        "no girth": frame["girth"].isna(),
        "kind": frame["kind"] == WORD,
        "no kind": frame["kind"].isna(),
    }
    if kind is BatchKind.TRAIN:
        broken |= {"height beyond": frame["height"] > 60, "no height": frame["height"].isna()}
    counts = {name: int(mask.sum()) for name, mask in broken.items()}
    assert min(counts.values()) > 40, counts
    assert sum(counts.values()) == made.bad_rows == pytest.approx(800, abs=100)


@pytest.mark.parametrize("kind", BatchKind)
@pytest.mark.parametrize("name", ["trees", *SHIPPED])
def test_the_pipelines_reject_the_bad_rows_and_no_other(name: str, kind: BatchKind) -> None:
    example = Example.of(trees(), TREES) if name == "trees" else shipped(name)
    sink = io.BytesIO()
    made = write_example(sink, example, Order(2000, seed=6, bad_share=0.1), kind, lambda _: None)
    (batch,) = pq.read_table(sink).to_batches()
    piece = Intake(batch.schema, example.spec, training=kind is BatchKind.TRAIN).piece(batch, 1)
    assert 100 < made.bad_rows == piece.rejected.num_rows == 2000 - len(piece.frame)


def test_nothing_to_draw_from_is_said() -> None:
    with pytest.raises(ExampleError) as error:
        Example.of(trees(kind=["elm"] * 4), TREES)
    assert str(error.value) == (
        "rows are drawn from those that keep the spec; none of the 4 rows of trees.csv does. "
        "Mend the data, or the spec."
    )


def test_data_in_a_package_in_a_folder_and_in_its_stead(tmp_path: Path) -> None:
    own = load_settings({"DEFAULT_SPEC": "trees", "DATA_FILE": str(tmp_path / "mine.csv")})
    assert data_file(own, TREES) == tmp_path / "mine.csv"
    assert data_file(load_settings({}), TREES) == SPECS.parent / "trees.csv"
    away = TREES.model_copy(update={"data": "nowhere_at_all:trees.csv"})
    with pytest.raises(NoPackage, match=r"found no package nowhere_at_all\. Install it\."):
        data_file(own.model_copy(update={"data_file": None}), away)
