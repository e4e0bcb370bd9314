"""Where the containers are reached from the host, by the settings that docker-compose.yml was given."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

SECRETS = (
    "POSTGRES_PASSWORD", "AIRFLOW_DB_PASSWORD", "MLFLOW_DB_PASSWORD", "GAUNTLET_DB_PASSWORD",
    "GAUNTLET_APP_DB_PASSWORD", "ROUTER_DB_PASSWORD", "AIRFLOW_ADMIN_PASSWORD", "AIRFLOW_JWT_SECRET",
    "AIRFLOW_API_SECRET_KEY", "AIRFLOW_FERNET_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
)  # fmt: skip
HOST = "127.0.0.1"
# the variable of each published port, and what docker-compose.yml publishes on where it is not set
PORTS = {
    "AIRFLOW_PORT": 8080,
    "MLFLOW_PORT": 5000,
    "ROUTER_PORT": 8000,
    "POSTGRES_PORT": 15432,
    "MINIO_PORT": 9000,
    "MINIO_CONSOLE_PORT": 9001,
}


def is_set_up(env: Mapping[str, str]) -> bool:
    """Say whether the secrets of a stack in containers are there."""
    return all(env.get(name) for name in SECRETS)


def variables(env: Mapping[str, str]) -> dict[str, str]:
    """Return the addresses and passwords that clients on the host need, given what .env and the shell say."""
    port = {name: env.get(name) or str(default) for name, default in PORTS.items()}
    password = quote(env.get("GAUNTLET_APP_DB_PASSWORD", ""), safe="")
    return {
        "MLFLOW_TRACKING_URI": f"http://{HOST}:{port['MLFLOW_PORT']}",
        "FLASK_URL": f"http://{HOST}:{port['ROUTER_PORT']}",
        "AIRFLOW_URL": f"http://{HOST}:{port['AIRFLOW_PORT']}",
        "AIRFLOW_ADMIN_USER": "admin",
        "GAUNTLET_DATABASE_URL": f"postgresql://gauntlet_app:{password}@{HOST}:{port['POSTGRES_PORT']}/gauntlet",
        "POSTGRES_HOST": HOST,
        "OBJECT_STORE": f"s3://{env.get('DATA_BUCKET') or 'data'}",
        "MLFLOW_S3_ENDPOINT_URL": env.get("S3_ENDPOINT_URL") or f"http://{HOST}:{port['MINIO_PORT']}",
    }
