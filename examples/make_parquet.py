"""Put rows of your own on the object store, as parquet: a file to train on, and a file to predict."""

import io
from pathlib import Path

import pandas as pd
import statsmodels

from gauntlet.bootstrap import load_settings
from gauntlet.bootstrap.wiring import object_store

SPEC = "health"

# Any frame with the columns of specs/health.toml will do; here it is the survey that statsmodels ships.
rows = pd.read_csv(Path(statsmodels.__file__).parent / "datasets" / "randhie" / "randhie.csv")
rows = rows.sample(frac=1, random_state=1).reset_index(drop=True)
to_train = rows[:15_000]

# No target is needed to predict. Columns beside the spec's pass through: here a number of our own for each row.
to_predict = rows[15_000:].drop(columns=["hlthg", "hlthf", "hlthp"])
to_predict.insert(0, "answer", range(1, len(to_predict) + 1))
to_predict.loc[to_predict["answer"] == 1, "disea"] = None  # two rows that break the spec
to_predict.loc[to_predict["answer"] == 2, "mdvis"] = 9999

store = object_store(load_settings())
for kind, frame in {"train": to_train, "predict": to_predict}.items():
    data = io.BytesIO()
    frame.to_parquet(data, index=False)
    data.seek(0)
    # A folder with a date in its name says what time the rows are of; backfills go by it.
    key = f"data/{SPEC}/{kind}/2026-11-20/answers.parquet"
    store.write(key, data)
    print(f"{len(frame):,} rows: {store.root}/{key}")
