"""Row ids and pools: the router's for training, one of a kind for files to predict."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gauntlet.domain import identity
from gauntlet.domain.identity import PredictIds, RowHash, TrainingIds, contents, in_ab_pool, mixed, text_hashes
from gauntlet.domain.rows import check, typed
from gauntlet.domain.spec import Spec
from router import dataset as router
from router.specs import data_path, read_spec

from .conftest import HOUSES, REPOSITORY, house_rows

SHARE = 0.3


def served(name: str) -> tuple[pd.DataFrame, Spec, set[int]]:
    """All rows that the router serves, by their ids, the spec, and the ids of its A/B pool."""
    path = REPOSITORY / "specs" / f"{name}.toml"
    spec = read_spec(path)
    rows = router.load(spec, data_path(spec.data, Path()), SHARE)
    frame = pa.table(rows.arrays).to_pandas().set_index(pd.Index(rows.row_ids, name="row_id"))
    return frame, Spec.parse(name, path.read_text()), set(rows.row_ids[rows.ab].tolist())


@pytest.mark.parametrize("name", ["diamonds", "fair", "randhie"])
def test_clean_rows_have_the_routers_ids_and_pools(name: str) -> None:
    frame, spec, ab = served(name)
    kept = check(typed(frame, spec).frame, spec).kept
    found = contents(kept, spec)
    ids, number = TrainingIds(), len(kept) // 3
    pieces = [ids.number(found[place : place + number]) for place in range(0, len(found), number)]
    assert np.concatenate(pieces).tolist() == kept.index.tolist()
    assert (in_ab_pool(found, SHARE) == kept.index.isin(list(ab))).all()


def test_rows_that_meet_in_one_id_move_on_as_the_routers_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "ID_BITS", 6)
    monkeypatch.setattr(router, "ID_BITS", 6)
    digests = [bytes([number % 7]) * 16 for number in range(60)]
    ids = TrainingIds()
    found = [
        *ids.number(digests[:11]).tolist(),
        *ids.number(digests[11:13]).tolist(),
        *ids.number(digests[13:]).tolist(),
    ]
    assert found == router._row_ids(digests).tolist()
    assert len(set(found)) == 60


def test_a_pool_depends_on_content_alone(houses: Spec) -> None:
    frame = house_rows(50)
    other = frame[["town", "price", "area"]].iloc[::-1].assign(owner="x")
    assert contents(other, houses)[::-1] == contents(frame, houses)
    assert contents(frame.assign(area=-0.0), houses) == contents(frame.assign(area=0.0), houses)
    everything, nothing = in_ab_pool(contents(frame, houses), 1.0), in_ab_pool(contents(frame, houses), 0.0)
    assert everything.all()
    assert not nothing.any()
    assert in_ab_pool([], 0.5).shape == (0,)


hashes = st.lists(st.integers(0, 5) | st.integers(0, 2**64 - 1), max_size=60)


@settings(deadline=None)
@given(hashes, st.lists(st.integers(0, 60), max_size=4), st.sampled_from([6, 8, 53]))
def test_ids_to_predict_are_unique_and_do_not_depend_on_the_pieces(
    values: list[int], cuts: list[int], bits: int
) -> None:
    spread = mixed(np.array(values, dtype=np.uint64))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identity, "ID_BITS", bits)
        whole, ids = PredictIds().number(spread), PredictIds()
        pieces = [ids.number(piece) for piece in np.split(spread, sorted(min(cut, len(spread)) for cut in cuts))]
    assert np.concatenate(pieces).tolist() == whole.tolist()
    assert len(set(whole.tolist())) == len(whole)
    assert ((whole >= 0) & (whole < 2**bits)).all()


def test_ids_to_predict_that_meet_across_pieces_move_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "ID_BITS", 6)
    hashes, ids = mixed(np.arange(60, dtype=np.uint64) % 5), PredictIds()
    found = [ids.number(hashes[place : place + 1])[0] for place in range(60)]
    assert found == PredictIds().number(hashes).tolist()
    assert len(set(found)) == 60


def test_the_first_of_equal_rows_has_the_id_of_a_single_one() -> None:
    single, twice = PredictIds().number(np.array([5], dtype=np.uint64)), np.array([9, 5, 5], dtype=np.uint64)
    found = PredictIds().number(twice << np.uint64(40))
    assert found[1] == PredictIds().number(twice[1:2] << np.uint64(40))[0]
    assert found[2] not in (found[0], found[1], single[0])
    assert abs(int(found[2]) - int(found[1])) > 1


def row_hashes(spec: Spec, **values: Any) -> list[int]:
    found: list[int] = RowHash(spec).rows({name: np.array(value) for name, value in values.items()}, None).tolist()
    return found


def test_a_hash_does_not_depend_on_the_order_of_columns_or_categories(houses: Spec) -> None:
    other = Spec.parse("houses", HOUSES.replace('["Ulm", "Bern", "Graz"]', '["Graz", "Linz", "Ulm", "Bern"]'))
    first = row_hashes(houses, area=[0.0, 20.0, 20.0], town=[0, 0, 1])
    assert row_hashes(other, town=[2, 2, 3], area=[-0.0, 20.0, 20.0]) == first
    assert len(set(first)) == 3


@settings(deadline=None)
@given(st.lists(st.text(max_size=30) | st.sampled_from(["", "a", "a\0", "\0", "12345678", "123456789", "12345678x"])))
def test_texts_have_one_hash_each(texts: list[str]) -> None:
    found = text_hashes(pa.array(texts, type=pa.large_string())).tolist()
    by_text = dict(zip(texts, found, strict=True))
    assert len(set(by_text.values())) == len(by_text)
    assert [by_text[text] for text in texts] == found
    later = text_hashes(pa.array(["before", *texts], type=pa.large_string()).slice(1)).tolist()
    assert later == found
