"""Use the production model from MLflow: list its versions with their verdicts, load it by its alias, predict."""

import mlflow
import pandas as pd
from mlflow import MlflowClient

from gauntlet.bootstrap import load_settings, names

SPEC = "health"
settings = load_settings()
model = names(settings, SPEC).model
mlflow.set_tracking_uri(settings.mlflow_tracking_uri)

# Every version with its aliases, and what the ledger came to about it.
client = MlflowClient()
for version in client.search_model_versions(f"name = '{model}'", order_by=["version_number DESC"]):
    full = client.get_model_version(model, version.version)  # the search leaves the aliases out
    said = (full.description or "").splitlines()
    print(f"v{full.version} {list(full.aliases)} run {full.run_id}: {said[0] if said else ''}")
    print("   tags:", ", ".join(sorted(full.tags)))

# The alias moves with every promotion; "models:/NAME/3" would name a version that never changes.
champion = mlflow.sklearn.load_model(f"models:/{model}@production")
rows = pd.DataFrame(
    {
        "mdvis": [0.0, 3.0, 20.0],
        "lncoins": [4.6, 0.0, 0.0],
        "lpi": [6.9, 0.0, 0.0],
        "fmde": [0.0, 0.0, 0.0],
        "physlm": [0.0, 0.0, 1.0],
        "disea": [4.0, 11.0, 40.0],
        "idp": ["0", "1", "0"],
    }
)
rows["prediction"] = champion.predict(rows)
rows["probability_1"] = champion.predict_proba(rows)[:, 1].round(3)
print(rows.to_string(index=False))
