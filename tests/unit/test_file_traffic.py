"""What is trained on and what is tested on, of any files that overlap."""

from io import BytesIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes import MemoryObjects
from tests.training_files import SHARE
from tests.unit.test_pipeline import SPEC

from gauntlet.domain.identity import TrainingIds, contents, in_ab_pool
from gauntlet.domain.spec import Range, Spec
from gauntlet.jobs.file_traffic import FileTraffic, ReadyFile, ready_metadata

WIDER = SPEC.model_copy(update={"numeric": {**SPEC.numeric, "weight": Range(min=0, max=9)}})

cells = st.tuples(st.integers(0, 25), st.sampled_from(["red", "green", "blue"]), st.integers(0, 1))
files = st.lists(
    st.tuples(
        st.lists(cells, max_size=40),
        st.sampled_from([None, 0, 7]),  # ids by content, or by place from this one on
        st.sampled_from([0.1, 0.3, 0.6]),
        st.sampled_from([SPEC, WIDER]),
    ),
    min_size=1,
    max_size=5,
)


def ready(store: MemoryObjects, number: int, frame: pd.DataFrame, share: float, spec: Spec = SPEC) -> ReadyFile:
    """Store a frame, indexed by row id, as the rows of a batch."""
    pool = np.where(in_ab_pool(contents(frame, spec), share), "ab", "training")
    table = pa.Table.from_pandas(frame.assign(pool=pool).reset_index(), preserve_index=False)
    sink = BytesIO()
    pq.write_table(table.replace_schema_metadata(ready_metadata(spec, share)), sink)
    stored = store.put(f"ready/{spec.name}", "parquet", sink.getvalue())
    return ReadyFile(number, f"content {number}", stored.uri, stored.sha256)


def frame_of(rows: list[tuple[int, str, int]], first_id: int | None, spec: Spec) -> pd.DataFrame:
    columns = {"size": [row[0] for row in rows], "price": 1.0, "colour": [row[1] for row in rows]}
    frame = pd.DataFrame({**columns, "weight": [row[2] for row in rows]}).astype({"size": float, "weight": float})
    frame = frame[list(spec.columns)]
    ids = TrainingIds().number(contents(frame, spec)) if first_id is None else first_id + np.arange(len(frame))
    frame.index = pd.Index(ids, name="row_id", dtype="int64")
    return frame


@settings(max_examples=150, deadline=None)
@given(files, st.sampled_from([0.1, 0.3, 0.6]))
def test_no_row_of_any_files_ab_share_is_trained_on(
    drawn: list[tuple[list[tuple[int, str, int]], int | None, float, Spec]], share: float
) -> None:
    store = MemoryObjects()
    frames = [frame_of(rows, first_id, spec) for rows, first_id, _, spec in drawn]
    made = [
        ready(store, number, frame, own, spec)
        for number, (frame, (_, _, own, spec)) in enumerate(zip(frames, drawn, strict=True), 1)
    ]
    traffic = FileTraffic(store, SPEC, made, share)
    trained = traffic.training_rows("toys", ()).frame
    arms = traffic.test_rows("toys", ())
    tested = pd.concat([arms.a, arms.b])

    assert trained.index.is_unique
    assert list(trained.columns) == list(SPEC.columns)
    for frame, (_, _, own, spec) in zip(frames, drawn, strict=True):
        in_ab = frame[in_ab_pool(contents(frame, spec), own)]
        assert not set(in_ab.index) & set(trained.index)
        if spec is SPEC:
            assert not set(contents(in_ab, SPEC)) & set(contents(trained, SPEC))
    assert not set(contents(tested, SPEC)) & set(contents(trained, SPEC))
    assert set(tested.index) <= set(frames[-1].index)
    assert 0 <= len(arms.b) - len(arms.a) <= 1


def test_with_one_share_and_ids_by_content_every_row_is_trained_on_or_kept_for_tests() -> None:
    store = MemoryObjects()
    frames = [frame_of([(n, "red", 0) for n in range(low, low + 30)], None, SPEC) for low in (0, 20, 40)]
    made = [ready(store, number, frame, SHARE) for number, frame in enumerate(frames, 1)]
    trained = FileTraffic(store, SPEC, made, SHARE).training_rows("toys", ()).frame
    whole = pd.concat(frames)
    whole = whole[~whole.index.duplicated()]
    in_ab = in_ab_pool(contents(whole, SPEC), SHARE)
    pd.testing.assert_frame_equal(trained.sort_index(), whole[~in_ab].sort_index(), check_dtype=False)


def test_rows_count_as_new_by_id_and_content() -> None:
    store = MemoryObjects()
    known = frame_of([(n, "red", 0) for n in range(30)], 0, SPEC)
    made = [ready(store, 1, known, SHARE)]
    mended = known.assign(colour="blue")
    added = frame_of([(n, "green", 0) for n in range(20)], 100, SPEC)
    for frame in (known.iloc[::-1], known.iloc[:3]):
        assert FileTraffic(store, SPEC, [*made, ready(store, 2, frame, SHARE)], SHARE).new_rows(made) == 0
    for frame in (mended, added):
        both = FileTraffic(store, SPEC, [*made, ready(store, 2, frame, SHARE)], SHARE)
        fresh = both.training_rows("toys", ()).frame
        assert both.new_rows(made) == len(fresh[fresh["colour"] != "red"]) > 0
        assert both.new_rows([]) == len(fresh)


def test_the_sample_says_what_it_was_made_of_in_few_words() -> None:
    store = MemoryObjects()
    one = ready(store, 1, frame_of([(1, "red", 0)], 0, SPEC), SHARE)
    many = [ReadyFile(number, f"{number:064}", one.uri, one.sha256) for number in range(1, 2001)]
    text = FileTraffic(store, SPEC, many[:3], SHARE).training_rows("toys", ()).traffic
    assert '"batches": 3, "input_sha256": {"1": "00' in text
    assert len(FileTraffic(store, SPEC, many, SHARE).test_rows("toys", ()).traffic) < 6000
    assert len(FileTraffic(store, SPEC, many[:200], SHARE).training_rows("toys", ()).traffic) < 6000


def test_a_category_that_the_spec_no_longer_has_is_left_to_the_check() -> None:
    store = MemoryObjects()
    frame = frame_of([(n, "blue" if n % 2 else "red", 0) for n in range(40)], 0, SPEC)
    narrower = SPEC.model_copy(update={"categorical": {"colour": ("red", "green")}})
    made = [ready(store, 1, frame, 0.1)]
    trained = FileTraffic(store, narrower, made, 0.5).training_rows("toys", ()).frame
    assert (trained["colour"] == "blue").sum() > 10
    assert not in_ab_pool(contents(trained[trained["colour"] == "red"], SPEC), 0.5).any()


@pytest.mark.parametrize("first_id", [0, 10**15])
def test_ids_in_a_row_are_spread_over_both_arms(first_id: int) -> None:
    store = MemoryObjects()
    frame = frame_of([(n % 26, "red", 0) for n in range(2000)], first_id, SPEC)
    frame["size"] = np.linspace(1, 9, 2000)
    arms = FileTraffic(store, SPEC, [ready(store, 1, frame, 0.6)], SHARE).test_rows("toys", ())
    assert abs(arms.a["size"].mean() - arms.b["size"].mean()) < 0.3
    assert set(arms.a.index % 2) == set(arms.b.index % 2) == {0, 1}
