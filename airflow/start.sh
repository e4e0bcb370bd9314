#!/bin/sh
# Starts a part of Airflow in its container: `start.sh api-server`, `start.sh scheduler --skip-serve-logs` ...
# AIRFLOW_HOME is in memory, so that the container's root can be read-only and no secret reaches a disk.
set -eu
umask 077
mkdir -p "$AIRFLOW_HOME"
if [ "$1" = api-server ]; then
    # read and rewritten by Airflow itself, which asks for write access
    python -c 'import json, os; print(json.dumps({"admin": os.environ.pop("AIRFLOW_ADMIN_PASSWORD")}))' \
        >"$AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"
fi
unset AIRFLOW_ADMIN_PASSWORD
# where task logs go if they leave the machine (docker-compose.scale.yml): the store of everything else, with its keys
if [ -n "${OBJECT_STORE:-}" ]; then export AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER="$OBJECT_STORE/airflow-logs"; fi
if [ -n "${MLFLOW_S3_ENDPOINT_URL:-}" ]; then export AWS_ENDPOINT_URL_S3="$MLFLOW_S3_ENDPOINT_URL"; fi
exec airflow "$@"
