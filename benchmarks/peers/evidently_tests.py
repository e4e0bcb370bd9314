"""Times evidently's tests of each column on two parquet files, in .venv-peers, which has evidently but not gauntlet.

    .venv-peers/bin/python benchmarks/peers/evidently_tests.py REFERENCE CURRENT ROUNDS

Prints {"seconds": [...], "p_values": {column: ...}}: KS for numbers, PSI for text; reading the files is not timed.
"""

import json
import sys
import time

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.metrics import ValueDrift


def main() -> None:
    """Print the seconds of each round, and the p-values of numbers."""
    reference, current = (pd.read_parquet(path) for path in sys.argv[1:3])
    numeric = [name for name in reference if pd.api.types.is_numeric_dtype(reference[name])]
    categorical = [name for name in reference if name not in numeric]
    definition = DataDefinition(numerical_columns=numeric, categorical_columns=categorical)
    tests = [ValueDrift(column=name, method="ks") for name in numeric]
    tests += [ValueDrift(column=name, method="psi") for name in categorical]
    seconds = []
    for _ in range(int(sys.argv[3])):
        began = time.perf_counter()
        old, new = (Dataset.from_pandas(frame, data_definition=definition) for frame in (reference, current))
        found = Report(tests).run(new, old).dict()["metrics"]
        seconds.append(time.perf_counter() - began)
    values = {metric["config"]["column"]: float(metric["value"]) for metric in found}
    print(json.dumps({"seconds": seconds, "p_values": {name: values[name] for name in numeric}}))


if __name__ == "__main__":
    main()
