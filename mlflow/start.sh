#!/bin/sh
# Starts the MLflow server in its container. The database's address is in MLFLOW_BACKEND_STORE_URI, so that no process
# list shows its password. Artifacts go through this server: only it holds the keys of the store, and a browser on the
# host needs none.
set -eu
python mlflow/schema.py
exec mlflow server --host 0.0.0.0 --port 5000 --workers "${MLFLOW_WORKERS:-1}" \
    --serve-artifacts --artifacts-destination "proxied-s3://${MLFLOW_BUCKET:-mlflow}/" \
    --allowed-hosts "mlflow:5000,localhost,localhost:*,127.0.0.1,127.0.0.1:*"
