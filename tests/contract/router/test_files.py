"""The files rows come from: specs and data of one's own, dirty ones too; their ids and pools."""

import json
import os
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from flask.testing import FlaskClient
from tests.contract.router.harness import ROOT

from router.answers import ARROW
from router.app import create_app
from router.catalogue import Catalogue
from router.dataset import Dataset
from router.errors import Refused
from router.settings import Settings

SPEC = """
title = "Trees"
data = "{data}"
target = "height"
task = "regression"
metric = "mae"
candidates = ["linear"]
{more}
[numeric]
height = {{ min = 0.0, max = 100.0 }}
girth = {{ min = 0.0, max = 10.0 }}
[categorical]
kind = ["oak", "NA", "1"]
"""


def write_spec(folder: Path, data: str = "trees.csv", more: str = "") -> None:
    (folder / "specs" / "trees.toml").write_text(SPEC.format(data=data, more=more))


def own(folder: Path, csv: str | None = None, data: str = "trees.csv", more: str = "") -> Dataset:
    """The data set of a spec of the test's own."""
    write_spec(folder, data, more)
    if csv is not None:
        (folder / data).write_text(csv)
    return Catalogue(Settings("postgresql://", folder / "specs", folder)).get("trees")


def text(rows: int) -> str:
    return "height,girth,kind\n" + "".join(f"{i % 17},{i % 5 + 0.5},oak\n" for i in range(rows))


def ids(dataset: Dataset) -> list[int]:
    return [int(each) for each in dataset.row_ids]


def test_ids_are_unique_and_fit_53_bits(catalogue: Catalogue) -> None:
    for spec in ("diamonds", "randhie"):
        row_ids = catalogue.get(spec).row_ids
        assert len(set(row_ids.tolist())) == len(row_ids)
        assert row_ids.min() >= 0
        assert row_ids.max() < 2**53


def test_ids_do_not_depend_on_the_machine(catalogue: Catalogue) -> None:
    dataset = catalogue.get("diamonds")
    assert ids(dataset)[:3] == [4695883700564821, 6265536369327928, 4758235595752889]
    assert len(dataset.ab) == 16_168


def test_ids_and_pools_do_not_depend_on_column_order_extra_columns_or_notation(own_spec: Path) -> None:
    plain = own(
        own_spec, "height,girth,kind\n1,0.5,oak\n-0.0,2,1\n1,0.5,oak\n,3,NA\n7,0.25,oak\n8,0.125,oak\n" + "9,9,1\n" * 9
    )
    other = own(
        own_spec,
        "kind,extra,girth,height\noak,z,5e-1,1.0\n1,,2.0,0\noak,y,0.50,1\nNA,x,3,\noak,,.25,7\noak,,.125,8\n"
        + "1,,9,9\n" * 9,
    )
    assert ids(plain) == ids(other)
    assert plain.ab.tolist() == other.ab.tolist()
    assert plain.names == ["height", "girth", "kind"]
    assert other.names == ["kind", "girth", "height"]


def test_equal_rows_are_in_one_pool_under_their_own_ids(catalogue: Catalogue) -> None:
    dataset = catalogue.get("randhie")
    frame = pd.DataFrame({name: array.to_pandas() for name, array in dataset.arrays.items()})
    frame["ab"] = False
    frame.loc[dataset.ab, "ab"] = True
    assert frame.duplicated(subset=dataset.names).sum() > 10_000
    assert frame.groupby(dataset.names)["ab"].nunique().max() == 1
    assert len(dataset.ab) / len(frame) == pytest.approx(0.3, abs=0.05)


def test_a_key_is_served_but_is_no_content(own_spec: Path) -> None:
    bare = own(own_spec, text(60))
    lines = text(60).splitlines()
    keyed = "\n".join([f"{lines[0]},id", *(f"{line},{i}" for i, line in enumerate(lines[1:]))])
    with_key = own(own_spec, keyed, more='key = "id"')
    assert with_key.names == ["id", "height", "girth", "kind"]
    assert with_key.arrays["id"].to_pylist() == [str(i) for i in range(60)]
    assert ids(with_key) == ids(bare)
    assert "id" not in with_key.driftable


DIRTY = """height,girth,kind
 tall ,1,oak
12.5,,NA
3,inf,"el ""m"", é"
1_0,NA,
-0.0,1e3,1
"""


def test_dirty_cells_are_served_as_they_are(own_spec: Path) -> None:
    dataset = own(own_spec, DIRTY + text(200).partition("\n")[2])
    served = [json.loads(row[:-1].tobytes()) for row in dataset.rows.matrix[:5]]
    assert served == [
        ["tall", 1.0, "oak"],
        [12.5, None, "NA"],
        [3.0, "inf", 'el "m", é'],
        ["1_0", None, None],
        [0.0, 1000.0, "1"],
    ]
    assert dataset.arrays["height"].to_pylist()[:4] == ["tall", "12.5", "3.0", "1_0"]
    assert dataset.arrays["girth"].to_pylist()[:5] == ["1.0", None, "inf", None, "1000.0"]


