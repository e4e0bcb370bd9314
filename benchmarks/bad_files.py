"""Score every bad file of the tests into real marts, and print what became of each.

.venv/bin/python -m benchmarks.bad_files
"""

import re
import sys
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pyarrow as pa
from tests.bad_parquet import BAD_FILES, BadFile, good, spec_text
from tests.postgres import throwaway_postgres
from tests.scoring import Scoring

from gauntlet.adapters.marts import PostgresMart
from gauntlet.domain.intake import FileRefused
from gauntlet.domain.spec import Spec
from gauntlet.jobs.mart_port import Batch

SHOWN = 150


@dataclass(frozen=True)
class Answer:
    """What became of a file, in words, and whether that is what the tests expect."""

    text: str
    expected: bool


def main() -> int:
    """Print the table; the exit code is 1 when a file had another answer than expected."""
    wrong = 0
    print("| file | answer | rows accepted, rejected, in the marts |\n|---|---|---|")
    with throwaway_postgres() as url, tempfile.TemporaryDirectory() as folder:
        places = {keyed: _scoring(url, Path(folder), keyed=keyed) for keyed in (False, True)}
        for name, bad in BAD_FILES.items():
            path = Path(folder) / "bad.parquet"
            bad.write(path)
            places[bad.keyed].put("bad", path.read_bytes())
            answer, counts = _score(url, places[bad.keyed], bad)
            wrong += not answer.expected
            print(f"| {name} | {_cell(answer.text)} | {counts} |")
    print(f"\n{len(BAD_FILES)} files, {wrong} with another answer than expected.")
    return 1 if wrong else 0


def _scoring(url: str, folder: Path, *, keyed: bool) -> Scoring:
    name = "keyed" if keyed else "plain"
    spec = Spec.parse(name, spec_text(keyed=keyed))
    return Scoring(spec, PostgresMart(url), folder / name, lambda rows, _seed: pa.table(good(rows)))


def _score(url: str, scoring: Scoring, bad: BadFile) -> tuple[Answer, str]:
    """Score the file; the answer, and what the marts hold of it."""
    refusal = bad.refused or (None if bad.accepted or not bad.rejected else "must fulfil the spec")
    try:
        batch = scoring.score("bad")
    except FileRefused as refused:
        left = scoring.rows(scoring.batches()[0])
        said = refusal is not None and refusal in str(refused) and left.empty
        return Answer(f"refused: {refused}", said), "-"
    scoring.agree(batch)
    why = _first_reason(url, batch)
    told = (bad.accepted, bad.rejected) == (batch.accepted, batch.rejected) and (bad.reasons or "") == why
    text = f"scored; first rejected row: {why}" if why else "scored"
    return Answer(
        text, told and refusal is None
    ), f"{batch.accepted:,}, {batch.rejected:,}, {len(scoring.rows(batch)):,}"


def _first_reason(url: str, batch: Batch) -> str:
    sql = "select reasons from mart.rejected_row where batch_id = %s order by row_number limit 1"
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(sql, (batch.id,))
        row = cursor.fetchone()
    return str(row[0]) if row else ""


def _cell(text: str) -> str:
    """Text that fits a Markdown table and names no folder of this machine."""
    plain = re.sub(r"file:///\S*/", "file:///.../", " ".join(text.split()))
    return (plain if len(plain) <= SHOWN else plain[:SHOWN] + "...").replace("|", "\\|").replace("`", "'")


if __name__ == "__main__":
    sys.exit(main())
