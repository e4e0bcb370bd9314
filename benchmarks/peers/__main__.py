"""Our drift check beside evidently's, on the same rows: `make bench-peers`.

    .venv/bin/python -m benchmarks.peers [--rows 1000000] [--rounds 3]

evidently runs in an environment of its own, .venv-peers, and is handed the rows as parquet files; neither side's time
holds reading them. It is timed first, we next, so that they do not share the cores.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from benchmarks.drift import SMALL, machine, turns
from benchmarks.drift_data import sample, spec

from gauntlet.domain.drift import DriftPolicy, DriftProfile

ROOT = Path(__file__).resolve().parents[2]
ROWS, NUMERIC, CATEGORICAL = SMALL


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS, help="rows of each of the two tables")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    of, policy = spec(NUMERIC, CATEGORICAL), DriftPolicy()
    reference, current = (sample(options.rows, seed, of, drifted=seed == 2) for seed in (1, 2))
    print(machine())
    print(f"{options.rows:,} x {NUMERIC + CATEGORICAL} against as many; medians of {options.rounds}")
    theirs = evidently(reference, current, options.rounds)
    profile = DriftProfile.fit(reference, of)
    ours = turns(
        {
            "ours, fitted": lambda: profile.compare(current, policy),
            "ours, cold": lambda: DriftProfile.fit(reference, of).compare(current, policy),
        },
        options.rounds,
    )
    for finding in profile.compare(current, policy).findings:
        if finding.test == "ks":
            assert finding.p_value is not None
            assert abs(finding.p_value - theirs["p_values"][finding.column]) < 1e-12
    print("evidently's p-values of the KS test are ours to within 1e-12")
    taken = statistics.median(theirs["seconds"])
    print(f"  {'evidently, tests only':24s} {taken:8.3f} s")
    for name, seconds in ours.items():
        print(f"  {name:24s} {seconds:8.3f} s   {taken / seconds:6.1f} times as fast")


def evidently(reference: pd.DataFrame, current: pd.DataFrame, rounds: int) -> Any:
    """Return what evidently_tests.py prints."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("reference.parquet", "current.parquet")]
        for frame, file in zip((reference, current), files, strict=True):
            frame.to_parquet(file)
        script = ROOT / "benchmarks" / "peers" / "evidently_tests.py"
        command = [
            str(ROOT / ".venv-peers" / "bin" / "python"),
            "-W",
            "ignore",
            str(script),
            *map(str, files),
            str(rounds),
        ]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main()
