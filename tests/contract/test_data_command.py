"""`gauntlet data make`, into a folder and into the object store."""

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from gauntlet.bootstrap.example_data import NoFolder, WouldReplace
from gauntlet.cli import cli

ORDER = ("--spec", "health", "--rows", "200")


def make(*words: str) -> Result:
    return CliRunner().invoke(cli, ["data", "make", *words], catch_exceptions=False)


def test_two_files_are_made_and_a_second_time_found(tmp_path: Path) -> None:
    first, again = (make(*ORDER, "--out", str(tmp_path / "new")) for _ in range(2))
    train, predict = (tmp_path / "new" / f"{kind}-200-0.parquet" for kind in ("train", "predict"))
    for path, line in zip((train, predict), first.output.splitlines(), strict=True):
        assert re.fullmatch(rf"{path}: 200 rows, \d+\.\d kB", line)
    assert again.output.splitlines() == [f"{line} (was there already)" for line in first.output.splitlines()]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [predict.name, train.name]
    assert "hlthg" in pq.read_schema(train).names
    assert "hlthg" not in pq.read_schema(predict).names


def test_what_holds_something_else_is_replaced_only_by_force(tmp_path: Path) -> None:
    place = tmp_path / "predict-200-0.parquet"
    place.write_text("mine")
    with pytest.raises(WouldReplace) as error:
        make(*ORDER, "--out", str(tmp_path))
    assert str(error.value) == (
        f"a file of this name must be the same or not there; {place} holds something else. "
        "Replace it with --force, or name another folder."
    )
    assert place.read_text() == "mine"
    make(*ORDER, "--out", str(tmp_path), "--force")
    assert pq.read_metadata(place).num_rows == 200


def test_a_place_where_no_folder_can_be(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(NoFolder) as error:
        make(*ORDER, "--out", str(tmp_path / "taken" / "new"))
    assert str(error.value) == (
        f"files must go into a folder; {tmp_path}/taken/new cannot be made: Not a directory. Name another folder."
    )


def test_bad_rows_are_counted_and_named(tmp_path: Path) -> None:
    shown = make(*ORDER, "--bad-share", "0.05", "--seed", "3", "--out", str(tmp_path)).output
    bad = [int(number) for number in re.findall(r"200-3-bad0\.05\.parquet: 200 rows, (\d+) of them bad", shown)]
    assert len(bad) == 2
    assert all(1 <= number <= 30 for number in bad)


def test_files_are_put_where_the_pipelines_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "GAUNTLET_STACK": "embedded",
        "GAUNTLET_HOME": str(tmp_path / "home"),
        "OBJECT_STORE": (tmp_path / "store").as_uri(),
    }.items():
        monkeypatch.setenv(name, value)
    shown = make(*ORDER, "--put").output
    for kind in ("train", "predict"):
        key = f"data/health/{kind}/{kind}-200-0.parquet"
        assert f"{(tmp_path / 'store' / key).as_uri()}: 200 rows" in shown
        assert pq.read_metadata(tmp_path / "store" / key).num_rows == 200
    assert make(*ORDER, "--put").output.count("(was there already)") == 2


def test_a_folder_and_the_store_exclude_each_other(tmp_path: Path) -> None:
    answer = make(*ORDER, "--put", "--out", str(tmp_path))
    assert answer.exit_code == 2
    assert "--put and --out exclude each other" in answer.output
