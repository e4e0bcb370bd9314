"""A run over files: which it takes, what it tells of them, and the line that it ends with."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.training_files import Town, items
from tests.unit.test_pipeline import SPEC

from gauntlet.jobs.arrivals import arrived
from gauntlet.jobs.inbox import inbox
from gauntlet.jobs.mart_port import BatchKind, InputFile
from gauntlet.jobs.predict_run import (
    MAX_FILES,
    FilesFailed,
    file_from_dict,
    file_to_dict,
    summary_line,
    take,
    told,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
CHOSEN = {"version": 3, "rule": "production", "why": {}}


def file(name: str, time: datetime = NOON) -> InputFile:
    return InputFile(f"memory:///{name}", f"data/toys/predict/{name}", 10, "1-2", time)


def scored(name: str, **changes: Any) -> dict[str, Any]:
    own = {"batch": 7, "uri": file(name).uri, "output_uri": f"out/{name}", "accepted": 1000, "rejected": 0, "new": True}
    return {**own, **changes}


def test_a_run_takes_the_first_files_and_counts_the_rest() -> None:
    files = [file(f"{number}.parquet") for number in range(MAX_FILES + 3)]
    found = take(files, None)
    assert list(found.files) == files[:MAX_FILES]
    assert found.rest == 3


def test_a_data_interval_holds_its_beginning_and_not_its_end() -> None:
    files = [file("a", NOON), file("b", NOON + timedelta(hours=1)), file("c", NOON - timedelta(microseconds=1))]
    assert list(take(files, (NOON, NOON + timedelta(hours=1))).files) == files[:1]


def test_a_file_passes_through_json() -> None:
    assert file_from_dict(file_to_dict(file("a"))) == file("a")


def test_only_new_scores_are_told() -> None:
    assert told(CHOSEN, [scored("a", new=False)], 0) is None
    said = told(CHOSEN, [scored("a", new=False), scored("b", batch=8)], 4)
    assert said is not None
    assert said.event == {"version": 3, "batches": [8], "rows": 1000, "files": ["out/b"]}
    assert said.rest == 4


@pytest.mark.parametrize(
    ("found", "results", "rest", "line"),
    [
        ([], [], 0, "nothing new for v3 (production)."),
        (["a"], [scored("a")], 0, "v3 (production): 1 file scored, 1,000 rows."),
        (
            ["a", "b"],
            [scored("a", new=False), scored("b", rejected=12)],
            9,
            "v3 (production): 1 file scored, 1 scored before, 1,000 rows, 12 rows rejected. For the next run: 9 files.",
        ),
    ],
)
def test_the_summary_is_one_line(found: list[str], results: list[dict[str, Any]], rest: int, line: str) -> None:
    assert summary_line(CHOSEN, [file_to_dict(file(name)) for name in found], results, rest) == line


def test_the_summary_fails_with_the_files_that_failed() -> None:
    found = [file_to_dict(file(name)) for name in ("a", "b")]
    with pytest.raises(FilesFailed) as caught:
        summary_line(CHOSEN, found, [scored("a")], 0)
    assert str(caught.value) == (
        "v3 (production): 1 file scored, 1,000 rows. 1 of 2 files failed: memory:///b. The log of each says why."
    )


@pytest.mark.parametrize(("chosen", "step"), [(None, "choose_model"), (CHOSEN, "find_files")])
def test_the_summary_fails_where_nothing_could_be_looked_up(chosen: dict[str, Any] | None, step: str) -> None:
    with pytest.raises(FilesFailed, match=f"{step} failed"):
        summary_line(chosen, None, [], 0)


def test_a_file_is_told_of_once_and_again_after_ten_minutes_in_which_nobody_took_it_in(tmp_path: Path) -> None:
    town = Town(tmp_path)
    assert arrived(town.store, town.mart, SPEC, BatchKind.TRAIN, NOON) == ()
    uri = town.put("a.parquet", items(500, 1))
    told_of = [
        [one.uri for one in arrived(town.store, town.mart, SPEC, BatchKind.TRAIN, NOON + timedelta(minutes=minutes))]
        for minutes in (0, 1, 9, 10, 11)
    ]
    assert told_of == [[uri], [], [], [uri], []]

    town.go()
    assert not arrived(town.store, town.mart, SPEC, BatchKind.TRAIN, NOON + timedelta(days=1))
    town.put("a.parquet", items(500, 2))  # written again under its name
    [again] = arrived(town.store, town.mart, SPEC, BatchKind.TRAIN, NOON + timedelta(days=2))
    [listed] = inbox(town.store, SPEC.name, BatchKind.TRAIN)
    assert again == listed