def test_dirty_columns_drift_where_they_hold_numbers(own_spec: Path, settings: Settings) -> None:
    own(own_spec, text(1) + "".join(f"tall {i},{i}.5,oak\n{i},inf,1\n{i},,NA\n" for i in range(60)))
    asker = create_app(Settings(settings.database_url, own_spec / "specs", own_spec, None, "trees")).test_client()
    size = int(asker.get("/get_data?data_size=0").get_json()["error"].split(" to ")[1].split()[0])
    drift = {"girth": {"kind": "scale", "factor": 2}}
    assert asker.post("/traffic", json={"data_size": size, "seed": 1}).status_code == 200
    plain = asker.get("/get_data").get_json()["data"]
    assert asker.post("/traffic", json={"drift": drift, "drift_cols": ["kind"]}).status_code == 200
    after = asker.get("/get_data").get_json()["data"]
    doubled = [2 * row[1] if isinstance(row[1], float) else row[1] for row in plain]
    assert [row[1] for row in after] == doubled
    for kind in ("mix", "nulls", "noise", "shift"):
        asker.post("/traffic", json={"drift": {"girth": {"kind": kind}, "height": {"kind": kind}}})
        table = pa.ipc.open_stream(asker.get("/get_data", headers={"Accept": ARROW}).data).read_all()
        assert table.schema.field("height").type == pa.utf8()
        assert asker.get("/get_data").status_code == 200


@pytest.mark.parametrize(
    ("csv", "said"),
    [
        ("height,kind\n1,oak\n", "missing: girth"),
        ("height,girth,kind,girth\n1,2,oak,2\n", "doubled: girth"),
        ("height,girth,kind\n", "must hold rows; found none"),
        ("", "missing: height, girth, kind"),
        ("height,girth,kind\n1,2\n", "must be a readable CSV file"),
        ("height,girth,kind\n1,2,oak\n", "Both pools need rows"),
        (f"height,girth,kind\n1,2,{'x' * 2000}\n", "A cell may have 1000 characters; found 2000 in the column kind"),
    ],
)
def test_a_file_that_cannot_be_served_says_why(own_spec: Path, csv: str, said: str) -> None:
    with pytest.raises(Refused) as refused:
        own(own_spec, csv)
    assert refused.value.status == 503
    assert said in str(refused.value)


def test_a_broken_spec_says_every_key(own_spec: Path) -> None:
    (own_spec / "specs" / "trees.toml").write_text(
        'data = 5\nkey = "a"\n[numeric]\na = {}\nb = {}\n[categorical]\nb = "x"\n'
    )
    with pytest.raises(Refused) as refused:
        Catalogue(Settings("postgresql://", own_spec / "specs", own_spec)).get("trees")
    said = (
        "data must be a text. target must be a text. b must not be both numeric and categorical. "
        "categorical.b must be a list of texts. key must not be a feature."
    )
    assert said in str(refused.value)


def test_parquet_and_csv_are_alike(own_spec: Path) -> None:
    from_csv = own(own_spec, text(100))
    pd.read_csv(own_spec / "trees.csv").to_parquet(own_spec / "trees.parquet")
    from_parquet = own(own_spec, data="trees.parquet")
    assert ids(from_csv) == ids(from_parquet)
    assert from_csv.rows.matrix.tobytes() == from_parquet.rows.matrix.tobytes()


def test_a_changed_spec_or_file_is_seen(own_spec: Path) -> None:
    write_spec(own_spec)
    (own_spec / "trees.csv").write_text(text(100))
    catalogue = Catalogue(Settings("postgresql://", own_spec / "specs", own_spec))
    first = catalogue.get("trees")
    assert catalogue.get("trees") is first
    (own_spec / "trees.csv").write_text(text(150))
    assert len(catalogue.get("trees").row_ids) == 150
    (own_spec / "specs" / "trees.toml").write_text("broken = ")
    with pytest.raises(Refused, match=r"trees\.toml must be TOML"):
        catalogue.get("trees")
    write_spec(own_spec)
    assert len(catalogue.get("trees").row_ids) == 150


def test_the_dirty_diamonds(client: FlaskClient, settings: Settings) -> None:
    file = Path(os.environ.get("GAUNTLET_TEST_DATA", ROOT.parent / "shared" / "data")) / "DiamondData.csv"
    if not file.is_file():
        pytest.skip(f"there is no {file}")
    app = create_app(Settings(settings.database_url, settings.specs_dir, ROOT, data_file=file))
    asker = app.test_client()
    assert asker.get("/health").get_json()["rows"] == 47_940
    largest = asker.get("/ab_data?data_size=99999").get_json()["error"].split(" to ")[1].split()[0]
    body = asker.get(f"/ab_data?data_size={largest}&drift_cols=carat").get_json()
    cuts = {row[1] for arm in body.values() for row in arm["data"]}
    assert "Very Geod" in cuts
    assert client.get("/get_data").status_code == 200
