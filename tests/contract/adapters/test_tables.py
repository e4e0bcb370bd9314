"""Tables in files: what is read, and what is said of a file that is none."""

import gzip
from pathlib import Path

import pandas as pd
import pytest

from gauntlet.adapters.tables import TableError, read_table, read_toml, write_whole

FRAME = pd.DataFrame({"row_id": [5, 6], "price": [1.5, None], "town": ["Ulm", "Bern"]})


def test_a_table_is_the_same_from_either_kind_of_file(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "rows.csv", index=False)
    FRAME.to_csv(tmp_path / "rows.csv.gz", index=False)
    FRAME.to_parquet(tmp_path / "rows.parquet")
    FRAME.set_index("row_id").to_parquet(tmp_path / "indexed.PARQUET")
    for name in ("rows.csv", "rows.csv.gz", "rows.parquet", "indexed.PARQUET"):
        pd.testing.assert_frame_equal(read_table(tmp_path / name), FRAME, check_dtype=False)


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("rows.xlsx", b"", "a table must be a .csv, .csv.gz or .parquet file; found rows.xlsx."),
        ("rows.csv", b"", "rows.csv must be a csv table; found: No columns to parse from file."),
        ("rows.csv", b"a,b\n", "a table must have rows and columns;"),
        ("rows.csv", b"a,b,a\n1,2,3\n", "each column must have a name of its own; "),
        ("rows.csv", b"a,b\n1,2\n1,2,3\n", "rows.csv must be a csv table; found: Error tokenizing data."),
        ("rows.csv", b"a,b\n1,2,3\n", "found: lines have more fields than the header."),
        ("rows.csv", "stra\xdfe\n1\n".encode("latin-1"), "invalid continuation byte. Save it as UTF-8."),
        ("rows.csv", b"\xff\xfe\x00", "rows.csv must be a csv table; found: 'utf-8' codec"),
        ("rows.csv", b"a;b\n1,5;2\n", "commas must part the columns of a CSV file; "),
        ("rows.csv", b"a;b\n1,5;2\n", "rows.csv has semicolons. Save it with commas."),
        ("rows.csv", b"a\tb\n1\t2\n", "rows.csv has tabs. Save it with commas."),
        ("rows.csv.gz", b"a,b\n1,2\n", "rows.csv.gz must be a csv table; found: "),
        ("rows.csv.gz", gzip.compress(b"a,b\n1,2\n")[:-9], "rows.csv.gz must be a csv table; found: "),
        ("rows.parquet", b"PAR1 and no more", "rows.parquet must be a parquet table; found: "),
    ],
)
def test_a_file_that_is_no_table(tmp_path: Path, name: str, content: bytes, text: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TableError) as raised:
        read_table(tmp_path / name)
    assert text in str(raised.value)


@pytest.mark.parametrize("name", ["none.csv", "none.parquet"])
def test_a_file_that_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(TableError, match="a table must exist; there is no "):
        read_table(tmp_path / name)
    (tmp_path / name).mkdir()
    with pytest.raises(TableError, match="a table must be readable; "):
        read_table(tmp_path / name)


def test_a_policy_file(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text('rule = "split"\nmde = 0.1\n')
    assert read_toml(file) == {"rule": "split", "mde": 0.1}
    file.write_text("mde = \n")
    with pytest.raises(TableError, match="must be TOML in UTF-8; found: "):
        read_toml(file)
    with pytest.raises(TableError, match="must be a file that you may read; No such file or directory"):
        read_toml(tmp_path / "none.toml")


def test_a_policy_file_may_have_a_byte_order_mark_and_must_not_nest_without_end(tmp_path: Path) -> None:
    (tmp_path / "marked.toml").write_bytes(b"\xef\xbb\xbfmde = 0.1\n")
    assert read_toml(tmp_path / "marked.toml") == {"mde": 0.1}
    (tmp_path / "deep.toml").write_text("a = " + "[" * 5000)
    with pytest.raises(TableError, match="must be TOML in UTF-8"):
        read_toml(tmp_path / "deep.toml")


def test_a_page_that_does_not_fit_leaves_the_old_one(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("old")
    (tmp_path / ".page.html.part").mkdir()  # nothing can be written beside it
    with pytest.raises(OSError, match=r"/page\.html"):
        write_whole(page, "new")
    assert page.read_text() == "old"
