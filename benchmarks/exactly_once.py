"""Score files again, at once, and after kills, into real marts, and print what the marts hold of them.

.venv/bin/python -m benchmarks.exactly_once [--rows 5000]
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tests.contract.adapters.marts import make_spec
from tests.killing import Fuse
from tests.postgres import throwaway_postgres
from tests.scoring import Scoring, things

from gauntlet.adapters.marts import PostgresMart
from gauntlet.jobs.mart_port import BatchStatus
from gauntlet.jobs.score_files import ScorePorts

KILLED = 7
FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Case:
    """What was done, how many runs it took, the rows of the files, and the batches that must come of it."""

    name: str
    runs: int
    rows: int
    batches: int


def main() -> int:
    """Print the table; the exit code is 1 when a row is missing or there twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5000, help="rows of a file")
    rows, wrong = parser.parse_args().rows, 0
    print("| case | runs | rows in the files | batches | rows in the input, output | distinct | right |")
    print("|---|---|---|---|---|---|---|")
    with throwaway_postgres() as url, tempfile.TemporaryDirectory() as folder:
        for number, case in enumerate(CASES):
            scoring = Scoring(make_spec(f"case_{number}"), PostgresMart(url), Path(folder) / str(number))
            for done in case(scoring, rows):
                found = _found(scoring)
                right = found == (done.batches, done.rows, done.rows)
                wrong += not right
                batches, loaded, distinct = found
                given = f"{done.name} | {done.runs} | {done.rows:,}"
                print(f"| {given} | {batches} | {loaded:,} | {distinct:,} | {'yes' if right else 'NO'} |")
    return 1 if wrong else 0


def _found(scoring: Scoring) -> tuple[int, int, int]:
    """Batches that are done, their rows that have both input and output, and how many of these differ."""
    done = [one for one in scoring.batches() if one.status is BatchStatus.DONE]
    for one in done:
        scoring.agree(one)  # marts and file of scores
    frames = [scoring.rows(one) for one in done]
    return len(done), sum(map(len, frames)), sum(frame["row_id"].nunique() for frame in frames)


def three_times(scoring: Scoring, rows: int) -> Iterator[Case]:
    """One after the other."""
    scoring.put("x", things(rows))
    for number in range(3):
        scoring.score("x", key=f"run {number}")
    yield Case("the same file three times", 3, rows, 1)


def at_once(scoring: Scoring, rows: int) -> Iterator[Case]:
    """Four processes."""
    scoring.put("x", things(rows))
    children = [_child(partial(scoring.score, "x", key=f"run {number}")) for number in range(4)]
    for child in children:
        child.join(120)
    failed = sum(child.exitcode != 0 for child in children)
    yield Case(f"four processes at once ({failed} failed)", 4, rows, 1)


def two_names(scoring: Scoring, rows: int) -> Iterator[Case]:
    """One content."""
    for name in ("x", "y"):
        scoring.put(name, things(rows))
        scoring.score(name)
    yield Case("one content under two names", 2, rows, 1)


def changed(scoring: Scoring, rows: int) -> Iterator[Case]:
    """One name."""
    for seed in (1, 2):
        scoring.put("x", things(rows, seed=seed))
        scoring.score("x")
        scoring.score("x")
    yield Case("changed under its name, each scored twice", 4, 2 * rows, 2)


def new_champion(scoring: Scoring, rows: int) -> Iterator[Case]:
    """One file, two versions."""
    scoring.put("x", things(rows))
    for version in (1, 2, 1, 2):
        scoring.score("x", version)
    yield Case("a new champion, then both once more", 4, 2 * rows, 2)


def killed(scoring: Scoring, rows: int) -> Iterator[Case]:
    """A process that is gone after its Nth call to files, marts, registry or ledger; then once more."""
    for last in range(1, 100):
        scoring.put("x", things(rows, seed=last))

        def work(last: int = last) -> None:
            scoring.score("x", ports=_fused(scoring.ports, Fuse(last, lambda: os._exit(KILLED))))

        child = _child(work)
        child.join(120)
        scoring.score("x")
        if child.exitcode != KILLED:
            yield Case(f"killed after each of {last - 1} calls, then once more", 2 * last - 1, last * rows, last)
            return


def _child(work: Callable[[], object]) -> multiprocessing.process.BaseProcess:
    child = FORK.Process(target=work)
    child.start()
    return child


def _fused(ports: ScorePorts, fuse: Fuse) -> ScorePorts:
    names = ("files", "registry", "ledger", "mart")
    return replace(ports, **{name: fuse.around(getattr(ports, name)) for name in names})


CASES = (three_times, at_once, two_names, changed, new_champion, killed)

if __name__ == "__main__":
    sys.exit(main())
